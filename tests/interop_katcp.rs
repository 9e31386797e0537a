//! KATCP over real sockets: the backend against our simulator and against a Python server, and the
//! Python clients against our simulator. Python tests say SKIPPED aloud where there is no interpreter.

use appliance::cli::client::Client;
use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::model::{BoardConfig, Catalogue};
use appliance::fpga::{Fpga, FpgaError, FpgaOp, FpgaReply};
use appliance::reactor::{Handle, Options, spawn_thread};
use appliance::shm;
use appliance::sim::roach_app::{Hooks, RoachApp};
use appliance::sim::roach2::{Fault, Faults, RoachConfig, Speaks};
use appliance::sys::clock;
use appliance::value::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A simulator on a thread.
fn simulator(speaks: Speaks, faults: &[&str]) -> (Handle, SocketAddr) {
    let (tell, told) = channel();
    let hooks =
        Hooks { ready: Some(Box::new(move |at| tell.send(at).expect("the test waits"))), ..Hooks::default() };
    let board = BoardConfig { catalogue: Catalogue::accepting_any(), ..BoardConfig::default() };
    let faults = Faults(faults.iter().map(|f| f.parse::<Fault>().expect("a fault")).collect());
    let config = RoachConfig { speaks, board, faults, ..RoachConfig::default() };
    let app = RoachApp::new(SocketAddr::from(([127, 0, 0, 1], 0)), config, hooks);
    let handle = spawn_thread(app, Options::default(), "roach").expect("a thread");
    (handle, told.recv_timeout(PATIENCE).expect("listening").expect("a port"))
}

/// The backend with a blocking socket: what the loop does, for a test.
struct Board {
    fpga: KatcpFpga,
    stream: Option<TcpStream>,
    address: SocketAddr,
}

impl Board {
    fn new(address: SocketAddr) -> Board {
        let config = KatcpFpgaConfig { board: address.to_string(), ..KatcpFpgaConfig::default() };
        let mut board = Board { fpga: KatcpFpga::new(config), stream: None, address };
        board.fpga.tick(clock::now());
        board
    }

    fn run(&mut self, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
        let limit = Instant::now() + PATIENCE;
        self.pump();
        let id = self.fpga.submit(op, clock::now());
        while Instant::now() < limit {
            self.pump();
            if let Some((done, result)) = self.fpga.poll() {
                assert_eq!(done, id);
                return result;
            }
            self.listen();
            self.fpga.tick(clock::now());
        }
        panic!("an operation without end");
    }

    fn pump(&mut self) {
        while let Some(output) = self.fpga.poll_link() {
            match output {
                LinkOutput::Connect { timeout } => {
                    let stream = TcpStream::connect_timeout(&self.address, timeout).expect("a server");
                    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
                    self.stream = Some(stream);
                    self.fpga.connected(clock::now());
                }
                LinkOutput::Send(bytes) => {
                    let stream = self.stream.as_mut().expect("connected");
                    stream.write_all(&bytes).expect("sent");
                }
                LinkOutput::Disconnect(_) => self.stream = None,
                _ => {}
            }
        }
    }

