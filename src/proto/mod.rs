//! Pure codecs: bytes to meaning and back. No clock, no socket, no file; input in any pieces, every
//! length checked before memory is taken for it.

pub mod archon;
pub mod bof;
pub mod dibas_conf;
pub mod fpg;
pub mod gateware;
pub mod inbox;
pub mod json;
pub mod json_rpc;
pub mod katcp;
pub mod register_table;
pub mod rpc_frame;
pub mod spead;
pub mod status_cards;
pub mod valon;
pub mod zmtp;
