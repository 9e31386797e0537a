//! One register API for every way to reach an FPGA: KATCP socket, memory map, simulator.
//!
//! A backend is a state machine: [`Fpga::submit`] queues an operation, completions come out of
//! [`Fpga::poll`]. Order of submission is order of execution. Bytes of a register are always
//! big-endian (most significant first), offsets and lengths are bytes.

pub mod katcp;
pub mod mmap;
pub mod model;

use crate::units::Now;
use std::net::Ipv4Addr;
use thiserror::Error;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FpgaOp {
    /// Names of the registers of the running design.
    ListDev,
    /// Names of the gateware images the board holds.
    ListBof,
    /// Program an image, or deprogram with `None`.
    Program {
        /// Name of the image, `None` for none.
        image: Option<String>,
    },
    /// Is a design running?
    Status,
    /// Is the server alive?
    Ping,
    /// Does the server count times in milliseconds (KATCP 4) or in seconds? Nothing is sent.
    CountsMilliseconds,
    /// Read bytes.
    Read {
        /// Register name.
        register: String,
        /// Bytes from its start.
        offset: u32,
        /// Bytes.
        len: u32,
    },
    /// Write bytes; with `verify` read them back and compare.
    Write {
        /// Register name.
        register: String,
        /// Bytes from its start.
        offset: u32,
        /// What to write.
        data: Vec<u8>,
        /// Read back and compare.
        verify: bool,
    },
    /// Start a 10 GbE core. `mac`: 48 bits.
    TapStart {
        /// Name of the tap, at most 8 characters.
        tap: String,
        /// Register of the core.
        device: String,
        /// 48 bits.
        mac: u64,
        /// Own address.
        ip: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
    /// Stop a 10 GbE core by its tap name.
    TapStop {
        /// Name of the tap, at most 8 characters.
        tap: String,
    },
    /// Set ARP entries of a 10 GbE core: last octet of the address, 48-bit MAC. Only entries that differ are written.
    SetArp {
        /// Register of the core.
        device: String,
        /// Last octet of the address, 48-bit MAC.
        entries: Vec<(u8, u64)>,
    },
    /// Write bytes to a device on the board's I2C bus.
    I2cWrite {
        /// 7-bit address on the bus.
        address: u8,
        /// What to write.
        data: Vec<u8>,
    },
    /// Read bytes from a device on the board's I2C bus.
    I2cRead {
        /// 7-bit address on the bus.
        address: u8,
        /// Bytes.
        len: u8,
    },
    /// The flush of a mode: read all, write those that differ, read those back. Whole words and whole
    /// blobs from offset 0; at most three round trips while everything fits the window.
    WriteChanged {
        /// Register and its first word.
        words: Vec<(String, u32)>,
        /// Register and its bytes from offset 0.
        blobs: Vec<(String, Vec<u8>)>,
    },
    /// Any other request of the board's server (Valon, diagnostics).
    Raw {
        /// Request name.
        name: String,
        /// Arguments, unescaped.
        args: Vec<Vec<u8>>,
    },
}

/// What an operation yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FpgaReply {
    /// Done, nothing to tell.
    Done,
    /// Names (`ListDev`, `ListBof`).
    Names(Vec<String>),
    /// Bytes (`Read`, `I2cRead`).
    Bytes(Vec<u8>),
    /// Yes or no (`Status`, `Ping`).
    Flag(bool),
    /// Names of the registers that differed and were written (`WriteChanged`), words first.
    Written(Vec<String>),
    /// Reply arguments after `ok`, and the informs before it (`Raw`).
    Raw {
        /// Arguments, unescaped.
        args: Vec<Vec<u8>>,
        /// Arguments of each inform.
        informs: Vec<Vec<Vec<u8>>>,
    },
}

/// Why an operation failed. Rendered texts keep the wording client scripts of the reference match on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FpgaError {
    /// No link to the board.
    #[error("Request {op} failed: not connected to {board} ({why})")]
    NotConnected {
        /// Request name.
        op: String,
        /// Which board.
        board: String,
        /// What happened to the link.
        why: String,
    },
    /// No reply in time; the link is re-opened, so that a late reply is never taken for another.
    #[error("Request {op} timed out after {waited_ms} ms.")]
    Timeout {
        /// Request name.
        op: String,
        /// How long, ms.
        waited_ms: u64,
    },
    /// Reply `fail` or `invalid`.
    #[error("Request {op} failed.\n  Request: {request}\n  Reply: {reply}.{}", log_lines(.log))]
    Rejected {
        /// Request name.
        op: String,
        /// The request as sent.
        request: String,
        /// The reply as received.
        reply: String,
        /// What the server logged as errors meanwhile.
        log: Vec<String>,
    },
    /// The bytes read back are not those written.
    #[error(
        "Verification of write to {register} at offset {offset} failed. Wrote 0x{wrote:08x}... but got back 0x{read:08x}..."
    )]
    VerifyFailed {
        /// Register name.
        register: String,
        /// Bytes from its start.
        offset: u32,
        /// Word written.
        wrote: u32,
        /// Word read back.
        read: u32,
    },
    /// Some registers of a `WriteChanged` failed; all of them are named, the others are done.
    #[error("{} of {attempted} registers failed: {}", .failures.len(), failure_lines(.failures))]
    FlushFailed {
        /// Registers wanted.
        attempted: usize,
        /// Registers written and verified.
        written: Vec<String>,
        /// Registers and why each failed.
        failures: Vec<(String, FpgaError)>,
    },
    /// Refused before anything was sent.
    #[error("{0}")]
    Invalid(String),
    /// The peer broke the protocol.
    #[error("KATCP protocol error: {0}")]
    Protocol(String),
    /// The backend cannot do this.
    #[error("{0} is not supported by this FPGA backend")]
    Unsupported(String),
    /// Given up because the work it belonged to was cancelled.
    #[error("cancelled")]
    Cancelled,
}

fn log_lines(log: &[String]) -> String {
    log.iter().map(|l| format!("\n  Log: {l}")).collect()
}

fn failure_lines(failures: &[(String, FpgaError)]) -> String {
    failures.iter().map(|(register, error)| format!("\n{register}: {error}")).collect()
}

/// Identifies a submitted operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// A way to reach an FPGA.
pub trait Fpga {
    /// Queues an operation.
    fn submit(&mut self, op: FpgaOp, now: Now) -> OpId;
    /// The next completion, if any.
    fn poll(&mut self) -> Option<(OpId, Result<FpgaReply, FpgaError>)>;
}
