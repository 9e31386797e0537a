//! The header of an image: which cards, in which order, in how much room.
//!
//! ```text
//! SIMPLE BITPIX NAXIS NAXIS1 NAXIS2 | the cards of the role | BUFFER BSCALE BZERO CHECKSUM DATASUM | END
//! ```
//!
//! The data begin where [`room`] said when the file was opened. A header that needs less is filled with blank
//! cards before END, which is what CFITSIO does with reserved space; one that needs more moves the data.

use super::cards::{self, COLUMNS, keyword};
use super::jobs::{Card, FrameId};
use super::pixels::fold;
use crate::proto::archon::Sample;
use crate::units::Utc;
use crate::value::Value;
use fitsio_pure::checksum::encode_checksum;

/// Bytes of a FITS block.
pub(super) const BLOCK: u64 = 2880;
/// Cards that may be added after Open before data have to be moved.
const SPARE_CARDS: usize = 12;
/// Cards that only this file writes.
const OURS: &[&str] =
    &["SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "BSCALE", "BZERO", "CHECKSUM", "DATASUM", "END"];

/// What the header says beside the cards of the role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bits.
    pub sample: Sample,
    /// Which frame.
    pub id: &'a FrameId,
}

/// Bytes to leave before the data for these cards and some more.
pub(super) fn room(frame: Frame, own: &[Card]) -> u64 {
    let header = text(frame, own, 0, "0", Utc(0));
    ((header.len() + SPARE_CARDS * COLUMNS) as u64).next_multiple_of(BLOCK)
}

/// The header with its checksums, at least `room` bytes long, a multiple of a block.
pub(super) fn whole(frame: Frame, own: &[Card], datasum: u32, room: u64, at: Utc) -> Vec<u8> {
    let unsigned = filled(text(frame, own, datasum, &"0".repeat(16), at), room);
    let total = fold(u128::from(sum(&unsigned)) + u128::from(datasum));
    let signature = encode_checksum(total, true);
    filled(text(frame, own, datasum, &String::from_utf8_lossy(&signature), at), room)
}

/// Blank cards, END, blanks up to a whole block.
fn filled(mut header: Vec<u8>, room: u64) -> Vec<u8> {
    let length = ((header.len() + COLUMNS) as u64).next_multiple_of(BLOCK).max(room) as usize;
    // END is the last card of the last block: in front of it only blank cards, behind it nothing.
    header.resize(length - COLUMNS, b' ');
    header.extend_from_slice(b"END");
    header.resize(length, b' ');
    header
}

/// All cards without END.
fn text(frame: Frame, own: &[Card], datasum: u32, checksum: &str, at: Utc) -> Vec<u8> {
    let (bits, zero) = match frame.sample {
        Sample::U16 => (16, 1i64 << 15),
        Sample::U32 => (32, 1i64 << 31),
    };
    let c = at.civil();
    let when =
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second);
    let buffer = own
        .iter()
        .find(|c| keyword(&c.key) == "BUFFER")
        .cloned()
        .unwrap_or_else(|| card("BUFFER", i64::from(frame.id.buffer), "The buffer number read"));
    let first = [
        card("SIMPLE", true, "conforms to FITS standard"),
        card("BITPIX", bits, "array data type"),
        card("NAXIS", 2, "number of array dimensions"),
        card("NAXIS1", i64::from(frame.width), ""),
        card("NAXIS2", i64::from(frame.height), ""),
    ];
    let last = [
        buffer,
        card("BSCALE", 1, ""),
        card("BZERO", zero, ""),
        card("CHECKSUM", checksum, &format!("HDU checksum updated {when}")),
        card("DATASUM", datasum.to_string(), &format!("data unit checksum updated {when}")),
    ];
    let middle = own.iter().filter(|c| {
        let key = keyword(&c.key);
        !matches!(key.as_str(), "BUFFER" | "LONGSTRN") && !OURS.contains(&key.as_str())
    });
    let mut text: Vec<u8> = first.iter().chain(middle).flat_map(cards::format).collect();
    if text.chunks(COLUMNS).any(|c| c.starts_with(b"CONTINUE")) {
        text.extend(cards::format(&card("LONGSTRN", "OGIP 1.0", "some texts are continued")));
    }
    text.extend(last.iter().flat_map(cards::format));
    text
}

/// Replaces the value of the card with this key (an empty comment keeps the old one), or adds the card.
pub(super) fn put(own: &mut Vec<Card>, new: Card) {
    let key = keyword(&new.key);
    let commentary = matches!(key.as_str(), "COMMENT" | "HISTORY" | "");
    match own.iter_mut().find(|c| !commentary && keyword(&c.key) == key) {
        Some(card) => {
            card.value = new.value;
            if !new.comment.is_empty() {
                card.comment = new.comment;
            }
        }
        None => own.push(new),
    }
}

/// A card.
pub(super) fn card(key: &str, value: impl Into<Value>, comment: &str) -> Card {
    Card { key: key.to_owned(), value: value.into(), comment: comment.to_owned() }
}

/// Ones' complement sum of big-endian 32-bit words; `bytes` is a multiple of four long.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks_exact(4).map(|w| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]])));
    fold(u128::from(words.sum::<u64>()))
}
