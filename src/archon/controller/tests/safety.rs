//! No sequence of orders, replies, losses and reboots makes the controller break a rule of safety. The judge of the
//! rules shares nothing with the gate: without the gate this test fails.

use super::bench::{ACF, Bench, acf, config};
use super::peer::Peer;
use crate::archon::controller::{ControllerConfig, Order, Which};
use crate::archon::safety::Consent;
use crate::config::acf::Acf;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Event {
    Order(u8, u8),
    Expose(u16),
    Save,
    Wait(u32),
    Cut,
    Join,
    Reboot,
    Fault(u8, u8),
    Heal,
    Temperature(u8),
    Power(u8),
    Module(bool),
    StopPolling,
    Supply(bool),
    Slow(u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => (0..24u8, any::<u8>()).prop_map(|(o, p)| Event::Order(o, p)),
        5 => (0..2000u16).prop_map(Event::Expose),
        4 => Just(Event::Save),
        6 => (1..20_000u32).prop_map(Event::Wait),
        1 => Just(Event::Cut),
        2 => Just(Event::Join),
        1 => Just(Event::Reboot),
        3 => (0..FAULTY.len() as u8, 0..3u8).prop_map(|(c, m)| Event::Fault(c, m)),
        3 => Just(Event::Heal),
        1 => (0..4u8).prop_map(Event::Temperature),
        1 => (1..6u8).prop_map(Event::Power),
        1 => any::<bool>().prop_map(Event::Module),
        1 => Just(Event::StopPolling),
        1 => any::<bool>().prop_map(Event::Supply),
        1 => (0..6000u16).prop_map(Event::Slow),
    ];
    prop::collection::vec(event, 1..50)
}

const FAULTY: &[&str] = &[
    "SYSTEM",
    "STATUS",
    "FRAME",
    "POLLOFF",
    "POLLON",
    "CLEARCONFIG",
    "WCONFIG0005",
    "RCONFIG0007",
    "APPLYALL",
    "APPLYMOD",
    "APPLYCDS",
    "LOADTIMING",
    "HOLDTIMING",
    "RELEASETIMING",
    "FASTLOADPARAM Exposures",
    "FASTLOADPARAM",
    "POWERON",
    "POWEROFF",
    "LOCK",
    "RESETTIMING",
];

fn file(n: u8) -> Arc<Acf> {
    let text = match n % 5 {
        1 => ACF.replace("LVLC_V1=1.5", "LVLC_V1=7.5"),
        2 => ACF.replace("LVLC_V1=1.5", "LVLC_V1=2.5"),
        3 => ACF.replace("HEATERAENABLE=0", "HEATERAENABLE=1"),
        4 => ACF.replace("LINECOUNT=40", "LINECOUNT=30").replace("BIGBUF=0", "BIGBUF=1"),
        _ => ACF.to_owned(),
    };
    Arc::new(Acf::parse(&text).expect("sound").0)
}

fn consent(bits: u8) -> Consent {
    Consent {
        warm: (bits & 1 != 0).then(|| "test".into()),
        unchecked: bits & 2 != 0,
        thermal: bits & 4 != 0,
        bias: bits & 8 != 0,
    }
}

fn order(kind: u8, p: u8) -> Order {
    let line = |key: &str, value: String, apply| Order::WriteLine {
        key: key.into(),
        value,
        apply,
        consent: consent(p >> 4),
    };
    match kind {
        0 | 1 => Order::Load {
            acf: file(p),
            path: "own.acf".into(),
            apply_all: p & 16 == 0,
            apply: if p & 48 == 48 { vec!["LOADTIMING".into()] } else { Vec::new() },
            power: p & 64 != 0,
            overrides: if p & 128 != 0 { vec![("MOD4/LVLC_V1".into(), "3".into())] } else { Vec::new() },
            init: p & 32 != 0,
            consent: consent(p >> 3),
        },
        2 | 3 => Order::Power { on: true, consent: consent(p) },
        4 => Order::Power { on: false, consent: Consent::default() },
        5 => Order::Reset { timing: p & 1 != 0 },
        6 => Order::Flush { count: u32::from(p % 3) },
        7 => Order::Prepare { integration: Duration::from_millis(u64::from(p) * 100), exposure: 1 },
        8 => Order::Release,
        9 => Order::Unprepare,
        10 => Order::Abort { readout: p & 1 != 0 },
        11 => Order::Readout { delay: u32::from(p % 2) },
        12 => Order::Discard,
        13 => Order::Lock(if p.is_multiple_of(4) { Which::Newest } else { Which::Buffer(p % 4) }),
        14 => Order::Fetch { from_block: u32::from(p % 8) },
        15 => Order::Unlock,
        16 => Order::StopFetch,
        17 => line("MOD4/LVLC_V1", format!("{}", i32::from(p % 12) - 3), p & 1 != 0),
        18 => line("MOD2/HEATERATARGET", format!("-{}", 80 + u32::from(p % 60)), p & 1 != 0),
        19 => line("MOD2/HEATERAENABLE", format!("{}", p & 1), true),
        20 => Order::SetParameter { name: "IntCS".into(), value: i64::from(p) * 10_000 },
        21 => Order::Attach,
        22 => Order::Talk(TYPED[usize::from(p) % TYPED.len()].into()),
        _ => Order::ReadConfig,
    }
}

