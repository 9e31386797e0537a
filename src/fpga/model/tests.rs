//! The board by hand.

use super::*;
use crate::units::NANOS;

fn board(pps: Pps) -> Board {
    let catalogue = Catalogue::accepting_any();
    let mut board = Board::new(BoardConfig { catalogue, pps, ..BoardConfig::default() });
    assert!(board.program("h1k.bof", Utc(0)));
    board
}

fn at(seconds: f64) -> Utc {
    Utc((seconds * NANOS as f64) as i64)
}

fn word(board: &mut Board, register: &str, value: u32, when: f64) {
    board.write(register, 0, &value.to_be_bytes(), at(when)).expect("a register of the family");
}

#[test]
fn access_errors() {
    let mut b = board(Pps::Clock);
    assert_eq!(b.read("nosuch", 0, 4, at(0.)), Err(AccessError::NoSuchRegister("nosuch".into())));
    assert!(matches!(b.read("acc_len", 1, 4, at(0.)), Err(AccessError::Range { .. })));
    assert!(matches!(b.read("acc_len", u64::MAX, 4, at(0.)), Err(AccessError::Range { .. })));
    assert!(!b.program("h1k.fpg", at(0.)));
    assert_eq!(b.read("acc_len", 0, 4, at(0.)), Err(AccessError::NotProgrammed));
}

#[test]
fn the_family_has_the_registers_of_all_its_players() {
    let map = dibas_registers();
    for name in
        ["sg_sync", "s7_lo_15_lo_ram", "ssg_lut_bram", "gbe0", "tGX8_tGv27", "IP_7", "part2_x_id19", "ARM"]
    {
        assert!(map.get(name).is_some(), "{name}");
    }
    assert_eq!(map.get("sys_clkcounter").map(|r| r.offset), Some(0x10));
}

#[test]
fn the_last_rising_edge_before_the_pulse_counts() {
    let mut b = board(Pps::Clock);
    // VEGAS high bandwidth: arm once, then again 0.2 s later, across no pulse.
    word(&mut b, "arm", 0, 10.3);
    word(&mut b, "arm", 1, 10.3);
    word(&mut b, "arm", 0, 10.3);
    word(&mut b, "arm", 1, 10.5);
    assert_eq!(b.arm(), Arm::Armed { at: Some(at(11.)) });
    b.advance(at(10.99));
    assert_eq!(b.take_events(), []);
    b.advance(at(11.2));
    assert_eq!(b.take_events(), [BoardEvent::Started(at(11.))]);
    word(&mut b, "arm", 0, 12.0);
    assert_eq!(b.arm(), Arm::Running { since: at(11.) });
}

#[test]
fn arming_a_running_instrument_stops_it() {
    let mut b = board(Pps::Manual);
    word(&mut b, "ARM", 1, 1.);
    b.pulse(at(2.));
    word(&mut b, "ARM", 0, 3.);
    word(&mut b, "ARM", 1, 3.);
    assert_eq!(b.take_events(), [BoardEvent::Started(at(2.)), BoardEvent::Stopped(at(3.))]);
    assert_eq!(b.deadline(), None);
}

#[test]
fn an_edge_found_late_first_starts_what_was_due() {
    let mut b = board(Pps::Clock);
    word(&mut b, "arm", 1, 1.5);
    word(&mut b, "arm", 0, 2.5);
    word(&mut b, "arm", 1, 2.6);
    assert_eq!(b.take_events(), [BoardEvent::Started(at(2.)), BoardEvent::Stopped(at(2.6))]);
}

#[test]
fn a_reset_pulse_clears_the_error_flag_and_stuck_bits_stay() {
    let config = BoardConfig {
        catalogue: Catalogue::accepting_any(),
        stuck: vec![("gain".into(), 0xF)],
        ..BoardConfig::default()
    };
    let mut b = Board::new(config);
    b.program("x.bof", at(0.));
    b.poke("status", 3, &[3]);
    word(&mut b, "reset", 1, 1.);
    assert_eq!(b.read("status", 0, 4, at(1.)), Ok(vec![0, 0, 0, 2]));
    word(&mut b, "gain", 0xFF, 1.);
    assert_eq!(b.read("gain", 0, 4, at(1.)), Ok(vec![0, 0, 0, 0xF0]));
}

#[test]
fn the_clock_counter_advances() {
    let b = board(Pps::Clock);
    assert_eq!(b.read("sys_clkcounter", 0, 4, at(1.)), Ok(200_000_000u32.to_be_bytes().to_vec()));
    assert_eq!(b.read("sys_clkcounter", 0, 2, at(1.)), Ok(200_000_000u32.to_be_bytes()[..2].to_vec()));
}
