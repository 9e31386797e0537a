//! The backend against replies typed by hand; against the simulator it is tested there.

use super::*;
use crate::units::Utc;

fn now() -> Now {
    Now { mono: Mono(1), utc: Utc(0) }
}

fn up() -> KatcpFpga {
    let mut fpga = KatcpFpga::new(KatcpFpgaConfig { board: "roach".into(), ..KatcpFpgaConfig::default() });
    fpga.tick(now());
    fpga.connected(now());
    fpga.receive(b"#version test\n", now());
    sent(&mut fpga);
    fpga
}

fn sent(fpga: &mut KatcpFpga) -> String {
    let mut bytes = Vec::new();
    while let Some(output) = fpga.poll_link() {
        if let LinkOutput::Send(more) = output {
            bytes.extend(more);
        }
    }
    bytes.into_iter().map(char::from).collect()
}

fn write(register: &str, data: &[u8]) -> FpgaOp {
    FpgaOp::Write { register: register.into(), offset: 0, data: data.to_vec(), verify: true }
}

#[test]
fn a_verified_write_is_one_round_trip() {
    let mut fpga = up();
    let id = fpga.submit(write("acc_len", b"abcd"), now());
    assert_eq!(sent(&mut fpga), "?write acc_len 0 abcd\n?read acc_len 0 4\n");
    fpga.receive(b"!write ok\n!read ok abcd\n", now());
    assert_eq!(fpga.poll(), Some((id, Ok(FpgaReply::Done))));
}

#[test]
fn a_failed_verification_names_register_and_words() {
    let mut fpga = up();
    fpga.submit(write("acc_len", &[0, 0, 3, 0]), now());
    fpga.receive(b"!write ok\n!read ok \\0\\0\x02\\0\n", now());
    let (_, result) = fpga.poll().expect("done");
    assert_eq!(
        result.expect_err("differs").to_string(),
        "Verification of write to acc_len at offset 0 failed. Wrote 0x00000300... but got back 0x00000200..."
    );
}

#[test]
fn a_rejection_has_the_words_clients_look_for_and_the_reason() {
    let mut fpga = up();
    fpga.submit(FpgaOp::Read { register: "nosuch".into(), offset: 0, len: 4 }, now());
    fpga.receive(b"#log error 1 raw register\\_nosuch\\_not\\_defined\n!read fail\n", now());
    let (_, result) = fpga.poll().expect("done");
    assert_eq!(
        result.expect_err("fail").to_string(),
        "Request read failed.\n  Request: ?read nosuch 0 4\n  Reply: !read fail.\n  Log: register nosuch not defined"
    );
}

#[test]
fn deprogramming_sends_no_argument() {
    let mut fpga = up();
    fpga.submit(FpgaOp::Program { image: None }, now());
    assert_eq!(sent(&mut fpga), "?progdev\n");
}

#[test]
fn tap_start_is_written_as_the_reference_does() {
    let mut fpga = up();
    let ip = std::net::Ipv4Addr::new(10, 17, 0, 71);
    let tap = |name: &str| FpgaOp::TapStart {
        tap: name.into(),
        device: "gbe0".into(),
        mac: 0x0202_0A11_0047,
        ip,
        port: 60000,
    };
    fpga.submit(tap("tap0"), now());
    assert_eq!(sent(&mut fpga), "?tap-start tap0 gbe0 10.17.0.71 60000 02:02:0A:11:00:47\n");
    fpga.submit(tap("a_long_name"), now());
    assert!(matches!(fpga.poll(), Some((_, Err(FpgaError::Invalid(_))))));
}

