//! What the host brings: clock, disk, names, shared memory.

use super::Check;
use crate::config::dibas::{Bank, Dibas, SynthAt};
use crate::config::settings::Settings;
use crate::sys::{realtime, resolve};
use nix::unistd::{AccessFlags, access};
use std::path::Path;
use std::time::Duration;

/// The ROACH starts on a pulse of this clock: more than that, and it may be the wrong one.
const CLOCK_ERROR_MAX: Duration = Duration::from_millis(100);
/// An hour of a VEGAS bank at full rate.
const SPACE: u64 = 10 << 30;

/// Is the wall clock kept? `required`: no scan starts without.
pub(super) fn clock(required: bool) -> Vec<Check> {
    let what = "clock";
    let remedy = match required {
        true => "see `chronyc tracking` or `timedatectl`; start() is refused until it is",
        false => "see `chronyc tracking` or `timedatectl`; scans start all the same (player.require_clock)",
    };
    let bad = |found: String| match required {
        true => Check::failure(what, found, remedy),
        false => Check::warning(what, found, remedy),
    };
    vec![match realtime::quality() {
        Err(e) => Check::warning(what, format!("the kernel does not tell: {e}"), remedy),
        Ok(q) if !q.synchronised => bad("not synchronised".into()),
        Ok(q) if q.error_max > CLOCK_ERROR_MAX => {
            bad(format!("may be off by {} ms", q.error_max.as_millis()))
        }
        Ok(q) if q.leap_pending => {
            let found = "synchronised; a leap second comes at the end of this UTC day";
            Check::warning(what, found, "do not begin a scan in its minute")
        }
        Ok(q) => Check::ok(what, format!("synchronised within {} us", q.error_max.as_micros())),
    }]
}

/// Is there a place for the data?
pub(super) fn data_root(root: &Path) -> Vec<Check> {
    let what = "data root";
    let shown = root.display();
    let made = "create or mount it; it is never created here";
    if !root.is_dir() {
        return vec![Check::failure(what, format!("{shown} is no directory"), made)];
    }
    if let Err(e) = access(root, AccessFlags::W_OK) {
        return vec![Check::failure(
            what,
            format!("{shown} cannot be written: {e}"),
            "see User= of the service",
        )];
    }
    let stat = match nix::sys::statvfs::statvfs(root) {
        Ok(stat) => stat,
        Err(e) => return vec![Check::failure(what, format!("{shown}: {e}"), made)],
    };
    // The types of the fields differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    let free = (stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64);
    let found = format!("{shown}: {:.1} GB free", free as f64 / 1e9);
    vec![match free {
        free if free < SPACE => Check::warning(what, found, "free space for the night"),
        _ => Check::ok(what, found),
    }]
}

/// Are all host names known that modes need?
pub(super) fn addresses(settings: &Settings, dibas: &Dibas, bank: &Bank) -> Vec<Check> {
    let known = |host: &str| {
        let given = settings.resolve.keys().any(|name| name.eq_ignore_ascii_case(host));
        given || resolve::ipv4_of(host).is_some()
    };
    let own = bank.data_source_host.iter().chain([&bank.data_destination_host]);
    let missing = |hosts: Vec<&str>| {
        hosts.into_iter().filter(|h| !h.is_empty() && !known(h)).collect::<Vec<_>>().join(", ")
    };
    let needed = missing(own.map(String::as_str).collect());
    let arp = missing(dibas.hpc_macs.iter().map(|m| m.host.as_str()).collect());
    let remedy = "add them to /etc/hosts, DNS or [resolve]";
    vec![if !needed.is_empty() {
        Check::failure("host names", format!("without an address: {needed}; set_mode will refuse"), remedy)
    } else if !arp.is_empty() {
        Check::warning("host names", format!("not in the ARP table, having no address: {arp}"), remedy)
    } else {
        Check::ok("host names", "all have addresses")
    }]
}

/// Is the synthesizer that hangs on this host there?
pub(super) fn synthesizer(settings: &Settings, bank: &Bank) -> Vec<Check> {
    let local = bank.synth.as_ref().filter(|s| s.where_ == SynthAt::Local && !settings.player.simulate);
    let Some(line) = local.map(|s| Path::new(&s.port)) else { return Vec::new() };
    let (what, found) = ("synthesizer", line.display());
    vec![match access(line, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) => Check::ok(what, format!("{found} can be opened")),
        Err(e) => {
            let remedy = "check the cable, the port in dibas.conf, and the group of the service (dialout)";
            Check::failure(what, format!("{found}: {e}"), remedy)
        }
    }]
}
