//! Who has control: leases, names and deadlines as clients of the node see them.

use super::handmade::Handmade;
use super::house::*;
use appliance::api::Outcome;
use appliance::config::settings::LeaseRule;
use appliance::reactor::ConnId;
use appliance::value::Value;

fn house(lease: LeaseRule) -> House {
    House::of(Plan { lease, ..Plan::default() })
}

fn rpc(house: &mut House, client: ConnId, method: &str, args: &[Value]) -> Outcome {
    let seq = house.call_of(client, "rpc", method, args);
    house.wait(client, seq)
}

fn acquire(house: &mut House, client: ConnId, who: &str) -> Outcome {
    rpc(house, client, "acquire", &[who.into(), 600.into(), "tests".into()])
}

fn token(granted: &Outcome) -> Value {
    let found = granted.as_ref().ok().and_then(|g| g.get("token"));
    found.cloned().unwrap_or_else(|| panic!("{granted:?}"))
}

fn refused(outcome: &Outcome) -> &str {
    match outcome {
        Err(e) if e.message.contains("control is with") => &e.message,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn exactly_one_wins_and_stop_works_for_both() {
    let mut house = house(LeaseRule::Binding);
    let (ann, ben) = (house.dealer(), house.dealer());
    token(&acquire(&mut house, ann, "ann"));
    let lost = acquire(&mut house, ben, "ben");
    assert!(refused(&lost).starts_with("control is with ann (tests) until 20"), "{lost:?}");
    assert_eq!(house.ask(ann, "set_mode", &["MODE1".into()]), new_mode());
    assert!(refused(&house.ask(ben, "prepare", &[])).contains("bank.prepare refused"));
    for client in [ann, ben] {
        assert_eq!(house.ask(client, "get_mode", &[]), Ok("MODE1".into()));
        house.ask(client, "stop", &[]).expect("stop is for everybody");
    }
    assert!(house.shown("lease").contains("ann"));
    assert!(!house.shown("lease").contains("token"));
}

#[test]
fn old_clients_are_not_bound_unless_the_site_says_so() {
    for (rule, before, while_held) in [
        (LeaseRule::Cooperative, true, true),
        (LeaseRule::Binding, true, false),
        (LeaseRule::Required, false, false),
    ] {
        let mut house = house(rule);
        let (ann, old) = (house.dealer(), house.dealer());
        let may = |house: &mut House| house.ask(old, "increment_scan_number", &[]).is_ok();
        assert_eq!(may(&mut house), before, "{rule:?}");
        token(&acquire(&mut house, ann, "ann"));
        assert_eq!(may(&mut house), while_held, "{rule:?}");
        house.ask(ann, "increment_scan_number", &[]).expect("hers");
    }
}

#[test]
fn a_lease_outlives_its_connection_and_ends_with_its_time() {
    let mut house = house(LeaseRule::Binding);
    let (ann, ben) = (house.dealer(), house.dealer());
    let token = token(&acquire(&mut house, ann, "ann"));
    house.hang_up(ann);
    refused(&house.ask(ben, "prepare", &[]));
    let again = house.dealer();
    refused(&house.ask(again, "increment_scan_number", &[]));
    rpc(&mut house, again, "renew", &[token.clone(), 60.into()]).expect("hers");
    house.ask(again, "increment_scan_number", &[]).expect("bound by renew");
    house.run_for(59.0);
    refused(&house.ask(ben, "increment_scan_number", &[]));
    house.run_for(1.0);
    assert_eq!(house.shown("lease"), "None");
    house.ask(ben, "increment_scan_number", &[]).expect("nobody has control");
    assert_eq!(rpc(&mut house, again, "release", &[token]), Ok(false.into()));
    let said: Vec<String> =
        house.record.iter().filter(|l| l.contains(r#""kind": "lease""#)).cloned().collect();
    for (line, what) in said.iter().zip(["acquired", "renewed", "ended"]) {
        assert!(line.contains(what) && line.contains("ann"), "{line}");
    }
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn another_connection_is_bound_without_prolonging_the_lease() {
    let mut house = house(LeaseRule::Binding);
    let (ann, ben) = (house.dealer(), house.dealer());
    let token = token(&acquire(&mut house, ann, "ann"));
    let until = house.shown("lease");
    let again = house.dealer();
    refused(&house.ask(again, "increment_scan_number", &[]));
    rpc(&mut house, again, "renew", &[token.clone()]).expect("hers");
    house.ask(again, "increment_scan_number", &[]).expect("bound by renew");
    assert_eq!(house.shown("lease"), until);
    let error = rpc(&mut house, ben, "renew", &["1f.2".into()]).expect_err("not his");
    assert!(error.message.contains("control is with ann"), "{error}");
    assert_eq!(rpc(&mut house, again, "release", &[token.clone()]), Ok(true.into()));
    rpc(&mut house, again, "renew", &[token]).expect_err("it has ended");
    let entries = house.record.iter().filter(|l| l.contains(r#""kind": "lease""#)).count();
    assert_eq!(entries, 2, "acquired and released: {:?}", house.record);
}

#[test]
fn what_waits_is_refused_when_control_has_gone_meanwhile() {
    let mut house = house(LeaseRule::Binding);
    house.spawns = false;
    let (ann, ben) = (house.dealer(), house.dealer());
    let (other, third) = (house.dealer(), house.dealer());
    let token = token(&acquire(&mut house, ann, "ann"));
    let job = house.call(ann, "set_mode", &["MODE1".into()]);
    rpc(&mut house, other, "renew", &[token.clone(), 600.into()]).expect("hers, too");
    let waiting = house.call(other, "increment_scan_number", &[]);
    assert_eq!(rpc(&mut house, third, "release", &[token]), Ok(true.into()));
    acquire(&mut house, ben, "ben").expect("free");
    house.children_start();
    assert_eq!(house.wait(ann, job), new_mode(), "what has begun goes on");
    refused(&house.wait(other, waiting));
}

#[test]
fn a_token_can_come_with_a_request_and_an_old_one_is_refused() {
    let mut house = house(LeaseRule::Cooperative);
    let (ann, ben) = (house.dealer(), house.dealer());
    let hand = Handmade::new(&mut house);
    let first = token(&acquire(&mut house, ann, "ann"));
    let with = format!(r#", "lease": "{first}""#);
    let reply =
        |house: &mut House, more: &str| hand.ask(house, "increment_scan_number", more).expect("a reply");
    assert!(reply(&mut house, &with).get("EXCEPTION").is_none());
    rpc(&mut house, ann, "release", &[first]).expect("hers");
    acquire(&mut house, ben, "ben").expect("free");
    assert!(
        reply(&mut house, &with).get("EXCEPTION").is_some(),
        "an old lease, also where old clients are free"
    );
    assert!(reply(&mut house, "").get("EXCEPTION").is_none());
}

#[test]
fn names_are_in_the_record_and_in_the_list_of_clients() {
    let mut house = House::new();
    let (hand, other) = (Handmade::new(&mut house), house.dealer());
    hand.ask(&mut house, "get_mode", r#", "who": "ann""#).expect("a read");
    hand.ask(&mut house, "increment_scan_number", "").expect("a short write");
    assert!(house.record[0].contains(r#""who": "ann""#), "said once is enough: {}", house.record[0]);
    let Ok(Value::List(clients)) = rpc(&mut house, other, "clients", &[]) else { panic!("a list") };
    let text = |i: usize, key: &str| clients[i].get(key).map(Value::to_string).unwrap_or_default();
    assert_eq!(clients.len(), 2);
    assert_eq!((text(0, "who"), text(0, "last_call")), ("ann".into(), "bank.increment_scan_number".into()));
    assert_eq!((text(1, "who"), text(1, "last_call")), (String::new(), "rpc.clients".into()));
}

#[test]
fn a_write_that_cannot_begin_in_time_is_dropped() {
    let mut house = House::new();
    house.spawns = false;
    let (busy, hand) = (house.dealer(), Handmade::new(&mut house));
    let job = house.call(busy, "set_mode", &["MODE1".into()]);
    let more = r#", "deadline_ms": 2000"#;
    assert_eq!(hand.ask(&mut house, "increment_scan_number", more), None);
    house.run_for(1.9);
    assert_eq!(hand.reply(&mut house), None);
    house.run_for(0.2);
    let error = hand.reply(&mut house).expect("it is told at once");
    assert!(error.to_string().contains("could not begin within"), "{error}");
    let number = house.shown("scan_number");
    house.children_start();
    assert_eq!(house.wait(busy, job), new_mode());
    assert_eq!(house.shown("scan_number"), number, "not carried out later");
}

#[test]
fn a_read_only_client_cannot_take_control() {
    let mut house = House::new();
    let watcher = house.connect(READ_ONLY, "127.0.0.1:50003").expect("may connect");
    let error = acquire(&mut house, watcher, "watcher").expect_err("read-only");
    assert!(error.message.contains("rpc.acquire changes things, which is not allowed"), "{error}");
    assert_eq!(rpc(&mut house, watcher, "lease", &[]), Ok(Value::Null));
}
