//! Every method of `bank.roach` and `bank.valon` against the simulated board.

use appliance::api::bind::bind;
use appliance::api::{Call, CallError};
use appliance::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use appliance::fpga::model::{BoardConfig, Catalogue, Design, dibas_registers};
use appliance::fpga::{Fpga, FpgaError, FpgaOp, FpgaReply};
use appliance::player::board::{News, Next, PLUMBING, ROACH};
use appliance::player::methods::{self, PlayerCall};
use appliance::player::synth::{VALON, katcp};
use appliance::sim::roach2::{ClientId, Output, Roach, RoachConfig};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const ME: ClientId = ClientId(1);

/// A board with a design, its link, and the time.
struct Bench {
    fpga: KatcpFpga,
    roach: Roach,
    now: Now,
    called: BTreeSet<String>,
}

impl Bench {
    fn new() -> Bench {
        let mut catalogue = Catalogue::accepting_any();
        catalogue.add(Design { name: "a.bof".into(), registers: dibas_registers() });
        let board = BoardConfig { catalogue, clock_hz: 200_000_000, ..BoardConfig::default() };
        let mut roach = Roach::new(RoachConfig { board, ..RoachConfig::default() });
        let now = Now { mono: Mono(1), utc: Utc(1_795_228_519_400_000_000) };
        roach.board_mut().program("a.bof", now.utc);
        let config = KatcpFpgaConfig { board: "sim".into(), ..KatcpFpgaConfig::default() };
        let mut bench = Bench { fpga: KatcpFpga::new(config), roach, now, called: BTreeSet::new() };
        bench.fpga.tick(now);
        bench.settle();
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.utc = Utc(self.now.utc.0 + time.as_nanos() as i64);
        self.roach.tick(self.now);
        self.fpga.tick(self.now);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.fpga.poll_link() {
                moved = true;
                match output {
                    LinkOutput::Send(bytes) => self.roach.receive(ME, &bytes, self.now),
                    LinkOutput::Connect { .. } => {
                        self.roach.connect(ME, "test", self.now);
                        self.fpga.connected(self.now);
                    }
                    _ => {}
                }
            }
            while let Some(output) = self.roach.poll() {
                moved = true;
                if let Output::Send(_, bytes) = output {
                    self.fpga.receive(&bytes, self.now);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn order(&mut self, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
        self.fpga.submit(op, self.now);
        for _ in 0..10_000 {
            self.settle();
            if let Some((_, result)) = self.fpga.poll() {
                return result;
            }
            self.pass(Duration::from_millis(1));
        }
        panic!("the board does not answer");
    }

    fn call(&mut self, interface: &str, name: &str, args: &[Value]) -> Result<Value, CallError> {
        self.called.insert(format!("{interface}.{name}"));
        let method = methods::table().find(interface, name)?;
        let call = Call {
            interface: interface.into(),
            method: name.into(),
            args: args.to_vec(),
            kwargs: Vec::new(),
        };
        let PlayerCall::Board(mut call) = PlayerCall::from_bound(method, &bind(method, call)?)? else {
            panic!("{name} is no call of the board");
        };
        let mut news = News::Begin;
        loop {
            news = match call.procedure.next(news, self.now.mono)? {
                Next::Ask(op) => News::Reply(self.order(op)),
                Next::Synth(order) => {
                    let reply = self.order(katcp::request(&order));
                    News::Synth(katcp::answer(&order, reply))
                }
                Next::Pause(until) => {
                    self.pass(until.since(self.now.mono));
                    News::Paused
                }
                Next::AwaitLink(_) => News::Link(true),
                Next::Done(value) => return Ok(value),
            };
        }
    }

    fn roach(&mut self, name: &str, args: &[Value]) -> Value {
        self.call("bank.roach", name, args).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn valon(&mut self, name: &str, args: &[Value]) -> Value {
        self.call("bank.valon", name, args).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Every listed method of an interface has been called.
    fn all_called<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let missing: Vec<&str> =
            names.filter(|name| !self.called.iter().any(|c| c.rsplit('.').next() == Some(name))).collect();
        assert!(missing.is_empty(), "never called: {missing:?}");
    }
}

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        other => panic!("no bytes: {other}"),
    }
}

const NULL: Value = Value::Null;
const TRUE: Value = Value::Bool(true);

#[test]
fn the_simulated_board_serves_every_method() {
    let mut bench = Bench::new();
    registers(&mut bench);
    network(&mut bench);
    captures(&mut bench);
    link(&mut bench);
    bench.all_called(ROACH.iter().map(|e| e.method.name));
}

fn registers(bench: &mut Bench) {
    let Value::List(names) = bench.roach("listdev", &[]) else { panic!("no list") };
    assert!(names.contains(&"acc_len".into()));
    assert_eq!(bench.roach("listbof", &[]), Value::List(vec!["a.bof".into()]));
    assert_eq!((bench.roach("status", &[]), bench.roach("ping", &[])), ("ok".into(), TRUE));
    assert_eq!(bench.roach("write", &["ssg_lut_bram".into(), "\0\u{ff}\n ab\\".into(), int(4)]), NULL);
    let read = bench.roach("read", &["ssg_lut_bram".into(), int(8), int(4)]);
    assert_eq!(bytes(&read), b"\0\xff\n ab\\\0");
    assert_eq!(bench.roach("blindwrite", &["ssg_lut_bram".into(), "abcd".into()]), NULL);
    let all = bench.roach("bulkread", &["ssg_lut_bram".into(), int(16_384)]);
    assert_eq!((bytes(&all).len(), &bytes(&all)[..4]), (16_384, &b"abcd"[..]));
    assert_eq!(bench.roach("write_int", &["acc_len".into(), int(-2)]), NULL);
    assert_eq!(bench.roach("read_int", &["acc_len".into()]), int(-2));
    assert_eq!(bench.roach("read_uint", &["acc_len".into()]), int(0xFFFF_FFFE));
    let error = bench.call("bank.roach", "read_int", &["nope".into()]).expect_err("no such register");
    assert!(error.message.starts_with("Request read failed.\n  Request: ?read nope 0 4\n"), "{error}");
    assert_eq!(bench.roach("est_brd_clk", &[]), Value::Float(200.0));
    let refused = [
        ("qdr_status", vec![int(0)]),
        ("qdr_rst", vec![int(0)]),
        ("get_rcs", vec![]),
        ("read_dram", vec![int(2)]),
        ("write_dram", vec!["wxyz".into()]),
    ];
    for (name, args) in refused {
        let error = bench.call("bank.roach", name, &args).expect_err("listed, not offered");
        assert!(error.message.contains("not part of this version"), "{error}");
    }
}

fn network(bench: &mut Bench) {
    let (mac, ip) = (0x0202_0A11_0047, 0x0A11_0047);
    let start = ["tap0".into(), "gbe0".into(), int(mac), int(ip), int(60_000)];
    assert_eq!(bench.roach("tap_start", &start), NULL);
    let core = bench.roach("get_10gbe_core_details", &["gbe0".into()]);
    assert_eq!((core.get("mymac"), core.get("my_ip")), (Some(&int(mac)), Some(&int(ip))));
    assert_eq!(core.get("fabric_port"), Some(&int(60_000)));
    let group = ["tap0".into(), int(0xEF02_0040), int(1)];
    assert_eq!(bench.roach("tap_multicast_add_send", &group), NULL);
    assert_eq!(bench.roach("tap_multicast_add_recv", &group), NULL);
    assert_eq!(bench.roach("tap_multicast_remove", &group[..1]), NULL);
    for name in ["arp_announce_adj", "arp_timeout_adj", "arp_query_adj", "arp_reload"] {
        assert_eq!(bench.roach(name, &group[..1]), "ok".into(), "{name}");
    }
    assert_eq!(bench.roach("tap_stop", &group[..1]), NULL);
    let arp = Value::List((0..256).map(int).collect());
    let configure = ["part2_gbe1".into(), int(mac), int(ip), int(7000), arp.clone()];
    assert_eq!(bench.roach("config_10gbe_core", &configure), NULL);
    let core = bench.roach("get_10gbe_core_details", &["part2_gbe1".into()]);
    assert_eq!((core.get("arp"), core.get("fabric_en")), (Some(&arp), Some(&TRUE)));
    assert_eq!(core.get("subnet_mask"), Some(&int(0xFFFF_FF00)));
    assert_eq!(bench.roach("print_10gbe_core_details", &["gbe0".into(), TRUE]), NULL);
}

fn captures(bench: &mut Bench) {
    let shot = bench.roach("snapshot_get", &["adcsnap0".into(), TRUE, TRUE]);
    assert_eq!(shot.get("length"), Some(&int(8192)));
    let first = bytes(shot.get("data").expect("it has data")).to_vec();
    assert_eq!(first.len(), 8192);
    assert_eq!(bench.roach("snapshot_arm", &["adcsnap0".into(), TRUE]), NULL);
    let again = bench.call(
        "bank.roach",
        "snapshot_get",
        &["adcsnap0".into(), TRUE, TRUE, int(1), int(-1), Value::Bool(false), TRUE, Value::Bool(false)],
    );
    let again = again.expect("captured");
    assert_eq!(again.get("val"), Some(&int(0)));
    assert_ne!(again.get("data").map(bytes), Some(&first[..]), "another capture");
    let old = bench.roach("get_snap", &["adcsnap1".into(), Value::List(vec!["bram".into()])]);
    assert_eq!(old.get("length"), Some(&int(2048)));
    assert_eq!(old.get("bram").map(|b| bytes(b).len()), Some(8192));
}

fn link(bench: &mut Bench) {
    for name in ["is_connected", "running", "wait_connected", "wait_protocol"] {
        assert_eq!(bench.roach(name, &[]), TRUE, "{name}");
    }
    assert_eq!(bench.roach("convert_seconds", &[Value::Float(1.5)]), Value::Float(1500.0));
    for (name, args) in [
        ("stop", vec![]),
        ("listcmd", vec![]),
        ("execcmd", vec!["ls".into()]),
        ("upload_program_bof", vec!["/tmp/a.bof".into(), int(7146)]),
    ] {
        bench.call("bank.roach", name, &args).expect_err(name);
    }
    for name in PLUMBING {
        let error = bench.call("bank.roach", name, &[]).expect_err(name);
        assert_eq!(error.class.name(), "NotImplementedError");
    }
    let reply = bench.roach("_request", &["listbof".into()]);
    let list = |items: &[&str]| Value::List(items.iter().map(|i| (*i).into()).collect());
    assert_eq!(reply, Value::List(vec![list(&["ok", "1"]), Value::List(vec![list(&["a.bof"])])]));
    assert_eq!(bench.roach("progdev", &["".into()]), "ok".into());
    bench.call("bank.roach", "status", &[]).expect_err("no design runs");
    assert_eq!(bench.roach("progdev", &["a.bof".into()]), "ok".into());
}

#[test]
fn the_simulated_synthesizer_serves_every_method() {
    let mut bench = Bench::new();
    let (a, b) = (int(0), int(8));
    let list = |items: &[i64]| Value::List(items.iter().map(|n| int(*n)).collect());
    let mut there_and_back = |name: &str, of: Option<&Value>, values: &[Value], wanted: Value| {
        let of: Vec<Value> = of.cloned().into_iter().collect();
        let args = [of.clone(), values.to_vec()].concat();
        assert_eq!(bench.valon(&format!("set_{name}"), &args), TRUE, "{name}");
        assert_eq!(bench.valon(&format!("get_{name}"), &of), wanted, "{name}");
    };
    there_and_back("frequency", Some(&b), &[Value::Float(800.25)], Value::Float(800.25));
    there_and_back("label", Some(&a), &["a label".into()], "a label".into());
    there_and_back("options", Some(&a), &[int(1), int(0), int(5), int(1)], list(&[1, 0, 5, 1]));
    there_and_back("ref_select", None, &["external".into()], int(1));
    there_and_back("reference", None, &[int(20_000_000)], int(20_000_000));
    there_and_back("rf_level", Some(&b), &[int(-4)], int(-4));
    there_and_back("vco_range", Some(&a), &[int(2000), int(4100)], list(&[2000, 4100]));
    assert_eq!(bench.valon("set_rf_level", &[a.clone(), int(3)]), Value::Bool(false));
    assert_eq!((bench.valon("get_phase_lock", &[a]), bench.valon("flash", &[])), (TRUE, NULL));
    bench.all_called(VALON.iter().map(|e| e.method.name));
}
