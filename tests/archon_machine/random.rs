//! A thousand exposures with random faults: each ends complete, recovered, or refused with a reason, and no
//! image is ever another frame.

use crate::faults::no_image_is_another;
use crate::world::{World, expose};
use appliance::archon::methods::{Ask, ExposeAsk, Flavour};
use appliance::archon::safety::Consent;
use appliance::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const EXPOSURES: usize = 1000;
/// Nights: a fresh world now and then keeps the directory small.
const PER_NIGHT: usize = 50;

const FAULTS: &[&str] = &[
    "drop-in-fetch=0",
    "drop-in-fetch=1",
    "cut-fetch=1",
    "garbage-in-fetch=0",
    "overwrite",
    "short-frame=2",
    "reboot-in-readout",
    "warmboot-in-readout",
    "slow-readout=3000",
    "slow-readout=100000",
    "delay=20",
    "interleave",
    "status-stale",
    "status-invalid",
    "silent=HOLDTIMING:1",
    "silent=FRAME:3",
    "silent=LOCK:1",
    "silent=FASTLOADPARAM:4",
    "lose-reply=RELEASETIMING:1",
    "lose-reply=LOCK:1",
    "lose-reply=FASTLOADPARAM:9",
    "refuse=LOCK:1",
    "refuse=FASTLOADPARAM:8",
    "refuse=RELEASETIMING:2",
    "refuse=FRAME:4",
    "drop-after=900",
    "drop-after=4000",
    "drop-after=9000",
];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }
}

fn night(seed: u64, ends: &mut BTreeMap<String, usize>) {
    let mut dice = Dice(seed);
    let mut world = World::ready();
    for _ in 0..PER_NIGHT {
        if dice.roll(3) > 0 {
            let fault = FAULTS[dice.roll(FAULTS.len())];
            world.boxes[0].faults().add(fault.parse().expect("a fault"));
        }
        let ask = ExposeAsk {
            flavour: [Flavour::Object, Flavour::Dark, Flavour::Bias][dice.roll(3)],
            async_readout: dice.roll(6) == 0,
            ..expose(20 * dice.roll(20) as u64)
        };
        let ticket = world.begin(Ask::Expose(Box::new(ask)));
        match dice.roll(12) {
            0 => {
                world.pass(Duration::from_millis(dice.roll(400) as u64));
                let _ = world.call(Ask::Abort { flush: false, reset: dice.roll(2) == 0 });
            }
            1 => {
                world.pass(Duration::from_millis(dice.roll(400) as u64));
                if !world.outcomes.contains_key(&ticket) {
                    world.kill();
                    *ends.entry("killed".into()).or_default() += 1;
                    put_right(&mut world);
                    continue;
                }
            }
            _ => {}
        }
        let end = match world.answer(ticket) {
            Ok(Value::Map(pairs)) => {
                let verdict = pairs.iter().find(|(k, _)| k == "verdict").and_then(|(_, v)| v.as_str());
                let verdict = verdict.expect("a verdict").to_owned();
                assert!(
                    ["complete", "recovered", "degraded", "reading"].contains(&verdict.as_str()),
                    "{verdict}"
                );
                verdict
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(error.message.len() > 10, "a reason: {error}");
                "refused with a reason".to_owned()
            }
        };
        *ends.entry(end).or_default() += 1;
        put_right(&mut world);
    }
    no_image_is_another(&world);
}

/// What an operator does when something went wrong: look, recover, reset, and start the box again if need be.
fn put_right(world: &mut World) {
    world.boxes[0].faults().clear();
    world.pass(Duration::from_secs(3));
    let idle = Ask::WaitUntilIdle { allow_errored: true, timeout: Duration::from_secs(200) };
    world.done(idle);
    no_image_is_another(world);
    let _ = world.call(Ask::Recover { path: None, checksum: true, keep_lock: false, trust_buffer: false });
    no_image_is_another(world);
    world.done(Ask::Discard);
    world.done(Ask::Reset { timing: true });
    if !world.boxes[0].powered() {
        let consent = Consent { unchecked: true, thermal: true, bias: true, ..Consent::default() };
        world.done(Ask::Init { acf: None, apply: Vec::new(), power: true, consent });
    }
}

#[test]
fn a_thousand_exposures_with_random_faults() {
    let mut ends = BTreeMap::new();
    for night_no in 0..EXPOSURES / PER_NIGHT {
        night(0x5DEE_CE66 + 77 * night_no as u64, &mut ends);
    }
    println!("{EXPOSURES} exposures: {ends:?}");
    assert_eq!(ends.values().sum::<usize>(), EXPOSURES);
    assert!(ends["complete"] > EXPOSURES / 4 && ends.contains_key("recovered"), "{ends:?}");
}
