//! Pure codecs: bytes to meaning and back; no socket, no clock, no file.

pub mod spead;
