//! A frame being written: partial files, sums and statistics, chunk by chunk.

/// The state of one frame being written.
#[derive(Debug)]
pub struct Writer {}
