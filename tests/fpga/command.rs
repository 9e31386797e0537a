//! `appliance fpga` as a script sees it: output, exit status, and what it leaves in the registers.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Standard output, standard error, exit status.
fn fpga(runtime: &Path, board: &str, args: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appliance"));
    let output = command
        .env("RUNTIME_DIRECTORY", runtime)
        .args(["fpga", board])
        .args(args)
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().expect("not killed"))
}

struct Bench {
    dir: tempfile::TempDir,
    device: PathBuf,
    board: String,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a directory");
        let (device, map) = (dir.path().join("device"), dir.path().join("map.tab"));
        std::fs::write(&device, vec![0; 4096]).expect("written");
        std::fs::write(&map, "acc_len 0x100 4\nlut 0x200 64\nstatus 0x104 4 r\nkey 0x108 4 w\n")
            .expect("written");
        let board = format!("mmap:{}?map={}&order=big&runs=card.bof", device.display(), map.display());
        Bench { dir, device, board }
    }

    fn run(&self, args: &[&str]) -> (String, String, i32) {
        fpga(self.dir.path(), &self.board, args)
    }

    fn done(&self, args: &[&str]) -> String {
        let (out, err, status) = self.run(args);
        assert_eq!(status, 0, "{args:?}: {err}");
        out
    }

    fn json(&self, args: &[&str]) -> Value {
        let out = self.done(&[&["--json"], args].concat());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }
}

#[test]
fn registers_are_listed_read_and_written() {
    let bench = Bench::new();
    let list = bench.done(&["list"]);
    assert!(list.starts_with("acc_len       0x100         4  rw\nkey "), "{list}");
    assert_eq!(
        bench.json(&["list"])[3],
        json!({"name": "status", "offset": 0x104, "size": 4, "access": "r"})
    );
    assert_eq!(
        bench.done(&["write", "acc_len", "0x300"]),
        "acc_len+0x0: 0x0 (0) -> 0x300 (768), written and read back\n"
    );
    assert_eq!(std::fs::read(&bench.device).expect("read")[0x100..0x104], [0, 0, 3, 0]);
    assert_eq!(bench.done(&["read", "acc_len"]), "acc_len+0x0  0x00000300  768\n");
    let written = bench.json(&["write", "lut", "1", "0xFFFFFFFF", "-2", "--offset", "0x8"]);
    let wanted = json!({"register": "lut", "offset": 8, "before": [0, 0, 0],
                        "words": [1, 4294967295u32, 4294967294u32], "verified": true});
    assert_eq!(written, wanted);
    let read = bench.json(&["read", "lut", "0x4", "3"]);
    assert_eq!(read, json!({"register": "lut", "offset": 4, "words": [0, 1, 4294967295u32]}));
    let blind = bench.json(&["write", "key", "7", "--blind"]);
    assert_eq!((&blind["before"], &blind["verified"]), (&Value::Null, &json!(false)));
}

#[test]
fn dump_and_status() {
    let bench = Bench::new();
    bench.done(&["write", "lut", "1", "2", "3"]);
    let dump = bench.done(&["dump", "--words", "2"]);
    assert!(dump.contains("acc_len  0x00000000\n"), "{dump}");
    assert!(dump.contains("lut      0x00000001 0x00000002 ...\n"), "{dump}");
    assert!(dump.contains("key      (register key is not marked readable)\n"), "{dump}");
    assert_eq!(bench.json(&["dump"])["lut"], json!([1, 2, 3, 0]));
    let status = bench.json(&["status"]);
    assert_eq!(
        status,
        json!({"programmed": true, "registers": 4, "images": ["card.bof"], "driven_by": null})
    );
    assert!(bench.done(&["program", "card.bof"]).contains("card.bof is programmed and runs"));
}

