//! One order as a list of requests: what has to be read first, then the write or the answer.

use crate::proto::valon::order::{Answer, Order, SPACING_MHZ, SynthError};
use crate::proto::valon::registers::{Options, Registers};
use crate::proto::valon::tuning::{Tuning, detector_mhz};
use crate::proto::valon::{EXTERNAL, LABEL, Reply, Request, Synth};
use std::collections::VecDeque;

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Send this.
    Ask(Request),
    /// The order is carried out.
    Done(Answer),
}

/// An order at work.
#[derive(Debug)]
pub struct Exchange {
    order: Order,
    reads: VecDeque<Request>,
    known: Known,
}

/// What has been read.
#[derive(Debug, Default)]
struct Known {
    registers: Registers,
    options: Options,
    reference_hz: u32,
    vco: (u16, u16),
}

impl Exchange {
    /// Begins an order.
    pub fn new(order: Order) -> Exchange {
        let reads = reads(&order).into();
        Exchange { order, reads, known: Known::default() }
    }

    /// The first request, or the answer if none is needed.
    ///
    /// # Errors
    /// The order cannot be carried out.
    pub fn first(&mut self) -> Result<Next, SynthError> {
        match self.reads.pop_front() {
            Some(request) => Ok(Next::Ask(request)),
            None => self.write(),
        }
    }

    /// A reply has come.
    ///
    /// # Errors
    /// The order cannot be carried out.
    pub fn next(&mut self, reply: Reply) -> Result<Next, SynthError> {
        match reply {
            Reply::Written(done) => return Ok(Next::Done(Answer::Flag(done))),
            Reply::Registers(registers) => {
                self.known.registers = registers;
                self.known.options = registers.options();
            }
            Reply::Reference(hz) => self.known.reference_hz = hz,
            Reply::Vco(low, high) => self.known.vco = (low, high),
            Reply::Status(byte) => return Ok(Next::Done(status(&self.order, byte))),
            Reply::Label(label) => return Ok(Next::Done(Answer::Text(text_of(&label)))),
        }
        match self.reads.pop_front() {
            Some(request) => Ok(Next::Ask(request)),
            None => self.write(),
        }
    }

    /// Everything is read: the write, or the answer of an order that only asks.
    fn write(&self) -> Result<Next, SynthError> {
        let known = &self.known;
        Ok(match &self.order {
            Order::SetFrequency { synth, mhz, spacing } => {
                let (mhz, spacing) = (mhz.as_f64().unwrap_or(0.0), spacing.as_f64().unwrap_or(SPACING_MHZ));
                let tuning = Tuning::of(mhz, spacing, known.reference_hz, &known.options, known.vco);
                let tuning = tuning.map_err(|e| SynthError::Impossible(e.to_string()))?;
                Next::Ask(Request::SetRegisters(*synth, known.registers.with_tuning(&tuning)))
            }
            Order::SetOptions(synth, options) => {
                Next::Ask(Request::SetRegisters(*synth, known.registers.with_options(options)))
            }
            Order::SetLevel(synth, dbm) => match known.registers.with_level_dbm(*dbm) {
                Some(registers) => Next::Ask(Request::SetRegisters(*synth, registers)),
                None => Next::Done(Answer::Flag(false)),
            },
            Order::SetLabel(synth, text) => Next::Ask(Request::SetLabel(*synth, label_of(text))),
            Order::SetExternal(external) => Next::Ask(Request::SetExternal(*external)),
            Order::SetReference(hz) => Next::Ask(Request::SetReference(*hz)),
            Order::SetVco(synth, low, high) => Next::Ask(Request::SetVco(*synth, *low, *high)),
            Order::Flash => Next::Ask(Request::Flash),
            _ => Next::Done(self.answer()),
        })
    }

    fn answer(&self) -> Answer {
        let known = &self.known;
        let options = &known.options;
        match &self.order {
            Order::Frequency(_) => {
                Answer::Mhz(known.registers.tuning().mhz(detector_mhz(known.reference_hz, options)))
            }
            Order::Options(_) => Answer::Ints(vec![
                i64::from(options.double),
                i64::from(options.half),
                i64::from(options.r),
                i64::from(options.low_spur),
            ]),
            Order::Level(_) => Answer::Int(known.registers.level_dbm()),
            Order::Reference => Answer::Int(i64::from(known.reference_hz)),
            Order::Vco(_) => Answer::Ints(vec![i64::from(known.vco.0), i64::from(known.vco.1)]),
            _ => Answer::Done,
        }
    }
}

/// What must be known, in the order of the synthesizer's own control program.
fn reads(order: &Order) -> Vec<Request> {
    use Request::{Label, Reference, Registers, Status, Vco};
    match order {
        order if order.refused_at_once() => vec![],
        Order::SetFrequency { synth: s, .. } => vec![Vco(*s), Reference, Registers(*s), Registers(*s)],
        Order::Frequency(s) => vec![Registers(*s), Reference, Registers(*s)],
        Order::SetOptions(s, _) | Order::Options(s) | Order::SetLevel(s, _) | Order::Level(s) => {
            vec![Registers(*s)]
        }
        Order::Label(s) => vec![Label(*s)],
        Order::PhaseLock(s) => vec![Status(*s)],
        Order::External => vec![Status(Synth::A)],
        Order::Reference => vec![Reference],
        Order::Vco(s) => vec![Vco(*s)],
        _ => vec![],
    }
}

fn status(order: &Order, byte: u8) -> Answer {
    match order {
        Order::PhaseLock(synth) => Answer::Flag(byte & synth.lock_bit() != 0),
        _ => Answer::Int(i64::from(byte & EXTERNAL)),
    }
}

/// Zeros and blanks at the right are padding.
fn text_of(label: &[u8; LABEL]) -> String {
    let text: String = label.iter().map(|b| char::from(*b)).collect();
    text.trim_end_matches(['\0', ' ']).to_owned()
}

/// Cut to its length; a character above U+00FF becomes a question mark.
fn label_of(text: &str) -> [u8; LABEL] {
    let mut label = [0; LABEL];
    for (byte, c) in label.iter_mut().zip(text.chars()) {
        *byte = u8::try_from(u32::from(c)).unwrap_or(b'?');
    }
    label
}
