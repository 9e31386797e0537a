//! Snapshot blocks: armed, watched until the capture has ended, read.
//!
//! ```text
//! [S_trig_offset] ─► S_ctrl, bit 0 = 0 ─► S_ctrl, bit 0 = 1 ─► S_status (bit 31 set: again after 2 ms)
//!                 ─► S_status once more ─► [S_tr_en_cnt] ─► S_bram ... ─► [S_val] ─► the answer
//! ```

use super::arguments as arg;
use super::procedure::{LONGEST_WAIT, News, Next, Procedure, Told, board_error};
use super::values::{Give, peer};
use crate::api::CallError;
use crate::api::bind::Bound;
use crate::fpga::{FpgaOp, FpgaReply};
use crate::units::Mono;
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// How often the status is looked at.
const POLL: Duration = Duration::from_millis(2);
/// The capture still runs.
const RUNNING: u32 = 1 << 31;

/// Two generations of blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Counter {
    /// `S_status` counts bytes.
    Status,
    /// `S_addr` holds the last word written; so many 32-bit words are at one address.
    Addr { words: u32 },
}

/// What the next reply is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Arming,
    Watching,
    /// The length is looked at again: it must not change any more.
    Certain,
    TriggerCount,
    Reading,
    Extra,
}

/// A capture at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    name: String,
    counter: Counter,
    arm: VecDeque<FpgaOp>,
    /// Names of the memories: registers `S_NAME`.
    memories: VecDeque<String>,
    circular: bool,
    offset: i64,
    extra: bool,
    within: Duration,
    until: Mono,
    stage: Stage,
    length: u32,
    begins: i64,
    result: Vec<(String, Value)>,
}

/// `snapshot_arm`.
pub(super) fn arm(bound: &Bound) -> Result<Procedure, CallError> {
    Ok(Procedure::orders(arm_orders(bound, &arg::text(bound, "dev_name")?)?, Give::Null))
}

/// `snapshot_get`.
pub(super) fn get(bound: &Bound) -> Result<Procedure, CallError> {
    let mut snapshot = Snapshot::new(bound, Counter::Status)?;
    snapshot.memories = VecDeque::from(["bram".to_owned()]);
    snapshot.extra = arg::flag(bound, "get_extra_val");
    if !arg::flag(bound, "arm") {
        snapshot.arm.clear();
    }
    Ok(Procedure::Snapshot(Box::new(snapshot)))
}

/// `get_snap`.
pub(super) fn get_old(bound: &Bound) -> Result<Procedure, CallError> {
    let words = arg::whole(bound, "word_mult", 1, 64)? as u32;
    let mut snapshot = Snapshot::new(bound, Counter::Addr { words })?;
    for memory in bound.list("brams").unwrap_or_default() {
        match memory.as_str() {
            Some(name) => snapshot.memories.push_back(name.to_owned()),
            None => return Err(CallError::type_error("brams must be a list of texts")),
        }
    }
    Ok(Procedure::Snapshot(Box::new(snapshot)))
}

fn arm_orders(bound: &Bound, name: &str) -> Result<VecDeque<FpgaOp>, CallError> {
    let offset = arg::whole(bound, "offset", -1, i64::from(u32::MAX))?;
    let bit = |flag, place: u32| u32::from(arg::flag(bound, flag)) << place;
    let control = bit("man_trig", 1) | bit("man_valid", 2) | bit("circular_capture", 3);
    let mut orders = VecDeque::new();
    if offset >= 0 {
        orders.push_back(arg::write_word(format!("{name}_trig_offset"), 0, offset as u32, true));
    }
    // The rising edge of bit 0 arms. It is not read back: some designs clear it at once.
    orders.push_back(arg::write_word(format!("{name}_ctrl"), 0, control, false));
    orders.push_back(arg::write_word(format!("{name}_ctrl"), 0, control | 1, false));
    Ok(orders)
}

impl Snapshot {
    fn new(bound: &Bound, counter: Counter) -> Result<Snapshot, CallError> {
        let name = arg::text(bound, "dev_name")?;
        Ok(Snapshot {
            arm: arm_orders(bound, &name)?,
            name,
            counter,
            memories: VecDeque::new(),
            circular: arg::flag(bound, "circular_capture"),
            offset: bound.int("offset").unwrap_or(-1),
            extra: false,
            within: arg::wait(bound, "wait_period"),
            until: Mono::default(),
            stage: Stage::Arming,
            length: 0,
            begins: 0,
            result: Vec::new(),
        })
    }

