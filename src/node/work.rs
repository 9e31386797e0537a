//! What the player's node gives to worker threads: everything that can block.

use super::recorder::Waiting;
use crate::config::dibas::Dibas;
use crate::player::bank::Ticket;
use crate::player::state::Host;
use crate::record::{self, RecordFile};
use crate::sys::resolve;
use std::io::Write;
use std::path::PathBuf;

/// Worker that keeps the record; its jobs run in order.
pub const RECORDER: &str = "recorder";
/// Worker that looks host names up.
pub const RESOLVER: &str = "resolver";
/// Worker that looks the board's host up: it does not wait behind names that nobody answers for.
pub const BOARD_RESOLVER: &str = "board-resolver";
/// Worker that reads configuration files and tells parents.
pub const CLERK: &str = "clerk";

/// Where the bound addresses are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// A line `ready ...` on standard output.
    Stdout,
    /// The same line on this file descriptor, which is then closed.
    Fd(i32),
}

/// Blocking work.
#[derive(Debug)]
pub enum Job {
    /// Append to the record.
    Record {
        /// Where.
        file: RecordFile,
        /// The entry.
        line: String,
        /// Who waits for it.
        waiting: Option<Waiting>,
    },
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
    /// Tell a parent that the ports are open.
    Announce {
        /// Whom.
        to: Announce,
        /// The line.
        text: String,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// The entry is written, or could not be.
    Recorded {
        /// The call that waits for it.
        waiting: Option<Waiting>,
        /// Why not, if not.
        error: Option<String>,
    },
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
    /// Told, or not.
    Announced {
        /// Why not, if not.
        error: Option<String>,
    },
}

/// Does a job; blocks.
pub fn work(job: Job) -> Done {
    match job {
        Job::Record { file, line, waiting } => {
            let error = record::append(&file, &line).err();
            Done::Recorded { waiting, error: error.map(|e| format!("{}: {e}", file.path.display())) }
        }
        Job::Resolve { hosts } => {
            let address = |host: String| {
                let ip = resolve::ipv4_of(&host);
                (host, ip)
            };
            Done::Resolved { hosts: hosts.into_iter().map(address).collect() }
        }
        Job::ResolveBoard { host } => Done::BoardResolved { address: resolve::ipv4_of(&host), host },
        Job::ReadConfig { path, ticket } => {
            Done::ConfigRead { ticket, result: read_config(&path).map(Box::new) }
        }
        Job::Announce { to, text } => {
            Done::Announced { error: announce(to, &text).err().map(|e| e.to_string()) }
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

fn announce(to: Announce, text: &str) -> std::io::Result<()> {
    match to {
        Announce::Stdout => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "ready {text}")?;
            out.flush()
        }
        Announce::Fd(fd) => crate::sys::fd::write_and_close(fd, format!("ready {text}\n").as_bytes()),
    }
}
