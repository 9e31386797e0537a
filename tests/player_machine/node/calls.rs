//! Whose turn it is, what is in the record, who may do what.

use super::house::*;
use appliance::api::{CallError, Outcome};
use appliance::node::access::Access;
use appliance::node::player::{Done, Job, work};
use appliance::player::methods;
use appliance::reactor::{ConnId, Event};
use appliance::value::Value;

fn denied(outcome: Outcome) -> bool {
    outcome.is_err_and(|e| e.message.contains("changes things, which is not allowed"))
}

#[test]
fn a_dealer_speaks_to_the_bank() {
    let mut house = House::new();
    let client = house.dealer();
    assert_eq!(house.ask(client, "get_mode", &[]), Ok(Value::Null));
    assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
    assert_eq!(house.ask(client, "get_mode", &[]), Ok("MODE1".into()));
    let error = house.ask(client, "nope", &[]).expect_err("no such method");
    assert_eq!(error, CallError::key_error("nope"));
}

#[test]
fn every_interface_lists_its_methods() {
    let mut house = House::new();
    let client = house.dealer();
    let mut list = |interface: &str| {
        let seq = house.call_of(client, interface, "list_methods", &[]);
        match house.wait(client, seq) {
            Ok(Value::List(l)) => l,
            other => panic!("{other:?}"),
        }
    };
    let bank = list("bank");
    assert_eq!(
        bank.len(),
        [methods::BANK, methods::SCANS, methods::DRY, methods::MEMORY].iter().map(|m| m.len()).sum::<usize>()
    );
    assert!(bank.iter().all(|m| matches!(m, Value::List(pair) if pair.len() == 2)));
    assert_eq!(list("bank.roach"), vec![]);
    assert_eq!(list("bank.valon"), vec![]);
    assert_eq!(list("rpc").len(), 7);
    assert_eq!(list("nope"), vec!["Interface error".into(), "'nope'".into()]);
}

#[test]
fn an_order_is_in_the_record_before_it_is_carried_out() {
    let mut house = House::new();
    house.recorder_works = false;
    let client = house.dealer();
    let seq = house.call(client, "set_mode", &["MODE1".into()]);
    house.run_for(1.0);
    assert_eq!(house.entries(), ["call bank.set_mode"]);
    house.record_next();
    house.run_for(1.0);
    assert_eq!(house.entries(), ["call bank.set_mode", "plan set_mode(MODE1)"]);
    assert!(house.log.is_empty(), "the plan's entry comes before its orders: {:?}", house.log);
    house.record_now();
    assert!(house.ordered("spawn"));
    assert_eq!(house.wait(client, seq), new_mode());
    assert_eq!(house.entries(), ["call bank.set_mode", "plan set_mode(MODE1)", "reply bank.set_mode"]);
}

#[test]
fn a_recorder_that_does_not_answer_holds_nobody_for_ever() {
    let mut house = House::new();
    house.recorder_works = false;
    let client = house.dealer();
    let seq = house.call(client, "set_mode", &["MODE1".into()]);
    house.run_for(1.9);
    assert!(house.log.is_empty(), "{:?}", house.log);
    // Two seconds for the call's entry, two for the plan's.
    assert_eq!(house.wait(client, seq), new_mode());
}

#[test]
fn reads_are_not_recorded() {
    let mut house = House::new();
    let client = house.dealer();
    for method in ["get_mode", "list_modes", "player_state", "scan_status"] {
        house.ask(client, method, &[]).expect("a read");
    }
    assert!(house.record.is_empty(), "{:?}", house.entries());
}

#[test]
fn reads_are_answered_while_a_job_runs() {
    let mut house = House::new();
    house.spawns = false;
    let (worker, reader) = (house.dealer(), house.dealer());
    let job = house.call(worker, "set_mode", &["MODE1".into()]);
    assert!(house.ordered("spawn"));
    let before = house.now.mono;
    for method in ["get_mode", "list_modes", "player_state", "earliest_start", "get_status"] {
        house.ask(reader, method, &[]).expect("a read");
    }
    assert_eq!(house.now.mono, before, "at once");
    assert_eq!(house.shown("state"), "SETTING_MODE");
    assert_eq!(house.reply(worker, job), None);
    house.children_start();
    assert_eq!(house.wait(worker, job), new_mode());
}

