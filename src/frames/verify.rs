//! Whether an image on disk is whole: the proof is in the file itself.

use super::cards::COLUMNS;
use super::header::{self, BLOCK};
use super::image::padded;
use super::pixels::fold;
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Longest header that is believed, blocks.
const HEADER_BLOCKS_MAX: usize = 1000;
/// Bytes looked at once; a multiple of four.
const PIECE: usize = 1 << 20;

/// An image that can be read.
pub(super) struct Opened {
    /// Cards of 80 columns up to END.
    pub header: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bits of a pixel: 16 or 32.
    pub bits: u32,
    /// Sum of the header.
    sum: u128,
    /// Behind the header.
    data: Box<dyn Read>,
}

/// Opens an image, compressed or not, and reads its header; or says in words why not.
pub(super) fn open(path: &Path) -> Result<Opened, String> {
    let failed = |e: io::Error| format!("{}: {e}", path.display());
    let file = BufReader::with_capacity(PIECE, File::open(path).map_err(failed)?);
    let is_gzip = path.to_string_lossy().contains(".gz");
    let mut data: Box<dyn Read> = if is_gzip { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let (mut header, mut sum) = (String::new(), 0u128);
    for _ in 0..HEADER_BLOCKS_MAX {
        let mut block = [0; BLOCK as usize];
        data.read_exact(&mut block).map_err(failed)?;
        sum += u128::from(header::sum(&block));
        header.push_str(
            std::str::from_utf8(&block).map_err(|_| format!("{}: no FITS header", path.display()))?,
        );
        if header.as_bytes()[header.len() - BLOCK as usize..].chunks(COLUMNS).any(is_end) {
            return opened(path, header, sum, data);
        }
        if !header.starts_with("SIMPLE  =") || !header.is_ascii() {
            break;
        }
    }
    Err(format!("{}: no FITS header", path.display()))
}

fn is_end(card: &[u8]) -> bool {
    card.trim_ascii_end() == b"END"
}

fn opened(path: &Path, header: String, sum: u128, data: Box<dyn Read>) -> Result<Opened, String> {
    let number = |key: &str| {
        let text = card(&header, key).unwrap_or_default();
        text.trim().parse::<u32>().map_err(|_| format!("{}: {key} is missing or no number", path.display()))
    };
    let (bits, width, height) = (number("BITPIX")?, number("NAXIS1")?, number("NAXIS2")?);
    if !matches!(bits, 16 | 32) {
        return Err(format!("{}: BITPIX is {bits}", path.display()));
    }
    Ok(Opened { header, width, height, bits, sum, data })
}

/// Value field of a keyword, without comment; `None` if there is no such card.
pub(super) fn card<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let cards = (0..header.len() / COLUMNS).filter_map(|i| header.get(i * COLUMNS..(i + 1) * COLUMNS));
    let value = cards.into_iter().find_map(|c| c.strip_prefix(&format!("{key:8}= ")))?;
    // Good enough for numbers, logicals and checksums: no slash in those.
    Some(value.split(" /").next().unwrap_or(value).trim())
}

impl Opened {
    /// Bytes of the data unit.
    pub fn data_bytes(&self) -> u64 {
        padded(u64::from(self.width) * u64::from(self.height) * u64::from(self.bits / 8))
    }

    /// Bytes of the data in order, as many as asked for.
    pub fn read(&mut self, to: &mut [u8]) -> Result<(), String> {
        self.data.read_exact(to).map_err(|e| format!("the data end too early: {e}"))
    }

    /// Reads to the end and compares DATASUM and CHECKSUM; `Err` says what is wrong.
    pub fn verify(mut self) -> Result<(), String> {
        let wanted =
            card(&self.header, "DATASUM").and_then(|t| t.trim_matches(['\'', ' ']).parse::<u32>().ok());
        let wanted = wanted.ok_or("it has no DATASUM")?;
        card(&self.header, "CHECKSUM").ok_or("it has no CHECKSUM")?;
        let (mut left, mut sum, mut buffer) = (self.data_bytes(), 0u128, vec![0; PIECE]);
        while left > 0 {
            let piece = &mut buffer[..left.min(PIECE as u64) as usize];
            left -= piece.len() as u64;
            self.data.read_exact(piece).map_err(|e| format!("the data end too early: {e}"))?;
            sum += u128::from(header::sum(piece));
        }
        if fold(sum) != wanted {
            return Err("DATASUM is wrong: pixels are damaged or missing".into());
        }
        if fold(sum + self.sum) != u32::MAX {
            return Err("CHECKSUM is wrong: the header is damaged".into());
        }
        match card(&self.header, "ARCHPART") {
            Some("T") => Err("ARCHPART = T: the frame did not come whole".into()),
            _ => Ok(()),
        }
    }
}

/// Whether this file is a whole image of ours: header and data agree with the sums in it. In words why not.
pub fn whole(path: &Path) -> Result<(), String> {
    open(path)?.verify()
}

/// Whether two whole images are the same: headers and data, compressed or not.
pub(super) fn same(a: &Path, b: &Path) -> bool {
    let signature = |path: &Path| {
        let opened = open(path).ok()?;
        let header = opened.header.clone();
        opened.verify().ok().map(|()| header)
    };
    // Both prove themselves, and DATASUM is in the header.
    matches!((signature(a), signature(b)), (Some(a), Some(b)) if a == b)
}
