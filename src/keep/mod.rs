//! The keeper: parent of a program that must outlive the daemon.
//!
//! Real DAQ programs ask the kernel for a signal when their parent dies, and read their commands from a pipe the
//! parent holds. A daemon that is killed, upgraded or restarted would take a running scan with it. So the parent is
//! this small process (`appliance keep`, the same binary), in a session of its own:
//!
//! ```text
//! daemon ── Unix socket, JSON lines ── keeper ── pipes ── program
//!    ✗ killed                             │ keeps output and exit status
//! daemon (the next) ── Unix socket ───────┘
//! ```
//!
//! One client at a time: a new one takes the place of the old one. When the program has ended, the keeper keeps its
//! exit status until a client has taken it ([`message::Order::End`]), at most [`keeper::LINGER`].

pub mod keeper;
pub mod look;
pub mod message;
