#![no_main]
//! Any text as a reply of SYSTEM, STATUS and FRAME: types or a reason; and any bytes as a host's lines.
use appliance::proto::archon::{Frame, Status, System, host};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text: String = data.iter().map(|b| char::from(*b)).collect();
    if let Ok(system) = System::parse(&text) {
        let names: Vec<_> = (0..=17).map(|slot| system.module_type(slot).map(|t| t.name())).collect();
        let _ = (system.describe(), names);
    }
    if let Ok(status) = Status::parse(&text) {
        let _ = (status.describe(), status.power(), status.power_good(), status.valid(), status.log_lines());
        let number = |(key, _): &(String, String)| status.number(key).is_none_or(f64::is_finite);
        assert!(status.pairs.iter().all(number), "no number is none, not a strange one");
    }
    if let Ok(frame) = Frame::parse(&text) {
        let _ = frame.newest();
        assert!(frame.buffers.len() <= 3 && frame.buffers.iter().all(|b| b.blocks() <= u64::MAX / 1024 + 1));
    }
    let (mut lines, mut input) = (host::Lines::default(), data);
    while let Some(line) = lines.next(&mut input) {
        let Ok(id) = u8::from_str_radix(&String::from_utf8_lossy(&line.id), 16) else { panic!("{line:?}") };
        let bytes = host::line(id, &line.text);
        let again = host::Lines::default().next(&mut &bytes[..]);
        assert!(line.text.contains('\r') || again.is_some_and(|l| l.text == line.text), "{line:?}");
    }
});
