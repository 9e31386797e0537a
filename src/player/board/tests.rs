use super::*;
use crate::api::bind::bind;
use crate::api::{Call, Method};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::units::Mono;
use crate::value::Value;
use std::time::Duration;

fn method(name: &str) -> &'static Method {
    ROACH.iter().chain(UNLISTED).map(|e| &e.method).find(|m| m.name == name).expect("in the table")
}

fn call(name: &str, args: Vec<Value>) -> Result<BoardCall, CallError> {
    let call = Call { interface: "bank.roach".into(), method: name.into(), args, kwargs: Vec::new() };
    BoardCall::from_bound(name, &bind(method(name), call)?)
}

/// Runs a call against a board; a pause costs the time it asks for, an order a millisecond.
fn run(
    name: &str,
    args: Vec<Value>,
    board: &mut dyn FnMut(FpgaOp, Mono) -> Result<FpgaReply, FpgaError>,
) -> Result<Value, CallError> {
    let mut procedure = call(name, args)?.procedure;
    let mut now = Mono(1);
    let mut news = News::Begin;
    for _ in 0..1_000_000 {
        news = match procedure.next(news, now)? {
            Next::Ask(op) => {
                now = now + Duration::from_millis(1);
                News::Reply(board(op, now))
            }
            Next::Pause(until) => {
                assert!(until >= now, "time does not go back");
                now = until;
                News::Paused
            }
            Next::AwaitLink(until) => News::Link(until > now),
            Next::Synth(order) => panic!("{order}"),
            Next::Done(value) => return Ok(value),
        };
    }
    panic!("{name} does not end");
}

/// The orders of a call to a board that does everything.
fn orders(name: &str, args: Vec<Value>) -> Vec<FpgaOp> {
    let mut seen = Vec::new();
    let outcome = run(name, args, &mut |op, _| {
        seen.push(op.clone());
        Ok(match op {
            FpgaOp::Read { len, .. } => FpgaReply::Bytes(vec![0; len as usize]),
            FpgaOp::Raw { .. } => FpgaReply::Raw { args: vec![], informs: vec![] },
            _ => FpgaReply::Done,
        })
    });
    outcome.unwrap_or_else(|e| panic!("{name}: {e}"));
    seen
}

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn raw(name: &str, args: &[&str]) -> FpgaOp {
    FpgaOp::Raw { name: name.into(), args: args.iter().map(|a| a.as_bytes().to_vec()).collect() }
}

#[test]
fn numbers_are_checked_before_anything_is_sent() {
    for (name, args, wanted) in [
        ("write_int", vec!["r".into(), int(1 << 32)], "integer is 4294967296"),
        ("write_int", vec!["r".into(), int(-(1 << 31) - 1)], "integer is -2147483649"),
        ("read", vec!["r".into(), int(0)], "size is 0"),
        ("read_int", vec!["r".into(), int(-1)], "offset is -1"),
        ("blindwrite", vec!["r".into(), "abc".into()], "3 bytes at offset 0"),
        ("tap_start", vec!["tap0".into(), "gbe0".into(), int(1 << 48), int(1), int(1)], "mac is"),
        ("tap_multicast_add_send", vec!["tap0".into(), int(0xEF00_0001), int(4)], "n_addresses is 4"),
        ("config_10gbe_core", vec!["g".into(), int(1), int(1), int(1), Value::List(vec![])], "arp_table"),
    ] {
        let error = call(name, args).expect_err(name);
        assert_eq!(error.class.name(), "ValueError", "{name}");
        assert!(error.message.contains(wanted), "{name}: {}", error.message);
    }
    let error = call("write", vec!["r".into(), "\u{100}".into()]).expect_err("no byte");
    assert_eq!(error.class.name(), "TypeError");
}

#[test]
fn negative_numbers_are_two_s_complement_and_offsets_words() {
    let wanted = FpgaOp::Write { register: "r".into(), offset: 8, data: vec![0xFF; 4], verify: true };
    assert_eq!(orders("write_int", vec!["r".into(), int(-1), Value::Bool(false), int(2)]), [wanted]);
}

