use super::*;
use crate::proto::valon::Synth;
use crate::sim::valon::Valon;
use crate::units::Utc;
use crate::value::Value;

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), utc: Utc(0) }
}

/// An open, quiet line.
fn line() -> ValonLine {
    let mut line = ValonLine::new();
    line.tick(at(0));
    assert_eq!(line.poll(), Some(Output::Open { timeout: OPEN_WITHIN }));
    line.opened(at(0));
    assert_eq!(line.poll(), Some(Output::State(Ok(()))));
    line.tick(at(100));
    line
}

fn set(mhz: f64) -> Order {
    Order::SetFrequency { synth: Synth::A, mhz: Value::Float(mhz), spacing: Value::Float(SPACING) }
}
const SPACING: f64 = crate::proto::valon::order::SPACING_MHZ;

/// Lets the line and a device talk, one byte at a time, until an order is finished.
fn talk(line: &mut ValonLine, device: &mut Valon, now: Now) -> Vec<Output> {
    let mut finished = Vec::new();
    while let Some(output) = line.poll() {
        match output {
            Output::Send(bytes) => {
                for byte in device.receive(&bytes) {
                    line.receive(&[byte], now);
                }
            }
            other => finished.push(other),
        }
    }
    finished
}

#[test]
fn orders_are_carried_out_one_after_the_other() {
    let (mut line, mut device) = (line(), Valon::default());
    line.submit(1, set(1080.0), at(200));
    line.submit(2, Order::Frequency(Synth::A), at(200));
    line.submit(3, Order::PhaseLock(Synth::A), at(200));
    line.submit(4, set(9000.0), at(200));
    let finished = talk(&mut line, &mut device, at(200));
    assert_eq!(finished.len(), 4, "{finished:?}");
    assert_eq!(finished[0], Output::Done(1, Ok(Answer::Flag(true))));
    assert_eq!(finished[1], Output::Done(2, Ok(Answer::Mhz(1080.0))));
    assert_eq!(finished[2], Output::Done(3, Ok(Answer::Flag(true))));
    assert!(matches!(&finished[3], Output::Done(4, Err(SynthError::Impossible(why))) if why.contains("VCO")));
    assert_eq!(device.frequency_mhz(Synth::A), 1080.0);
}

#[test]
fn a_silent_synthesizer_is_given_up_and_what_it_says_late_is_thrown_away() {
    let mut line = line();
    line.submit(1, Order::Reference, at(200));
    line.submit(2, Order::Reference, at(200));
    assert_eq!(line.poll(), Some(Output::Send(vec![0x81])));
    line.receive(&[0x00, 0x98], at(300));
    assert_eq!(line.deadline(), Some(at(1200).mono));
    line.tick(at(1200));
    assert_eq!(line.poll(), Some(Output::Done(1, Err(SynthError::Timeout(1000)))));
    assert_eq!(line.poll(), None, "not before the line is quiet");
    line.receive(&[0x96, 0x80, 0xAE], at(1250));
    line.tick(at(1300));
    assert_eq!(line.poll(), None);
    line.tick(at(1350));
    assert_eq!(line.poll(), Some(Output::Send(vec![0x81])));
    line.receive(&[0x00, 0x98, 0x96, 0x80, 0xAE], at(1360));
    assert_eq!(line.poll(), Some(Output::Done(2, Ok(Answer::Int(10_000_000)))));
}

#[test]
fn a_wrong_checksum_is_an_error() {
    let mut line = line();
    line.submit(1, Order::Reference, at(200));
    line.receive(&[0x00, 0x98, 0x96, 0x81, 0xAE], at(210));
    let done = std::iter::from_fn(|| line.poll()).last();
    assert!(matches!(done, Some(Output::Done(1, Err(SynthError::Reply(why)))) if why.contains("checksum")));
}

#[test]
fn a_line_that_never_falls_silent_costs_the_orders_only() {
    let mut line = line();
    line.submit(1, Order::Reference, at(200));
    line.receive(&[0xFF; 5], at(210));
    line.submit(2, Order::Reference, at(220));
    for ms in (220..11_000).step_by(50) {
        line.receive(&[0xFF], at(ms));
        line.tick(at(ms));
    }
    let done = std::iter::from_fn(|| line.poll()).last();
    assert_eq!(done, Some(Output::Done(2, Err(SynthError::Timeout(10_000)))));
}

#[test]
fn a_lost_port_fails_what_waits_and_is_opened_again() {
    let mut line = line();
    line.submit(1, Order::Reference, at(200));
    line.submit(2, Order::Flash, at(200));
    line.closed("unplugged", at(300));
    let unreachable = || Err(SynthError::Unreachable("unplugged".into()));
    let outputs: Vec<_> = std::iter::from_fn(|| line.poll()).collect();
    assert_eq!(outputs[1..3], [Output::Done(1, unreachable()), Output::Done(2, unreachable())]);
    assert_eq!(outputs[3], Output::State(Err("unplugged".into())));
    line.submit(3, Order::Flash, at(310));
    assert_eq!(line.poll(), Some(Output::Done(3, unreachable())));
    let again = line.deadline().expect("it tries again");
    line.tick(Now { mono: again, utc: Utc(0) });
    assert_eq!(line.poll(), Some(Output::Open { timeout: OPEN_WITHIN }));
}

#[test]
fn everything_that_can_be_set_can_be_asked() {
    use crate::proto::valon::registers::Options;
    let (mut line, mut device) = (line(), Valon::default());
    let options = Options { double: true, half: false, r: 10, low_spur: true };
    let orders = [
        (Order::SetLabel(Synth::B, "a label that is too long".into()), Answer::Flag(true)),
        (Order::Label(Synth::B), Answer::Text("a label that is".into())),
        (Order::SetOptions(Synth::B, options), Answer::Flag(true)),
        (Order::Options(Synth::B), Answer::Ints(vec![1, 0, 10, 1])),
        (Order::SetLevel(Synth::B, -4), Answer::Flag(true)),
        (Order::SetLevel(Synth::B, 3), Answer::Flag(false)),
        (Order::Level(Synth::B), Answer::Int(-4)),
        (Order::SetVco(Synth::B, 2000, 4100), Answer::Flag(true)),
        (Order::Vco(Synth::B), Answer::Ints(vec![2000, 4100])),
        (Order::SetExternal(true), Answer::Flag(true)),
        (Order::External, Answer::Int(1)),
        (Order::SetReference(20_000_000), Answer::Flag(true)),
        (Order::Reference, Answer::Int(20_000_000)),
        (Order::Flash, Answer::Flag(true)),
    ];
    for (n, (order, wanted)) in orders.into_iter().enumerate() {
        line.submit(n as u64, order, at(200));
        assert_eq!(talk(&mut line, &mut device, at(200)), [Output::Done(n as u64, Ok(wanted))]);
    }
    assert_eq!(device.flashed(), 1);
}
