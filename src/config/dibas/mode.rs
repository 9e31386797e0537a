//! Mode sections.

use super::reader::{Need, Reader, Verdict};
use super::{Cdd, Mode, PhaseStep, Severity, beamformer, text};
use crate::proto::dibas_conf::{Document, Section};
use std::time::Duration;

/// Longest arm delay accepted, s.
const ARM_DELAY_S_MAX: i64 = 3600;

/// Keys with a meaning in a mode section.
pub const KEYS: &[&str] = &[
    "modename",
    "backend",
    "filter_bw",
    "frequency",
    "nchan",
    "bof_file",
    "hpc_program",
    "hpc_program_flags",
    "hpc_fifo_name",
    "needed_arm_delay",
    "gigabit_interface_name",
    "dest_ip_register_name",
    "dest_port_register_name",
    "reset_phase",
    "arm_phase",
    "postarm_phase",
    "master_slave_sel",
    "hwexposr",
    "gain",
    "shmkeys",
    "roach_reg_keys",
    "cdd_hpcs",
    "cdd_data_interfaces",
    "cdd_master_hpc",
    // The FLAG beamformer's.
    "fits_process",
    "sim3",
];

/// Keys that mean something only when a key list names them.
pub const LISTED_ONLY: &[&str] = &["obs_mode", "sg_period"];

/// Reads one mode.
pub fn read(document: &Document, section: &Section) -> (Mode, Verdict) {
    let mut r = Reader::new(document, section);
    let modename_as_written = r.required("MODENAME");
    let modename = modename_as_written.to_ascii_lowercase();
    let vegas = is_vegas(&modename);
    r.text("hpc_fifo_name", Need::Optional);
    let mode = Mode {
        name: section.name.clone(),
        backend: r.required("BACKEND"),
        filter_bw: r.int("filter_bw", Need::Required).unwrap_or(0),
        frequency: frequency(&mut r),
        nchan: nchan(&mut r),
        bof_file: r.required("bof_file"),
        hpc_program: r.required("hpc_program"),
        hpc_program_flags: words(r.text("hpc_program_flags", Need::Optional)),
        needed_arm_delay: arm_delay(&mut r),
        gigabit_interface_name: r.required("gigabit_interface_name"),
        dest_ip_register_name: r.required("dest_ip_register_name"),
        dest_port_register_name: r.required("dest_port_register_name"),
        reset_phase: phase(&mut r, "reset_phase", Need::Optional),
        arm_phase: phase(&mut r, "arm_phase", Need::Required),
        postarm_phase: phase(&mut r, "postarm_phase", Need::Optional),
        master_slave_sel: master_slave_sel(&mut r, Need::when(vegas)),
        hwexposr: hwexposr(&mut r, Need::when(vegas)),
        gain: gain(&mut r),
        sg_period: r.int("sg_period", Need::Optional),
        shm_keys: r.key_list("shmkeys"),
        roach_regs: r
            .key_list("roach_reg_keys")
            .into_iter()
            .map(|(name, value)| (name, text::register_value(&value)))
            .collect(),
        cdd: cdd(&mut r, &modename_as_written),
        beamformer: beamformer::of_mode(&mut r, &modename),
        usable: Ok(()),
        line: section.line,
        modename,
    };
    let verdict = r.finish();
    (Mode { usable: verdict.usable.clone(), ..mode }, verdict)
}

/// The VEGAS engines need the switching-signal keys.
fn is_vegas(modename: &str) -> bool {
    matches!(modename, "h1k" | "h16k" | "l1/lbw1" | "l8/lbw1" | "l8/lbw8")
}

fn words(text: Option<String>) -> Vec<String> {
    text.iter().flat_map(|t| t.split_whitespace()).map(str::to_owned).collect()
}

fn frequency(r: &mut Reader) -> f64 {
    let frequency = r.float("frequency", Need::Required).unwrap_or(0.0);
    if frequency == 0.0 && r.text("frequency", Need::Optional).is_some() {
        r.refuse("frequency", "the synthesizer frequency is 0", "write it in MHz (or Hz above 5000)");
    }
    frequency
}

fn nchan(r: &mut Reader) -> i64 {
    let nchan = r.int("nchan", Need::Required);
    if let Some(n) = nchan.filter(|n| *n < 1) {
        r.refuse("nchan", format!("{n} channels"), "write the channel count of the FPGA design");
    }
    nchan.unwrap_or(0)
}

