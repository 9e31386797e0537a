//! A process that says `ready ...` when it can be used, and what it costs.

use super::ANSWER_MAX;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// /proc counts processor time in these, per second: USER_HZ, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Ended, in order, when dropped.
pub struct Server {
    process: Child,
    /// What stands behind `ready `.
    pub ready: String,
    /// From the start to that line.
    pub ready_after: Duration,
}

impl Server {
    /// Starts it and waits for the line.
    pub fn start(command: &mut Command) -> io::Result<Server> {
        let began = Instant::now();
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut server = Server { process, ready: String::new(), ready_after: began.elapsed() };
        match line.strip_prefix("ready ") {
            Some(text) => server.ready = text.trim().to_owned(),
            None => return Err(io::Error::other(format!("{command:?} does not get ready"))),
        }
        Ok(server)
    }

    /// A number of its status file in /proc.
    pub fn status(&self, name: &str) -> io::Result<u64> {
        number(&self.proc("status")?, name)
    }

    /// Times any of its threads has gone to sleep of its own will, so far.
    pub fn wake_ups(&self) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            sum += number(&fs::read_to_string(task?.path().join("status"))?, "voluntary_ctxt_switches:")?;
        }
        Ok(sum)
    }

    /// Processor time of all its threads so far, user and system, s.
    pub fn cpu(&self) -> io::Result<f64> {
        let stat = self.proc("stat")?;
        // The name in parentheses may hold anything; utime and stime are fields 14 and 15, the state is field 3.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: Option<Vec<f64>> = fields.skip(11).take(2).map(|f| f.parse().ok()).collect();
        match ticks.as_deref() {
            Some([user, system]) => Ok((user + system) / TICKS_PER_SECOND),
            _ => Err(io::Error::other("no processor time in its stat file")),
        }
    }

    /// Most memory it has had at once, MB.
    pub fn peak_memory(&self) -> io::Result<f64> {
        Ok(self.status("VmHWM:")? as f64 / 1024.0)
    }

    fn proc(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
    }
}

fn number(status: &str, name: &str) -> io::Result<u64> {
    let value = status.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.split_whitespace().next());
    value.and_then(|v| v.parse().ok()).ok_or_else(|| io::Error::other(format!("no {name} in a status file")))
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order, so that it takes what it made with it.
        let _ = appliance::sys::child::terminate(self.process.id());
        let until = Instant::now() + ANSWER_MAX;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
