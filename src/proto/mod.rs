//! Pure codecs: bytes to meaning and back, no I/O.

pub mod status_cards;
