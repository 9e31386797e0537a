//! One node with everything it needs, all of it private and killable: a simulated board that sends packets,
//! a player that believes in it, its DAQ child, their status memory and directories.

use super::processes::{PATIENCE, Process, appliance, is_gone, look_for, send, wait_for};
use appliance::api::Outcome;
use appliance::cli::client::Client;
use appliance::daq::sdfits::read::Recording;
use appliance::keep::message::{Order, line};
use appliance::shm::{Dialect, Location, StatusMemory, clean, key_file, keys};
use appliance::value::Value;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The part of the full data rate that is sent.
const RATE_DIVISOR: &str = "64";
/// Long enough for rows to be seen, s.
pub const SCAN_LENGTH: f64 = 1.5;
/// Of a scan in which something is to be done: it still runs when a busy machine gets to it, s.
pub const LONG_SCAN: f64 = 6.0;
const EXPOSURE: f64 = 0.25;
/// A call is answered within this, whatever has died.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

// ---------------------------------------------------------------------- what must not be shared

/// Last letters of bank names in use: a host runs one player per bank.
static BANKS: Mutex<BTreeSet<char>> = Mutex::new(BTreeSet::new());
static BANK_FREE: Condvar = Condvar::new();

struct Letter(char);

impl Letter {
    fn take() -> Letter {
        let mut taken = BANKS.lock().expect("no panic while held");
        loop {
            if let Some(free) = ('A'..='Z').find(|c| !taken.contains(c)) {
                taken.insert(free);
                return Letter(free);
            }
            taken = BANK_FREE.wait(taken).expect("no panic while held");
        }
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        BANKS.lock().expect("no panic while held").remove(&self.0);
        BANK_FREE.notify_one();
    }
}

/// A port that nobody uses, below those the system gives away by itself: it can be bound again after its
/// first owner was killed.
fn free_port() -> u16 {
    /// Each test program has a block of its own, as far as process ids tell them apart.
    const BLOCK: u16 = 256;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 72) as u16 * BLOCK;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % BLOCK;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        if tcp.is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

// ---------------------------------------------------------------------- the rig

pub struct Rig {
    pub dir: tempfile::TempDir,
    letter: Letter,
    pub roach_port: u16,
    pub data_port: u16,
    pub roach: Process,
    pub player: Process,
    address: String,
}

/// A call that another thread waits for.
pub type Pending = JoinHandle<Outcome>;

impl Rig {
    /// Everything runs, the board is connected, no mode is set.
    pub fn start() -> Rig {
        Rig::start_with(&[])
    }

    /// The same with settings beside or instead of the usual ones.
    pub fn start_with(settings: &[&str]) -> Rig {
        let dir = tempfile::tempdir().expect("a directory");
        let (letter, roach_port, data_port) = (Letter::take(), free_port(), free_port());
        std::fs::create_dir(dir.path().join("data")).expect("created");
        std::fs::create_dir(dir.path().join("run")).expect("created");
        key_file::make(&dir.path().join("keyfile")).expect("a key file");
        std::fs::write(dir.path().join("dibas.conf"), dibas_conf(letter.0, roach_port, data_port))
            .expect("written");
        let roach = start_roach(dir.path(), roach_port);
        let mut command = player_command(dir.path(), letter.0);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        let (player, address) = start_player(&mut command, dir.path());
        let rig = Rig { dir, letter, roach_port, data_port, roach, player, address };
        rig.await_board();
        // The synthesizer is set up as soon as the board is there; a call that changes something waits for it.
        rig.done("set_scan_number", vec![1.into()]);
        rig
    }

    pub fn bank(&self) -> String {
        format!("BANK{}", self.letter.0)
    }

    pub fn instance(&self) -> u8 {
        self.letter.0 as u8 - b'A'
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(log(self.dir.path())).unwrap_or_default()
    }

