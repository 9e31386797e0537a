//! The keys of the FLAG beamformer: the engine a bank is, and what a mode adds.
//!
//! One bank feeds one X engine (a GPU) with the part of the band that the packetizers send to it. Which of the boards
//! is programmed how is the site's: a mode with `sim3 = 1` has one board, programmed like any other; else the site's
//! own programs set up and arm the boards (`roaches_setup`, `roaches_arm`), if the bank says that it has some.

use super::Severity;
use super::reader::{Need, Reader};
use super::text;

/// `MODENAME`s of the beamformer, lower case.
pub const BEAMFORMERS: [&str; 7] = [
    "hi_correlator",
    "cal_correlator",
    "frb_correlator",
    "pulsar_beamformer",
    "flag_hi_rtbf",
    "flag_frb_rtbf",
    "flag_total_power",
];

/// Keys with a meaning in a bank section.
pub(super) const BANK_KEYS: [&str; 7] =
    ["xid", "instance", "gpudev", "has_roaches", "cpus", "roaches_setup", "roaches_arm"];
/// Those a beamformer mode cannot do without.
const REQUIRED: [&str; 5] = ["xid", "instance", "gpudev", "has_roaches", "cpus"];

/// Highest number of an X engine: eight bits of a MAC address.
const XID_MAX: i64 = 255;
/// Highest hashpipe instance.
const INSTANCE_MAX: i64 = 63;
/// Highest number of a GPU or a core that is believed.
const DEVICE_MAX: i64 = 4095;

/// The X engine a bank is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XEngine {
    /// Number among the X engines: part of the MAC addresses of the cores, and `XID` of the program.
    pub xid: u8,
    /// Instance of the pipeline, and of its status memory.
    pub instance: u8,
    /// The GPU.
    pub gpudev: u32,
    /// The boards are set up and armed by the site's own programs.
    pub has_roaches: bool,
    /// Cores for the threads of the program, in their order.
    pub cpus: Vec<u32>,
    /// Command line that sets the boards up; empty: none is configured.
    pub setup: Vec<String>,
    /// Command line that arms them; empty: none is configured.
    pub arm: Vec<String>,
}

/// What a beamformer mode has beside the keys of every mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beamformer {
    /// The FITS writer, a file beside the DAQ programs.
    pub fits_process: String,
    /// One board, which the player programs; `false`: the site's boards.
    pub sim3: bool,
}

/// The X engine of a bank. `None`: the bank is none, or a key is missing or unreadable, which is remarked.
pub(super) fn x_engine(r: &mut Reader) -> Option<XEngine> {
    let given = BANK_KEYS.map(|key| r.text(key, Need::Optional).is_some());
    if given == [false; BANK_KEYS.len()] {
        return None;
    }
    for key in REQUIRED {
        if r.text(key, Need::Optional).is_none() {
            let problem = "the key is missing beside the others of a beamformer bank";
            let remedy = format!("add '{key} = ...'; beamformer modes refuse this bank without it");
            r.remark(Severity::Warning, key, problem, remedy);
        }
    }
    let xid = number(r, "xid", XID_MAX);
    let instance = number(r, "instance", INSTANCE_MAX);
    let gpudev = number(r, "gpudev", DEVICE_MAX);
    let has_roaches = flag(r, "has_roaches", Need::Optional);
    let cpus = r.typed("cpus", Need::Optional, "numbers of cores with commas", cpus);
    let setup = words(r, "roaches_setup");
    let arm = words(r, "roaches_arm");
    let has_roaches = has_roaches?;
    for (key, missing) in [("roaches_setup", setup.is_empty()), ("roaches_arm", arm.is_empty())] {
        if has_roaches && missing {
            let problem = "missing, although the bank has boards of its own";
            let remedy = "write the program and its arguments; beamformer modes without sim3 need it";
            r.remark(Severity::Note, key, problem, remedy);
        }
    }
    Some(XEngine {
        xid: u8::try_from(xid?).ok()?,
        instance: u8::try_from(instance?).ok()?,
        gpudev: gpudev?,
        has_roaches,
        cpus: cpus?,
        setup,
        arm,
    })
}

/// What a mode of the beamformer has; `None` for other modes.
pub(super) fn of_mode(r: &mut Reader, modename: &str) -> Option<Beamformer> {
    if !BEAMFORMERS.contains(&modename) {
        return None;
    }
    let fits_process = r.required("fits_process");
    if fits_process.contains('/') {
        let problem = format!("'{fits_process}' is a path");
        r.refuse("fits_process", problem, "write the name of a file beside the DAQ programs");
    }
    Some(Beamformer { fits_process, sim3: flag(r, "sim3", Need::Required).unwrap_or(false) })
}

fn number(r: &mut Reader, key: &str, max: i64) -> Option<u32> {
    let within = |t: &str| text::int(t).filter(|n| (0..=max).contains(n)).and_then(|n| u32::try_from(n).ok());
    r.typed(key, Need::Optional, &format!("a whole number from 0 to {max}"), within)
}

fn flag(r: &mut Reader, key: &str, need: Need) -> Option<bool> {
    r.typed(key, need, "0 or 1", |t| match t {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    })
}

/// What is no number is dropped, as the old Player did; there must be one.
fn cpus(list: &str) -> Option<Vec<u32>> {
    let cores: Vec<u32> = text::list(list).iter().filter_map(|item| item.parse().ok()).collect();
    (!cores.is_empty() && cores.iter().all(|core| i64::from(*core) <= DEVICE_MAX)).then_some(cores)
}

fn words(r: &mut Reader, key: &str) -> Vec<String> {
    let text = r.text(key, Need::Optional).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}
