//! What every node gives to worker threads; a role adds jobs of its own.

use super::recorder::Waiting;
use crate::reactor::JobName;
use crate::record::{self, RecordFile};
use crate::sys::resolve;
use std::io::Write;
use std::net::SocketAddr;

/// Worker that keeps the record; its jobs run in order.
pub const RECORDER: &str = "recorder";
/// Worker that looks host names up.
pub const RESOLVER: &str = "resolver";
/// Worker that reads configuration files and tells parents.
pub const CLERK: &str = "clerk";

/// What an entry of the record is called when it is lost.
pub const RECORD: &str = "entry of the record";
/// What a lookup is called.
pub const LOOK_UP: &str = "look-up of a host";
/// What the announcement is called.
const ANNOUNCE: &str = "announcement of the ports";

/// What a job is called; `role`: how the role's own are.
pub fn name_of<R>(job: &Job<R>, role: impl FnOnce(&R) -> JobName) -> JobName {
    let own = |kind| JobName { kind, of: String::new() };
    match job {
        Job::Record { .. } => own(RECORD),
        Job::Announce { .. } => own(ANNOUNCE),
        Job::Resolve { host, .. } => JobName { kind: LOOK_UP, of: host.clone() },
        Job::Role(job) => role(job),
    }
}

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
pub enum Job<R> {
    /// Append to the record.
    Record {
        /// Where.
        file: RecordFile,
        /// The entry.
        line: String,
        /// Who waits for it.
        waiting: Option<Waiting>,
    },
    /// Tell a parent that the ports are open.
    Announce {
        /// Whom.
        to: Announce,
        /// The line.
        text: String,
    },
    /// Look a host up that is to be connected to.
    Resolve {
        /// The host.
        host: String,
        /// The port to connect to.
        port: u16,
    },
    /// Work of the role.
    Role(R),
}

/// What became of it.
#[derive(Debug)]
pub enum Done<D> {
    /// The entry is written, or could not be.
    Recorded {
        /// The call that waits for it.
        waiting: Option<Waiting>,
        /// Why not, if not.
        error: Option<String>,
    },
    /// Told, or not.
    Announced {
        /// Why not, if not.
        error: Option<String>,
    },
    /// Looked up, or not known.
    Resolved {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Its address, or why it has none.
        address: Result<SocketAddr, String>,
    },
    /// Work of the role.
    Role(D),
}

/// Does a job; blocks. `role`: how the role's own are done.
pub fn work<R, D>(job: Job<R>, role: impl FnOnce(R) -> D) -> Done<D> {
    match job {
        Job::Record { file, line, waiting } => {
            let error = record::append(&file, &line).err();
            Done::Recorded { waiting, error: error.map(|e| format!("{}: {e}", file.path.display())) }
        }
        Job::Announce { to, text } => {
            Done::Announced { error: announce(to, &text).err().map(|e| e.to_string()) }
        }
        Job::Resolve { host, port } => Done::Resolved { address: address_of(&host, port), host, port },
        Job::Role(job) => Done::Role(role(job)),
    }
}

/// Hardware and nodes speak IPv4: a host that has both is meant by its IPv4 address.
fn address_of(host: &str, port: u16) -> Result<SocketAddr, String> {
    let all = resolve::addresses_of(host, port).map_err(|e| e.to_string())?;
    let first = all.iter().find(|a| a.is_ipv4()).or(all.first());
    first.copied().ok_or_else(|| "the name has no address".to_owned())
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
