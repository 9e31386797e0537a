//! A simulated Valon 5008 at the level of its bytes.

use crate::proto::valon::registers::Registers;
use crate::proto::valon::tuning::detector_mhz;
use crate::proto::valon::{ACK, EXTERNAL, FLASH, LABEL, NACK, READ, Synth, checksum, register};
use std::collections::VecDeque;

/// Reference out of the box, Hz.
const REFERENCE_HZ: u32 = 10_000_000;
/// Limits of the VCO out of the box, MHz.
const VCO_MHZ: (u16, u16) = (2200, 4400);
/// Words of an output at 1500 MHz and 5 dBm.
const AT_1500_MHZ: Registers =
    Registers([0x0096_0000, 0x0000_8009, 0x1800_4E42, 0x0000_04B3, 0x0095_003C, 0x0058_0005]);

/// How a simulated synthesizer fails to lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFault {
    /// It locks to nothing.
    Never,
    /// It locks, but is found unlocked from this look on (counted from 1).
    LostAt(u64),
}

impl LockFault {
    /// Is it unlocked at this look, the first being 1?
    pub fn strikes(self, look: u64) -> bool {
        match self {
            LockFault::Never => true,
            LockFault::LostAt(first) => look >= first,
        }
    }
}

/// One of the two halves.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Half {
    registers: Registers,
    label: [u8; LABEL],
    vco: (u16, u16),
}

/// The module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valon {
    halves: [Half; 2],
    reference_hz: u32,
    external: bool,
    /// Settings kept so far.
    flashed: u32,
    got: VecDeque<u8>,
    fault: Option<LockFault>,
    /// How often the status was looked at.
    looks: u64,
}

impl Default for Valon {
    fn default() -> Self {
        let half = |text: &[u8]| {
            let mut label = [0; LABEL];
            label[..text.len()].copy_from_slice(text);
            Half { registers: AT_1500_MHZ, label, vco: VCO_MHZ }
        };
        Valon {
            halves: [half(b"Synth A"), half(b"Synth B")],
            reference_hz: REFERENCE_HZ,
            external: false,
            flashed: 0,
            got: VecDeque::new(),
            fault: None,
            looks: 0,
        }
    }
}

impl Valon {
    /// Words, reference, limits of the VCO (MHz) and status as a test wants them.
    pub fn set(&mut self, synth: Synth, registers: Registers, vco: (u16, u16)) {
        let half = &mut self.halves[synth.index()];
        (half.registers, half.vco) = (registers, vco);
    }

    /// From now on it locks like this; `None`: as it should. Looks are counted from now on.
    pub fn set_fault(&mut self, fault: Option<LockFault>) {
        (self.fault, self.looks) = (fault, 0);
    }

    /// The words of one half.
    pub fn registers(&self, synth: Synth) -> Registers {
        self.halves[synth.index()].registers
    }

    /// Output frequency, MHz.
    pub fn frequency_mhz(&self, synth: Synth) -> f64 {
        let registers = &self.halves[synth.index()].registers;
        registers.tuning().mhz(detector_mhz(self.reference_hz, &registers.options()))
    }

    /// How often the settings were kept.
    pub fn flashed(&self) -> u32 {
        self.flashed
    }

    /// Bytes in, bytes out; an unfinished request is kept.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.got.extend(bytes);
        let mut out = Vec::new();
        while let Some(first) = self.got.front().copied() {
            let size = request_len(first);
            if self.got.len() < size {
                break;
            }
            let request: Vec<u8> = self.got.drain(..size).collect();
            out.extend(self.answer(&request));
        }
        out
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let first = request[0];
        let synth = if first & 0x08 == 0 { Synth::A } else { Synth::B };
        if first & READ != 0 {
            let mut payload = self.read(synth, first & 7);
            payload.push(checksum(&payload));
            return payload;
        }
        let Some((sum, body)) = request.split_last() else { return Vec::new() };
        let done = checksum(body) == *sum && self.write(synth, body);
        vec![if done { ACK } else { NACK }]
    }

    fn read(&mut self, synth: Synth, number: u8) -> Vec<u8> {
        let half = &self.halves[synth.index()];
        match number {
            register::TUNING => half.registers.bytes(),
            register::REFERENCE => self.reference_hz.to_be_bytes().to_vec(),
            register::LABEL => half.label.to_vec(),
            register::VCO => [half.vco.0.to_be_bytes(), half.vco.1.to_be_bytes()].concat(),
            _ => {
                self.looks += 1;
                vec![self.status()]
            }
        }
    }

    fn write(&mut self, synth: Synth, body: &[u8]) -> bool {
        let (first, payload) = (body[0], &body[1..]);
        if first == FLASH {
            self.flashed += 1;
            return true;
        }
        let half = &mut self.halves[synth.index()];
        let number =
            |at: usize, len: usize| payload[at..at + len].iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
        match first & 7 {
            register::TUNING => half.registers = Registers::from_bytes(payload),
            register::REFERENCE => self.reference_hz = number(0, 4),
            register::LABEL => half.label.copy_from_slice(payload),
            register::VCO => half.vco = (number(0, 2) as u16, number(2, 2) as u16),
            register::STATUS => self.external = payload[0] & EXTERNAL != 0,
            _ => return false,
        }
        true
    }

    /// A half is locked when its VCO runs within its limits.
    fn status(&self) -> u8 {
        let locked = |synth: Synth| {
            let half = &self.halves[synth.index()];
            let detector = detector_mhz(self.reference_hz, &half.registers.options());
            let vco = half.registers.tuning().vco_mhz(detector);
            let within = f64::from(half.vco.0) <= vco && vco <= f64::from(half.vco.1);
            if within { synth.lock_bit() } else { 0 }
        };
        if self.fault.is_some_and(|fault| fault.strikes(self.looks)) {
            return u8::from(self.external);
        }
        u8::from(self.external) | locked(Synth::A) | locked(Synth::B)
    }
}

/// Bytes of a request by its first byte; what is no request is one byte long.
fn request_len(first: u8) -> usize {
    if first & READ != 0 {
        return 1;
    }
    if first == FLASH {
        return 2;
    }
    let payload = match first & !0x08 {
        register::TUNING => Registers::LEN,
        register::REFERENCE | register::VCO => 4,
        register::LABEL => LABEL,
        register::STATUS => 1,
        _ => return 1,
    };
    payload + 2
}
