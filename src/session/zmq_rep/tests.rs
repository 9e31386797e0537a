//! The rules of the wire, row by row: handshake, heartbeats, malformed input, order and limits.

use super::*;
use crate::api::ErrorClass;
use crate::proto::zmtp::{command, frame, greeting};
use proptest::prelude::*;

pub(super) const READY_REQ: &[u8] = b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0";
pub(super) const READY_REP: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP";

pub(super) fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000_000), ..Now::default() }
}

/// What a session did, drained.
#[derive(Default, Debug, PartialEq)]
struct Done {
    sent: Vec<u8>,
    orders: Vec<ServerOutput>,
}

fn drain(s: &mut ZmqRep) -> Done {
    let mut done = Done::default();
    while let Some(output) = s.poll() {
        match output {
            ServerOutput::Send(bytes) => done.sent.extend(bytes),
            other => done.orders.push(other),
        }
    }
    done
}

fn give(s: &mut ZmqRep, bytes: &[u8]) -> Done {
    s.receive(bytes, at(0));
    drain(s)
}

/// A session past the handshake with a REQ peer of minor version `minor`.
fn open_with(minor: u8) -> ZmqRep {
    let mut s = ZmqRep::new(at(0));
    let mut hello = greeting::ours();
    hello[11] = minor;
    let done = give(&mut s, &[&hello[..], READY_REQ].concat());
    assert_eq!(done.sent, [&greeting::ours()[..], READY_REP].concat());
    assert_eq!(done.orders, []);
    s
}

fn open() -> ZmqRep {
    open_with(1)
}

fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, f) in frames.iter().enumerate() {
        frame::push(&mut out, i + 1 < frames.len(), f);
    }
    out
}

fn request(json: &str) -> Vec<u8> {
    message(&[b"", json.as_bytes()])
}

const GET: &str = r#"{"name": "bank", "proc": "get_mode", "args": [], "kwargs": {}}"#;

fn get_mode() -> Call {
    Call { interface: "bank".into(), method: "get_mode".into(), args: vec![], kwargs: vec![] }
}

/// The session still serves: the next request arrives and its answer leaves.
fn assert_serves(s: &mut ZmqRep) {
    let orders = give(s, &request(GET)).orders;
    let [ServerOutput::Call { seq, call, .. }] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!(*call, get_mode());
    s.reply(*seq, Ok(Value::Null), at(0));
    assert_eq!(drain(s).sent, b"\x01\x00\x00\x04null");
}

fn asked(seq: u64, call: Call) -> ServerOutput {
    let terms = Terms::default();
    ServerOutput::Call { seq, call, terms }
}

fn assert_closed(done: &Done) -> &str {
    match done.orders.last() {
        Some(ServerOutput::Close(reason)) => reason,
        other => panic!("not closed: {other:?}"),
    }
}

/// The one error reply in `done`, as (class, message).
fn error_reply(done: &Done) -> (String, String) {
    assert_eq!(done.orders, []);
    assert_eq!(done.sent[..2], [1, 0]);
    let head = frame::Header::read(&done.sent[2..]).expect("a frame");
    let body = &done.sent[2 + head.head_len..];
    assert_eq!(body.len() as u64, head.body_len, "exactly one reply");
    let Ok(Err(fault)) = json_rpc::read_reply(body) else { panic!("no error: {body:?}") };
    (fault.class, fault.message)
}

// ---- handshake ----

#[test]
fn greeting_leaves_in_libzmqs_three_steps() {
    let mut s = ZmqRep::new(at(0));
    assert_eq!(drain(&mut s).sent, greeting::ours()[..10]);
    assert_eq!(give(&mut s, &greeting::ours()[..10]).sent, [3]);
    assert_eq!(give(&mut s, &greeting::ours()[10..12]).sent, greeting::ours()[11..]);
    assert_eq!(give(&mut s, &greeting::ours()[12..]).sent, READY_REP);
}

