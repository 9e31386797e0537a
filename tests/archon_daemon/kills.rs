//! `kill -9` at seeded moments of an exposure: no image is lost, none overwritten, numbers go on.
//!
//! `APPLIANCE_KILLS=50` for the long form; ten otherwise.

use crate::house::{CONTROLLERS, House, WITHIN, address, appliance, await_result, call, result};
use crate::{card, image, observing};
use appliance::value::Value;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// An exposure of 100 ms takes about so long from the call to the files.
const SPAN_MS: u64 = 420;

/// What is on disk: (controller, frame) and number of every image, each proven by its sums.
struct Shelf {
    sums: BTreeMap<PathBuf, Vec<u8>>,
    frames: BTreeSet<(String, u64)>,
    numbers: BTreeMap<u64, usize>,
}

fn shelf(house: &House) -> Shelf {
    let mut shelf = Shelf { sums: BTreeMap::new(), frames: BTreeSet::new(), numbers: BTreeMap::new() };
    for path in house.files(".fits.gz") {
        appliance::frames::whole(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let bytes = image(&path);
        let number = |key: &str| card(&bytes, key).parse::<u64>().unwrap_or_else(|e| panic!("{key}: {e}"));
        let controller = card(&bytes, "SPEC").trim_matches('\'').trim().to_owned();
        shelf.frames.insert((controller, number("ARCHFRM")));
        *shelf.numbers.entry(number("EXPOSURE")).or_default() += 1;
        shelf.sums.insert(path, bytes);
    }
    shelf
}

/// The newest complete frame a controller has in memory.
fn newest(status: &Value, controller: &str) -> u64 {
    let of = status.get(controller).unwrap_or_else(|| panic!("{controller} in {status}"));
    let number = |key: String| of.get(&key).and_then(Value::as_f64).unwrap_or(0.0) as u64;
    (1..=3)
        .filter(|n| number(format!("buf{n}complete")) == 1)
        .map(|n| number(format!("buf{n}frame")))
        .max()
        .unwrap_or(0)
}

#[test]
fn killed_at_any_moment_nothing_is_lost_or_overwritten() {
    let kills: u64 = std::env::var("APPLIANCE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let house = House::new(&["--line-time", "1000"]);
    let mut daemon = observing(&house, &[]);
    let mut before = shelf(&house);
    let (mut ends, mut seed) = (BTreeMap::<&str, u32>::new(), 0x2545_F491u64);
    for round in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A moment in each part of the exposure, not everywhere at once.
        let moment = (round * SPAN_MS / kills + (seed >> 33) % (SPAN_MS / kills)).max(1);
        let target = address(&daemon, "json").to_owned();
        let mut client = appliance();
        client.args(["call", &target, "archon.expose", "0.1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = client.spawn().expect("runs");
        std::thread::sleep(Duration::from_millis(moment));
        daemon.signal(Signal::SIGKILL);
        daemon.gone();
        client.wait().expect("it ends");

        daemon = house.daemon(&[]);
        await_result(&daemon, &["archon.status", "simple=true"]);
        settle(&daemon, &house);
        let now = shelf(&house);
        for (path, bytes) in &before.sums {
            assert_eq!(now.sums.get(path), Some(bytes), "{} is as it was", path.display());
        }
        assert!(now.numbers.values().all(|files| *files % 2 == 0), "{:?}", now.numbers);
        let status = result(&daemon, &["archon.frame_status"]);
        let end = if now.sums.len() > before.sums.len() { "saved" } else { "not read out" };
        for controller in CONTROLLERS {
            let frame = newest(&status, controller);
            let saved = frame == 0 || now.frames.contains(&(controller.to_owned(), frame));
            assert!(
                saved,
                "round {round}: frame {frame} of {controller} was read out\n{}",
                daemon.log_text()
            );
        }
        *ends.entry(end).or_default() += 1;
        before = now;
        result(&daemon, &["archon.discard"]);
        result(&daemon, &["archon.reset"]);
    }
    let reply = result(&daemon, &["archon.expose", "flavour=bias"]);
    let number = reply.get("exposure_no").and_then(Value::as_f64).expect("a number") as u64;
    let last = before.numbers.keys().max().copied().unwrap_or(0);
    assert!(number > last && number <= last + kills + 1, "{number} after {last}");
    println!("{kills} kills: {ends:?}; exposure {number} is the next");
    daemon.stop();
}

/// Until recovery has nothing more to do and nobody reads out.
fn settle(daemon: &crate::house::Process, house: &House) {
    let began = Instant::now();
    loop {
        let idle = call(daemon, &["archon.wait_until_idle", "allow_errored=true", "timeout=30"]);
        call(daemon, &["archon.recover"]);
        if idle.status.success() && house.files(".lock").is_empty() {
            return;
        }
        assert!(began.elapsed() < WITHIN, "{:?}\n{}", house.files(""), daemon.log_text());
    }
}
