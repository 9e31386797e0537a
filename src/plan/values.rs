//! Steps as values, for programs that want to look at a plan before it is run.

use super::{Plan, Step};
use crate::fpga::FpgaOp;
use crate::value::Value;

impl Plan {
    /// Every step as an object: `phase`, `do` (what kind of step), `text` (as it is printed and recorded), and what
    /// the kind has: `register` and `value`, `keys`, `seconds`, ...
    pub fn steps_value(&self) -> Value {
        let step = |(phase, step): (&'static str, &Step)| {
            let mut all =
                vec![("phase".to_owned(), Value::from(phase)), ("do".to_owned(), kind(step).into())];
            all.extend(details(step));
            all.push(("text".into(), step.to_string().into()));
            Value::Map(all)
        };
        Value::List(self.steps().map(step).collect())
    }
}

/// What kind of step it is, in a word.
fn kind(step: &Step) -> &'static str {
    match step {
        Step::Fpga(op) => match op {
            FpgaOp::Write { .. } => "write_register",
            FpgaOp::Program { image: Some(_) } => "program",
            FpgaOp::Program { image: None } => "deprogram",
            FpgaOp::TapStart { .. } => "start_core",
            FpgaOp::SetArp { .. } => "set_arp",
            FpgaOp::I2cWrite { .. } => "i2c_write",
            _ => "board",
        },
        Step::SetRegister { .. } => "set_register",
        Step::SynthFrequency { .. } => "synthesizer",
        Step::Wait(_) | Step::WaitUntil(_) => "wait",
        Step::ClearStatus => "clear_status",
        Step::DataBuffers { .. } => "data_buffers",
        Step::Status(_) => "status",
        Step::WaitStatus { .. } | Step::WaitChange { .. } => "wait_status",
        Step::Run { .. } => "run",
        Step::StartChild(_) => "start_program",
        Step::StopChild(_) => "stop_program",
        Step::Command { .. } => "command",
    }
}

fn details(step: &Step) -> Vec<(String, Value)> {
    let pairs = |all: Vec<(&str, Value)>| all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    match step {
        Step::SetRegister { register, value } => {
            pairs(vec![("register", register.as_str().into()), ("value", Value::Int(i64::from(*value)))])
        }
        Step::Fpga(FpgaOp::Write { register, offset, data, .. }) => {
            let value = match <[u8; 4]>::try_from(data.as_slice()) {
                Ok(word) => Value::Int(i64::from(u32::from_be_bytes(word))),
                Err(_) => Value::Null,
            };
            pairs(vec![
                ("register", register.as_str().into()),
                ("offset", Value::Int(i64::from(*offset))),
                ("bytes", Value::Int(data.len() as i64)),
                ("value", value),
            ])
        }
        Step::Fpga(FpgaOp::I2cWrite { address, data }) => pairs(vec![
            ("address", Value::Int(i64::from(*address))),
            ("bytes", Value::List(data.iter().map(|b| Value::Int(i64::from(*b))).collect())),
        ]),
        Step::SynthFrequency { channel, mhz } => {
            pairs(vec![("channel", Value::Int(i64::from(*channel))), ("mhz", Value::Float(*mhz))])
        }
        Step::Status(keys) => {
            let keys = keys.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
            pairs(vec![("keys", Value::Map(keys))])
        }
        Step::DataBuffers { program, wanted } => {
            pairs(vec![("program", program.as_str().into()), ("wanted", wanted.as_str().into())])
        }
        Step::Run { command, within } => pairs(vec![
            ("command", Value::List(command.iter().map(|word| word.as_str().into()).collect())),
            ("seconds", Value::Float(within.as_secs_f64())),
        ]),
        Step::WaitStatus { key, within, .. } | Step::WaitChange { key, within } => {
            pairs(vec![("key", key.as_str().into()), ("seconds", Value::Float(within.as_secs_f64()))])
        }
        Step::Wait(d) => pairs(vec![("seconds", Value::Float(d.as_secs_f64()))]),
        _ => Vec::new(),
    }
}
