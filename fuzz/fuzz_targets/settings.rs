//! Any text as `appliance.toml`, and any override: read or refused, never a panic.
#![no_main]

use appliance::config::settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = settings::load(text, "fuzz", &[]);
    let _ = settings::load("", "fuzz", &[text.to_owned()]);
});
