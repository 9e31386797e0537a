//! What the role orders of the disk, and what comes back.

use super::disk::Disk;
use super::geometry::{Cut, FrameGeometry};
pub use super::taps::Overscan;
use super::writer::Writer;
use super::{promise, publish, reserve, restore, survey, text_file};
use crate::config::archon::{Checksum, Files};
use crate::sys::clock;
use crate::units::Utc;
use crate::value::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Where and under which names images go; the same for the life of the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// `files` of the configuration.
    pub files: Files,
    /// `checksum` of the configuration.
    pub checksum: Checksum,
    /// Upper case.
    pub observatory: String,
    /// The root must be on a mounted file system of its own.
    pub require_mount: bool,
    /// Free bytes demanded besides the images themselves.
    pub spare_bytes: u64,
}

/// Which frame: enough to know it again after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FrameId {
    /// Name of the controller.
    pub controller: String,
    /// BACKPLANE_ID.
    pub backplane: String,
    /// Buffer, 1..=3.
    pub buffer: u8,
    /// BUFnFRAME
    pub frame: u64,
    /// BUFnTIMESTAMP, ticks.
    pub timestamp: u64,
}

/// A header card. `value` null: an undefined card.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Keyword; longer than 8 becomes HIERARCH.
    pub key: String,
    /// bool, int, float or text.
    pub value: Value,
    /// Comment.
    pub comment: String,
}

/// One image to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSpec {
    /// What is cut.
    pub cut: Cut,
    /// Its final path.
    pub path: PathBuf,
    /// Cards after NAXISn, as known before the fetch; values may change until [`Job::Secure`], and cards be added.
    pub cards: Vec<Card>,
    /// In `excluded_cameras` or `--no-write`: fetched, not written.
    pub discard: bool,
}

/// One frame to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct FramePlan {
    /// Which frame.
    pub id: FrameId,
    /// Exposure number.
    pub exposure: u64,
    /// Its shape.
    pub geometry: FrameGeometry,
    /// FETCH address.
    pub base: u64,
    /// The images in it, in configuration order.
    pub images: Vec<ImageSpec>,
    /// Where the overscan is, for the statistics.
    pub overscan: Overscan,
    /// Checksums, sums, where.
    pub naming: Naming,
}

/// A frame being written.
#[derive(Clone, Debug)]
pub struct FrameHandle(pub(super) Arc<Mutex<super::writer::Writer>>);

/// Paths of an exposure's images.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// Exposure number; burnt.
    pub number: u64,
    /// Directory of the night; exists.
    pub dir: PathBuf,
    /// (controller, ccd, path), as asked for.
    pub paths: Vec<(String, String, PathBuf)>,
    /// Things to tell the operator (`P not found. Creating it.`).
    pub warnings: Vec<String>,
    /// Images that were promised to be made of the next frame of these controllers: see [`Job::Promise`].
    pub unkept: Vec<Lost>,
}

/// An image that is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// CCD.
    pub ccd: String,
    /// Final path.
    pub path: PathBuf,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// Hex checksum (md5 or sha1), if asked for.
    pub sum: Option<String>,
    /// Things that went wrong without harm to the image.
    pub warnings: Vec<String>,
}

/// Why something on disk could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct FileError {
    /// What was tried (`cannot create`, `cannot write`).
    pub what: String,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

impl FileError {
    /// `cannot write P: no space left; free some`, or the reference's own `File P already exists. Check ...`.
    fn sentence(&self) -> String {
        let FileError { what, path, why, remedy } = self;
        let path = path.display();
        if what == "File" {
            format!("{what} {path} {why}. {remedy}")
        } else {
            format!("{what} {path}: {why}; {remedy}")
        }
    }
}

/// Statistics of a tap, from the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct TapStatistics {
    /// CCD.
    pub ccd: String,
    /// Tap within the CCD, 0-based.
    pub tap: u32,
    /// Mean, ADU.
    pub mean: f64,
    /// Standard deviation, ADU.
    pub sigma: f64,
    /// Pixels at full scale.
    pub saturated: u64,
    /// Mean of the overscan columns, ADU, if the window has any.
    pub overscan: Option<f64>,
}

