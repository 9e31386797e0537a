//! What is known about a controller when a command is about to leave. Everything that can be old has its time.

use crate::archon::status_word::StatusWord;
use crate::config::acf::Acf;
use crate::config::archon::limits::ControllerLimits;
use crate::frames::jobs::FrameId;
use crate::proto::archon::{Power, Status, System};
use crate::units::Mono;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// STATUS older than this says nothing about now.
pub const STATUS_FRESH: Duration = Duration::from_secs(10);

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The link is up.
    pub connected: bool,
    /// Nothing but questions until an operator attaches it again: why.
    pub read_only: Option<String>,
    /// FLASH, ERASE, REBOOT, WARMBOOT as typed are allowed.
    pub allow_flash: bool,
    /// The site's limits.
    pub limits: Option<Arc<ControllerLimits>>,
    /// Its modules.
    pub system: Option<Arc<System>>,
    /// STATUS.
    pub status: StatusFact,
    /// Configuration memory.
    pub memory: Memory,
    /// The configuration that was applied as a whole since the controller booted.
    pub applied: Option<Applied>,
    /// Our POLLOFF is in force.
    pub polling_off: bool,
    /// What it is doing.
    pub word: StatusWord,
    /// An exposure is set up and timing held.
    pub prepared: bool,
    /// The buffer that is locked for us.
    pub held: Option<Held>,
    /// Frames read out since we are attached that are not safe on disk.
    pub unfetched: Vec<FrameId>,
}

/// The frame that is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub id: FrameId,
    /// First byte.
    pub base: u64,
    /// Blocks from there.
    pub blocks: u32,
}

/// What APPLYALL put into force since the controller booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// SHA-256 of its lines.
    pub hash: String,
    /// It was read back and compared before.
    pub verified: bool,
    /// Keys written later and not applied yet, upper case.
    pub unapplied: BTreeSet<String>,
}

/// Configuration memory, as far as known.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Memory {
    /// Not read yet.
    #[default]
    Unknown,
    /// A write or clear was not finished: why.
    HalfWritten(String),
    /// Read back, or written and read back.
    Known(Arc<Acf>),
}

/// What STATUS said and when.
#[derive(Clone, Debug, Default)]
pub struct StatusFact {
    /// The last valid one.
    pub last: Option<(Arc<Status>, Mono)>,
    /// The newest reply had VALID other than 1.
    pub invalid: bool,
    /// When COUNT was last seen to have moved on.
    pub advanced: Option<Mono>,
    /// When COUNT first had the value it has.
    pub count_since: Option<Mono>,
}

impl Facts {
    /// Nothing is known.
    pub fn new(limits: Option<Arc<ControllerLimits>>, allow_flash: bool) -> Facts {
        Facts {
            connected: false,
            read_only: None,
            allow_flash,
            limits,
            system: None,
            status: StatusFact::default(),
            memory: Memory::Unknown,
            applied: None,
            polling_off: false,
            word: StatusWord::UNKNOWN,
            prepared: false,
            held: None,
            unfetched: Vec::new(),
        }
    }

    /// Configuration memory, if it is known.
    pub fn acf(&self) -> Option<&Arc<Acf>> {
        match &self.memory {
            Memory::Known(acf) => Some(acf),
            Memory::Unknown | Memory::HalfWritten(_) => None,
        }
    }

    /// Integrating, reading, flushing, or about to: timing is busy. Fetching does not count.
    pub fn timing_busy(&self) -> Option<&'static str> {
        let doing = [
            (StatusWord::EXPOSING, "it is exposing"),
            (StatusWord::READING, "it is reading out"),
            (StatusWord::FLUSHING, "it is flushing"),
        ];
        let active = doing.iter().find(|(bit, _)| self.word.has(*bit)).map(|(_, text)| *text);
        active.or(self.prepared.then_some("an exposure is prepared"))
    }

    /// Frames that exist in the controller only, in words.
    pub fn custody(&self) -> Option<String> {
        let mut names: Vec<String> = self.unfetched.iter().map(name_of).collect();
        if let Some(held) = &self.held
            && !self.unfetched.contains(&held.id)
        {
            names.push(name_of(&held.id));
        }
        (!names.is_empty()).then(|| names.join(", "))
    }
}

fn name_of(id: &FrameId) -> String {
    format!("frame {} in buffer {}", id.frame, id.buffer)
}

impl StatusFact {
    /// Takes a reply. `false`: VALID is not 1, nothing of it counts.
    pub fn take(&mut self, status: Status, now: Mono) -> bool {
        self.invalid = !status.valid();
        if self.invalid {
            return false;
        }
        let before = self.last.as_ref().map(|(s, _)| s.count());
        let count = status.count();
        if before != Some(count) {
            self.count_since = Some(now);
            if before.is_some() && count.is_some() {
                self.advanced = Some(now);
            }
        }
        self.last = Some((Arc::new(status), now));
        true
    }

    /// The last one if it is valid, at most 10 s old, and COUNT moved within 10 s; otherwise why not.
    pub fn fresh(&self, now: Mono) -> Result<&Arc<Status>, String> {
        if self.invalid {
            return Err("STATUS says VALID=0".into());
        }
        let Some((status, at)) = &self.last else { return Err("STATUS was not read yet".into()) };
        let age = now.since(*at);
        if age > STATUS_FRESH {
            return Err(format!("STATUS is {:.1} s old", age.as_secs_f64()));
        }
        match self.advanced {
            Some(moved) if now.since(moved) <= STATUS_FRESH => Ok(status),
            Some(moved) => {
                Err(format!("COUNT of STATUS stands still for {:.1} s", now.since(moved).as_secs_f64()))
            }
            None => Err("COUNT of STATUS has not been seen to advance".into()),
        }
    }

    /// Power as last told, with its age not looked at.
    pub fn power(&self) -> Option<Power> {
        self.last.as_ref().map(|(s, _)| s.power())
    }
}