    /// `tcp://127.0.0.1:port` of the JSON face.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Descriptors the player has open.
    pub fn open_files(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.player.pid());
        std::fs::read_dir(dir).map_or(0, Iterator::count)
    }

    /// The command line of this rig's player.
    pub fn player_command(&self) -> Command {
        player_command(self.dir.path(), self.letter.0)
    }

    // ------------------------------------------------------------------ calls

    pub fn client(&self) -> Client {
        connect(&self.address)
    }

    pub fn call(&self, method: &str, args: Vec<Value>) -> Outcome {
        self.client().call("bank", method, args, vec![])
    }

    /// Must not fail, neither by an error nor by `[false, "..."]`.
    pub fn done(&self, method: &str, args: Vec<Value>) -> Value {
        succeeded(method, self.call(method, args))
    }

    /// Must fail; its words.
    pub fn refused(&self, method: &str, args: Vec<Value>) -> String {
        failure(method, self.call(method, args))
    }

    /// A call that will take its time.
    pub fn begin(&self, method: &'static str, args: Vec<Value>) -> Pending {
        let address = self.address.clone();
        std::thread::spawn(move || connect(&address).call("bank", method, args, vec![]))
    }

    pub fn set_param(&self, pairs: &[(&str, f64)]) {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::Float(*v))).collect();
        self.client().call("bank", "set_param", vec![], pairs).expect("parameters of the mode");
    }

    // ------------------------------------------------------------------ what the player says

    pub fn state(&self) -> State {
        State(self.done("player_state", vec![]))
    }

    /// Waits for a state of this name.
    pub fn await_state(&self, name: &str) -> State {
        self.await_that(name, |s| s.name() == name)
    }

    pub fn await_that(&self, what: &str, mut is_so: impl FnMut(&State) -> bool) -> State {
        let mut last = String::new();
        let found = look_for(PATIENCE, || {
            let state = self.state();
            last = format!("{:?}", state.0);
            is_so(&state).then_some(state)
        });
        found.unwrap_or_else(|| panic!("{}: not seen: {what}; last was {last}", self.bank()))
    }

    pub fn await_board(&self) -> State {
        self.await_that("the board is connected", |s| s.text("roach").starts_with("connected"))
    }

    /// The scan is in the file of the state.
    pub fn await_saved_scan(&self) {
        let run = self.dir.path().join("run");
        wait_for("the scan is saved", PATIENCE, || {
            let mut files = std::fs::read_dir(&run).ok()?.filter_map(|e| Some(e.ok()?.path()));
            let file = files.find(|path| path.extension().is_some_and(|e| e == "state"))?;
            let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            (!saved["scan"].is_null()).then_some(())
        });
    }

    pub fn daq_pid(&self) -> Option<u32> {
        self.state().daq("pid").as_f64().map(|pid| pid as u32)
    }

    // ------------------------------------------------------------------ status memory

    pub fn location(&self) -> Location {
        keys::status_location(Some(&self.dir.path().join("keyfile")), self.instance(), &|_| None)
            .expect("a key file")
    }

    pub fn memory(&self) -> StatusMemory {
        StatusMemory::attach(&self.location(), Dialect::Hashpipe, self.instance()).expect("status memory")
    }

    /// A key as text; empty if it is not there.
    pub fn key(&self, name: &str) -> String {
        let cards = self.memory().snapshot(PATIENCE).expect("the lock");
        cards.get_str(name).unwrap_or_default().trim().to_owned()
    }

    pub fn await_key(&self, name: &str, wanted: &str) -> String {
        let mut last = String::new();
        let found = look_for(PATIENCE, || {
            last = self.key(name);
            last.starts_with(wanted).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{}: {name} stays '{last}', expected '{wanted}'", self.bank()))
    }

    // ------------------------------------------------------------------ observing

    /// A scan that starts as soon as it can. A busy machine may miss its second, which is said; a later one does.
    pub fn start_scan(&self) {
        let missed = |outcome: &Outcome| matches!(outcome, Err(e) if e.message.contains("deadline missed"));
        let mut outcome = self.call("start", vec![]);
        for _ in 0..3 {
            if missed(&outcome) {
                outcome = self.call("start", vec![]);
            }
        }
        succeeded("start", outcome);
    }

    /// The next scan is a long one.
    pub fn prepare_long_scan(&self) {
        self.set_param(&[("scan_length", LONG_SCAN)]);
        self.done("prepare", vec![]);
    }

    /// A long scan in a mode that is set, with so many exposures on disk that it is under way.
    pub fn begin_long_scan(&self) {
        self.prepare_long_scan();
        self.start_scan();
        let last = || self.key("DSKEXPWR").parse::<u32>().unwrap_or(0);
        let seen = look_for(PATIENCE, || (last() >= 2).then_some(()));
        assert!(seen.is_some(), "{}: {} exposures are written, expected 2", self.bank(), last());
    }

    /// A mode and its parameters, also if it is set already.
    pub fn set_mode(&self) {
        self.done("set_mode", vec!["MODE1".into(), Value::Null, true.into()]);
        self.set_param(&[("scan_length", SCAN_LENGTH), ("exposure", EXPOSURE)]);
    }

    /// A scan from `set_mode` to a file: this player works.
    pub fn observe(&self) {
        self.set_mode();
        self.done("prepare", vec![]);
        self.scan();
    }

    /// A scan in a mode that is set and prepared.
    pub fn scan(&self) {
        let before = self.files(".fits").len();
        self.start_scan();
        let state = self.await_state("READY");
        assert_eq!(state.last_scan_ended(), "complete", "{}", self.bank());
        wait_for("the file of the scan", PATIENCE, || (self.files(".fits").len() > before).then_some(()));
        let file = self.files(".fits").pop().expect("just seen");
        assert!(Recording::open(&file).expect("readable").rows() >= 2, "{}", file.display());
    }

    /// Files in the data directory whose names end so.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data()).into_iter().flatten();
        let mut files: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        files.retain(|p| p.to_string_lossy().ends_with(ending));
        files.sort();
        files
    }

    // ------------------------------------------------------------------ life and death

    /// Programs that outlived their player, and nobody has taken over.
    fn end_what_was_kept(&self) {
        let entries = std::fs::read_dir(self.dir.path().join("run")).into_iter().flatten();
        for socket in entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "sock"))
        {
            if let Ok(mut keeper) = UnixStream::connect(socket) {
                let _ = keeper.write_all(&line(&Order::Signal { kill: true }));
                let _ = keeper.set_read_timeout(Some(Duration::from_secs(2)));
                let _ = BufReader::new(&keeper).lines().map_while(Result::ok).find(|l| l.contains("exited"));
                let _ = keeper.write_all(&line(&Order::End));
            }
        }
    }

    pub fn freeze_board(&self) {
        self.roach.signal(Signal::SIGSTOP);
    }

    pub fn thaw_board(&self) {
        self.roach.signal(Signal::SIGCONT);
    }

    pub fn restart_board(&mut self) {
        self.roach = start_roach(self.dir.path(), self.roach_port);
        self.await_board();
    }

    /// Without its player: only its configuration and its bank are wanted.
    pub fn stopped(mut self) -> Rig {
        self.player.signal(Signal::SIGTERM);
        self.player.exit();
        self
    }

    pub fn restart_player(&mut self) {
        self.restart_player_with(&[]);
    }

    /// With settings beside or instead of the usual ones.
    pub fn restart_player_with(&mut self, settings: &[(&str, &Path)]) {
        let mut command = self.player_command();
        for (key, value) in settings {
            command.arg("--set").arg(format!("{key}={}", value.display()));
        }
        let (player, address) = start_player(&mut command, self.dir.path());
        (self.player, self.address) = (player, address);
        self.await_board();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- log of {}:\n{}", self.bank(), self.log());
        }
        // In order, so that its DAQ child ends, too; a player that does not obey is killed with its owner.
        self.thaw_board();
        self.player.signal(Signal::SIGTERM);
        let pid = self.player.pid();
        let _ = look_for(Duration::from_secs(5), || is_gone(pid).then_some(()));
        send(pid, Signal::SIGKILL);
        self.end_what_was_kept();
        let _ = clean(&self.location(), true);
    }
}

