//! Shared memory: may a site's programs have their data buffers, and are they there?

use super::Check;
use crate::cli::daemon::surroundings::surroundings;
use crate::config::dibas::Dibas;
use crate::config::settings::{DataBuffers, Settings};
use crate::shm::databuf::{self, Layout};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, access};
use std::path::Path;

const WHAT: &str = "shared memory";
/// Where the locks of status memory are.
const SEMAPHORES: &str = "/dev/shm";
/// Every DAQ program asks for a socket buffer of this size.
const SOCKET_BUFFER: u64 = 128 << 20;
const MIB: u64 = 1 << 20;

/// What can be said of shared memory on this host.
pub(super) fn checks(settings: &Settings, dibas: &Dibas) -> Vec<Check> {
    let mut checks = vec![semaphore_files(Path::new(SEMAPHORES))];
    let buffers = surroundings(&settings.player).buffers;
    let mut programs: Vec<&str> =
        dibas.modes.iter().filter(|m| m.usable.is_ok()).map(|m| m.hpc_program.as_str()).collect();
    programs.sort_unstable();
    programs.dedup();
    let wanted: Vec<(&str, &Layout)> =
        programs.iter().filter_map(|name| Some((*name, buffers.wanted(name)?))).collect();
    if wanted.is_empty() {
        return checks;
    }
    let limits = Limits::of_this_host();
    checks.extend(wanted.iter().map(|(name, layout)| limits.check(name, layout)));
    checks.push(as_they_are(&wanted, &buffers.keys(), settings.player.data_buffers));
    checks.push(socket_buffer(number("/proc/sys/net/core/rmem_max", 0)));
    checks
}

fn semaphore_files(dir: &Path) -> Check {
    match access(dir, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Check::ok(WHAT, format!("{} can be written", dir.display())),
        Err(e) => {
            let remedy = "mount a tmpfs there, mode 1777 (a container needs --ipc=host)";
            Check::failure(WHAT, format!("{} cannot be written: {e}", dir.display()), remedy)
        }
    }
}

/// What the kernel allows; `None`: it does not say.
struct Limits {
    /// A segment, bytes.
    segment: Option<u64>,
    /// All segments, bytes.
    all: Option<u64>,
    /// Semaphores in a set.
    semaphores: Option<u64>,
    /// Memory that is free, bytes.
    free: Option<u64>,
    /// Memory that may be locked, bytes.
    lockable: u64,
}

impl Limits {
    fn of_this_host() -> Limits {
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
        let pages = number("/proc/sys/kernel/shmall", 0);
        Limits {
            segment: number("/proc/sys/kernel/shmmax", 0),
            all: pages.map(|pages| pages.saturating_mul(page.unsigned_abs())),
            semaphores: number("/proc/sys/kernel/sem", 0),
            free: databuf::memory_available(),
            lockable: match nix::unistd::Uid::effective().is_root() {
                true => u64::MAX,
                false => getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(_, hard)| hard),
            },
        }
    }

    fn check(&self, program: &str, layout: &Layout) -> Check {
        let largest = layout.buffers.iter().map(|b| b.segment_size(layout.family)).max().unwrap_or(0);
        let set = layout.buffers.iter().map(|b| u64::from(b.semaphores(layout.family))).max().unwrap_or(0);
        let whole = layout.size();
        let there = databuf::differences(layout).is_ok_and(|found| found.is_empty());
        let too_small = |limit: Option<u64>, wanted: u64| limit.is_some_and(|limit| limit < wanted);
        let found = format!("{program}: {layout}, {} MiB", whole / MIB);
        let all = whole.div_ceil(4096).to_string();
        let failures = [
            (too_small(self.segment, largest), format!("sysctl -w kernel.shmmax={largest}")),
            (too_small(self.all, whole), format!("sysctl -w kernel.shmall={all}")),
            (too_small(self.semaphores, set), format!("raise the first number of kernel.sem to {set}")),
            (
                !there && too_small(self.free, whole + whole / 10),
                format!("free memory: {} MiB are available", self.free.unwrap_or(0) / MIB),
            ),
        ];
        let remedies: Vec<String> =
            failures.into_iter().filter(|(fails, _)| *fails).map(|(_, remedy)| remedy).collect();
        if !remedies.is_empty() {
            return Check::failure(WHAT, format!("{found}: not to be had"), &remedies.join("; "));
        }
        if self.lockable < whole {
            let remedy = "LimitMEMLOCK=infinity in the service; without it the node may swap the data";
            return Check::warning(WHAT, format!("{found}: cannot be locked in memory"), remedy);
        }
        Check::ok(WHAT, found)
    }
}

