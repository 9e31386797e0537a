//! A hardware procedure as data.
//!
//! A [`Plan`] is a finite, straight list of steps in named phases: no branches, no loops, no
//! streaming. The same value is run by [`runner::Runner`], printed (`appliance plan`), recorded, and
//! asserted on in tests. Scans and mode changes are state machines that run plans.
//!
//! Phases are [`Order::Strict`] (each step completes before the next begins: arm, reset) or
//! [`Order::Any`] (all steps are submitted together and may overlap: a register flush).

pub mod runner;
mod values;

use crate::fpga::FpgaOp;
use crate::units::Utc;
use crate::value::Value;
use std::fmt;
use std::time::Duration;

/// A supervised child program of the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Child {
    /// The data acquisition (HPC) program.
    Daq,
    /// The FITS writer of a site's VEGAS installation.
    FitsWriter,
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Child::Daq => "DAQ program",
            Child::FitsWriter => "FITS writer",
        })
    }
}

/// One thing done to the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// An FPGA operation as it stands.
    Fpga(FpgaOp),
    /// Read a 32-bit register, write it only if it differs, verify.
    SetRegister {
        /// Register name.
        register: String,
        /// Wanted value.
        value: u32,
    },
    /// Set the frequency of a synthesizer channel and wait for its lock, within a second; that it does not lock is
    /// only warned about.
    SynthFrequency {
        /// 0 = A, 8 = B.
        channel: u8,
        /// Output frequency, MHz.
        mhz: f64,
    },
    /// Let time pass, counted from the completion of the step before.
    Wait(Duration),
    /// Wait for a moment of the wall clock; fails if it has already passed.
    WaitUntil(Utc),
    /// Empty the status memory.
    ClearStatus,
    /// Make the data buffers a program wants, if there are others; nobody may be attached then.
    DataBuffers {
        /// Of which program.
        program: String,
        /// What it wants, in words.
        wanted: String,
    },
    /// Write status keys, all under one lock.
    Status(Vec<(String, String)>),
    /// Poll a status key until it has a value.
    WaitStatus {
        /// Key.
        key: String,
        /// Wanted text.
        value: String,
        /// Longest wait.
        within: Duration,
    },
    /// Poll a status key until it has another value than at the first look: a heartbeat.
    WaitChange {
        /// Key.
        key: String,
        /// Longest wait.
        within: Duration,
    },
    /// Run a helper program of the site to its end, without a shell; fails unless that is exit status 0.
    Run {
        /// The program and its arguments.
        command: Vec<String>,
        /// Longest run; it is killed then.
        within: Duration,
    },
    /// Start a child program (nothing to do if it runs).
    StartChild(Child),
    /// Stop a child program in order and wait for its end (nothing to do if it does not run).
    StopChild(Child),
    /// One line to a child's standard input.
    Command {
        /// Which child.
        child: Child,
        /// The line, without its end.
        line: String,
    },
}

/// Whether the steps of a phase may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, each verified before the next begins.
    Strict,
    /// Submitted together; the phase ends when all have ended, and reports every failure.
    Any,
}

/// What a failing step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The plan ends here with the error.
    Abort,
    /// The failure is kept as a warning and the plan goes on.
    Warn,
}

/// A named group of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Name as it appears in errors (`net_config`, `arm`).
    pub name: &'static str,
    /// May steps overlap?
    pub order: Order,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Phase {
    /// A phase whose steps run one after the other.
    pub fn strict(name: &'static str, steps: Vec<Step>) -> Phase {
        Phase { name, order: Order::Strict, on_failure: OnFailure::Abort, steps }
    }
    /// A phase whose steps may overlap.
    pub fn any(name: &'static str, steps: Vec<Step>) -> Phase {
        Phase { name, order: Order::Any, on_failure: OnFailure::Abort, steps }
    }
    /// The same phase, its failures only warned about.
    pub fn or_warn(mut self) -> Phase {
        self.on_failure = OnFailure::Warn;
        self
    }
}

/// A procedure.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// What it is for, e.g. `set_mode(MODE1)`.
    pub title: String,
    /// Phases in order; empty phases are allowed and do nothing.
    pub phases: Vec<Phase>,
}