/// What was left behind by an exposure that did not end, as found on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The lock file.
    pub lock: PathBuf,
    /// CCD.
    pub ccd: String,
    /// Exposure number.
    pub exposure: u64,
    /// The image it was to become.
    pub image: PathBuf,
    /// Which frame; `frame` 0 in lock files of the reference.
    pub id: FrameId,
    /// Its shape; `None` in lock files of the reference.
    pub geometry: Option<FrameGeometry>,
    /// FETCH address.
    pub base: u64,
    /// Cut and cards.
    pub spec: ImageSpec,
    /// What is on disk.
    pub found: Found,
}

/// What is on disk of a lost image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The final image: only the lock file is left over.
    Image,
    /// A complete partial file, synced: it only has to be published.
    WholePart(PathBuf),
    /// Something incomplete, or nothing: the frame is needed from the controller.
    Incomplete(Option<PathBuf>),
    /// Nothing: the exposure was begun, and perhaps read out. [`FrameId::frame`] is the number its frame would have,
    /// [`FrameId::timestamp`] an older one.
    Promised,
    /// A partial file without lock file; it is reported and left alone ([`Lost::lock`] is the partial file).
    Stray(PathBuf),
    /// The lock file cannot be understood, or the image in its place is damaged; in words.
    Unreadable(String),
}

