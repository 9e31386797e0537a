//! The server by hand, and the FPGA backend against it without a network in between.

mod crowd;
mod manners;
mod upload;

use super::*;
use crate::fpga::katcp::{KatcpFpga, KatcpFpgaConfig, LinkOutput};
use crate::fpga::model::{Catalogue, Design, numbered_registers};
use crate::fpga::{Fpga, FpgaError, FpgaOp, FpgaReply};
use proptest::prelude::*;

const ME: ClientId = ClientId(1);

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), utc: Utc(ms as i64 * 1_000_000) }
}

fn roach(speaks: Speaks, faults: &[&str]) -> Roach {
    let mut catalogue = Catalogue::accepting_any();
    catalogue.add(Design { name: "n.bof".into(), registers: numbered_registers(1000) });
    let board = BoardConfig { catalogue, ..BoardConfig::default() };
    let faults = Faults(faults.iter().map(|f| f.parse().expect("a fault")).collect());
    let mut roach = Roach::new(RoachConfig { speaks, board, faults, ..RoachConfig::default() });
    roach.board_mut().program("n.bof", Utc(0));
    roach
}

fn drain(roach: &mut Roach) -> (Vec<Vec<u8>>, bool) {
    let (mut pieces, mut closed) = (vec![], false);
    while let Some(output) = roach.poll() {
        match output {
            Output::Send(_, bytes) => pieces.push(bytes),
            Output::Close(_) => closed = true,
            _ => {}
        }
    }
    (pieces, closed)
}

fn ask(roach: &mut Roach, request: &str, ms: u64) -> String {
    roach.receive(ME, request.as_bytes(), at(ms));
    String::from_utf8_lossy(&drain(roach).0.concat()).into_owned()
}

fn joined(speaks: Speaks, faults: &[&str]) -> Roach {
    let mut roach = roach(speaks, faults);
    roach.connect(ME, "test", at(0));
    drain(&mut roach);
    roach
}

/// Runs an operation to its end; the time passes only through the backend's own deadlines.
fn settle(fpga: &mut KatcpFpga, roach: &mut Roach, mut ms: u64) -> (Result<FpgaReply, FpgaError>, u64) {
    let mut rounds = 0;
    loop {
        let mut bytes = Vec::new();
        while let Some(output) = fpga.poll_link() {
            match output {
                LinkOutput::Send(more) => bytes.extend(more),
                LinkOutput::Connect { .. } => {
                    roach.connect(ME, "test", at(ms));
                    fpga.connected(at(ms));
                }
                LinkOutput::Disconnect(_) => roach.closed(ME),
                _ => {}
            }
        }
        rounds += u64::from(!bytes.is_empty());
        roach.receive(ME, &bytes, at(ms));
        let (pieces, closed) = drain(roach);
        let quiet = pieces.is_empty() && bytes.is_empty() && !closed;
        pieces.iter().for_each(|p| fpga.receive(p, at(ms)));
        if closed {
            fpga.closed("by the peer", at(ms));
        }
        if let Some((_, result)) = fpga.poll() {
            return (result, rounds);
        }
        if quiet {
            let next =
                [fpga.deadline(), roach.deadlines().0].into_iter().flatten().min().expect("a deadline");
            ms = (next.0 / 1_000_000).max(ms + 1);
            fpga.tick(at(ms));
            roach.tick(at(ms));
        }
    }
}

fn backend() -> KatcpFpga {
    let mut fpga = KatcpFpga::new(KatcpFpgaConfig { board: "sim".into(), ..KatcpFpgaConfig::default() });
    fpga.tick(at(0));
    fpga
}

fn run(speaks: Speaks, faults: &[&str], op: FpgaOp) -> (Result<FpgaReply, FpgaError>, u64) {
    let (mut fpga, mut roach) = (backend(), roach(speaks, faults));
    fpga.submit(op, at(0));
    settle(&mut fpga, &mut roach, 0)
}

fn flush(count: u32) -> FpgaOp {
    let words = (0..count).map(|n| (format!("r{n:03}"), n + 1)).collect();
    FpgaOp::WriteChanged { words, blobs: vec![] }
}

fn write(value: &[u8]) -> FpgaOp {
    FpgaOp::Write { register: "r007".into(), offset: 0, data: value.to_vec(), verify: true }
}

