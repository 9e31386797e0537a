//! Reading back what was recorded: for pictures, demos and tests.

use fitsio_pure::bintable::{
    BinaryColumnData, BinaryColumnDescriptor, parse_binary_table_columns, read_binary_column,
    read_binary_column_range,
};
use fitsio_pure::hdu::{Hdu, HduInfo, parse_fits};
use fitsio_pure::header::Card;
use fitsio_pure::value::Value;
use std::path::Path;

/// Largest file that is read; ours end at 1 GiB.
const FILE_BYTES_MAX: u64 = 3 << 30;

/// A recorded file in memory.
pub struct Recording {
    bytes: Vec<u8>,
    table: Hdu,
    columns: Vec<BinaryColumnDescriptor>,
    rows: usize,
    /// Channels.
    pub nchan: usize,
    /// Sub-bands.
    pub nsubband: usize,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with the file, with its name.
    pub fn open(path: &Path) -> Result<Recording, String> {
        let named = |e: String| format!("{}: {e}", path.display());
        let length = std::fs::metadata(path).map_err(|e| named(e.to_string()))?.len();
        if length > FILE_BYTES_MAX {
            return Err(named(format!("{length} bytes; at most {FILE_BYTES_MAX} are read")));
        }
        let bytes = std::fs::read(path).map_err(|e| named(e.to_string()))?;
        Recording::parse(bytes).map_err(named)
    }

    /// Takes the bytes of a file.
    ///
    /// # Errors
    /// Not FITS, or without a table of spectra.
    pub fn parse(bytes: Vec<u8>) -> Result<Recording, String> {
        let mut fits = parse_fits(&bytes).map_err(|e| format!("not a FITS file: {e}"))?;
        let is_ours = |h: &Hdu| matches!(find(&h.cards, "EXTNAME"), Some(Value::String(s)) if s.trim() == "SINGLE DISH");
        let at = fits.hdus.iter().position(is_ours).ok_or("no table 'SINGLE DISH' in it")?;
        let table = fits.hdus.swap_remove(at);
        let HduInfo::BinaryTable { naxis2: rows, tfields, .. } = table.info else {
            return Err("'SINGLE DISH' is not a binary table".into());
        };
        let columns =
            parse_binary_table_columns(&table.cards, tfields).map_err(|e| format!("columns: {e}"))?;
        let size = |key| match find(&table.cards, key) {
            Some(Value::Integer(n)) if *n > 0 => Ok(*n as usize),
            _ => Err(format!("no {key} in the header")),
        };
        let (nchan, nsubband) = (size("NCHAN")?, size("NSUBBAND")?);
        let recording = Recording { bytes, columns, rows, nchan, nsubband, table };
        let data = recording.column("DATA")?;
        if Some(recording.columns[data].repeat) != nchan.checked_mul(nsubband).and_then(|n| n.checked_mul(4))
        {
            return Err(format!("DATA does not hold 4 x {nsubband} x {nchan} values"));
        }
        Ok(recording)
    }

    /// Rows in the table.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A header value of the table as text.
    pub fn text(&self, keyword: &str) -> Option<String> {
        find(&self.table.cards, keyword).map(|value| match value {
            Value::String(s) => s.trim_end().to_owned(),
            Value::Integer(n) => n.to_string(),
            Value::Float(x) => x.to_string(),
            Value::Logical(b) => if *b { "T" } else { "F" }.to_owned(),
            other => format!("{other:?}"),
        })
    }

    /// A header value of the table as a number.
    pub fn number(&self, keyword: &str) -> Option<f64> {
        self.text(keyword)?.parse().ok()
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// No such column, or not of numbers.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, String> {
        let data = read_binary_column(&self.bytes, &self.table, self.column(name)?);
        match data.map_err(|e| format!("{name}: {e}"))? {
            BinaryColumnData::Int(v) => Ok(v.into_iter().map(f64::from).collect()),
            BinaryColumnData::Long(v) => Ok(v.into_iter().map(|n| n as f64).collect()),
            BinaryColumnData::Float(v) => Ok(v.into_iter().map(f64::from).collect()),
            BinaryColumnData::Double(v) => Ok(v),
            _ => Err(format!("column {name} does not hold numbers")),
        }
    }

    /// The sums of one row: channel, sub-band, product.
    ///
    /// # Errors
    /// Beyond the last row, or the file is cut short.
    pub fn sums(&self, row: usize) -> Result<Vec<f32>, String> {
        let data = read_binary_column_range(&self.bytes, &self.table, self.column("DATA")?, row, 1);
        match data.map_err(|e| format!("DATA of row {row}: {e}"))? {
            BinaryColumnData::Float(v) => Ok(v),
            _ => Err("DATA does not hold 32-bit reals".into()),
        }
    }

    /// Sums over all rows of one product (0 XX, 1 YY, 2 Re XY, 3 Im XY) of one sub-band, per second.
    ///
    /// # Errors
    /// As [`sums`](Self::sums).
    pub fn mean_spectrum(&self, subband: usize, product: usize) -> Result<Vec<f64>, String> {
        let mut total = vec![0.0; self.nchan];
        for row in 0..self.rows {
            let sums = self.sums(row)?;
            for (t, channel) in total.iter_mut().zip(sums.chunks_exact(4 * self.nsubband)) {
                *t += channel.get(4 * subband + product).copied().map_or(0.0, f64::from);
            }
        }
        let seconds: f64 = self.numbers("EXPOSURE")?.iter().sum();
        total.iter_mut().for_each(|t| *t /= seconds.max(f64::MIN_POSITIVE));
        Ok(total)
    }

    fn column(&self, name: &str) -> Result<usize, String> {
        let found = self.columns.iter().position(|c| c.name.as_deref().is_some_and(|n| n.trim() == name));
        found.ok_or_else(|| format!("no column {name}"))
    }
}

fn find<'a>(cards: &'a [Card], keyword: &str) -> Option<&'a Value> {
    cards.iter().find(|c| c.keyword_str() == keyword)?.value.as_ref()
}