#[test]
fn handshake_deadline_is_thirty_seconds() {
    let mut s = ZmqRep::new(at(0));
    s.receive(&greeting::ours()[..20], at(5));
    assert_eq!(s.deadline(), Some(at(30).mono));
    s.tick(at(29));
    assert_eq!(drain(&mut s).orders, []);
    s.tick(at(30));
    assert!(assert_closed(&drain(&mut s)).contains("handshake"));
    assert_eq!(s.deadline(), None);
}

#[test]
fn http_at_the_greeting_closes_at_once() {
    let mut s = ZmqRep::new(at(0));
    assert!(assert_closed(&give(&mut s, b"GET / HTTP/1.1\r\n")).contains("ZMTP"));
    assert_eq!(give(&mut s, b"more"), Done::default());
}

#[test]
fn zmtp_1_is_named() {
    for bytes in [&b"\x01\0"[..], b"\xFF\0\0\0\0\0\0\0\x01\x7E", b"\xFF\0\0\0\0\0\0\0\x01\x7F\0"] {
        assert!(assert_closed(&give(&mut ZmqRep::new(at(0)), bytes)).contains("libzmq 3.2 or later"));
    }
}

#[test]
fn socket_types() {
    for (socket_type, good) in
        [("REQ", true), ("DEALER", true), ("ROUTER", false), ("PUB", false), ("REP", false)]
    {
        let mut s = ZmqRep::new(at(0));
        let done = give(&mut s, &[&greeting::ours()[..], &command::ready(socket_type, None)].concat());
        if good {
            assert_serves(&mut s);
        } else {
            assert!(assert_closed(&done).contains(socket_type));
            assert!(done.sent.ends_with(b"\x05ERROR\x13Invalid socket type"));
        }
    }
    let mut s = ZmqRep::new(at(0));
    give(&mut s, &[&greeting::ours()[..], b"\x04\x06\x05READY"].concat());
    assert_serves(&mut s); // no Socket-Type at all
}

#[test]
fn truncated_ready_closes() {
    let mut s = ZmqRep::new(at(0));
    assert_closed(&give(&mut s, &[&greeting::ours()[..], b"\x04\x0A\x05READY\x0bSoc"].concat()));
}

#[test]
fn error_command_or_message_before_ready_closes() {
    for first in [&b"\x04\x07\x05ERROR\x00"[..], b"\x01\x00", b"\x04\x07\x04PING\0\0"] {
        let mut s = ZmqRep::new(at(0));
        assert_closed(&give(&mut s, &[&greeting::ours()[..], first].concat()));
    }
}

#[test]
fn flags_of_ready() {
    let long_ready = [b"\x06\0\0\0\0\0\0\0\x26", &READY_REQ[2..]].concat();
    for (ready, good) in [
        (READY_REQ.to_vec(), true),
        (long_ready, true),
        ([b"\x05", &READY_REQ[1..]].concat(), false),
        ([b"\x00", &READY_REQ[1..]].concat(), false),
    ] {
        let mut s = ZmqRep::new(at(0));
        let done = give(&mut s, &[&greeting::ours()[..], &ready].concat());
        if good { assert_serves(&mut s) } else { drop(assert_closed(&done).to_owned()) }
    }
}

#[test]
fn message_in_the_segment_of_the_greeting_is_served() {
    let mut s = ZmqRep::new(at(0));
    let done = give(&mut s, &[&greeting::ours()[..], READY_REQ, &request(GET)].concat());
    assert_eq!(done.orders, [asked(1, get_mode())]);
}

// ---- heartbeats ----

#[test]
fn ping_is_answered_while_a_call_runs_and_between_frames() {
    let mut s = open_with(0);
    give(&mut s, &request(GET));
    assert_eq!(give(&mut s, b"\x04\x07\x04PING\x00\x14").sent, b"\x04\x05\x04PONG");
    assert_eq!(give(&mut s, b"\x04\x0A\x04PING\x00\x14abc").sent, b"\x04\x08\x04PONGabc");
    s.reply(1, Ok(Value::Null), at(0));
    drain(&mut s);
    assert_eq!(give(&mut s, b"\x01\x00\x04\x07\x04PING\x00\x00").sent, b"\x04\x05\x04PONG");
    let done = give(&mut s, &message(&[GET.as_bytes()]));
    assert_eq!(done.orders, [asked(2, get_mode())]);
}

