//! What plans have brought to the hardware and to the status memory, as far as this process knows, and how a
//! further plan would change it.
//!
//! Only what was confirmed is kept. What is not here is unknown, never 0.

use crate::fpga::FpgaOp;
use crate::plan::{Plan, Step};
use crate::value::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Content of a register from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// A word as `0x0000002a`, more as `4096 bytes, sha256 ..`.
    pub text: String,
    /// Bytes.
    pub len: u32,
}

impl Content {
    /// Of these bytes, most significant first.
    pub fn of(data: &[u8]) -> Content {
        let text = match <[u8; 4]>::try_from(data) {
            Ok(word) => format!("0x{:08x}", u32::from_be_bytes(word)),
            Err(_) => format!("{} bytes, sha256 {}", data.len(), sha256(data)),
        };
        Content { text, len: u32::try_from(data.len()).unwrap_or(u32::MAX) }
    }
}

/// Sum of bytes in hexadecimal digits.
pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|b| format!("{b:02x}")).collect()
}

/// What was applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Registers.
    pub registers: BTreeMap<String, Content>,
    /// Status keys.
    pub status: BTreeMap<String, String>,
    /// Bytes written last to an address of the board's I2C bus.
    pub i2c: BTreeMap<u8, Vec<u8>>,
    /// Frequency of the synthesizer's channel A (0) or B (8), MHz.
    pub synth_mhz: BTreeMap<u8, f64>,
    /// The parameters that were prepared last.
    pub parameters: Option<Vec<(String, Value)>>,
}

impl Applied {
    /// What this plan alone would bring.
    pub fn by(plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        applied.keep(plan);
        applied
    }

    /// This plan has been carried out.
    pub fn keep(&mut self, plan: &Plan) {
        for (_, step) in plan.steps() {
            match step {
                Step::SetRegister { register, value } => {
                    self.registers.insert(register.clone(), Content::of(&value.to_be_bytes()));
                }
                Step::Fpga(FpgaOp::Write { register, offset: 0, data, .. }) => {
                    self.registers.insert(register.clone(), Content::of(data));
                }
                Step::Fpga(FpgaOp::Write { register, .. }) => drop(self.registers.remove(register)),
                Step::Fpga(FpgaOp::Program { .. }) => self.registers.clear(),
                Step::Fpga(FpgaOp::I2cWrite { address, data }) => {
                    self.i2c.insert(*address, data.clone());
                }
                Step::SynthFrequency { channel, mhz } => drop(self.synth_mhz.insert(*channel, *mhz)),
                Step::Status(pairs) => self.status.extend(pairs.iter().cloned()),
                Step::ClearStatus => self.status.clear(),
                _ => {}
            }
        }
    }

    /// This plan has ended part-way: what it would have changed is not known any more.
    pub fn doubt(&mut self, plan: &Plan) {
        let touched = Applied::by(plan);
        self.registers.retain(|name, _| !touched.registers.contains_key(name));
        self.status.retain(|key, _| !touched.status.contains_key(key));
        self.i2c.retain(|address, _| !touched.i2c.contains_key(address));
        self.synth_mhz.retain(|channel, _| !touched.synth_mhz.contains_key(channel));
        self.parameters = None;
    }

    /// An order beside the plans: what it may change is not known any more.
    pub fn touched(&mut self, op: &FpgaOp) {
        match op {
            FpgaOp::Write { register, .. } => drop(self.registers.remove(register)),
            FpgaOp::Program { .. } => self.registers.clear(),
            FpgaOp::I2cWrite { address, .. } => drop(self.i2c.remove(address)),
            FpgaOp::WriteChanged { words, blobs } => {
                let names = words.iter().map(|(name, _)| name).chain(blobs.iter().map(|(name, _)| name));
                for name in names {
                    self.registers.remove(name);
                }
            }
            _ => {}
        }
    }

