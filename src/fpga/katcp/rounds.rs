//! Operations that look before they write: round 1 reads, round 2 writes what differs and reads it
//! back. The ARP table gets one more try, because a running tap may learn stations in between.

use super::requests::{self, Ask, Collected};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};

/// Where the ARP table of a 10 GbE core begins, bytes.
pub(in crate::fpga) const ARP_TABLE: u32 = 0x3000;
/// Tries of an ARP entry.
const ARP_TRIES: u32 = 2;

/// What the next round is.
pub(super) enum Next {
    Ask(Vec<Ask>),
    Done(Result<FpgaReply, FpgaError>),
}

/// A value wanted somewhere.
#[derive(Clone, Debug)]
struct Wanted {
    register: String,
    offset: u32,
    data: Vec<u8>,
    verify: bool,
}

/// An operation of several rounds.
#[derive(Debug)]
pub(super) struct Rounds {
    wanted: Vec<Wanted>,
    names_reported: bool,
    written: Option<Vec<String>>,
    failures: Vec<(String, FpgaError)>,
    tries: u32,
}

impl Rounds {
    /// `None`: the operation takes one round.
    pub(super) fn of(op: &FpgaOp, unverified: &[String]) -> Option<Rounds> {
        let (wanted, names_reported) = match op {
            FpgaOp::SetArp { device, entries } => (arp(device, entries), false),
            FpgaOp::WriteChanged { words, blobs } => (flush(words, blobs, unverified), true),
            _ => return None,
        };
        let tries = if names_reported { 1 } else { ARP_TRIES };
        Some(Rounds { wanted, names_reported, written: None, failures: Vec::new(), tries })
    }

    /// Round 1: everything as it is now.
    pub(super) fn first(&mut self) -> Vec<Ask> {
        let wanted = std::mem::take(&mut self.wanted);
        let (good, bad): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|w| read_of(w).is_ok());
        self.failures.extend(bad.into_iter().filter_map(|w| read_of(&w).err().map(|e| (w.register, e))));
        self.wanted = good;
        self.wanted.iter().filter_map(|w| read_of(w).ok()).flatten().collect()
    }

    /// What follows from the replies of a round.
    pub(super) fn next(&mut self, collected: Collected) -> Next {
        if self.written.is_none() {
            return self.write(collected);
        }
        let again = !collected.failures.is_empty() && self.tries > 1 && all_unverified(&collected.failures);
        if again {
            self.tries -= 1;
            self.written = None;
            return Next::Ask(self.first());
        }
        self.failures.extend(collected.failures);
        Next::Done(self.result())
    }

    fn write(&mut self, collected: Collected) -> Next {
        let failed = |w: &Wanted| collected.failures.iter().any(|(r, _)| *r == w.register);
        let differs = |w: &Wanted| slice_of(&collected, w) != w.data;
        let changed: Vec<Wanted> = self.wanted.iter().filter(|w| !failed(w) && differs(w)).cloned().collect();
        self.written = Some(changed.iter().map(|w| w.register.clone()).collect());
        self.failures.extend(collected.failures);
        let asks: Vec<Ask> = changed.iter().filter_map(write_of).flatten().collect();
        match asks.is_empty() {
            true => Next::Done(self.result()),
            false => Next::Ask(asks),
        }
    }

    fn result(&mut self) -> Result<FpgaReply, FpgaError> {
        let mut failures = std::mem::take(&mut self.failures);
        let mut written = self.written.take().unwrap_or_default();
        failures.dedup_by(|a, b| a.0 == b.0);
        written.retain(|w| !failures.iter().any(|(f, _)| f == w));
        match (failures.is_empty(), self.names_reported) {
            (true, true) => Ok(FpgaReply::Written(written)),
            (true, false) => Ok(FpgaReply::Done),
            (false, true) => {
                Err(FpgaError::FlushFailed { attempted: self.attempted(&failures), written, failures })
            }
            (false, false) => Err(failures.remove(0).1),
        }
    }

    fn attempted(&self, failures: &[(String, FpgaError)]) -> usize {
        let refused = failures.iter().filter(|(f, _)| !self.wanted.iter().any(|w| w.register == *f)).count();
        self.wanted.len() + refused
    }
}

fn all_unverified(failures: &[(String, FpgaError)]) -> bool {
    failures.iter().all(|(_, e)| matches!(e, FpgaError::VerifyFailed { .. }))
}

fn read_of(wanted: &Wanted) -> Result<Vec<Ask>, FpgaError> {
    let len = u32::try_from(wanted.data.len()).unwrap_or(u32::MAX);
    requests::read(&wanted.register, wanted.offset, len)
}

fn write_of(wanted: &Wanted) -> Option<Vec<Ask>> {
    requests::write(&wanted.register, wanted.offset, &wanted.data, wanted.verify).ok()
}

/// What was read where `wanted` goes. Entries of one register were read as separate pieces.
fn slice_of(collected: &Collected, wanted: &Wanted) -> Vec<u8> {
    let end = wanted.offset.saturating_add(wanted.data.len() as u32);
    collected.read(&wanted.register, wanted.offset..end)
}

fn arp(device: &str, entries: &[(u8, u64)]) -> Vec<Wanted> {
    let entry = |(octet, mac): &(u8, u64)| Wanted {
        register: device.to_owned(),
        offset: ARP_TABLE + 8 * u32::from(*octet),
        data: (mac & 0xFFFF_FFFF_FFFF).to_be_bytes().to_vec(),
        verify: true,
    };
    entries.iter().map(entry).collect()
}

fn flush(words: &[(String, u32)], blobs: &[(String, Vec<u8>)], unverified: &[String]) -> Vec<Wanted> {
    let words = words.iter().map(|(r, v)| (r, v.to_be_bytes().to_vec()));
    let blobs = blobs.iter().map(|(r, b)| (r, b.clone()));
    let wanted = |(register, data): (&String, Vec<u8>)| Wanted {
        register: register.clone(),
        offset: 0,
        data,
        verify: !unverified.contains(register),
    };
    words.chain(blobs).map(wanted).collect()
}
