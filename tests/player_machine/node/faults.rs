//! The recorder, the workers, signals, and what the node does without what it needs.

use super::house::*;
use crate::world::dibas;
use appliance::api::{CallError, Outcome};
use appliance::node::player::work::{Done, Job};
use appliance::node::work;
use appliance::reactor::{Event, Request};
use appliance::value::Value;

fn shutting_down() -> Outcome {
    Err(CallError::exception("the player is shutting down"))
}

#[test]
fn a_record_that_cannot_be_written_stops_nobody() {
    let mut house = House::new();
    house.record_error = Some("record.jsonl: No space left on device".into());
    let client = house.dealer();
    assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
    house.record_error = None;
    house.ask(client, "prepare", &[]).expect("prepared");
}

#[test]
fn a_recorder_that_panics_stops_nobody() {
    let mut house = House::new();
    house.recorder_works = false;
    let (client, stopper) = (house.dealer(), house.dealer());
    let seq = house.call(client, "set_mode", &["MODE1".into()]);
    let stop = house.call(stopper, "stop", &[]);
    house.worker_panics();
    assert!(house.reply(stopper, stop).is_some(), "its own entry may be the lost one");
    house.recorder_works = true;
    assert_eq!(house.wait(client, seq), new_mode());
}

#[test]
fn a_configuration_is_read_again_by_call() {
    let (mut house, client) = House::ready();
    let seq = house.call(client, "read_config_file", &[]);
    assert!(matches!(house.jobs.pop_front(), Some(work::Job::Role(Job::ReadConfig { ticket: Some(_), .. }))));
    let ticket = Some(appliance::player::bank::Ticket(2));
    let mut conf = dibas();
    conf.modes.truncate(1);
    house.event(Event::Done(Ok(work::Done::Role(Done::ConfigRead { ticket, result: Ok(Box::new(conf)) }))));
    assert_eq!(house.wait(client, seq), Ok("config file loaded.".into()));
    assert_eq!(house.ask(client, "list_modes", &[]), Ok(Value::List(vec!["MODE1".into()])));
    assert_eq!(house.entries().last().map(String::as_str), Some("reply bank.read_config_file"));
}

#[test]
fn a_reader_of_the_configuration_that_panics_is_an_error_to_who_asked() {
    let (mut house, client) = House::ready();
    let seq = house.call(client, "read_config_file", &[]);
    house.worker_panics();
    let error = house.wait(client, seq).expect_err("not read");
    assert!(error.message.contains("index out of bounds"), "{error}");
    house.ask(client, "prepare", &[]).expect("the others go on");
}

/// A start is answered when its state is saved, so that a restart would know of it.
#[test]
fn a_lost_reading_of_the_configuration_is_no_saved_state() {
    let mut house = House::of(Plan { saves: true, ..Plan::default() });
    let (client, other) = (house.dealer(), house.dealer());
    house.ask(client, "set_mode", &["MODE1".into()]).expect("set");
    let start = house.call(client, "start", &[]);
    let reading = house.call(other, "read_config_file", &[]);
    while house.shown("state") != "SCANNING" {
        house.run_for(0.5);
    }
    assert_eq!(house.reply(client, start), None, "its state is on its way to the file");
    assert_eq!(house.worker_panics_over(|j| matches!(j, work::Job::Role(Job::ReadConfig { .. }))), 1);
    assert!(house.reply(other, reading).is_some_and(|outcome| outcome.is_err()));
    assert_eq!(house.reply(client, start), None, "another job was lost");
    let saves = house.worker_panics_over(|j| matches!(j, work::Job::Role(Job::Save { .. })));
    assert!(saves > 0);
    assert!(house.reply(client, start).is_some_and(|outcome| outcome.is_ok()), "no more is to be waited for");
}

#[test]
fn a_lost_entry_of_the_record_stops_nobody_and_a_lost_proof_is_said() {
    let (mut house, client) = House::ready();
    house.ask(client, "start", &[]).expect("started");
    house.run_for(3.0);
    assert!(house.worker_panics_over(|j| matches!(j, work::Job::Role(Job::WriteProof(_)))) > 0);
    let error = house.shown("last_error");
    assert!(error.contains("the proof of a scan is not on disk: index out of bounds"), "{error}");
}

#[test]
fn sighup_reads_the_configuration_again() {
    let (mut house, client) = House::ready();
    house.signal(Request::Reload);
    assert!(matches!(house.jobs.pop_front(), Some(work::Job::Role(Job::ReadConfig { ticket: None, .. }))));
    let broken = Err("dibas.conf:3: nonsense".to_owned());
    house.event(Event::Done(Ok(work::Done::Role(Done::ConfigRead { ticket: None, result: broken }))));
    assert!(
        matches!(house.ask(client, "list_modes", &[]), Ok(Value::List(l)) if l.len() == dibas().modes.len()),
        "as it was"
    );
    house.signal(Request::Reload);
    house.jobs.clear();
    let mut conf = dibas();
    conf.modes.truncate(2);
    house.event(Event::Done(Ok(work::Done::Role(Done::ConfigRead {
        ticket: None,
        result: Ok(Box::new(conf)),
    }))));
    assert!(matches!(house.ask(client, "list_modes", &[]), Ok(Value::List(l)) if l.len() == 2));
    assert_eq!(house.ask(client, "get_mode", &[]), Ok("MODE1".into()));
}

