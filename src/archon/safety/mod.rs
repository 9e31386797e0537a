//! What an order needs before it may leave: one table, asked before every command, raw ones and those of
//! procedures included.
//!
//! [`gate`] is the one checked place. Three questions, in this order: does the running order include such a
//! command ([`Grant`]), is the controller there and not fallen to read-only, and does what is known
//! ([`Facts`]) meet every need of the command's [`Class`]. A need that cannot be checked is not met.

mod class;
mod facts;
mod grant;
mod heater;
mod needs;
mod power;
mod values;

pub use class::{Class, understand};
pub use facts::{Applied, Facts, Held, Memory, STATUS_FRESH, StatusFact};
pub use grant::{Grant, Purpose};
pub use heater::{check_configuration as check_heaters, heater_key};
pub use values::{Reading, bias_value_key, check_acf, reading};

use crate::proto::archon::Command;
use crate::units::Mono;

/// Why an order was not carried out, and what would make it possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{order}: {why}; {remedy}")]
pub struct Refusal {
    /// The order (`POWERON`).
    pub order: String,
    /// The need that is not met.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

/// What an operator explicitly agrees to with an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Power on although the CCD is outside its temperature range: the reason.
    pub warm: Option<String>,
    /// Power on, or write a bias, without a limits file.
    pub unchecked: bool,
    /// Changed heater or sensor keys of an ACF.
    pub thermal: bool,
    /// Changed bias or clock keys of an ACF.
    pub bias: bool,
}

/// A need that is not met, and what would meet it.
pub(crate) struct Lack {
    why: String,
    remedy: String,
}

impl Lack {
    fn new(why: impl Into<String>, remedy: impl Into<String>) -> Lack {
        Lack { why: why.into(), remedy: remedy.into() }
    }
}

/// What is asked of the gate.
pub(crate) struct Asked<'a> {
    command: &'a Command,
    facts: &'a Facts,
    grant: &'a Grant,
    now: Mono,
}

/// May this command leave now?
pub fn gate(command: &Command, facts: &Facts, grant: &Grant, now: Mono) -> Result<(), Refusal> {
    let class = Class::of(command);
    let understood = match command {
        Command::Raw(text) => understand(text),
        typed => typed.clone(),
    };
    let asked = Asked { command: &understood, facts, grant, now };
    let refuse =
        |lack: Lack| Refusal { order: excerpt(&understood.text()), why: lack.why, remedy: lack.remedy };
    if !grant.allows(class) {
        return Err(refuse(Lack::new(
            format!("{:?} does not include it", grant.purpose),
            "give the order that does it by name",
        )));
    }
    if let Command::Raw(text) = command {
        needs::raw_text(text, class).map_err(refuse)?;
    }
    needs::of(class).iter().try_for_each(|need| need(&asked)).map_err(refuse)
}

/// The beginning of a command, for messages.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain("...".chars()).collect()
    }
}

#[cfg(test)]
mod tests;
