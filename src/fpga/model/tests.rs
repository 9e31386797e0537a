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

fn snapshot_board() -> Board {
    let names =
        [("snap_ctrl", 0, 4), ("snap_status", 4, 4), ("snap_trig_offset", 8, 4), ("snap_tr_en_cnt", 12, 4)];
    let single = names.map(|(name, offset, size)| register(name, offset, size));
    let block = [register("snap_bram", 0x1000, 32), register("lone_ctrl", 16, 4)];
    let map = RegisterMap::new(single.into_iter().chain(block).collect()).expect("unique");
    let mut board =
        Board::new(BoardConfig { snapshot_time: Duration::from_millis(250), ..BoardConfig::default() });
    assert!(board.load("snap.bof", &map, at(0.)));
    board
}

fn read_word(board: &Board, register: &str) -> u32 {
    let bytes = board.read(register, 0, 4, at(0.)).expect(register);
    u32::from_be_bytes(bytes.try_into().expect("a word"))
}

#[test]
fn a_rising_edge_fills_a_snapshot_block() {
    let mut b = snapshot_board();
    word(&mut b, "snap_trig_offset", 8, 1.);
    word(&mut b, "snap_ctrl", 6, 1.);
    assert_eq!((read_word(&b, "snap_status"), b.deadline()), (0, None));
    word(&mut b, "snap_ctrl", 7, 1.);
    assert_eq!((read_word(&b, "snap_status"), b.deadline()), (1 << 31, Some(at(1.25))));
    b.advance(at(1.25));
    assert_eq!((read_word(&b, "snap_status"), read_word(&b, "snap_tr_en_cnt")), (32, 40));
    let data = b.read("snap_bram", 0, 32, at(2.)).expect("the data");
    let words: Vec<u32> = data.chunks(4).map(|w| u32::from_be_bytes(w.try_into().expect("a word"))).collect();
    assert!(words.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "{words:x?}");

    word(&mut b, "snap_ctrl", 7, 3.);
    assert_eq!(b.deadline(), None, "the bit did not rise");
    word(&mut b, "snap_ctrl", 0, 3.);
    word(&mut b, "snap_ctrl", 1, 3.);
    b.advance(at(4.));
    assert_ne!(b.read("snap_bram", 0, 32, at(4.)), Ok(data), "another capture");
    word(&mut b, "lone_ctrl", 1, 4.);
    assert_eq!(b.deadline(), None, "no block without a status and a memory");
}

#[test]
fn registers_that_overlap_share_their_bytes() {
    let names = [("window", 0, 16), ("arm", 8, 4), ("low", 10, 2), ("sys_clkcounter", 12, 4)];
    let map =
        RegisterMap::new(names.map(|(n, offset, size)| register(n, offset, size)).to_vec()).expect("unique");
    let mut b = Board::new(BoardConfig::default());
    assert!(b.load("overlap.bof", &map, at(0.)));
    b.write("low", 0, &[0xAB, 0xCC], at(0.5)).expect("written");
    assert_eq!(b.read("arm", 0, 4, at(0.5)), Ok(vec![0, 0, 0xAB, 0xCC]));
    // The fabric sees the wire, not the name.
    b.write("window", 8, &[0, 0, 0, 1], at(0.5)).expect("written");
    assert_eq!(b.arm(), Arm::Armed { at: Some(at(1.)) });
    let ticks = 100_000_000u32.to_be_bytes();
    assert_eq!(b.read("window", 10, 5, at(0.5)), Ok(vec![0, 1, ticks[0], ticks[1], ticks[2]]));
}

#[test]
fn a_bare_bitstream_is_mapped_by_hand() {
    let mut b = Board::new(BoardConfig::default());
    assert!(!b.finalise() && !b.add_register(register("a", 0, 4)));
    b.load_bitstream("raw", at(0.));
    assert!(b.add_register(register("a", 0, 4)) && !b.add_register(register("a", 4, 4)));
    assert_eq!(b.read("a", 0, 4, at(0.)), Err(AccessError::NotProgrammed));
    assert!(b.finalise() && !b.finalise());
    assert_eq!(b.read("a", 0, 4, at(0.)), Ok(vec![0; 4]));
}
