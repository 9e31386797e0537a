//! The node around the player, driven by events and spoken to in ZMTP bytes.

mod calls;
mod faults;
mod house;
mod leases;
mod mapped;
