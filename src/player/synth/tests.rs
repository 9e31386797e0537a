use super::*;
use crate::api::bind::bind;
use crate::api::{Call, Class, Method};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::player::board::{News, Next};
use crate::proto::valon::order::Answer;
use crate::units::Mono;
use crate::value::Value;
use std::time::Duration;

fn raw(args: &[&str]) -> Result<FpgaReply, FpgaError> {
    let args = args.iter().map(|a| a.as_bytes().to_vec()).collect();
    Ok(FpgaReply::Raw { args, informs: vec![] })
}

fn method(name: &str) -> &'static Method {
    VALON.iter().map(|e| &e.method).find(|m| m.name == name).expect("in the table")
}

fn call(name: &str, args: Vec<Value>) -> Result<crate::player::board::BoardCall, CallError> {
    let call = Call { interface: "bank.valon".into(), method: name.into(), args, kwargs: Vec::new() };
    valon_call(name, &bind(method(name), call)?)
}

#[test]
fn every_get_is_a_read_and_every_set_a_write() {
    for entry in VALON {
        let Method { name, class, .. } = entry.method;
        assert_eq!(class == Class::Read, name.starts_with("get_"), "{name}");
    }
    assert_eq!(VALON.len(), 16);
}

#[test]
fn a_wrong_synthesizer_is_said_in_the_words_clients_know() {
    for given in [Value::Int(3), Value::from("A"), Value::Null] {
        let error = call("get_frequency", vec![given.clone()]).expect_err("no such synthesizer");
        assert_eq!(error.class.name(), "ValonException");
        let wanted = format!(
            "The 'synth' parameter was given as {given}. It must be an integer either 0x00 (SYNTH_A) or 0x08 (SYNTH_B)"
        );
        assert_eq!(error.message, wanted);
    }
    let error = call("set_vco_range", vec![Value::Int(0), Value::Int(4400), Value::Int(2200)]);
    assert_eq!(error.expect_err("upside down").class.name(), "ValueError");
}

#[test]
fn values_are_found_with_and_without_the_name_before_them() {
    let answer = |order: Order, args: &[&str]| katcp::answer(&order, raw(args));
    for args in [&["synth_a", "1500.25"][..], &["1500.25"]] {
        assert_eq!(answer(Order::Frequency(Synth::A), args), Ok(Answer::Mhz(1500.25)));
    }
    assert_eq!(answer(Order::PhaseLock(Synth::A), &["synth_a", "0"]), Ok(Answer::Flag(false)));
    assert_eq!(answer(Order::Label(Synth::A), &["a label   "]), Ok(Answer::Text("a label".into())));
    assert_eq!(answer(Order::Vco(Synth::A), &["2200", "4400.0"]), Ok(Answer::Ints(vec![2200, 4400])));
    for args in [&[][..], &["synth_a", "fast"], &["nan"]] {
        let error = answer(Order::Frequency(Synth::A), args).expect_err("no frequency");
        assert!(matches!(error, SynthError::Reply(_)), "{error}");
    }
}

/// Runs orders against answers; the time is a millisecond for each order, and what pauses take.
fn run(
    mut work: SynthWork,
    answers: &mut dyn FnMut(&Order) -> Result<Answer, SynthError>,
) -> (Result<Value, CallError>, Vec<String>, Mono) {
    let (mut now, mut news, mut orders) = (Mono(0), News::Begin, Vec::new());
    loop {
        news = match work.next(news, now) {
            Ok(Next::Synth(order)) => {
                now = now + Duration::from_millis(1);
                orders.push(order.to_string());
                News::Synth(answers(&order))
            }
            Ok(Next::Ask(op)) => {
                orders.push(format!("{op:?}"));
                News::Reply(raw(&[]))
            }
            Ok(Next::Pause(until)) => {
                now = until;
                News::Paused
            }
            Ok(Next::Done(value)) => return (Ok(value), orders, now),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (Err(error), orders, now),
        };
    }
}

#[test]
fn a_mode_waits_for_the_lock_but_not_for_ever() {
    let mut looks = 0;
    let work = SynthWork::frequency(Synth::A, 1500.0);
    let (result, orders, _) = run(work.clone(), &mut |order| {
        looks += u32::from(*order == Order::PhaseLock(Synth::A));
        Ok(Answer::Flag(looks != 1))
    });
    assert_eq!((result, orders.len()), (Ok(Value::Bool(true)), 3));
    let (result, _, ended) =
        run(work.clone(), &mut |order| Ok(Answer::Flag(*order != Order::PhaseLock(Synth::A))));
    assert_eq!(result, Ok("not locked 1 s after its frequency was set".into()));
    assert!(ended.since(Mono(0)) < LOCKED_WITHIN + Duration::from_millis(100), "{ended:?}");
    let (result, orders, _) = run(work, &mut |_| Ok(Answer::Flag(false)));
    assert_eq!(orders.len(), 1);
    let error = result.expect_err("refused");
    assert!(error.message.contains("1500.0 MHz") && error.message.ends_with("refused"), "{error}");
}

#[test]
fn a_set_up_tries_everything_and_tells_what_failed() {
    let settings = Settings {
        where_: crate::config::dibas::SynthAt::Katcp,
        port: "/dev/ttyS1".into(),
        external_ref: true,
        ref_freq_hz: 10_000_000,
        vco_range_mhz: (2200, 4400),
        rf_level_dbm: 5,
        options: [0, 0, 1, 0],
    };
    let work = SynthWork::set_up(set_up(&settings), Some(settings.port.clone()));
    let (result, orders, _) = run(work, &mut |order| match order {
        Order::SetReference(_) => Err(SynthError::Timeout(1000)),
        Order::SetLevel(..) => Ok(Answer::Flag(false)),
        _ => Ok(Answer::Flag(true)),
    });
    assert!(orders[0].contains("valon-new-port"), "{}", orders[0]);
    assert_eq!(
        FpgaOp::Raw { name: "valon-new-port".into(), args: vec![b"/dev/ttyS1".to_vec()] },
        katcp::port("/dev/ttyS1")
    );
    assert_eq!(orders.len(), 6);
    let Ok(Value::List(failures)) = result else { panic!("{result:?}") };
    let texts: Vec<String> = failures.iter().map(Value::to_string).collect();
    assert!(
        texts[0].contains("reference 10000000 Hz") && texts[1].contains("level 5 dBm: refused"),
        "{texts:?}"
    );
    assert_eq!(texts.len(), 2);
}
