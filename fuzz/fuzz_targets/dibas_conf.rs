//! Any bytes as a `dibas.conf`: parsed, understood or refused, never a panic.
#![no_main]

use appliance::config::dibas::Dibas;
use appliance::proto::dibas_conf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(document) = dibas_conf::parse(text) {
        for section in &document.sections {
            for entry in &section.entries {
                let _ = document.interpolate(section, &entry.value);
            }
        }
    }
    let _ = Dibas::load(text, "fuzz");
});
