//! The frequency synthesizers Valon 5007 and 5008 on their serial line, 9600 8N1.
//!
//! ```text
//! read    80|s|r                        ->  payload, checksum
//! write   s|r, payload, checksum        ->  06 (done) or 15 (refused)
//! ```
//!
//! s is the synthesizer ([`Synth`]), r the number of a register, the checksum the sum of the bytes before it.
//! There is no framing: a reply has the length its request gives it.

pub mod order;
pub mod registers;
pub mod tuning;

use registers::Registers;
use thiserror::Error;

/// One of the two synthesizers of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Synth {
    /// Number 0.
    A,
    /// Number 8.
    B,
}

impl Synth {
    /// From the number callers use.
    pub fn of(number: i64) -> Option<Synth> {
        match number {
            0 => Some(Synth::A),
            8 => Some(Synth::B),
            _ => None,
        }
    }

    /// 0 or 1.
    pub fn index(self) -> usize {
        usize::from(self == Synth::B)
    }

    fn bits(self) -> u8 {
        if self == Synth::A { 0x00 } else { 0x08 }
    }

    /// Its bit in the status byte: locked to its reference.
    pub fn lock_bit(self) -> u8 {
        if self == Synth::A { 0x20 } else { 0x10 }
    }
}

/// Bit of the status byte: the reference comes from outside.
pub const EXTERNAL: u8 = 0x01;
/// A write is done.
pub const ACK: u8 = 0x06;
/// A write is refused.
pub const NACK: u8 = 0x15;
/// Says that a request reads.
pub const READ: u8 = 0x80;
/// Keeps the settings over a power cut.
pub const FLASH: u8 = 0x40;
/// Characters of a label.
pub const LABEL: usize = 16;

/// What a synthesizer holds, by number.
pub mod register {
    /// Six words that set frequency, level and options.
    pub const TUNING: u8 = 0;
    /// The reference, Hz.
    pub const REFERENCE: u8 = 1;
    /// A text of its owner.
    pub const LABEL: u8 = 2;
    /// Limits of the VCO, MHz.
    pub const VCO: u8 = 3;
    /// Lock and source of the reference.
    pub const STATUS: u8 = 6;
}

/// One exchange on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the six words.
    Registers(Synth),
    /// Write them.
    SetRegisters(Synth, Registers),
    /// Read the reference.
    Reference,
    /// Write it, Hz.
    SetReference(u32),
    /// Read the label.
    Label(Synth),
    /// Write it, padded with zeros.
    SetLabel(Synth, [u8; LABEL]),
    /// Read the limits of the VCO.
    Vco(Synth),
    /// Write them, MHz.
    SetVco(Synth, u16, u16),
    /// Read the status byte.
    Status(Synth),
    /// Take the reference from outside, or not.
    SetExternal(bool),
    /// Keep everything over a power cut.
    Flash,
}

/// What a request gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of [`Request::Registers`].
    Registers(Registers),
    /// Of [`Request::Reference`], Hz.
    Reference(u32),
    /// Of [`Request::Label`].
    Label([u8; LABEL]),
    /// Of [`Request::Vco`], MHz.
    Vco(u16, u16),
    /// Of [`Request::Status`].
    Status(u8),
    /// Of a write: done, or refused.
    Written(bool),
}

/// A reply that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The sum is wrong: bytes were lost or changed.
    #[error("checksum 0x{got:02x} instead of 0x{wanted:02x}")]
    Checksum {
        /// The byte received.
        got: u8,
        /// The sum of the payload.
        wanted: u8,
    },
    /// Neither ACK nor NACK.
    #[error("0x{0:02x} is neither ACK (0x06) nor NACK (0x15)")]
    NoAck(u8),
    /// The caller gave too few or too many bytes.
    #[error("{got} bytes instead of {wanted}")]
    Length {
        /// Bytes given.
        got: usize,
        /// Bytes of this reply.
        wanted: usize,
    },
}

/// Sum of bytes, modulo 256.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