#[test]
fn a_peer_is_dropped_after_its_own_time_to_live() {
    let mut s = open_with(0);
    assert_eq!(s.deadline(), None);
    s.receive(b"\x04\x07\x04PING\x00\x14", at(100));
    assert_eq!(drain(&mut s).sent, b"\x04\x05\x04PONG");
    assert_eq!(s.deadline(), Some(at(102).mono));
    s.tick(at(102));
    assert_closed(&drain(&mut s));
}

#[test]
fn silent_peers_of_minor_one_are_asked_then_dropped() {
    let mut s = open();
    s.tick(at(10));
    assert_eq!(drain(&mut s).sent, b"\x04\x07\x04PING\x01\x2C");
    s.receive(b"\x04\x05\x04PONG", at(11));
    s.tick(at(21));
    assert_eq!(drain(&mut s), Done { sent: b"\x04\x07\x04PING\x01\x2C".to_vec(), orders: vec![] });
    s.tick(at(41));
    assert_closed(&drain(&mut s));
}

// ---- malformed input after the handshake ----

#[test]
fn messages_without_delimiter_or_body_are_dropped_and_counted() {
    for frames in [&[&b"body"[..]][..], &[b"a", b"b"], &[b""]] {
        let mut s = open();
        assert_eq!(give(&mut s, &message(frames)), Done::default());
        assert_eq!(s.ignored().messages, 1);
        assert_serves(&mut s);
    }
}

#[test]
fn delimiter_and_empty_body() {
    let mut s = open();
    let done = give(&mut s, &message(&[b"", b""]));
    assert_eq!(error_reply(&done).0, "ValueError");
    assert_serves(&mut s);
}

#[test]
fn two_delimiters_and_two_bodies() {
    for frames in [[&b""[..], b"", b"{}"], [b"", b"{}", b"{}"]] {
        let mut s = open();
        let (class, text) = error_reply(&give(&mut s, &message(&frames)));
        assert_eq!(class, "ValueError");
        assert!(text.starts_with("expected one body frame"), "{text}");
        assert_serves(&mut s);
    }
}

#[test]
fn reserved_bits_are_ignored_and_counted() {
    let mut s = open();
    let mut bytes = request(GET);
    bytes[0] |= 0x08;
    bytes[2] |= 0x10;
    assert_eq!(give(&mut s, &bytes).orders.len(), 1);
    assert_eq!(s.ignored().reserved_bits, 2);
}

#[test]
fn odd_commands_are_ignored_and_counted() {
    let mut s = open();
    for odd in [&b"\x04\x04\x03FOO"[..], READY_REQ, b"\x04\x0B\x09SUBSCRIBEx", b"\x04\x00"] {
        assert_eq!(give(&mut s, odd), Done::default());
    }
    assert_eq!(s.ignored().commands, 4);
    assert_serves(&mut s);
}

#[test]
fn lengths_beyond_the_limit_close_before_any_byte_of_the_body() {
    for length in [REQUEST_MAX as u64 + 1, 1 << 40, 1 << 62, 1 << 63, u64::MAX] {
        let mut s = open();
        let done = give(&mut s, &[&b"\x01\x00\x02"[..], &length.to_be_bytes()].concat());
        assert!(done.sent.is_empty());
        assert!(assert_closed(&done).contains(&length.to_string()));
    }
}

#[test]
fn a_frame_may_be_of_the_long_form_whatever_its_length() {
    let mut s = open();
    let bytes = [&b"\x03\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"[..], &[GET.len() as u8], GET.as_bytes()].concat();
    assert_eq!(give(&mut s, &bytes).orders.len(), 1);
}

#[test]
fn too_many_or_too_long_addresses_close() {
    let long = [b'a'; 256];
    let mut many: Vec<&[u8]> = vec![b"a"; 17];
    many.extend([&b""[..], b"{}"]);
    for frames in [&[&long[..], b"", b"{}"][..], &many] {
        assert_closed(&give(&mut open(), &message(frames)));
    }
}

