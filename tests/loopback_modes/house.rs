//! The site of `config/dibas.loopback.conf` as processes: simulated boards and players with simulated DAQ programs.

use super::board::BoardLink;
use super::processes::{PATIENCE, Process, appliance, is_gone, look_for, send, wait_for};
use appliance::api::Outcome;
use appliance::cli::client::Client;
use appliance::config::dibas::Dibas;
use appliance::shm::{Dialect, Location, StatusMemory, clean, key_file, keys};
use appliance::units::{Civil, Utc};
use appliance::value::Value;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A call is answered within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Directory, configuration and status memories of one test.
pub struct House {
    dir: tempfile::TempDir,
    pub dibas: Dibas,
}

impl House {
    /// The shipped configuration, with changes (from, to).
    pub fn new(changes: &[(&str, &str)]) -> House {
        let dir = tempfile::tempdir().expect("a directory");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dibas.loopback.conf");
        let text = std::fs::read_to_string(shipped).expect("shipped");
        let text = changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "config/dibas.loopback.conf has no '{from}'");
            text.replace(from, to)
        });
        let dibas = Dibas::load(&text, "dibas.loopback.conf").expect("sound");
        std::fs::write(dir.path().join("dibas.conf"), text).expect("written");
        for new in ["data", "run"] {
            std::fs::create_dir(dir.path().join(new)).expect("created");
        }
        key_file::make(&dir.path().join("keyfile")).expect("a key file");
        House { dir, dibas }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A player of a bank that listens; `settings` beside the usual ones.
    pub fn player(&self, bank: &str, settings: &[(&str, &str)]) -> Player<'_> {
        let mut command = appliance();
        command.args(["--role", "player", "--announce"]).env("RUNTIME_DIRECTORY", self.path("run"));
        let path = |name: &str| self.path(name).display().to_string();
        let usual = [
            ("player.bank", bank.to_owned()),
            ("player.dibas_conf", path("dibas.conf")),
            ("player.data_root", path("data")),
            ("player.keep", "false".to_owned()),
            ("player.require_clock", "false".to_owned()),
            ("shm.keyfile", path("keyfile")),
            ("record.dir", path(&format!("record-{bank}"))),
            ("listen.json", "tcp://127.0.0.1:0".to_owned()),
        ];
        let given = settings.iter().map(|(key, value)| (*key, (*value).to_owned()));
        for (key, value) in usual.into_iter().chain(given) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        Player::start(self, bank, &mut command)
    }

    /// What a player has entered in its record.
    pub fn record(&self, bank: &str) -> String {
        std::fs::read_to_string(self.path(&format!("record-{bank}/record.jsonl"))).expect("it keeps one")
    }

    fn location(&self, bank: &str) -> Location {
        let instance = instance(bank);
        keys::status_location(Some(&self.path("keyfile")), instance, &|_| None).expect("a key file")
    }
}

/// `BANKA` is 0.
pub fn instance(bank: &str) -> u8 {
    bank.as_bytes()[4] - b'A'
}

/// A simulated board on a port the system chose.
pub struct Board {
    _process: Process,
    pub port: u16,
}

impl Board {
    pub fn start(log: &Path) -> Board {
        let mut command = appliance();
        command.args(["sim", "roach", "--announce", "--port", "0"]);
        let process = Process::start(&mut command, log);
        let address = process.ready().expect("the simulated board comes up");
        let port = address.rsplit(':').next().and_then(|port| port.trim().parse().ok()).expect("an address");
        Board { _process: process, port }
    }

    pub fn link(&self) -> BoardLink {
        BoardLink::open(self.port)
    }
}

/// A player process.
pub struct Player<'a> {
    house: &'a House,
    pub bank: String,
    process: Process,
    address: String,
}

