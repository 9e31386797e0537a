//! Files on disk: `NAME.fits.part` while it grows, then synced and given its name without overwriting.
//!
//! The directory must exist: a file system that is not mounted must not fill the disk beneath it.

use super::accumulate::Row;
use super::heaps::Counters;
use super::sdfits::{Provenance, SdfitsFile, Style, row_bytes, utc_of_mjd};
use super::setup::Setup;
use crate::units::Utc;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Files of one scan at most; the number in the name has four digits.
const FILES_MAX: u32 = 9999;
/// A new file begins when the data reach this size.
const FILE_BYTES: u64 = 1 << 30;

/// A file that grows.
pub struct Output {
    fits: SdfitsFile<File>,
    part: PathBuf,
    directory: PathBuf,
    base: String,
    number: u32,
    rows_max: u64,
}

impl Output {
    /// Opens the first free number after `number`.
    ///
    /// # Errors
    /// The directory is missing or not writable, or all numbers are taken.
    pub fn create(setup: &Setup, style: Style, origin: &Provenance, number: u32) -> io::Result<Output> {
        let directory = PathBuf::from(&setup.datadir);
        check_directory(&directory)?;
        let scan = setup.header.get("SCANNUM").map_or(1.0, |_| setup.header_number("SCANNUM"));
        let base = base_name(setup.header_text("INSTRUME"), utc_of_mjd(origin.start_mjd), scan);
        let (number, part, file) = (number + 1..=FILES_MAX)
            .find_map(|n| open_part(&directory, &base, n).transpose().map(|r| r.map(|(p, f)| (n, p, f))))
            .ok_or_else(|| io::Error::other(format!("{base}: all {FILES_MAX} file numbers are taken")))??;
        let rows_max = (FILE_BYTES / row_bytes(setup, style) as u64).max(1);
        let fits = SdfitsFile::create(file, setup, style, origin).inspect_err(|_| {
            // Every row tries again on a full disk; empty files must not use the numbers up.
            let _ = std::fs::remove_file(&part);
        })?;
        Ok(Output { fits, part, directory, base, number, rows_max })
    }

    /// Number in the name.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.fits.rows()
    }

    /// Whether the next row belongs into a new file.
    pub fn full(&self) -> bool {
        self.fits.rows() >= self.rows_max
    }

    /// Adds a row; after an error the same row may be tried again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&mut self, row: &Row) -> io::Result<()> {
        self.fits.append(row)
    }

    /// Removes what was written: nobody wants it.
    ///
    /// # Errors
    /// What the file system says, with the name of the file that stays.
    pub fn abandon(self) -> io::Result<()> {
        std::fs::remove_file(&self.part)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.part.display())))
    }

    /// Totals, sync, final name. On error the `.part` file stays.
    ///
    /// # Errors
    /// What the file system says, with the name of the file that stays.
    pub fn finish(self, totals: &Counters, kernel_drops: u64, reason: &str) -> io::Result<PathBuf> {
        let Output { fits, part, directory, base, number, .. } = self;
        let stays =
            |e: io::Error| io::Error::new(e.kind(), format!("{e}; the data stay in {}", part.display()));
        let file = fits.finish(totals, kernel_drops, reason).map_err(stays)?;
        file.sync_all().map_err(stays)?;
        let name = (number..=FILES_MAX)
            .map(|n| file_name(&directory, &base, n))
            .find_map(|name| match std::fs::hard_link(&part, &name) {
                Ok(()) => Some(Ok(name)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => None,
                Err(e) => Some(Err(e)),
            })
            .unwrap_or_else(|| Err(ErrorKind::AlreadyExists.into()))
            .map_err(stays)?;
        std::fs::remove_file(&part)?;
        File::open(&directory)?.sync_all()?;
        Ok(name)
    }
}

/// Whether files can go there.
///
/// # Errors
/// It does not exist, or is no directory.
pub fn check_directory(directory: &Path) -> io::Result<()> {
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(named(ErrorKind::NotADirectory, directory, "is not a directory")),
        Err(e) => Err(named(e.kind(), directory, &format!("{e}; create or mount it, or set DATADIR"))),
    }
}

fn named(kind: ErrorKind, directory: &Path, why: &str) -> io::Error {
    io::Error::new(kind, format!("DATADIR {}: {why}", directory.display()))
}

/// `vegas_211126_7.00`, for an instrument (status `INSTRUME`, may be empty), a start and a scan number; nothing in
/// it can lead out of the directory.
pub fn base_name(instrument: &str, start: Utc, scan: f64) -> String {
    let c = start.civil();
    let instrument: String = instrument
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(16)
        .collect();
    let instrument = if instrument.is_empty() { "vegas".to_owned() } else { instrument };
    format!("{instrument}_{:02}{:02}{:02}_{scan:04.2}", c.day, c.month, c.year.rem_euclid(100))
}

fn file_name(directory: &Path, base: &str, number: u32) -> PathBuf {
    directory.join(format!("{base}_{number:04}.fits"))
}

/// The `.part` file of a number, or `None` when the number is taken.
fn open_part(directory: &Path, base: &str, number: u32) -> io::Result<Option<(PathBuf, File)>> {
    let name = file_name(directory, base, number);
    if name.try_exists()? {
        return Ok(None);
    }
    let part = name.with_extension("fits.part");
    match OpenOptions::new().write(true).create_new(true).open(&part) {
        Ok(file) => Ok(Some((part, file))),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", part.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(directory: &Path, scan: &str) -> Setup {
        let pairs = [
            ("DATADIR", directory.to_str().expect("UTF-8")),
            ("INSTRUME", "../VEGAS"),
            ("SCANNUM", scan),
            ("NCHAN", "512"),
        ];
        Setup::read(&pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()).expect("good keys")
    }

    fn origin() -> Provenance {
        Provenance { date: Utc(0), start_mjd: 61365.5, start_source: "STTMJD", first_packet_mjd: 0.0 }
    }

    #[test]
    fn names_follow_the_convention_and_never_overwrite() {
        let directory = tempfile::tempdir().expect("a directory");
        let setup = setup(directory.path(), "7");
        let mut names = Vec::new();
        std::fs::write(directory.path().join("vegas_211126_7.00_0002.fits.part"), "crashed")
            .expect("written");
        for _ in 0..2 {
            let output = Output::create(&setup, Style::Correct, &origin(), 0).expect("opened");
            let path = output.finish(&Counters::default(), 0, "STOP").expect("finished");
            names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
        assert_eq!(names, ["vegas_211126_7.00_0001.fits", "vegas_211126_7.00_0003.fits"]);
        assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), 3);
    }

    #[test]
    fn a_name_taken_meanwhile_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let output =
            Output::create(&setup(directory.path(), "7"), Style::Correct, &origin(), 0).expect("opened");
        let taken = directory.path().join("vegas_211126_7.00_0001.fits");
        std::fs::write(&taken, "somebody else's").expect("written");
        let path = output.finish(&Counters::default(), 0, "STOP").expect("finished");
        assert!(path.ends_with("vegas_211126_7.00_0002.fits"));
        assert_eq!(std::fs::read(&taken).expect("there"), b"somebody else's");
    }

    #[test]
    fn a_missing_directory_is_not_created() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("not-mounted");
        let error =
            Output::create(&setup(&missing, "1"), Style::Correct, &origin(), 0).err().expect("refused");
        assert!(error.to_string().contains("DATADIR"), "{error}");
        assert!(!missing.exists());
    }
}