#[test]
fn numbers_that_are_none_are_refused() {
    let mut r = joined(Speaks::V4, &[]);
    assert!(ask(&mut r, "?wordwrite r000 0 zzz\n", 1).ends_with("!wordwrite fail\n"));
    assert!(ask(&mut r, "?read r000 4294967295 4294967295\n", 1).ends_with("!read fail\n"));
    assert!(ask(&mut r, "?wordread r000 4294967295 4\n", 1).ends_with("!wordread fail\n"));
}

#[test]
fn v4_ignores_rubbish_and_forgets_ids() {
    let mut r = joined(Speaks::V4, &[]);
    assert_eq!(ask(&mut r, "garbage\n  ?watchdog[7]\n", 1), "!watchdog ok\n");
}

#[test]
fn v5_repeats_ids_and_complains_about_rubbish() {
    let mut r = joined(Speaks::V5, &[]);
    let text = ask(&mut r, "garbage\n?listbof[7]\n?nosuch[8]\n", 1500);
    assert!(text.starts_with("#log error 1.500 raw "), "{text}");
    assert!(
        text.contains("#listbof[7] n.bof\n!listbof[7] ok 1\n!nosuch[8] invalid unknown\\_request\\_nosuch\n")
    );
}

#[test]
fn programming_takes_its_time_and_holds_up_what_follows() {
    let mut r = joined(Speaks::V4, &[]);
    r.config.program_time = Duration::from_secs(1);
    assert_eq!(ask(&mut r, "?progdev x.bof\n?watchdog\n", 0), "");
    assert_eq!(r.deadlines().0, Some(at(1000).mono));
    r.tick(at(1000));
    let text = String::from_utf8_lossy(&drain(&mut r).0.concat()).into_owned();
    assert_eq!(text, "#fpga loaded\n#fpga mapped\n#fpga ready\n!progdev ok\n!watchdog ok\n");
}

#[test]
fn the_33rd_client_evicts_another() {
    let mut r = roach(Speaks::V4, &[]);
    for n in 0..=MAX_CLIENTS as u64 {
        r.connect(ClientId(n), "test", at(0));
    }
    let mut closed = 0;
    let mut said = String::new();
    while let Some(output) = r.poll() {
        match output {
            Output::Close(_) => closed += 1,
            Output::Send(_, bytes) => said += &String::from_utf8_lossy(&bytes),
            _ => {}
        }
    }
    assert_eq!((closed, said.matches("#client-disconnected overloaded").count()), (1, 1));
}

#[test]
fn a_flush_of_1000_registers_takes_at_most_4_round_trips() {
    for speaks in [Speaks::V4, Speaks::V5] {
        let (result, rounds) = run(speaks, &[], flush(1000));
        let Ok(FpgaReply::Written(names)) = result else { panic!("{result:?}") };
        assert_eq!(names.len(), 1000);
        assert!(rounds <= 4, "{rounds} round trips");
    }
}

#[test]
fn a_flush_names_every_register_that_failed() {
    let (result, _) = run(Speaks::V4, &["stuck=r003:0xff", "stuck=r005:0xff"], flush(10));
    let Err(FpgaError::FlushFailed { failures, written, .. }) = result else { panic!("{result:?}") };
    assert_eq!(failures.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["r003", "r005"]);
    assert_eq!(written.len(), 8);
}

#[test]
fn faults_end_in_the_error_they_are() {
    let expect = |fault: &str, wanted: fn(&FpgaError) -> bool| {
        let error = run(Speaks::V4, &[fault], write(b"abcd")).0.expect_err(fault);
        assert!(wanted(&error), "{fault}: {error:?}");
    };
    expect("fail=1", |e| matches!(e, FpgaError::Rejected { log, .. } if log == &["injected fault"]));
    expect("mute=1", |e| matches!(e, FpgaError::Timeout { op, waited_ms: 5000 } if op == "write"));
    expect("drop-after=60", |e| matches!(e, FpgaError::NotConnected { .. }));
    expect("stuck=r007:0xf", |e| {
        matches!(e, FpgaError::VerifyFailed { wrote: 0x6162_6364, read: 0x6162_6360, .. })
    });
    expect("delay=6000", |e| matches!(e, FpgaError::Timeout { .. }));
}

