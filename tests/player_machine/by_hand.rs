//! `bank.roach` and `bank.valon`: the board and the synthesizer by hand, beside the player's own work.

use crate::world::{World, dibas, site_config};
use appliance::api::bind::bind;
use appliance::api::{Call, Class};
use appliance::config::dibas::SynthAt;
use appliance::fpga::FpgaReply;
use appliance::player::bank::{FpgaKey, Input, MOST_CALLS, Output, Player, Ticket};
use appliance::player::methods::{self, PlayerCall};
use appliance::player::state::Link;
use appliance::proto::valon::order::{Answer, Order};
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::time::Duration;

fn call(interface: &str, name: &str, args: &[Value]) -> PlayerCall {
    let method = methods::table().find(interface, name).expect("in the table");
    let call =
        Call { interface: interface.into(), method: name.into(), args: args.to_vec(), kwargs: Vec::new() };
    PlayerCall::from_bound(method, &bind(method, call).expect("binds")).expect(name)
}

fn roach(name: &str, args: &[Value]) -> PlayerCall {
    call("bank.roach", name, args)
}

#[test]
fn registers_are_written_and_read() {
    let mut world = World::ready();
    let value = Value::Int(0x1234);
    assert_eq!(world.ask_ok(roach("write_int", &["acc_len".into(), value.clone()])), Value::Null);
    assert_eq!(world.ask_ok(roach("read_uint", &["acc_len".into()])), value);
}

#[test]
fn during_a_scan_the_board_is_looked_at_but_not_changed() {
    let mut world = World::scanning();
    for entry in appliance::player::board::ROACH.iter().filter(|e| e.method.class != Class::Read) {
        let args: Vec<Value> = match entry.method.name {
            "write_int" => vec!["acc_len".into(), Value::Int(1)],
            "progdev" => vec![Value::Null],
            "write" | "blindwrite" => vec!["acc_len".into(), "abcd".into()],
            _ => continue,
        };
        let error = world.ask_err(roach(entry.method.name, &args));
        assert!(error.message.contains("refused while a scan runs"), "{error}");
    }
    let error = world.ask_err(call("bank.valon", "set_frequency", &[Value::Int(0), Value::Int(800)]));
    assert!(error.message.starts_with("bank.valon.set_frequency may change hardware"), "{error}");
    world.ask_ok(roach("read_int", &["acc_len".into()]));
    assert_eq!(world.state(), "SCANNING");
}

#[test]
fn a_board_programmed_by_hand_needs_its_mode_again() {
    let mut world = World::ready();
    assert_eq!(world.ask_ok(roach("progdev", &["other.bof".into()])), Value::from("ok"));
    let error = world.ask_err(PlayerCall::Start(Value::Null));
    assert!(error.message.contains("set_mode"), "{error}");
}

#[test]
fn calls_on_the_board_have_a_bound_and_a_shutdown_answers_them() {
    let mut player = idle_player(SynthAt::Katcp);
    for n in 0..=MOST_CALLS as u64 {
        player.handle(Input::Call { ticket: Ticket(n), call: roach("ping", &[]) }, at(0));
    }
    let outputs = drain(&mut player);
    let refused = outputs.iter().filter(|o| matches!(o, Output::Reply { outcome: Err(_), .. })).count();
    assert_eq!(refused, 1);
    player.handle(Input::Shutdown, at(0));
    let ended = drain(&mut player);
    let ended = ended.iter().filter(|o| matches!(o, Output::Reply { outcome: Err(_), .. })).count();
    assert_eq!(ended, MOST_CALLS);
}

#[test]
fn a_call_waits_for_the_link_as_long_as_it_was_told() {
    let mut player = idle_player(SynthAt::Katcp);
    let wait = roach("wait_connected", &[Value::Float(2.0)]);
    player.handle(Input::Call { ticket: Ticket(1), call: wait.clone() }, at(0));
    assert!(drain(&mut player).is_empty());
    assert_eq!(player.deadlines().mono, Some(at(2000).mono));
    player.tick(at(2000));
    assert_eq!(drain(&mut player), [reply(1, Value::Bool(false))]);
    player.handle(Input::Call { ticket: Ticket(2), call: wait }, at(3000));
    player.handle(Input::Link(Link::Up), at(3500));
    assert!(drain(&mut player).contains(&reply(2, Value::Bool(true))));
    player.handle(Input::Call { ticket: Ticket(3), call: roach("is_connected", &[]) }, at(3600));
    assert!(drain(&mut player).contains(&reply(3, Value::Bool(true))));
}

#[test]
fn a_local_synthesizer_is_set_up_when_its_line_opens_and_writes_wait_for_that() {
    let mut player = idle_player(SynthAt::Local);
    player.handle(Input::SynthLine(Ok(())), at(0));
    let mut seen = Vec::new();
    let mut recorded = false;
    loop {
        let outputs = drain(&mut player);
        recorded |= outputs.iter().any(|o| matches!(o, Output::Record(_)));
        let Some(Output::Synth { id, order }) =
            outputs.into_iter().find(|o| matches!(o, Output::Synth { .. }))
        else {
            break;
        };
        assert!(recorded, "what changes hardware is recorded first");
        assert!(player.is_busy(), "writes wait");
        seen.push(order);
        player.handle(Input::Synth { id, result: Ok(Answer::Flag(true)) }, at(1));
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(matches!(seen[0], Order::SetExternal(_)));
    assert!(!player.is_busy());
    let ask = call("bank.valon", "get_frequency", &[Value::Int(8)]);
    player.handle(Input::Call { ticket: Ticket(9), call: ask }, at(2));
    let outputs = drain(&mut player);
    let [Output::Synth { id, .. }] = outputs[..] else { panic!("{outputs:?}") };
    player.handle(Input::Synth { id, result: Ok(Answer::Mhz(800.25)) }, at(3));
    assert_eq!(drain(&mut player), [reply(9, Value::Float(800.25))]);
}

#[test]
fn a_synthesizer_behind_the_board_is_asked_through_it() {
    let mut player = idle_player(SynthAt::Katcp);
    let ask = call("bank.valon", "get_vco_range", &[Value::Int(0)]);
    player.handle(Input::Call { ticket: Ticket(1), call: ask }, at(0));
    let outputs = drain(&mut player);
    let [Output::Fpga { key: key @ FpgaKey::Work(_), .. }] = outputs[..] else { panic!("{outputs:?}") };
    let args = ["synth_a", "2200", "4400"].map(|a| a.as_bytes().to_vec()).to_vec();
    player.handle(Input::Fpga { key, result: Ok(FpgaReply::Raw { args, informs: vec![] }) }, at(1));
    let range = Value::List(vec![Value::Int(2200), Value::Int(4400)]);
    assert_eq!(drain(&mut player), [reply(1, range)]);
}

fn at(ms: u64) -> Now {
    let begin = Mono(1_000_000_000);
    Now { mono: begin + Duration::from_millis(ms), utc: Utc(1_795_228_519_400_000_000) }
}

/// Without a link, and with a synthesizer on this way.
fn idle_player(way: SynthAt) -> Player {
    let dibas = dibas();
    let mut bank = dibas.bank("BANKA").expect("it is in the example").clone();
    bank.synth.as_mut().expect("it has one").where_ = way;
    Player::new(site_config(), dibas, bank, false, at(0))
}

fn drain(player: &mut Player) -> Vec<Output> {
    std::iter::from_fn(|| player.poll()).filter(|o| *o != Output::Changed).collect()
}

fn reply(ticket: u64, value: Value) -> Output {
    Output::Reply { ticket: Ticket(ticket), outcome: Ok(value) }
}
