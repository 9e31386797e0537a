//! The process itself: size of the file, time to the first open port, memory and wake-ups when idle.

use super::ANSWER_MAX;
use super::figures::Report;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        best = best.min(Player::start(binary)?.ready_after);
    }
    let ready = best.as_secs_f64() * 1e3;
    report.row("start to `ready`, simulated player", format!("{ready:.1} ms"), "", "", "< 10 ms");

    let player = Player::start(binary)?;
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

struct Player {
    process: Child,
    ready_after: Duration,
}

impl Player {
    fn start(binary: &Path) -> io::Result<Player> {
        let began = Instant::now();
        let mut process = Command::new(binary)
            .args(["--role", "player", "--announce"])
            .args(["--set", "player.simulate=true", "--set", "player.bank=BANKA"])
            .args(["--set", "listen.json=tcp://127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let player = Player { process, ready_after: began.elapsed() };
        match line.starts_with("ready") {
            true => Ok(player),
            false => Err(io::Error::other(format!("{} does not get ready", binary.display()))),
        }
    }

    /// A number of its status file in /proc.
    fn status(&self, name: &str) -> io::Result<u64> {
        number(&fs::read_to_string(format!("/proc/{}/status", self.process.id()))?, name)
    }

    /// Times any of its threads has gone to sleep of its own will, so far.
    fn wake_ups(&self) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            sum += number(&fs::read_to_string(task?.path().join("status"))?, "voluntary_ctxt_switches:")?;
        }
        Ok(sum)
    }
}

fn number(status: &str, name: &str) -> io::Result<u64> {
    let value = status.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.split_whitespace().next());
    value.and_then(|v| v.parse().ok()).ok_or_else(|| io::Error::other(format!("no {name} in a status file")))
}

impl Drop for Player {
    fn drop(&mut self) {
        // In order, so that it takes its status memory and its directory with it.
        let _ = appliance::sys::child::terminate(self.process.id());
        let until = Instant::now() + ANSWER_MAX;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