#[test]
fn sighup_looks_new_host_names_up() {
    let mut house = House::of(Plan { resolve_elsewhere: true, ..Plan::default() });
    house.jobs.clear();
    let mut conf = dibas();
    let entry = appliance::config::dibas::HpcMac { host: "newcomer".into(), mac: 1, line: 1 };
    conf.hpc_macs.push(entry);
    house.event(Event::Done(Ok(work::Done::Role(Done::ConfigRead {
        ticket: None,
        result: Ok(Box::new(conf)),
    }))));
    let asked = house.jobs.pop_front();
    assert!(
        matches!(&asked, Some(work::Job::Role(Job::Resolve { hosts })) if hosts.contains(&"newcomer".into())),
        "{asked:?}"
    );
}

#[test]
fn sigterm_ends_with_everybody_answered() {
    let mut house = House::new();
    house.spawns = false;
    let (worker, waiter) = (house.dealer(), house.dealer());
    let job = house.call(worker, "set_mode", &["MODE1".into()]);
    let waiting = house.call(waiter, "prepare", &[]);
    house.signal(Request::Stop { count: 1 });
    assert_eq!(house.exit, None, "the program is on its way up");
    house.children_start();
    assert_eq!(house.exit, Some(0));
    assert_eq!(house.reply(worker, job), Some(shutting_down()));
    assert_eq!(house.reply(waiter, waiting), Some(shutting_down()));
    assert!(house.ordered("child: quit"));
    house.signal(Request::Stop { count: 2 });
}

#[test]
fn sigterm_ends_a_scan_and_its_program() {
    let (mut house, client) = House::ready();
    house.ask(client, "start", &[]).expect("started");
    house.signal(Request::Stop { count: 1 });
    assert_eq!(house.exit, Some(0));
    let lines: Vec<_> = house.log.iter().filter(|l| l.starts_with("child: ")).collect();
    assert_eq!(lines, ["child: START", "child: stop", "child: quit"]);
}

#[test]
fn sigterm_at_rest_ends_at_once_and_nothing_begins_any_more() {
    let mut house = House::new();
    let client = house.dealer();
    house.signal(Request::Stop { count: 1 });
    assert_eq!(house.exit, Some(0));
    let seq = house.call(client, "set_mode", &["MODE1".into()]);
    assert_eq!(house.reply(client, seq), Some(shutting_down()));
    assert!(!house.ordered("spawn"));
}

#[test]
fn without_status_memory_what_needs_it_says_so() {
    let mut house = House::of(Plan { status: false, ..Plan::default() });
    let client = house.dealer();
    let error = house.ask(client, "set_mode", &["MODE1".into()]).expect_err("no memory");
    assert!(error.message.contains("MODE1 failed at backend"), "{error}");
    assert!(error.message.contains("no status memory here"), "{error}");
    assert_eq!(house.ask(client, "get_mode", &[]), Ok(Value::Null));
}

#[test]
fn a_port_that_is_taken_ends_the_node() {
    let mut house = House::new();
    let tag = appliance::reactor::Tag(100);
    let address = appliance::reactor::Address::Tcp("127.0.0.1:6667".parse().expect("an address"));
    house.event(Event::ListenFailed { tag, address, error: "address in use".into() });
    assert_eq!(house.exit, Some(1));
}

#[test]
fn a_board_that_cannot_be_reached_is_tried_again() {
    let mut house = House::of(Plan { board: true, ..Plan::default() });
    assert!(house.ordered("connect"));
    let tag = appliance::reactor::Tag(20);
    house.event(Event::ConnectFailed { tag, error: "connection refused".into() });
    assert_eq!(house.shown("roach"), "down: 127.0.0.1:7147: connection refused");
    let client = house.dealer();
    let error = house.ask(client, "set_mode", &["MODE1".into()]).expect_err("no board");
    assert!(error.message.contains("connection refused"), "{error}");
    house.log.clear();
    house.run_for(60.0);
    assert!(house.ordered("connect"));
}

#[test]
fn a_resolver_that_panics_does_not_end_the_search_for_the_board() {
    let mut house = House::of(Plan { board: true, board_host: "roach-b", ..Plan::default() });
    assert!(matches!(house.worker_panics(), work::Job::Role(Job::ResolveBoard { .. })));
    assert!(house.shown("roach").contains("roach-b"), "{}", house.shown("roach"));
    house.run_for(60.0);
    let again = house.jobs.iter().any(|j| matches!(j, work::Job::Role(Job::ResolveBoard { .. })));
    assert!(again, "it is looked up again");
}

#[test]
fn a_resolver_that_panics_does_not_hold_up_a_mode_change_for_ever() {
    let mut house = House::of(Plan { resolve_elsewhere: true, ..Plan::default() });
    assert!(matches!(house.worker_panics(), work::Job::Role(Job::Resolve { .. })));
    let client = house.dealer();
    assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
}
