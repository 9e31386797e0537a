use super::*;
use crate::proto::rpc_frame::{self, Frame};
use crate::session::client::{Client, ClientOutput};
use crate::session::rpc_client::RpcClient;
use proptest::prelude::*;

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000_000), ..Now::default() }
}

fn me() -> Hello {
    Hello::of("player", "node1")
}

fn frame(kind: Kind, correlation: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame { kind, correlation, body }.push(&mut out);
    out
}

fn request_with(correlation: u32, method: &str, args: Vec<Value>, deadline_ms: u32) -> Vec<u8> {
    let interface = if method == "subscribe" { "rpc" } else { "bank" };
    let request =
        RequestBody { interface: interface.into(), method: method.into(), args, kwargs: vec![], deadline_ms };
    frame(Kind::Request, correlation, &body::encode(&request))
}

fn request(correlation: u32, method: &str) -> Vec<u8> {
    request_with(correlation, method, vec![], 0)
}

fn call(method: &str) -> Call {
    Call { interface: "bank".into(), method: method.into(), args: vec![], kwargs: vec![] }
}

fn drain(s: &mut RpcServer) -> (Vec<u8>, Vec<ServerOutput>) {
    let (mut sent, mut orders) = (Vec::new(), Vec::new());
    while let Some(output) = s.poll() {
        match output {
            ServerOutput::Send(bytes) => sent.extend(bytes),
            other => orders.push(other),
        }
    }
    (sent, orders)
}

fn give(s: &mut RpcServer, bytes: &[u8]) -> (Vec<u8>, Vec<ServerOutput>) {
    s.receive(bytes, at(0));
    drain(s)
}

fn open() -> RpcServer {
    let mut s = RpcServer::new(&me(), at(0));
    let (sent, orders) = give(&mut s, &frame(Kind::Hello, 0, &Hello::of("client", "x").encode()));
    assert_eq!((sent, orders), (frame(Kind::Hello, 0, &me().encode()), vec![]));
    s
}

fn asked(seq: u64, call: Call) -> ServerOutput {
    let terms = Terms { who: "x".into(), ..Terms::default() };
    ServerOutput::Call { seq, call, terms }
}

fn assert_closed(orders: &[ServerOutput]) {
    assert!(matches!(orders.last(), Some(ServerOutput::Close(_))), "{orders:?}");
}

#[test]
fn replies_leave_in_the_order_they_are_given() {
    let mut s = open();
    let (_, orders) = give(&mut s, &[request(7, "a"), request(8, "b"), request(9, "list_methods")].concat());
    assert_eq!(
        orders,
        [
            asked(1, call("a")),
            asked(2, call("b")),
            ServerOutput::ListMethods { seq: 3, interface: "bank".into() },
        ]
    );
    s.reply(2, Ok(Value::Null), at(0));
    s.reply(1, Err(CallError::key_error("a")), at(0));
    let error = ErrorBody { class: "KeyError".into(), family: "invalid".into(), message: "'a'".into() };
    let want = [frame(Kind::Reply, 8, &[0]), frame(Kind::Error, 7, &body::encode(&error))].concat();
    assert_eq!(drain(&mut s), (want, vec![]));
}

#[test]
fn cancel_names_the_call_and_may_come_too_late() {
    let mut s = open();
    let (_, orders) = give(&mut s, &[request(7, "a"), frame(Kind::Cancel, 7, &[])].concat());
    assert_eq!(orders[1], ServerOutput::Cancel { seq: 1 });
    s.reply(1, Ok(Value::Null), at(0));
    drain(&mut s);
    assert_eq!(give(&mut s, &frame(Kind::Cancel, 7, &[])), (vec![], vec![]));
}

#[test]
fn a_callers_deadline_answers_and_withdraws() {
    let mut s = open();
    give(&mut s, &request_with(7, "a", vec![], 2000));
    assert_eq!(s.deadline(), Some(at(2).mono));
    s.tick(at(2));
    let (sent, orders) = drain(&mut s);
    assert_eq!(orders, [ServerOutput::Cancel { seq: 1 }]);
    let answer = rpc_frame::read(&sent, REPLY_MAX).expect("a frame").expect("complete");
    let error = body::decode_error(answer.body).expect("an error");
    assert_eq!((answer.correlation, error.family.as_str()), (7, "timeout"));
    s.reply(1, Ok(Value::Null), at(3));
    assert_eq!(drain(&mut s), (vec![], vec![]));
}

#[test]
fn thirty_two_in_flight_then_reading_stops() {
    let mut s = open();
    let all: Vec<u8> = (0..40).flat_map(|c| request(c, "a")).collect();
    let (_, orders) = give(&mut s, &all);
    assert_eq!(orders.len(), CALLS_MAX + 1);
    assert_eq!(orders[CALLS_MAX], ServerOutput::PauseReading(true));
    for seq in 1..=9 {
        s.reply(seq, Ok(Value::Null), at(0));
    }
    let (_, orders) = drain(&mut s);
    let calls = orders.iter().filter(|o| matches!(o, ServerOutput::Call { .. })).count();
    assert_eq!((calls, orders.last()), (8, Some(&ServerOutput::PauseReading(false))));
}