#[test]
fn faults_that_only_disturb_change_nothing() {
    for fault in ["split", "merge=40", "log-flood=50", "delay=100"] {
        for speaks in [Speaks::V4, Speaks::V5] {
            assert_eq!(run(speaks, &[fault], write(b"abcd")).0, Ok(FpgaReply::Done), "{fault} {speaks:?}");
        }
    }
}

#[test]
fn the_link_comes_back_after_a_loss() {
    let (mut fpga, mut r) = (backend(), roach(Speaks::V4, &["mute=1"]));
    fpga.submit(FpgaOp::Ping, at(0));
    assert!(settle(&mut fpga, &mut r, 0).0.is_err());
    let mut r = roach(Speaks::V4, &[]);
    fpga.tick(at(10_000));
    fpga.submit(FpgaOp::Ping, at(10_000));
    assert_eq!(settle(&mut fpga, &mut r, 10_000).0, Ok(FpgaReply::Flag(true)));
}

#[test]
fn a_synthesizer_does_not_lock_or_loses_its_lock_on_request() {
    let look = "?valon-get-phase-lock synth_a\n";
    let (locked, unlocked) = ("!valon-get-phase-lock ok 1\n", "!valon-get-phase-lock ok 0\n");
    let mut r = joined(Speaks::V4, &["unlocked"]);
    assert_eq!(ask(&mut r, look, 1), unlocked);
    r.set_lock_fault(None);
    assert_eq!(ask(&mut r, look, 1), locked);
    let mut r = joined(Speaks::V4, &["lock-lost=3"]);
    assert_eq!([1, 2, 3, 4].map(|_| ask(&mut r, look, 1)), [locked, locked, unlocked, unlocked]);
    for text in ["lock-lost", "lock-lost=x"] {
        let why = text.parse::<super::Fault>().expect_err(text);
        assert!(why.contains("unlocked, lock-lost=K"), "{why}");
    }
}

#[test]
fn valon_settings_are_read_back() {
    let mut r = joined(Speaks::V4, &[]);
    assert_eq!(ask(&mut r, "?valon-set-frequency synth_b 800.25 10.0\n", 1), "!valon-set-frequency ok\n");
    assert_eq!(ask(&mut r, "?valon-get-frequency synth_b\n", 1), "!valon-get-frequency ok synth_b 800.25\n");
    assert_eq!(ask(&mut r, "?valon-get-phase-lock synth_a\n", 1), "!valon-get-phase-lock ok 1\n");
    assert!(ask(&mut r, "?valon-get-label synth_c\n", 1).ends_with("!valon-get-label fail\n"));
    assert_eq!(ask(&mut r, "?i2c-write 56 1 %\n?i2c-read 56 1\n", 1), "!i2c-write ok\n!i2c-read ok 1 %\n");
}

proptest! {
    #[test]
    fn no_input_panics_the_server(bytes in proptest::collection::vec(any::<u8>(), 0..400), v5 in any::<bool>()) {
        let mut r = joined(if v5 { Speaks::V5 } else { Speaks::V4 }, &[]);
        r.receive(ME, &bytes, at(1));
        drain(&mut r);
    }

    #[test]
    fn no_argument_panics_a_command(
        n in 0..commands::TABLE.len(),
        args in proptest::collection::vec("r00[0-9]|gbe0|0x[0-9a-f]{1,9}|-?[0-9]{0,11}(:[0-9])?|[a-z.]{0,6}", 0..5),
    ) {
        let mut r = joined(Speaks::V5, &[]);
        let request = Message::new(Kind::Request, commands::TABLE[n].name).args(args);
        r.receive(ME, &request.to_bytes(), at(1));
        drain(&mut r);
    }

    #[test]
    fn any_split_of_the_requests_gives_the_same_replies(cut in 1usize..60) {
        let requests = b"?wordwrite r000 0 0x12\n?read r000 0 4\n?listbof\n?nosuch\n?read x\n";
        let whole = joined(Speaks::V4, &[]);
        let answer = |mut r: Roach, size: usize| {
            requests.chunks(size).for_each(|c| r.receive(ME, c, at(1)));
            drain(&mut r).0.concat()
        };
        prop_assert_eq!(answer(joined(Speaks::V4, &[]), cut), answer(whole, requests.len()));
    }
}
