//! The columns of the table: one line each, with the code that fills it.

use super::Style;
use crate::daq::accumulate::Row;
use crate::daq::setup::Setup;

/// Type and width of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// 64-bit real
    D,
    /// 64-bit integer
    K,
    /// 32-bit integer
    J,
    /// 32-bit real
    E,
    /// 16 characters
    Text16,
    /// one 64-bit real per sub-band
    PerSubband,
    /// the spectra
    Data,
    /// 64-bit, or 32-bit in the legacy style
    Counter,
}

/// What a cell is made from.
pub(super) struct Source<'a> {
    row: &'a Row,
    setup: &'a Setup,
    start_mjd: f64,
}

/// A value on its way into a row; the form of the column decides the bytes.
pub(super) enum Cell<'a> {
    Real(f64),
    Integer(u64),
    Text(&'a str),
    Header(&'static str),
    Subbands,
    Sums,
}

pub(super) struct Column {
    pub name: &'static str,
    pub form: Form,
    pub unit: &'static str,
    pub comment: &'static str,
    /// Not in legacy files.
    pub extra: bool,
    fill: for<'a> fn(&Source<'a>) -> Cell<'a>,
}

const fn column(
    name: &'static str,
    form: Form,
    unit: &'static str,
    comment: &'static str,
    fill: for<'a> fn(&Source<'a>) -> Cell<'a>,
) -> Column {
    Column { name, form, unit, comment, extra: false, fill }
}

const fn extra(mut column: Column) -> Column {
    column.extra = true;
    column
}

const SECONDS_PER_DAY: f64 = 86_400.0;

const COLUMNS: &[Column] = &[
    column("TIME", Form::D, "d", "MJD (UTC) at start of exposure", |s| {
        Cell::Real(s.start_mjd + s.row.time_counter as f64 / s.setup.fpgaclk_hz / SECONDS_PER_DAY)
    }),
    column("TIMECNTR", Form::Counter, "", "FPGA time counter at start of exposure", |s| {
        Cell::Integer(s.row.time_counter)
    }),
    column("INTEGNUM", Form::J, "", "Number of the exposure in the scan, from 0", |s| {
        Cell::Integer(s.row.integration)
    }),
    column("EXPOSURE", Form::E, "s", "Effective integration time", |s| Cell::Real(s.row.exposure_s)),
    column("OBJECT", Form::Text16, "", "Source name", |s| {
        let object = s.setup.header_text("OBJECT");
        Cell::Text(if object.is_empty() { s.setup.header_text("SRC_NAME") } else { object })
    }),
    column("AZIMUTH", Form::E, "deg", "Commanded azimuth", |_| Cell::Header("AZ")),
    column("ELEVATIO", Form::E, "deg", "Commanded elevation", |_| Cell::Header("ELEV")),
    column("BMAJ", Form::E, "deg", "Beam major axis length", |_| Cell::Header("BMAJ")),
    column("BMIN", Form::E, "deg", "Beam minor axis length", |_| Cell::Header("BMIN")),
    column("BPA", Form::E, "deg", "Beam position angle", |_| Cell::Header("BPA")),
    column("ACCUMID", Form::J, "", "Accumulator, 0 to 7 (cal, sig/ref, advanced)", |s| {
        Cell::Integer(u64::from(s.row.accumulator))
    }),
    column("STTSPEC", Form::J, "", "Spectrum counter of the first spectrum", |s| {
        Cell::Integer(s.row.first_spectrum)
    }),
    column("STPSPEC", Form::J, "", "Spectrum counter of the last spectrum", |s| {
        Cell::Integer(s.row.last_spectrum)
    }),
    column("SUBFREQ", Form::PerSubband, "Hz", "Frequency at centre of each sub-band", |_| Cell::Subbands),
    column("CRPIX1", Form::E, "", "Channel number of the centre", |s| {
        Cell::Real((s.setup.nchan / 2 + 1) as f64)
    }),
    column("CRVAL1", Form::D, "Hz", "Frequency at centre of sub-band (always 0)", |_| Cell::Real(0.0)),
    column("CDELT1", Form::D, "Hz", "Width of a channel", |_| Cell::Header("CHAN_BW")),
    column("CRVAL4", Form::D, "deg", "Right ascension", |_| Cell::Header("RA")),
    column("CRVAL5", Form::D, "deg", "Declination", |_| Cell::Header("DEC")),
    column("DATA", Form::Data, "", "Sums: channel, sub-band, product (fastest)", |_| Cell::Sums),
    extra(column("NTAKEN", Form::J, "", "Spectra taken in this exposure, all rows of it", |s| {
        Cell::Integer(s.row.taken)
    })),
    extra(column("NBLANK", Form::J, "", "Spectra blanked in this exposure", |s| {
        Cell::Integer(s.row.blanked)
    })),
    extra(column("NLOST", Form::J, "", "Spectra lost in this exposure", |s| Cell::Integer(s.row.lost))),
    extra(column("NEXPECT", Form::J, "", "Spectra expected: taken, blanked and lost", |s| {
        Cell::Integer(s.row.taken + s.row.blanked + s.row.lost)
    })),
];

