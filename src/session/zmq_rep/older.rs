//! Peers of ZMTP 2.0 (libzmq 3.2): byte for byte and at any split.

use super::tests::at;
use super::*;
use crate::session::liveness::GONE_AFTER;
use proptest::prelude::*;

/// Ten bytes of signature, revision, socket type REQ, an empty identity.
const REQ: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x01\x03\0\0";
/// Signature, revision, socket type REP, an empty identity.
const REP: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x04\0\0";
const GET: &[u8] = b"\x01\0\0\x3E{\"name\": \"bank\", \"proc\": \"get_mode\", \"args\": [], \"kwargs\": {}}";
const NULL: &[u8] = b"\x01\0\0\x04null";

/// Answers every call with `null`; gives what was sent, and why it closed.
fn converse(s: &mut ZmqRep, bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    s.receive(bytes, at(0));
    let (mut sent, mut closed) = (Vec::new(), None);
    while let Some(output) = s.poll() {
        match output {
            ServerOutput::Send(bytes) => sent.extend(bytes),
            ServerOutput::Call { seq, .. } => s.reply(seq, Ok(Value::Null), at(0)),
            ServerOutput::Close(why) => closed = Some(why),
            _ => {}
        }
    }
    (sent, closed)
}

fn sent(s: &mut ZmqRep, bytes: &[u8]) -> Vec<u8> {
    let (sent, closed) = converse(s, bytes);
    assert_eq!(closed, None);
    sent
}

#[test]
fn a_session_in_its_steps() {
    let mut s = ZmqRep::new(at(0));
    assert_eq!(sent(&mut s, b""), REP[..10]);
    assert_eq!(sent(&mut s, &REQ[..10]), [3]);
    assert_eq!(sent(&mut s, &REQ[10..11]), b"", "the rest of a ZMTP 3 greeting would be taken for frames");
    assert_eq!(sent(&mut s, &REQ[11..12]), REP[11..]);
    assert_eq!(sent(&mut s, &REQ[12..]), b"");
    for _ in 0..2 {
        assert_eq!(sent(&mut s, GET), NULL);
    }
}

#[test]
fn identities_are_passed_over_and_dealers_are_served() {
    for revision in [1, 2] {
        let named = [&REQ[..10], &[revision, 5], b"\0\x08dealer-1"].concat();
        let mut s = ZmqRep::new(at(0));
        assert_eq!(sent(&mut s, &[&named, GET].concat()), [REP, NULL].concat());
    }
}

#[test]
fn what_does_not_begin_as_it_should_is_closed() {
    let begin = |socket_type: u8, then: &[u8]| [&REQ[..11], &[socket_type], then].concat();
    for (bytes, why) in [
        (begin(6, b"\0\0"), "number 6 socket"),
        (begin(3, b"\x01\0"), "identity"),
        (begin(3, b"\x02\0\0\0\0\0\0\x01\0"), "identity"),
    ] {
        let (_, closed) = converse(&mut ZmqRep::new(at(0)), &bytes);
        assert!(closed.as_ref().is_some_and(|text| text.contains(why)), "{closed:?}");
    }
}

#[test]
fn there_are_no_commands_and_no_pings() {
    let mut s = ZmqRep::new(at(0));
    let _ = sent(&mut s, REQ);
    // The bit of commands means nothing: a frame without delimiter, which is dropped.
    assert_eq!(sent(&mut s, b"\x04\x07\x04PING\0\x14"), b"");
    assert_eq!((s.ignored().reserved_bits, s.ignored().messages), (1, 1));
    s.tick(Now { mono: at(0).mono + GONE_AFTER * 2, ..Now::default() });
    assert_eq!(sent(&mut s, GET), NULL, "it cannot be asked: its silence means nothing");
}

proptest! {
    #[test]
    fn any_split_gives_the_same_session(cuts in proptest::collection::vec(1usize..40, 1..100)) {
        let client = [REQ, GET, GET].concat();
        let mut s = ZmqRep::new(at(0));
        let mut got = Vec::new();
        let mut rest = &client[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            got.extend(sent(&mut s, piece));
            rest = after;
        }
        prop_assert_eq!(got, [REP, NULL, NULL].concat());
    }
}