fn arm_delay(r: &mut Reader) -> Duration {
    let seconds = r.int("needed_arm_delay", Need::Required).unwrap_or(0);
    if !(0..=ARM_DELAY_S_MAX).contains(&seconds) {
        let remedy = format!("write 0 to {ARM_DELAY_S_MAX} seconds");
        r.refuse("needed_arm_delay", format!("{seconds} s is no delay"), remedy);
    }
    Duration::from_secs(seconds.clamp(0, ARM_DELAY_S_MAX).unsigned_abs())
}

fn phase(r: &mut Reader, key: &str, need: Need) -> Vec<PhaseStep> {
    let Some(value) = r.text(key, need) else {
        return Vec::new();
    };
    match text::phase(&value) {
        Ok((steps, left_over)) => {
            if let Some(word) = left_over {
                let problem = format!("'{word}' at the end has no partner and is ignored");
                r.remark(Severity::Note, key, problem, "leave the value empty for an empty phase");
            }
            steps
        }
        Err(problem) => {
            r.refuse(key, problem, "write pairs 'register, number' or 'wait, seconds'");
            Vec::new()
        }
    }
}

fn master_slave_sel(r: &mut Reader, need: Need) -> [u32; 6] {
    let Some(value) = r.text("master_slave_sel", need).filter(|v| !v.is_empty()) else {
        return [0; 6];
    };
    let words: Option<Vec<u32>> = text::list(&value).iter().map(|item| text::word(item)).collect();
    words.and_then(|w| w.try_into().ok()).unwrap_or_else(|| {
        let problem = format!("'{value}' is not six numbers; six zeros are used");
        r.remark(
            Severity::Warning,
            "master_slave_sel",
            problem,
            "order: m/int/int, m/int/ext, m/ext/ext, then slave",
        );
        [0; 6]
    })
}

fn hwexposr(r: &mut Reader, need: Need) -> Option<f64> {
    let seconds = r.float("hwexposr", need);
    if let Some(s) = seconds.filter(|s| *s <= 0.0) {
        r.refuse(
            "hwexposr",
            format!("{s} s is no exposure"),
            "write the shortest hardware exposure in seconds",
        );
    }
    seconds
}

fn gain(r: &mut Reader) -> Vec<i64> {
    let Some(value) = r.text("gain", Need::Optional) else {
        return Vec::new();
    };
    text::int_list(&value).unwrap_or_else(|item| {
        r.refuse(
            "gain",
            format!("'{item}' is not a whole decimal number"),
            "write whole numbers with commas",
        );
        Vec::new()
    })
}

/// CODD only when `MODENAME` is exactly `guppi-codd` (case counts, as in the old Player) and all three keys are set.
fn cdd(r: &mut Reader, modename_as_written: &str) -> Option<Cdd> {
    let hpcs = text::list(&r.text("cdd_hpcs", Need::Optional).unwrap_or_default());
    let data_interfaces = text::list(&r.text("cdd_data_interfaces", Need::Optional).unwrap_or_default());
    let master = r.text("cdd_master_hpc", Need::Optional).unwrap_or_default();
    let given = [!hpcs.is_empty(), !data_interfaces.is_empty(), !master.is_empty()];
    let codd = modename_as_written == "guppi-codd";
    if given == [false; 3] && !codd {
        return None;
    }
    if !codd {
        r.remark(
            Severity::Warning,
            "cdd_hpcs",
            "cdd_ keys have no effect here",
            "set MODENAME = guppi-codd (lower case)",
        );
        return None;
    }
    if given != [true; 3] {
        r.refuse(
            "cdd_hpcs",
            "a guppi-codd mode needs all of cdd_hpcs, cdd_data_interfaces, cdd_master_hpc",
            "add the missing keys",
        );
        return None;
    }
    if hpcs.len() != data_interfaces.len() {
        let problem = format!("{} banks but {} data interfaces", hpcs.len(), data_interfaces.len());
        r.refuse(
            "cdd_data_interfaces",
            problem,
            "give one interface per bank of cdd_hpcs, in the same order",
        );
    }
    if !hpcs.contains(&master) {
        r.refuse(
            "cdd_master_hpc",
            format!("'{master}' is not in cdd_hpcs"),
            "name one of the banks of cdd_hpcs",
        );
    }
    Some(Cdd { hpcs, data_interfaces, master })
}