const TYPED: &[&str] = &[
    "POWERON",
    "poweron",
    "POWEROFF",
    "APPLYALL",
    "applyall ",
    "LOADTIMING",
    "RESETTIMING",
    "REBOOT",
    "FLASH",
    "ERASE1",
    "LOCK0",
    "LOCK2",
    "WCONFIG000EMOD4/LVLC_V1=9",
    "wconfig000emod4/lvlc_v1=9",
    "WCONFIG0008MOD2/HEATERATARGET=20",
    "APPLYMOD03",
    "CLEARCONFIG",
    "POLLOFF",
    "POLLON",
    "TIMER",
    "HOLDTIMING",
    "RELEASETIMING",
    "POWERONX",
    "FETCHA000000000000006",
    "WCONFIG0007MOD2/HEATERAFORCE=1",
];

fn play(bench: &mut Bench, event: &Event) {
    match event {
        Event::Order(kind, p) => {
            bench.order(order(*kind, *p));
        }
        Event::Expose(ms) => {
            bench.order(Order::Prepare { integration: Duration::from_millis(u64::from(*ms)), exposure: 1 });
            bench.order(Order::Release);
            bench.run_for(Duration::from_millis(u64::from(*ms) + 500));
            bench.order(Order::Readout { delay: 0 });
            bench.run_for(Duration::from_secs(3));
        }
        Event::Save => {
            bench.order(Order::Lock(Which::Newest));
            bench.order(Order::Fetch { from_block: 0 });
            bench.run_for(Duration::from_secs(1));
            bench.order(Order::Unlock);
        }
        Event::Wait(ms) => bench.run_for(Duration::from_millis(u64::from(*ms))),
        Event::Cut if bench.up => bench.link_down(),
        Event::Join if !bench.up => bench.link_up(),
        Event::Cut | Event::Join => {}
        Event::Reboot => bench.reboot(),
        Event::Fault(command, mode) => {
            let command = FAULTY[usize::from(*command)].to_owned();
            match mode {
                0 => bench.peer.ignore.insert(command),
                1 => bench.peer.refuse.insert(command),
                _ => bench.peer.lose_reply.insert(command),
            };
        }
        Event::Heal => {
            bench.peer.ignore.clear();
            bench.peer.refuse.clear();
            bench.peer.lose_reply.clear();
            bench.peer.polling = true;
            bench.peer.good = true;
            bench.peer.power_reaches = 4;
        }
        Event::Temperature(n) => {
            let t = ["-110.0", "20.5", "-273.150016", "junk"][usize::from(*n)];
            bench.peer.extra_status.insert("MOD2/TEMPA".into(), t.into());
        }
        Event::Power(n) => bench.peer.power_reaches = *n,
        Event::Module(gone) => bench.peer.modules[0] = if *gone { (4, 16) } else { (4, 9) },
        Event::StopPolling => bench.peer.polling = false,
        Event::Supply(good) => bench.peer.good = *good,
        Event::Slow(ms) => bench.peer.read_time = Duration::from_millis(u64::from(*ms)),
    }
}

fn judged(configured: bool, limited: bool, events: &[Event]) -> Result<(), String> {
    let mut peer = if configured { Peer::configured(&acf().wire_lines()) } else { Peer::new() };
    peer.extra_status.insert("MOD2/TEMPA".into(), "-110.0".into());
    if configured {
        peer.power = 4;
    }
    let config = ControllerConfig { limits: config().limits.filter(|_| limited), ..config() };
    let mut bench = Bench::with(config, peer);
    bench.judge.limited = limited;
    bench.link_up();
    bench.run_for(Duration::from_secs(2));
    for event in events {
        play(&mut bench, event);
        if let Some(first) = bench.judge.violations.first() {
            let last: Vec<String> = bench.sent.iter().rev().take(12).map(|c| c.text()).collect();
            return Err(format!("{first}\nlast sent, newest first: {last:?}"));
        }
    }
    bench.run_for(Duration::from_secs(400));
    let open = bench.judge.open_orders();
    if bench.up && open > 0 && bench.fetches.is_empty() {
        return Err(format!("{open} orders are never answered"));
    }
    bench.judge.violations.first().map_or(Ok(()), |v| Err(v.clone()))
}

/// `APPLIANCE_CASES` for a long search; enough here to find again what was ever found, most times.
fn cases() -> u32 {
    std::env::var("APPLIANCE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_breaks_a_rule(configured: bool, limited: bool, events in events()) {
        let verdict = judged(configured, limited, &events);
        prop_assert!(verdict.is_ok(), "{}", verdict.err().unwrap_or_default());
    }
}

/// An APPLYALL as typed in place of a load: what is in force then was never read back, whatever is consented to.
#[test]
fn what_was_applied_by_hand_does_not_power_on() {
    let typed_apply = [Event::Order(0, 74), Event::Order(22, 128), Event::Order(2, 10)];
    assert_eq!(judged(false, true, &typed_apply), Ok(()));
}

/// An attach beside a save: the frames after it are kept like those before it.
#[test]
fn an_attach_beside_a_save_loses_no_frame() {
    let expose = || Event::Expose(0);
    let told = [expose(), Event::Save, Event::Order(21, 0), expose(), expose(), expose()];
    assert_eq!(judged(true, false, &told), Ok(()));
}

/// What a former process or another client wrote, applied by hand: nobody knows which modules it is for.
#[test]
fn a_configuration_of_unknown_modules_does_not_power_on() {
    let told = [Event::Order(22, 103), Event::Module(true), Event::Order(2, 58), Event::Order(0, 0)];
    assert_eq!(judged(true, false, &told), Ok(()));
}