    pub(super) fn next(&mut self, news: News, now: Mono) -> Told {
        let reply = match news {
            News::Reply(result) => result.map_err(|e| board_error(&e))?,
            News::Paused => return Ok(self.look()),
            News::Begin | News::Link(_) | News::Synth(_) => FpgaReply::Done,
        };
        match self.stage {
            Stage::Arming => Ok(self.armed(now)),
            Stage::Watching => self.watched(word(&reply)?, now),
            Stage::Certain => self.certain(word(&reply)?),
            Stage::TriggerCount => {
                self.begins = i64::from(word(&reply)?) - i64::from(self.length);
                Ok(self.read())
            }
            Stage::Reading => self.was_read(reply),
            Stage::Extra => {
                self.result.push(("val".into(), Value::Int(i64::from(word(&reply)?))));
                Ok(self.answer())
            }
        }
    }

    fn armed(&mut self, now: Mono) -> Next {
        match self.arm.pop_front() {
            Some(order) => Next::Ask(order),
            None => {
                self.until = now + self.within.min(LONGEST_WAIT);
                self.look()
            }
        }
    }

    fn look(&mut self) -> Next {
        self.stage = Stage::Watching;
        Next::Ask(arg::read_word(self.register(self.status_name()), 0))
    }

    fn watched(&mut self, status: u32, now: Mono) -> Told {
        if status & RUNNING != 0 && now < self.until {
            return Ok(Next::Pause((now + POLL).min(self.until)));
        }
        self.length = status & !RUNNING;
        self.stage = Stage::Certain;
        Ok(Next::Ask(arg::read_word(self.register(self.status_name()), 0)))
    }

    fn certain(&mut self, status: u32) -> Told {
        if status & !RUNNING != self.length || self.length == 0 {
            return Err(peer(format!(
                "A snap block logic error occurred or it didn't finish capturing in the allotted {:2.2} seconds. Reported {} bytes captured.",
                self.within.as_secs_f64(),
                self.length
            )));
        }
        if self.circular {
            self.stage = Stage::TriggerCount;
            return Ok(Next::Ask(arg::read_word(self.register("tr_en_cnt"), 0)));
        }
        Ok(self.read())
    }

    /// The next memory, or what comes after the last.
    fn read(&mut self) -> Next {
        let Some(memory) = self.memories.front() else { return self.after_memories() };
        self.stage = Stage::Reading;
        Next::Ask(FpgaOp::Read { register: self.register(memory), offset: 0, len: self.bytes() })
    }

    fn was_read(&mut self, reply: FpgaReply) -> Told {
        let FpgaReply::Bytes(bytes) = reply else { return Err(peer("no bytes in the reply")) };
        if let Some(memory) = self.memories.pop_front() {
            let key = if self.counter == Counter::Status { "data".to_owned() } else { memory };
            self.result.push((key, Value::Bytes(bytes)));
        }
        Ok(self.read())
    }

    fn after_memories(&mut self) -> Next {
        if !self.extra {
            return self.answer();
        }
        self.stage = Stage::Extra;
        Next::Ask(arg::read_word(self.register("val"), 0))
    }

    fn answer(&mut self) -> Next {
        let begins = (self.begins + self.offset.max(0)).max(0);
        let length = match self.counter {
            Counter::Status => i64::from(self.length),
            Counter::Addr { .. } => i64::from(self.length) + 1,
        };
        let mut members =
            vec![("length".to_owned(), Value::Int(length)), ("offset".to_owned(), Value::Int(begins))];
        members.append(&mut self.result);
        Next::Done(Value::Map(members))
    }

    fn status_name(&self) -> &'static str {
        match self.counter {
            Counter::Status => "status",
            Counter::Addr { .. } => "addr",
        }
    }

    fn bytes(&self) -> u32 {
        let bytes = match self.counter {
            Counter::Status => self.length,
            Counter::Addr { words } => self.length.saturating_add(1).saturating_mul(4 * words),
        };
        bytes.min(arg::MOST_BYTES)
    }

    fn register(&self, part: &str) -> String {
        format!("{}_{part}", self.name)
    }
}

fn word(reply: &FpgaReply) -> Result<u32, CallError> {
    match reply {
        FpgaReply::Bytes(bytes) => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(u32::from_be_bytes),
        _ => None,
    }
    .ok_or_else(|| peer("the board's reply is no 32-bit word"))
}
