//! SDFITS: one row per exposure and accumulator, written as the rows come.
//!
//! ```text
//!  primary header | table header (rewritten with the row count) | row | row | ... | fill
//! ```
//!
//! Cards, blocks and checksums are `fitsio-pure`'s; the crate writes whole tables only, so the rows are
//! encoded here, one at a time, and memory stays at one row. The header is rewritten in place after every
//! row, so what a crash leaves behind can be read; it never changes its length.
//!
//! Two styles: [`Style::Correct`] is what we write by default, [`Style::Legacy`] repeats the reference with
//! its oddities (wrong TDIM, FREQRES text, longitude and latitude exchanged, 32-bit TIMECNTR).
//! Not here: file names, syncing and renaming ([`super::output`]).

mod columns;
mod header;
pub mod read;

pub use columns::row_bytes;
pub use header::Provenance;
pub(crate) use header::utc_of_mjd;

use super::accumulate::Row;
use super::heaps::Counters;
use super::setup::Setup;
use fitsio_pure::BLOCK_SIZE;
use fitsio_pure::checksum::{checksum_blocks, encode_checksum, stamp_checksum};
use fitsio_pure::header::{Card, serialize_header};
use fitsio_pure::value::Value;
use std::io::{self, Seek, SeekFrom, Write};

/// Which conventions a file follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    /// True dimensions, 64-bit counter, extra columns for losses.
    #[default]
    Correct,
    /// As the reference writes.
    Legacy,
}

/// A file new rows go to; `W` is a file, or memory in tests.
pub struct SdfitsFile<W> {
    sink: W,
    setup: Setup,
    style: Style,
    start_mjd: f64,
    cards: Vec<Card>,
    table_at: u64,
    data_at: u64,
    rows: u64,
    row_bytes: usize,
    /// Sum of the data as big-endian 32-bit words, end-around carries not yet added.
    sum: u64,
    buffer: Vec<u8>,
}

impl<W: Write + Seek> SdfitsFile<W> {
    /// Writes the headers of an empty file.
    ///
    /// # Errors
    /// What the sink says.
    pub fn create(
        mut sink: W,
        setup: &Setup,
        style: Style,
        origin: &Provenance,
    ) -> io::Result<SdfitsFile<W>> {
        let primary = stamp_checksum(&header::primary(origin).map_err(fits)?, &[]);
        let primary = serialize_header(&primary).map_err(fits)?;
        sink.write_all(&primary)?;
        let cards = header::table(setup, style, origin).map_err(fits)?;
        let table_at = primary.len() as u64;
        let mut file = SdfitsFile {
            sink,
            setup: setup.clone(),
            style,
            start_mjd: origin.start_mjd,
            data_at: table_at + serialize_header(&cards).map_err(fits)?.len() as u64,
            cards,
            table_at,
            rows: 0,
            row_bytes: row_bytes(setup, style),
            sum: 0,
            buffer: Vec::new(),
        };
        file.write_header()?;
        Ok(file)
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row. After an error the file still ends with the row before, and the same row may be tried again.
    ///
    /// # Errors
    /// What the sink says (no space left, ...).
    pub fn append(&mut self, row: &Row) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        columns::encode(row, &self.setup, self.style, self.start_mjd, &mut buffer);
        debug_assert_eq!(buffer.len(), self.row_bytes);
        let result = self.append_bytes(&buffer);
        self.buffer = buffer;
        result
    }

    fn append_bytes(&mut self, row: &[u8]) -> io::Result<()> {
        let at = self.data_at + self.rows * self.row_bytes as u64;
        self.sink.seek(SeekFrom::Start(at))?;
        self.sink.write_all(row)?;
        let before = (self.rows, self.sum);
        self.rows += 1;
        // All columns are multiples of four bytes, so words never straddle rows.
        self.sum +=
            row.chunks_exact(4).map(|w| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]]))).sum::<u64>();
        self.write_header().inspect_err(|_| (self.rows, self.sum) = before)
    }

    /// Fills the last block, writes totals and checksums, and gives the sink back, flushed.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(mut self, totals: &Counters, kernel_drops: u64, reason: &str) -> io::Result<W> {
        header::set_totals(&mut self.cards, totals, kernel_drops, reason);
        let length = self.rows * self.row_bytes as u64;
        let fill = length.next_multiple_of(BLOCK_SIZE as u64) - length;
        self.sink.seek(SeekFrom::Start(self.data_at + length))?;
        self.sink.write_all(&vec![0; fill as usize])?;
        self.write_header()?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// The table header with the present row count and checksums, in its place.
    fn write_header(&mut self) -> io::Result<()> {
        let datasum = fold(self.sum);
        set(&mut self.cards, "NAXIS2", Value::Integer(self.rows as i64));
        set(&mut self.cards, "DATASUM", Value::String(datasum.to_string()));
        set(&mut self.cards, "CHECKSUM", Value::String("0".repeat(16)));
        let blank = serialize_header(&self.cards).map_err(fits)?;
        let total = fold(u64::from(checksum_blocks(&blank)) + u64::from(datasum));
        let text = String::from_utf8_lossy(&encode_checksum(total, true)).into_owned();
        set(&mut self.cards, "CHECKSUM", Value::String(text));
        let header = serialize_header(&self.cards).map_err(fits)?;
        debug_assert_eq!(self.table_at + header.len() as u64, self.data_at);
        self.sink.seek(SeekFrom::Start(self.table_at))?;
        self.sink.write_all(&header)
    }
}

/// Ones' complement sum: carries come back in at the low end.
fn fold(mut sum: u64) -> u32 {
    while sum > u64::from(u32::MAX) {
        sum = (sum & u64::from(u32::MAX)) + (sum >> 32);
    }
    sum as u32
}

fn set(cards: &mut [Card], keyword: &str, value: Value) {
    if let Some(card) = cards.iter_mut().find(|c| c.keyword_str() == keyword) {
        card.value = Some(value);
    }
}

fn fits(error: fitsio_pure::Error) -> io::Error {
    io::Error::other(format!("FITS header: {error}"))
}

#[cfg(test)]
mod tests;
