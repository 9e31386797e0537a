//! The control thread: commands, heartbeat, one run at a time, the end.
//!
//! It waits in one place only, `poll` on standard input for at most [`TICK`]; every tick it looks after the
//! run, and writes what the threads pinned. End of input and SIGTERM finish the file first; a second
//! SIGTERM ends the program at once.

use super::control::{Command, Lines};
use super::disk::Disk;
use super::heaps::Heaps;
use super::net::{self, Net, Shared};
use super::sdfits::Style;
use super::setup::Setup;
use super::status::{Board, StatusPort};
use crate::sys::clock;
use crate::units::{Mono, Utc};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest wait for a command; also the shortest time between two writes of the status memory.
const TICK: Duration = Duration::from_millis(100);
/// The heartbeat changes at least this often.
const HEARTBEAT: Duration = Duration::from_millis(900);
/// Bytes of spectra that may wait for the recording thread.
const QUEUE_BYTES: usize = 64 << 20;
/// Spectra that may wait, whatever their size.
const QUEUE_MIN: usize = 8;

/// How the program was started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Address to bind; else all, or loopback if DATAHOST is loopback.
    pub bind: Option<IpAddr>,
    /// Conventions of the files.
    pub style: Style,
    /// Say less on standard error.
    pub quiet: bool,
}

/// Runs until QUIT, end of input or SIGTERM.
///
/// # Errors
/// Standard input cannot be waited for, or signals cannot be caught.
pub fn run(port: &mut dyn StatusPort, options: &Options, input: impl Read + AsFd) -> io::Result<()> {
    let terminate = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // In this order the second signal finds the flag set and ends the program.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&terminate))?;
        signal_hook::flag::register(signal, Arc::clone(&terminate))?;
    }
    let mut program = Program {
        port,
        options,
        board: Arc::default(),
        run: None,
        ending: false,
        written_at: None,
        pulse_at: None,
        complaint: None,
        drops: DropAverage::default(),
    };
    program.go(input, &terminate)
}

/// Threads of one run.
struct Run {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Program<'a> {
    port: &'a mut dyn StatusPort,
    options: &'a Options,
    board: Arc<Board>,
    run: Option<Run>,
    ending: bool,
    written_at: Option<Mono>,
    pulse_at: Option<Mono>,
    complaint: Option<String>,
    drops: DropAverage,
}

/// Low-pass of the fraction of packets lost, one step a heartbeat.
#[derive(Default)]
struct DropAverage {
    lost: u64,
    sent: u64,
    average: f64,
}

impl DropAverage {
    fn step(&mut self, lost: u64, sent: u64) -> f64 {
        // Totals that went back: a new observation.
        let (new_lost, new_sent) = (lost.checked_sub(self.lost), sent.checked_sub(self.sent));
        let fraction = new_lost.unwrap_or(lost) as f64 / new_sent.unwrap_or(sent).max(1) as f64;
        (self.lost, self.sent) = (lost, sent);
        self.average = 0.75 * self.average + 0.25 * fraction;
        self.average
    }
}

