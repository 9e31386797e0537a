//! What the player's node gives to worker threads besides the record: names and configuration.

use super::scan_file;
use crate::config::dibas::Dibas;
use crate::player::bank::Ticket;
use crate::player::proof::ScanFile;
use crate::player::state::Host;
use crate::sys::realtime::{self, ClockQuality};
use crate::sys::resolve;
use std::path::PathBuf;

/// Worker that looks the board's host up: it does not wait behind names that nobody answers for.
pub const BOARD_RESOLVER: &str = "board-resolver";

/// Worker that asks the kernel how good the clock is: a start waits for nobody else.
pub const CLOCK_READER: &str = "clock";

/// Worker that writes the proofs of scans, one after the other, and looks at the disk they go to.
pub const PROOF_WRITER: &str = "proofs";

/// Blocking work.
#[derive(Debug)]
pub enum Job {
    /// Look up hosts.
    Resolve {
        /// The hosts.
        hosts: Vec<String>,
    },
    /// Look up the board's host before connecting.
    ResolveBoard {
        /// The host.
        host: String,
    },
    /// Read and understand a `dibas.conf`.
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// The call that waits for it.
        ticket: Option<Ticket>,
    },
    /// Ask the kernel how good the wall clock is.
    ReadClock,
    /// Write the proof of a scan.
    WriteProof(ScanFile),
    /// Measure what is free where the data go.
    MeasureSpace {
        /// Where.
        directory: String,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// Addresses.
    Resolved {
        /// The hosts.
        hosts: Vec<Host>,
    },
    /// Address of the board's host.
    BoardResolved {
        /// The host.
        host: String,
        /// Its address, if it has one.
        address: Option<std::net::Ipv4Addr>,
    },
    /// A new configuration, or why it cannot be used.
    ConfigRead {
        /// The call that waits for it.
        ticket: Option<Ticket>,
        /// What was read.
        result: Result<Box<Dibas>, String>,
    },
    /// How good the wall clock is.
    ClockRead(Result<ClockQuality, String>),
    /// The proof of a scan is on disk, or why it is not.
    ProofWritten {
        /// Of the scan.
        id: String,
        /// Its path.
        result: Result<String, String>,
    },
    /// Bytes free.
    SpaceMeasured(Result<u64, String>),
}

/// Does a job; blocks.
pub fn work(job: Job) -> Done {
    match job {
        Job::Resolve { hosts } => {
            let address = |host: String| {
                let ip = resolve::ipv4_of(&host);
                (host, ip)
            };
            Done::Resolved { hosts: hosts.into_iter().map(address).collect() }
        }
        Job::ResolveBoard { host } => Done::BoardResolved { address: resolve::ipv4_of(&host), host },
        Job::ReadClock => Done::ClockRead(realtime::quality().map_err(|e| format!("adjtimex: {e}"))),
        Job::WriteProof(file) => {
            let result = scan_file::write(&file).map(|path| path.display().to_string());
            Done::ProofWritten { id: file.id, result }
        }
        Job::MeasureSpace { directory } => Done::SpaceMeasured(scan_file::space(&directory)),
        Job::ReadConfig { path, ticket } => {
            Done::ConfigRead { ticket, result: read_config(&path).map(Box::new) }
        }
    }
}

/// Reads a `dibas.conf`; the error is one text with all its problems.
pub fn read_config(path: &PathBuf) -> Result<Dibas, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Dibas::load(&text, &path.display().to_string()).map_err(|findings| {
        let lines = findings.iter().map(|f| {
            format!("{}:{}: {}.{}: {}; {}", path.display(), f.line, f.section, f.key, f.problem, f.remedy)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}
