use super::*;
use crate::session::zmq_rep::ZmqRep;
use crate::session::{Server, ServerOutput};
use crate::value::Value;
use proptest::prelude::*;

fn call(method: &str) -> Call {
    Call { interface: "bank".into(), method: method.into(), args: vec![Value::Int(1)], kwargs: vec![] }
}

/// Carries bytes between a client and our own server until both are quiet; the server answers with the
/// name of the method called, or refuses `fail`.
fn settle(client: &mut ZmqReq, server: &mut ZmqRep) -> Vec<ClientOutput> {
    let now = Now::default();
    let mut heard = Vec::new();
    loop {
        let mut quiet = true;
        while let Some(output) = client.poll() {
            quiet = false;
            match output {
                ClientOutput::Send(bytes) => server.receive(&bytes, now),
                other => heard.push(other),
            }
        }
        while let Some(output) = server.poll() {
            quiet = false;
            match output {
                ServerOutput::Send(bytes) => client.receive(&bytes, now),
                ServerOutput::Call { seq, call, .. } if call.method == "fail" => {
                    server.reply(seq, Err(CallError::exception("no")), now);
                }
                ServerOutput::Call { seq, call, .. } => server.reply(seq, Ok(call.method.into()), now),
                ServerOutput::ListMethods { seq, interface } => server.reply(seq, Ok(interface.into()), now),
                other => panic!("{other:?}"),
            }
        }
        if quiet {
            return heard;
        }
    }
}

#[test]
fn calls_are_answered_in_order_one_at_a_time() {
    let now = Now::default();
    let (mut client, mut server) = (ZmqReq::new(now), ZmqRep::new(now));
    for method in ["a", "fail", "list_methods"] {
        client.call(call(method), now);
    }
    let heard = settle(&mut client, &mut server);
    let reply = |seq, outcome| ClientOutput::Reply { seq, outcome };
    let no = Err(CallError::exception("no"));
    assert_eq!(
        heard,
        [ClientOutput::Open, reply(1, Ok("a".into())), reply(2, no), reply(3, Ok("bank".into()))]
    );
}

#[test]
fn a_lost_connection_answers_every_call() {
    let now = Now::default();
    let mut client = ZmqReq::new(now);
    client.call(call("a"), now);
    client.call(call("b"), now);
    client.receive(b"HTTP/1.1 400", now);
    let outputs: Vec<_> = std::iter::from_fn(|| client.poll()).collect();
    let failed = |o: &ClientOutput, n| matches!(o, ClientOutput::Reply { seq, outcome: Err(_) } if *seq == n);
    assert!(failed(&outputs[1], 1) && failed(&outputs[2], 2), "{outputs:?}");
    assert!(matches!(&outputs[3], ClientOutput::Close(_)));
}

#[test]
fn what_cannot_be_sent_is_answered_at_once() {
    let now = Now::default();
    let mut client = ZmqReq::new(now);
    let nan = Call { args: vec![Value::Float(f64::NAN)], ..call("a") };
    let seq = client.call(nan, now);
    let outputs: Vec<_> = std::iter::from_fn(|| client.poll()).collect();
    assert!(matches!(&outputs[1], ClientOutput::Reply { seq: s, outcome: Err(_) } if *s == seq));
}

/// A server's handshake, and after it its answer behind a ping, each in pieces of `cut` bytes.
fn hear_in_pieces(cut: usize) -> Vec<ClientOutput> {
    let now = Now::default();
    let mut client = ZmqReq::new(now);
    client.call(call("a"), now);
    let handshake = [&crate::proto::zmtp::greeting::ours()[..], &Side::Rep.ready()].concat();
    let answer = b"\x04\x07\x04PING\0\0\x01\0\0\x05[1.5]";
    let mut heard = Vec::new();
    for piece in handshake.chunks(cut).chain(answer.chunks(cut)) {
        client.receive(piece, now);
        heard.extend(std::iter::from_fn(|| client.poll()).filter(|o| !matches!(o, ClientOutput::Send(_))));
    }
    heard
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(cut in 1usize..80) {
        let outcome = Ok(Value::List(vec![Value::Float(1.5)]));
        prop_assert_eq!(hear_in_pieces(cut), [ClientOutput::Open, ClientOutput::Reply { seq: 1, outcome }]);
    }

    #[test]
    fn any_bytes_of_a_server_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let now = Now::default();
        let mut client = ZmqReq::new(now);
        client.call(call("a"), now);
        client.receive(&crate::proto::zmtp::greeting::ours(), now);
        client.receive(&Side::Rep.ready(), now);
        client.receive(&bytes, now);
        while client.poll().is_some() {}
    }
}
