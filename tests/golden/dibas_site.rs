//! The site of the backend vectors: banks and modes as `modes.json` gives them, so that engine tests
//! need no `dibas.conf`. Host names are dotted quads there.

use appliance::config::dibas::{Bank, Cdd, Dibas, Mode, PhaseStep, Synth, SynthAt, text};
use serde_json::Value as Json;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// `modes.json` of this repository.
pub fn modes_json() -> Result<Json, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backends/modes.json");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| e.to_string())
}

/// `[DEFAULTS] telescope`, which `modes.json` does not carry, by file name.
const TELESCOPES: [(&str, &str); 2] = [("dibas.conf.gb", "GBT"), ("dibas.conf.shao", "SHAO")];

/// The site of a `modes.json`.
pub fn site(modes: &Json) -> Dibas {
    let config = modes["config"].as_str().unwrap_or("");
    let telescope = TELESCOPES.iter().find(|(name, _)| *name == config).map_or("", |(_, t)| t);
    let banks: Vec<&Json> = modes["banks"].as_object().into_iter().flat_map(|m| m.values()).collect();
    let master = banks.iter().find(|b| b["i_am_master"] == true);
    Dibas {
        path: config.to_owned(),
        telescope: telescope.to_owned(),
        who_is_master: master.map_or(String::new(), |b| string(&b["name"])),
        player_port: None,
        hpc_macs: Vec::new(),
        dealer_players: Vec::new(),
        banks: banks.into_iter().map(bank).collect(),
        modes: modes["modes"].as_object().into_iter().flat_map(|m| m.values()).map(mode).collect(),
        findings: Vec::new(),
        hash: String::new(),
    }
}

/// Text; empty for anything else.
pub fn string(v: &Json) -> String {
    v.as_str().unwrap_or("").to_owned()
}

fn int(v: &Json) -> i64 {
    v.as_i64().unwrap_or(0)
}

fn port(v: &Json) -> u16 {
    u16::try_from(int(v)).unwrap_or(0)
}

fn strings(v: &Json) -> Vec<String> {
    v.as_array().into_iter().flatten().map(string).collect()
}

fn bank(b: &Json) -> Bank {
    let mut filter_bits: Vec<(i64, u8)> = b["filter_bw_bits"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(bw, bits)| (bw.parse().unwrap_or(0), int(bits) as u8))
        .collect();
    filter_bits.sort_unstable();
    Bank {
        name: string(&b["name"]),
        hpc_host: string(&b["hpchost"]),
        player_port: port(&b["player_port"]),
        has_roach: b["has_roach"] == true,
        katcp: b["katcp_ip"].as_str().map(|host| (host.to_owned(), port(&b["katcp_port"]))),
        data_source_host: b["datahost"].as_str().map(str::to_owned),
        data_source_port: port(&b["dataport"]),
        data_destination_host: Ipv4Addr::from(int(&b["dest_ip"]) as u32).to_string(),
        data_destination_port: port(&b["dest_port"]),
        synth: b["synth"].as_str().map(|at| synth(at, b)),
        filter_bits,
        shm_keys: pairs(&b["shmkvpairs"]),
        x_engine: None,
        usable: Ok(()),
        line: 0,
    }
}

fn synth(at: &str, b: &Json) -> Synth {
    Synth {
        where_: if at == "local" { SynthAt::Local } else { SynthAt::Katcp },
        port: string(&b["synth_port"]),
        external_ref: b["synth_ref"] == 1,
        ref_freq_hz: int(&b["synth_ref_freq"]),
        vco_range_mhz: (int(&b["synth_vco_range"][0]), int(&b["synth_vco_range"][1])),
        rf_level_dbm: int(&b["synth_rf_level"]),
        options: std::array::from_fn(|i| int(&b["synth_options"][i])),
    }
}

/// An object as pairs of text.
pub fn pairs(v: &Json) -> Vec<(String, String)> {
    v.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), string(v))).collect()
}

/// `[["arm", "1"], ["wait", "0.2"]]`
pub fn phase(v: &Json) -> Vec<PhaseStep> {
    let words: Vec<String> = v.as_array().into_iter().flatten().flat_map(strings).collect();
    text::phase(&words.join(",")).map(|(steps, _)| steps).unwrap_or_default()
}

/// The six words in the order of the configuration.
pub fn selectors(v: &Json) -> [u32; 6] {
    ["master_int_int", "master_int_ext", "master_ext_ext", "slave_int_int", "slave_int_ext", "slave_ext_ext"]
        .map(|key| int(&v[key]) as u32)
}

fn mode(m: &Json) -> Mode {
    Mode {
        name: string(&m["name"]),
        modename: string(&m["backend_name"]).to_lowercase(),
        backend: string(&m["backend_type"]),
        filter_bw: int(&m["filter_bw"]),
        frequency: m["frequency"].as_f64().unwrap_or(0.0),
        nchan: int(&m["nchan"]),
        bof_file: string(&m["bof"]),
        hpc_program: string(&m["hpc_program"]),
        hpc_program_flags: string(&m["hpc_program_flags"]).split_whitespace().map(str::to_owned).collect(),
        needed_arm_delay: Duration::from_secs(int(&m["needed_arm_delay"]).unsigned_abs()),
        gigabit_interface_name: string(&m["gigabit_interface_name"]),
        dest_ip_register_name: string(&m["dest_ip_register_name"]),
        dest_port_register_name: string(&m["dest_port_register_name"]),
        reset_phase: phase(&m["reset_phase"]),
        arm_phase: phase(&m["arm_phase"]),
        postarm_phase: phase(&m["postarm_phase"]),
        master_slave_sel: selectors(&m["master_slave_sels"]),
        hwexposr: m["hwexposr"].as_f64(),
        gain: m["gain"].as_array().into_iter().flatten().map(int).collect(),
        sg_period: m["sg_period"].as_i64(),
        shm_keys: pairs(&m["shmkvpairs"]),
        roach_regs: pairs(&m["roach_kvpairs"])
            .into_iter()
            .map(|(name, value)| (name, text::register_value(&value)))
            .collect(),
        cdd: cdd(m),
        beamformer: None,
        usable: Ok(()),
        line: 0,
    }
}

fn cdd(m: &Json) -> Option<Cdd> {
    let hpcs = strings(&m["cdd_hpcs"]);
    let interfaces = hpcs.iter().map(|bank| string(&m["cdd_roach_ips"][bank])).collect();
    (m["cdd_mode"] == true).then(|| Cdd {
        data_interfaces: interfaces,
        master: string(&m["cdd_master_hpc"]),
        hpcs,
    })
}
