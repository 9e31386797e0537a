//! The programs of a site: are they there, and may they be started?

use super::{Check, player};
use crate::config::dibas::Dibas;
use crate::config::settings::{Daq, ProgramStart, Settings};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One check for each program that a usable mode names.
pub(super) fn checks(settings: &Settings, dibas: &Dibas) -> Vec<Check> {
    if settings.player.simulate || settings.player.daq != Daq::Site {
        return vec![Check::ok("DAQ program", "this program's own")];
    }
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for mode in dibas.modes.iter().filter(|m| m.usable.is_ok() && !m.hpc_program.is_empty()) {
        *wanted.entry(&mode.hpc_program).or_default() += 1;
        if mode.hpc_program.starts_with("vegas") {
            *wanted.entry("vegasFitsWriter").or_default() += 1;
        }
    }
    let exec = PathBuf::from(player::dibas_dir(settings)).join("exec/x86_64-linux");
    let check = |(name, modes): (&str, usize)| {
        let path = exec.join(name);
        let found = format!("{} ({modes} modes)", path.display());
        match nix::unistd::access(&path, nix::unistd::AccessFlags::X_OK) {
            Ok(()) if path.is_file() => Check::ok("DAQ program", found),
            Ok(()) => {
                Check::failure("DAQ program", format!("{found}: no file"), "install the site's programs")
            }
            Err(e) => {
                let remedy = "install the site's programs, or correct player.dibas_dir (DIBAS_DIR)";
                Check::failure("DAQ program", format!("{found}: {e}"), remedy)
            }
        }
    };
    wanted.into_iter().map(check).collect()
}

/// What programs are given when they start: is it there?
pub(super) fn starts(settings: &Settings) -> Vec<Check> {
    let ours = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).ok();
    let absent = |cpu: &&u32| !ours.is_some_and(|set| set.is_set(**cpu as usize).unwrap_or(false));
    let check = |(name, start): (&String, &ProgramStart)| {
        let what = "program start";
        if let Some(cpu) = start.cpus.iter().find(absent) {
            let remedy = format!("correct player.program.{name}.cpus, or CPUAffinity= of the service");
            return Check::failure(what, format!("{name}: processor {cpu} is not to be had"), &remedy);
        }
        if !start.dir.as_os_str().is_empty() && !start.dir.is_dir() {
            let found = format!("{name}: {} is no directory", start.dir.display());
            return Check::failure(what, found, &format!("create it, or correct player.program.{name}.dir"));
        }
        Check::ok(what, format!("{name}: processors and directory are there"))
    };
    settings.player.program.iter().map(check).collect()
}