/// An answer of `player_state`.
pub struct State(Value);

impl State {
    pub fn of(value: Value) -> State {
        State(value)
    }

    pub fn text(&self, key: &str) -> String {
        self.0.get(key).filter(|v| **v != Value::Null).map(Value::to_string).unwrap_or_default()
    }

    pub fn name(&self) -> String {
        self.text("state")
    }

    pub fn daq(&self, key: &str) -> Value {
        let daq = self.0.get("programs").and_then(|p| p.get("daq"));
        daq.and_then(|d| d.get(key)).cloned().unwrap_or_default()
    }

    pub fn last_scan_ended(&self) -> String {
        self.of_last_scan("ended")
    }

    /// What is said of the data of the last scan.
    pub fn verdict(&self) -> String {
        self.of_last_scan("verdict")
    }

    fn of_last_scan(&self, key: &str) -> String {
        let said = self.0.get("last_scan").and_then(|s| s.get(key));
        said.filter(|v| **v != Value::Null).map(Value::to_string).unwrap_or_default()
    }
}

// ---------------------------------------------------------------------- helpers

pub fn connect(address: &str) -> Client {
    let target = address.parse().expect("an address");
    Client::connect(&target, ANSWER_WITHIN).expect("the player listens")
}

pub fn succeeded(what: &str, outcome: Outcome) -> Value {
    match outcome {
        Ok(Value::List(l)) if l.first() == Some(&Value::Bool(false)) && l.len() == 2 => {
            panic!("{what} refused: {}", l[1])
        }
        Ok(value) => value,
        Err(e) => panic!("{what} failed: {e}"),
    }
}

