//! What a player needs to know that is neither bank nor mode.

use super::guard::OnAlarm;
use super::surroundings::Surroundings;
use crate::config::dibas::Mode;
use crate::plan::Child;
use crate::player::engine::{CommandLine, Conduct};
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
    /// `appliance sim daq`: it behaves like the site's own and records nothing.
    Simulated {
        /// Path of this binary.
        path: PathBuf,
        /// Its arguments, `sim daq` first; `--family` is added.
        args: Vec<String>,
    },
    /// In a simulation: our own where it can record the mode, else the simulated one.
    Rehearsal {
        /// Path of this binary.
        path: PathBuf,
        /// Arguments as of [`DaqProgram::Builtin`].
        builtin: Vec<String>,
        /// Arguments as of [`DaqProgram::Simulated`].
        simulated: Vec<String>,
    },
}

impl DaqProgram {
    /// Is it the site's own?
    pub fn is_site(&self) -> bool {
        *self == DaqProgram::Site
    }

    /// Which program runs in a mode that is conducted so.
    pub fn kind(&self, conduct: &Conduct) -> DaqKind {
        match self {
            DaqProgram::Site => DaqKind::Site,
            DaqProgram::Rehearsal { .. } if conduct.builtin_records => DaqKind::Builtin,
            DaqProgram::Builtin { .. } => DaqKind::Builtin,
            DaqProgram::Simulated { .. } | DaqProgram::Rehearsal { .. } => DaqKind::Simulated,
        }
    }
}

/// What kind of program records a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaqKind {
    /// The site's own.
    Site,
    /// `appliance daq`.
    Builtin,
    /// `appliance sim daq`.
    Simulated,
}

impl DaqKind {
    /// `site`, `builtin`, `simulated`, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            DaqKind::Site => "site",
            DaqKind::Builtin => "builtin",
            DaqKind::Simulated => "simulated",
        }
    }
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
    /// Refuse a start whose data would not fit on the disk.
    pub require_space: bool,
    /// Where this host has the files of gateware, to be summed for the proof of a scan; empty: it has none.
    pub gateware_dir: String,
    /// Name of this host, for the proof of a scan.
    pub host: String,
}

impl Default for ScanRules {
    fn default() -> ScanRules {
        ScanRules {
            require_clock: true,
            guard: OnAlarm::Warn,
            disk_free_min: 1_000_000_000,
            require_space: true,
            gateware_dir: String::new(),
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
    /// What the programs find when they start.
    pub surroundings: Surroundings,
    /// What is asked of a scan.
    pub scan: ScanRules,
}

impl PlayerConfig {
    /// How a child is started in a mode; `own`: the command line the engine has for a site's program.
    pub fn program(&self, child: Child, mode: &Mode, conduct: &Conduct, own: Option<CommandLine>) -> Program {
        let exec = PathBuf::from(&self.dibas_dir).join("exec/x86_64-linux");
        let (path, args, die_with_parent) = match (child, &self.daq) {
            (Child::FitsWriter, _) | (Child::Daq, DaqProgram::Site) if let Some(own) = own => {
                let bare = own.on_path && !own.program.contains('/');
                let path = if bare { PathBuf::from(own.program) } else { exec.join(own.program) };
                (path, own.args, true)
            }
            (Child::FitsWriter, _) => (exec.join("vegasFitsWriter"), Vec::new(), true),
            (Child::Daq, DaqProgram::Site) => {
                (exec.join(&mode.hpc_program), mode.hpc_program_flags.clone(), true)
            }
            (Child::Daq, DaqProgram::Builtin { path, args }) => (path.clone(), args.clone(), false),
            (Child::Daq, DaqProgram::Rehearsal { path, builtin, .. }) if conduct.builtin_records => {
                (path.clone(), builtin.clone(), false)
            }
            (Child::Daq, DaqProgram::Simulated { path, args })
            | (Child::Daq, DaqProgram::Rehearsal { path, simulated: args, .. }) => {
                (path.clone(), of_family(args, conduct), false)
            }
        };
        let env = self.env.clone();
        self.surroundings.around(Program { path, args, env, die_with_parent, ..Program::default() })
    }
}

/// The simulated program plays the one of the mode's family.
fn of_family(args: &[String], conduct: &Conduct) -> Vec<String> {
    let family = ["--family".to_owned(), conduct.backend.to_ascii_lowercase()];
    args.iter().cloned().chain(family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dibas::Dibas;
    use crate::player::engine::{Engine, Site};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn config(daq: DaqProgram) -> PlayerConfig {
        PlayerConfig {
            dibas_dir: "/site".into(),
            data_root: "/data".into(),
            simulate: false,
            reference_rounding: false,
            set_mode_always_reloads: false,
            clear_status_on_mode_change: true,
            status_memory: String::new(),
            daq,
            env: Vec::new(),
            surroundings: Surroundings::default(),
            scan: ScanRules::default(),
        }
    }

    /// Kind and command line in a mode.
    fn in_mode(daq: DaqProgram, mode: &str) -> (DaqKind, String) {
        let text = include_str!("../../config/dibas.loopback.conf");
        let dibas = Dibas::load(text, "loopback").expect("sound");
        let (bank, mode) = (dibas.bank("BANKA").expect("there"), dibas.mode(mode).expect("there"));
        let resolve = |host: &str| host.parse().ok();
        let site = Site {
            dibas: &dibas,
            resolve: &resolve,
            dibas_dir: "",
            data_root: "",
            reference_rounding: false,
        };
        let engine = Engine::new(bank, mode, None, &site).expect("an engine");
        let conduct = &engine.fpga().conduct;
        let own = engine.command_line(Child::Daq);
        let program = config(daq.clone()).program(Child::Daq, mode, conduct, own);
        let line = std::iter::once(program.path.display().to_string()).chain(program.args);
        (daq.kind(conduct), line.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_rehearsal_records_what_it_can() {
        let rehearsal = DaqProgram::Rehearsal {
            path: "/us".into(),
            builtin: words("daq -I 0"),
            simulated: words("sim daq -I 0"),
        };
        let vegas = (DaqKind::Simulated, "/us sim daq -I 0 --family vegas".to_owned());
        let guppi = (DaqKind::Simulated, "/us sim daq -I 0 --family guppi".to_owned());
        assert_eq!(in_mode(rehearsal.clone(), "MODE1"), (DaqKind::Builtin, "/us daq -I 0".into()));
        for mode in ["MODE4", "MODE5", "MODE6"] {
            assert_eq!(in_mode(rehearsal.clone(), mode), vegas, "{mode}");
        }
        for mode in ["INCO_MODE_64", "CODD_MODE_64"] {
            assert_eq!(in_mode(rehearsal.clone(), mode), guppi, "{mode}");
        }
    }

    #[test]
    fn what_was_chosen_runs_in_every_mode() {
        let simulated = DaqProgram::Simulated { path: "/us".into(), args: words("sim daq") };
        let builtin = DaqProgram::Builtin { path: "/us".into(), args: words("daq") };
        assert_eq!(
            in_mode(simulated, "MODE1"),
            (DaqKind::Simulated, "/us sim daq --family vegas".to_owned())
        );
        assert_eq!(in_mode(builtin, "INCO_MODE_64"), (DaqKind::Builtin, "/us daq".to_owned()));
        let site = "/site/exec/x86_64-linux/guppi_daq_server".to_owned();
        assert_eq!(in_mode(DaqProgram::Site, "CODD_MODE_64"), (DaqKind::Site, site));
    }
}
