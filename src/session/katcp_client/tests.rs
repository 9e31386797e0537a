//! The link against a server played by hand.

use super::*;
use crate::units::Utc;
use proptest::prelude::*;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), utc: Utc(0) }
}

fn request(name: &str) -> Message {
    Message::new(Kind::Request, name)
}

fn drain(client: &mut KatcpClient) -> Vec<Output> {
    std::iter::from_fn(|| client.poll()).collect()
}

fn sent(outputs: &[Output]) -> String {
    let parts = outputs.iter().filter_map(|o| match o {
        Output::Send(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    parts.collect()
}

fn results(outputs: &[Output]) -> Vec<(RequestId, Result<String, RequestError>)> {
    let done = outputs.iter().filter_map(|o| match o {
        Output::Done { request, result } => Some((*request, result.clone().map(|a| a.reply.to_string()))),
        _ => None,
    });
    done.collect()
}

/// Connected at 0 ms and greeted.
fn ready(greeting: &[u8]) -> KatcpClient {
    let mut client = KatcpClient::new(Config::default());
    client.tick(at(0));
    client.connected(at(0));
    client.receive(greeting, at(0));
    assert!(matches!(client.state(), LinkState::Up(_)));
    drain(&mut client);
    client
}

fn v4() -> KatcpClient {
    ready(b"#version test\n#build-state x\n")
}

fn v5() -> KatcpClient {
    ready(b"#version-connect katcp-protocol 5.1-MIB\n")
}

#[test]
fn a_request_while_down_fails_at_once() {
    let mut client = KatcpClient::new(Config::default());
    let id = client.request(request("watchdog"), Class::Normal, at(0));
    let outputs = drain(&mut client);
    assert!(matches!(&results(&outputs)[..], [(i, Err(RequestError::NotConnected { .. }))] if *i == id));
}

#[test]
fn a_late_reply_on_v4_can_meet_nobody() {
    let mut client = v4();
    client.request(request("read"), Class::Normal, at(0));
    client.request(request("read"), Class::Normal, at(1));
    drain(&mut client);
    client.tick(at(5000));
    let outputs = drain(&mut client);
    let results = results(&outputs);
    assert!(matches!(results[0].1, Err(RequestError::Timeout { waited_ms: 5000, .. })));
    assert!(matches!(results[1].1, Err(RequestError::NotConnected { .. })));
    assert!(outputs.iter().any(|o| matches!(o, Output::Disconnect(_))));
    assert_eq!(client.state(), LinkState::Down);
    client.receive(b"!read ok late\n", at(5001));
    assert_eq!(drain(&mut client), []);
}

#[test]
fn a_late_reply_on_v5_is_dropped_and_the_link_stays() {
    let mut client = v5();
    client.request(request("read"), Class::Normal, at(0));
    client.tick(at(5000));
    assert_eq!(results(&drain(&mut client)).len(), 1);
    let second = client.request(request("read"), Class::Normal, at(5000));
    assert_eq!(sent(&drain(&mut client)), "?read[2]\n");
    client.receive(b"!read[1] ok late\n!read[2] ok mine\n", at(5001));
    assert_eq!(results(&drain(&mut client)), [(second, Ok("!read[2] ok mine".into()))]);
    assert_eq!(client.counters().late_replies, 1);
}

#[test]
fn v5_replies_may_come_out_of_order() {
    let mut client = v5();
    let a = client.request(request("read"), Class::Normal, at(0));
    let b = client.request(request("write"), Class::Normal, at(0));
    client.receive(b"!write[2] ok\n!read[1] ok\n", at(1));
    let ids: Vec<_> = results(&drain(&mut client)).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [b, a]);
}

#[test]
fn a_wrong_name_on_v4_fails_everything_and_reconnects() {
    let mut client = v4();
    client.request(request("read"), Class::Normal, at(0));
    client.request(request("write"), Class::Normal, at(0));
    client.receive(b"!write ok\n", at(1));
    let outputs = drain(&mut client);
    assert!(results(&outputs).iter().all(|(_, r)| matches!(r, Err(RequestError::Protocol(_)))));
    assert_eq!(results(&outputs).len(), 2);
    assert!(outputs.iter().any(|o| matches!(o, Output::Disconnect(_))));
}

#[test]
fn silence_while_negotiating_means_v4() {
    let mut client = KatcpClient::new(Config::default());
    client.tick(at(0));
    let id = client.request(request("status"), Class::Normal, at(0));
    client.connected(at(10));
    assert_eq!(sent(&drain(&mut client)), "");
    assert_eq!(client.deadline(), Some(at(1010).mono));
    client.tick(at(1010));
    let outputs = drain(&mut client);
    assert_eq!(sent(&outputs), "?status\n");
    assert!(outputs.contains(&Output::StateChanged(LinkState::Up(Protocol::V4))));
    client.receive(b"#fpga ready\n!status ok\n", at(1011));
    let outputs = drain(&mut client);
    assert_eq!(results(&outputs), [(id, Ok("!status ok".into()))]);
    assert!(outputs.iter().any(|o| matches!(o, Output::Inform(m) if m.name == "fpga")));
}

#[test]
fn other_major_versions_are_refused() {
    let mut client = KatcpClient::new(Config::default());
    client.tick(at(0));
    client.connected(at(0));
    client.receive(b"#version-connect katcp-protocol 6.0-MI\n", at(0));
    assert_eq!(client.state(), LinkState::Down);
}

#[test]
fn error_logs_belong_to_the_reply_they_precede() {
    let mut client = v4();
    client.request(request("read"), Class::Normal, at(0));
    client.request(request("read"), Class::Normal, at(0));
    client.receive(b"#log info 1 raw chatter\n#log error 1 raw no\\_such\n!read fail\n!read ok x\n", at(1));
    let logs: Vec<Vec<String>> = drain(&mut client)
        .into_iter()
        .filter_map(|o| match o {
            Output::Done { result: Ok(answer), .. } => Some(answer.log),
            _ => None,
        })
        .collect();
    assert_eq!(logs, [vec!["no such".to_owned()], vec![]]);
}

#[test]
fn only_the_head_is_on_the_clock_on_v4() {
    let mut client = v4();
    client.request(request("progdev"), Class::Program, at(0));
    client.request(request("read"), Class::Normal, at(0));
    client.tick(at(20_000));
    assert_eq!(client.state(), LinkState::Up(Protocol::V4));
    client.receive(b"!progdev ok\n", at(20_000));
    assert_eq!(client.deadline(), Some(at(25_000).mono));
}

#[test]
fn two_missed_watchdogs_end_a_v5_link() {
    let mut client = v5();
    assert_eq!(client.deadline(), Some(at(15_000).mono));
    client.tick(at(15_000));
    assert_eq!(sent(&drain(&mut client)), "?watchdog[1]\n");
    client.tick(at(20_000));
    assert_eq!(sent(&drain(&mut client)), "?watchdog[2]\n");
    client.tick(at(25_000));
    assert_eq!(client.state(), LinkState::Down);
}

#[test]
fn the_window_bounds_what_is_on_the_wire() {
    let mut client = v4();
    for _ in 0..1500 {
        client.request(request("watchdog"), Class::Normal, at(0));
    }
    assert_eq!(sent(&drain(&mut client)).lines().count(), 1024);
    client.receive(&b"!watchdog ok\n".repeat(100), at(1));
    assert_eq!(sent(&drain(&mut client)).lines().count(), 100);
}

#[test]
fn pauses_double_with_bounded_jitter_and_repeat_from_the_seed() {
    let pauses = |seed| {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), seed);
        (0..10).map(|_| backoff.next_pause().as_secs_f64()).collect::<Vec<_>>()
    };
    assert_eq!(pauses(7), pauses(7));
    for (n, pause) in pauses(7).into_iter().enumerate() {
        let base = (0.5 * f64::from(1u32 << n)).min(30.0);
        assert!(pause >= base * 0.8 && pause <= base * 1.2, "{n}: {pause}");
    }
}