#[test]
fn writes_are_carried_out_in_the_order_they_came() {
    let mut house = House::new();
    house.spawns = false;
    let clients: Vec<ConnId> = (0..4).map(|_| house.dealer()).collect();
    let calls = [("set_mode", vec!["MODE1".into()]), ("prepare", vec![])];
    let more = [("increment_scan_number", vec![]), ("monitor", vec![])];
    let seqs: Vec<u64> = calls
        .into_iter()
        .chain(more)
        .zip(&clients)
        .map(|((method, args), client)| house.call(*client, method, &args))
        .collect();
    house.run_for(1.0);
    assert!(seqs.iter().zip(&clients).all(|(seq, client)| house.reply(*client, *seq).is_none()));
    house.children_start();
    for (seq, client) in seqs.iter().zip(&clients) {
        house.wait(*client, *seq).expect("carried out");
    }
    let replies: Vec<_> = house.entries().into_iter().filter(|e| e.starts_with("reply")).collect();
    let want = ["set_mode", "prepare", "increment_scan_number", "monitor"].map(|m| format!("reply bank.{m}"));
    assert_eq!(replies, want);
}

#[test]
fn a_write_whose_client_has_gone_is_dropped() {
    for execute in [false, true] {
        let mut house = House::of(Plan { execute_abandoned: execute, ..Plan::default() });
        house.spawns = false;
        let (worker, leaver) = (house.dealer(), house.dealer());
        let job = house.call(worker, "set_mode", &["MODE1".into()]);
        house.call(leaver, "monitor", &[]);
        house.hang_up(leaver);
        house.children_start();
        house.wait(worker, job).expect("set");
        house.run_for(2.0);
        assert_eq!(house.ordered("child: monitor"), execute);
        assert_eq!(house.entries().contains(&"dropped ".to_owned()), !execute);
    }
}

#[test]
fn a_job_that_runs_is_finished_although_its_client_has_gone() {
    let mut house = House::new();
    house.spawns = false;
    let client = house.dealer();
    house.call(client, "set_mode", &["MODE1".into()]);
    house.hang_up(client);
    house.children_start();
    house.run_for(3.0);
    assert_eq!(house.shown("mode"), "MODE1");
}

#[test]
fn a_stop_is_carried_out_although_its_client_has_gone() {
    let (mut house, client) = House::ready();
    house.ask(client, "start", &[]).expect("started");
    house.recorder_works = false;
    house.call(client, "stop", &[]);
    house.hang_up(client);
    assert_eq!(house.shown("state"), "SCANNING", "not before it is in the record");
    house.record_now();
    assert_eq!(house.shown("state"), "READY");
    assert!(house.ordered("child: stop"));
}

#[test]
fn a_stop_does_not_wait_behind_a_start() {
    let (mut house, client) = House::ready();
    let stopper = house.dealer();
    let start = house.call(client, "start", &[]);
    house.run_for(1.0);
    assert_eq!(house.ask(stopper, "stop", &[]), Ok(Value::verdict(true, "Pending start cancelled.")));
    let error = house.wait(client, start).expect_err("cancelled");
    assert_eq!(error.message, "start(): cancelled by stop()");
}

#[test]
fn ports_and_addresses_decide_who_may_change_anything() {
    let access = Access {
        allow: vec!["10.0.0.0/8".parse().expect("a network")],
        allow_write: vec!["10.1.0.0/16".parse().expect("a network")],
        own_uid: 0,
    };
    let mut house = House::of(Plan { access, ..Plan::default() });
    assert!(house.connect(OPEN, "192.0.2.1:4").is_none(), "sent away");
    let table = [
        (OPEN, "127.0.0.1:4", true),
        (OPEN, "10.1.2.3:4", true),
        (OPEN, "10.2.2.3:4", false),
        (READ_ONLY, "127.0.0.1:4", false),
        (READ_ONLY, "10.1.2.3:4", false),
    ];
    for (port, from, may_write) in table {
        let client = house.connect(port, from).expect("may connect");
        assert_eq!(house.ask(client, "get_mode", &[]), Ok(Value::Null));
        // A dry run changes nothing: whoever may read may ask.
        assert!(!denied(house.ask(client, "prepare", &[true.into()])), "{from}");
        assert_eq!(denied(house.ask(client, "prepare", &[])), !may_write, "{from}");
        for method in ["set_scan_number", "stop"] {
            let args = if method == "stop" { vec![] } else { vec![7.into()] };
            assert_eq!(denied(house.ask(client, method, &args)), !may_write, "{from} {method}");
        }
    }
    assert!(!house.entries().iter().any(|e| e.contains("10.2")), "what is refused is no order");
}

// -------------------------------------------------------------------- bytes

/// Greeting and READY of a REQ socket: what a client sends first.
fn hello() -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    let ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ";
    bytes.extend([4, ready.len() as u8]);
    bytes.extend(ready);
    bytes
}

