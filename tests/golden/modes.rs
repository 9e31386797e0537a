//! `modes.json`: banks and modes as the old Player parsed them, against our reading of the same file.

use crate::dibas_site;
use crate::report::Report;
use appliance::config::dibas::{Bank, Dibas, Mode};
use serde_json::Value as Json;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// One case per bank and mode. Needs the real file.
pub fn run(name: &str, modes: &Json, report: &mut Report) {
    let wanted = dibas_site::site(modes);
    let names = || wanted.banks.iter().map(|b| &b.name).chain(wanted.modes.iter().map(|m| &m.name));
    let root = std::env::var_os("APPLIANCE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join("data/dibas").join(&wanted.path);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: no {} under ../shared/data/dibas", wanted.path);
        names().for_each(|n| report.skip(&format!("{name} {n}"), "the real dibas.conf is not here"));
        return;
    };
    let dibas = match Dibas::load(&text, &wanted.path) {
        Ok(dibas) => dibas,
        Err(findings) => return report.fail(name, &format!("{findings:?}")),
    };
    let resolve = |host: &str| dibas_site::string(&modes["hosts"][host]).parse::<Ipv4Addr>().ok();
    for bank in &wanted.banks {
        let case = format!("{name} {}", bank.name);
        let found = dibas.bank(&bank.name).ok_or_else(|| "not in the file".to_owned());
        report.check(&case, found.and_then(|b| same_bank(b, bank, &resolve)));
    }
    for mode in &wanted.modes {
        let case = format!("{name} {}", mode.name);
        let found = dibas.mode(&mode.name).ok_or_else(|| "not in the file".to_owned());
        report.check(&case, found.and_then(|m| same_mode(m, mode, &resolve)));
    }
    report.check(&format!("{name} hpcmacs"), same_macs(&dibas, modes, &resolve));
}

fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:?}, wanted {wanted:?}")) }
}

fn sorted<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort();
    list
}

type Resolve<'a> = &'a dyn Fn(&str) -> Option<Ipv4Addr>;

fn same_bank(got: &Bank, wanted: &Bank, resolve: Resolve) -> Result<(), String> {
    let address = |host: &Option<String>| host.as_deref().and_then(resolve).map(|a| a.to_string());
    same("usable", &got.usable, &Ok(()))?;
    same("hpchost", &got.hpc_host, &wanted.hpc_host)?;
    same("player_port", got.player_port, wanted.player_port)?;
    same("has_roach", got.has_roach, wanted.has_roach)?;
    same("katcp", &got.katcp, &wanted.katcp)?;
    same("data_source", address(&got.data_source_host), wanted.data_source_host.clone())?;
    same("data_source_port", got.data_source_port, wanted.data_source_port)?;
    let destination = resolve(&got.data_destination_host).map(|a| a.to_string());
    same("data_destination", destination.as_deref(), Some(wanted.data_destination_host.as_str()))?;
    same("data_destination_port", got.data_destination_port, wanted.data_destination_port)?;
    same("synth", &got.synth, &wanted.synth)?;
    same("filters", sorted(&got.filter_bits), wanted.filter_bits.clone())
}

fn same_mode(got: &Mode, wanted: &Mode, resolve: Resolve) -> Result<(), String> {
    same("usable", &got.usable, &Ok(()))?;
    same("modename", &got.modename, &wanted.modename)?;
    same("backend", &got.backend, &wanted.backend)?;
    same("filter_bw", got.filter_bw, wanted.filter_bw)?;
    same("frequency", got.frequency, wanted.frequency)?;
    same("nchan", got.nchan, wanted.nchan)?;
    same("bof_file", &got.bof_file, &wanted.bof_file)?;
    same("hpc_program", &got.hpc_program, &wanted.hpc_program)?;
    same("flags", &got.hpc_program_flags, &wanted.hpc_program_flags)?;
    same("arm delay", got.needed_arm_delay, wanted.needed_arm_delay)?;
    same("gigabit", &got.gigabit_interface_name, &wanted.gigabit_interface_name)?;
    same("dest_ip", &got.dest_ip_register_name, &wanted.dest_ip_register_name)?;
    same("dest_port", &got.dest_port_register_name, &wanted.dest_port_register_name)?;
    // The old loader emptied reset_phase whenever postarm_phase was empty.
    if !(wanted.reset_phase.is_empty() && wanted.postarm_phase.is_empty()) {
        same("reset_phase", &got.reset_phase, &wanted.reset_phase)?;
    }
    same("arm_phase", &got.arm_phase, &wanted.arm_phase)?;
    same("postarm_phase", &got.postarm_phase, &wanted.postarm_phase)?;
    same("master_slave_sel", got.master_slave_sel, wanted.master_slave_sel)?;
    same("hwexposr", got.hwexposr, wanted.hwexposr)?;
    same("gain", &got.gain, &wanted.gain)?;
    same("sg_period", got.sg_period, wanted.sg_period)?;
    same("shmkeys", sorted(&got.shm_keys), sorted(&wanted.shm_keys))?;
    let by_name = |m: &Mode| {
        let mut regs = m.roach_regs.clone();
        regs.sort_by(|a, b| a.0.cmp(&b.0));
        regs
    };
    same("roach_reg_keys", by_name(got), by_name(wanted))?;
    let mut cdd = got.cdd.clone();
    if let Some(cdd) = &mut cdd {
        let quads = cdd.data_interfaces.iter().filter_map(|host| resolve(host)).map(|a| a.to_string());
        cdd.data_interfaces = quads.collect();
    }
    same("cdd", &cdd, &wanted.cdd)
}

fn same_macs(dibas: &Dibas, modes: &Json, resolve: Resolve) -> Result<(), String> {
    let (table, findings) = dibas.arp_table(resolve);
    let got: Vec<(String, String)> =
        table.iter().map(|(o, mac)| (o.to_string(), format!("{mac:012x}"))).collect();
    same("findings", findings.len(), 0)?;
    same("macs", sorted(&got), sorted(&dibas_site::pairs(&modes["hpcmacs"])))
}
