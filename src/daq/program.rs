//! The control thread: commands, heartbeat, one run at a time, the end.
//!
//! It waits in one place only, for standard input and at most [`TICK`](super::listen::TICK); every tick it looks after the
//! run, and writes what the threads pinned. End of input and SIGTERM finish the file first; a second
//! SIGTERM ends the program at once.

use super::control::Command;
use super::disk::Disk;
use super::heaps::Heaps;
use super::listen::{Listener, Reading};
use super::net::{self, Net, Shared};
use super::report::{Heartbeat, Reporter};
use super::sdfits::Style;
use super::setup::Setup;
use super::status::{Board, StatusPort};
use crate::sys::clock;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

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
    let listener = Listener::new(input, Reading::EveryLine)?;
    let mut program = Program {
        reporter: Reporter::new(port),
        options,
        board: Arc::default(),
        run: None,
        ending: false,
        heartbeat: Heartbeat::default(),
        drops: DropAverage::default(),
    };
    program.go(listener)
}

/// Threads of one run.
struct Run {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Program<'a> {
    reporter: Reporter<'a>,
    options: &'a Options,
    board: Arc<Board>,
    run: Option<Run>,
    ending: bool,
    heartbeat: Heartbeat,
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
    fn go(&mut self, mut listener: Listener<impl Read + AsFd>) -> io::Result<()> {
        self.board.pin("SCANSTAT", "stopped");
        while !self.ending {
            self.tick();
            let heard = listener.hear()?;
            self.ending = heard.end_of_input || heard.terminated;
            for command in heard.commands {
                self.obey(command);
                self.write_status();
            }
        }
        self.stop();
        self.board.pin("DAQSTATE", "exiting");
        self.board.pin("SCANSTAT", "stopped");
        self.write_status();
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
        let status = self.reporter.port().read()?;
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
        if let Some(pulse) = self.heartbeat.beat(clock::now()) {
            self.board.pin("DAQPULSE", pulse);
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
        self.reporter.write_slowly(&self.board, clock::mono());
    }

    fn write_status(&mut self) {
        self.reporter.write(&self.board, clock::mono());
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
