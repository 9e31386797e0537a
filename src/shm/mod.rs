//! Status memory: the 80-column cards that the player, the DAQ program and the observers' tools share.
//!
//! ```text
//!  Location (keys.rs: which segment, which lock)
//!      │ create / attach / open_or_create
//!  StatusMemory ── try_update(|e| e.set_str("NETSTAT", "idle"))   one lock hold, all or nothing
//!      │            try_snapshot() -> Snapshot                    parsed after the lock is free
//!      ├─ lock: sys::NamedSem      recovery.rs: when its holder must be dead
//!      └─ bytes: SysV segment, or a file where there is no System V memory
//! ```
//!
//! The text format is `proto::status_cards`. The `try_` calls never wait and are for the loop; the others
//! take a timeout and are for the command line, the DAQ program and worker threads.

mod clean;
pub mod databuf;
mod error;
pub mod key_file;
pub mod keys;
mod location;
pub mod recovery;
mod snapshot;
mod status;

pub use crate::proto::status_cards::{CardError, Dialect, StatusEditor};
pub use clean::{CleanError, Cleaned, clean};
pub use error::StatusError;
pub use location::Location;
pub use snapshot::Snapshot;
pub use status::{LockState, StatusMemory, Wait};