#[test]
fn only_arp_entries_that_differ_are_written_and_later_operations_wait() {
    let mut fpga = up();
    let arp =
        fpga.submit(FpgaOp::SetArp { device: "gbe0".into(), entries: vec![(1, 0xA1), (2, 0xA2)] }, now());
    let ping = fpga.submit(FpgaOp::Ping, now());
    assert_eq!(sent(&mut fpga), "?read gbe0 12296 8\n?read gbe0 12304 8\n");
    fpga.receive(b"!read ok \\0\\0\\0\\0\\0\\0\\0\xA1\n!read ok \\0\\0\\0\\0\\0\\0\\0\xFF\n", now());
    let bytes = sent(&mut fpga);
    assert_eq!(bytes, "?write gbe0 12304 \\0\\0\\0\\0\\0\\0\\0\u{A2}\n?read gbe0 12304 8\n");
    fpga.receive(b"!write ok\n!read ok \\0\\0\\0\\0\\0\\0\\0\xA2\n", now());
    assert_eq!(fpga.poll(), Some((arp, Ok(FpgaReply::Done))));
    assert_eq!(sent(&mut fpga), "?watchdog\n");
    fpga.receive(b"!watchdog ok\n", now());
    assert_eq!(fpga.poll(), Some((ping, Ok(FpgaReply::Flag(true)))));
}

#[test]
fn a_flush_writes_what_differs_and_names_everything_that_failed() {
    let mut fpga = up();
    let words = ["a", "b", "c", "d"].map(|r| (r.to_owned(), 1)).to_vec();
    fpga.submit(FpgaOp::WriteChanged { words, blobs: vec![] }, now());
    sent(&mut fpga);
    fpga.receive(b"!read ok \\0\\0\\0\x01\n!read fail\n!read ok 1234\n!read ok 1234\n", now());
    assert_eq!(
        sent(&mut fpga),
        "?write c 0 \\0\\0\\0\u{1}\n?read c 0 4\n?write d 0 \\0\\0\\0\u{1}\n?read d 0 4\n"
    );
    fpga.receive(b"!write ok\n!read ok 1234\n!write ok\n!read ok \\0\\0\\0\x01\n", now());
    let Some((_, Err(FpgaError::FlushFailed { attempted, written, failures }))) = fpga.poll() else {
        panic!("a flush with failures");
    };
    assert_eq!((attempted, written), (4, vec!["d".to_owned()]));
    assert_eq!(failures.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn large_reads_are_split_and_joined() {
    let mut fpga = up();
    let id = fpga.submit(FpgaOp::Read { register: "bram".into(), offset: 4, len: 65_540 }, now());
    assert_eq!(sent(&mut fpga), "?read bram 4 65536\n?read bram 65540 4\n");
    let mut reply = b"!read ok ".to_vec();
    reply.extend(vec![b'x'; 65_536]);
    reply.extend_from_slice(b"\n!read ok yyyy\n");
    fpga.receive(&reply, now());
    let Some((done, Ok(FpgaReply::Bytes(bytes)))) = fpga.poll() else { panic!("bytes") };
    assert_eq!((done, bytes.len(), &bytes[65_534..]), (id, 65_540, &b"xxyyyy"[..]));
}

#[test]
fn a_short_reply_is_a_protocol_error_not_data() {
    let mut fpga = up();
    fpga.submit(FpgaOp::Read { register: "a".into(), offset: 0, len: 4 }, now());
    fpga.receive(b"!read ok abc\n", now());
    assert!(matches!(fpga.poll(), Some((_, Err(FpgaError::Protocol(_))))));
}

#[test]
fn a_loss_fails_everything_also_what_waited_behind_a_barrier() {
    let mut fpga = up();
    fpga.submit(FpgaOp::SetArp { device: "gbe0".into(), entries: vec![(1, 1)] }, now());
    fpga.submit(FpgaOp::Ping, now());
    fpga.closed("reset by peer", now());
    for _ in 0..2 {
        assert!(matches!(fpga.poll(), Some((_, Err(FpgaError::NotConnected { .. })))));
    }
}

#[test]
fn a_raw_request_cannot_smuggle_a_second_line() {
    let mut fpga = up();
    fpga.submit(FpgaOp::Raw { name: "watchdog\n?halt".into(), args: vec![] }, now());
    assert!(matches!(fpga.poll(), Some((_, Err(FpgaError::Invalid(_))))));
}
