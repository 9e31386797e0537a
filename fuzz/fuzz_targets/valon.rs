#![no_main]
//! Any bytes at the session of a serial synthesizer, and at the simulated synthesizer.
use appliance::proto::valon::Synth;
use appliance::proto::valon::order::Order;
use appliance::session::valon_line::ValonLine;
use appliance::sim::valon::Valon;
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let at = |ms: u64| Now { mono: Mono(ms * 1_000_000), utc: Utc(0) };
    let (mut line, mut device) = (ValonLine::new(), Valon::default());
    line.tick(at(0));
    line.opened(at(0));
    line.tick(at(200));
    for (n, piece) in data.chunks(7).enumerate() {
        let now = at(200 + 50 * n as u64);
        let mhz = Value::Int(i64::from(piece[0]) * 20);
        let order = match piece[0] % 4 {
            0 => Order::SetFrequency { synth: Synth::A, mhz, spacing: Value::Float(10.0) },
            1 => Order::Frequency(Synth::B),
            2 => Order::Label(Synth::A),
            _ => Order::PhaseLock(Synth::B),
        };
        line.submit(n as u64, order, now);
        line.receive(piece, now);
        line.tick(now);
        device.receive(piece);
        while line.poll().is_some() {}
    }
    device.frequency_mhz(Synth::A);
});
