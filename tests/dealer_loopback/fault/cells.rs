//! What is tried: phase, fault and victim, and the way the calls are made.

use crate::driver::Way;
use crate::site::Instrument;

/// When the player is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    BeforeSetMode,
    /// It says that it is setting the mode.
    SettingMode,
    BeforeSetParam,
    /// It has been asked, and has not answered.
    Preparing,
    /// It has the start, and is not armed.
    Starting,
    /// It is armed, the second has not come.
    Armed,
    Scanning,
    /// While it is waited for the end of the scan.
    Waiting,
    /// It has been asked, and has not answered.
    Stopping,
}

impl Phase {
    pub const ALL: [Phase; 9] = [
        Phase::BeforeSetMode,
        Phase::SettingMode,
        Phase::BeforeSetParam,
        Phase::Preparing,
        Phase::Starting,
        Phase::Armed,
        Phase::Scanning,
        Phase::Waiting,
        Phase::Stopping,
    ];

    /// Of the scan that is under way then, s. What is cut short must not end by itself meanwhile.
    pub fn scan_length_s(self) -> f64 {
        match self {
            Phase::Armed | Phase::Scanning => 3.0,
            Phase::Waiting => 4.0,
            _ => 60.0,
        }
    }
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Killed, and started again when the trial is over.
    Kill,
    /// Stopped (SIGSTOP), and continued when the proxy has noticed.
    Hang,
    /// Killed, and started again at once.
    Restart,
}

impl Fault {
    pub const ALL: [Fault; 3] = [Fault::Kill, Fault::Hang, Fault::Restart];
}

/// Whom it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// One of three banks with a board each.
    OneOfThree,
    /// One of the seven that have no board.
    Slave,
    /// The one that has it.
    Master,
}

impl Victim {
    pub const ALL: [Victim; 3] = [Victim::OneOfThree, Victim::Slave, Victim::Master];

    pub fn instrument(self) -> Instrument {
        if self == Victim::OneOfThree { Instrument::Hbw } else { Instrument::Codd }
    }

    pub fn name(self) -> &'static str {
        match self {
            Victim::OneOfThree => "BANKB",
            Victim::Slave => "BANKF",
            Victim::Master => "BANKA",
        }
    }
}

/// One trial.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub phase: Phase,
    pub fault: Fault,
    pub victim: Victim,
    pub way: Way,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?} by {:?}", self.fault, self.phase, self.victim, self.way)
    }
}

/// Every phase with every fault, and each of these with every victim when `APPLIANCE_CASES` is 81 or more. Otherwise the victims
/// take turns: each meets every phase, and every fault three times. The ways take turns, so that each meets every fault.
pub fn cells() -> Vec<Cell> {
    let wanted = std::env::var("APPLIANCE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let product = Phase::ALL.len() * Fault::ALL.len() * Victim::ALL.len();
    let mut all = Vec::new();
    for (p, phase) in Phase::ALL.into_iter().enumerate() {
        for (f, fault) in Fault::ALL.into_iter().enumerate() {
            for (v, victim) in Victim::ALL.into_iter().enumerate() {
                let way = Way::ALL[(p + f + v) % Way::ALL.len()];
                if wanted >= product || (p + f) % Victim::ALL.len() == v {
                    all.push(Cell { phase, fault, victim, way });
                }
            }
        }
    }
    all
}

#[test]
fn every_phase_meets_every_fault_and_every_way_meets_every_fault() {
    let all = cells();
    for fault in Fault::ALL {
        for phase in Phase::ALL {
            assert!(all.iter().any(|c| (c.phase, c.fault) == (phase, fault)), "{phase:?} {fault:?}");
        }
        for way in Way::ALL {
            assert!(all.iter().any(|c| (c.way, c.fault) == (way, fault)), "{way:?} {fault:?}");
        }
        for victim in Victim::ALL {
            assert!(all.iter().any(|c| (c.victim, c.fault) == (victim, fault)), "{victim:?} {fault:?}");
        }
    }
    for phase in Phase::ALL {
        for victim in Victim::ALL {
            assert!(all.iter().any(|c| (c.victim, c.phase) == (victim, phase)), "{victim:?} {phase:?}");
        }
    }
}