// ---- requests and replies ----

#[test]
fn addresses_are_echoed() {
    let mut s = open();
    give(&mut s, &message(&[b"\x68\x45\x8B\x6B", b"", GET.as_bytes()]));
    s.reply(1, Ok(Value::Int(2)), at(0));
    assert_eq!(drain(&mut s).sent, b"\x01\x04\x68\x45\x8B\x6B\x01\x00\x00\x012");
}

#[test]
fn undecodable_requests_are_answered_in_order() {
    let mut s = open();
    let done = give(&mut s, &[request(GET), request("nonsense"), request(GET)].concat());
    assert_eq!((done.orders.len(), done.sent.len()), (1, 0), "the error waits for its turn");
    s.reply(1, Ok(Value::Null), at(0));
    let done = drain(&mut s);
    assert!(done.sent.starts_with(b"\x01\x00\x00\x04null\x01\x00"));
    assert_eq!(done.orders, [asked(2, get_mode())]);
}

#[test]
fn errors_are_exceptions() {
    let mut s = open();
    give(&mut s, &request(GET));
    s.reply(1, Err(CallError::key_error("nope")), at(0));
    assert_eq!(error_reply(&drain(&mut s)), (ErrorClass::KeyError.name().into(), "'nope'".into()));
}

#[test]
fn a_full_queue_stops_reading_and_keeps_what_has_arrived() {
    let mut s = open();
    let done = give(&mut s, &request(GET).repeat(40));
    assert_eq!(done.orders, [asked(1, get_mode()), ServerOutput::PauseReading(true)]);
    assert_eq!(s.deadline(), None, "silence is our doing now");
    let mut resumed = 0;
    for seq in 1..=40 {
        s.reply(seq, Ok(Value::Null), at(0));
        let done = drain(&mut s);
        assert_eq!(done.sent, b"\x01\x00\x00\x04null");
        resumed += done.orders.iter().filter(|o| **o == ServerOutput::PauseReading(false)).count();
    }
    assert_eq!(resumed, 1);
    assert_serves_as(&mut s, 41);
}

fn assert_serves_as(s: &mut ZmqRep, seq: u64) {
    assert_eq!(give(s, &request(GET)).orders, [asked(seq, get_mode())]);
}

#[test]
fn late_or_unknown_replies_are_passed_over() {
    let mut s = open();
    give(&mut s, &request(GET));
    s.reply(7, Ok(Value::Null), at(0));
    assert_eq!(drain(&mut s), Done::default());
    s.reply(1, Ok(Value::Null), at(0));
    s.reply(1, Ok(Value::Null), at(0));
    assert_eq!(drain(&mut s).sent.len(), 8);
}

proptest! {
    #[test]
    fn any_bytes_after_the_handshake_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut s = open();
        give(&mut s, &bytes);
    }
}

#[test]
fn a_request_says_in_whose_name_and_until_when() {
    let mut s = open();
    let asks = |more: &str| request(&GET.replace("}}", &format!("}}, {more}}}")));
    let orders =
        give(&mut s, &asks(r#""who": "ann", "lease": "1f.2", "deadline_ms": 1500, "id": "7a""#)).orders;
    let terms = Terms {
        who: "ann".into(),
        lease: "1f.2".into(),
        begin_by: Some(at(0).mono + Duration::from_millis(1500)),
        id: "7a".into(),
    };
    assert_eq!(orders, [ServerOutput::Call { seq: 1, call: get_mode(), terms }]);
    // Two behind it on the same connection: for the first it is too late when its turn comes.
    assert_eq!(
        give(&mut s, &[asks(r#""deadline_ms": 999"#), asks(r#""deadline_ms": 1001"#)].concat()),
        Done::default()
    );
    s.reply(1, Ok(Value::Null), at(1));
    let done = drain(&mut s);
    assert!(String::from_utf8_lossy(&done.sent).contains("bank.get_mode could not begin within"), "{done:?}");
    assert!(matches!(&done.orders[..], [ServerOutput::Call { seq: 2, .. }]), "{done:?}");
}
