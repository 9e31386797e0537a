//! A board in mapped memory: a file in place of the device.

use super::house::*;
use crate::world::dibas;
use appliance::fpga::model::dibas_registers;
use appliance::node::player::work::Job;
use appliance::node::work;
use appliance::value::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

struct Device {
    dir: tempfile::TempDir,
}

impl Device {
    fn new() -> Device {
        let device = Device { dir: tempfile::tempdir().expect("a directory") };
        let mut table = String::new();
        for r in dibas_registers().iter() {
            writeln!(table, "{} {} {}", r.name, r.offset, r.size).expect("memory");
        }
        std::fs::write(device.dir.path().join("map.tab"), table).expect("written");
        device
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("device")
    }

    fn appears(&self) {
        std::fs::write(self.path(), vec![0; dibas_registers().window() as usize]).expect("written");
    }

    /// A house whose bank has no synthesizer, which would be behind a KATCP server.
    fn house(&self, options: &str) -> House {
        let dir: &Path = self.dir.path();
        let address = format!("mmap:{0}/device?map={0}/map.tab&order=big{options}", dir.display());
        let mut dibas = dibas();
        dibas.banks[0].synth = None;
        House::of(Plan { dibas, mapped: Some(address), ..Plan::default() })
    }

    fn word(&self, register: &str) -> u32 {
        let map = dibas_registers();
        let at = map.get(register).expect("a register").offset as usize;
        let file = std::fs::read(self.path()).expect("the device");
        u32::from_be_bytes(file[at..at + 4].try_into().expect("four bytes"))
    }
}

const COMPLETE: &str = "&runs=h1k_example.bof&i2c=none";

#[test]
fn a_mode_is_set_prepared_and_started_without_a_server() {
    let device = Device::new();
    device.appears();
    let mut house = device.house(COMPLETE);
    assert!(house.shown("roach").starts_with("down: not opened yet"), "{}", house.shown("roach"));
    house.open_boards();
    assert_eq!(house.shown("roach"), "connected");
    let client = house.dealer();
    assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
    assert_eq!((device.word("acc_len"), device.word("fftshift")), (768, 0x5555));
    assert_eq!(device.word("sg_sync"), 0x11, "the end of the reset phase");
    assert_eq!(device.word("dest_ip"), 0x7F00_1101);
    house.ask(client, "prepare", &[]).expect("prepared");
    house.ask(client, "start", &[]).expect("started");
    assert_eq!(device.word("sg_sync"), 0x14, "the end of the arm phase");
    assert!(!house.ordered("connect"), "{:?}", house.log);
}

#[test]
fn a_device_that_is_not_there_is_tried_again() {
    let device = Device::new();
    let mut house = device.house(COMPLETE);
    house.open_boards();
    let why = house.shown("roach");
    assert!(why.starts_with("down: ") && why.contains("is its driver loaded?"), "{why}");
    let client = house.dealer();
    let error = house.ask(client, "set_mode", &["MODE1".into()]).expect_err("no board");
    assert!(error.message.contains("is its driver loaded?"), "{error}");
    device.appears();
    house.run_for(6.0);
    house.open_boards();
    assert_eq!(house.shown("roach"), "connected");
    assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
}

#[test]
fn a_device_that_leaves_is_noticed_and_opened_again() {
    let device = Device::new();
    device.appears();
    let mut house = device.house(COMPLETE);
    house.open_boards();
    let client = house.dealer();
    assert_eq!(house.ask(client, "set_mode", &["MODE1".into()]), new_mode());
    let file = std::fs::File::options().write(true).open(device.path()).expect("open");
    file.set_len(4096).expect("cut short");
    let error = house.ask(client, "prepare", &[]).or_else(|_| house.ask(client, "reset_roach", &[]));
    assert!(error.is_err(), "{error:?}");
    assert!(house.shown("roach").contains("was cut short"), "{}", house.shown("roach"));
    device.appears();
    house.run_for(6.0);
    house.open_boards();
    assert_eq!(house.shown("roach"), "connected");
}

#[test]
fn what_is_behind_the_server_only_fails_with_words() {
    let device = Device::new();
    device.appears();
    for (options, wanted) in [
        ("&i2c=none", "mapped memory cannot be programmed"),
        ("&runs=h1k_example.bof", "the bus is behind the board's KATCP server"),
    ] {
        let mut house = device.house(options);
        house.open_boards();
        let client = house.dealer();
        let outcome = house.ask(client, "set_mode", &["MODE1".into()]);
        let outcome = match outcome {
            Ok(Value::List(_)) => house.ask(client, "prepare", &[]),
            other => other,
        };
        let error = outcome.expect_err("refused");
        assert!(error.message.contains(wanted), "{error}");
    }
}

#[test]
fn an_opener_that_panics_does_not_end_the_search_for_the_device() {
    let device = Device::new();
    device.appears();
    let mut house = device.house(COMPLETE);
    assert!(matches!(house.worker_panics(), work::Job::Role(Job::OpenBoard { .. })));
    assert!(house.shown("roach").contains("could not be opened"), "{}", house.shown("roach"));
    house.run_for(6.0);
    house.open_boards();
    assert_eq!(house.shown("roach"), "connected");
}