#[test]
fn what_fails_says_why_and_ends_with_one() {
    let bench = Bench::new();
    for (args, wanted) in [
        (&["read", "nosuch"][..], "register nosuch not defined"),
        (&["read", "acc_len", "0", "2"], "exceeds register acc_len of 4 bytes"),
        (&["write", "status", "1"], "register status is not marked writeable"),
        (&["write", "lut", "1", "--offset", "2"], "not whole words"),
        (&["program", "other.bof"], "mapped memory cannot be programmed, and runs card.bof"),
    ] {
        let (out, err, status) = bench.run(args);
        assert_eq!((out.as_str(), status), ("", 1), "{args:?}");
        assert!(err.contains(wanted) && err.contains(&bench.board), "{err}");
    }
    assert_eq!(std::fs::read(&bench.device).expect("read"), vec![0; 4096]);
    for args in [&["write", "acc_len", "4294967296"][..], &["write", "acc_len"], &["read", "a", "0", "0"]] {
        assert_eq!(bench.run(args).2, 2, "{args:?}");
    }
    let (_, err, status) = fpga(bench.dir.path(), "roach", &["list"]);
    assert!(status == 2 && err.contains("katcp://host[:port]"), "{err}");
    let (_, err, status) = fpga(bench.dir.path(), "mmap:/nosuch?map=/nosuch", &["list"]);
    assert!(status == 1 && err.contains("register map /nosuch"), "{err}");
}

/// As a player does it, with the lock that a player would hold.
#[test]
fn a_board_that_a_player_drives_is_not_changed_unasked() {
    let bench = Bench::new();
    let address = bench.board.parse().expect("an address");
    let name = appliance::cli::board_lock::of_mapped(&address);
    let lock = bench.dir.path().join(format!("appliance-{name}.lock"));
    let file = std::fs::File::create(&lock).expect("created");
    file.try_lock().expect("free");
    std::fs::write(&lock, "4711\n").expect("written");
    for args in [&["write", "acc_len", "1"][..], &["program", "card.bof"]] {
        let (_, err, status) = bench.run(args);
        assert!(
            status == 1 && err.contains("process 4711 drives this board") && err.contains("--yes"),
            "{err}"
        );
    }
    assert_eq!(std::fs::read(&bench.device).expect("read"), vec![0; 4096]);
    assert_eq!(bench.json(&["status"])["driven_by"], "4711");
    bench.done(&["read", "acc_len"]);
    bench.done(&["write", "acc_len", "1", "--yes"]);
    drop(file);
    bench.done(&["write", "acc_len", "2"]);
}

/// A simulated board in a process; killed at the end.
struct Roach(Child);

impl Roach {
    fn start() -> (Roach, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_appliance"));
        command.args(["sim", "roach", "--port", "0", "--announce", "--bof", "h1k.bof"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("ready ").expect("ready ADDRESS").to_owned();
        (Roach(child), format!("katcp://{address}"))
    }
}

impl Drop for Roach {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_same_through_a_katcp_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let (roach, board) = Roach::start();
    let run = |args: &[&str]| fpga(dir.path(), &board, args);
    let json = |args: &[&str]| {
        let (out, err, status) = run(&[&["--json"], args].concat());
        assert_eq!(status, 0, "{args:?}: {err}");
        serde_json::from_str::<Value>(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    };
    let (_, err, status) = run(&["read", "acc_len"]);
    assert!(status == 1 && err.contains("Request read failed."), "{err}");
    let status = json(&["status"]);
    assert_eq!((&status["programmed"], &status["images"]), (&json!(false), &json!(["h1k.bof"])));
    assert_eq!(json(&["program", "h1k.bof"]), json!({"image": "h1k.bof", "programmed": true}));
    assert_eq!(json(&["status"])["programmed"], true);
    let list = json(&["list"]);
    let entry = |name: &str| {
        let list = list.as_array().expect("a list");
        list.iter().find(|e| e["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!((&entry("acc_len")["size"], &entry("gbe0")["size"]), (&json!(4), &json!(16384)));
    assert!(entry("acc_len")["offset"].is_u64(), "{}", entry("acc_len"));
    let written = json(&["write", "acc_len", "768"]);
    assert_eq!((&written["before"], &written["words"]), (&json!([0]), &json!([768])));
    assert_eq!(json(&["read", "acc_len"])["words"], json!([768]));
    assert_eq!(json(&["dump", "--words", "1"])["acc_len"], json!([768]));
    let (_, err, status) = run(&["program", "/tmp/h1k.bof"]);
    assert!(status == 1 && err.contains("is a path"), "{err}");
    drop(roach);
    let (_, err, status) = run(&["--timeout", "2", "status"]);
    assert!(status == 1 && err.contains("cannot reach 127.0.0.1"), "{err}");
}
