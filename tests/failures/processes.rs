//! Processes that we start, watch and kill.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here takes longer, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something to see, or time is up.
pub fn look_for<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + within;
    loop {
        let seen = look();
        if seen.is_some() || Instant::now() >= until {
            return seen;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks until there is something to see.
pub fn wait_for<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    look_for(within, look).unwrap_or_else(|| panic!("not within {within:?}: {what}"))
}

/// The program under test.
pub fn appliance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_appliance"))
}

/// A process of ours; whatever happens, it does not outlive its owner.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts it; standard error is appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        let errors = File::options().create(true).append(true).open(log).expect("a log");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        // Ends with the process, or with the last reader of its output.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| tell.send(l)));
        Process { child, lines }
    }

    /// The next line of its standard output.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| format!("(nothing: {e})"))
    }

    /// Its first line must be `ready ...`; what follows that word.
    pub fn ready(&self) -> Result<String, String> {
        let line = self.line();
        line.strip_prefix("ready ").map(str::to_owned).ok_or(line)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// `kill -9`, and reaped.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("our child");
    }

    /// Its own end.
    pub fn exit(&mut self) -> ExitStatus {
        wait_for("the process ends", PATIENCE, || self.child.try_wait().expect("our child"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to do if it has been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of ours, or to a child of one.
pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    match kill(pid, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(e) => panic!("{signal} for {pid}: {e}"),
    }
}

/// Ended; a zombie that nobody reaps counts.
pub fn is_gone(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // "pid (name) S ...": the name can hold anything, so the state follows the last parenthesis.
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Runs a command that must end by itself; what it said on standard error, and its exit status.
pub fn run_to_end(command: &mut Command, log: &Path) -> (String, Option<i32>) {
    let before = std::fs::metadata(log).map_or(0, |m| m.len()) as usize;
    let status = Process::start(command, log).exit();
    let text = std::fs::read_to_string(log).unwrap_or_default();
    (text.get(before..).unwrap_or_default().to_owned(), status.code())
}
