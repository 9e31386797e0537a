//! Configuration of the role `archon`: SDSS's `archon.yml` as it is, and the site's limits.

mod controllers;
mod header;
pub mod limits;
mod load;
pub mod night;
mod reader;
pub mod template;
#[cfg(test)]
mod tests;
mod yaml;

pub use load::Env;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything `archon.yml` says, defaults merged in. Maps keep the order of the file where it matters.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchonConfig {
    /// Controllers in file order, those not in `enabled_controllers` left out.
    pub controllers: Vec<ControllerEntry>,
    /// `window_modes`: name and what it sets.
    pub window_modes: Vec<(String, Vec<(WindowKey, i64)>)>,
    /// `archon.acf_file`
    pub acf_file: AcfFiles,
    /// `archon.acf_overrides`: `global` or a controller, with keys and values as text on the wire.
    pub acf_overrides: Vec<(String, Vec<(String, String)>)>,
    /// `archon.default_parameters`
    pub default_parameters: Vec<(String, i64)>,
    /// `archon.int_param`
    pub int_param: IntParam,
    /// `files`
    pub files: Files,
    /// `checksum`
    pub checksum: Checksum,
    /// `excluded_cameras`: fetched but not written.
    pub excluded_cameras: Vec<String>,
    /// `header`
    pub header: Vec<HeaderEntry>,
    /// `timeouts`
    pub timeouts: Timeouts,
    /// `actor`
    pub actor: Actor,
    /// `observatory`, else `$OBSERVATORY`, else `LCO`; upper case.
    pub observatory: String,
}

/// One controller.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerEntry {
    /// Its name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// CCDs in the order of their taps in the frame.
    pub detectors: Vec<Detector>,
}

/// One CCD.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    /// Its name.
    pub name: String,
    /// Taps (amplifiers).
    pub taps: u32,
    /// Informational.
    pub sensor: String,
    /// CCDID; `?` if not given.
    pub serial: String,
    /// CCDTYPE; `?` if not given.
    pub kind: String,
    /// e-/ADU: none, one, or one for each amplifier.
    pub gain: Vec<f64>,
    /// e-: none, one, or one for each amplifier.
    pub readnoise: Vec<f64>,
    /// Explicit areas instead of the rule by frame mode.
    pub areas: Vec<Area>,
}

/// A rectangle of the frame and where it goes in the image; columns `x0..x1`, rows `y0..y1`, 0-based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub x0: u32,
    /// One past the last column.
    pub x1: u32,
    /// First row.
    pub y0: u32,
    /// One past the last row.
    pub y1: u32,
    /// Columns reversed.
    pub flip_x: bool,
    /// Rows reversed.
    pub flip_y: bool,
    /// Column of the image its left edge comes to.
    pub to_x: u32,
    /// Row of the image its first row comes to.
    pub to_y: u32,
}

/// Members of a readout window, in the order of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowKey {
    /// `lines`
    Lines,
    /// `pixels`
    Pixels,
    /// `preskiplines`
    PreSkipLines,
    /// `postskiplines`
    PostSkipLines,
    /// `preskippixels`
    PreSkipPixels,
    /// `postskippixels`
    PostSkipPixels,
    /// `overscanpixels`
    OverscanPixels,
    /// `overscanlines`
    OverscanLines,
    /// `hbin`
    HBin,
    /// `vbin`
    VBin,
}

impl WindowKey {
    /// As it is written, in the order of replies.
    pub const ALL: [(&'static str, WindowKey); 10] = [
        ("lines", WindowKey::Lines),
        ("pixels", WindowKey::Pixels),
        ("preskiplines", WindowKey::PreSkipLines),
        ("postskiplines", WindowKey::PostSkipLines),
        ("preskippixels", WindowKey::PreSkipPixels),
        ("postskippixels", WindowKey::PostSkipPixels),
        ("overscanpixels", WindowKey::OverscanPixels),
        ("overscanlines", WindowKey::OverscanLines),
        ("hbin", WindowKey::HBin),
        ("vbin", WindowKey::VBin),
    ];
}

/// `archon.acf_file`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcfFiles {
    /// None configured.
    None,
    /// One for all.
    All(PathBuf),
    /// By controller.
    Each(BTreeMap<String, PathBuf>),
}

/// Which parameter carries the exposure time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntParam {
    /// centiseconds
    IntCS,
    /// milliseconds
    IntMS,
}

/// `files`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Root, `~` expanded.
    pub data_dir: PathBuf,
    /// `sdR-{ccd}-{exposure_no:08d}.fits.gz`
    pub template: String,
    /// Directories by SJD instead of MJD.
    pub use_sjd: bool,
    /// All CCDs concurrently.
    pub write_async: bool,
}

/// `checksum`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Write checksum files.
    pub write: bool,
    /// Which sum.
    pub mode: ChecksumMode,
    /// File name with `{SJD}`; relative to the image's directory.
    pub file: String,
}

/// Which sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumMode {
    /// `md5`
    Md5,
    /// `sha1`
    Sha1,
}

/// A member of `header`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderEntry {
    /// Upper case.
    pub key: String,
    /// Where its value comes from.
    pub from: HeaderFrom,
}

/// Where a configured keyword comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderFrom {
    /// A value and a comment.
    Fixed(crate::value::Value, String),
    /// A key of a reply.
    Reply {
        /// `status` or `system`; anything else warns and gives `N/A`.
        command: String,
        /// For every CCD the same, or by CCD; a CCD that is not listed has no such keyword.
        of: ReplyOf,
    },
    /// Something the file says that cannot be used, in words; warned about, left out.
    Unusable(String),
}

/// Which key of a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyOf {
    /// `value: [key, comment, digits]`
    Any(ReplyKey),
    /// `detectors: {ccd: [key, comment, digits]}`
    Each(Vec<(String, ReplyKey)>),
}

/// `[key, comment, digits]`
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyKey {
    /// Lower case, as replies have it.
    pub key: String,
    /// Comment of the card.
    pub comment: String,
    /// Decimals to round to.
    pub digits: Option<u32>,
}

/// `timeouts`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Connect and read back.
    pub controller_connect: Duration,
    /// One configuration line.
    pub write_config: Duration,
    /// Pause between configuration lines.
    pub write_config_delay: Duration,
    /// A readout must be complete by then.
    pub readout_max: Duration,
    /// A fetch must be complete by then, for each 100 MB.
    pub fetching_max: Duration,
    /// One flush.
    pub flushing: Duration,
}

/// `actor`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Name on the bus.
    pub name: String,
    /// Broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Login.
    pub user: String,
    /// Login.
    pub password: String,
    /// Version reported.
    pub version: Option<String>,
    /// Recover lost exposures at start.
    pub run_recovery_on_start: bool,
}
