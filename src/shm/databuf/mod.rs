//! Data buffers: rings of blocks in System V memory between the threads of a site's DAQ program and its writer.
//!
//! A DAQ program attaches to the buffers it finds and does not make others. A mode whose program wants another
//! layout therefore needs them removed and made anew before that program starts: [`reformat`]. What is wanted is a
//! table, [`Layouts`]; the bytes are in [`header`].

mod attached;
pub mod header;
pub mod layout;
pub mod reformat;

#[cfg(test)]
mod tests;

pub use layout::{Buffer, Family, Kind, Layout, Layouts};
pub use reformat::{BufferError, differences, memory_available, reformat, users};
