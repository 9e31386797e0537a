//! Exposures: from the number to the file names.
//!
//! ```text
//!  reserve ─► pre_expose ─► windows ─► prepare all ─► release all ─► integrate ─► read out all ─► save each
//!   number,     hook                    (held)        back to back    shutter       in parallel    (saving)
//!   names                                                                             │
//!                                  readout=False: kept for `read` ◄───────────────────┘ not yet
//! ```
//!
//! One exposure uses the detectors at a time; frames of an earlier one may still be on their way to the disk.

mod expose;
pub(super) mod header;
pub(super) mod promise;
mod results;
pub(super) mod saving;

pub(super) use expose::Expose;

use super::methods::{ExposeAsk, Flavour};
use super::role::messages::Index;
use crate::units::{Now, Utc};
use crate::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// What is known of the shutter during an exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutter {
    /// Nobody was asked to move it.
    None,
    /// It said it opened and closed.
    Confirmed,
    /// It was asked and did not say so.
    Unconfirmed,
}

/// One exposure as headers and replies tell it.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub number: u64,
    /// Unique: observatory, night, number, time.
    pub id: String,
    pub flavour: Flavour,
    pub requested: Duration,
    pub header: Value,
    pub no_write: bool,
    pub shutter: Shutter,
    /// The replies to RELEASETIMING.
    pub started: Vec<(Index, Now)>,
    pub over: Option<Now>,
    /// (controller, ccd, path)
    pub paths: Vec<(String, String, PathBuf)>,
    /// For frames of another run: when they were exposed.
    pub recovered: Option<Utc>,
}

impl Shot {
    /// When its integration began on this controller.
    pub fn started(&self, n: Index) -> Option<Now> {
        self.started.iter().find(|(m, _)| *m == n).map(|(_, at)| *at)
    }

    /// The same, UTC, or what is known of it.
    pub fn began(&self, n: Index) -> Option<Utc> {
        self.started(n).map(|t| t.utc).or(self.recovered)
    }

    /// Of a frame whose exposure this program knows nothing about.
    pub fn unknown(number: u64) -> Shot {
        Shot {
            number,
            id: String::new(),
            flavour: Flavour::Object,
            requested: Duration::ZERO,
            header: Value::Null,
            no_write: false,
            shutter: Shutter::None,
            started: Vec::new(),
            over: None,
            paths: Vec::new(),
            recovered: None,
        }
    }
}

/// An exposure that waits for `read`.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub shot: Shot,
    pub controllers: Vec<Index>,
}

/// What `read` needs of an exposure.
pub(super) fn ask_of_read(delay: u32) -> ExposeAsk {
    ExposeAsk {
        time: None,
        flavour: Flavour::Object,
        window_mode: None,
        readout: true,
        async_readout: false,
        header: Value::Null,
        delay,
        count: 1,
        no_write: false,
        no_shutter: true,
        with_dark: false,
        seqno: None,
    }
}
