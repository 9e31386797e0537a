//! Images on disk: cut out of the frame while it is fetched, proven, and never lost.
//!
//! ```text
//! reserve ─► (promise) ─► open ─► write … write ─► secure ─► publish          per exposure and controller
//!   number,   lock     chunks cut,      data,     compressed, renamed (never over another file),
//!   names     files,   swapped, summed  header,   checksum line, lock file removed
//!             .part    in one pass      fsync of file and directory: the buffer may be released
//! ```
//!
//! Everything here blocks and runs on named workers; a role only sees the [`jobs::Job`]s and
//! [`jobs::Done`]s.

mod cards;
mod disk;
pub mod geometry;
mod header;
mod image;
pub mod jobs;
mod lock;
mod names;
mod pixels;
mod promise;
mod publish;
pub mod quicklook;
mod reserve;
mod restore;
mod scatter;
mod survey;
mod taps;
mod text_file;
mod verify;
pub mod writer;

pub use verify::whole;

#[cfg(test)]
mod tests;
