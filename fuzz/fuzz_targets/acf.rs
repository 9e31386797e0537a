//! Any bytes as an ACF file and as a readback, any text as `archon.yml` and as a limits file: read or refused, never a
//! panic; what is written is read back.
#![no_main]

use appliance::config::acf::{About, Acf, source_lines};
use appliance::config::archon::{ArchonConfig, limits::Limits};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let text = Acf::decode(data);
    if let Ok((acf, _)) = Acf::parse(&text) {
        let lines = source_lines(&text);
        let _ = acf.lint(&About { lines: Some(&lines), ..About::default() });
        let (again, findings) = Acf::parse(&acf.to_text()).expect("our own text is read");
        assert_eq!(again, acf);
        assert!(findings.is_empty());
        assert!(acf.diff(&again).is_empty());
    }
    let memory = Acf::from_wire(text.split('\n').map(|line| Some(line.to_owned())).collect());
    Acf::parse(&memory.to_text()).expect("our own text is read");
    let _ = ArchonConfig::load(&text, Path::new("fuzz.yml"), &|_| None);
    let _ = Limits::load(&text, "fuzz");
});
