//! Real System V memory at small sizes, under keys of this process, all of it removed afterwards.

use super::header::{Header, LENGTH, STRUCT_SIZE, is_plausible};
use super::*;
use crate::sys::sysv_sem::SysvSem;
use crate::sys::sysv_shm::SysvShm;
use std::process::{Command, Stdio};

/// Buffers of one test; gone when it ends, however it ends.
struct House(Vec<u32>, tempfile::TempDir);

impl House {
    fn new(n: u32) -> House {
        let first = 0x6C00_0000 | (std::process::id() & 0xffff) << 8 | n << 4;
        House((first..first + 8).collect(), tempfile::tempdir().expect("a directory"))
    }

    fn vegas(&self) -> Layout {
        let sizes = [(4, 16 << 10, Kind::Gpu), (4, 16 << 10, Kind::Cpu), (2, 8 << 10, Kind::Disk)];
        let fifo = self.1.path().join("vegas_daq_control");
        Layout::new("vegas_", Family::Vegas, self.0[0], &sizes).with_fifos(&[fifo.to_str().expect("UTF-8")])
    }

    fn guppi(&self) -> Layout {
        let sizes = [(2, 32 << 10, Kind::Gpu), (2, 64 << 10, Kind::Cpu)];
        Layout::new("guppi_", Family::Guppi, self.0[4], &sizes)
    }

    /// Which of its keys have memory and semaphores.
    fn there(&self) -> Vec<(bool, bool)> {
        let shm = |key| SysvShm::look(key).expect("asked").is_some();
        let sem = |key| SysvSem::find(key).expect("asked").is_some();
        self.0.iter().map(|key| (shm(*key), sem(*key))).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for key in &self.0 {
            if let Ok(shm) = SysvShm::attach(*key) {
                let _ = shm.remove();
            }
            if let Ok(Some(set)) = SysvSem::find(*key) {
                let _ = set.remove();
            }
        }
    }
}

const BOTH: (bool, bool) = (true, true);
const NONE: (bool, bool) = (false, false);

#[test]
fn the_standard_layouts_are_those_of_the_sites() {
    let own = Layout::new("vegas_mine", Family::Guppi, 7, &[(1, 1, Kind::Gpu)]);
    let layouts = Layouts::with_standard(vec![own.clone()]);
    assert_eq!(layouts.of("vegas_mine"), Some(&own), "what a site says comes first");
    assert_eq!(layouts.of("hashpipe"), None);
    let vegas = layouts.of("vegas_hpc_server").expect("known");
    assert_eq!(vegas.to_string(), "3 data buffers: 32 x 32768 KiB, 32 x 32768 KiB, 24 x 16384 KiB");
    assert_eq!(vegas.buffers[2].key, 0x00C6_2C72);
    let guppi = layouts.of("guppi_daq_server").expect("known");
    assert_eq!(guppi.to_string(), "2 data buffers: 8 x 131072 KiB, 8 x 262144 KiB");
    assert_eq!(layouts.keys(), [7, 0xC6_2C6A, 0xC6_2C6B, 0xC6_2C70, 0xC6_2C71, 0xC6_2C72]);
    // The sizes of real buffers.
    let four = Buffer { key: 0, blocks: 4, block_size: 1 << 20, kind: Kind::Gpu };
    assert_eq!(four.segment_size(Family::Guppi), 4_939_776);
    assert_eq!(Buffer { block_size: 64 << 10, ..four }.segment_size(Family::Vegas), 1_269_792);
}

#[test]
fn buffers_are_made_once_and_made_anew_only_when_they_differ() {
    let house = House::new(1);
    let (vegas, guppi) = (house.vegas(), house.guppi());
    assert_eq!(differences(&vegas).expect("looked").len(), 3);
    assert!(reformat(&vegas, &house.0).expect("made"));
    assert_eq!(house.there(), [BOTH, BOTH, BOTH, NONE, NONE, NONE, NONE, NONE]);
    assert_eq!(differences(&vegas).expect("looked"), [""; 0]);
    assert!(nix::sys::stat::stat(&vegas.fifos[0]).is_ok_and(|s| s.st_mode & 0o777 == 0o666));
    let disk = SysvSem::find(house.0[2]).expect("asked").expect("there");
    assert_eq!(disk.count().expect("asked"), 1024, "a disk buffer may be cut into many blocks");

    // A program has written something: it stays.
    let mut shm = SysvShm::attach(house.0[0]).expect("there");
    shm.region_mut().write(20_000, b"data");
    drop(shm);
    assert!(!reformat(&vegas, &house.0).expect("as they are"));
    let mut found = [0; 4];
    SysvShm::attach(house.0[0]).expect("there").region().read(20_000, &mut found);
    assert_eq!(&found, b"data");

    // Another program: the ones of the first go, as their memory is needed.
    assert!(reformat(&guppi, &house.0).expect("made"));
    assert_eq!(house.there(), [NONE, NONE, NONE, NONE, BOTH, BOTH, NONE, NONE]);
}

