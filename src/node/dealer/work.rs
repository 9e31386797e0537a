//! What the dealer proxy gives to worker threads besides the record: names of hosts, and the scan journal.

use crate::record::{self, RecordFile};
use crate::sys::resolve;
use std::net::SocketAddr;

/// Blocking work.
#[derive(Debug)]
pub enum Job {
    /// Look a player's host up before connecting.
    Resolve {
        /// The host.
        host: String,
        /// The port to connect to.
        port: u16,
    },
    /// Append a line to the scan journal.
    Journal {
        /// Where.
        file: RecordFile,
        /// What, JSON.
        line: String,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// Of [`Job::Resolve`].
    Resolved {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Its address, or why it has none.
        address: Result<SocketAddr, String>,
    },
    /// Of [`Job::Journal`].
    Written {
        /// Why not, if not.
        error: Option<String>,
    },
}

/// Does a job; blocks.
pub fn work(job: Job) -> Done {
    match job {
        Job::Resolve { host, port } => {
            let found = resolve::addresses_of(&host, port).map_err(|e| e.to_string());
            let address =
                found.and_then(|all| all.first().copied().ok_or_else(|| "it has no address".into()));
            Done::Resolved { host, port, address }
        }
        Job::Journal { file, line } => {
            let error = record::append(&file, &line).err();
            Done::Written { error: error.map(|e| format!("{}: {e}", file.path.display())) }
        }
    }
}
