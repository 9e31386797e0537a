//! What the player's node gives to worker threads besides the record: names and configuration.

use super::{gateware, scan_file};
use crate::config::dibas::Dibas;
use crate::fpga::mmap::{MmapAddress, Window};
use crate::player::bank::{BuffersKey, BuffersOrder, Ticket};
use crate::player::proof::ScanFile;
use crate::player::saved::Saved;
use crate::player::state::Host;
use crate::reactor::JobName;
use crate::shm::databuf;
use crate::sys::realtime::{self, ClockQuality};
use crate::sys::resolve;
use std::path::{Path, PathBuf};

/// Worker that looks the board's host up: it does not wait behind names that nobody answers for.
pub const BOARD_RESOLVER: &str = "board-resolver";

/// Worker that opens mapped devices: it does not wait behind names either.
pub const BOARD_OPENER: &str = "board-opener";
/// Longest par file read, bytes; real ones have a few thousand.
const PAR_FILE_BYTES_MAX: u64 = 1 << 20;
/// Worker that asks the kernel how good the clock is: a start waits for nobody else.
pub const CLOCK_READER: &str = "clock";

/// Worker that writes the proofs of scans, one after the other, and looks at the disk they go to.
pub const PROOF_WRITER: &str = "proofs";

/// Worker that makes data buffers: gigabytes.
pub const BUFFER_MAKER: &str = "data-buffers";

/// Blocking work.
#[derive(Debug)]
pub enum Job {
    /// Look up hosts.
    Resolve {
        /// The hosts.
        hosts: Vec<String>,
    },
    /// Look up the board's host before connecting.
    ResolveBoard {
        /// The host.
        host: String,
    },
    /// Read a register map and map the device.
    OpenBoard {
        /// Which.
        address: Box<MmapAddress>,
    },
    /// Read and understand a `dibas.conf`.
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// The call that waits for it.
        ticket: Option<Ticket>,
    },
    /// Replace the file the next process finds our state in.
    Save {
        /// The file.
        path: PathBuf,
        /// The state.
        saved: Box<Saved>,
    },
    /// Read a par file.
    ReadParFile {
        /// The file.
        path: String,
    },
    /// Ask the kernel how good the wall clock is.
    ReadClock,
    /// Write the proof of a scan.
    WriteProof(ScanFile),
    /// Make data buffers, or look at them.
    Buffers {
        /// Who waits for it.
        key: BuffersKey,
        /// The order.
        order: Box<BuffersOrder>,
    },
    /// Measure what is free where the data go.
    MeasureSpace {
        /// Where.
        directory: String,
        /// Directories below this one may be missing yet.
        root: Option<String>,
    },
    /// Sum the file of a gateware.
    SumGateware {
        /// Where the files are.
        directory: String,
        /// Its name.
        name: String,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// Addresses.
    Resolved {
        /// The hosts.
        hosts: Vec<Host>,
    },
    /// Address of the board's host.
    BoardResolved {
        /// The host.
        host: String,
        /// Its address, if it has one.
        address: Option<std::net::Ipv4Addr>,
    },
    /// The mapped device, or why it is not to be had.
    BoardOpened {
        /// The device.
        result: Result<Box<Window>, String>,
    },
    /// A new configuration, or why it cannot be used.
    ConfigRead {
        /// The call that waits for it.
        ticket: Option<Ticket>,
        /// What was read.
        result: Result<Box<Dibas>, String>,
    },
    /// The state is in its file, or why not.
    Saved {
        /// In words.
        error: Option<String>,
    },
    /// A par file, or why it cannot be read.
    ParFileRead {
        /// The file.
        path: String,
        /// What was read.
        text: Result<String, String>,
    },
    /// How good the wall clock is.
    ClockRead(Result<ClockQuality, String>),
    /// The proof of a scan is on disk, or why it is not.
    ProofWritten {
        /// Of the scan.
        id: String,
        /// Its path.
        result: Result<String, String>,
    },
    /// Data buffers were made anew, or left, or why not.
    Buffers {
        /// Who waits for it.
        key: BuffersKey,
        /// `true`: made anew.
        result: Result<bool, String>,
    },
    /// Sum of the file of a gateware, or why there is none.
    GatewareSummed {
        /// Its name.
        name: String,
        /// SHA-256 in hexadecimal digits.
        sum: Result<String, String>,
    },
    /// Bytes free.
    SpaceMeasured(Result<u64, String>),
}

/// Names of the jobs, for those that are lost.
pub const RESOLVE: &str = "look-up of hosts";
/// Of [`Job::ResolveBoard`] and [`Job::OpenBoard`].
pub const BOARD: &str = "way to the board";
/// Of [`Job::ReadConfig`]; which: its ticket.
pub const READ_CONFIG: &str = "configuration";
/// Of [`Job::Save`].
pub const SAVE: &str = "saved state";
/// Of [`Job::ReadParFile`]; which: the file.
pub const READ_PAR_FILE: &str = "par file";
/// Of [`Job::ReadClock`].
pub const READ_CLOCK: &str = "look at the clock";
/// Of [`Job::WriteProof`]; which: the scan.
pub const WRITE_PROOF: &str = "proof of a scan";
/// Of [`Job::MeasureSpace`].
pub const MEASURE_SPACE: &str = "space on disk";
/// Of [`Job::Buffers`]; which: its key.
pub const BUFFERS: &str = "data buffers";