#[test]
fn a_disk_buffer_that_its_program_has_cut_anew_is_as_it_should_be() {
    let house = House::new(2);
    let vegas = house.vegas();
    reformat(&vegas, &house.0).expect("made");
    // What vegas_conf_databuf_size does when a scan starts: block size and number of blocks.
    for (index, changed) in [(2, false), (1, true)] {
        let mut shm = SysvShm::attach(house.0[index]).expect("there");
        shm.region_mut().write(88, &4096u64.to_le_bytes());
        shm.region_mut().write(120, &3i32.to_le_bytes());
        drop(shm);
        assert_eq!(reformat(&vegas, &house.0).expect("no obstacle"), changed, "buffer {}", index + 1);
    }
}

#[test]
fn missing_semaphores_are_a_difference() {
    let house = House::new(3);
    let guppi = house.guppi();
    reformat(&guppi, &house.0).expect("made");
    SysvSem::find(house.0[5]).expect("asked").expect("there").remove().expect("removed");
    let found = differences(&guppi).expect("looked");
    assert!(
        found.len() == 1 && found[0].contains("buffer 2") && found[0].contains("no semaphores"),
        "{found:?}"
    );
    assert!(reformat(&guppi, &house.0).expect("made"));
    assert_eq!(differences(&guppi).expect("looked"), [""; 0]);
}

#[test]
fn nothing_is_removed_under_a_program_that_is_attached() {
    let house = House::new(4);
    reformat(&house.vegas(), &house.0).expect("made");
    let program = SysvShm::attach(house.0[1]).expect("there");
    let before = SysvShm::look(house.0[0]).expect("asked");
    let error = reformat(&house.guppi(), &house.0).expect_err("in use").to_string();
    let pid = format!("pid {} (", std::process::id());
    assert!(error.contains(&pid) && error.contains("nothing was changed"), "{error}");
    assert_eq!(house.there(), [BOTH, BOTH, BOTH, NONE, NONE, NONE, NONE, NONE]);
    assert_eq!(SysvShm::look(house.0[0]).expect("asked"), before);
    // As it is, it may stay whoever uses it.
    assert!(!reformat(&house.vegas(), &house.0).expect("as they are"));
    drop(program);
    assert!(reformat(&house.guppi(), &house.0).expect("nobody is attached"));
}

#[test]
fn memory_of_somebody_else_is_left_alone() {
    let house = House::new(5);
    let mut theirs = SysvShm::create(house.0[6], 4096).expect("made");
    theirs.region_mut().write(0, b"a table of somebody else");
    drop(theirs);
    let error = reformat(&house.guppi(), &house.0).expect_err("not ours").to_string();
    assert!(error.contains("ipcrm") && error.contains("no data buffer"), "{error}");
    assert_eq!(house.there()[6], (true, false));
    // One that was never finished is no obstacle: it is all zeros.
    SysvShm::attach(house.0[6]).expect("there").region_mut().write(0, &[0; 64]);
    assert!(reformat(&house.guppi(), &house.0).expect("made"));
    assert_eq!(house.there()[6], NONE);
}

#[test]
fn what_is_in_the_place_of_a_pipe_is_not_replaced() {
    let house = House::new(6);
    let vegas = house.vegas();
    std::fs::write(&vegas.fifos[0], "a file").expect("written");
    let error = reformat(&vegas, &house.0).expect_err("a file").to_string();
    assert!(error.contains("vegas_daq_control") && error.contains("remove it"), "{error}");
    assert_eq!(std::fs::read(&vegas.fifos[0]).expect("read"), b"a file");
}

#[test]
fn a_buffer_that_cannot_be_made_leaves_none_behind() {
    let house = House::new(7);
    let mut layout = house.guppi();
    layout.buffers[1].blocks = 40_000; // more semaphores than any kernel gives
    layout.buffers[1].block_size = 0;
    layout.buffers[1].key = house.0[5];
    let room = layout.buffers[1].segment_size(Family::Guppi) >> 30;
    let error = reformat(&layout, &house.0).expect_err("too many").to_string();
    assert!(error.contains("kernel.") || error.contains("memory"), "{error} ({room} GiB)");
    assert_eq!(house.there(), [NONE; 8]);
}

#[test]
fn processes_of_others_are_found_by_their_maps() {
    let house = House::new(8);
    reformat(&house.guppi(), &house.0).expect("made");
    let (id, _) = SysvShm::look(house.0[4]).expect("asked").expect("there");
    // A child of ours is a process like any other; it is attached to nothing.
    let mut sleeper = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().expect("started");
    let _attached = SysvShm::attach(house.0[4]).expect("there");
    let text = attached::of_segment(house.0[4], id, 3);
    sleeper.kill().expect("killed");
    sleeper.wait().expect("reaped");
    assert!(!text.contains(&format!("pid {} ", sleeper.id())), "{text}");
    assert!(text.ends_with("2 that cannot be seen from here (another user's)"), "{text}");
}

#[test]
fn headers_come_back_from_their_bytes() {
    for family in [Family::Vegas, Family::Guppi] {
        for kind in [Kind::Gpu, Kind::Cpu, Kind::Disk] {
            let buffer = Buffer { key: 1, blocks: 24, block_size: 16 << 20, kind };
            let bytes = buffer.header(family).to_bytes(5, 0);
            assert_eq!(Header::from_bytes(&bytes, family), buffer.header(family));
            assert!(Header::from_bytes(&bytes, family).fits(&buffer, family) && is_plausible(&bytes));
            assert_eq!(buffer.block_header_at(0), STRUCT_SIZE);
        }
    }
    assert!(!is_plausible(&[b'x'; LENGTH]));
}
