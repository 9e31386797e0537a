//! The site of `config/dibas.loopback.conf` behind one dealer proxy.

use super::processes::{PATIENCE, Process, appliance, wait_for};
use super::{BANKS, MODE};
use appliance::cli::client::Client;
use appliance::shm::{clean, key_file, keys};
use appliance::units::Utc;
use appliance::value::Value;
use nix::sys::signal::Signal;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(150);
/// A part of the data rate that three boards can send beside whatever else there is.
const RATE_DIVISOR: &str = "64";
/// A player that is asked beside what it does answers within this, or is not there.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// What a bank with a board of its own has beside its port.
const WITH_BOARD: &str = "has_roach = true
katcp_ip = 127.0.0.1
data_source_host = 127.0.17.65
synth = katcp
synth_port = /dev/ttyS1
synth_ref = external
synth_ref_freq = 10000000
synth_vco_range = 2200, 4400
synth_rf_level = 5
synth_options = 0, 0, 1, 0
filter_bandwidth_bits = 450, 0x00, 1450, 0x08, 1900, 0x18
";

/// What the players of a site are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instrument {
    /// A wide band on three banks, each with a board of its own.
    Hbw,
    /// Coherent dedispersion on eight banks, with one board, the master's.
    Codd,
}

impl Instrument {
    /// Its players.
    pub fn banks(self) -> &'static [&'static str] {
        match self {
            Instrument::Hbw => &BANKS[..3],
            Instrument::Codd => &BANKS,
        }
    }

    /// How many of them have a board.
    fn boards(self) -> usize {
        match self {
            Instrument::Hbw => self.banks().len(),
            Instrument::Codd => 1,
        }
    }

    /// The built-in DAQ program can record its mode.
    pub fn records(self) -> bool {
        self == Instrument::Hbw
    }

    /// Its mode.
    pub fn mode(self) -> &'static str {
        match self {
            Instrument::Hbw => "MODE1",
            Instrument::Codd => MODE,
        }
    }
}

/// What becomes of the data.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Data {
    /// There are none; DAQ programs behave as if there were.
    Simulated,
    /// The boards send them, the built-in DAQ program records them.
    Recorded,
}

impl Data {
    fn daq(self) -> &'static str {
        match self {
            Data::Simulated => "simulated",
            Data::Recorded => "builtin",
        }
    }
}

struct Bank {
    name: String,
    process: Process,
    json: String,
}

/// Board, players and proxy of one test.
pub struct Site {
    dir: tempfile::TempDir,
    banks: Vec<Bank>,
    /// Of all players, also of those that are not ours.
    names: Vec<String>,
    data: Data,
    _boards: Vec<Process>,
    _proxy: Process,
    /// Where the proxy answers.
    pub json: String,
}

impl Site {
    /// All are up, and the proxy knows them.
    pub fn new(names: &[&str]) -> Site {
        Site::with(names, &[])
    }

    /// With players that others have started: name and address.
    pub fn with(names: &[&str], others: &[(&str, &str)]) -> Site {
        Site::build(names, others, 1, Data::Simulated)
    }

    /// All are up, and the proxy knows them.
    pub fn of(instrument: Instrument) -> Site {
        Site::build(instrument.banks(), &[], instrument.boards(), Data::Simulated)
    }

    /// The same, and what can be recorded is: the boards send packets, which become files.
    pub fn recording(instrument: Instrument) -> Site {
        let data = if instrument.records() { Data::Recorded } else { Data::Simulated };
        Site::build(instrument.banks(), &[], instrument.boards(), data)
    }

