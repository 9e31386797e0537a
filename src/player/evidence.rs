//! What a scan's proof says of the hardware, asked of the hardware itself: registers and I2C read back when it
//! begins, the synthesizer's frequency, reference and lock when it begins and when it ends.

use super::applied::{Applied, Content, hex};
use super::proof::NOT_VERIFIED;
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::proto::valon::Synth;
use crate::proto::valon::order::{Answer, Order, SynthError};
use crate::value::Value;
use std::collections::BTreeMap;

/// Registers read back, at most; the others are said to be not verified.
const REGISTERS_MAX: usize = 512;
/// Longest register read back, bytes.
const REGISTER_BYTES_MAX: u32 = 1 << 20;

/// Something that is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Content of a register.
    Register(String),
    /// Bytes of a device on the board's I2C bus.
    I2c(u8),
    /// The synthesizer.
    Synth {
        /// The question.
        order: Order,
        /// After the scan.
        at_end: bool,
    },
}

/// What was learnt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    registers: BTreeMap<String, Content>,
    i2c: BTreeMap<u8, Vec<u8>>,
    /// Phases of the mode write these as strobes: what they read as later says nothing.
    strobes: Vec<String>,
    read: BTreeMap<String, Result<String, String>>,
    i2c_read: BTreeMap<u8, Result<Vec<u8>, String>>,
    synth: [Vec<(String, Value)>; 2],
    awaited: usize,
}

impl Evidence {
    /// For a scan that begins with this in the hardware.
    pub fn of(applied: &Applied, strobes: Vec<String>) -> Evidence {
        let registers = applied.registers.clone();
        Evidence { registers, i2c: applied.i2c.clone(), strobes, ..Evidence::default() }
    }

    /// What is to be asked of the board when the scan begins.
    pub fn board_looks(&self) -> Vec<(Look, FpgaOp)> {
        let short = |(_, content): &(&String, &Content)| content.len <= REGISTER_BYTES_MAX;
        let registers = self.registers.iter().filter(short).take(REGISTERS_MAX).map(|(name, content)| {
            let op = FpgaOp::Read { register: name.clone(), offset: 0, len: content.len };
            (Look::Register(name.clone()), op)
        });
        let i2c = self.i2c.iter().filter_map(|(address, data)| {
            let op = FpgaOp::I2cRead { address: *address, len: u8::try_from(data.len()).ok()? };
            Some((Look::I2c(*address), op))
        });
        registers.chain(i2c).collect()
    }

    /// What is to be asked of the synthesizer.
    pub fn synth_looks(at_end: bool) -> Vec<Look> {
        let orders =
            [Order::Frequency(Synth::A), Order::External, Order::Reference, Order::PhaseLock(Synth::A)];
        orders.into_iter().map(|order| Look::Synth { order, at_end }).collect()
    }

    /// So many questions have been asked.
    pub fn asked(&mut self, looks: usize) {
        self.awaited += looks;
    }

    /// Questions without an answer.
    pub fn awaited(&self) -> usize {
        self.awaited
    }

    /// The board's answer.
    pub fn board_said(&mut self, look: &Look, result: Result<FpgaReply, FpgaError>) {
        self.awaited = self.awaited.saturating_sub(1);
        let bytes = match result {
            Ok(FpgaReply::Bytes(bytes)) => Ok(bytes),
            Ok(_) => Err("the answer has no bytes".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match look {
            Look::Register(name) => {
                self.read.insert(name.clone(), bytes.map(|b| Content::of(&b).text));
            }
            Look::I2c(address) => drop(self.i2c_read.insert(*address, bytes)),
            Look::Synth { .. } => {}
        }
    }

    /// The synthesizer's answer.
    pub fn synth_said(&mut self, look: &Look, result: Result<Answer, SynthError>) {
        self.awaited = self.awaited.saturating_sub(1);
        let Look::Synth { order, at_end } = look else { return };
        let name = match order {
            Order::Frequency(_) => "frequency_mhz",
            Order::External => "external_reference",
            Order::Reference => "reference_hz",
            _ => "locked",
        };
        let value = result.map_or_else(|why| Value::Str(format!("{NOT_VERIFIED}: {why}")), Value::from);
        self.synth[usize::from(*at_end)].push((name.to_owned(), value));
    }

    /// What does not read as it was written, in words.
    pub fn contradictions(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, read) in &self.read {
            if let (Some(written), Ok(read)) = (self.registers.get(name), read)
                && written.text != *read
                && !self.strobes.contains(name)
            {
                all.push(format!("register {name} reads {read}, and {} was written", written.text));
            }
        }
        for (address, read) in &self.i2c_read {
            if let (Some(written), Ok(read)) = (self.i2c.get(address), read)
                && written != read
            {
                all.push(format!("I2C {address:#04x} reads {}, and {} was written", hex(read), hex(written)));
            }
        }
        for (when, synth) in ["start", "end"].iter().zip(&self.synth) {
            if synth.iter().any(|(name, value)| name == "locked" && *value == Value::Bool(false)) {
                all.push(format!("the synthesizer is not locked at the {when}"));
            }
        }
        all
    }

    /// `{"registers": .., "i2c": .., "synthesizer": {"start": .., "end": ..}, "contradictions": [..]}`
    pub fn to_value(&self) -> Value {
        let not = |why: &String| Value::Str(format!("{NOT_VERIFIED}: {why}"));
        let registers = self.registers.keys().map(|name| {
            let read = match self.read.get(name) {
                Some(Ok(text)) => text.as_str().into(),
                Some(Err(why)) => not(why),
                None => NOT_VERIFIED.into(),
            };
            (name.clone(), read)
        });
        let i2c = self.i2c.iter().map(|(address, requested)| {
            let read = match self.i2c_read.get(address) {
                Some(Ok(data)) => hex(data).into(),
                Some(Err(why)) => not(why),
                None => NOT_VERIFIED.into(),
            };
            let members = vec![("requested".to_owned(), hex(requested).into()), ("read".to_owned(), read)];
            (format!("{address:#04x}"), Value::Map(members))
        });
        let synth = |all: &Vec<(String, Value)>| match all.is_empty() {
            true => NOT_VERIFIED.into(),
            false => Value::Map(all.clone()),
        };
        let synth =
            vec![("start".to_owned(), synth(&self.synth[0])), ("end".to_owned(), synth(&self.synth[1]))];
        Value::Map(vec![
            ("registers".to_owned(), Value::Map(registers.collect())),
            ("i2c".to_owned(), Value::Map(i2c.collect())),
            ("synthesizer".to_owned(), Value::Map(synth)),
            (
                "contradictions".to_owned(),
                Value::List(self.contradictions().into_iter().map(Value::Str).collect()),
            ),
        ])
    }
}