    /// What would be different after `wanted`: status keys, then I2C, synthesizer, registers, each by name.
    pub fn differences(&self, wanted: &Applied) -> Vec<Difference> {
        let mut all = Vec::new();
        let mut differ = |what, name: String, known: Option<String>, wanted: String| {
            if known.as_ref() != Some(&wanted) {
                all.push(Difference { what, name, known, wanted });
            }
        };
        for (key, value) in &wanted.status {
            differ("status", key.clone(), self.status.get(key).cloned(), value.clone());
        }
        for (address, data) in &wanted.i2c {
            differ("i2c", format!("{address:#04x}"), self.i2c.get(address).map(|d| hex(d)), hex(data));
        }
        for (channel, mhz) in &wanted.synth_mhz {
            let name = if *channel == 0 { "A" } else { "B" };
            let text = |mhz: &f64| format!("{mhz} MHz");
            differ("synthesizer", name.into(), self.synth_mhz.get(channel).map(text), text(mhz));
        }
        for (register, content) in &wanted.registers {
            let known = self.registers.get(register).map(|c| c.text.clone());
            differ("register", register.clone(), known, content.text.clone());
        }
        all
    }
}

/// `0x09 0x0a`
pub fn hex(data: &[u8]) -> String {
    data.iter().map(|b| format!("{b:#04x}")).collect::<Vec<_>>().join(" ")
}

/// Something that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `register`, `status`, `i2c` or `synthesizer`.
    pub what: &'static str,
    /// Which.
    pub name: String,
    /// What it is; `None`: not known.
    pub known: Option<String>,
    /// What it would be.
    pub wanted: String,
}

impl Difference {
    /// `{"what", "name", "now": text or null, "then": text}`.
    pub fn to_value(&self) -> Value {
        let now = self.known.as_deref().map_or(Value::Null, Value::from);
        let members = [
            ("what", self.what.into()),
            ("name", self.name.as_str().into()),
            ("now", now),
            ("then", self.wanted.as_str().into()),
        ];
        Value::Map(members.map(|(k, v)| (k.to_owned(), v)).to_vec())
    }
}

/// `register exposure: 0x00000001 -> 0x00000002`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.as_deref().unwrap_or("not known");
        write!(f, "{} {}: {known} -> {}", self.what, self.name, self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Phase;

    fn plan(steps: Vec<Step>) -> Plan {
        let mut plan = Plan::new("test");
        plan.push(Phase::strict("all", steps));
        plan
    }

    fn set(register: &str, value: u32) -> Step {
        Step::SetRegister { register: register.into(), value }
    }

    #[test]
    fn only_what_differs_is_told_and_the_unknown_differs() {
        let mut known = Applied::by(&plan(vec![
            set("a", 1),
            set("b", 2),
            Step::Status(vec![("OBSERVER".into(), "Grace".into())]),
        ]));
        let wanted = Applied::by(&plan(vec![
            set("a", 1),
            set("b", 3),
            set("c", 4),
            Step::Status(vec![("OBSERVER".into(), "Grace".into()), ("SRC_NAME".into(), "M31".into())]),
            Step::Fpga(FpgaOp::I2cWrite { address: 0x38, data: vec![9] }),
        ]));
        let lines: Vec<String> = known.differences(&wanted).iter().map(Difference::to_string).collect();
        let expected = [
            "status SRC_NAME: not known -> M31",
            "i2c 0x38: not known -> 0x09",
            "register b: 0x00000002 -> 0x00000003",
            "register c: not known -> 0x00000004",
        ];
        assert_eq!(lines, expected);
        known.touched(&FpgaOp::Write { register: "a".into(), offset: 0, data: vec![0; 4], verify: true });
        assert!(known.differences(&wanted).iter().any(|d| d.name == "a" && d.known.is_none()));
    }

    #[test]
    fn after_a_failure_nothing_it_touched_is_known() {
        let mut known = Applied::by(&plan(vec![set("a", 1), set("b", 2)]));
        known.doubt(&plan(vec![set("b", 5)]));
        assert_eq!(known, Applied::by(&plan(vec![set("a", 1)])));
        known.keep(&plan(vec![Step::Fpga(FpgaOp::Program { image: None })]));
        assert_eq!(known, Applied::default());
    }
}
