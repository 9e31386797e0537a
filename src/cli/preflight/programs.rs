//! The programs of a site: are they there, and may they be started?

use super::{Check, player};
use crate::config::dibas::Dibas;
use crate::config::settings::{Daq, Settings};
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
