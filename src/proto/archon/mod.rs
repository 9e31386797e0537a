//! The wire protocol of an STA Archon controller (TCP 4242): commands, framing, replies.
//!
//! ```text
//! host        >20FETCHA000000000000001\n        '>' id COMMAND LF, id two upper-case hex digits
//! controller  <20:(1024 bytes)                  one binary block, no LF; FETCH answers with N of them
//!             <24text\n                         success
//!             ?24\n                             refused; no reason is given
//! ```
//!
//! A block is recognised by `:` *and* by the command that owns the id; headers are stripped by
//! position, never searched for.

pub mod command;
pub mod decoder;
pub mod frame;
pub mod host;
pub mod reply;

pub use command::{Command, Expect, Timeouts};
pub use decoder::{Colon, Decoder, Desync, Item};
pub use frame::{Buffer, Frame, Sample};
pub use reply::{ModuleType, Power, ReplyError, Status, System};

/// Bytes of a binary block, without its 4-byte header.
pub const BLOCK: usize = 1024;
/// Lines of configuration memory.
pub const CONFIG_LINES: u16 = 0x4000;
/// Characters of a configuration line (`KEY=VALUE`).
pub const LINE_MAX: usize = 2048;
/// Characters of a parameter's name.
pub const NAME_MAX: usize = 64;
/// Longest command: the vendor's FLASH has 2065 characters.
pub const COMMAND_MAX: usize = 2065;
/// Largest parameter value (20 bit).
pub const PARAMETER_MAX: u32 = 0xF_FFFF;
/// Ticks of the controller's clock per second: 10 ns each.
pub const TICKS_PER_SECOND: u64 = 100_000_000;
/// TCP port, unless configured.
pub const DEFAULT_PORT: u16 = 4242;
