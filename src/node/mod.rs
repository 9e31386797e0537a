//! The composition root: sessions, role and call table put together, for the loop to drive.
//!
//! ```text
//!   bytes ─► faces ─► calls (recorded, in turn) ─► role ─► orders ─► links, memory, files, children
//!     ▲      └────────── desk ──────────┘            │
//!     └──────────────────── replies ◄────────────────┘
//! ```
//!
//! What every node has is the [`desk`]; a role's own surroundings are in [`player`] and [`archon`]. Nodes are pure:
//! events and time in, effects out. They route and translate; decisions are the role's. After every event
//! everything that has become due is passed on until nothing moves.

pub mod access;
pub mod archon;
pub mod calls;
pub mod dealer;
pub mod desk;
pub mod dialing;
pub mod faces;
pub mod leases;
pub mod player;
pub mod recorder;
pub mod repeats;
pub mod timers;
pub mod work;

pub use archon::{ArchonNode, ArchonNodeConfig};
pub use dealer::{DealerNode, DealerNodeConfig};
pub use desk::DeskConfig;
pub use player::{NodeConfig, PlayerNode};