impl Plan {
    /// An empty plan.
    pub fn new(title: impl Into<String>) -> Plan {
        Plan { title: title.into(), phases: Vec::new() }
    }
    /// Appends a phase unless it is empty.
    pub fn push(&mut self, phase: Phase) {
        if !phase.steps.is_empty() {
            self.phases.push(phase);
        }
    }
    /// All steps with their phase.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, &Step)> {
        self.phases.iter().flat_map(|p| p.steps.iter().map(move |s| (p.name, s)))
    }
    /// As a value: `{"title": .., "phases": [{"name", "order", "on_failure", "steps": [text, ..]}]}`.
    pub fn to_value(&self) -> Value {
        let phases = self.phases.iter().map(|p| {
            Value::Map(vec![
                ("name".into(), p.name.into()),
                ("order".into(), if p.order == Order::Strict { "strict" } else { "any" }.into()),
                ("on_failure".into(), if p.on_failure == OnFailure::Abort { "abort" } else { "warn" }.into()),
                ("steps".into(), Value::List(p.steps.iter().map(|s| s.to_string().into()).collect())),
            ])
        });
        Value::Map(vec![
            ("title".into(), self.title.clone().into()),
            ("phases".into(), Value::List(phases.collect())),
        ])
    }
}

/// One line a step, grouped by phase.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for p in &self.phases {
            let order = if p.order == Order::Any { " (in any order)" } else { "" };
            let failure = if p.on_failure == OnFailure::Warn { " (failures are warnings)" } else { "" };
            writeln!(f, "  {}{order}{failure}", p.name)?;
            for s in &p.steps {
                match s {
                    Step::Status(pairs) if pairs.len() > 1 => {
                        writeln!(f, "    status")?;
                        for (k, v) in pairs {
                            writeln!(f, "      {k:<9} = {v}")?;
                        }
                    }
                    s => writeln!(f, "    {s}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Fpga(op) => write!(f, "{}", OpText(op)),
            Step::SetRegister { register, value } => {
                write!(f, "set register {register} = {value} ({value:#x})")
            }
            Step::SynthFrequency { channel, mhz } => {
                let name = if *channel == 0 { 'A' } else { 'B' };
                write!(f, "synthesizer {name} to {mhz} MHz")
            }
            Step::Wait(d) => write!(f, "wait {} s", d.as_secs_f64()),
            Step::WaitUntil(t) => write!(f, "wait until {t} UTC"),
            Step::ClearStatus => f.write_str("clear status memory"),
            Step::DataBuffers { program, wanted } => write!(f, "make sure {program} finds {wanted}"),
            Step::Status(pairs) => {
                f.write_str("status")?;
                pairs.iter().try_for_each(|(k, v)| write!(f, " {k}={v}"))
            }
            Step::WaitStatus { key, value, within } => {
                write!(f, "wait for {key}={value}, at most {} s", within.as_secs_f64())
            }
            Step::WaitChange { key, within } => {
                write!(f, "wait for a change of {key}, at most {} s", within.as_secs_f64())
            }
            Step::Run { command, within } => {
                write!(f, "run '{}', at most {} s", command.join(" "), within.as_secs_f64())
            }
            Step::StartChild(c) => write!(f, "start {c}"),
            Step::StopChild(c) => write!(f, "stop {c}"),
            Step::Command { child, line } => write!(f, "'{line}' to {child}"),
        }
    }
}

/// An FPGA operation in words.
struct OpText<'a>(&'a FpgaOp);

impl fmt::Display for OpText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FpgaOp::Program { image: Some(image) } => write!(f, "program FPGA with {image}"),
            FpgaOp::Program { image: None } => f.write_str("deprogram FPGA"),
            FpgaOp::ListDev => f.write_str("list the registers of the design"),
            FpgaOp::Write { register, offset, data, .. } if data.len() == 4 && *offset == 0 => {
                let word = u32::from_be_bytes([data[0], data[1], data[2], data[3]]);
                write!(f, "write register {register} = {word} ({word:#x})")
            }
            FpgaOp::Write { register, offset, data, .. } => {
                write!(f, "write {} bytes to register {register} at offset {offset}", data.len())
            }
            FpgaOp::Read { register, offset, len } => {
                write!(f, "read {len} bytes of register {register} at offset {offset}")
            }
            FpgaOp::TapStart { tap, device, mac, ip, port } => {
                write!(f, "start 10 GbE core {device} as {tap}: {ip}:{port}, MAC {}", MacText(*mac))
            }
            FpgaOp::SetArp { device, entries } => {
                write!(f, "ARP table of {device}:")?;
                entries.iter().try_for_each(|(octet, mac)| write!(f, " .{octet}={}", MacText(*mac)))
            }
            FpgaOp::I2cWrite { address, data } => {
                write!(f, "I2C write to {address:#04x}:")?;
                data.iter().try_for_each(|b| write!(f, " {b:#04x}"))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

struct MacText(u64);

impl fmt::Display for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0.to_be_bytes();
        write!(f, "{:02X}:{:02X}:{:02X}:{:02X}:{:02X}:{:02X}", b[2], b[3], b[4], b[5], b[6], b[7])
    }
}
