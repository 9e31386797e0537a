//! A session captured between a client and a server of today's ZeroMQ, byte for byte and at any split. Only the
//! trace line of the error is ours.

use super::tests::{READY_REP, READY_REQ, at};
use super::*;
use crate::proto::zmtp::greeting;
use proptest::prelude::*;

const GET: &str = r#"{"name": "bank", "proc": "get_mode", "args": [], "kwargs": {}}"#;

/// Answers as the server of the capture did.
fn captured_answer(output: &ServerOutput) -> Option<(u64, Outcome)> {
    let text = |s: &str| Value::Str(s.to_owned());
    match output {
        ServerOutput::ListMethods { seq, interface } if interface == "nope" => {
            Some((*seq, Ok(Value::List(vec![text("Interface error"), text("'nope'")]))))
        }
        ServerOutput::ListMethods { seq, .. } => Some((*seq, Ok(Value::List(vec![])))),
        ServerOutput::Call { seq, call, .. } => {
            let outcome = match call.method.as_str() {
                "get_mode" => Ok(Value::Null),
                "earliest_start" => {
                    let civil = [2026, 1, 2, 3, 4, 5, 0].map(Value::Int).to_vec();
                    Ok(Value::List(vec![Value::Bool(true), Value::List(civil)]))
                }
                "add" => {
                    assert_eq!(
                        (&call.args, &call.kwargs),
                        (&vec![Value::Int(2)], &vec![("y".into(), Value::Int(3))])
                    );
                    Ok(Value::Int(5))
                }
                "boom" => Err(CallError::exception("No backend selected")),
                "big" => Ok(Value::Str("x".repeat(300))),
                other => panic!("{other}"),
            };
            Some((*seq, outcome))
        }
        _ => None,
    }
}

fn converse(s: &mut ZmqRep, bytes: &[u8]) -> Vec<u8> {
    s.receive(bytes, at(0));
    let mut sent = Vec::new();
    while let Some(output) = s.poll() {
        if let ServerOutput::Send(bytes) = &output {
            sent.extend(bytes);
        } else if let Some((seq, outcome)) = captured_answer(&output) {
            s.reply(seq, outcome, at(0));
        }
    }
    sent
}

/// (request with its frame head, reply) of the capture.
fn captured() -> Vec<(Vec<u8>, Vec<u8>)> {
    let long = [&b"\x01\x00\x02\0\0\0\0\0\0\x01\x2E\""[..], &[b'x'; 300], b"\""].concat();
    let error = br#"{"EXCEPTION": ["Exception", "No backend selected", ["bank.boom: No backend selected"]]}"#;
    let error = [&b"\x01\x00\x00"[..], &[error.len() as u8], error].concat();
    let pair = |head: &[u8], json: &str, reply: &[u8]| {
        assert_eq!(usize::from(head[3]), json.len());
        ([head, json.as_bytes()].concat(), reply.to_vec())
    };
    vec![
        pair(b"\x01\0\0\x3E", GET, b"\x01\0\0\x04null"),
        pair(
            b"\x01\0\0\x44",
            r#"{"name": "bank", "proc": "earliest_start", "args": [], "kwargs": {}}"#,
            b"\x01\0\0\x20[true, [2026, 1, 2, 3, 4, 5, 0]]",
        ),
        pair(
            b"\x01\0\0\x40",
            r#"{"name": "bank", "proc": "add", "args": [2], "kwargs": {"y": 3}}"#,
            b"\x01\0\0\x015",
        ),
        pair(b"\x01\0\0\x3A", r#"{"name": "bank", "proc": "boom", "args": [], "kwargs": {}}"#, &error),
        pair(b"\x01\0\0\x3C", r#"{"name": "bank", "proc": "big", "args": [300], "kwargs": {}}"#, &long),
        pair(
            b"\x01\0\0\x48",
            r#"{"name": "bank.roach", "proc": "list_methods", "args": [], "kwargs": {}}"#,
            b"\x01\0\0\x02[]",
        ),
        pair(
            b"\x01\0\0\x42",
            r#"{"name": "nope", "proc": "list_methods", "args": [], "kwargs": {}}"#,
            b"\x01\0\0\x1D[\"Interface error\", \"'nope'\"]",
        ),
        // The client of Python 2 writes compact JSON in another order.
        pair(
            b"\x01\0\0\x37",
            r#"{"args":[],"proc":"get_mode","name":"bank","kwargs":{}}"#,
            b"\x01\0\0\x04null",
        ),
    ]
}

#[test]
fn the_annotated_session_byte_for_byte() {
    let mut s = ZmqRep::new(at(0));
    assert_eq!(converse(&mut s, b""), greeting::ours()[..10]);
    assert_eq!(converse(&mut s, b"\xFF\0\0\0\0\0\0\0\x01\x7F"), b"\x03");
    let mut rest = b"\x03\x01NULL".to_vec();
    rest.resize(54, 0);
    assert_eq!(converse(&mut s, &rest), [&rest[1..], READY_REP].concat());
    assert_eq!(converse(&mut s, READY_REQ), b"");
    for (request, reply) in captured() {
        assert_eq!(converse(&mut s, &request), reply, "{}", request.escape_ascii());
    }
}

fn whole_session() -> (Vec<u8>, Vec<u8>) {
    let mut client = [&greeting::ours()[..], READY_REQ].concat();
    let mut server = [&greeting::ours()[..], READY_REP].concat();
    for (request, reply) in captured() {
        client.extend(request);
        server.extend(reply);
    }
    (client, server)
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_session(cuts in proptest::collection::vec(1usize..40, 1..300)) {
        let (client, server) = whole_session();
        let mut s = ZmqRep::new(at(0));
        let mut sent = Vec::new();
        let mut rest = &client[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            sent.extend(converse(&mut s, piece));
            rest = after;
        }
        prop_assert_eq!(sent, server);
    }
}
