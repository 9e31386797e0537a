//! Literal lines first, then the laws: round trip, and any split gives the same messages.

use super::*;
use proptest::prelude::*;

fn strict(line: &[u8]) -> Result<Option<Message>, LineError> {
    Message::parse(line, Dialect::STRICT)
}

#[test]
fn errors_name_the_rule() {
    let table: &[(&[u8], LineError)] = &[
        (b"garbage", LineError::NoType),
        (b" ?w", LineError::NoType),
        (b"?", LineError::BadName),
        (b"?1a", LineError::BadName),
        (b"?w_x", LineError::BadName),
        (b"?w[]", LineError::BadId),
        (b"?w[01]", LineError::BadId),
        (b"?w[1x]", LineError::BadId),
        (b"?w[2147483648]", LineError::BadId),
        (b"?w \\q", LineError::BadEscape),
        (b"?w \\", LineError::BadEscape),
        (b"?w \0", LineError::RawControl),
    ];
    for (line, error) in table {
        assert_eq!(strict(line), Err(*error), "{}", printable(line, 80));
    }
}

#[test]
fn lenient_peers_may_send_raw_control_bytes() {
    let message = Message::parse(b"!read ok \0\x1b", Dialect::V4_PEER).expect("lenient").expect("not blank");
    assert_eq!(message.args[1], [0, 0x1b]);
    assert!(Message::parse(b"  ?w", Dialect::V4_SERVER).expect("blanks skipped").is_some());
}

#[test]
fn worked_by_hand() {
    let write = Message::new(Kind::Request, "write").arg("acc_len").arg("0").arg([0u8, 0, 3, 0]);
    assert_eq!(write.to_bytes(), b"?write acc_len 0 \\0\\0\x03\\0\n");
    let read = Message::new(Kind::Reply, "read").arg("ok").arg([0u8, 0x0a, 0x20, 0x5c]);
    assert_eq!(read.to_bytes(), b"!read ok \\0\\n\\_\\\\\n");
    assert_eq!(Message::new(Kind::Reply, "read").with_id(Some(7)).arg("").to_bytes(), b"!read[7] \\@\n");
}

#[test]
fn bad_lines_do_not_lose_the_following() {
    let mut decoder = Decoder::default();
    decoder.feed(b"rubbish\r\n\n  \n?watchdog\r");
    assert_eq!(decoder.next_message().expect("bad line").expect_err("no type").quote, "rubbish");
    assert_eq!(decoder.next_message().expect("line").expect("message").name, "watchdog");
    assert_eq!(decoder.next_message(), None);
}

#[test]
fn a_line_beyond_the_limit_is_reported_once_and_forgotten() {
    let mut decoder = Decoder::new(0, Dialect::STRICT);
    let mut errors = 0;
    for _ in 0..40 {
        decoder.feed(&[b'x'; 64 << 10]);
        while let Some(item) = decoder.next_message() {
            assert_eq!(item.expect_err("too long").error, LineError::TooLong { limit: LINE_LIMIT_MIN });
            errors += 1;
        }
        assert!(decoder.held() <= LINE_LIMIT_MIN + (64 << 10));
    }
    decoder.feed(b"\n?watchdog\n");
    assert_eq!(decoder.next_message().expect("line").expect("message").name, "watchdog");
    assert_eq!(errors, 1);
}

fn message() -> impl Strategy<Value = Message> {
    let kind = prop_oneof![Just(Kind::Request), Just(Kind::Reply), Just(Kind::Inform)];
    let id = proptest::option::of(1..=MAX_ID);
    let args = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6);
    (kind, proptest::string::string_regex("[a-zA-Z][a-zA-Z0-9-]{0,12}").expect("a regex"), id, args)
        .prop_map(|(kind, name, id, args)| Message { kind, name, id, args })
}

proptest! {
    #[test]
    fn decode_of_encode_is_the_message(m in message()) {
        let mut wire = m.to_bytes();
        wire.pop();
        prop_assert_eq!(strict(&wire), Ok(Some(m)));
    }

    #[test]
    fn any_split_gives_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..300), cuts in proptest::collection::vec(1usize..20, 0..60)) {
        let whole = decode(&[&bytes]);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(decode(&pieces), whole);
    }
}

fn decode(pieces: &[&[u8]]) -> Vec<Result<Message, BadLine>> {
    let mut decoder = Decoder::default();
    let mut all = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        all.extend(std::iter::from_fn(|| decoder.next_message()));
    }
    all
}