/// Blocking work on files.
#[derive(Debug)]
pub enum Job {
    /// Take the next exposure number (or this one) and see that nothing is in the way.
    Reserve {
        /// Where.
        naming: Naming,
        /// `--seqno`
        seqno: Option<u64>,
        /// (controller, ccd) of every image.
        images: Vec<(String, String)>,
        /// Bytes of all images together, to be free on disk.
        bytes: u64,
        /// Time of the exposure: decides the directory.
        at: Utc,
    },
    /// The number [`Job::Reserve`] would give; nothing is changed.
    NextNumber {
        /// Where.
        naming: Naming,
    },
    /// Lock files for frames that do not exist yet; each plan's `id` as in [`Found::Promised`].
    Promise(Vec<FramePlan>),
    /// These images will not be made: removes their lock files as far as they are promises.
    Withdraw(Vec<PathBuf>),
    /// Lock files and partial files.
    Open(Box<FramePlan>),
    /// The next bytes of the frame as fetched (padding may follow the last pixel).
    Write {
        /// The frame.
        handle: FrameHandle,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// All bytes have been written: final cards, sums, sync of files and directory.
    Secure {
        /// The frame.
        handle: FrameHandle,
        /// Final cards by CCD; cards with a key that is there replace its value.
        cards: Vec<(String, Vec<Card>)>,
    },
    /// Compress, rename, checksum line, remove the lock files.
    Publish {
        /// The frame.
        handle: FrameHandle,
    },
    /// The fetch failed: `keep` what is on disk as evidence for recovery, or remove it.
    Abandon {
        /// The frame.
        handle: FrameHandle,
        /// Keep partial and lock files.
        keep: bool,
        /// Why, for the lock file.
        why: String,
    },
    /// Look for what was left behind in a directory (or at one lock file).
    Survey {
        /// Directory or lock file; `None`: the directory of the night `at`.
        path: Option<PathBuf>,
        /// Where.
        naming: Naming,
        /// Time.
        at: Utc,
    },
    /// Publish a whole partial file, or remove a lock file that is left over.
    Restore {
        /// What was found.
        lost: Box<Lost>,
        /// Where.
        naming: Naming,
        /// Append to the checksum file.
        checksum: bool,
        /// Leave the lock file.
        keep_lock: bool,
    },
    /// Read a text file (an ACF).
    ReadText {
        /// The file.
        path: PathBuf,
    },
    /// Write a text file, new or replaced at once.
    WriteText {
        /// The file.
        path: PathBuf,
        /// Its content.
        text: String,
    },
    /// First free `archon_<controller>_NNNN.fits` in a directory, or see that this file can be created.
    RawPath {
        /// `None`: the home directory and the next number.
        path: Option<PathBuf>,
        /// Controller.
        controller: String,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// Of [`Job::Reserve`].
    Reserved(Result<Reservation, FileError>),
    /// Of [`Job::NextNumber`]; `None`: not known yet.
    NextNumber(Option<u64>),
    /// Of [`Job::Promise`].
    Promised(Result<(), FileError>),
    /// Of [`Job::Withdraw`].
    Withdrawn,
    /// Of [`Job::Open`].
    Opened(Result<FrameHandle, FileError>),
    /// Of [`Job::Write`]: the buffer, to be filled again.
    Written {
        /// Empty, capacity kept.
        bytes: Vec<u8>,
        /// Bytes of the frame written so far.
        total: u64,
        /// Why not, if not.
        error: Option<FileError>,
    },
    /// Of [`Job::Secure`].
    Secured(Result<Vec<TapStatistics>, FileError>),
    /// Of [`Job::Publish`] and [`Job::Restore`].
    Published(Result<Vec<Published>, FileError>),
    /// Of [`Job::Abandon`].
    Abandoned,
    /// Of [`Job::Survey`].
    Surveyed(Result<Vec<Lost>, FileError>),
    /// Of [`Job::ReadText`].
    Read(Result<String, FileError>),
    /// Of [`Job::WriteText`].
    Wrote(Result<PathBuf, FileError>),
    /// Of [`Job::RawPath`].
    RawPath(Result<PathBuf, FileError>),
}

/// Does a job; blocks.
pub fn work(job: Job) -> Done {
    work_on(&Disk::default(), job)
}

/// The same on a disk that tests look at.
pub(super) fn work_on(disk: &Disk, job: Job) -> Done {
    match job {
        Job::Reserve { naming, seqno, images, bytes, at } => {
            Done::Reserved(reserve::reserve(disk, &naming, seqno, &images, bytes, at))
        }
        Job::NextNumber { naming } => Done::NextNumber(reserve::told_number(&naming)),
        Job::Promise(plans) => {
            let night = plans.first().map_or(0, sjd);
            Done::Promised(promise::make(disk, &plans, night))
        }
        Job::Withdraw(images) => {
            promise::withdraw(disk, &images);
            Done::Withdrawn
        }
        Job::Open(plan) => Done::Opened(open(disk, *plan)),
        Job::Write { handle, bytes } => write(&handle, bytes),
        Job::Secure { handle, cards } => Done::Secured(handle.with(|w| w.secure(cards))),
        Job::Publish { handle } => Done::Published(handle.with(publish::frame)),
        Job::Abandon { handle, keep, why } => {
            handle.with(|w| w.abandon(keep, &why));
            Done::Abandoned
        }
        Job::Survey { path, naming, at } => Done::Surveyed(survey::survey(path.as_deref(), &naming, at)),
        Job::Restore { lost, naming, checksum, keep_lock } => {
            Done::Published(restore::restore(disk, &lost, &naming, checksum, keep_lock).map(|p| vec![p]))
        }
        Job::ReadText { path } => Done::Read(text_file::read(&path)),
        Job::WriteText { path, text } => Done::Wrote(text_file::write(disk, &path, &text)),
        Job::RawPath { path, controller } => Done::RawPath(text_file::raw_path(path, &controller)),
    }
}

fn open(disk: &Disk, plan: FramePlan) -> Result<FrameHandle, FileError> {
    let sjd = sjd(&plan);
    Writer::open(plan, disk.clone(), sjd).map(|w| FrameHandle(Arc::new(Mutex::new(w))))
}

/// The night the images belong to: that of their directory, also when they are written after its end; the one it is
/// now where directories are not named after it.
fn sjd(plan: &FramePlan) -> i64 {
    let named = plan.images.first().filter(|_| plan.naming.files.use_sjd);
    let of_directory = named.and_then(|image| reserve::night_of(&image.path));
    of_directory.unwrap_or_else(|| crate::config::archon::night::sjd(clock::utc(), &plan.naming.observatory))
}

fn write(handle: &FrameHandle, mut bytes: Vec<u8>) -> Done {
    let (total, error) = handle.with(|w| {
        let result = w.write(&bytes);
        (w.total(), result.err())
    });
    bytes.clear();
    Done::Written { bytes, total, error }
}

impl FrameHandle {
    /// The jobs of a frame run one after the other; the lock is never waited for in practice. A panic of an earlier
    /// job has left sums that nobody may trust, but the files are as they are.
    fn with<T>(&self, act: impl FnOnce(&mut Writer) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