#[test]
fn events_go_to_subscribers_and_the_oldest_are_dropped() {
    let mut s = open();
    s.publish("scan", &Value::Int(0), at(0));
    let (sent, orders) = give(&mut s, &request_with(7, "subscribe", vec!["scan".into()], 0));
    assert_eq!(
        (sent, orders),
        (frame(Kind::Reply, 7, &[0]), vec![ServerOutput::Subscribe { topic: "scan".into() }])
    );
    s.publish("other", &Value::Int(0), at(0));
    s.set_congested(true, at(0));
    for i in 0..EVENTS_MAX as i64 + 3 {
        s.publish("scan", &Value::Int(i), at(0));
    }
    assert_eq!(drain(&mut s), (vec![], vec![]));
    s.set_congested(false, at(0));
    let (sent, _) = drain(&mut s);
    let first = rpc_frame::read(&sent, REPLY_MAX).expect("a frame").expect("complete");
    let event = body::decode_event(first.body).expect("an event");
    assert_eq!(event, EventBody { topic: "scan".into(), lost: 3, body: Value::Int(3) });
}

#[test]
fn broken_rules_are_told_and_close() {
    let request_twice = [request(7, "a"), request(7, "a")].concat();
    for bytes in [
        frame(Kind::Reply, 1, &[0]),
        frame(Kind::Hello, 0, &me().encode()),
        frame(Kind::Request, 1, b"\x04ba"),
        frame(Kind::Ping, 0, &[0; 65]),
        request_twice,
        vec![0xFF; 4],
        vec![0; 4],
    ] {
        let mut s = open();
        let (sent, orders) = give(&mut s, &bytes);
        assert_closed(&orders);
        let last = rpc_frame::read(&sent, REPLY_MAX).expect("a frame").expect("complete");
        assert_eq!(last.kind, Kind::GoAway);
        assert_eq!(give(&mut s, &bytes), (vec![], vec![]));
    }
}

#[test]
fn before_the_hello_only_a_hello() {
    for bytes in [
        request(1, "a"),
        frame(Kind::Hello, 0, b"HTTP"),
        frame(Kind::Hello, 0, &[0; 5000]),
        b"GET / HTTP/1.1".to_vec(),
    ] {
        let mut s = RpcServer::new(&me(), at(0));
        assert_closed(&give(&mut s, &bytes).1);
    }
    let mut s = RpcServer::new(&me(), at(0));
    s.tick(at(30));
    assert_closed(&drain(&mut s).1);
}

#[test]
fn pings_both_ways() {
    let mut s = open();
    assert_eq!(give(&mut s, &frame(Kind::Ping, 5, b"x")).0, frame(Kind::Pong, 5, b"x"));
    s.tick(at(10));
    assert_eq!(drain(&mut s).0, frame(Kind::Ping, 0, b""));
    s.tick(at(30));
    assert_closed(&drain(&mut s).1);
}

#[test]
fn a_farewell_closes() {
    let mut s = open();
    let (sent, orders) = give(&mut s, &frame(Kind::GoAway, 0, &body::encode(&"done")));
    assert_eq!((sent, orders), (vec![], vec![ServerOutput::Close("peer closes: done".into())]));
    let mut s = open();
    s.go_away("restart", at(0));
    let (sent, orders) = drain(&mut s);
    assert_eq!(sent, frame(Kind::GoAway, 0, &body::encode(&"restart")));
    assert_closed(&orders);
}

/// Client and server until both are quiet; the server echoes the method's name, refuses `fail`, and answers the
/// latest call first.
fn settle(client: &mut RpcClient, server: &mut RpcServer) -> Vec<ClientOutput> {
    let (mut heard, mut calls) = (Vec::new(), Vec::new());
    loop {
        let mut quiet = true;
        while let Some(output) = client.poll() {
            quiet = false;
            match output {
                ClientOutput::Send(bytes) => server.receive(&bytes, at(0)),
                other => heard.push(other),
            }
        }
        while let Some(output) = server.poll() {
            quiet = false;
            match output {
                ServerOutput::Send(bytes) => client.receive(&bytes, at(0)),
                ServerOutput::Call { seq, call, .. } => calls.push((seq, call)),
                ServerOutput::Cancel { seq } => {
                    server.reply(seq, Err(CallError::exception("cancelled")), at(0))
                }
                _ => {}
            }
        }
        match calls.pop() {
            Some((seq, call)) if call.method == "fail" => {
                server.reply(seq, Err(CallError::new(ErrorClass::KeyError, Family::Peer, "no")), at(0));
            }
            Some((seq, call)) => server.reply(seq, Ok(call.method.into()), at(0)),
            None if quiet => return heard,
            None => {}
        }
    }
}

