//! What a player is doing.

use super::scan::Scan;
use std::net::Ipv4Addr;

/// The states a player can be in; every call is legal or refused per state.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// No mode set: at start, or after a mode change that failed.
    NoMode,
    /// `set_mode` is at work.
    SettingMode(String),
    /// A mode is set and nothing runs.
    Ready,
    /// `prepare` is at work.
    Preparing,
    /// A phase is run by hand (`reset_roach`, `arm_roach`, `disarm_roach`) or `monitor` is begun.
    Operating(&'static str),
    /// Waiting for the arm time, or arming.
    Starting(Scan),
    /// Data are taken.
    Scanning(Scan),
    /// Data flow but are not recorded.
    Monitoring,
    /// Stopping everything, on the way out.
    ShuttingDown,
}

impl State {
    /// The name operators see.
    pub fn name(&self) -> &'static str {
        match self {
            State::NoMode => "NO_MODE",
            State::SettingMode(_) => "SETTING_MODE",
            State::Ready => "READY",
            State::Preparing => "PREPARING",
            State::Operating(_) => "OPERATING",
            State::Starting(_) => "STARTING",
            State::Scanning(_) => "SCANNING",
            State::Monitoring => "MONITORING",
            State::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    /// The scan, pending or running.
    pub fn scan(&self) -> Option<&Scan> {
        match self {
            State::Starting(s) | State::Scanning(s) => Some(s),
            _ => None,
        }
    }
}

/// The link to the FPGA board.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// This bank has no board.
    Absent,
    /// Not connected, for the reason given; the session keeps trying.
    Down(String),
    /// Connected.
    Up,
}

/// A host name and its address, if it has one.
pub type Host = (String, Option<Ipv4Addr>);
