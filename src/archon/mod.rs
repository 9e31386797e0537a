//! The role `archon`: one or more STA Archon controllers, from ACF to FITS.
//!
//! ```text
//!  calls ─► role (exposures, orders of operators) ─► controller (one each: procedures, safety) ─► commands
//!             │                                          ▲
//!             └─► frames jobs, hooks, progress            └── replies, frames, silence
//! ```
//!
//! Pure: calls, replies, time in; commands, file jobs, hook calls out. Every command passes one checked
//! place, [`controller`]'s gate, before it leaves; see [`safety`].

pub mod controller;
mod exposure;
pub mod hooks;
pub mod methods;
pub mod role;
pub mod safety;
pub mod status_word;
pub mod window;
