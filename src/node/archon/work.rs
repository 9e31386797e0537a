//! What the archon node gives to worker threads besides the record: images, and names of controllers.

use crate::archon::role::FileKey;
use crate::frames::jobs;
use crate::reactor::{JobName, panic_text};
use crate::sys::resolve;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Worker that looks the controllers' hosts up.
pub const RESOLVER: &str = "resolver";

/// Blocking work.
#[derive(Debug)]
pub enum Job {
    /// Work on files.
    File {
        /// Names it.
        key: FileKey,
        /// What.
        job: Box<jobs::Job>,
    },
    /// Look a controller's host up before connecting.
    Resolve {
        /// The host.
        host: String,
        /// The port to connect to.
        port: u16,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// Of [`Job::File`]; `Err`: the worker failed, in words.
    File {
        /// Which.
        key: FileKey,
        /// What became of it.
        done: Result<Box<jobs::Done>, String>,
    },
    /// Of [`Job::Resolve`].
    Resolved {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Its address, or why it has none.
        address: Result<SocketAddr, String>,
    },
}

/// Work on files that is lost is called so.
pub const FILE: &str = "work on an image";
/// Likewise the look-up of a controller's host.
pub const LOOK_UP: &str = "look-up of a controller";

/// What a job is called.
pub fn name_of(job: &Job) -> JobName {
    match job {
        Job::File { .. } => JobName { kind: FILE, of: String::new() },
        Job::Resolve { host, .. } => JobName { kind: LOOK_UP, of: host.clone() },
    }
}

/// Does a job; blocks. A panic over an image is that job's answer: what else is being written goes on.
pub fn work(job: Job) -> Done {
    match job {
        Job::File { key, job } => {
            let done = catch_unwind(AssertUnwindSafe(|| Box::new(jobs::work(*job))));
            Done::File { key, done: done.map_err(|p| panic_text(&*p)) }
        }
        Job::Resolve { host, port } => {
            let address = match resolve::addresses_of(&host, port) {
                // Controllers speak IPv4; a host that has both is meant by its IPv4 address.
                Ok(all) => {
                    let first = all.iter().find(|a| a.is_ipv4()).or(all.first()).copied();
                    first.ok_or_else(|| "the name has no address".to_owned())
                }
                Err(e) => Err(e.to_string()),
            };
            Done::Resolved { host, port, address }
        }
    }
}
