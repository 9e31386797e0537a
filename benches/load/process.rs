//! The process itself: size of the file, time to the first open port, memory and wake-ups when idle.

use super::figures::Report;
use super::server::Server;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Starts, of which the fastest counts.
const STARTS: usize = 10;
/// From the start until the process counts as idle.
const SETTLED: Duration = Duration::from_secs(3);
/// How long it is watched then.
const IDLE: Duration = Duration::from_secs(20);

/// Of a player, simulated: its board and its packet source are threads of the same process.
pub fn figures(report: &mut Report, binary: &Path) -> io::Result<()> {
    let size = fs::metadata(binary)?.len() as f64 / 1e6;
    report.row("binary", format!("{size:.1} MB"), "", "", "< 8 MB");

    let mut best = Duration::MAX;
    for _ in 0..STARTS {
        best = best.min(player(binary)?.ready_after);
    }
    let ready = best.as_secs_f64() * 1e3;
    report.row("start to `ready`, simulated player", format!("{ready:.1} ms"), "", "", "< 10 ms");

    let player = player(binary)?;
    std::thread::sleep(SETTLED);
    let before = player.wake_ups()?;
    std::thread::sleep(IDLE);
    let woken = player.wake_ups()? - before;
    let memory = player.status("VmRSS:")? as f64 / 1024.0;
    report.row("resident memory, idle, with simulated board", format!("{memory:.1} MB"), "", "", "< 8 MB");
    let what = format!("wake-ups in {} s idle, all threads", IDLE.as_secs());
    report.row(&what, woken.to_string(), "", "", "only timers that are due");
    Ok(())
}

fn player(binary: &Path) -> io::Result<Server> {
    Server::start(
        Command::new(binary)
            .args(["--role", "player", "--announce"])
            .args(["--set", "player.simulate=true", "--set", "player.bank=BANKA"])
            .args(["--set", "listen.json=tcp://127.0.0.1:0"]),
    )
}
