//! The archon node as the loop drives it, with simulated controllers, on a clock of its own.

mod house;

use appliance::reactor::Request;
use appliance::value::Value;
use house::House;
use std::time::Duration;

const SP1: usize = 0;
const SP2: usize = 1;
/// A moment: commands and their replies have passed.
const MOMENT: Duration = Duration::from_millis(300);

fn of(controller: &str) -> [(&'static str, Value); 1] {
    [("controller", controller.into())]
}

#[test]
fn nothing_is_written_without_an_order() {
    let mut house = House::new();
    house.run_for(Duration::from_secs(60));
    assert!(house.sent.is_empty() && house.record.is_empty(), "{:?} {:?}", house.sent, house.record);
    assert!(house.connected(SP1) && house.connected(SP2));
}

#[test]
fn a_procedure_leaves_when_it_is_in_the_record_and_the_other_controller_does_not_wait() {
    let (mut house, client) = House::ready();
    house.records_procedures = false;
    let reset = house.call(client, "archon.sp1", "reset", &[]);
    house.run_for(MOMENT);
    assert!(house.taken(SP1).is_empty(), "before its entry is written");
    assert_eq!(house.procedures.len(), 1);
    // Questions are answered meanwhile.
    let status = house.call(client, "archon.sp1", "status", &[]);
    house.run_for(MOMENT);
    assert!(house.reply(client, status).is_some_and(|r| r.is_ok()));
    house.record_next();
    house.run_for(MOMENT);
    let sent = house.taken(SP1);
    assert_eq!(sent.first().map(String::as_str), Some("HOLDTIMING"), "{sent:?}");
    assert_eq!(house.taken(SP2), [] as [String; 0]);
    house.wait(client, reset).expect("reset");
    let entries: Vec<Value> = house
        .record
        .iter()
        .map(|l| appliance::proto::json::read(l.trim_end().as_bytes()).expect("JSON"))
        .collect();
    let plan = entries.iter().find(|e| e.get("kind") == Some(&"plan".into())).expect("its entry");
    assert_eq!(plan.get("controller"), Some(&"sp1".into()), "{plan}");
}

#[test]
fn a_record_that_is_not_written_ends_the_wait_after_two_seconds() {
    let (mut house, client) = House::ready();
    house.records_procedures = false;
    let reset = house.call(client, "archon.sp1", "reset", &[]);
    house.run_for(Duration::from_millis(1900));
    assert!(house.taken(SP1).is_empty());
    house.run_for(Duration::from_millis(200));
    assert!(!house.taken(SP1).is_empty());
    house.wait(client, reset).expect("reset");
}

#[test]
fn what_waits_for_the_record_when_the_link_is_lost_is_never_sent() {
    let (mut house, client) = House::ready();
    house.records_procedures = false;
    let power = house.call(client, "archon.sp1", "power", &[("state", "off".into())]);
    house.run_for(MOMENT);
    assert_eq!(house.procedures.len(), 1);
    house.cut(SP1);
    house.run_for(Duration::from_secs(1));
    assert!(house.connected(SP1), "back within its first pause");
    house.record_next();
    house.run_for(Duration::from_secs(30));
    assert_eq!(house.taken(SP1), [] as [String; 0], "the operator knows of nothing that happens later");
    let error = house.wait(client, power).expect_err("it did not happen");
    assert!(error.message.contains("sp1"), "{}", error.message);
}

#[test]
fn an_exposure_of_both_controllers_with_its_news() {
    let (mut house, client) = House::ready();
    let subscribed = house.call(client, "rpc", "subscribe", &[]);
    house.wait(client, subscribed).expect("subscribed");
    let reply =
        house.ask(client, "expose", &[("exposure_time", Value::Float(2.0)), ("flavour", "dark".into())]);
    let reply = reply.expect("exposed");
    let Some(Value::List(names)) = reply.get("filenames") else { panic!("{reply}") };
    assert_eq!(names.len(), 4);
    for name in names {
        let path = std::path::Path::new(name.as_str().expect("a name"));
        assert!(path.starts_with(house.images()), "{}", path.display());
        appliance::frames::whole(path).expect("its sums agree");
    }
    let topics = |topic: &str| house.events.iter().filter(|(t, _)| t == topic).count();
    assert!(topics("progress") > 0 && topics("message") > 0 && topics("state") > 0, "{:?}", house.events);
    let call = |body: &Value| body.get("call").cloned();
    let progress = house.events.iter().find(|(t, _)| t == "progress").map(|(_, body)| body).expect("some");
    assert!(matches!(call(progress), Some(Value::Int(_))), "{progress}");
    let files = house.events.iter().find(|(_, body)| body.get("filenames").is_some()).expect("told");
    assert_eq!(files.1.get("filenames"), reply.get("filenames"));
}

#[test]
fn a_bias_is_over_on_one_controller_before_the_other_has_answered_its_release() {
    let (mut house, client) = House::ready();
    house.fault(SP2, "delay=50");
    let reply = house.ask(client, "expose", &[("flavour", "bias".into())]).expect("exposed");
    assert_eq!(reply.get("verdict"), Some(&"complete".into()), "{reply}");
}

#[test]
fn a_lost_worker_is_an_answer_not_a_wait_for_ever() {
    let (mut house, client) = House::ready();
    house.no_workers = true;
    let error = house.ask(client, "expose", &[("flavour", "bias".into())]).expect_err("no worker");
    assert!(error.message.contains("could not be started"), "{}", error.message);
    house.no_workers = false;
    house.ask(client, "reset", &of("sp1")).expect("goes on");
    house.ask(client, "reset", &of("sp2")).expect("goes on");
    house.ask(client, "expose", &[("flavour", "bias".into())]).expect("goes on");
}

#[test]
fn an_orderly_stop_leaves_the_controllers_as_they_are() {
    let (mut house, _client) = House::ready();
    house.signal(Request::Reload);
    house.signal(Request::Dump);
    house.signal(Request::Stop { count: 1 });
    house.run_for(Duration::from_secs(10));
    assert_eq!(house.exit, Some(0));
    let sent = house.taken(SP1);
    assert!(!sent.iter().any(|c| c.starts_with("POWER")), "{sent:?}");
}
