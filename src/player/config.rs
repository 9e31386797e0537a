//! What a player needs to know that is neither bank nor mode.

use super::guard::OnAlarm;
use crate::config::dibas::Mode;
use crate::plan::Child;
use crate::reactor::Program;
use std::path::PathBuf;

/// Which DAQ program records the data.
#[derive(Clone, Debug, PartialEq)]
pub enum DaqProgram {
    /// The site's own, named by the mode: `$DIBAS_DIR/exec/x86_64-linux/<hpc_program>`, with a FITS writer beside it.
    Site,
    /// Our own `appliance daq`, which writes its files itself.
    Builtin {
        /// Path of this binary.
        path: PathBuf,
        /// Its arguments, `daq` first.
        args: Vec<String>,
    },
}

/// What is asked of a scan, and what is done when it does not come.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanRules {
    /// Refuse a start by a clock that cannot be trusted to name the second.
    pub require_clock: bool,
    /// What is done when data do not flow.
    pub guard: OnAlarm,
    /// Less free space than this where the data go is an alarm, bytes; 0: not looked at.
    pub disk_free_min: u64,
    /// Name of this host, for the proof of a scan.
    pub host: String,
}

impl Default for ScanRules {
    fn default() -> ScanRules {
        ScanRules {
            require_clock: true,
            guard: OnAlarm::Warn,
            disk_free_min: 1_000_000_000,
            host: String::new(),
        }
    }
}

/// Settings of one player.
#[derive(Clone, Debug)]
pub struct PlayerConfig {
    /// Program root (`DIBAS_DIR`).
    pub dibas_dir: String,
    /// Data root (`DIBAS_DATA`), status key `DATADIR`.
    pub data_root: String,
    /// Everything outside is simulated.
    pub simulate: bool,
    /// The arithmetic of the reference, off by one tick now and then.
    pub reference_rounding: bool,
    /// `set_mode` of the current mode reloads it even without `force`.
    pub set_mode_always_reloads: bool,
    /// Empty the status memory when the program family changes.
    pub clear_status_on_mode_change: bool,
    /// Where the status memory is, in words; or why there is none.
    pub status_memory: String,
    /// The DAQ program.
    pub daq: DaqProgram,
    /// Environment given to every child (`HASHPIPE_KEYFILE`, ...).
    pub env: Vec<(String, String)>,
    /// What is asked of a scan.
    pub scan: ScanRules,
}

impl PlayerConfig {
    /// How a child is started in a mode.
    pub fn program(&self, child: Child, mode: Option<&Mode>) -> Program {
        let exec = PathBuf::from(&self.dibas_dir).join("exec/x86_64-linux");
        let (path, args, die_with_parent) = match (child, &self.daq) {
            (Child::Daq, DaqProgram::Builtin { path, args }) => (path.clone(), args.clone(), false),
            (Child::Daq, DaqProgram::Site) => {
                let name = mode.map_or("", |m| m.hpc_program.as_str());
                (exec.join(name), mode.map(|m| m.hpc_program_flags.clone()).unwrap_or_default(), true)
            }
            (Child::FitsWriter, _) => (exec.join("vegasFitsWriter"), Vec::new(), true),
        };
        Program { path, args, env: self.env.clone(), die_with_parent, detached: false }
    }
}