fn request(method: &str) -> Vec<u8> {
    let body = format!(r#"{{"name":"bank","proc":"{method}"}}"#);
    let mut bytes = vec![1, 0, 0, body.len() as u8];
    bytes.extend(body.as_bytes());
    bytes
}

/// Bodies of the messages in what the server sent after its handshake.
fn bodies(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let [flags, rest @ ..] = bytes {
        let (len, rest) = match flags & 2 {
            0 => (usize::from(rest[0]), &rest[1..]),
            _ => (u64::from_be_bytes(rest[..8].try_into().expect("eight")) as usize, &rest[8..]),
        };
        let (body, rest) = rest.split_at(len);
        if flags & 5 == 0 {
            found.push(String::from_utf8_lossy(body).into_owned());
        }
        bytes = rest;
    }
    found
}

/// A raw connection after the handshake.
fn shaken(house: &mut House) -> ConnId {
    let conn = house.raw();
    house.send(conn, &hello());
    let greeting = house.received(conn);
    assert_eq!(greeting[0], 0xff, "{greeting:?}");
    conn
}

#[test]
fn pipelined_requests_pause_the_reading_and_keep_their_order() {
    let mut house = House::new();
    house.spawns = false;
    let worker = house.dealer();
    house.call(worker, "set_mode", &["MODE1".into()]);
    let conn = shaken(&mut house);
    let mut bytes = request("increment_scan_number");
    for _ in 0..20 {
        bytes.extend(request("get_mode"));
    }
    house.send(conn, &bytes);
    assert!(house.ordered(&format!("pause {} true", conn.0)));
    assert!(house.received(conn).is_empty(), "the first one waits for the job");
    house.children_start();
    house.run_for(2.0);
    let replies = bodies(&house.received(conn));
    assert_eq!(replies.len(), 21);
    assert!(replies[1..].iter().all(|r| r == "\"MODE1\""), "{replies:?}");
    assert!(house.ordered(&format!("pause {} false", conn.0)));
}

#[test]
fn thousands_of_pipelined_requests_do_not_pile_up() {
    // Answered by the node itself, one within the other if it were careless.
    for method in ["list_methods", "nope", "get_mode"] {
        let one = request(method);
        let many = 64 * 1024 / one.len();
        let run = move || {
            let mut house = House::new();
            let conn = shaken(&mut house);
            house.send(conn, &one.repeat(many));
            bodies(&house.received(conn)).len()
        };
        // A small stack, as the depth must not depend on how many there are.
        let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(run).expect("a thread");
        assert_eq!(thread.join().expect("no panic"), many, "{method}");
    }
}

#[test]
fn any_split_of_the_bytes_gives_the_same_answers() {
    let mut bytes = hello();
    for method in ["get_mode", "list_modes", "nope", "stop", "earliest_start", "list_methods"] {
        bytes.extend(request(method));
    }
    let answers = |pieces: usize| {
        let mut house = House::new();
        let conn = house.raw();
        for piece in bytes.chunks(pieces) {
            house.send(conn, piece);
        }
        house.received(conn)
    };
    let whole = answers(bytes.len());
    assert!(bodies(&whole[64..]).len() >= 6);
    for pieces in [1, 2, 3, 7, 13, 64, 65] {
        assert_eq!(answers(pieces), whole, "in pieces of {pieces}");
    }
}

#[test]
fn a_scan_names_its_client_and_its_proof_is_on_disk() {
    let (mut house, client) = House::ready();
    house.ask(client, "start", &[Value::Null]).expect("armed");
    house.run_for(2.0);
    let proof = house.jobs.iter().find_map(|job| match job {
        Job::Role(work::Job::WriteProof(file)) => Some(file.clone()),
        _ => None,
    });
    let mut file = proof.expect("a proof is to be written");
    let content = appliance::proto::json::read(file.text.as_bytes()).expect("JSON");
    assert_eq!(content.get("client").map(Value::to_string).as_deref(), Some("tcp://127.0.0.1:50000"));
    let directory = tempfile::tempdir().expect("a directory");
    file.directory = directory.path().display().to_string();
    match work::work(work::Job::WriteProof(file)) {
        work::Done::ProofWritten { result: Ok(path), id } => {
            let text = std::fs::read_to_string(&path).expect("written");
            assert!(path.ends_with("vegas_211126_1.00.scan.json"), "{path}");
            assert!(text.contains(&id) && text.contains("\"running\""), "{text}");
            house.event(Event::Done(Ok(Done::Role(work::Done::ProofWritten { id, result: Ok(path) }))));
        }
        other => panic!("{other:?}"),
    }
    house.ask(client, "stop", &[]).expect("stopped");
    house.run_for(5.0);
    assert!(house.shown("last_scan").contains("'verdict': 'complete'"), "{}", house.shown("last_scan"));
}

#[test]
fn the_clock_is_looked_at_once_a_second_until_the_end() {
    let mut house = House::new();
    let before = house.clock_reads;
    house.run_for(10.0);
    assert_eq!(house.clock_reads - before, 10);
    house.signal(appliance::reactor::Request::Stop { count: 1 });
    house.run_for(30.0);
    assert!(house.exit.is_some());
    let after = house.clock_reads;
    house.run_for(10.0);
    assert_eq!(house.clock_reads, after);
}
