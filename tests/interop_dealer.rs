//! The player as an old Python Dealer sees it: real pyzmq, three interfaces, a scan from `set_mode`
//! to its own end, status read by a second client while `start` waits, `stop` from a third.
//! What is checked is in `tests/interop/dealer_session.py`, and for two that want control in `lease_fight.py`; here
//! the player is started and ended.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A simulated player is up within this time, whatever else the machine does.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// After SIGTERM.
const GONE_WITHIN: Duration = Duration::from_secs(30);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python with pyzmq, or `None` after saying that the test is skipped.
fn python() -> Option<PathBuf> {
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    let found = Command::new(&python).args(["-c", "import zmq"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    println!("SKIPPED: {} has no pyzmq; run scripts/test, or set APPLIANCE_PYTHON", python.display());
    None
}

/// A player process on simulators; killed if the test fails before [`Player::stop`].
struct Player {
    process: Child,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Player {
    fn start(dibas_conf: &Path, dir: &Path, more: &[&str]) -> Player {
        let log = dir.join("player.log");
        let set = |key: &str, value: &Path| format!("{key}={}", value.display());
        let mut process = Command::new(env!("CARGO_BIN_EXE_appliance"))
            .args([
                "--role",
                "player",
                "--announce",
                "--set",
                "player.simulate=true",
                "--set",
                "player.bank=BANKA",
            ])
            // A laptop's worth of data, also when other tests run beside.
            .args(["--set", "player.rate_divisor=16"])
            .args(["--set", &set("player.dibas_conf", dibas_conf), "--set", &set("player.data_root", dir)])
            .args(["--set", &set("record.dir", dir)])
            .args(more.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        // Ends with the process.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Player { process, lines, log }
    }

    /// The JSON address of the `ready` line.
    fn address(&self) -> String {
        loop {
            match self.lines.recv_timeout(READY_WITHIN) {
                Ok(line) => {
                    let word = line.split_whitespace().find_map(|word| word.strip_prefix("json="));
                    if let Some(address) = word.filter(|_| line.starts_with("ready ")) {
                        return address.to_owned();
                    }
                }
                Err(e) => panic!("the player is not ready: {e}; its log:\n{}", self.log_text()),
            }
        }
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end and sees it go; its standard output closes when it does.
    fn stop(mut self) {
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM).expect("it runs");
        loop {
            match self.lines.recv_timeout(GONE_WITHIN) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; its log:\n{}", self.log_text()),
            }
        }
        let status = self.process.wait().expect("reaped");
        assert!(status.success(), "it ended with {status}; its log:\n{}", self.log_text());
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // Nothing to do if it has been reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a script of `tests/interop` against a player with these settings.
fn run(script: &str, arguments: &[&str], dibas_conf: &Path, settings: &[&str]) {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let player = Player::start(dibas_conf, dir.path(), settings);
    let session = Command::new(python)
        .arg(root().join("tests/interop").join(script))
        .arg(player.address())
        .args(arguments)
        .output()
        .expect("Python runs");
    let seen = String::from_utf8_lossy(&session.stdout);
    println!("{seen}");
    let trouble = String::from_utf8_lossy(&session.stderr);
    assert!(session.status.success(), "{seen}\n{trouble}\nlog of the player:\n{}", player.log_text());
    player.stop();
}

fn a_dealer_session_on(dibas_conf: &Path) {
    run("dealer_session.py", &["--mode", "MODE1"], dibas_conf, &[]);
}

#[test]
fn two_clients_fight_for_control_and_exactly_one_wins() {
    let conf = root().join("config/dibas.example.conf");
    run("lease_fight.py", &[], &conf, &["listen.lease=binding", "listen.json=tcp://127.0.0.1:0"]);
}

#[test]
fn a_dealer_observes_with_our_example_configuration() {
    a_dealer_session_on(&root().join("config/dibas.example.conf"));
}

#[test]
fn a_dealer_observes_with_the_green_bank_configuration() {
    let shared = std::env::var_os("APPLIANCE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let conf = shared.join("data/dibas/dibas.conf.gb");
    if !conf.exists() {
        println!("SKIPPED: no {} (looked for ../shared/data)", conf.display());
        return;
    }
    a_dealer_session_on(&conf);
}
