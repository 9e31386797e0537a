//! Pure codecs: bytes to typed messages and back. No clock, no socket, no file.

pub mod bof;
pub mod fpg;
pub mod gateware;
pub mod katcp;