impl Player<'_> {
    fn start<'a>(house: &'a House, bank: &str, command: &mut Command) -> Player<'a> {
        let log = house.path(&format!("{bank}.log"));
        let process = Process::start(command, &log);
        let words = process.ready().unwrap_or_else(|e| {
            panic!("{bank}: {e}; its log:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        let json = words.split_whitespace().find_map(|w| w.strip_prefix("json=")).expect("a JSON port");
        Player { house, bank: bank.to_owned(), process, address: json.to_owned() }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.house.path(&format!("{}.log", self.bank))).unwrap_or_default()
    }

    /// To call from another thread.
    pub fn caller(&self) -> Caller {
        Caller { bank: self.bank.clone(), address: self.address.clone() }
    }

    pub fn call(&self, method: &str, args: Vec<Value>) -> Outcome {
        self.caller().client().call("bank", method, args, vec![])
    }

    pub fn done(&self, method: &str, args: Vec<Value>) -> Value {
        self.caller().done(method, args)
    }

    /// Must fail by an error; its words.
    pub fn fails(&self, method: &str, args: Vec<Value>) -> String {
        self.call(method, args).expect_err("it must not succeed").message
    }

    pub fn set_params(&self, pairs: &[(&str, Value)]) {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        self.caller().client().call("bank", "set_param", vec![], pairs).expect("parameters of the mode");
    }

    pub fn state(&self) -> Value {
        self.done("player_state", vec![])
    }

    pub fn state_name(&self) -> String {
        text(&self.state(), &["state"])
    }

    /// What is said of the DAQ program.
    pub fn daq(&self, key: &str) -> String {
        text(&self.state(), &["programs", "daq", key])
    }

    pub fn await_state(&self, name: &str) -> Value {
        wait_for(&format!("{} in state {name}", self.bank), PATIENCE, || {
            Some(self.state()).filter(|state| text(state, &["state"]) == name)
        })
    }

    pub fn await_board(&self) {
        wait_for("the board is connected", PATIENCE, || {
            (text(&self.state(), &["roach"]) == "connected").then_some(())
        });
    }

    /// A key of the status memory as text; empty if it is not there.
    pub fn key(&self, name: &str) -> String {
        let location = self.house.location(&self.bank);
        let mut memory =
            StatusMemory::attach(&location, Dialect::Hashpipe, instance(&self.bank)).expect("status memory");
        let cards = memory.snapshot(PATIENCE).expect("the lock");
        cards.get_str(name).unwrap_or_default().trim().to_owned()
    }

    pub fn await_key(&self, name: &str, wanted: &str) {
        let mut last = String::new();
        let seen = look_for(PATIENCE, || {
            last = self.key(name);
            (last == wanted).then_some(())
        });
        assert!(seen.is_some(), "{}: {name} stays '{last}', expected '{wanted}'", self.bank);
    }

    /// The second `earliest_start()` names.
    pub fn earliest_start(&self) -> Utc {
        let Value::List(reply) = self.done("earliest_start", vec![]) else { panic!("a pair is expected") };
        let Value::List(civil) = &reply[1] else { panic!("a time is expected: {reply:?}") };
        utc(civil)
    }

    /// Ends in order, with its programs.
    pub fn stop(mut self) {
        self.process.signal(Signal::SIGTERM);
        assert!(self.process.exit().success(), "{}: its log:\n{}", self.bank, self.log());
    }
}

impl Drop for Player<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- log of {}:\n{}", self.bank, self.log());
        }
        let pid = self.process.pid();
        // Not if it has been reaped: the number may be another's.
        if !is_gone(pid) {
            self.process.signal(Signal::SIGTERM);
            let _ = look_for(Duration::from_secs(5), || is_gone(pid).then_some(()));
            send(pid, Signal::SIGKILL);
        }
        let _ = clean(&self.house.location(&self.bank), true);
    }
}

/// Who can call a player.
pub struct Caller {
    bank: String,
    address: String,
}

impl Caller {
    fn client(&self) -> Client {
        Client::connect(&self.address.parse().expect("an address"), ANSWER_WITHIN)
            .expect("the player listens")
    }

    /// Must not fail, neither by an error nor by `[false, "..."]`.
    pub fn done(&self, method: &str, args: Vec<Value>) -> Value {
        match self.client().call("bank", method, args, vec![]) {
            Ok(Value::List(l)) if l.first() == Some(&Value::Bool(false)) => {
                panic!("{}: {method} refused: {l:?}", self.bank)
            }
            Ok(value) => value,
            Err(e) => panic!("{}: {method} failed: {}", self.bank, e.message),
        }
    }
}

/// A value deep in an answer, as text; empty if it is not there.
pub fn text(value: &Value, path: &[&str]) -> String {
    let found = path.iter().try_fold(value, |value, key| value.get(key));
    found.filter(|v| **v != Value::Null).map(Value::to_string).unwrap_or_default()
}

/// `[year, month, day, hour, minute, second, microsecond]`.
fn utc(list: &[Value]) -> Utc {
    let n = |i: usize| list.get(i).and_then(Value::as_f64).expect("a number");
    let part = |i: usize| n(i) as u32;
    let (month, day, hour, minute, second) = (part(1), part(2), part(3), part(4), part(5));
    let civil = Civil { year: n(0) as i64, month, day, hour, minute, second, microsecond: 0 };
    Utc::from_civil(civil).expect("a time")
}

/// The argument of `start`.
pub fn start_argument(at: Utc) -> Value {
    let c = at.civil();
    let parts = [c.month, c.day, c.hour, c.minute, c.second, c.microsecond].map(i64::from);
    Value::List(std::iter::once(c.year).chain(parts).map(Value::Int).collect())
}
