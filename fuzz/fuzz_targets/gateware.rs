#![no_main]
//! Any bytes as a gateware image or a table of registers: a register map or a reason, never a panic.
use appliance::proto::{bof::Bof, fpg::Fpg, gateware, register_table};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (gateware::detect(data), gateware::register_map(data));
    let _ = (Bof::parse(data), Fpg::parse(data));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = register_table::parse(text);
        let _ = text.parse::<appliance::fpga::mmap::MmapAddress>();
    }
});
