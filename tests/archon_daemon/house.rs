//! Processes of one test: simulated controllers, and the daemon before them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A process is up, or gone, within this time, whatever else the machine does.
pub const WITHIN: Duration = Duration::from_secs(60);

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn appliance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_appliance"))
}

/// A process of the binary that says `ready ...`; killed when dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    pub log: PathBuf,
    pub ready: String,
}

impl Process {
    pub fn start(command: &mut Command, log: PathBuf) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        // Ends with the process.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut process = Process { child, lines, log, ready: String::new() };
        process.ready = process.await_ready();
        process
    }

    fn await_ready(&self) -> String {
        loop {
            match self.lines.recv_timeout(WITHIN) {
                Ok(line) => {
                    if let Some(text) = line.strip_prefix("ready ") {
                        return text.to_owned();
                    }
                }
                Err(e) => panic!("not ready: {e}; its log:\n{}", self.log_text()),
            }
        }
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Its end: standard output closes then.
    pub fn gone(mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(WITHIN) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().expect("reaped"),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; its log:\n{}", self.log_text()),
            }
        }
    }

    /// An orderly end.
    pub fn stop(self) {
        let log = self.log.clone();
        self.signal(Signal::SIGTERM);
        let status = self.gone();
        assert!(status.success(), "{status}; its log:\n{}", fs::read_to_string(log).unwrap_or_default());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to do if it has been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A CCD host: two controllers as processes of their own, and a daemon for them.
pub struct House {
    pub dir: tempfile::TempDir,
    pub controllers: Vec<Process>,
    pub ports: Vec<u16>,
}

pub const CONTROLLERS: [&str; 2] = ["sp1", "sp2"];

impl House {
    /// `options`: of every simulated controller.
    pub fn new(options: &[&str]) -> House {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("images")).expect("a directory");
        let controller = |name: &str| {
            let mut command = appliance();
            command.args(["sim", "archon", "--port", "0", "--announce", "--acf"]).arg(acf()).args(options);
            Process::start(&mut command, dir.path().join(format!("{name}.log")))
        };
        let controllers: Vec<Process> = CONTROLLERS.iter().map(|name| controller(name)).collect();
        let port = |p: &Process| p.ready.rsplit(':').next().and_then(|n| n.trim().parse().ok());
        let ports = controllers.iter().map(|p| port(p).expect("an address")).collect();
        House { dir, controllers, ports }
    }

    /// The site's configuration.
    pub fn yml(&self) -> PathBuf {
        let controller = |(name, port): (&&str, &u16)| {
            format!(
                "  {name}:\n    host: 127.0.0.1\n    port: {port}\n    detectors:\n      b{name}: {{taps: 2}}\n      r{name}: {{taps: 2}}\n"
            )
        };
        let controllers: String = CONTROLLERS.iter().zip(&self.ports).map(controller).collect();
        let path = self.dir.path().join("archon.yml");
        let text = format!(
            "controllers:\n{controllers}archon:\n  acf_file: {}\nfiles:\n  data_dir: {}\n  template: \"sdR-{{ccd}}-{{exposure_no:08d}}.fits.gz\"\nchecksum:\n  write: true\n  mode: md5\n",
            acf().display(),
            self.images().display(),
        );
        fs::write(&path, text).expect("written");
        path
    }

    pub fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    /// Files of the night whose names end like this.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let nights = fs::read_dir(self.images()).expect("readable").flatten().map(|e| e.path());
        let files = nights.filter_map(|night| fs::read_dir(night).ok()).flatten().flatten().map(|e| e.path());
        files.filter(|f| f.to_string_lossy().ends_with(ending)).collect()
    }

    pub fn record(&self) -> String {
        fs::read_to_string(self.dir.path().join("record/record.jsonl")).unwrap_or_default()
    }

    /// The daemon, with further settings.
    pub fn daemon(&self, settings: &[&str]) -> Process {
        let mut command = appliance();
        let set = |key: &str, value: &Path| ["--set".to_owned(), format!("{key}={}", value.display())];
        command
            .args(["--role", "archon", "--announce", "--set", "listen.json=tcp://127.0.0.1:0"])
            .args(["--set", "listen.rpc=tcp://127.0.0.1:0", "--set", "archon.spare_mb=1"])
            .args(set("archon.config", &self.yml()))
            .args(set("record.dir", &self.dir.path().join("record")));
        for setting in settings {
            command.args(["--set", setting]);
        }
        Process::start(&mut command, self.dir.path().join("archon.log"))
    }
}

pub fn acf() -> PathBuf {
    root().join("config/archon.example.acf")
}

/// The address of a face, from a ready line.
pub fn address<'a>(daemon: &'a Process, face: &str) -> &'a str {
    let words = daemon.ready.split_whitespace();
    let found = words.filter_map(|w| w.split_once('=')).find(|(name, _)| *name == face);
    found.map(|(_, at)| at).unwrap_or_else(|| panic!("no {face} in {}", daemon.ready))
}

/// `appliance call` on the JSON face.
pub fn call(daemon: &Process, words: &[&str]) -> Output {
    appliance().args(["call", address(daemon, "json")]).args(words).output().expect("runs")
}

/// The result of a call that has to go well.
pub fn result(daemon: &Process, words: &[&str]) -> appliance::value::Value {
    let done = call(daemon, words);
    let said = String::from_utf8_lossy(&done.stdout);
    let trouble = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words:?}: {trouble}\nlog of the daemon:\n{}", daemon.log_text());
    appliance::proto::json::read(said.trim().as_bytes()).expect("JSON")
}

/// What a call that has to fail says.
pub fn refusal(daemon: &Process, words: &[&str]) -> String {
    let done = call(daemon, words);
    assert!(!done.status.success(), "{words:?} went well: {}", String::from_utf8_lossy(&done.stdout));
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Asks until the call goes well: controllers are being connected to.
pub fn await_result(daemon: &Process, words: &[&str]) -> appliance::value::Value {
    let began = Instant::now();
    while !call(daemon, words).status.success() {
        assert!(began.elapsed() < WITHIN, "{words:?} never goes well: {}", refusal(daemon, words));
    }
    result(daemon, words)
}
