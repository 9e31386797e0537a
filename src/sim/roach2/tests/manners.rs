//! Habits of the hardware's server that can be switched on, and the sensors.

use super::*;

fn with(change: impl FnOnce(&mut RoachConfig)) -> Roach {
    let mut r = joined(Speaks::V4, &[]);
    change(&mut r.config);
    r
}

#[test]
fn garbage_counts_as_zero_where_it_does_on_the_hardware() {
    let mut r = with(|c| c.sloppy_numbers = true);
    assert_eq!(
        ask(&mut r, "?wordwrite r000 0 5\n?wordwrite r000 zzz 0x1z\n", 1),
        "!wordwrite ok\n!wordwrite ok\n"
    );
    assert_eq!(ask(&mut r, "?wordread r000\n", 1), "!wordread ok 0x1\n");
    assert!(ask(&mut r, "?wordwrite r000 0 \\@\n", 1).ends_with("!wordwrite fail\n"));
}

#[test]
fn a_running_tap_makes_everybody_wait_when_the_design_goes() {
    let mut r = with(|c| c.tap_drain = true);
    r.connect(ClientId(2), "other", at(0));
    assert!(ask(&mut r, "?progdev x.bof\n?tap-start tap0 gbe0 10.17.0.71\n", 1).contains("!tap-start ok\n"));
    assert_eq!(ask(&mut r, "?progdev\n?watchdog\n", 10), "");
    r.receive(ClientId(2), b"?watchdog\n", at(20));
    // Even the one who caused it may leave.
    r.closed(ME);
    assert_eq!((drain(&mut r).0, r.deadlines().0), (vec![], Some(at(3010).mono)));
    r.connect(ClientId(3), "late", at(2000));
    assert!(drain(&mut r).0.is_empty(), "not even a greeting");
    r.tick(at(3010));
    let said = String::from_utf8_lossy(&drain(&mut r).0.concat()).into_owned();
    assert!(said.contains("#fpga loaded\n#fpga down\n!watchdog ok\n#version "), "{said}");
    assert_eq!(ask(&mut r, "", 3011), "");
}

#[test]
fn without_taps_nobody_waits() {
    let mut r = with(|c| c.tap_drain = true);
    assert_eq!(ask(&mut r, "?progdev\n", 10), "#fpga loaded\n#fpga down\n!progdev ok\n");
}

#[test]
fn nagle_holds_the_rest_of_long_output() {
    let mut r = joined(Speaks::V4, &["nagle=40"]);
    let first = ask(&mut r, "?listdev\n", 100);
    assert_eq!((first.len(), r.deadlines().0), (4096, Some(at(140).mono)));
    r.tick(at(139));
    assert!(drain(&mut r).0.is_empty());
    r.tick(at(140));
    let rest = String::from_utf8_lossy(&drain(&mut r).0.concat()).into_owned();
    assert!(rest.len() > 4096 && rest.ends_with("!listdev ok\n"));
    // Short replies do not wait, and a request acknowledges what came before it.
    assert_eq!(ask(&mut r, "?watchdog\n", 150), "!watchdog ok\n");
    ask(&mut r, "?listdev\n", 200);
    assert!(ask(&mut r, "?watchdog\n", 201).ends_with("!listdev ok\n!watchdog ok\n"));
}

#[test]
fn sensors_are_listed_and_read() {
    let mut r = joined(Speaks::V4, &[]);
    let list = ask(&mut r, "?sensor-list\n", 1);
    assert!(list.contains("#sensor-list raw.temp.fpga FPGA\\_die degC float 0 85\n"), "{list}");
    assert!(list.ends_with("!sensor-list ok 5\n"));
    let clock = ask(&mut r, "?sensor-value fpga.clock\n", 1500);
    assert_eq!(clock, "#sensor-value 1500 1 fpga.clock nominal 200\n!sensor-value ok 1\n");
    assert!(ask(&mut r, "?sensor-value nosuch\n", 1).ends_with("!sensor-value fail\n"));
    ask(&mut r, "?progdev\n", 1);
    assert!(ask(&mut r, "?sensor-value fpga.clock\n", 1).contains(" inactive 0\n"));
    let mut r = joined(Speaks::V5, &[]);
    let clock = ask(&mut r, "?sensor-value[1] fpga.clock\n", 1500);
    assert_eq!(clock, "#sensor-value[1] 1.500 1 fpga.clock nominal 200\n!sensor-value[1] ok 1\n");
}

#[test]
fn a_sampled_sensor_reports_until_it_is_told_not_to() {
    for (speaks, period, tick) in [(Speaks::V4, "500", "1500"), (Speaks::V5, "0.5", "1.500")] {
        let mut r = joined(speaks, &[]);
        let text = ask(&mut r, &format!("?sensor-sampling fpga.clock period {period}\n"), 1000);
        assert!(text.starts_with("#sensor-status 1"), "{text}");
        assert!(text.ends_with(&format!("\n!sensor-sampling ok fpga.clock period {period}\n")), "{text}");
        assert_eq!(r.deadlines().0, Some(at(1500).mono));
        r.tick(at(1500));
        let status = String::from_utf8_lossy(&drain(&mut r).0.concat()).into_owned();
        assert_eq!(status, format!("#sensor-status {tick} 1 fpga.clock nominal 200\n"));
        let text = ask(&mut r, "?sensor-sampling fpga.clock none\n", 1600);
        assert_eq!((text.as_str(), r.deadlines().0), ("!sensor-sampling ok fpga.clock none\n", None));
    }
}

#[test]
fn an_event_is_a_change() {
    let mut r = joined(Speaks::V4, &[]);
    ask(&mut r, "?sensor-sampling fpga.clock event\n", 1000);
    r.tick(at(2000));
    assert_eq!((drain(&mut r).0.len(), r.deadlines().0), (0, Some(at(3000).mono)));
    ask(&mut r, "?progdev\n", 2500);
    r.tick(at(3000));
    let status = String::from_utf8_lossy(&drain(&mut r).0.concat()).into_owned();
    assert_eq!(status, "#sensor-status 3000 1 fpga.clock inactive 0\n");
}
