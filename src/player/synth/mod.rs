//! The frequency synthesizer of a bank: the interface `bank.valon`, and what a mode and the start need of it.
//!
//! An [`Order`] goes to the synthesizer on one of two ways, which give the same answers: through the board's
//! server ([`katcp`]) or along a serial line of this node ([`crate::session::valon_line`]).

pub mod katcp;
mod table;
#[cfg(test)]
mod tests;
mod work;

pub use table::{VALON, valon_call};
pub use work::{LOCKED_WITHIN, SynthWork};

use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::Synth as Settings;
use crate::proto::valon::Synth;
use crate::proto::valon::order::{Order, SynthError};
use crate::proto::valon::registers::Options;

/// The synthesizer could not do it, as clients see it: `ValonException`.
pub fn synth_error(error: &SynthError) -> CallError {
    let family = match error {
        SynthError::Unreachable(_) => Family::Environment,
        SynthError::Timeout(_) => Family::Timeout,
        SynthError::Reply(_) => Family::Peer,
        SynthError::Impossible(_) => Family::Invalid,
    };
    CallError::new(ErrorClass::ValonException, family, error.to_string())
}

/// What the configuration wants of synthesizer A, in the order of the reference. A setting that is not there, or
/// that the synthesizer does not have, is left as it is.
pub fn set_up(settings: &Settings) -> Vec<Order> {
    let synth = Synth::A;
    let mut orders = vec![Order::SetExternal(settings.external_ref)];
    orders.extend(u32::try_from(settings.ref_freq_hz).ok().map(Order::SetReference));
    let (low, high) = settings.vco_range_mhz;
    if let (Ok(low), Ok(high)) = (u16::try_from(low), u16::try_from(high)) {
        orders.push(Order::SetVco(synth, low, high));
    }
    orders.push(Order::SetLevel(synth, settings.rf_level_dbm));
    let [double, half, r, low_spur] = settings.options;
    let options = Options {
        double: double != 0,
        half: half != 0,
        r: u32::try_from(r).unwrap_or(1),
        low_spur: low_spur != 0,
    };
    orders.push(Order::SetOptions(synth, options));
    orders
}
