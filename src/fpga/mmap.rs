//! Registers in the address space: no server in between.
//!
//! Accesses are memory accesses and happen in `submit`; what is long goes on in bounded pieces, one
//! a [`MmapFpga::tick`]. Opening touches files: [`MmapFpga::take_opening`] says when it is wanted, the
//! owner has it done elsewhere and reports [`MmapFpga::opened`]. Refusals read as those of a board's
//! KATCP server, so that a caller cannot tell the difference.

mod address;
mod task;
#[cfg(test)]
mod tests;
mod window;

pub use address::{MmapAddress, Probe, SCHEME};
pub use window::Window;

use super::{Fpga, FpgaError, FpgaOp, FpgaReply, OpId};
use crate::proto::katcp::{Kind, Message, printable};
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;
use task::{PIECE, Task};

/// Most operations waiting for a long one.
pub const MAX_WAITING: usize = 4096;
/// Between two tries to open the device.
pub const RETRY: Duration = Duration::from_secs(5);
/// Most bytes of a request shown in an error text.
const QUOTE: usize = 240;
/// What an operation without bytes counts in a turn.
const SMALL: usize = 64;

/// Byte order of a device's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Most significant byte at the lowest address.
    Big,
    /// Least significant byte at the lowest address.
    Little,
}

/// Whether the device is open.
#[derive(Debug)]
enum State {
    /// To be opened, not before the time given.
    Closed {
        until: Mono,
        why: String,
    },
    /// Somebody opens it.
    Opening {
        why: String,
    },
    Open(Box<Window>),
}

/// The backend.
#[derive(Debug)]
pub struct MmapFpga {
    address: MmapAddress,
    state: State,
    last_op: u64,
    waiting: VecDeque<(OpId, FpgaOp)>,
    running: Option<Task>,
    done: VecDeque<(OpId, Result<FpgaReply, FpgaError>)>,
}

impl MmapFpga {
    /// A backend whose device is not open yet.
    pub fn new(address: MmapAddress) -> MmapFpga {
        MmapFpga {
            address,
            state: State::Closed { until: Mono(0), why: "not opened yet".into() },
            last_op: 0,
            waiting: VecDeque::new(),
            running: None,
            done: VecDeque::new(),
        }
    }

    /// The device.
    pub fn address(&self) -> &MmapAddress {
        &self.address
    }

    /// The open device; or why it is not open.
    pub fn device(&self) -> Result<&Window, &str> {
        match &self.state {
            State::Open(window) => Ok(window),
            State::Closed { why, .. } | State::Opening { why } => Err(why),
        }
    }

    /// Whether [`Window::open`] is to be called now, once, by whoever may touch files.
    pub fn take_opening(&mut self, now: Now) -> bool {
        let State::Closed { until, why } = &mut self.state else { return false };
        let due = *until <= now.mono;
        if due {
            self.state = State::Opening { why: std::mem::take(why) };
        }
        due
    }

