//! The images a simulated board holds, and the registers the DIBAS family has.

use super::register;
use crate::proto::gateware::{Register, RegisterMap};

/// Most images.
pub const MAX_DESIGNS: usize = 1024;

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// File name.
    pub name: String,
    /// Its registers.
    pub registers: RegisterMap,
}

/// Images in the order of `listbof`.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    designs: Vec<Design>,
    /// Any other `*.bof` name is accepted and has the registers of the DIBAS family.
    pub any_bof: bool,
}

impl Catalogue {
    /// An empty one that accepts any `*.bof` name.
    pub fn accepting_any() -> Catalogue {
        Catalogue { designs: Vec::new(), any_bof: true }
    }

    /// Adds or replaces an image; false when there are [`MAX_DESIGNS`].
    pub fn add(&mut self, design: Design) -> bool {
        if let Some(old) = self.designs.iter_mut().find(|d| d.name == design.name) {
            *old = design;
            return true;
        }
        let room = self.designs.len() < MAX_DESIGNS;
        if room {
            self.designs.push(design);
        }
        room
    }

    /// Removes an image; false: there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.designs.len();
        self.designs.retain(|d| d.name != name);
        self.designs.len() < before
    }

    /// File names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.designs.iter().map(|d| d.name.as_str())
    }

    /// The registers of an image.
    pub fn find(&self, name: &str) -> Option<RegisterMap> {
        let known = self.designs.iter().find(|d| d.name == name).map(|d| d.registers.clone());
        let accepted = self.any_bof && name.ends_with(".bof") && !name.contains('/');
        known.or_else(|| accepted.then(dibas_registers))
    }
}

/// Every register the players of the DIBAS family touch, whatever the design.
pub fn dibas_registers() -> RegisterMap {
    let singles = SYSTEM.iter().chain(VEGAS).chain(GUPPI).chain(BEAMFORMER).map(|n| ((*n).to_owned(), 4));
    let numbered = NUMBERED
        .iter()
        .flat_map(|(prefix, count, suffix)| (0..*count).map(move |n| (format!("{prefix}{n}{suffix}"), 4)));
    let lo_tables = (0..8).flat_map(|s| (0..16).map(move |n| (format!("s{s}_lo_{n}_lo_ram"), LO_TABLE)));
    let blocks = BLOCKS.iter().map(|(n, size)| ((*n).to_owned(), *size));
    let snapshots = SNAPSHOTS
        .iter()
        .flat_map(|s| SNAPSHOT.iter().map(move |(part, size)| (format!("{s}_{part}"), *size)));
    let all = singles.chain(numbered).chain(lo_tables).chain(blocks).chain(snapshots);
    RegisterMap::new(placed(all)).expect("the names of the tables below are unique")
}

/// One after the other, aligned to words, from 0.
fn placed(names: impl Iterator<Item = (String, u32)>) -> Vec<Register> {
    let mut next = 0;
    names
        .map(|(name, size)| {
            let offset = next;
            next += size.next_multiple_of(4);
            register(name, offset, size)
        })
        .collect()
}

/// Bytes of a local-oscillator table.
const LO_TABLE: u32 = 4096;

/// Customary in every CASPER design, in this order from 0.
const SYSTEM: &[&str] = &["sys_board_id", "sys_rev", "sys_pad", "sys_scratchpad", "sys_clkcounter"];

const VEGAS: &[&str] = &[
    "arm",
    "sg_sync",
    "reset",
    "status",
    "acc_len",
    "sg_period",
    "fftshift",
    "dest_ip",
    "dest_port",
    "ssg_length",
    "ssg_ms_sel",
    "mode_sel",
    "gain",
];

const GUPPI: &[&str] = &[
    "ARM",
    "ACC_LENGTH",
    "SCALE_I",
    "SCALE_Q",
    "SCALE_U",
    "SCALE_V",
    "OFFSET_I",
    "OFFSET_Q",
    "OFFSET_U",
    "OFFSET_V",
    "SCALE_P0",
    "SCALE_P1",
    "N_CHAN",
    "FFT_SHIFT",
    "DC_EN",
    "DEST_IP",
    "DEST_PORT",
    "tenGB_reset",
];

const BEAMFORMER: &[&str] = &["part2_x_port", "part2_gbe_rst_core"];

/// Prefix, how many from 0, suffix.
const NUMBERED: &[(&str, u32, &str)] = &[
    ("s", 8, "_mixer_cnt"),
    ("s", 8, "_quant_gain"),
    ("IP_", 8, ""),
    ("PT_", 8, ""),
    ("part2_x_id", 20, ""),
    ("part2_x_ip", 20, ""),
];

/// Snapshot blocks of the converters.
const SNAPSHOTS: &[&str] = &["adcsnap0", "adcsnap1"];

/// Registers of a snapshot block, of the older and the newer kind.
const SNAPSHOT: &[(&str, u32)] = &[
    ("ctrl", 4),
    ("status", 4),
    ("addr", 4),
    ("trig_offset", 4),
    ("tr_en_cnt", 4),
    ("val", 4),
    ("bram", 8192),
];

/// Blocks: the switching-signal table and the 10 GbE cores.
const BLOCKS: &[(&str, u32)] = &[
    ("ssg_lut_bram", 16_384),
    ("gbe0", 16_384),
    ("tGv20", 16_384),
    ("tGX8_tGv20", 16_384),
    ("tGX8_tGv21", 16_384),
    ("tGX8_tGv22", 16_384),
    ("tGX8_tGv23", 16_384),
    ("tGX8_tGv24", 16_384),
    ("tGX8_tGv25", 16_384),
    ("tGX8_tGv26", 16_384),
    ("tGX8_tGv27", 16_384),
    ("part2_gbe0", 16_384),
    ("part2_gbe1", 16_384),
    ("part2_gbe2", 16_384),
    ("part2_gbe3", 16_384),
];
