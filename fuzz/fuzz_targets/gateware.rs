#![no_main]
//! Any bytes as a gateware image: a register map or a reason, never a panic.
use appliance::proto::{bof::Bof, fpg::Fpg, gateware};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (gateware::detect(data), gateware::register_map(data));
    let _ = (Bof::parse(data), Fpg::parse(data));
});
