//! Orders to a synthesizer behind the board's serial port, as requests of the board's server.
//!
//! Replies give the name of the synthesizer before its values, or not: servers differ. The values are the last
//! arguments either way.

use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::proto::valon::Synth;
use crate::proto::valon::order::{Answer, Order, SynthError};
use crate::value::Value;

/// Which serial port of the board the synthesizer hangs on.
pub fn port(port: &str) -> FpgaOp {
    raw("valon-new-port", vec![port.to_owned()])
}

/// The request of an order.
pub fn request(order: &Order) -> FpgaOp {
    let of = |synth: &Synth| vec![name(*synth)];
    let with = |synth: &Synth, values: Vec<String>| [of(synth), values].concat();
    let bit = |flag: bool| i32::from(flag).to_string();
    match order {
        Order::SetFrequency { synth, mhz, spacing } => {
            raw("valon-set-frequency", with(synth, vec![number(mhz), number(spacing)]))
        }
        Order::Frequency(s) => raw("valon-get-frequency", of(s)),
        Order::SetLabel(s, text) => raw("valon-set-label", with(s, vec![text.clone()])),
        Order::Label(s) => raw("valon-get-label", of(s)),
        Order::SetOptions(s, o) => {
            let values = vec![bit(o.low_spur), bit(o.double), bit(o.half), o.r.to_string()];
            raw("valon-set-options", with(s, values))
        }
        Order::Options(s) => raw("valon-get-options", of(s)),
        Order::PhaseLock(s) => raw("valon-get-phase-lock", of(s)),
        Order::SetExternal(external) => raw("valon-set-ref-select", vec![bit(*external)]),
        Order::External => raw("valon-get-ref-select", vec![]),
        Order::SetReference(hz) => raw("valon-set-reference", vec![hz.to_string()]),
        Order::Reference => raw("valon-get-reference", vec![]),
        Order::SetLevel(s, dbm) => raw("valon-set-rf-level", with(s, vec![dbm.to_string()])),
        Order::Level(s) => raw("valon-get-rf-level", of(s)),
        Order::SetVco(s, low, high) => {
            raw("valon-set-vco-range", with(s, vec![low.to_string(), high.to_string()]))
        }
        Order::Vco(s) => raw("valon-get-vco-range", of(s)),
        Order::Flash => raw("valon-flash", vec![]),
    }
}

/// What a reply means. A setting that is refused is an answer (false), a question that is refused an error.
///
/// # Errors
/// No reply, or one without the values.
pub fn answer(order: &Order, reply: Result<FpgaReply, FpgaError>) -> Result<Answer, SynthError> {
    let values = match reply {
        Ok(FpgaReply::Raw { args, .. }) => args,
        Ok(_) => Vec::new(),
        Err(error @ FpgaError::Rejected { .. }) if sets(order) => {
            log::warn!("{order}: {error}");
            return Ok(Answer::Flag(false));
        }
        Err(FpgaError::Timeout { waited_ms, .. }) => return Err(SynthError::Timeout(waited_ms)),
        Err(error @ FpgaError::NotConnected { .. }) => {
            return Err(SynthError::Unreachable(error.to_string()));
        }
        Err(error) => return Err(SynthError::Reply(error.to_string())),
    };
    if sets(order) {
        return Ok(Answer::Flag(true));
    }
    understood(order, &values).ok_or_else(|| {
        SynthError::Reply(format!("{order}: {:?}", values.iter().map(|v| text(v)).collect::<Vec<_>>()))
    })
}

fn understood(order: &Order, values: &[Vec<u8>]) -> Option<Answer> {
    let last = |n: usize| values.len().checked_sub(n).map(|from| &values[from..]);
    let one = || last(1).map(|v| text(&v[0]));
    Some(match order {
        Order::Flash => Answer::Done,
        Order::Frequency(_) => Answer::Mhz(one()?.trim().parse().ok().filter(|mhz: &f64| mhz.is_finite())?),
        Order::Label(_) => Answer::Text(one()?.trim_end_matches(['\0', ' ']).to_owned()),
        Order::PhaseLock(_) => Answer::Flag(int(&one()?)? == 1),
        Order::Options(_) => {
            let all = last(4)?.iter().map(|v| int(&text(v))).collect::<Option<Vec<_>>>()?;
            Answer::Ints(vec![all[1], all[2], all[3], all[0]])
        }
        Order::Vco(_) => Answer::Ints(last(2)?.iter().map(|v| int(&text(v))).collect::<Option<_>>()?),
        _ => Answer::Int(int(&one()?)?),
    })
}

fn sets(order: &Order) -> bool {
    matches!(
        order,
        Order::SetFrequency { .. }
            | Order::SetLabel(..)
            | Order::SetOptions(..)
            | Order::SetExternal(_)
            | Order::SetReference(_)
            | Order::SetLevel(..)
            | Order::SetVco(..)
    )
}

fn name(synth: Synth) -> String {
    if synth == Synth::A { "synth_a".into() } else { "synth_b".into() }
}

fn raw(name: &str, args: Vec<String>) -> FpgaOp {
    FpgaOp::Raw { name: name.to_owned(), args: args.into_iter().map(String::into_bytes).collect() }
}

/// A whole number stays one; others in the shortest form that reads back, with a point.
fn number(value: &Value) -> String {
    match value {
        Value::Float(x) => format!("{x:?}"),
        other => other.to_string(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Some servers write whole numbers with a point.
fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    })
}
