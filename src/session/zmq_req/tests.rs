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

/// A server of ZMTP 2.0 (libzmq 3.2): signature, revision, socket type REP, an identity, and no commands.
const OLD_REP: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x01\x04\0\0";
/// What it is to hear: signature, revision, socket type REQ, an identity.
const TO_OLD_REP: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x03\0\0";

/// What the client sends, and what it says, when it hears these bytes.
fn exchange(client: &mut ZmqReq, bytes: &[u8]) -> (Vec<u8>, Vec<ClientOutput>) {
    client.receive(bytes, Now::default());
    let (mut sent, mut said) = (Vec::new(), Vec::new());
    while let Some(output) = client.poll() {
        match output {
            ClientOutput::Send(bytes) => sent.extend(bytes),
            other => said.push(other),
        }
    }
    (sent, said)
}

#[test]
fn a_server_of_zmtp_2_is_called_in_its_own_way() {
    let mut client = ZmqReq::new(Now::default());
    assert_eq!(exchange(&mut client, b"").0, TO_OLD_REP[..10]);
    assert_eq!(exchange(&mut client, &OLD_REP[..10]).0, [3]);
    assert_eq!(exchange(&mut client, &OLD_REP[10..11]).0, b"", "no more of ZMTP 3");
    assert_eq!(exchange(&mut client, &OLD_REP[11..12]).0, TO_OLD_REP[11..]);
    assert_eq!(exchange(&mut client, &OLD_REP[12..]), (vec![], vec![ClientOutput::Open]));
    client.call(call("a"), Now::default());
    let (sent, _) = exchange(&mut client, b"");
    assert!(sent.starts_with(b"\x01\0\0") && sent.ends_with(b"}"), "{}", sent.escape_ascii());
    let outcome = Ok(Value::Int(5));
    assert_eq!(exchange(&mut client, b"\x01\0\0\x015").1, [ClientOutput::Reply { seq: 1, outcome }]);
    let quiet = Now { mono: Mono(3_600_000_000_000), ..Now::default() };
    client.tick(quiet);
    assert_eq!(exchange(&mut client, b""), (vec![], vec![]), "it cannot be asked whether it is there");
}

#[test]
fn only_servers_are_called_over_zmtp_2() {
    for socket_type in [0, 1, 2, 3, 5, 7, 8, 255] {
        let mut client = ZmqReq::new(Now::default());
        let (_, said) = exchange(&mut client, &[&OLD_REP[..11], &[socket_type, 0, 0]].concat());
        let number = format!("number {socket_type} socket");
        assert!(matches!(said.last(), Some(ClientOutput::Close(why)) if why.contains(&number)), "{said:?}");
    }
}

/// A server's handshake, and after it its answer, behind a ping if it knows any, each in pieces of `cut` bytes.
fn hear_in_pieces(cut: usize, old: bool) -> Vec<ClientOutput> {
    let now = Now::default();
    let mut client = ZmqReq::new(now);
    client.call(call("a"), now);
    let handshake = [&crate::proto::zmtp::greeting::ours()[..], &Side::Rep.ready()].concat();
    let ping = b"\x04\x07\x04PING\0\0".as_slice();
    let (handshake, ping) = if old { (OLD_REP.to_vec(), &b""[..]) } else { (handshake, ping) };
    let answer = [ping, b"\x01\0\0\x05[1.5]"].concat();
    let mut heard = Vec::new();
    for piece in handshake.chunks(cut).chain(answer.chunks(cut)) {
        client.receive(piece, now);
        heard.extend(std::iter::from_fn(|| client.poll()).filter(|o| !matches!(o, ClientOutput::Send(_))));
    }
    heard
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(cut in 1usize..80, old: bool) {
        let outcome = Ok(Value::List(vec![Value::Float(1.5)]));
        prop_assert_eq!(hear_in_pieces(cut, old), [ClientOutput::Open, ClientOutput::Reply { seq: 1, outcome }]);
    }

    #[test]
    fn any_bytes_of_an_old_server_do_not_panic(skip in 0usize..3, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut client = ZmqReq::new(Now::default());
        client.call(call("a"), Now::default());
        exchange(&mut client, &[&OLD_REP[..OLD_REP.len() - skip], &bytes].concat());
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
