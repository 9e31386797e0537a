//! The fuzz targets, built with the stable compiler and without libFuzzer, and run over their corpora and over seeded
//! noise: they stay compilable with every change, and what a run of `scripts/fuzz` once found stays found.
//!
//! This crate is `libfuzzer_sys` to them: it has the one macro they use.

// `no_main` is for libFuzzer's own `main`.
#![allow(unused_attributes)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

extern crate self as libfuzzer_sys;

/// Rounds of noise for each target; `APPLIANCE_FUZZ_ROUNDS` asks for more.
const ROUNDS: usize = 1000;

/// What a target takes, made of bytes.
pub trait Input<'a> {
    /// Made of these.
    fn of(data: &'a [u8]) -> Self;
}

impl<'a> Input<'a> for &'a [u8] {
    fn of(data: &'a [u8]) -> Self {
        data
    }
}

impl<'a> Input<'a> for (Vec<u8>, String, String, f64, bool) {
    fn of(data: &'a [u8]) -> Self {
        let (first, rest) = data.split_at(data.len() / 2);
        let (key, value) = rest.split_at(rest.len() / 2);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let number = data.first_chunk().map_or(0.5, |bytes| f64::from_le_bytes(*bytes));
        (first.to_vec(), text(key), text(value), number, data.len().is_multiple_of(2))
    }
}

#[path = "../fuzz/fuzz_targets/acf.rs"]
mod acf;
#[path = "../fuzz/fuzz_targets/archon_decoder.rs"]
mod archon_decoder;
#[path = "../fuzz/fuzz_targets/archon_reply.rs"]
mod archon_reply;
#[path = "../fuzz/fuzz_targets/dibas_conf.rs"]
mod dibas_conf;
#[path = "../fuzz/fuzz_targets/gateware.rs"]
mod gateware;
#[path = "../fuzz/fuzz_targets/json_rpc.rs"]
mod json_rpc;
#[path = "../fuzz/fuzz_targets/katcp.rs"]
mod katcp;
#[path = "../fuzz/fuzz_targets/player_link.rs"]
mod player_link;
#[path = "../fuzz/fuzz_targets/rpc_frame.rs"]
mod rpc_frame;
#[path = "../fuzz/fuzz_targets/settings.rs"]
mod settings;
#[path = "../fuzz/fuzz_targets/spead.rs"]
mod spead;
#[path = "../fuzz/fuzz_targets/status_cards.rs"]
mod status_cards;
#[path = "../fuzz/fuzz_targets/valon.rs"]
mod valon;
#[path = "../fuzz/fuzz_targets/zmtp.rs"]
mod zmtp;

/// A target as a function. Behind the targets, so that they find it by its path as they find libFuzzer's.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: $kind:ty| $body:block) => {
        pub fn run(data: &[u8]) {
            let $input: $kind = $crate::Input::of(data);
            $body
        }
    };
}

/// What a target does with its input.
type Run = fn(&[u8]);

const TARGETS: &[(&str, Run)] = &[
    ("acf", acf::run),
    ("archon_decoder", archon_decoder::run),
    ("archon_reply", archon_reply::run),
    ("dibas_conf", dibas_conf::run),
    ("gateware", gateware::run),
    ("json_rpc", json_rpc::run),
    ("katcp", katcp::run),
    ("player_link", player_link::run),
    ("rpc_frame", rpc_frame::run),
    ("settings", settings::run),
    ("spead", spead::run),
    ("status_cards", status_cards::run),
    ("valon", valon::run),
    ("zmtp", zmtp::run),
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = here("fuzz/corpus").join(name);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let files: BTreeSet<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.iter().map(|path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).collect()
}

/// Numbers that are the same every time (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// A seed with some bytes changed, cut off or repeated; or nothing but noise.
    fn changed(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = match seeds.get(self.below(seeds.len() + 1)) {
            Some(seed) => seed.clone(),
            None => (0..self.below(300)).map(|_| self.next() as u8).collect(),
        };
        for _ in 0..self.below(8) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.next() as u8),
                2 => bytes.extend_from_within(at..),
                _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (at % 8)),
            }
        }
        bytes
    }
}

#[test]
fn every_target_survives_its_corpus_and_seeded_noise() {
    let rounds = std::env::var("APPLIANCE_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    for (name, run) in TARGETS {
        let seeds = corpus(name);
        let mut noise = Noise(1);
        let changed = (0..rounds).map(|_| noise.changed(&seeds)).collect::<Vec<_>>();
        for data in seeds.iter().chain(&changed) {
            if let Err(cause) = std::panic::catch_unwind(|| run(data)) {
                println!("target {name}, input {}", data.escape_ascii());
                std::panic::resume_unwind(cause);
            }
        }
        println!("{name}: {} seeds, {rounds} rounds of noise", seeds.len());
    }
}

#[test]
fn every_target_is_known_here_and_to_cargo_fuzz() {
    let files: BTreeSet<String> = fs::read_dir(here("fuzz/fuzz_targets"))
        .expect("the targets")
        .map(|entry| {
            entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    let ours: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, ours);
    let manifest = read(&here("fuzz/Cargo.toml"));
    for name in ours {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} has no [[bin]] in fuzz/Cargo.toml"
        );
    }
}

/// The dependencies of this package as a lock file lists them.
fn dependencies(lock: &Path) -> BTreeSet<String> {
    let text = read(lock);
    let package = text.split("[[package]]").find(|block| block.contains("name = \"appliance\"\n"));
    let package = package.unwrap_or_else(|| panic!("{} does not know this package", lock.display()));
    let list = package.split_once("dependencies = [").expect("some").1;
    let names = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.split(['"', ' ']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_lock_file_of_the_targets_is_in_step() {
    let manifest = read(&here("Cargo.toml"));
    // Those of tests are in our own lock file only.
    let tests = manifest.split_once("[dev-dependencies]").expect("some").1.split("\n[").next().expect("one");
    let mut ours = dependencies(&here("Cargo.lock"));
    ours.retain(|name| !tests.contains(&format!("\n{name} = ")));
    let fuzz = dependencies(&here("fuzz/Cargo.lock"));
    assert_eq!(ours, fuzz, "write it again: cargo update --manifest-path fuzz/Cargo.toml -p appliance");
}