#[test]
fn a_tap_joins_an_address() {
    let address = i64::from(u32::from_be_bytes([239, 2, 0, 66]));
    let group = |count| orders("tap_multicast_add_recv", vec!["tap0".into(), int(address), int(count)]);
    assert_eq!(group(1), [raw("tap-multicast-add", &["tap0", "recv", "239.2.0.66"])]);
}

#[test]
fn arp_times_go_out_in_polls_of_ten_milliseconds() {
    let wanted = [
        raw("tap-arp-config", &["tap0", "announce-start", "13"]),
        raw("tap-arp-config", &["tap0", "announce-stop", "1000"]),
        raw("tap-arp-config", &["tap0", "announce-step", "50"]),
    ];
    assert_eq!(orders("arp_announce_adj", vec!["tap0".into()]), wanted);
}

#[test]
fn the_clock_is_ticks_over_the_time_between_the_replies() {
    // 200 MHz, and the counter wraps in between.
    let mut at = None;
    let value = run("est_brd_clk", vec![], &mut |_, now| {
        let first = *at.get_or_insert(now);
        let ticks = 0xF000_0000u32.wrapping_add((now.since(first).as_nanos() / 5) as u32);
        Ok(FpgaReply::Bytes(ticks.to_be_bytes().to_vec()))
    });
    assert_eq!(value, Ok(Value::Float(200.0)));
}

/// A snapshot block whose capture ends after some looks.
struct Block {
    looks: u32,
    length: u32,
    asked: Vec<String>,
}

impl Block {
    fn answer(&mut self, op: FpgaOp) -> Result<FpgaReply, FpgaError> {
        Ok(match op {
            FpgaOp::Write { register, data, .. } => {
                self.asked.push(format!("{register}={}", data[3]));
                FpgaReply::Done
            }
            FpgaOp::Read { register, len, .. } => {
                let word = match register.as_str() {
                    "adc_status" | "adc_addr" if self.looks > 0 => {
                        self.looks -= 1;
                        1 << 31
                    }
                    "adc_status" | "adc_addr" => self.length,
                    "adc_tr_en_cnt" => 100,
                    "adc_val" => 42,
                    _ => return Ok(FpgaReply::Bytes(vec![7; len as usize])),
                };
                FpgaReply::Bytes(u32::to_be_bytes(word).to_vec())
            }
            other => panic!("{other:?}"),
        })
    }
}

fn flags(extra: &[Value]) -> Vec<Value> {
    let mut args = vec!["adc".into(), Value::Bool(true), Value::Bool(true)];
    args.extend_from_slice(extra);
    args
}

#[test]
fn a_snapshot_is_armed_by_the_rising_edge_watched_and_read() {
    let mut block = Block { looks: 3, length: 64, asked: vec![] };
    let extra = [int(1), int(5), Value::Bool(true), Value::Bool(true)];
    let got = run("snapshot_get", flags(&extra), &mut |op, _| block.answer(op)).expect("captured");
    assert_eq!(block.asked, ["adc_trig_offset=5", "adc_ctrl=14", "adc_ctrl=15"]);
    let wanted = [
        ("length", int(64)),
        ("offset", int(100 - 64 + 5)),
        ("data", Value::Bytes(vec![7; 64])),
        ("val", int(42)),
    ];
    assert_eq!(got, Value::Map(wanted.map(|(k, v)| (k.to_owned(), v)).to_vec()));
}

#[test]
fn a_capture_that_does_not_end_is_an_error_in_time() {
    let mut block = Block { looks: u32::MAX, length: 0, asked: vec![] };
    let mut last = Mono(0);
    let error = run("snapshot_get", flags(&[Value::Float(0.5)]), &mut |op, now| {
        last = now;
        block.answer(op)
    });
    let error = error.expect_err("no capture");
    assert!(error.message.ends_with("in the allotted 0.50 seconds. Reported 0 bytes captured."), "{error}");
    assert!(last.since(Mono(0)) < Duration::from_millis(510), "{last:?}");
}

#[test]
fn the_older_block_counts_words() {
    let mut block = Block { looks: 0, length: 15, asked: vec![] };
    let args = vec!["adc".into(), Value::List(vec!["bram_msb".into()])];
    let got = run("get_snap", args, &mut |op, _| block.answer(op)).expect("captured");
    assert_eq!(got.get("length"), Some(&int(16)));
    assert_eq!(got.get("bram_msb"), Some(&Value::Bytes(vec![7; 64])));
}

