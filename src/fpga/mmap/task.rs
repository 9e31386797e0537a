//! An operation as moves of bounded length.

use super::window::Window;
use crate::fpga::katcp::{ARP_TABLE, compare};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply, OpId};
use std::collections::VecDeque;

/// Most bytes of one move: even at a microsecond a word other work waits for no more than some milliseconds.
pub(super) const PIECE: usize = 16 << 10;
/// Tries of an ARP entry, which a running core may change in between.
const ARP_TRIES: u32 = 2;

/// A core's own MAC address, bytes from its start.
const CORE_MAC: u32 = 0x00;
/// A core's own IP address.
const CORE_IP: u32 = 0x10;
/// A core's reset, enable and port bits.
const CORE_CONTROL: u32 = 0x20;
/// Written first: the core is reset.
const CORE_RESET: u32 = 0x01FE_0000;
/// Written then: the fabric side is enabled.
const CORE_ENABLED: u32 = 0x00FF_0000;
/// Entries of an ARP table.
const ARP_ENTRIES: usize = 256;
/// The entry of nobody.
const NO_MAC: u64 = 0xFFFF_FFFF_FFFF;

/// Bytes of a register.
#[derive(Clone, Debug)]
struct At {
    register: String,
    offset: u32,
    data: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Move {
    Read {
        register: String,
        offset: u32,
        len: u32,
    },
    Write(At),
    Compare(At),
    /// Write only what differs.
    Change(At),
}

/// What the reply is made of.
#[derive(Debug)]
enum Kind {
    Bytes,
    Done,
    /// Every failure is reported, with what was written.
    Flush,
    /// Whatever failed is tried again, this often.
    Arp {
        tries: u32,
        again: Vec<Move>,
    },
}

/// An operation under way.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: OpId,
    kind: Kind,
    moves: VecDeque<Move>,
    read: Vec<u8>,
    attempted: usize,
    written: Vec<String>,
    failures: Vec<(String, FpgaError)>,
}

impl Task {
    /// The moves of an operation on registers, checked as far as they can be before the first; `None`: it is
    /// no such operation.
    pub(super) fn of(id: OpId, op: &FpgaOp, window: &Window) -> Option<Result<Task, FpgaError>> {
        Some(match op {
            FpgaOp::Read { register, offset, len } => {
                read(window, register, *offset, *len).map(|m| (Kind::Bytes, m))
            }
            FpgaOp::Write { register, offset, data, verify } => {
                write(window, register, *offset, data, *verify).map(|m| (Kind::Done, m))
            }
            FpgaOp::WriteChanged { words, blobs } => Ok((Kind::Flush, flush(words, blobs))),
            FpgaOp::SetArp { device, entries } => {
                Ok((Kind::Arp { tries: ARP_TRIES, again: vec![] }, arp(device, entries)))
            }
            FpgaOp::TapStart { device, mac, ip, port, .. } => {
                tap_start(window, device, *mac, ip.octets(), *port).map(|m| (Kind::Done, m))
            }
            _ => return None,
        })
        .map(|made| {
            made.map(|(kind, moves)| Task {
                id,
                attempted: match op {
                    FpgaOp::WriteChanged { words, blobs } => words.len() + blobs.len(),
                    _ => 0,
                },
                kind,
                moves: moves.into(),
                read: Vec::new(),
                written: Vec::new(),
                failures: Vec::new(),
            })
        })
    }

    /// Makes the next move; bytes touched and, at the end, the result.
    pub(super) fn step(&mut self, window: &mut Window) -> (usize, Option<Result<FpgaReply, FpgaError>>) {
        let Some(next) = self.moves.pop_front() else { return (0, Some(self.result())) };
        let touched = next.len();
        match (self.make(&next, window), &mut self.kind) {
            (Ok(()), _) => {}
            (Err(error), Kind::Flush) => {
                let register = next.register().to_owned();
                self.moves.retain(|m| m.register() != register);
                self.failures.push((register, error));
            }
            (Err(FpgaError::VerifyFailed { .. }), Kind::Arp { tries, again }) if *tries > 1 => {
                again.push(next)
            }
            (Err(error), _) => return (touched, Some(Err(error))),
        }
        if self.moves.is_empty() {
            self.try_again();
        }
        (touched, self.moves.is_empty().then(|| self.result()))
    }

    fn try_again(&mut self) {
        if let Kind::Arp { tries, again } = &mut self.kind {
            *tries -= 1;
            self.moves = std::mem::take(again).into();
        }
    }