#[test]
fn client_and_server_with_answers_out_of_order() {
    let (mut client, mut server) =
        (RpcClient::new(&Hello::of("client", "x"), at(0)), RpcServer::new(&me(), at(0)));
    for method in ["a", "fail", "c"] {
        client.call(call(method), at(0));
    }
    let heard = settle(&mut client, &mut server);
    let reply = |seq, outcome| ClientOutput::Reply { seq, outcome };
    let no = CallError::new(ErrorClass::KeyError, Family::Peer, "no");
    assert_eq!(
        heard,
        [ClientOutput::Open, reply(3, Ok("c".into())), reply(2, Err(no)), reply(1, Ok("a".into()))]
    );
    assert_eq!((client.peer(), server.peer().role.as_str()), (&me(), "client"));
}

#[test]
fn a_lost_server_answers_every_call() {
    let mut client = RpcClient::new(&me(), at(0));
    client.call(call("a"), at(0));
    client.tick(at(30));
    let outputs: Vec<_> = std::iter::from_fn(|| client.poll()).collect();
    assert!(matches!(outputs[1], ClientOutput::Reply { seq: 1, outcome: Err(_) }), "{outputs:?}");
    assert!(matches!(outputs[2], ClientOutput::Close(_)));
}

#[test]
fn cancelled_before_and_after_sending() {
    let mut client = RpcClient::new(&me(), at(0));
    let early = client.call(call("a"), at(0));
    client.cancel(early, at(0));
    let outputs: Vec<_> = std::iter::from_fn(|| client.poll()).collect();
    assert!(matches!(&outputs[1], ClientOutput::Reply { outcome: Err(e), .. } if e.message == "cancelled"));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_calls(cuts in proptest::collection::vec(1usize..30, 1..60)) {
        let mut stream = frame(Kind::Hello, 0, &me().encode());
        for c in 0..20 {
            stream.extend(request(c, "a"));
            stream.extend(frame(Kind::Ping, c, b"x"));
        }
        let whole = give(&mut RpcServer::new(&me(), at(0)), &stream);
        let mut s = RpcServer::new(&me(), at(0));
        let (mut sent, mut orders) = (Vec::new(), Vec::new());
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            let (more_sent, more_orders) = give(&mut s, piece);
            sent.extend(more_sent);
            orders.extend(more_orders);
            rest = after;
        }
        prop_assert_eq!((sent, orders), whole);
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        give(&mut open(), &bytes);
    }
}

/// The hex of `docs/rpc.md`, as (client sends, server answers) in order.
fn documented_exchange() -> Vec<(u8, Vec<u8>)> {
    let text = include_str!("../../../docs/rpc.md");
    let example = text.split("## Example").nth(1).expect("the example's section");
    let block = example.split("```").nth(1).expect("the example's block");
    let mut frames: Vec<(u8, Vec<u8>)> = Vec::new();
    for line in block.lines().filter(|l| !l.trim().is_empty()) {
        if line[1..].starts_with("> ") {
            frames.push((line.as_bytes()[0], Vec::new()));
        }
        // Hex ends where the comment begins: at the first run of three spaces after it.
        let hex = line[3..].split("   ").next().expect("split gives one piece at least");
        let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes = digits.chunks(2).map(|pair| {
            u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap_or_else(|e| panic!("{hex}: {e}"))
        });
        frames.last_mut().expect("the block begins with a side").1.extend(bytes);
    }
    frames
}

#[test]
fn the_documented_exchange_byte_for_byte() {
    let toy = |role: &str, node: &str| Hello { software: "toy".into(), ..Hello::of(role, node) };
    let mut client = RpcClient::new(&toy("client", ""), at(0));
    let mut server = RpcServer::new(&toy("player", "north"), at(0));
    let add = Call { args: vec![Value::Int(2)], kwargs: vec![("y".into(), Value::Int(3))], ..call("add") };
    let frames = documented_exchange();
    let sides: Vec<u8> = frames.iter().map(|(side, _)| *side).collect();
    assert_eq!(sides, b"CSCSCSCSC");

    let sent_by = |client: &mut RpcClient| -> Vec<u8> {
        let outputs = std::iter::from_fn(|| client.poll());
        outputs.flat_map(|o| if let ClientOutput::Send(bytes) = o { bytes } else { vec![] }).collect()
    };
    // Hellos, then the two calls one after the other.
    assert_eq!(sent_by(&mut client), frames[0].1);
    assert_eq!(give(&mut server, &frames[0].1).0, frames[1].1);
    client.receive(&frames[1].1, at(0));
    client.call(add, at(0));
    assert_eq!(sent_by(&mut client), frames[2].1);
    give(&mut server, &frames[2].1);
    server.reply(1, Ok(Value::Int(5)), at(0));
    assert_eq!(drain(&mut server).0, frames[3].1);
    client.receive(&frames[3].1, at(0));
    client.call(call("nope"), at(0));
    assert_eq!(sent_by(&mut client), frames[4].1);
    give(&mut server, &frames[4].1);
    server.reply(2, Err(CallError::key_error("nope")), at(0));
    assert_eq!(drain(&mut server).0, frames[5].1);
    // Ping and farewell.
    assert_eq!(give(&mut server, &frames[6].1).0, frames[7].1);
    let (sent, orders) = give(&mut server, &frames[8].1);
    assert_eq!((sent, orders), (vec![], vec![ServerOutput::Close("peer closes: bye".into())]));
}