/// Of [`Job::SumGateware`]; which: its name.
pub const SUM_GATEWARE: &str = "sum of a gateware";

/// What a job is called.
pub fn name_of(job: &Job) -> JobName {
    let (kind, of) = match job {
        Job::Resolve { .. } => (RESOLVE, String::new()),
        Job::ResolveBoard { .. } | Job::OpenBoard { .. } => (BOARD, String::new()),
        Job::ReadConfig { ticket, .. } => (READ_CONFIG, ticket.map(config_name).unwrap_or_default()),
        Job::Save { .. } => (SAVE, String::new()),
        Job::ReadParFile { path } => (READ_PAR_FILE, path.clone()),
        Job::ReadClock => (READ_CLOCK, String::new()),
        Job::WriteProof(file) => (WRITE_PROOF, file.id.clone()),
        Job::MeasureSpace { .. } => (MEASURE_SPACE, String::new()),
        Job::Buffers { key, .. } => (BUFFERS, key.name()),
        Job::SumGateware { name, .. } => (SUM_GATEWARE, name.clone()),
    };
    JobName { kind, of }
}

/// A reading of the configuration is named by the call that waits for it.
pub fn config_name(ticket: Ticket) -> String {
    format!("call {}", ticket.0)
}

/// Does a job; blocks.
pub fn work(job: Job) -> Done {
    match job {
        Job::Resolve { hosts } => {
            let address = |host: String| {
                let ip = resolve::ipv4_of(&host);
                (host, ip)
            };
            Done::Resolved { hosts: hosts.into_iter().map(address).collect() }
        }
        Job::ResolveBoard { host } => Done::BoardResolved { address: resolve::ipv4_of(&host), host },
        Job::ReadClock => Done::ClockRead(realtime::quality().map_err(|e| format!("adjtimex: {e}"))),
        Job::WriteProof(file) => {
            let result = scan_file::write(&file).map(|path| path.display().to_string());
            Done::ProofWritten { id: file.id, result }
        }
        Job::Buffers { key, order } => Done::Buffers { key, result: buffers(&order) },
        Job::MeasureSpace { directory, root } => {
            Done::SpaceMeasured(scan_file::space_below(&directory, root.as_deref()))
        }
        Job::SumGateware { directory, name } => {
            Done::GatewareSummed { sum: gateware::sum(&directory, &name), name }
        }
        Job::OpenBoard { address } => Done::BoardOpened { result: Window::open(&address).map(Box::new) },
        Job::ReadConfig { path, ticket } => {
            Done::ConfigRead { ticket, result: read_config(&path).map(Box::new) }
        }
        Job::Save { path, saved } => Done::Saved { error: save(&path, &saved).err() },
        Job::ReadParFile { path } => Done::ParFileRead { text: read_par_file(&path), path },
    }
}

fn buffers(order: &BuffersOrder) -> Result<bool, String> {
    if !order.look_only {
        return databuf::reformat(&order.layout, &order.keys)
            .inspect(|made| {
                if *made {
                    log::info!("{} made for {}*", order.layout, order.layout.program);
                }
            })
            .map_err(|e| e.to_string());
    }
    match databuf::differences(&order.layout) {
        Ok(found) if found.is_empty() => Ok(false),
        Ok(found) => Err(format!(
            "{}; set_mode(.., force=True) makes them anew where player.data_buffers allows it",
            found.join("; ")
        )),
        Err(e) => Err(e.to_string()),
    }
}

/// Replaces the file at once: whoever reads it finds the old or the new state. It need not survive a reboot, so
/// nothing is synced.
pub fn save(path: &Path, saved: &Saved) -> Result<(), String> {
    let draft = path.with_extension("new");
    let text = |e: std::io::Error| format!("{}: {e}", path.display());
    std::fs::write(&draft, saved.text()).map_err(text)?;
    std::fs::rename(&draft, path).map_err(text)
}

/// The state an earlier process has left; `None`: there is none, or it is not understood (which is said).
pub fn saved(path: &Path) -> Option<Saved> {
    let bytes = std::fs::read(path).ok()?;
    Saved::parse(&bytes)
        .inspect_err(|why| log::warn!("{}: {why}; the player begins anew", path.display()))
        .ok()
}

/// The text of a par file. Nobody can name a device or a pipe here, which might never end; a file of a few lines is
/// all that is wanted.
pub fn read_par_file(path: &str) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !meta.is_file() || meta.len() > PAR_FILE_BYTES_MAX {
        return Err(format!("it is no file of at most {PAR_FILE_BYTES_MAX} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a `dibas.conf`; the error is one text with all its problems.
pub fn read_config(path: &PathBuf) -> Result<Dibas, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Dibas::load(&text, &path.display().to_string()).map_err(|findings| {
        let lines = findings.iter().map(|f| {
            format!("{}:{}: {}.{}: {}; {}", path.display(), f.line, f.section, f.key, f.problem, f.remedy)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}
