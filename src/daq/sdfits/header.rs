//! The cards of both headers: a table of keywords, then what is special about each style.

use super::columns::{columns, row_bytes};
use super::{Style, set};
use crate::daq::heaps::Counters;
use crate::daq::setup::Setup;
use crate::units::Utc;
use fitsio_pure::Result;
use fitsio_pure::header::Card;
use fitsio_pure::value::Value;

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// When it was opened.
    pub date: Utc,
    /// MJD of counter zero: what rows are timed from.
    pub start_mjd: f64,
    /// Where `start_mjd` comes from: the commanded start, or the first packet.
    pub start_source: &'static str,
    /// MJD when the first packet came, by this computer's clock.
    pub first_packet_mjd: f64,
}

/// Longest text of a card that needs no continuation.
const TEXT_MAX: usize = 60;
const VERSION: &str = concat!("appliance ", env!("CARGO_PKG_VERSION"));

/// How a keyword is filled from the status memory.
enum From {
    Text(&'static str),
    Number(&'static str),
    Integer(&'static str),
}

/// keyword, source, comment; in the order of the reference.
const FROM_STATUS: &[(&str, From, &str)] = &[
    ("TELESCOP", From::Text("TELESCOP"), "Telescope name"),
    ("BANDWID", From::Number("OBSBW"), "[Hz] Bandwidth of the backend"),
    ("TSYS", From::Number("TSYS"), "[K] System temperature"),
    ("PROJID", From::Text("PROJID"), "Project name"),
    ("FRONTEND", From::Text("FRONTEND"), "Receiver"),
    ("OBSFREQ", From::Number("OBSFREQ"), "Centre frequency of the observation"),
    ("SCAN", From::Number("SCANNUM"), "Scan number"),
    ("INSTRUME", From::Text("INSTRUME"), "Backend"),
    ("CAL_MODE", From::Text("CAL_MODE"), "Cal mode (OFF, SYNC, EXT1, EXT2)"),
    ("CAL_FREQ", From::Number("CAL_FREQ"), "[Hz] Cal modulation frequency"),
    ("CAL_DCYC", From::Number("CAL_DCYC"), "Cal duty cycle"),
    ("CAL_PHS", From::Number("CAL_PHS"), "Cal phase"),
    ("NPOL", From::Integer("NPOL"), "Number of antenna polarisations"),
    ("CHAN_BW", From::Number("CHAN_BW"), "[Hz] Width of a channel"),
    ("FILTNEP", From::Number("FILTNEP"), "PFB filter noise-equivalent parameter"),
    ("STTMJD", From::Number("STTMJD"), "[d] Commanded start (MJD, UTC)"),
];

/// Only in our own style.
const FROM_STATUS_EXTRA: &[(&str, From, &str)] = &[
    ("OBSERVER", From::Text("OBSERVER"), "Observer"),
    ("OBSID", From::Text("OBSID"), "Identifier of the observation"),
    ("BANKNAM", From::Text("BANKNAM"), "Bank"),
    ("MODENUM", From::Text("MODENUM"), "Mode"),
    ("BOFFILE", From::Text("BOFFILE"), "Gateware"),
];

/// Primary header.
pub(super) fn primary(origin: &Provenance) -> Result<Vec<Card>> {
    let c = origin.date.civil();
    let date =
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second);
    Ok(vec![
        card("SIMPLE", Value::Logical(true), "file conforms to the FITS standard")?,
        card("BITPIX", Value::Integer(8), "no data here")?,
        card("NAXIS", Value::Integer(0), "no data here")?,
        card("EXTEND", Value::Logical(true), "the table is an extension")?,
        card("ORIGIN", Value::String(VERSION.into()), "program that wrote this file")?,
        card("DATE", Value::String(date), "when this file was opened (UTC)")?,
    ])
}

/// Table header, with placeholders for all that changes.
pub(super) fn table(setup: &Setup, style: Style, origin: &Provenance) -> Result<Vec<Card>> {
    let mut cards = structure(setup, style)?;
    cards.push(card("EXTNAME", Value::String("SINGLE DISH".into()), "name of this table")?);
    cards.push(card("NMATRIX", Value::Integer(1), "one matrix in a row")?);
    for (keyword, source, comment) in FROM_STATUS {
        cards.push(from_status(setup, keyword, source, comment)?);
    }
    cards.extend(measured(setup, style)?);
    cards.extend(axes(setup, style)?);
    if style == Style::Correct {
        for (keyword, source, comment) in FROM_STATUS_EXTRA {
            cards.push(from_status(setup, keyword, source, comment)?);
        }
        cards.extend(provenance(setup, origin)?);
    }
    cards.push(card("DATASUM", Value::String("0".into()), "checksum of the data")?);
    cards.push(card("CHECKSUM", Value::String("0".repeat(16)), "checksum of this HDU")?);
    Ok(cards)
}

/// Fills in the totals of the scan (our style only; elsewhere there is no place for them).
pub(super) fn set_totals(cards: &mut [Card], totals: &Counters, kernel_drops: u64, reason: &str) {
    let counts = [
        ("NPKT", totals.received),
        ("NDROP", totals.lost),
        ("NLATE", totals.late),
        ("NDUP", totals.duplicate),
        ("NBAD", totals.bad),
        ("NSKLOST", totals.heaps_lost),
        ("NKERNEL", kernel_drops),
    ];
    for (keyword, count) in counts {
        set(cards, keyword, Value::Integer(count as i64));
    }
    set(cards, "ENDWHY", Value::String(printable(reason)));
}

fn structure(setup: &Setup, style: Style) -> Result<Vec<Card>> {
    let mut cards = vec![
        card("XTENSION", Value::String("BINTABLE".into()), "binary table")?,
        card("BITPIX", Value::Integer(8), "bytes")?,
        card("NAXIS", Value::Integer(2), "two-dimensional")?,
        card("NAXIS1", Value::Integer(row_bytes(setup, style) as i64), "bytes in a row")?,
        card("NAXIS2", Value::Integer(0), "rows")?,
        card("PCOUNT", Value::Integer(0), "no heap")?,
        card("GCOUNT", Value::Integer(1), "one group")?,
        card("TFIELDS", Value::Integer(columns(style).count() as i64), "columns")?,
    ];
    for (k, column) in columns(style).enumerate() {
        let n = k + 1;
        let tform = column.form.tform(setup, style).0;
        cards.push(card(&format!("TTYPE{n}"), Value::String(column.name.into()), column.comment)?);
        cards.push(card(&format!("TFORM{n}"), Value::String(tform), "")?);
        if !column.unit.is_empty() {
            cards.push(card(&format!("TUNIT{n}"), Value::String(column.unit.into()), "")?);
        }
    }
    Ok(cards)
}

fn measured(setup: &Setup, style: Style) -> Result<Vec<Card>> {
    // The reference has the text '*' for FREQRES, and exchanges longitude and latitude.
    let channel = setup.header_number("CHAN_BW").abs();
    let resolution = Some(setup.header_number("_MFQR_01").abs()).filter(|hz| *hz > 0.0).unwrap_or(channel);
    let (freqres, longitude, latitude, version) = match style {
        Style::Legacy => (Value::String("*".into()), 38.432_842, -79.839_411, "1.0"),
        Style::Correct => (Value::Float(resolution), -79.839_411, 38.432_842, "1.0-appliance-1"),
    };
    Ok(vec![
        card("FREQRES", freqres, "[Hz] Frequency resolution")?,
        card("DATE-OBS", Value::String(date_obs(setup, style)), "Date of observation")?,
        card("SITELONG", Value::Float(longitude), "[deg] Antenna longitude, east positive")?,
        card("SITELAT", Value::Float(latitude), "[deg] Antenna latitude")?,
        card("SITEELEV", Value::Float(807.43), "[m] Antenna elevation")?,
        card("EQUINOX", Value::Float(2000.0), "Equinox of coordinates")?,
        card("HDRVER", Value::String(version.into()), "Header version")?,
        card("FITSTYPE", Value::String("SDFITS".into()), "Convention of this table")?,
        card("COORD_MD", Value::String("J2000".into()), "Coordinate mode")?,
        card("NCHAN", Value::Integer(setup.nchan as i64), "Channels of a sub-band")?,
        card("NSUBBAND", Value::Integer(setup.nsubband as i64), "Sub-bands")?,
        card("FPGACLK", Value::Float(setup.fpgaclk_hz), "[Hz] FPGA clock rate")?,
        card("EFSAMPFR", Value::Float(setup.efsampfr_hz), "[Hz] Effective sampling frequency")?,
        card("HWEXPOSR", Value::Float(setup.hwexposr_s), "[s] One integration of the FPGA")?,
    ])
}

fn axes(setup: &Setup, style: Style) -> Result<Vec<Card>> {
    let data = 1 + columns(style).position(|c| c.name == "DATA").expect("every style has DATA");
    let (nchan, nsubband) = (setup.nchan, setup.nsubband);
    let shape = match style {
        Style::Legacy => format!("({nchan},{nsubband},4,1,1)"),
        // The product varies fastest in memory.
        Style::Correct => format!("(4,{nsubband},{nchan},1,1)"),
    };
    Ok(vec![
        card("CTYPE1", Value::String("FREQ".into()), "frequency: columns CRPIX1, CRVAL1, CDELT1")?,
        card("CTYPE2", Value::String("SUBBAND".into()), "sub-bands")?,
        card("CTYPE3", Value::String("STOKES".into()), "polarisation products")?,
        card("CRPIX3", Value::Float(1.0), "reference pixel of the products")?,
        card("CRVAL3", Value::Float(-5.0), "code of the first product (XX)")?,
        card("CDELT3", Value::Float(-1.0), "step of the code")?,
        card("CTYPE4", Value::String("RA".into()), "right ascension")?,
        card("CRPIX4", Value::Float(1.0), "")?,
        card("CTYPE5", Value::String("DEC".into()), "declination")?,
        card("CRPIX5", Value::Float(1.0), "")?,
        card(&format!("TDIM{data}"), Value::String(shape), "dimensions, the first varies fastest")?,
        card(&format!("TMATX{data}"), Value::Logical(true), "this is a matrix")?,
    ])
}

fn provenance(setup: &Setup, origin: &Provenance) -> Result<Vec<Card>> {
    Ok(vec![
        card("SIMULATE", Value::Logical(setup.simulated()), "T: no sky in these data")?,
        card("SWVER", Value::String(VERSION.into()), "recording program")?,
        card("SCANLEN", Value::Float(setup.scanlen_s), "[s] Requested length of the scan, 0 = to STOP")?,
        card("REQEXPO", Value::Float(setup.exposure_s), "[s] Requested exposure")?,
        card("STARTMJD", Value::Float(origin.start_mjd), "[d] MJD of counter zero")?,
        card("STARTSRC", Value::String(origin.start_source.into()), "what STARTMJD comes from")?,
        card("M_STTMJD", Value::Float(origin.first_packet_mjd), "[d] arrival of the first packet")?,
        card("NPKT", Value::Integer(0), "packets received")?,
        card("NDROP", Value::Integer(0), "packets lost")?,
        card("NLATE", Value::Integer(0), "packets that came too late")?,
        card("NDUP", Value::Integer(0), "packets that came twice")?,
        card("NBAD", Value::Integer(0), "datagrams of another format")?,
        card("NSKLOST", Value::Integer(0), "spectra given up")?,
        card("NKERNEL", Value::Integer(0), "datagrams dropped by the kernel")?,
        card("ENDWHY", Value::String("unfinished".into()), "why the file ends")?,
    ])
}

fn from_status(setup: &Setup, keyword: &str, source: &From, comment: &str) -> Result<Card> {
    let value = match source {
        From::Text(key) => Value::String(printable(setup.header_text(key))),
        From::Number(key) => Value::Float(setup.header_number(key)),
        From::Integer(key) => Value::Integer(setup.header_number(key) as i64),
    };
    card(keyword, value, comment)
}

/// `DD/MM/YY` in the reference; the standard's form otherwise.
fn date_obs(setup: &Setup, style: Style) -> String {
    let Some(mjd) = setup.start_mjd() else { return String::new() };
    let c = utc_of_mjd(mjd).civil();
    match style {
        Style::Legacy => format!("{:02}/{:02}/{:02}", c.day, c.month, c.year.rem_euclid(100)),
        Style::Correct => format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.microsecond / 1000
        ),
    }
}

/// To the nearest millisecond: a double holds an MJD to a microsecond only.
pub(crate) fn utc_of_mjd(mjd: f64) -> Utc {
    let ms = (mjd - crate::units::MJD_OF_EPOCH as f64) * 86_400e3;
    Utc((ms.round() as i64).saturating_mul(1_000_000))
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(TEXT_MAX).collect()
}

fn card(keyword: &str, value: Value, comment: &str) -> Result<Card> {
    let mut card = Card::new(keyword, value)?;
    card.comment = (!comment.is_empty()).then(|| comment.to_owned());
    Ok(card)
}