    fn make(&mut self, next: &Move, window: &mut Window) -> Result<(), FpgaError> {
        match next {
            Move::Read { register, offset, len } => self.read.extend(window.read(register, *offset, *len)?),
            Move::Write(at) => window.write(&at.register, at.offset, &at.data)?,
            Move::Compare(at) => verify(at, window)?,
            Move::Change(at) => {
                if current(at, window)? != at.data {
                    window.write(&at.register, at.offset, &at.data)?;
                    verify(at, window)?;
                    if self.written.last() != Some(&at.register) {
                        self.written.push(at.register.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn result(&mut self) -> Result<FpgaReply, FpgaError> {
        let failures = std::mem::take(&mut self.failures);
        let mut written = std::mem::take(&mut self.written);
        written.retain(|w| !failures.iter().any(|(f, _)| f == w));
        match self.kind {
            Kind::Bytes => Ok(FpgaReply::Bytes(std::mem::take(&mut self.read))),
            Kind::Done | Kind::Arp { .. } => Ok(FpgaReply::Done),
            Kind::Flush if failures.is_empty() => Ok(FpgaReply::Written(written)),
            Kind::Flush => Err(FpgaError::FlushFailed { attempted: self.attempted, written, failures }),
        }
    }
}

impl Move {
    fn register(&self) -> &str {
        match self {
            Move::Read { register, .. } => register,
            Move::Write(at) | Move::Compare(at) | Move::Change(at) => &at.register,
        }
    }

    fn len(&self) -> usize {
        match self {
            Move::Read { len, .. } => *len as usize,
            Move::Write(at) | Move::Compare(at) | Move::Change(at) => at.data.len(),
        }
    }
}

fn current(at: &At, window: &Window) -> Result<Vec<u8>, FpgaError> {
    window.read(&at.register, at.offset, at.data.len() as u32)
}

fn verify(at: &At, window: &Window) -> Result<(), FpgaError> {
    compare(&at.register, at.offset, &at.data, &current(at, window)?)
}

/// Data for a register in pieces.
fn pieces(register: &str, offset: u32, data: &[u8]) -> Vec<At> {
    let piece = |(n, piece): (usize, &[u8])| At {
        register: register.to_owned(),
        offset: offset + (n * PIECE) as u32,
        data: piece.to_vec(),
    };
    data.chunks(PIECE).enumerate().map(piece).collect()
}

fn read(window: &Window, register: &str, offset: u32, len: u32) -> Result<Vec<Move>, FpgaError> {
    if len == 0 || offset.checked_add(len).is_none() {
        return Err(FpgaError::Invalid(format!("cannot read {len} bytes at offset {offset} of {register}")));
    }
    window.check_read(register, offset, len)?;
    let piece = |at: u32| Move::Read {
        register: register.to_owned(),
        offset: offset + at,
        len: (len - at).min(PIECE as u32),
    };
    Ok((0..len).step_by(PIECE).map(piece).collect())
}

fn write(
    window: &Window,
    register: &str,
    offset: u32,
    data: &[u8],
    verify: bool,
) -> Result<Vec<Move>, FpgaError> {
    let end = u32::try_from(data.len()).ok().and_then(|len| offset.checked_add(len));
    let Some(_) = end.filter(|_| !data.is_empty()) else {
        let text = format!("cannot write {} bytes at offset {offset} of {register}", data.len());
        return Err(FpgaError::Invalid(text));
    };
    window.check_write(register, offset, data)?;
    if verify {
        window.check_read(register, offset, data.len() as u32)?;
    }
    let parts = pieces(register, offset, data);
    let compared: Vec<Move> = parts.iter().filter(|_| verify).cloned().map(Move::Compare).collect();
    Ok(parts.into_iter().map(Move::Write).chain(compared).collect())
}

fn flush(words: &[(String, u32)], blobs: &[(String, Vec<u8>)]) -> Vec<Move> {
    let words = words.iter().flat_map(|(register, word)| pieces(register, 0, &word.to_be_bytes()));
    let blobs = blobs.iter().flat_map(|(register, data)| pieces(register, 0, data));
    words.chain(blobs).map(Move::Change).collect()
}

fn arp(device: &str, entries: &[(u8, u64)]) -> Vec<Move> {
    let entry = |(octet, mac): &(u8, u64)| {
        let data = (mac & NO_MAC).to_be_bytes().to_vec();
        Move::Change(At { register: device.to_owned(), offset: ARP_TABLE + 8 * u32::from(*octet), data })
    };
    entries.iter().map(entry).collect()
}

/// What the board's server writes into a 10 GbE core at `tap-start`: addresses, an ARP table that knows only
/// ourselves, reset, enable. The control word is not compared: the core clears its reset bits.
fn tap_start(
    window: &Window,
    device: &str,
    mac: u64,
    ip: [u8; 4],
    port: u16,
) -> Result<Vec<Move>, FpgaError> {
    let own = mac & NO_MAC;
    let entry = |n: usize| if n == usize::from(ip[3]) { own } else { NO_MAC };
    let table: Vec<u8> = (0..ARP_ENTRIES).flat_map(|n| entry(n).to_be_bytes()).collect();
    window.check_write(device, ARP_TABLE, &table)?;
    let control = |bits: u32| (bits + u32::from(port)).to_be_bytes().to_vec();
    let parts = [
        (CORE_MAC, own.to_be_bytes().to_vec(), true),
        (CORE_IP, ip.to_vec(), true),
        (ARP_TABLE, table, true),
        (CORE_CONTROL, control(CORE_RESET), false),
        (CORE_CONTROL, control(CORE_ENABLED), false),
    ];
    let moves = parts.into_iter().map(|(offset, data, verify)| write(window, device, offset, &data, verify));
    Ok(moves.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