    /// The FITS files there are.
    pub fn recordings(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.path("data")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").path()) {
                match entry.is_dir() {
                    true => dirs.push(entry),
                    false if entry.extension().is_some_and(|e| e == "fits") => found.push(entry),
                    false => {}
                }
            }
        }
        found
    }

    fn build(names: &[&str], others: &[(&str, &str)], boards: usize, data: Data) -> Site {
        let dir = tempfile::tempdir().expect("a directory");
        let log = |name: &&str| dir.path().join(format!("roach-{name}"));
        let (boards, ports): (Vec<Process>, Vec<String>) =
            names[..boards].iter().map(|name| start_board(&log(name), data)).unzip();
        let text = configuration(&ports);
        let text = match data {
            Data::Simulated => text,
            Data::Recorded => names.iter().fold(text, |text, bank| receiving_here(&text, bank)),
        };
        std::fs::write(dir.path().join("dibas.conf"), text).expect("written");
        for new in ["data", "run"] {
            std::fs::create_dir(dir.path().join(new)).expect("created");
        }
        key_file::make(&dir.path().join("keyfile")).expect("a key file");
        let banks: Vec<Bank> =
            names.iter().map(|name| start_bank(dir.path(), name, "tcp://127.0.0.1:0", data)).collect();
        let mut command = appliance();
        command
            .args(["--role", "dealer-proxy", "--announce"])
            .env("RUNTIME_DIRECTORY", dir.path().join("run"));
        set(&mut command, "listen.json", "tcp://127.0.0.1:0");
        set(&mut command, "record.dir", &dir.path().join("record-proxy").display().to_string());
        set(&mut command, "dealer.dibas_conf", &dir.path().join("dibas.conf").display().to_string());
        for bank in &banks {
            set(&mut command, &format!("dealer.players.{}", bank.name), &bank.json);
        }
        for (name, json) in others {
            set(&mut command, &format!("dealer.players.{name}"), json);
        }
        let names =
            names.iter().chain(others.iter().map(|(name, _)| name)).map(|n| (*n).to_owned()).collect();
        let log = dir.path().join("proxy.log");
        let proxy = Process::start(&mut command, &log);
        let words = proxy.ready().unwrap_or_else(|e| {
            panic!("{e}; its log:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        let json = address_of(&words);
        let site = Site { dir, banks, names, data, _boards: boards, _proxy: proxy, json };
        site.await_all_up(PATIENCE);
        site.await_boards();
        site
    }

    /// Every board is connected to its player.
    pub fn await_boards(&self) {
        wait_for("the boards are connected", PATIENCE, || {
            let connected = |name: &&String| {
                let state = self.player_state(name);
                state.get("roach").and_then(Value::as_str) == Some("connected")
            };
            self.names.iter().take(self._boards.len()).all(|name| connected(&name)).then_some(())
        });
    }

    /// Of a file or directory of this site's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a player itself says of its state, beside the proxy; `None` when it does not answer.
    pub fn says(&self, name: &str) -> Option<Value> {
        let bank = self.banks.iter().find(|b| b.name == name)?;
        let mut client = Client::connect(&bank.json.parse().ok()?, LOOK_WITHIN).ok()?;
        client.call("bank", "player_state", vec![], vec![]).ok()
    }

    /// The proxy has been asked for this since then.
    pub fn was_asked(&self, method: &str, since: Utc) -> bool {
        let clients = self.client().call("rpc", "clients", vec![], vec![]).expect("the proxy answers");
        let Value::List(clients) = clients else { panic!("a list: {clients}") };
        let text = |client: &Value, key: &str| {
            client.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let wanted = format!("dealer.{method}");
        let since = since.to_string();
        clients.iter().any(|c| text(c, "last_call") == wanted && text(c, "last_call_at") >= since)
    }

    fn client(&self) -> Client {
        client(&self.json)
    }

    /// A call of `dealer` that must not be an error.
    pub fn done(&self, method: &str, args: Vec<Value>) -> Value {
        done(&mut self.client(), method, args)
    }

    /// Parameters for all.
    pub fn set_param(&self, name: &str, value: Value) {
        let kwargs = vec![(name.to_owned(), value)];
        let reply = self.client().call("dealer", "set_param", vec![], kwargs).expect("a result");
        let Value::Map(entries) = &reply else { panic!("an object: {reply}") };
        assert!(!entries.iter().any(|(_, e)| is_no(e)), "{reply}");
    }

    /// What the proxy shows of a player.
    pub fn player(&self, name: &str) -> Value {
        let shown = self.done("snapshot", vec![]);
        shown.get("players").and_then(|p| p.get(name)).cloned().expect("a player of the proxy")
    }

    fn player_state(&self, name: &str) -> Value {
        self.player(name).get("player_state").cloned().unwrap_or(Value::Null)
    }

    /// The second of the scan a player runs or is about to; empty for none.
    pub fn scan_start(&self, name: &str) -> String {
        let state = self.player_state(name);
        let start = state.get("scan").and_then(|s| s.get("start")).and_then(Value::as_str);
        start.unwrap_or_default().to_owned()
    }

    pub fn nobody_runs(&self) -> bool {
        self.names.iter().all(|name| {
            let shown = self.player(name);
            let state = shown.get("player_state").and_then(|s| s.get("state")).and_then(Value::as_str);
            shown.get("stale") == Some(&Value::Bool(false)) && matches!(state, Some("READY" | "NO_MODE"))
        })
    }

    pub fn await_all_up(&self, within: Duration) {
        wait_for("all players are connected and known", within, || {
            let up = |name: &String| {
                let shown = self.player(name);
                shown.get("connected") == Some(&Value::Bool(true))
                    && shown.get("stale") == Some(&Value::Bool(false))
            };
            self.names.iter().all(up).then_some(())
        });
    }

    fn bank(&mut self, name: &str) -> &mut Bank {
        self.banks.iter_mut().find(|b| b.name == name).expect("a bank of the site")
    }

    pub fn kill(&mut self, name: &str) {
        self.bank(name).process.kill();
    }

    pub fn signal(&mut self, name: &str, signal: Signal) {
        self.bank(name).process.signal(signal);
    }

    /// Again, where it was.
    pub fn restart(&mut self, name: &str) {
        let (dir, data) = (self.dir.path().to_owned(), self.data);
        let bank = self.bank(name);
        *bank = start_bank(&dir, name, &bank.json.clone(), data);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for bank in &self.banks {
            if std::thread::panicking() {
                let log = self.dir.path().join(format!("{}.log", bank.name));
                println!("---- log of {}:\n{}", bank.name, std::fs::read_to_string(log).unwrap_or_default());
            }
            bank.process.signal(Signal::SIGCONT);
            bank.process.signal(Signal::SIGTERM);
        }
        if std::thread::panicking() {
            let log = self.dir.path().join("proxy.log");
            println!("---- log of the proxy:\n{}", std::fs::read_to_string(log).unwrap_or_default());
        }
        for bank in &mut self.banks {
            bank.process.exit();
            let instance = bank.name.as_bytes()[4] - b'A';
            if let Ok(location) =
                keys::status_location(Some(&self.dir.path().join("keyfile")), instance, &|_| None)
            {
                let _ = clean(&location, true);
            }
        }
    }
}

/// A simulated board, and the port it listens on.
fn start_board(log: &Path, data: Data) -> (Process, String) {
    let mut command = appliance();
    command.args(["sim", "roach", "--announce", "--port", "0"]);
    if data == Data::Recorded {
        command.args(["--packets", RATE_DIVISOR]);
    }
    let board = Process::start(&mut command, log);
    let address = board.ready().expect("the simulated board comes up");
    let port = address.trim().rsplit(':').next().expect("a port").to_owned();
    (board, port)
}

/// The shipped configuration, with as many boards as there are ports.
fn configuration(ports: &[String]) -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dibas.loopback.conf");
    let text = std::fs::read_to_string(shipped).expect("shipped");
    let text = text.replace("katcp_port = 7147", &format!("katcp_port = {}", ports[0]));
    (6668..).zip(&ports[1..]).fold(text, |text, (player, board)| {
        let without = format!("player_port = {player}\nhas_roach = false\n");
        assert!(text.contains(&without), "config/dibas.loopback.conf has no '{without}'");
        text.replace(&without, &format!("player_port = {player}\nkatcp_port = {board}\n{WITH_BOARD}"))
    })
}

/// With the data of a bank sent to a port that no other has: the built-in DAQ program listens on 127.0.0.1.
fn receiving_here(text: &str, bank: &str) -> String {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port").port();
    let begin = text.find(&format!("\n[{bank}]")).expect("a section of the bank") + 1;
    let end = text[begin..].find("\n[").map_or(text.len(), |at| begin + at);
    let lines = text[begin..end].lines().map(|line| match line.split_once(" = ") {
        Some((key @ ("data_source_port" | "data_destination_port"), _)) => format!("{key} = {free}\n"),
        Some((key @ ("data_source_host" | "data_destination_host"), _)) => format!("{key} = 127.0.0.1\n"),
        _ => format!("{line}\n"),
    });
    let section: String = lines.collect();
    format!("{}{section}{}", &text[..begin], &text[end..]).replace("\n127.0.17.1 =", "\n127.0.0.1 =")
}

fn start_bank(dir: &Path, name: &str, json: &str, data: Data) -> Bank {
    let mut command = appliance();
    command.args(["--role", "player", "--announce"]).env("RUNTIME_DIRECTORY", dir.join("run"));
    let path = |name: &str| dir.join(name).display().to_string();
    for (key, value) in [
        ("player.bank", name.to_owned()),
        ("player.dibas_conf", path("dibas.conf")),
        ("player.data_root", path("data")),
        ("player.daq", data.daq().to_owned()),
        ("player.keep", "false".to_owned()),
        ("player.require_clock", "false".to_owned()),
        ("shm.keyfile", path("keyfile")),
        ("record.dir", path(&format!("record-{name}"))),
        ("listen.json", json.to_owned()),
    ] {
        set(&mut command, key, &value);
    }
    let log = dir.join(format!("{name}.log"));
    let process = Process::start(&mut command, &log);
    let words = process.ready().unwrap_or_else(|e| {
        panic!("{name}: {e}; its log:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
    });
    Bank { name: name.to_owned(), process, json: address_of(&words) }
}

fn set(command: &mut Command, key: &str, value: &str) {
    command.arg("--set").arg(format!("{key}={value}"));
}

fn address_of(words: &str) -> String {
    let found = words.split_whitespace().find_map(|w| w.strip_prefix("json="));
    found.expect("a JSON port").to_owned()
}

fn client(json: &str) -> Client {
    Client::connect(&json.parse().expect("an address"), ANSWER_WITHIN).expect("the proxy listens")
}

fn done(client: &mut Client, method: &str, args: Vec<Value>) -> Value {
    client.call("dealer", method, args, vec![]).unwrap_or_else(|e| panic!("{method}: {}", e.message))
}

/// `[true, ..]`
pub fn is_yes(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.first() == Some(&Value::Bool(true)))
}

/// `[false, ..]`
pub fn is_no(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.first() == Some(&Value::Bool(false)))
}

/// The Python with pyzmq, or `None` after saying that this part is skipped.
pub fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let python = std::env::var_os("APPLIANCE_PYTHON").map_or(own, PathBuf::from);
    let found = Command::new(&python).args(["-c", "import zmq"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    println!("SKIPPED: {} has no pyzmq; run scripts/test, or set APPLIANCE_PYTHON", python.display());
    None
}