#[test]
fn a_core_in_words_and_numbers() {
    let mut core = vec![0; 0x40];
    core[2..8].copy_from_slice(&[2, 2, 10, 17, 0, 71]);
    core[0x10..0x14].copy_from_slice(&[10, 17, 0, 71]);
    core[0x20..0x24].copy_from_slice(&[0, 0xFF, 0xEA, 0x60]);
    core[0x27] = 0b0111_1100;
    core[0x30..0x38].copy_from_slice(&[239, 0, 0, 0, 255, 255, 255, 252]);
    let mut arp = vec![0xFF; 2048];
    arp[..8].copy_from_slice(&[0, 0, 1, 2, 3, 4, 5, 6]);
    let mut board = |op, _: Mono| match op {
        FpgaOp::Read { offset: 0, .. } => Ok(FpgaReply::Bytes(core.clone())),
        _ => Ok(FpgaReply::Bytes(arp.clone())),
    };
    let got = run("get_10gbe_core_details", vec!["gbe0".into()], &mut board).expect("read");
    assert_eq!(got.get("mymac"), Some(&int(0x0202_0A11_0047)));
    assert_eq!(got.get("fabric_port"), Some(&int(60_000)));
    assert_eq!(got.get("xaui_lane_sync"), Some(&Value::List(vec![Value::Bool(true); 4])));
    let base = 239 << 24;
    let group: Vec<Value> = (0..4).map(|n| int(base + n)).collect();
    assert_eq!(got.get("multicast_rx_addresses"), Some(&Value::List(group)));
    let Some(Value::List(arp)) = got.get("arp") else { panic!("no ARP table") };
    assert_eq!((arp.len(), &arp[0], &arp[1]), (256, &int(0x0102_0304_0506), &int(0xFFFF_FFFF_FFFF)));
    assert_eq!(run("print_10gbe_core_details", vec!["gbe0".into()], &mut board), Ok(Value::Null));
}

#[test]
fn a_mask_without_ones_lists_the_base_alone() {
    let mut board = |op, _: Mono| match op {
        FpgaOp::Read { len, .. } => Ok(FpgaReply::Bytes(vec![0; len as usize])),
        other => panic!("{other:?}"),
    };
    let got = run("get_10gbe_core_details", vec!["gbe0".into()], &mut board).expect("read");
    assert_eq!(got.get("multicast_rx_addresses"), Some(&Value::List(vec![int(0)])));
}

#[test]
fn any_request_gives_reply_and_informs() {
    let mut asked = None;
    let args = vec!["listbof".into(), int(5), Value::Float(1500.0), "\u{ff}".into()];
    let got = run("_request", args, &mut |op, _| {
        asked = Some(op);
        Ok(FpgaReply::Raw { args: vec![b"1".to_vec()], informs: vec![vec![b"a.bof".to_vec()]] })
    });
    let wanted = vec![b"5".to_vec(), b"1500.0".to_vec(), vec![0xFF]];
    assert_eq!(asked, Some(FpgaOp::Raw { name: "listbof".into(), args: wanted }));
    let list = |items: Vec<Value>| Value::List(items);
    let wanted = list(vec![list(vec!["ok".into(), "1".into()]), list(vec![list(vec!["a.bof".into()])])]);
    assert_eq!(got, Ok(wanted));
}

#[test]
fn errors_of_the_board_are_runtime_errors_with_its_words() {
    let failed = FpgaError::Rejected {
        op: "read".into(),
        request: "?read r 0 4".into(),
        reply: "!read fail".into(),
        log: vec![],
    };
    let error = run("read_int", vec!["r".into()], &mut |_, _| Err(failed.clone())).expect_err("refused");
    assert_eq!(error.class.name(), "RuntimeError");
    assert_eq!(error.message, "Request read failed.\n  Request: ?read r 0 4\n  Reply: !read fail.");
}

#[test]
fn what_never_existed_says_so() {
    for name in ["listcmd", "execcmd"] {
        let args = if name == "execcmd" { vec!["x".into()] } else { vec![] };
        assert_eq!(call(name, args).expect_err(name).class.name(), "NotImplementedError");
    }
    assert_eq!(call("stop", vec![]).expect_err("refused").class.name(), "Exception");
}