proptest! {
    /// Whatever is answered, given up or answered late: a request gets the reply to its own argument.
    #[test]
    fn a_reply_is_never_given_to_another_request(steps in proptest::collection::vec(0u8..4, 1..80)) {
        let mut client = v5();
        let (mut clock, mut wire, mut asked) = (0u64, Vec::<Message>::new(), Vec::<(RequestId, String)>::new());
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                0 | 1 => {
                    let id = client.request(request("read").arg(n.to_string()), Class::Normal, at(clock));
                    asked.push((id, n.to_string()));
                }
                2 if !wire.is_empty() => {
                    let q = wire.remove(n % wire.len());
                    let reply = Message { kind: Kind::Reply, ..q };
                    client.receive(&reply.to_bytes(), at(clock));
                }
                _ => {
                    clock += 3000;
                    client.tick(at(clock));
                }
            }
            let outputs = drain(&mut client);
            for line in sent(&outputs).lines() {
                let parsed = Message::parse(line.as_bytes(), Dialect::STRICT).expect("ours").expect("not blank");
                if parsed.name == "read" { wire.push(parsed); }
            }
            for output in outputs {
                if let Output::Done { request, result: Ok(answer) } = output {
                    let expected = &asked.iter().find(|(id, _)| *id == request).expect("asked").1;
                    prop_assert_eq!(&answer.reply.text(0), expected);
                }
            }
        }
    }
}
