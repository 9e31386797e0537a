//! Simulated hardware: a product of its own, used by people without a telescope and by every test.

pub mod archon;
pub mod archon_app;
pub mod archon_station;
pub mod daq;
pub mod packets;
pub mod players;
pub mod roach2;
pub mod roach_app;
pub mod station;
pub mod valon;