/// The columns of a style, in order.
pub(super) fn columns(style: Style) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |c| style == Style::Correct || !c.extra)
}

impl Form {
    fn resolved(self, style: Style) -> Form {
        match (self, style) {
            (Form::Counter, Style::Correct) => Form::K,
            (Form::Counter, Style::Legacy) => Form::J,
            (form, _) => form,
        }
    }

    /// Value of TFORM, and bytes in a row.
    pub(super) fn tform(self, setup: &Setup, style: Style) -> (String, usize) {
        let values = setup.nchan * setup.nsubband * 4;
        match self.resolved(style) {
            Form::D => ("1D".into(), 8),
            Form::K | Form::Counter => ("1K".into(), 8),
            Form::J => ("1J".into(), 4),
            Form::E => ("1E".into(), 4),
            Form::Text16 => ("16A".into(), 16),
            Form::PerSubband => (format!("{}D", setup.nsubband), 8 * setup.nsubband),
            Form::Data => (format!("{values}E"), 4 * values),
        }
    }
}

/// Bytes of one row.
pub fn row_bytes(setup: &Setup, style: Style) -> usize {
    columns(style).map(|c| c.form.tform(setup, style).1).sum()
}

/// Appends the bytes of a row.
pub(super) fn encode(row: &Row, setup: &Setup, style: Style, start_mjd: f64, out: &mut Vec<u8>) {
    let source = Source { row, setup, start_mjd };
    for column in columns(style) {
        put(column.form.resolved(style), (column.fill)(&source), &source, out);
    }
}

fn put(form: Form, cell: Cell<'_>, source: &Source<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Real(x) => put_real(form, x, out),
        Cell::Header(key) => put_real(form, source.setup.header_number(key), out),
        // 32-bit columns hold the low half, as in the reference.
        Cell::Integer(n) if form == Form::J => out.extend_from_slice(&(n as u32).to_be_bytes()),
        Cell::Integer(n) => out.extend_from_slice(&n.to_be_bytes()),
        Cell::Text(text) => put_text(text, out),
        Cell::Subbands => {
            const KEYS: [&str; 8] = [
                "SUB0FREQ", "SUB1FREQ", "SUB2FREQ", "SUB3FREQ", "SUB4FREQ", "SUB5FREQ", "SUB6FREQ",
                "SUB7FREQ",
            ];
            for k in 0..source.setup.nsubband {
                let hz = KEYS.get(k).map_or(0.0, |key| source.setup.header_number(key));
                out.extend_from_slice(&hz.to_be_bytes());
            }
        }
        Cell::Sums => source.row.data.iter().for_each(|sum| out.extend_from_slice(&sum.to_be_bytes())),
    }
}

fn put_real(form: Form, x: f64, out: &mut Vec<u8>) {
    match form {
        Form::E => out.extend_from_slice(&(x as f32).to_be_bytes()),
        _ => out.extend_from_slice(&x.to_be_bytes()),
    }
}

/// Sixteen printable characters, blank-padded.
fn put_text(text: &str, out: &mut Vec<u8>) {
    let printable = text.bytes().map(|b| if (0x20..0x7f).contains(&b) { b } else { b'?' });
    out.extend(printable.chain(std::iter::repeat(b' ')).take(16));
}
