//! The binary runs on any distribution: no dynamic loader. A `RUSTFLAGS` variable in the
//! environment would undo this without a word.

use std::ops::Range;

/// `p_type` of the segment that names the dynamic loader.
const PT_INTERP: u32 = 3;

#[test]
#[allow(clippy::assertions_on_constants)] // decided by the flags of the build, which is the point
fn the_c_library_is_linked_statically() {
    assert!(
        cfg!(target_feature = "crt-static"),
        "is RUSTFLAGS set? it replaces the flags of .cargo/config.toml"
    );
}

#[test]
fn no_segment_asks_for_a_dynamic_loader() {
    let path = std::env::var("APPLIANCE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_appliance").to_owned());
    let elf = std::fs::read(&path).expect("the binary was built");
    assert_eq!(&elf[..5], b"\x7fELF\x02", "{path} is a 64-bit ELF file");
    let types = segment_types(&elf);
    assert!(!types.is_empty(), "{path} has program headers");
    assert!(!types.contains(&PT_INTERP), "{path} asks for a dynamic loader");
}

/// The types in the program header table of a little-endian ELF64: offset at 32, entry size at 54,
/// entry count at 56.
fn segment_types(elf: &[u8]) -> Vec<u32> {
    let number = |at: Range<usize>| elf[at].iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    let (table, size, count) = (number(32..40), number(54..56), number(56..58));
    (0..count).map(|i| table + i * size).map(|at| number(at..at + 4) as u32).collect()
}