    fn listen(&mut self) {
        let mut buffer = [0; 65_536];
        let Some(stream) = &mut self.stream else { return };
        match stream.read(&mut buffer) {
            Ok(0) => {
                self.stream = None;
                self.fpga.closed("end of input", clock::now());
            }
            Ok(n) => self.fpga.receive(&buffer[..n], clock::now()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => self.fpga.closed(&e.to_string(), clock::now()),
        }
    }
}

fn set_a_mode(board: &mut Board) {
    assert_eq!(board.run(FpgaOp::Program { image: Some("h1k.bof".into()) }), Ok(FpgaReply::Done));
    assert_eq!(board.run(FpgaOp::Status), Ok(FpgaReply::Flag(true)));
    let tap = FpgaOp::TapStart {
        tap: "tap0".into(),
        device: "gbe0".into(),
        mac: 0x0202_0A11_0047,
        ip: [10, 17, 0, 71].into(),
        port: 60_000,
    };
    assert_eq!(board.run(tap), Ok(FpgaReply::Done));
    let arp = FpgaOp::SetArp {
        device: "gbe0".into(),
        entries: vec![(3, 0x1122_3344_5566), (71, 0x0202_0A11_0047)],
    };
    assert_eq!(board.run(arp), Ok(FpgaReply::Done));
    let flush = FpgaOp::WriteChanged {
        words: vec![("acc_len".into(), 768), ("sg_period".into(), 0), ("gain".into(), 0x1B0D_0920)],
        blobs: vec![("ssg_lut_bram".into(), (0..=255).cycle().take(8192).collect())],
    };
    let written = ["acc_len", "gain", "ssg_lut_bram"].map(str::to_owned).to_vec();
    assert_eq!(board.run(flush), Ok(FpgaReply::Written(written)));
    let read = FpgaOp::Read { register: "gbe0".into(), offset: 0x3018, len: 8 };
    assert_eq!(board.run(read), Ok(FpgaReply::Bytes(0x1122_3344_5566u64.to_be_bytes().to_vec())));
    let i2c = FpgaOp::I2cWrite { address: 0x38, data: vec![0x25] };
    assert_eq!(board.run(i2c), Ok(FpgaReply::Done));
    assert_eq!(board.run(FpgaOp::I2cRead { address: 0x38, len: 1 }), Ok(FpgaReply::Bytes(vec![0x25])));
    let valon = |name: &str, args: &[&str]| FpgaOp::Raw {
        name: name.into(),
        args: args.iter().map(|a| a.as_bytes().to_vec()).collect(),
    };
    assert!(board.run(valon("valon-set-frequency", &["synth_a", "1500.0", "10.0"])).is_ok());
    let Ok(FpgaReply::Raw { args, .. }) = board.run(valon("valon-get-frequency", &["synth_a"])) else {
        panic!("a frequency");
    };
    assert_eq!(args, [b"synth_a".to_vec(), b"1500.0".to_vec()]);
    assert!(matches!(
        board.run(FpgaOp::Read { register: "acc_len".into(), offset: 4, len: 4 }),
        Err(FpgaError::Rejected { .. })
    ));
}

#[test]
fn the_backend_sets_a_mode_on_the_simulator() {
    for speaks in [Speaks::V4, Speaks::V5] {
        let (_handle, address) = simulator(speaks, &[]);
        set_a_mode(&mut Board::new(address));
    }
}

#[test]
fn the_backend_sets_a_mode_through_split_output_and_chatter() {
    let (_handle, address) = simulator(Speaks::V4, &["split", "log-flood=5"]);
    set_a_mode(&mut Board::new(address));
}

#[test]
fn a_dropped_connection_is_opened_again() {
    let (_handle, address) = simulator(Speaks::V4, &["drop-after=300"]);
    let mut board = Board::new(address);
    let program = || FpgaOp::Program { image: Some("h1k.bof".into()) };
    assert_eq!(board.run(program()), Ok(FpgaReply::Done));
    let lost = (0..100).any(|_| board.run(FpgaOp::Ping).is_err());
    assert!(lost, "the fault drops the connection");
    let limit = Instant::now() + PATIENCE;
    while board.run(FpgaOp::Ping).is_err() {
        assert!(Instant::now() < limit, "the link does not come back");
        board.listen();
        board.fpga.tick(clock::now());
    }
}

fn python() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("APPLIANCE_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let usable = Command::new(&python).args(["-c", "import katcp, aiokatcp"]).output();
    match usable {
        Ok(output) if output.status.success() => Some(python),
        _ => {
            eprintln!(
                "SKIPPED: no Python with katcp and aiokatcp at {} (scripts/setup makes one)",
                python.display()
            );
            None
        }
    }
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// A program that says `ready ... PORT` and ends when killed.
struct Partner(Child);

impl Drop for Partner {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn partner(command: &mut Command) -> (Partner, u16) {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the partner starts");
    let mut partner = Partner(child);
    let mut line = String::new();
    BufReader::new(partner.0.stdout.take().expect("piped")).read_line(&mut line).expect("a ready line");
    let port = line.trim().rsplit([':', ' ']).next().and_then(|p| p.parse().ok());
    (partner, port.unwrap_or_else(|| panic!("no port in {line:?}")))
}

fn python_client(name: &str, protocol: &str) {
    let Some(python) = python() else { return };
    let appliance = env!("CARGO_BIN_EXE_appliance");
    let mut sim = Command::new(appliance);
    sim.args(["sim", "roach", "--port", "0", "--bof", "h1k_test.bof", "--announce", "--protocol", protocol]);
    let (_sim, port) = partner(&mut sim);
    let output = Command::new(python).arg(script(name)).arg(port.to_string()).output().expect("python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.ends_with(b"ok\n"), "{name}: {said}");
}

#[test]
fn the_synchronous_python_client_drives_the_simulator() {
    python_client("katcp_client.py", "4");
}

#[test]
fn the_synchronous_python_client_drives_the_simulator_with_ids() {
    python_client("katcp_client.py", "5");
}

#[test]
fn the_asynchronous_python_client_drives_the_simulator() {
    python_client("aiokatcp_client.py", "5");
}

#[test]
fn the_backend_sets_a_mode_on_a_python_server() {
    let Some(python) = python() else { return };
    let (_server, port) = partner(Command::new(python).arg(script("aiokatcp_server.py")));
    set_a_mode(&mut Board::new(SocketAddr::from(([127, 0, 0, 1], port))));
}

/// The whole player, no simulation of ours anywhere near the FPGA: a mode set on a foreign server with ids.
#[test]
fn the_player_sets_a_mode_on_a_python_server() {
    let Some(python) = python() else { return };
    let (_server, port) = partner(Command::new(python).arg(script("aiokatcp_server.py")));
    let dir = tempfile::tempdir().expect("a directory");
    let conf = dir.path().join("dibas.conf");
    let example = include_str!("../config/dibas.example.conf");
    let here = example.replace("katcp_port = 7147", &format!("katcp_port = {port}"));
    assert_ne!(here, example, "the example names the usual port");
    std::fs::write(&conf, here).expect("written");
    let keyfile = dir.path().join("keyfile");
    shm::key_file::make(&keyfile).expect("a key file");

    let set = |key: &str, value: &std::path::Path| ["--set".to_owned(), format!("{key}={}", value.display())];
    let mut command = Command::new(env!("CARGO_BIN_EXE_appliance"));
    command
        .args([
            "--role",
            "player",
            "--announce",
            "--set",
            "player.bank=BANKA",
            "--set",
            "player.daq=builtin",
            "--set",
            "player.keep=false",
        ])
        .args(["--set", "listen.json=tcp://127.0.0.1:0"])
        .args(set("player.dibas_conf", &conf))
        .args(set("player.data_root", dir.path()))
        .args(set("record.dir", dir.path()))
        .args(set("shm.keyfile", &keyfile));
    let (_player, json) = partner(&mut command);
    let target = format!("tcp://127.0.0.1:{json}").parse().expect("a target");
    let mut client = Client::connect(&target, PATIENCE).expect("the player listens");

    wait_for_roach(&mut client);
    let reply = client.call("bank", "set_mode", vec!["MODE1".into()], vec![]).expect("set_mode");
    assert_eq!(reply, Value::verdict(true, "New mode MODE1 set!"));
    let exposure = vec![("exposure".to_owned(), Value::Float(0.5))];
    assert_eq!(client.call("bank", "set_param", vec![], exposure), Ok(Value::Bool(true)));
    assert_eq!(client.call("bank", "prepare", vec![], vec![]), Ok(Value::Null));

    let mut board = Board::new(SocketAddr::from(([127, 0, 0, 1], port)));
    let mut word = |register: &str| match board
        .run(FpgaOp::Read { register: register.into(), offset: 0, len: 4 })
        .expect(register)
    {
        FpgaReply::Bytes(b) => u32::from_be_bytes(b.try_into().expect("a word")),
        other => panic!("{register}: {other:?}"),
    };
    assert_eq!(word("acc_len"), 768);
    assert_eq!(word("dest_port"), 60_000);
    assert_eq!(word("dest_ip"), u32::from(std::net::Ipv4Addr::new(127, 0, 17, 1)));
    assert_eq!(word("sg_sync"), 0x11, "the last write of the reset phase");
    // One state of a second: 1908 accumulations of 768 ticks.
    assert_eq!(word("ssg_length"), 1908 * 768);

    remove_status_memory(&keyfile);
}

fn wait_for_roach(client: &mut Client) {
    let limit = Instant::now() + PATIENCE;
    loop {
        let state = client.call("bank", "player_state", vec![], vec![]).expect("player_state");
        if state.get("roach") == Some(&"connected".into()) {
            return;
        }
        assert!(Instant::now() < limit, "no ROACH: {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The player leaves status memory of a site alone; this one was only ours.
fn remove_status_memory(keyfile: &std::path::Path) {
    let location = shm::keys::status_location(Some(keyfile), 0, &|_| None).expect("a key");
    shm::clean(&location, true).expect("removed");
}
