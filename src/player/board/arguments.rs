//! Arguments of board methods: ranges checked before anything is sent.

use super::procedure::LONGEST_WAIT;
use crate::api::CallError;
use crate::api::bind::Bound;
use crate::fpga::FpgaOp;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Most bytes of one read or write.
pub(super) const MOST_BYTES: u32 = 16 << 20;

/// A text that is there.
pub(super) fn text(bound: &Bound, name: &str) -> Result<String, CallError> {
    match bound.text(name) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(CallError::value_error(format!("{name} is empty"))),
    }
}

/// A whole number within a range.
pub(super) fn whole(bound: &Bound, name: &str, least: i64, most: i64) -> Result<i64, CallError> {
    let value = bound.int(name).unwrap_or(0);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(CallError::value_error(format!("{name} is {value}; it must be {least} to {most}")))
}

/// A number of 32 bits without sign.
pub(super) fn word(bound: &Bound, name: &str) -> Result<u32, CallError> {
    whole(bound, name, 0, i64::from(u32::MAX)).map(|v| v as u32)
}

/// An IPv4 address as the number it is.
pub(super) fn address(bound: &Bound, name: &str) -> Result<Ipv4Addr, CallError> {
    word(bound, name).map(Ipv4Addr::from)
}

/// 48 bits.
pub(super) fn mac(bound: &Bound, name: &str) -> Result<u64, CallError> {
    whole(bound, name, 0, 0xFFFF_FFFF_FFFF).map(|v| v as u64)
}

/// A UDP or TCP port.
pub(super) fn port(bound: &Bound, name: &str) -> Result<u16, CallError> {
    whole(bound, name, 0, 65_535).map(|v| v as u16)
}

/// A number of bytes to read.
pub(super) fn size(bound: &Bound) -> Result<u32, CallError> {
    whole(bound, "size", 1, i64::from(MOST_BYTES)).map(|v| v as u32)
}

/// Bytes to write.
pub(super) fn payload(bound: &Bound) -> Result<Vec<u8>, CallError> {
    let data = bound.bytes("data").unwrap_or_default();
    if data.is_empty() || data.len() > MOST_BYTES as usize {
        let text = format!("data has {} bytes; it must have 1 to {MOST_BYTES}", data.len());
        return Err(CallError::value_error(text));
    }
    Ok(data.to_vec())
}

/// Byte offset of a 32-bit word.
pub(super) fn word_offset(bound: &Bound) -> Result<u32, CallError> {
    whole(bound, "offset", 0, i64::from(u32::MAX / 4)).map(|v| v as u32 * 4)
}

/// A wait in seconds; a negative one, and null, mean as long as we wait at all.
pub(super) fn wait(bound: &Bound, name: &str) -> Duration {
    let seconds = bound.number(name).filter(|s| *s >= 0.0);
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).map_or(LONGEST_WAIT, |d| d.min(LONGEST_WAIT))
}

/// A boolean.
pub(super) fn flag(bound: &Bound, name: &str) -> bool {
    bound.flag(name).unwrap_or(false)
}

/// Read a 32-bit word at a byte offset.
pub(super) fn read_word(register: impl Into<String>, offset: u32) -> FpgaOp {
    FpgaOp::Read { register: register.into(), offset, len: 4 }
}

/// Write a 32-bit word at a byte offset and read it back if wanted.
pub(super) fn write_word(register: impl Into<String>, offset: u32, value: u32, verify: bool) -> FpgaOp {
    FpgaOp::Write { register: register.into(), offset, data: value.to_be_bytes().to_vec(), verify }
}

/// A request of the board's server with texts.
pub(super) fn request<A: Into<Vec<u8>>>(name: &str, args: impl IntoIterator<Item = A>) -> FpgaOp {
    FpgaOp::Raw { name: name.to_owned(), args: args.into_iter().map(Into::into).collect() }
}