impl Program<'_> {
    fn go(&mut self, mut input: impl Read + AsFd, terminate: &AtomicBool) -> io::Result<()> {
        let mut lines = Lines::default();
        self.board.pin("SCANSTAT", "stopped");
        while !self.ending {
            self.tick();
            if terminate.load(Ordering::Relaxed) {
                break;
            }
            self.read(&mut input, &mut lines)?;
        }
        self.stop();
        self.board.pin("DAQSTATE", "exiting");
        self.board.pin("SCANSTAT", "stopped");
        self.write_status();
        Ok(())
    }

    /// Waits up to a tick for input and obeys it.
    fn read(&mut self, input: &mut (impl Read + AsFd), lines: &mut Lines) -> io::Result<()> {
        let ready = {
            let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(TICK).expect("a tenth of a second fits");
            match poll(&mut fds, timeout) {
                Err(nix::Error::EINTR) => 0,
                other => other?,
            }
        };
        if ready == 0 {
            return Ok(());
        }
        let mut bytes = [0; 1024];
        let n = match input.read(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        };
        self.ending = n == 0;
        let mut commands = Vec::new();
        lines.feed(&bytes[..n], &mut commands);
        for command in commands {
            self.obey(command);
            self.write_status();
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start => self.start(true),
            Command::Monitor => self.start(false),
            Command::Stop => self.stop(),
            Command::Quit => self.ending = true,
            Command::InitGpu => self.board.pin("GPUCTXIN", "TRUE"),
            Command::Unknown(text) => say!("Unrecognized command '{text}'"),
        }
    }

    fn start(&mut self, record: bool) {
        if self.run.is_some() {
            say!("observations already running!");
            return;
        }
        match self.begin(record) {
            Ok(run) => {
                self.run = Some(run);
                self.board.pin("SCANSTAT", if record { "running" } else { "stopped" });
                self.board.pin("DAQSTATE", "running");
                self.say(if record { "recording" } else { "monitoring" });
            }
            Err(why) => {
                say!("not started: {why}");
                self.board.pin("NETSTAT", "not started");
            }
        }
    }

    fn begin(&mut self, record: bool) -> Result<Run, String> {
        let status = self.port.read()?;
        let mode = status.get("OBS_MODE").map_or("", |m| m.trim());
        match mode.to_ascii_uppercase().as_str() {
            "HBW" => {}
            "LBW" if record => return Err("OBS_MODE LBW needs the site's own DAQ program".into()),
            _ if !record => {}
            _ => return Err(format!("unrecognized obs_mode! OBS_MODE is '{mode}'; HBW is possible")),
        }
        let setup = Setup::read(&status)?;
        let heaps = Heaps::new(setup.nchan, setup.nsubband)?;
        let socket = net::open(&setup, self.options.bind)?;
        self.announce(record);
        let shared = Arc::new(Shared::new(Arc::clone(&self.board)));
        let start_expected = setup.start_expected();
        let heap_bytes = setup.nchan * setup.nsubband * 16;
        let queue = (QUEUE_BYTES / heap_bytes).max(QUEUE_MIN);
        let (to_disk, from_net) = sync_channel(queue);
        let (give_back, used) = sync_channel(queue);
        let mut threads = Vec::new();
        if record {
            let disk = Disk::new(setup, self.options.style, from_net, give_back, Arc::clone(&shared));
            threads.push(spawn("daq-disk", move || disk.run())?);
        } else {
            self.board.pin("NULLSTAT", "discarding");
        }
        let to_disk = record.then_some(to_disk);
        let net = Net { socket, heaps, to_disk, used, start_expected, shared: Arc::clone(&shared) };
        threads.push(spawn("daq-net", move || net.run())?);
        Ok(Run { shared, threads })
    }

    /// First values of the keys of a run.
    fn announce(&self, record: bool) {
        self.board.pin("NETSTAT", "init");
        for key in ["NPKT", "NDROP", "NLATE", "NDUP", "NBAD", "NKERNEL"] {
            self.board.pin(key, 0);
        }
        for key in ["DROPAVG", "DROPTOT"] {
            self.board.pin(key, 0.0);
        }
        if record {
            self.board.pin("DISKSTAT", "init");
            self.board.pin("ACCSTAT", "init");
            self.board.pin("BW_MODE", "high");
            self.board.pin("SWVER", concat!("appliance ", env!("CARGO_PKG_VERSION")));
            self.board.pin("DSKEXPWR", 0);
            self.board.pin("FILENUM", 0);
        }
    }

    /// Ends the run; everything received is written before this returns.
    fn stop(&mut self) {
        let Some(run) = self.run.take() else { return };
        run.shared.stop.store(true, Ordering::Relaxed);
        self.pin_totals(&run.shared);
        // The heartbeat goes on while a slow disk takes the rest.
        while !run.threads.iter().all(JoinHandle::is_finished) {
            self.beat();
            self.write_status_slowly();
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.end_run(run);
    }

    fn end_run(&mut self, run: Run) {
        for thread in run.threads {
            let name = thread.thread().name().unwrap_or("thread").to_owned();
            if thread.join().is_err() {
                say!("{name} failed; the run ends here");
            }
        }
        self.pin_totals(&run.shared);
        self.board.pin("SCANSTAT", "stopped");
        self.board.pin("DAQSTATE", "stopped");
        self.board.pin("NULLSTAT", "exiting");
        self.say("stopped");
    }

    fn tick(&mut self) {
        // When one thread of a run is done (the scan has its length), the others are stopped, too.
        if self.run.as_ref().is_some_and(|run| run.threads.iter().any(JoinHandle::is_finished)) {
            self.stop();
        }
        if let Some(run) = &self.run {
            self.pin_totals(&run.shared);
        }
        self.beat();
        self.write_status_slowly();
    }

    fn beat(&mut self) {
        let now = clock::now();
        if self.pulse_at.is_none_or(|at| now.mono.since(at) >= HEARTBEAT) {
            self.pulse_at = Some(now.mono);
            self.board.pin("DAQPULSE", ctime(now.utc));
            self.board.pin("DAQSTATE", if self.run.is_some() { "running" } else { "stopped" });
            if let Some(run) = &self.run {
                let p = run.shared.totals().packets;
                self.board.pin("DROPAVG", self.drops.step(p.lost, p.received + p.lost));
            }
        }
    }

    fn pin_totals(&self, shared: &Shared) {
        let totals = shared.totals();
        let p = totals.packets;
        let counts = [
            ("NPKT", p.received + p.lost),
            ("NDROP", p.lost),
            ("NLATE", p.late),
            ("NDUP", p.duplicate),
            ("NBAD", p.bad),
            ("NKERNEL", totals.kernel_drops),
        ];
        for (key, count) in counts {
            self.board.pin(key, count as i64);
        }
        self.board.pin("DROPTOT", p.lost as f64 / (p.received + p.lost).max(1) as f64);
    }

    fn write_status_slowly(&mut self) {
        let now = clock::mono();
        if self.written_at.is_none_or(|at| now.since(at) >= TICK) {
            self.write_status();
        }
    }

    fn write_status(&mut self) {
        let values = self.board.take();
        self.written_at = Some(clock::mono());
        if values.is_empty() {
            return;
        }
        let result = self.port.write(&values);
        if result.is_err() {
            self.board.put_back(values);
        }
        // Said once, and again when it changes.
        let complaint = result.err();
        if complaint != self.complaint {
            match &complaint {
                Some(why) => say!("status memory: {why}"),
                None => say!("status memory is there again"),
            }
            self.complaint = complaint;
        }
    }

    fn say(&self, text: &str) {
        if !self.options.quiet {
            say!("{text}");
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|e| format!("cannot start thread {name}: {e}"))
}

/// `Sat Nov 21 02:40:24 2026`, the form of C's `ctime`; in UTC, whatever the zone of the machine.
fn ctime(t: Utc) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // 1970-01-01 was a Thursday
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = t.civil();
    let day = DAYS[t.seconds().div_euclid(86_400).rem_euclid(7) as usize];
    let month = MONTHS[c.month as usize - 1];
    format!("{day} {month} {:2} {:02}:{:02}:{:02} {}", c.day, c.hour, c.minute, c.second, c.year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heartbeat_reads_like_ctime() {
        assert_eq!(ctime(Utc(0)), "Thu Jan  1 00:00:00 1970");
        assert_eq!(ctime(Utc::from_seconds(1_795_228_824)), "Sat Nov 21 02:40:24 2026");
    }
}
