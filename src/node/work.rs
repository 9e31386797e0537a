//! What every node gives to worker threads; a role adds jobs of its own.

use super::recorder::Waiting;
use crate::reactor::JobName;
use crate::record::{self, RecordFile};
use std::io::Write;

/// Worker that keeps the record; its jobs run in order.
pub const RECORDER: &str = "recorder";
/// Worker that looks host names up.
pub const RESOLVER: &str = "resolver";
/// Worker that reads configuration files and tells parents.
pub const CLERK: &str = "clerk";

/// What an entry of the record is called when it is lost.
pub const RECORD: &str = "entry of the record";
/// What the announcement is called.
const ANNOUNCE: &str = "announcement of the ports";

/// What a job is called; `role`: how the role's own are.
pub fn name_of<R>(job: &Job<R>, role: impl FnOnce(&R) -> JobName) -> JobName {
    let own = |kind| JobName { kind, of: String::new() };
    match job {
        Job::Record { .. } => own(RECORD),
        Job::Announce { .. } => own(ANNOUNCE),
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
        Job::Role(job) => Done::Role(role(job)),
    }
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
