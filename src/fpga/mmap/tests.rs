//! The backend on a file in place of a device.

use super::*;
use crate::units::Utc;
use std::net::Ipv4Addr;
use std::path::PathBuf;

const TABLE: &str = "acc_len 0x100 4\nstatus 0x104 4 r\nkey 0x108 4 w\nlut 0x200 64\nodd 0x301 6\n\
                     gbe0 0x4000 0x4000\nbig 0x10000 0x20000\nfar 0x100000 4\n";
const DEVICE_BYTES: usize = 0x30000;

struct Bench {
    _dir: tempfile::TempDir,
    path: PathBuf,
    fpga: MmapFpga,
}

impl Bench {
    fn new(options: &str) -> Bench {
        let mut bench = Bench::closed(options);
        let opened = Window::open(bench.fpga.address());
        assert!(bench.fpga.take_opening(now(0)) && bench.fpga.is_opening());
        bench.fpga.opened(opened, now(0));
        bench
    }

    fn closed(options: &str) -> Bench {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, map) = (dir.path().join("device"), dir.path().join("map.tab"));
        std::fs::write(&path, vec![0; DEVICE_BYTES]).expect("written");
        std::fs::write(&map, TABLE).expect("written");
        let text = format!("mmap:{}?map={}{options}", path.display(), map.display());
        Bench { path, _dir: dir, fpga: MmapFpga::new(text.parse().expect("an address")) }
    }

    fn run(&mut self, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
        let id = self.fpga.submit(op, now(1));
        for _ in 0..1000 {
            if let Some((done, result)) = self.fpga.poll() {
                assert_eq!(done, id);
                return result;
            }
            self.fpga.tick(now(1));
        }
        panic!("no end");
    }

    fn bytes(&mut self, register: &str, offset: u32, len: u32) -> Vec<u8> {
        match self.run(read(register, offset, len)).expect("read") {
            FpgaReply::Bytes(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&mut self, op: FpgaOp) -> String {
        self.run(op).expect_err("refused").to_string()
    }

    fn file(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("the device")
    }
}

fn now(s: u64) -> Now {
    Now { mono: Mono(s * 1_000_000_000), utc: Utc(0) }
}

fn read(register: &str, offset: u32, len: u32) -> FpgaOp {
    FpgaOp::Read { register: register.into(), offset, len }
}

fn write(register: &str, offset: u32, data: &[u8]) -> FpgaOp {
    FpgaOp::Write { register: register.into(), offset, data: data.to_vec(), verify: true }
}

#[test]
fn the_bytes_of_a_register_do_not_depend_on_the_devices_order() {
    for (order, in_the_device) in [("big", [1, 2, 3, 4, 5, 6, 7, 8]), ("little", [4, 3, 2, 1, 8, 7, 6, 5])] {
        let mut bench = Bench::new(&format!("&order={order}"));
        assert_eq!(bench.run(write("lut", 8, &[1, 2, 3, 4, 5, 6, 7, 8])), Ok(FpgaReply::Done));
        assert_eq!(bench.file()[0x208..0x210], in_the_device, "{order}");
        assert_eq!(bench.bytes("lut", 8, 8), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn odd_ranges_are_cut_out_of_whole_words() {
    for order in ["big", "little"] {
        let mut bench = Bench::new(&format!("&order={order}"));
        bench.run(write("lut", 0, b"abcdefgh")).expect("written");
        assert_eq!(bench.bytes("lut", 3, 2), b"de");
        assert_eq!(bench.bytes("lut", 0, 1), b"a");
        assert_eq!(bench.bytes("lut", 5, 3), b"fgh");
        assert_eq!(bench.bytes("odd", 0, 6), [0; 6]);
    }
}

#[test]
fn parts_of_words_are_merged_only_where_that_is_allowed() {
    let mut bench = Bench::new("");
    for (register, offset, data) in [("lut", 2, &b"xy"[..]), ("lut", 0, b"xyz"), ("odd", 0, b"wxyz")] {
        let text = bench.refusal(write(register, offset, data));
        assert!(text.contains("are not whole words; partial=merge"), "{text}");
    }
    assert_eq!(bench.file(), vec![0; DEVICE_BYTES], "nothing was written");
    for order in ["big", "little"] {
        let mut bench = Bench::new(&format!("&partial=merge&order={order}"));
        bench.run(write("lut", 0, b"abcdefgh")).expect("written");
        bench.run(write("lut", 2, b"XYZ")).expect("merged");
        assert_eq!(bench.bytes("lut", 0, 8), b"abXYZfgh");
        bench.run(write("odd", 0, b"123456")).expect("merged");
        assert_eq!((bench.bytes("odd", 0, 6), bench.bytes("odd", 5, 1)), (b"123456".to_vec(), b"6".to_vec()));
    }
}

#[test]
fn refusals_read_as_those_of_a_katcp_server() {
    let mut bench = Bench::new("");
    let nothing = bench.refusal(read("nosuch", 0, 4));
    assert_eq!(
        nothing,
        "Request read failed.\n  Request: ?read nosuch 0 4\n  Reply: !read fail.\n  Log: register nosuch not defined"
    );
    let cases = [
        (read("acc_len", 4, 4), "request for 4 bytes at 4 exceeds register acc_len of 4 bytes"),
        (read("acc_len", u32::MAX, 1), "cannot read 1 bytes at offset 4294967295 of acc_len"),
        (read("acc_len", 0, 0), "cannot read 0 bytes at offset 0 of acc_len"),
        (read("key", 0, 4), "register key is not marked readable"),
        (write("status", 0, b"abcd"), "register status is not marked writeable"),
        (write("lut", 60, b"abcdefgh"), "request for 8 bytes at 60 exceeds register lut of 64 bytes"),
        (write("acc_len", 0, b""), "cannot write 0 bytes at offset 0 of acc_len"),
        (write("key", 0, b"abcd"), "register key is not marked readable"),
        (read("far", 0, 4), "4 bytes at 0 of far are beyond the 196608 bytes that are mapped"),
        (write("far", 0, b"abcd"), "beyond the 196608 bytes that are mapped"),
    ];
    for (op, wanted) in cases {
        let text = bench.refusal(op);
        assert!(text.contains(wanted), "{text}");
    }
    assert_eq!(bench.file(), vec![0; DEVICE_BYTES], "nothing was written");
    let blind = FpgaOp::Write { register: "key".into(), offset: 0, data: b"abcd".to_vec(), verify: false };
    assert_eq!(bench.run(blind), Ok(FpgaReply::Done));
    assert_eq!(bench.file()[0x108..0x10C], *b"dcba");
}

#[test]
fn a_device_opened_for_reading_is_not_written() {
    let mut bench = Bench::new("&access=ro");
    assert_eq!(bench.bytes("acc_len", 0, 4), [0; 4]);
    let text = bench.refusal(write("acc_len", 0, b"abcd"));
    assert!(text.contains("opened for reading only (access=ro)"), "{text}");
}

#[test]
fn a_long_block_goes_in_pieces_and_in_order() {
    let mut bench = Bench::new("&order=big");
    let data: Vec<u8> = (0..0x20000u32).map(|n| (n / 7) as u8).collect();
    let long = bench.fpga.submit(write("big", 0, &data), now(1));
    let short = bench.fpga.submit(write("acc_len", 0, b"abcd"), now(1));
    assert_eq!(bench.fpga.poll(), None, "one turn does not do it");
    assert_eq!(bench.fpga.deadline(), Some(Mono(0)), "it wants to go on at once");
    assert_eq!(bench.file()[0x100..0x104], [0; 4], "the second waits for the first");
    let mut turns = 0;
    let mut done = Vec::new();
    while done.len() < 2 {
        bench.fpga.tick(now(1));
        turns += 1;
        done.extend(std::iter::from_fn(|| bench.fpga.poll()));
    }
    assert_eq!(done, [(long, Ok(FpgaReply::Done)), (short, Ok(FpgaReply::Done))]);
    assert!((2 * data.len() / PIECE - 2..=2 * data.len() / PIECE + 2).contains(&turns), "{turns}");
    assert_eq!(bench.bytes("big", 0, 0x20000), data);
    assert_eq!(bench.fpga.deadline(), None);
}

#[test]
fn a_flush_writes_what_differs_and_names_everything_that_failed() {
    let mut bench = Bench::new("");
    bench.run(write("acc_len", 0, &7u32.to_be_bytes())).expect("written");
    let flush = |words: &[(&str, u32)]| FpgaOp::WriteChanged {
        words: words.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect(),
        blobs: vec![("lut".into(), b"abcdefgh".to_vec())],
    };
    assert_eq!(bench.run(flush(&[("acc_len", 7)])), Ok(FpgaReply::Written(vec!["lut".into()])));
    assert_eq!(bench.run(flush(&[("acc_len", 8)])), Ok(FpgaReply::Written(vec!["acc_len".into()])));
    let Err(FpgaError::FlushFailed { attempted, written, failures }) =
        bench.run(flush(&[("status", 1), ("nosuch", 1), ("acc_len", 9)]))
    else {
        panic!("a flush with failures");
    };
    let failed: Vec<&str> = failures.iter().map(|(r, _)| r.as_str()).collect();
    assert_eq!((attempted, written, failed), (4, vec!["acc_len".to_owned()], vec!["status", "nosuch"]));
}

#[test]
fn a_core_is_set_up_as_the_boards_server_does_it() {
    let mut bench = Bench::new("&order=big");
    let ip = Ipv4Addr::new(10, 17, 0, 71);
    let tap = |device: &str| FpgaOp::TapStart {
        tap: "tap0".into(),
        device: device.into(),
        mac: 0x0202_0A11_0047,
        ip,
        port: 60_000,
    };
    assert_eq!(bench.run(tap("gbe0")), Ok(FpgaReply::Done));
    let core = bench.bytes("gbe0", 0, 0x4000);
    assert_eq!(core[..8], [0, 0, 2, 2, 10, 17, 0, 71]);
    assert_eq!(core[0x10..0x14], [10, 17, 0, 71]);
    assert_eq!(core[0x20..0x24], (0x00FF_0000u32 + 60_000).to_be_bytes());
    assert_eq!(core[0x3000..0x3008], [0, 0, 255, 255, 255, 255, 255, 255]);
    assert_eq!(core[0x3000 + 8 * 71..][..8], core[..8]);
    let arp = FpgaOp::SetArp { device: "gbe0".into(), entries: vec![(1, 0xA1), (2, 0xA2)] };
    assert_eq!(bench.run(arp), Ok(FpgaReply::Done));
    assert_eq!(bench.bytes("gbe0", 0x3008, 16), [0, 0, 0, 0, 0, 0, 0, 0xA1, 0, 0, 0, 0, 0, 0, 0, 0xA2]);
    let text = bench.refusal(tap("lut"));
    assert!(text.contains("exceeds register lut"), "{text}");
}

#[test]
fn what_mapped_memory_cannot_do_is_said() {
    let mut bench = Bench::new("&runs=h1k.bof");
    let program = |image: &str| FpgaOp::Program { image: Some(image.into()) };
    assert_eq!(bench.run(program("h1k.bof")), Ok(FpgaReply::Done), "it is there already");
    let raw = FpgaOp::Raw { name: "valon-get-frequency".into(), args: vec![] };
    let cases = [
        (
            program("other.bof"),
            "progdev (mapped memory cannot be programmed, and runs h1k.bof) is not supported",
        ),
        (FpgaOp::Program { image: None }, "cannot be deprogrammed"),
        (
            FpgaOp::I2cWrite { address: 0x38, data: vec![1] },
            "i2c-write (the bus is behind the board's KATCP server",
        ),
        (FpgaOp::I2cRead { address: 0x38, len: 1 }, "i2c-read (the bus"),
        (FpgaOp::TapStop { tap: "tap0".into() }, "tap-stop ("),
        (raw, "valon-get-frequency (mapped memory has no server"),
    ];
    for (op, wanted) in cases {
        let error = bench.run(op).expect_err("refused");
        assert!(matches!(error, FpgaError::Unsupported(_)), "{error:?}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert!(Bench::new("").refusal(program("h1k.bof")).contains("say runs=IMAGE in its address"));
    let mut without = Bench::new("&i2c=none");
    assert_eq!(without.run(FpgaOp::I2cWrite { address: 0x38, data: vec![1] }), Ok(FpgaReply::Done));
    without.refusal(FpgaOp::I2cRead { address: 0x38, len: 1 });
}

#[test]
fn names_and_states() {
    let mut bench = Bench::new("&probe=acc_len:0x300");
    let names = ["acc_len", "big", "far", "gbe0", "key", "lut", "odd", "status"].map(String::from).to_vec();
    assert_eq!(bench.run(FpgaOp::ListDev), Ok(FpgaReply::Names(names)));
    assert_eq!(bench.run(FpgaOp::Status), Ok(FpgaReply::Flag(false)), "another design runs");
    bench.run(write("acc_len", 0, &0x300u32.to_be_bytes())).expect("written");
    assert_eq!(bench.run(FpgaOp::Status), Ok(FpgaReply::Flag(true)));
    assert_eq!(bench.run(FpgaOp::Ping), Ok(FpgaReply::Flag(true)));
}

#[test]
fn a_device_that_answers_nothing_has_gone_and_is_opened_again() {
    let mut bench = Bench::new("&probe=acc_len:0x300");
    bench.run(write("acc_len", 0, &[0xFF; 4])).expect_err("verified against what is gone by then");
    let text = bench.refusal(read("lut", 0, 4));
    assert!(text.contains("acc_len reads 0xffffffff: the device does not answer"), "{text}");
    assert!(!bench.fpga.take_opening(now(5)), "not yet");
    assert!(bench.fpga.take_opening(now(6)));
    let opened = Window::open(bench.fpga.address());
    assert!(opened.is_err(), "it still does not answer");
    std::fs::write(&bench.path, vec![0; DEVICE_BYTES]).expect("it is back");
    bench.fpga.opened(Window::open(bench.fpga.address()), now(6));
    assert_eq!(bench.bytes("lut", 0, 4), [0; 4]);
}

#[test]
fn a_file_cut_short_ends_no_process() {
    let mut bench = Bench::new("");
    let file = std::fs::File::options().write(true).open(&bench.path).expect("open");
    file.set_len(4096).expect("cut");
    let text = bench.refusal(read("big", 0, 4));
    assert!(text.contains("not connected to mmap:") && text.contains("was cut short"), "{text}");
}

#[test]
fn before_it_is_open_everything_is_refused() {
    let mut bench = Bench::closed("");
    let text = bench.refusal(read("lut", 0, 4));
    assert!(text.starts_with("Request read failed: not connected to mmap:"), "{text}");
    assert!(bench.fpga.take_opening(now(1)) && !bench.fpga.take_opening(now(1)));
    bench.fpga.opened(Err("no such device".into()), now(1));
    assert!(bench.refusal(FpgaOp::Ping).contains("no such device"));
    assert_eq!(bench.fpga.deadline(), Some(Mono(6_000_000_000)));
}

#[test]
fn opening_says_what_is_wrong() {
    let bench = Bench::closed("");
    let fails = |text: String| Window::open(&text.parse().expect("an address")).expect_err("refused");
    let dir = bench.path.parent().expect("a directory").display().to_string();
    let error = fails(format!("mmap:{dir}/nosuch?map={dir}/map.tab"));
    assert!(error.contains("nosuch") && error.contains("is its driver loaded?"), "{error}");
    let error = fails(format!("mmap:{dir}/device?map={dir}/nosuch"));
    assert!(error.starts_with("register map ") && error.contains("nosuch"), "{error}");
    let error = fails(format!("mmap:{dir}/device?map={dir}/device"));
    assert!(error.contains("register map") && error.contains("line 1"), "{error}");
    let error = fails(format!("mmap:{dir}/device?map={dir}/map.tab&probe=nosuch:1"));
    assert!(error.contains("probe: nosuch is no register"), "{error}");
    let error = fails(format!("mmap:{dir}?map={dir}/map.tab"));
    assert!(error.contains(&dir), "{error}");
}

#[test]
fn a_real_uio_device_is_mapped_where_there_is_one() {
    let devices: Vec<_> = std::fs::read_dir("/sys/class/uio").into_iter().flatten().flatten().collect();
    let Some(device) = devices.first() else {
        println!(
            "SKIPPED: there is no UIO device here (/sys/class/uio is empty); its pages are tested on files"
        );
        return;
    };
    let bench = Bench::closed("");
    let map = bench.path.with_file_name("map.tab");
    std::fs::write(&map, "first 0 4 r\n").expect("written");
    let text = format!("mmap:/dev/{}?map={}&access=ro", device.file_name().display(), map.display());
    match Window::open(&text.parse().expect("an address")) {
        Ok(window) => assert_eq!(window.read("first", 0, 4).expect("read").len(), 4),
        Err(why) => println!("SKIPPED: {text}: {why}"),
    }
}
