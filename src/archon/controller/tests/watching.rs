//! Polls and alarms.

use super::bench::Bench;
use crate::archon::controller::{Answer, Order};
use std::time::Duration;

fn raised(bench: &Bench, name: &str) -> Vec<bool> {
    bench.alarms().iter().filter(|(n, ..)| *n == name).map(|(.., on)| *on).collect()
}

#[test]
fn an_open_sensor_is_raised_once_and_cleared_once() {
    let mut bench = Bench::attached();
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "-273.150016".into());
    bench.run_for(Duration::from_secs(20));
    assert_eq!(raised(&bench, "sensor_invalid"), [true]);
    assert_eq!(raised(&bench, "temperature"), Vec::<bool>::new(), "an invalid value is no temperature");
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "-110.0".into());
    bench.run_for(Duration::from_secs(20));
    assert_eq!(raised(&bench, "sensor_invalid"), [true, false]);
    assert!(bench.controller.view().alarms.is_empty());
}

#[test]
fn temperature_and_its_rate_have_limits() {
    let mut bench = Bench::attached();
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "-106.0".into());
    bench.run_for(Duration::from_secs(29));
    assert_eq!(raised(&bench, "temperature_rate"), [true], "4 degrees at once");
    bench.peer.extra_status.insert("MOD2/TEMPA".into(), "-50.0".into());
    bench.run_for(Duration::from_secs(29));
    assert_eq!(raised(&bench, "temperature"), [true]);
}

#[test]
fn power_that_changes_by_itself_is_an_alarm_and_ours_is_none() {
    let mut bench = Bench::attached();
    bench.does(Order::Power { on: false, consent: Default::default() }).expect("off");
    bench.run_for(Duration::from_secs(100));
    assert_eq!(raised(&bench, "power_changed"), Vec::<bool>::new());
    bench.peer.power = 4;
    bench.run_for(Duration::from_secs(20));
    assert_eq!(raised(&bench, "power_changed"), [true]);
}

#[test]
fn a_count_that_stands_still_is_woken_once_and_then_an_alarm() {
    let mut bench = Bench::attached();
    bench.peer.ignore.insert("POLLON".into());
    bench.peer.polling = false;
    bench.run_for(Duration::from_secs(29));
    assert_eq!(bench.changes(0), ["POLLON"]);
    assert!(bench.said("sending POLLON"));
    assert_eq!(raised(&bench, "status_stale"), [true]);
    bench.peer.polling = true;
    bench.run_for(Duration::from_secs(10));
    assert_eq!(raised(&bench, "status_stale"), [true, false]);
}

#[test]
fn a_lost_link_is_an_alarm_until_it_is_back() {
    let mut bench = Bench::attached();
    bench.link_down();
    assert_eq!(raised(&bench, "link_lost"), [true]);
    assert!(!bench.controller.view().attached);
    assert!(bench.does(Order::Status).expect_err("no link").to_string().contains("not connected"));
    bench.link_up();
    bench.run_for(Duration::from_secs(2));
    assert_eq!(raised(&bench, "link_lost"), [true, false]);
    assert_eq!(bench.changes(0), Vec::<String>::new());
}

#[test]
fn the_controllers_log_is_drained() {
    let mut bench = Bench::attached();
    bench.peer.log = vec!["one".into(), "two".into()];
    bench.run_for(Duration::from_secs(3));
    assert!(bench.said("one") && bench.said("two"));
    assert!(bench.peer.log.is_empty());
    let asked = bench.sent.iter().filter(|c| c.text() == "FETCHLOG").count();
    bench.run_for(Duration::from_secs(10));
    assert_eq!(bench.sent.iter().filter(|c| c.text() == "FETCHLOG").count(), asked, "not when LOG is 0");
}

#[test]
fn a_readout_found_on_attach_is_left_alone_and_its_frame_kept() {
    let mut bench = Bench::attached();
    bench.peer.read_time = Duration::from_secs(30);
    bench.does(Order::Prepare { integration: Duration::ZERO, exposure: 1 }).expect("prepared");
    bench.does(Order::Release).expect("released");
    bench.run_for(Duration::from_millis(100));
    bench.order(Order::Readout { delay: 0 });
    bench.run_for(Duration::from_secs(1));
    let mut other = Bench::with(super::bench::config(), bench.peer.clone());
    other.now = bench.now;
    other.link_up();
    other.run_for(Duration::from_secs(3));
    assert_eq!(other.changes(0), Vec::<String>::new());
    assert!(other.said("it is left alone"));
    assert_eq!(other.controller.view().word.names(), ["READING", "POWERON"]);
    other.run_for(Duration::from_secs(40));
    assert_eq!(other.controller.view().word.names(), ["IDLE", "POWERON"]);
    assert!(matches!(
        other.does(Order::Lock(crate::archon::controller::Which::Newest)),
        Ok(Answer::Locked(_))
    ));
}

#[test]
fn read_only_after_a_panic_until_it_is_attached_again() {
    let mut bench = Bench::attached();
    bench.controller.drop_to_read_only("a panic in readout");
    let refused = bench.does(Order::Reset { timing: false }).expect_err("read-only").to_string();
    assert!(refused.contains("read-only: a panic in readout"), "{refused}");
    assert!(matches!(bench.does(Order::Status), Ok(Answer::Status(_))));
    bench.does(Order::Attach).expect("attached");
    bench.does(Order::Reset { timing: false }).expect("reset");
}