/// The buffers that exist, and who uses them.
fn as_they_are(wanted: &[(&str, &Layout)], keys: &[u32], who: DataBuffers) -> Check {
    let what = "data buffers";
    let fits = |layout: &Layout| databuf::differences(layout).is_ok_and(|found| found.is_empty());
    if let Some((program, _)) = wanted.iter().find(|(_, layout)| fits(layout)) {
        return Check::ok(what, format!("as {program} wants them"));
    }
    if let Some(users) = databuf::users(keys) {
        let remedy = "end these programs: set_mode makes no buffers under them";
        return Check::failure(what, format!("as no mode wants them, and in use by {users}"), remedy);
    }
    match who {
        DataBuffers::Auto => Check::ok(what, "none, or others: set_mode makes them"),
        DataBuffers::Leave => {
            let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
            let found = format!("none as {} wants them, and player.data_buffers = leave", names.join(" or "));
            Check::warning(what, found, "run the site's script, or set player.data_buffers to auto")
        }
    }
}

fn socket_buffer(limit: Option<u64>) -> Check {
    let what = "socket buffers";
    match limit {
        Some(limit) if limit < SOCKET_BUFFER => Check::warning(
            what,
            format!(
                "at most {:.1} MiB; packets are lost when the DAQ program pauses",
                limit as f64 / MIB as f64
            ),
            &format!("sysctl -w net.core.rmem_max={SOCKET_BUFFER}"),
        ),
        Some(_) => Check::ok(what, "large enough"),
        None => Check::warning(what, "the kernel does not say how large they may be", "mount /proc"),
    }
}

/// A number of a file of the kernel.
fn number(path: &str, at: usize) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::preflight::Level;
    use crate::shm::databuf::Layouts;

    fn limits() -> Limits {
        let much = Some(1 << 40);
        Limits { segment: much, all: much, semaphores: Some(32_000), free: much, lockable: u64::MAX }
    }

    #[test]
    fn every_limit_has_its_remedy() {
        let layouts = Layouts::with_standard(Vec::new());
        // Under keys that nobody has: what exists on this host does not matter.
        let mut layout = layouts.of("vegas_hpc_server").expect("known").clone();
        for (buffer, n) in layout.buffers.iter_mut().zip(0..) {
            buffer.key = 0x5F00_0000 | (std::process::id() & 0xffff) << 4 | n;
        }
        let check = |limits: Limits| limits.check("vegas_hpc_server", &layout);
        assert_eq!(check(limits()).level, Level::Ok);
        let wrong = [
            (Limits { segment: Some(33_554_432), ..limits() }, "kernel.shmmax=1081", Level::Failure),
            (Limits { all: Some(1 << 30), ..limits() }, "kernel.shmall=", Level::Failure),
            (Limits { semaphores: Some(250), ..limits() }, "kernel.sem to 1024", Level::Failure),
            (Limits { free: Some(2 << 30), ..limits() }, "2048 MiB are available", Level::Failure),
            (Limits { lockable: 8 << 20, ..limits() }, "LimitMEMLOCK", Level::Warning),
        ];
        for (limits, remedy, level) in wrong {
            let found = check(limits);
            assert!(found.remedy.contains(remedy) && found.level == level, "{found:?}");
        }
    }

    #[test]
    fn socket_buffers_and_semaphore_files() {
        assert_eq!(socket_buffer(Some(SOCKET_BUFFER)).level, Level::Ok);
        assert!(socket_buffer(Some(4 << 20)).remedy.contains("net.core.rmem_max=134217728"));
        assert_eq!(socket_buffer(None).level, Level::Warning);
        assert_eq!(semaphore_files(Path::new("/nonexistent")).level, Level::Failure);
    }
}