pub fn failure(what: &str, outcome: Outcome) -> String {
    match outcome {
        Ok(Value::List(l)) if l.first() == Some(&Value::Bool(false)) && l.len() == 2 => l[1].to_string(),
        Err(e) => e.message,
        Ok(value) => panic!("{what} did not fail: {value}"),
    }
}

/// The shipped example with ports of our own and the shortest arm delay.
fn dibas_conf(letter: char, katcp_port: u16, data_port: u16) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dibas.example.conf");
    let text = std::fs::read_to_string(example).expect("shipped");
    let changes = [
        ("BANKA", format!("BANK{letter}")),
        ("katcp_port = 7147", format!("katcp_port = {katcp_port}")),
        ("_port = 60000", format!("_port = {data_port}")),
        ("127.0.17.1 =", "127.0.0.1 =".into()),
        ("data_source_host = 127.0.17.64", "data_source_host = 127.0.0.1".into()),
        ("data_destination_host = 127.0.17.1", "data_destination_host = 127.0.0.1".into()),
        ("needed_arm_delay = 4", "needed_arm_delay = 2".into()),
    ];
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "config/dibas.example.conf has no '{from}'");
        text.replace(from, to)
    })
}

fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn start_roach(dir: &Path, port: u16) -> Process {
    let mut command = appliance();
    command.args(["sim", "roach", "--announce", "--packets", RATE_DIVISOR, "--port", &port.to_string()]);
    let log = dir.join("roach.log");
    let roach = Process::start(&mut command, &log);
    roach.ready().unwrap_or_else(|e| {
        panic!("{e}: no simulated board; its log:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
    });
    roach
}

fn player_command(dir: &Path, letter: char) -> Command {
    let mut command = appliance();
    command.args(["--role", "player", "--announce"]);
    command.env("RUNTIME_DIRECTORY", dir.join("run"));
    let mut set = |key: &str, value: &str| {
        command.arg("--set").arg(format!("{key}={value}"));
    };
    let path = |name: &str| dir.join(name).display().to_string();
    set("player.bank", &format!("BANK{letter}"));
    set("player.dibas_conf", &path("dibas.conf"));
    set("player.data_root", &path("data"));
    set("player.daq", "builtin");
    // Tests with a site's programs say so when they want buffers, which are small then.
    set("player.data_buffers", "leave");
    // Nobody keeps the clock of a machine for tests.
    set("player.require_clock", "false");
    set("shm.keyfile", &path("keyfile"));
    set("record.dir", &path("record"));
    set("listen.json", "tcp://127.0.0.1:0");
    command
}

fn start_player(command: &mut Command, dir: &Path) -> (Process, String) {
    let player = Process::start(command, &log(dir));
    let words = player.ready().unwrap_or_else(|e| {
        panic!("{e}; its log:\n{}", std::fs::read_to_string(log(dir)).unwrap_or_default())
    });
    let json = words.split_whitespace().find_map(|w| w.strip_prefix("json="));
    (player, json.expect("a JSON port").to_owned())
}
