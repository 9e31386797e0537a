//! Pure codecs: bytes to meaning and back. No clock, no socket, no file; input in any pieces, every
//! length checked before memory is taken for it.

pub mod inbox;
pub mod json;
pub mod json_rpc;
pub mod status_cards;
pub mod rpc_frame;

pub mod zmtp;
//! proto (being built)
pub mod dibas_conf;
//! Pure codecs: bytes to meaning and back; no socket, no clock, no file.

pub mod spead;
