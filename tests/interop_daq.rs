//! The recording program as a process: packets in, a file out, and astropy as the judge.

use appliance::daq::quicklook;
use appliance::daq::sdfits::read::Recording;
use appliance::daq::status::StatusPort;
use appliance::proto::status_cards::Dialect;
use appliance::shm::{Location, StatusMemory};
use appliance::sim::packets::{Faults, Options, PacketSource, Start};
use appliance::sys::clock;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const ACC_LEN: u32 = 768;
const FREQUENCY_HZ: f64 = 1.5e9;
/// One hardware spectrum of 1024 channels, s.
const HWEXPOSR: f64 = 98_304.0 / 187.5e6;
/// Hardware spectra in an exposure.
const SPECTRA: f64 = 954.0;

/// A recording program with its own status memory and directory.
struct Daq {
    child: Child,
    memory: StatusMemory,
    dir: tempfile::TempDir,
    port: u16,
}

impl Daq {
    fn start(keys: &[(&'static str, String)]) -> Daq {
        let dir = tempfile::tempdir().expect("a directory");
        let location = Location::File { dir: dir.path().to_owned() };
        let mut memory =
            StatusMemory::open_or_create(&location, Dialect::Hashpipe, 0).expect("status memory");
        // The system chooses a port; it stays free for the moment until the program binds it.
        let port = {
            let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
            probe.local_addr().expect("bound").port()
        };
        let mut all: BTreeMap<&'static str, appliance::value::Value> = BTreeMap::new();
        for (key, value) in [
            ("OBS_MODE", "HBW".to_owned()),
            ("DATAHOST", "127.0.0.1".into()),
            ("DATAPORT", port.to_string()),
            ("DATADIR", dir.path().display().to_string()),
            ("NCHAN", "1024".into()),
            ("EXPOSURE", (SPECTRA * HWEXPOSR).to_string()),
            ("HWEXPOSR", HWEXPOSR.to_string()),
            ("FPGACLK", "187500000.0".into()),
            ("EFSAMPFR", "3000000000.0".into()),
            ("CHAN_BW", (3e9 / 2048.0).to_string()),
            ("OBSBW", "1500000000.0".into()),
            ("SCANNUM", "7".into()),
            ("SIMULATE", "T".into()),
            ("PROJID", "TEST".into()),
        ]
        .into_iter()
        .chain(keys.iter().cloned())
        {
            all.insert(key, value.into());
        }
        memory.write(&all).expect("keys written");
        let child = Command::new(env!("CARGO_BIN_EXE_appliance"))
            .args(["daq", "--status-dir"])
            .arg(dir.path())
            .args(["--quiet", "--resize-obuf", "x"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut daq = Daq { child, memory, dir, port };
        daq.wait("DAQSTATE", "stopped");
        daq
    }

    fn tell(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(text.as_bytes()).expect("the program reads");
    }

    fn get(&mut self, key: &str) -> String {
        self.memory.read().expect("status").remove(key).unwrap_or_default()
    }

    /// Polls a key until it begins with a text.
    fn wait(&mut self, key: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.get(key).starts_with(wanted) {
            assert!(Instant::now() < deadline, "{key} stays '{}', expected '{wanted}'", self.get(key));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).expect("there");
        let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        files.retain(|p| p.to_string_lossy().contains(".fits"));
        files.sort();
        files
    }

    /// Packets begin at the next tenth of a second.
    fn send(&mut self, options: Options) -> PacketSource {
        let source = PacketSource::spawn(options);
        let at = clock::utc() + Duration::from_millis(100);
        let mjd = BTreeMap::from([("STTMJD", at.mjd().into())]);
        self.memory.write(&mjd).expect("status");
        self.tell("start\n");
        self.wait("NETSTAT", "waiting");
        source
            .start(Start {
                at,
                nchan: 1024,
                acc_len: ACC_LEN,
                frequency_hz: FREQUENCY_HZ,
                dest: SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port),
                source_ip: Ipv4Addr::LOCALHOST,
            })
            .expect("a good start");
        source
    }
}

impl Drop for Daq {
    fn drop(&mut self) {
        // Only matters when a test failed; the child is ours.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn slow() -> Options {
    Options { divisor: 20, free_run: true, ..Options::default() }
}

#[test]
fn a_scan_of_two_seconds_is_recorded_whole() {
    let mut daq = Daq::start(&[("SCANLEN", "2.0".into())]);
    let source = daq.send(slow());
    daq.wait("SCANSTAT", "running");
    daq.wait("NETSTAT", "receiving");
    daq.wait("DAQSTATE", "running");
    daq.wait("SCANSTAT", "stopped");
    daq.wait("DISKSTAT", "exiting");
    source.stop();
    assert_eq!(daq.get("NDROP"), "0");
    let files = daq.files();
    assert_eq!(files.len(), 1, "{files:?}");
    let rows = (2.0 / (SPECTRA * HWEXPOSR)).ceil() as usize;
    let recording = Recording::open(&files[0]).expect("readable");
    assert_eq!(recording.rows(), rows);
    let total: f64 = recording.numbers("EXPOSURE").expect("there").iter().sum();
    assert!((total - 2.0).abs() <= 20.0 * HWEXPOSR, "{total}");
    let spectrum = recording.mean_spectrum(0, 0).expect("data");
    let peak = (0..1024).max_by(|&a, &b| spectrum[a].total_cmp(&spectrum[b])).expect("channels");
    assert_eq!(peak, 256);
    assert_eq!(recording.text("STARTSRC").as_deref(), Some("STTMJD"));
    let look = quicklook::Spectrum::read(&files[0]).expect("readable");
    println!("{}\n{}", quicklook::terminal(&look, 78, 16), look.summary());
    quicklook::png(&look, &daq.dir.path().join("spectrum.png")).expect("written");
    assert_eq!(look.peak(), Some(256));
    astropy_agrees(&files[0], rows, 2.0);
    daq.tell("quit\n");
    assert!(daq.exit().success());
    daq.wait("DAQSTATE", "exiting");
}

#[test]
fn stop_loses_nothing_and_quit_in_the_same_write_is_obeyed() {
    let mut daq = Daq::start(&[]);
    let source = daq.send(slow());
    daq.wait("DSKEXPWR", "1");
    source.stop();
    daq.tell("STOP\nQUIT\n");
    assert!(daq.exit().success());
    let recording = Recording::open(&daq.files()[0]).expect("readable");
    let spectra: f64 = recording.numbers("NTAKEN").expect("there").iter().sum();
    let packets = recording.number("NPKT").expect("there");
    assert_eq!(spectra * 2.0, packets, "every packet is in a row");
    assert_eq!(recording.text("ENDWHY").as_deref(), Some("STOP"));
}

#[test]
fn losses_are_counted_not_read_as_zeros() {
    let mut daq = Daq::start(&[("SCANLEN", "1.0".into())]);
    let faults = Faults { loss: 0.1, duplicate: 0.1, reorder: 0.2 };
    let source = daq.send(Options { faults, seed: 5, ..slow() });
    daq.wait("DSKEXPWR", "2");
    daq.wait("SCANSTAT", "stopped");
    drop(source);
    let recording = Recording::open(&daq.files()[0]).expect("readable");
    let lost: f64 = recording.numbers("NLOST").expect("there").iter().sum();
    assert!(lost > 0.0);
    let (taken, exposure) = (recording.numbers("NTAKEN"), recording.numbers("EXPOSURE"));
    for (n, seconds) in taken.expect("there").iter().zip(exposure.expect("there")) {
        assert!((n * 20.0 * HWEXPOSR - seconds).abs() < 1e-5);
    }
    assert!(daq.get("NDROP").parse::<u64>().expect("a number") > 0);
}

#[test]
fn a_missing_directory_is_said_and_survived() {
    let mut daq = Daq::start(&[("DATADIR", "/nonexistent/data".into())]);
    let source = daq.send(slow());
    daq.wait("DISKSTAT", "no DATADIR");
    daq.wait("DISKSTAT", "error: cannot write");
    daq.tell("stop\n");
    daq.wait("DISKSTAT", "error: ");
    daq.wait("DAQSTATE", "stopped");
    source.stop();
    daq.tell("start\n");
    daq.wait("DAQSTATE", "running");
    daq.child.stdin = None; // end of input
    assert!(daq.exit().success());
}

#[test]
fn sigterm_finishes_the_file() {
    let mut daq = Daq::start(&[]);
    let source = daq.send(slow());
    daq.wait("DSKEXPWR", "1");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daq.child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("our child");
    assert!(daq.exit().success());
    drop(source);
    let files = daq.files();
    assert!(files[0].extension().is_some_and(|e| e == "fits"), "{files:?}");
    assert!(Recording::open(&files[0]).expect("readable").rows() >= 2);
}

#[test]
fn unusable_settings_are_refused_and_the_program_lives_on() {
    let mut daq = Daq::start(&[("OBSBW", "0".into())]);
    daq.tell("nonsense\nstart\n");
    daq.wait("NETSTAT", "not started");
    assert_eq!(daq.get("DAQSTATE"), "stopped");
    let mended = BTreeMap::from([("OBSBW", 1e9.into())]);
    daq.memory.write(&mended).expect("status");
    daq.tell("MONITOR\n");
    daq.wait("NULLSTAT", "discarding");
    daq.wait("DAQSTATE", "running");
    assert_eq!(daq.get("SCANSTAT"), "stopped");
    daq.tell("init_gpu\n");
    daq.wait("GPUCTXIN", "TRUE");
    daq.tell("quit\n");
    assert!(daq.exit().success());
}

/// One slow spectrum is the tolerance.
fn astropy_agrees(file: &Path, rows: usize, scanlen: f64) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let probe = Command::new(&python).args(["-c", "import astropy"]).output();
    if !probe.is_ok_and(|p| p.status.success()) {
        println!("SKIPPED: {} has no astropy; set APPLIANCE_PYTHON", python.display());
        return;
    }
    let output = Command::new(&python)
        .arg(root.join("tests/interop/check_sdfits.py"))
        .arg(file)
        .args([rows.to_string(), scanlen.to_string(), (20.0 * HWEXPOSR).to_string(), "256".into()])
        .output()
        .expect("python runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
