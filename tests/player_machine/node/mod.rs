//! The node around the player, driven by events and spoken to in ZMTP bytes.

mod calls;
mod faults;
mod handmade;
mod house;
mod leases;
mod mapped;
mod repeats;