impl Request {
    /// As it goes out.
    pub fn bytes(&self) -> Vec<u8> {
        use register::*;
        let read = |synth: Synth, register| vec![READ | synth.bits() | register];
        match self {
            Request::Registers(s) => read(*s, TUNING),
            Request::Reference => read(Synth::A, REFERENCE),
            Request::Label(s) => read(*s, LABEL),
            Request::Vco(s) => read(*s, VCO),
            Request::Status(s) => read(*s, STATUS),
            Request::SetRegisters(s, registers) => summed(s.bits() | TUNING, &registers.bytes()),
            Request::SetReference(hz) => summed(REFERENCE, &hz.to_be_bytes()),
            Request::SetLabel(s, label) => summed(s.bits() | LABEL, label),
            Request::SetVco(s, low, high) => {
                summed(s.bits() | VCO, &[low.to_be_bytes(), high.to_be_bytes()].concat())
            }
            Request::SetExternal(external) => summed(STATUS, &[u8::from(*external)]),
            Request::Flash => summed(FLASH, &[]),
        }
    }

    /// Bytes of its reply.
    pub fn reply_len(&self) -> usize {
        let payload = match self {
            Request::Registers(_) => Registers::LEN,
            Request::Reference | Request::Vco(_) => 4,
            Request::Label(_) => LABEL,
            Request::Status(_) => 1,
            _ => 0,
        };
        payload + 1
    }

    /// Understands the bytes of its reply, as many as [`Request::reply_len`] says.
    pub fn reply(&self, bytes: &[u8]) -> Result<Reply, ReplyError> {
        let (wanted, got) = (self.reply_len(), bytes.len());
        let Some((&last, payload)) = bytes.split_last().filter(|_| got == wanted) else {
            return Err(ReplyError::Length { got, wanted });
        };
        if payload.is_empty() {
            return match last {
                ACK => Ok(Reply::Written(true)),
                NACK => Ok(Reply::Written(false)),
                other => Err(ReplyError::NoAck(other)),
            };
        }
        let sum = checksum(payload);
        if sum != last {
            return Err(ReplyError::Checksum { got: last, wanted: sum });
        }
        Ok(self.understood(payload))
    }

    fn understood(&self, payload: &[u8]) -> Reply {
        let number =
            |range: std::ops::Range<usize>| payload[range].iter().fold(0, |n, b| n << 8 | u32::from(*b));
        match self {
            Request::Registers(_) => Reply::Registers(Registers::from_bytes(payload)),
            Request::Label(_) => {
                let mut label = [0; LABEL];
                label.copy_from_slice(payload);
                Reply::Label(label)
            }
            Request::Vco(_) => Reply::Vco(number(0..2) as u16, number(2..4) as u16),
            Request::Status(_) => Reply::Status(payload[0]),
            _ => Reply::Reference(number(0..4)),
        }
    }
}

/// A write: first byte, payload, sum of both.
fn summed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend_from_slice(payload);
    bytes.push(checksum(&bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_were_lost_or_changed_are_noticed() {
        let vco = Request::Vco(Synth::A);
        assert_eq!(vco.reply(&[0x08, 0x98, 0x11, 0x30, 0xE1]), Ok(Reply::Vco(2200, 4400)));
        let bad = ReplyError::Checksum { got: 0xE2, wanted: 0xE1 };
        assert_eq!(vco.reply(&[0x08, 0x98, 0x11, 0x30, 0xE2]), Err(bad));
        assert_eq!(vco.reply(&[0x08]), Err(ReplyError::Length { got: 1, wanted: 5 }));
        assert_eq!(vco.reply(&[]), Err(ReplyError::Length { got: 0, wanted: 5 }));
        assert_eq!(Request::Flash.reply(&[0x07]), Err(ReplyError::NoAck(7)));
    }

    #[test]
    fn a_label_is_padded_and_summed() {
        let mut label = [0; LABEL];
        label[..2].copy_from_slice(b"LO");
        let bytes = Request::SetLabel(Synth::B, label).bytes();
        assert_eq!((bytes[0], bytes.len()), (0x0A, 18));
        assert_eq!(bytes[17], checksum(&bytes[..17]));
    }
}