    /// Whether somebody is opening the device.
    pub fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening { .. })
    }

    /// What became of the opening.
    pub fn opened(&mut self, result: Result<Window, String>, now: Now) {
        self.state = match result {
            Ok(window) => State::Open(Box::new(window)),
            Err(why) => State::Closed { until: now.mono + RETRY, why },
        };
        self.turn(now);
    }

    /// Goes on with what is under way.
    pub fn tick(&mut self, now: Now) {
        self.turn(now);
    }

    /// When to call [`MmapFpga::tick`] and [`MmapFpga::take_opening`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            _ if self.running.is_some() || !self.waiting.is_empty() => Some(Mono(0)),
            State::Closed { until, .. } => Some(*until),
            State::Opening { .. } | State::Open(_) => None,
        }
    }

    /// At most about [`PIECE`] bytes.
    fn turn(&mut self, now: Now) {
        let mut touched = 0;
        while touched < PIECE {
            if self.running.is_none() {
                let Some((id, op)) = self.waiting.pop_front() else { return };
                touched += SMALL;
                if let Some(result) = self.begin(id, &op, now) {
                    self.done.push_back((id, result));
                    continue;
                }
            }
            touched += self.go_on(now);
        }
    }

    fn go_on(&mut self, now: Now) -> usize {
        let Some(mut task) = self.running.take() else { return 0 };
        let step = match &mut self.state {
            State::Open(window) => window.present().map(|()| task.step(window)),
            State::Closed { why, .. } | State::Opening { why } => Err(why.clone()),
        };
        match step {
            Ok((touched, None)) => {
                self.running = Some(task);
                touched
            }
            Ok((touched, Some(result))) => {
                self.done.push_back((task.id, result));
                touched
            }
            Err(why) => {
                let error = self.gone("access", why, now);
                self.done.push_back((task.id, Err(error)));
                0
            }
        }
    }

    /// The device has left; it is opened again when it is back.
    fn gone(&mut self, op: &str, why: String, now: Now) -> FpgaError {
        let error =
            FpgaError::NotConnected { op: op.into(), board: self.address.to_string(), why: why.clone() };
        if matches!(self.state, State::Open(_)) {
            self.state = State::Closed { until: now.mono + RETRY, why };
        }
        error
    }

    /// Begins an operation, or does it if it is short.
    fn begin(&mut self, id: OpId, op: &FpgaOp, now: Now) -> Option<Result<FpgaReply, FpgaError>> {
        let State::Open(window) = &self.state else {
            let why = self.device().err().unwrap_or_default().to_owned();
            return Some(Err(self.gone(name_of(op), why, now)));
        };
        if let Err(why) = window.present() {
            return Some(Err(self.gone(name_of(op), why, now)));
        }
        match Task::of(id, op, window) {
            Some(Ok(task)) => {
                self.running = Some(task);
                None
            }
            Some(Err(error)) => Some(Err(error)),
            None => Some(self.at_once(op, window)),
        }
    }

    fn at_once(&self, op: &FpgaOp, window: &Window) -> Result<FpgaReply, FpgaError> {
        let lacking = |why: &str| Err(FpgaError::Unsupported(format!("{} ({why})", name_of(op))));
        match op {
            FpgaOp::ListDev => {
                let mut names: Vec<String> = window.registers().iter().map(|r| r.name.clone()).collect();
                names.sort_unstable();
                Ok(FpgaReply::Names(names))
            }
            FpgaOp::ListBof => Ok(FpgaReply::Names(self.address.runs.iter().cloned().collect())),
            FpgaOp::Status => {
                let runs = window.runs_its_design().map_err(FpgaError::Invalid)?;
                Ok(FpgaReply::Flag(runs))
            }
            FpgaOp::Ping => Ok(FpgaReply::Flag(true)),
            FpgaOp::Program { image: Some(image) } if self.address.runs.as_ref() == Some(image) => {
                log::info!("{}: {image} runs there for good, programming it is done already", self.address);
                Ok(FpgaReply::Done)
            }
            FpgaOp::Program { image: Some(_) } => lacking(&match &self.address.runs {
                Some(runs) => format!("mapped memory cannot be programmed, and runs {runs}"),
                None => "mapped memory cannot be programmed; if the device runs this design for good, say runs=IMAGE \
                         in its address"
                    .to_owned(),
            }),
            FpgaOp::Program { image: None } => lacking("mapped memory cannot be deprogrammed"),
            FpgaOp::I2cWrite { address, data } if self.address.no_i2c => {
                log::info!("{}: i2c=none, so {data:02x?} for address {address:#04x} went nowhere", self.address);
                Ok(FpgaReply::Done)
            }
            FpgaOp::I2cWrite { .. } | FpgaOp::I2cRead { .. } => lacking(
                "the bus is behind the board's KATCP server, mapped memory does not reach it; where there is none, \
                 i2c=none in the address drops what is written",
            ),
            FpgaOp::TapStop { .. } => lacking("the core has no server here that could stop"),
            FpgaOp::Raw { .. } => lacking("mapped memory has no server that takes requests"),
            other => lacking(&format!("{other:?} is no single answer")),
        }
    }
}

impl Fpga for MmapFpga {
    fn submit(&mut self, op: FpgaOp, now: Now) -> OpId {
        self.last_op += 1;
        let id = OpId(self.last_op);
        if self.waiting.len() >= MAX_WAITING {
            let text = format!("{MAX_WAITING} operations wait for the board already");
            self.done.push_back((id, Err(FpgaError::Invalid(text))));
            return id;
        }
        self.waiting.push_back((id, op));
        self.turn(now);
        id
    }

    fn poll(&mut self) -> Option<(OpId, Result<FpgaReply, FpgaError>)> {
        self.done.pop_front()
    }
}

/// The request a KATCP server knows the operation by.
fn name_of(op: &FpgaOp) -> &str {
    match op {
        FpgaOp::ListDev => "listdev",
        FpgaOp::ListBof => "listbof",
        FpgaOp::Program { .. } => "progdev",
        FpgaOp::Status => "status",
        FpgaOp::Ping => "watchdog",
        FpgaOp::CountsMilliseconds => "time unit",
        FpgaOp::Read { .. } => "read",
        FpgaOp::Write { .. } | FpgaOp::SetArp { .. } | FpgaOp::WriteChanged { .. } => "write",
        FpgaOp::TapStart { .. } => "tap-start",
        FpgaOp::TapStop { .. } => "tap-stop",
        FpgaOp::I2cWrite { .. } => "i2c-write",
        FpgaOp::I2cRead { .. } => "i2c-read",
        FpgaOp::Raw { name, .. } => name,
    }
}

/// A refusal in the words of a KATCP server.
fn refused(op: &FpgaOp, why: String) -> FpgaError {
    let args = match op {
        FpgaOp::Read { register, offset, len } => {
            [register.clone().into_bytes(), offset.to_string().into_bytes(), len.to_string().into_bytes()]
        }
        FpgaOp::Write { register, offset, data, .. } => {
            [register.clone().into_bytes(), offset.to_string().into_bytes(), data.clone()]
        }
        other => return FpgaError::Invalid(format!("{}: {why}", name_of(other))),
    };
    let mut bytes = Message::new(Kind::Request, name_of(op)).args(args).to_bytes();
    bytes.pop();
    FpgaError::Rejected {
        op: name_of(op).to_owned(),
        request: printable(&bytes, QUOTE),
        reply: format!("!{} fail", name_of(op)),
        log: vec![why],
    }
}
