//! `[BANKx]` sections.

use super::reader::{Need, Reader, Verdict};
use super::{Bank, Severity, Synth, SynthAt, beamformer, text};
use crate::proto::dibas_conf::{Document, Section};

/// Output levels the synthesizer has, dBm.
const RF_LEVELS_DBM: [i64; 4] = [-4, -1, 2, 5];

/// Keys with a meaning in a bank section.
pub const KEYS: &[&str] = &[
    "hpchost",
    "player_port",
    "has_roach",
    "katcp_ip",
    "katcp_port",
    "data_source_host",
    "data_source_port",
    "data_destination_host",
    "data_destination_port",
    "synth",
    "synth_port",
    "synth_ref",
    "synth_ref_freq",
    "synth_vco_range",
    "synth_rf_level",
    "synth_options",
    "filter_bandwidth_bits",
    "shmkeys",
    "roach_reg_keys",
];

/// Reads one bank.
pub fn read(document: &Document, section: &Section) -> (Bank, Verdict) {
    let mut r = Reader::new(document, section);
    let has_roach = r.typed("has_roach", Need::Required, "true or false", text::boolean).unwrap_or(false);
    let with_roach = Need::when(has_roach);
    let katcp_host = r.text("katcp_ip", with_roach);
    let katcp_port = r.port("katcp_port", with_roach);
    let bank = Bank {
        name: section.name.clone(),
        hpc_host: r.required("hpchost"),
        player_port: r.port("player_port", Need::Required).unwrap_or(0),
        has_roach,
        katcp: katcp_host.zip(katcp_port),
        data_source_host: r.text("data_source_host", with_roach),
        data_source_port: r.port("data_source_port", Need::Required).unwrap_or(0),
        data_destination_host: r.required("data_destination_host"),
        data_destination_port: r.port("data_destination_port", Need::Required).unwrap_or(0),
        synth: synth(&mut r, with_roach),
        filter_bits: filter_bits(&mut r, with_roach),
        shm_keys: r.key_list("shmkeys"),
        x_engine: beamformer::x_engine(&mut r),
        usable: Ok(()),
        line: section.line,
    };
    r.key_list("roach_reg_keys");
    let verdict = r.finish();
    (Bank { usable: verdict.usable.clone(), ..bank }, verdict)
}

fn synth(r: &mut Reader, need: Need) -> Option<Synth> {
    let where_ = r.text("synth", need);
    let port = r.text("synth_port", need);
    let reference = r.text("synth_ref", need);
    let ref_freq_hz = r.int("synth_ref_freq", need);
    let vco_range = r.typed("synth_vco_range", need, "two whole numbers 'min, max' in MHz", numbers::<2>);
    let rf_level_dbm = r.int("synth_rf_level", need);
    let options = r.typed(
        "synth_options",
        need,
        "four whole numbers 'doubler, halver, divider, low-spur'",
        numbers::<4>,
    );
    if let Some(level) = rf_level_dbm.filter(|level| !RF_LEVELS_DBM.contains(level)) {
        let problem = format!("{level} dBm is not a level of the synthesizer, which will keep the old one");
        r.remark(Severity::Warning, "synth_rf_level", problem, "write -4, -1, 2 or 5");
    }
    let where_ = match where_?.as_str() {
        "local" => SynthAt::Local,
        "katcp" => SynthAt::Katcp,
        other => {
            let problem = format!("'{other}' means: no synthesizer");
            r.remark(Severity::Warning, "synth", problem, "write 'local', 'katcp' or N/A");
            return None;
        }
    };
    let vco = vco_range?;
    Some(Synth {
        where_,
        port: port?,
        external_ref: reference? == "external",
        ref_freq_hz: ref_freq_hz?,
        vco_range_mhz: (vco[0], vco[1]),
        rf_level_dbm: rf_level_dbm?,
        options: options?,
    })
}

fn filter_bits(r: &mut Reader, need: Need) -> Vec<(i64, u8)> {
    let Some(value) = r.text("filter_bandwidth_bits", need) else {
        return Vec::new();
    };
    text::filter_bits(&value).unwrap_or_else(|problem| {
        r.refuse("filter_bandwidth_bits", problem, "write pairs 'MHz, hex bits, MHz, hex bits'");
        Vec::new()
    })
}

fn numbers<const N: usize>(text: &str) -> Option<[i64; N]> {
    text::int_list(text).ok()?.try_into().ok()
}
