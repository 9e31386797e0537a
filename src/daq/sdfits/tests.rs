use super::read::Recording;
use super::*;
use crate::units::Utc;
use fitsio_pure::checksum::{verify_checksum, verify_datasum};
use fitsio_pure::hdu::parse_fits;
use std::io::Cursor;

fn setup() -> Setup {
    let keys = [("NCHAN", "512"), ("STTMJD", "61365.5"), ("PROJID", "O'Brien \u{1}"), ("CHAN_BW", "1e6")];
    Setup::read(&keys.map(|(k, v)| (k.to_owned(), v.to_owned())).into()).expect("good keys")
}

fn origin() -> Provenance {
    Provenance { date: Utc(0), start_mjd: 61365.5, start_source: "STTMJD", first_packet_mjd: 61365.5 }
}

fn row(k: u64) -> Row {
    let data = (0..512 * 4).map(|v| v as f32 + k as f32).collect();
    Row {
        time_counter: k * 325_000_000,
        integration: k,
        exposure_s: 0.25,
        taken: 3,
        lost: 1,
        data,
        ..Row::default()
    }
}

fn file(style: Style, rows: u64) -> Vec<u8> {
    let mut file = SdfitsFile::create(Cursor::new(Vec::new()), &setup(), style, &origin()).expect("memory");
    for k in 0..rows {
        file.append(&row(k)).expect("memory");
    }
    let totals = Counters { received: 12, lost: 2, ..Counters::default() };
    file.finish(&totals, 5, "STOP").expect("memory").into_inner()
}

#[test]
fn rows_come_back_and_checksums_hold() {
    for rows in [0, 1, 3] {
        let bytes = file(Style::Correct, rows);
        assert!(bytes.len().is_multiple_of(BLOCK_SIZE));
        let fits = parse_fits(&bytes).expect("FITS");
        for hdu in &fits.hdus {
            assert!(verify_checksum(&bytes, hdu) && verify_datasum(&bytes, hdu));
        }
        let recording = Recording::parse(bytes).expect("ours");
        assert_eq!(recording.rows(), rows as usize);
        assert_eq!(recording.numbers("EXPOSURE").expect("there").len(), rows as usize);
        assert_eq!(recording.number("NPKT"), Some(12.0));
        assert_eq!(recording.text("PROJID").as_deref(), Some("O'Brien ?"));
    }
    let recording = Recording::parse(file(Style::Correct, 3)).expect("ours");
    assert_eq!(recording.sums(2).expect("row")[..3], [2.0, 3.0, 4.0]);
    assert_eq!(recording.numbers("NEXPECT").expect("there"), [4.0; 3]);
    let time = recording.numbers("TIME").expect("there")[2];
    assert!((time - (61365.5 + 2.0 / 86400.0)).abs() < 1e-9);
    assert_eq!(recording.text("TDIM20").as_deref(), Some("(4,1,512,1,1)"));
    assert_eq!(recording.text("TFORM2").as_deref(), Some("1K"));
}

#[test]
fn the_legacy_style_has_the_columns_of_the_reference() {
    let recording = Recording::parse(file(Style::Legacy, 2)).expect("ours");
    assert_eq!(recording.text("TFIELDS").as_deref(), Some("20"));
    assert_eq!(recording.number("NAXIS1"), Some(112.0 + 8192.0));
    assert_eq!(recording.text("TDIM20").as_deref(), Some("(512,1,4,1,1)"));
    assert_eq!(recording.text("FREQRES").as_deref(), Some("*"));
    assert_eq!(recording.text("DATE-OBS").as_deref(), Some("21/11/26"));
    assert!(recording.numbers("NLOST").is_err());
}

#[test]
fn damaged_files_are_refused_without_a_panic() {
    let bytes = file(Style::Correct, 1);
    for cut in [0, 1, 2879, 2880, 8000, bytes.len() / 2] {
        if let Ok(recording) = Recording::parse(bytes[..cut].to_vec()) {
            let _ = recording.mean_spectrum(0, 0);
        }
    }
    assert!(Recording::parse(vec![b' '; 28_800]).is_err());
}

/// Refuses to grow beyond a size, like a full disk.
struct Full(Cursor<Vec<u8>>, u64);
impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.position() + bytes.len() as u64 > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_full_disk_keeps_the_rows_before() {
    let sink = Full(Cursor::new(Vec::new()), 40_000);
    let mut file = SdfitsFile::create(sink, &setup(), Style::Correct, &origin()).expect("room");
    let mut written = 0;
    while file.append(&row(written)).is_ok() {
        written += 1;
    }
    assert!(written > 0);
    file.sink.1 = 80_000;
    file.append(&row(written)).expect("room again");
    let bytes = file.finish(&Counters::default(), 0, "STOP").expect("room").0.into_inner();
    let recording = Recording::parse(bytes).expect("ours");
    assert_eq!(recording.rows() as u64, written + 1);
    assert_eq!(recording.sums(recording.rows() - 1).expect("row")[0], written as f32);
}
