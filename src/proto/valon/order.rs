//! What a synthesizer is asked, whatever the way to it, and what it answers.

use super::Synth;
use super::registers::{LEVELS_DBM, Options};
use crate::value::Value;
use std::fmt;
use thiserror::Error;

/// Channel spacing when none is given, MHz.
pub const SPACING_MHZ: f64 = 10.0;

/// An order.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Output frequency and channel spacing, MHz. A whole number stays one on the way to the board.
    SetFrequency {
        /// Which.
        synth: Synth,
        /// Int or Float.
        mhz: Value,
        /// Int or Float.
        spacing: Value,
    },
    /// What is the output frequency?
    Frequency(Synth),
    /// A text, at most 16 characters.
    SetLabel(Synth, String),
    /// What is the label?
    Label(Synth),
    /// How the reference is used.
    SetOptions(Synth, Options),
    /// How is the reference used?
    Options(Synth),
    /// Is it locked to its reference?
    PhaseLock(Synth),
    /// Take the reference from outside, or not.
    SetExternal(bool),
    /// Does the reference come from outside?
    External,
    /// Frequency of the reference, Hz.
    SetReference(u32),
    /// What is the frequency of the reference?
    Reference,
    /// Output level, dBm; only -4, -1, 2 and 5 exist.
    SetLevel(Synth, i64),
    /// What is the output level?
    Level(Synth),
    /// Limits of the VCO, MHz.
    SetVco(Synth, u16, u16),
    /// What are the limits of the VCO?
    Vco(Synth),
    /// Keep everything over a power cut.
    Flash,
}

impl Order {
    /// Can be answered without asking: a level that does not exist.
    pub fn refused_at_once(&self) -> bool {
        matches!(self, Order::SetLevel(_, dbm) if !LEVELS_DBM.contains(dbm))
    }
}

/// As it is recorded and logged.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::SetFrequency { synth, mhz, spacing } => {
                write!(f, "synthesizer {synth:?}: frequency {mhz} MHz in steps of {spacing} MHz")
            }
            Order::SetExternal(true) => f.write_str("synthesizer: reference from outside"),
            Order::SetExternal(false) => f.write_str("synthesizer: reference of its own"),
            Order::SetReference(hz) => write!(f, "synthesizer: reference {hz} Hz"),
            Order::SetLevel(synth, dbm) => write!(f, "synthesizer {synth:?}: level {dbm} dBm"),
            Order::SetVco(synth, low, high) => write!(f, "synthesizer {synth:?}: VCO {low} to {high} MHz"),
            other => write!(f, "synthesizer: {other:?}"),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done or refused; locked or not.
    Flag(bool),
    /// MHz.
    Mhz(f64),
    /// Hz, dBm, 0 or 1.
    Int(i64),
    /// Options: double, half, r, low spur; VCO: low, high.
    Ints(Vec<i64>),
    /// A label, trimmed at the right.
    Text(String),
    /// Nothing to tell.
    Done,
}

impl From<Answer> for Value {
    fn from(answer: Answer) -> Value {
        match answer {
            Answer::Flag(flag) => Value::Bool(flag),
            Answer::Mhz(mhz) => Value::Float(mhz),
            Answer::Int(n) => Value::Int(n),
            Answer::Ints(all) => Value::List(all.into_iter().map(Value::Int).collect()),
            Answer::Text(text) => Value::Str(text),
            Answer::Done => Value::Null,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SynthError {
    /// The way to it is closed.
    #[error("the synthesizer cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the synthesizer did not answer within {0} ms; is it powered, and is this its port?")]
    Timeout(u64),
    /// Its answer makes no sense.
    #[error("the synthesizer's reply makes no sense: {0}")]
    Reply(String),
    /// It cannot do this.
    #[error("{0}")]
    Impossible(String),
}
