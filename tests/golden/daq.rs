//! Packets of the spectrometer: part of the area `shm`, whose runner hands the file over.

use crate::report::Report;
use appliance::proto::spead::{PAYLOAD_BYTES, Packet};
use serde_json::Value;

/// Runs `vegas_packets.json`: a list of cases with `wire_header` and `check_rc`. False: not that file.
pub fn run_packets(json: &Value, report: &mut Report) -> bool {
    let Some(cases) = json.as_array() else { return false };
    if cases.is_empty() || !cases.iter().all(|c| c["wire_header"].is_string() && c["check_rc"].is_i64()) {
        return false;
    }
    for case in cases {
        let name = case["name"].as_str().unwrap_or("packet without a name");
        if case["synth_header_host"].is_string() || case["packet_size"] == PAYLOAD_BYTES + 16 {
            report.skip(name, "low-bandwidth packets come with the low-bandwidth modes");
        } else {
            report.check(name, check(case));
        }
    }
    true
}

fn check(case: &Value) -> Result<(), String> {
    let mut datagram = bytes(&case["wire_header"])?;
    let size = case["packet_size"].as_u64().ok_or("no packet_size")? as usize;
    for word in 0..size.saturating_sub(datagram.len()).div_ceil(4) as u32 {
        datagram.extend_from_slice(&(0x0102_0300 + word).to_be_bytes());
    }
    datagram.truncate(size);
    let packet = Packet::parse(&datagram);
    if case["check_rc"] != 0 {
        return packet.map_or(Ok(()), |p| Err(format!("accepted as {:?}", p.heap)));
    }
    let packet = packet.map_err(|e| e.to_string())?;
    same("heap_cntr", case["heap_cntr"].as_u64(), u64::from(packet.heap))?;
    same("heap_offset", case["heap_offset"].as_u64(), packet.offset)?;
    if let Some(d) = packet.description {
        // Heap header in memory: id and flag, then the low 32 bits in host order, eight bytes each.
        let memory = bytes(&case["heap_header_mem"])?;
        let word = |k: usize| {
            let at = memory.get(8 * k + 4..8 * k + 8)?;
            Some(u64::from(u32::from_le_bytes(at.try_into().ok()?)))
        };
        let top = memory.get(3).map(|&b| u64::from(b) << 32);
        same("time counter", top.zip(word(0)).map(|(t, w)| t | w), d.time_counter)?;
        same("spectrum counter", word(1), d.spectrum_counter & 0xffff_ffff)?;
        same("integration size", word(2), d.integration_size)?;
        same("mode", word(3), d.mode)?;
        same("status", word(4), u64::from(d.status))?;
        same("payload offset", word(5), d.payload_offset)?;
    }
    let expected = bytes(&case["payload_mem_first16"])?;
    let swapped: Vec<u8> = packet.payload[..16].chunks(4).flat_map(|w| w.iter().rev().copied()).collect();
    if swapped != expected {
        return Err(format!("payload begins {swapped:x?}, expected {expected:x?}"));
    }
    let mut again = Vec::new();
    packet.emit(&mut again);
    // The short form has its flags as in the long one; the reference's own example is the same.
    if again == datagram { Ok(()) } else { Err("emitted again it differs".into()) }
}

fn same(what: &str, expected: Option<u64>, found: u64) -> Result<(), String> {
    let expected = expected.ok_or_else(|| format!("the case has no {what}"))?;
    if expected == found { Ok(()) } else { Err(format!("{what}: {found}, expected {expected}")) }
}

fn bytes(hex: &Value) -> Result<Vec<u8>, String> {
    let hex = hex.as_str().ok_or("hex text missing")?;
    let pair = |k: usize| hex.get(k..k + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
    (0..hex.len()).step_by(2).map(|k| pair(k).ok_or_else(|| format!("'{hex}' is not hex"))).collect()
}
