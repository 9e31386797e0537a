//! The beamformer's boards (packetizers) and programs: what is not as in the other families.
//!
//! Names, numbers and the order of the steps are those of the design. A 10 GbE core of it is configured by raw
//! writes: it has no tap on the board's processor.

use super::{Site, arp, phase, refuse, start_child, write};
use crate::api::CallError;
use crate::config::dibas::Mode;
use crate::fpga::FpgaOp;
use crate::plan::{Child, Phase, Plan, Step};
use crate::player::engine::facts::Packetizers;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The pipeline's shared memory is cleaned by its own tool, within this.
const CLEAN_WITHIN: Duration = Duration::from_secs(10);
/// The site's program may take so long to set up all boards.
const SETUP_WITHIN: Duration = Duration::from_secs(180);
/// Arming that is not over by the start second is too late anyway; a program that hangs is killed then.
const ARM_WITHIN: Duration = Duration::from_secs(2);
/// From the start of the pipeline to its first sign of life: where the old Player slept for as long.
const PULSE_WITHIN: Duration = Duration::from_secs(10);

/// X engines a packetizer sends to.
const X_ENGINES: u32 = 20;
/// Hosts they run on: the first of `[HPCMACS]`.
const HOSTS: usize = 4;
/// Cores of a packetizer.
const CORES: u8 = 4;
/// Their addresses begin here.
const FIRST_CORE: Ipv4Addr = Ipv4Addr::new(10, 17, 16, 230);
/// UDP port of a core.
const CORE_PORT: u16 = 60_000;
/// MAC of a core: this, 256 times the number of the X engine, and the number of the core from 1.
const MAC_BASE: u64 = 0x0202_0000_0000;
/// The design needs this after each change of its reset, and around the cores.
const SETTLE: Duration = Duration::from_millis(500);

/// Where a core keeps its ARP table, and how many entries of 8 bytes there are.
const ARP_AT: u32 = 0x3000;
const ARP_ENTRIES: usize = 256;
/// An entry nobody has.
const NOBODY: u64 = 0xFFFF_FFFF_FFFF;
/// Where it keeps its subnet mask.
const SUBNET_AT: u32 = 0x38;
const SUBNET: u32 = 0xFFFF_FF00;

/// Before anything else: the shared memory of the pipeline as new.
pub(super) fn clean(site: &Site, p: &Packetizers, plan: &mut Plan) {
    if site.fits_writer {
        let command = ["hashpipe_clean_shmem", "-I"].map(str::to_owned).into_iter();
        let command = command.chain([p.instance.to_string()]).collect();
        // The pipeline itself says what is wrong with a memory that was not cleaned.
        plan.push(Phase::strict("clean_shmem", vec![Step::Run { command, within: CLEAN_WITHIN }]).or_warn());
    }
}

/// What the correlators read before they take their first data.
pub(super) fn cov_mode(p: &Packetizers, plan: &mut Plan) {
    let pair = p.cov_mode.map(|value| vec![("COVMODE".to_owned(), value.to_owned())]);
    plan.push(Phase::strict("cov_mode", pair.into_iter().map(Step::Status).collect()));
}

/// The boards get their design: one from us, or all from the site's program. A simulated board is like the one.
pub(super) fn program(
    site: &Site,
    mode: &Mode,
    drives_board: bool,
    p: &Packetizers,
    plan: &mut Plan,
) -> Result<(), CallError> {
    if p.sim3 || site.simulate {
        if drives_board {
            super::load_design(mode, plan);
        }
        return Ok(());
    }
    let Some(command) = &p.setup else { return Ok(()) };
    let step = run(site, mode, command, "roaches_setup", SETUP_WITHIN)?;
    plan.push(Phase::strict("setup_boards", vec![step]));
    // What a start will need is better missed now.
    let arm = p.arm.as_deref().unwrap_or_default();
    run(site, mode, arm, "roaches_arm", ARM_WITHIN).map(|_| ())
}

fn run(site: &Site, mode: &Mode, command: &[String], key: &str, within: Duration) -> Result<Step, CallError> {
    if command.is_empty() {
        let (bank, at) = (&site.bank.name, format!("{}:{}", site.dibas.path, site.bank.line));
        return Err(refuse(format!(
            "{} cannot be set: {bank} ({at}) has boards of its own (has_roaches), but no {key}: write the site's \
             program and its arguments there",
            mode.name
        )));
    }
    Ok(Step::Run { command: command.to_vec(), within })
}

/// Where each X engine is, and the cores that send to them.
pub(super) fn network(site: &Site, mode: &Mode, p: &Packetizers, plan: &mut Plan) -> Result<(), CallError> {
    let hosts = destinations(site, mode)?;
    let table = arp_table(site);
    let mut steps = vec![Step::Fpga(FpgaOp::ListDev)];
    let ids = |n: u32| if p.sim3 { n % HOSTS as u32 } else { n };
    steps.extend((0..X_ENGINES).map(|n| write(&format!("part2_x_id{n}"), ids(n))));
    if p.sim3 {
        let reset = |value| [write("part2_gbe_rst_core", value), Step::Wait(SETTLE)];
        steps.extend([0, 1, 0].into_iter().flat_map(reset));
    }
    steps.push(write("part2_x_port", u32::from(p.port)));
    let host = |n: u32| u32::from(hosts[n as usize % HOSTS]);
    steps.extend((0..X_ENGINES).map(|n| write(&format!("part2_x_ip{n}"), host(n))));
    steps.push(Step::Wait(SETTLE));
    steps.extend((0..CORES).flat_map(|core| core_writes(core, p.xid, &table)));
    steps.push(Step::Wait(SETTLE));
    plan.push(Phase::strict("net_config", steps));
    Ok(())
}

/// The first hosts of `[HPCMACS]`, in file order.
fn destinations(site: &Site, mode: &Mode) -> Result<[Ipv4Addr; HOSTS], CallError> {
    let macs = &site.dibas.hpc_macs;
    let refused = |line: usize, why: String| {
        refuse(format!("{} cannot be set: [HPCMACS] ({}:{line}): {why}", mode.name, site.dibas.path))
    };
    let mut hosts = Vec::with_capacity(HOSTS);
    for entry in macs.iter().take(HOSTS) {
        let address = entry.host.parse().ok().or_else(|| (site.resolve)(&entry.host));
        hosts.push(address.ok_or_else(|| {
            refused(entry.line, format!("'{}' has no known address; write a dotted quad", entry.host))
        })?);
    }
    hosts.try_into().map_err(|found: Vec<Ipv4Addr>| {
        let line = macs.last().map_or(0, |entry| entry.line);
        refused(line, format!("{} hosts, but the X engines run on {HOSTS}; add the others", found.len()))
    })
}

/// The whole table: hosts nobody knows get an address nobody has.
fn arp_table(site: &Site) -> Vec<u8> {
    let mut table = [NOBODY; ARP_ENTRIES];
    for (octet, mac) in arp(site) {
        table[usize::from(octet)] = mac;
    }
    table.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

/// A core: its own addresses, which it changes itself and are not read back, its mask, its ARP table.
fn core_writes(core: u8, xid: u8, table: &[u8]) -> [Step; 3] {
    let register = format!("part2_gbe{core}");
    let raw = |offset, data: Vec<u8>, verify| {
        Step::Fpga(FpgaOp::Write { register: register.clone(), offset, data, verify })
    };
    [
        raw(0, core_block(core, xid), false),
        raw(SUBNET_AT, SUBNET.to_be_bytes().to_vec(), false),
        raw(ARP_AT, table.to_vec(), true),
    ]
}

/// The first 36 bytes of a core, big endian: MAC (8), nothing (4), gateway's last octet (4), address (4), nothing
/// (12), reset (1), enable (1), port (2).
fn core_block(core: u8, xid: u8) -> Vec<u8> {
    let mac = MAC_BASE + 256 * u64::from(xid) + u64::from(core) + 1;
    let ip = u32::from(FIRST_CORE) + u32::from(core);
    let mut block = mac.to_be_bytes().to_vec();
    for word in [0, 1, ip, 0, 0, 0] {
        block.extend(u32::to_be_bytes(word));
    }
    block.extend([0, 1]);
    block.extend(CORE_PORT.to_be_bytes());
    block
}

/// The pipeline, once it is alive its FITS writer: that one attaches to what the pipeline makes.
pub(super) fn start_programs(site: &Site, plan: &mut Plan) {
    plan.push(Phase::strict("start_programs", vec![start_child(Child::Daq)]));
    let alive = Step::WaitChange { key: "DAQPULSE".into(), within: PULSE_WITHIN };
    plan.push(Phase::strict("daq_alive", vec![alive]).or_warn());
    let writer = site.fits_writer.then_some(Child::FitsWriter);
    plan.push(Phase::strict("start_writer", writer.into_iter().map(start_child).collect()));
}

/// The site's program arms its boards; else the phase of the mode, where there is a board.
pub(super) fn arm(site: &Site, mode: &Mode, drives_board: bool, p: &Packetizers) -> Phase {
    match &p.arm {
        Some(command) if !site.simulate => {
            Phase::strict("arm", vec![Step::Run { command: command.clone(), within: ARM_WITHIN }])
        }
        _ if drives_board => phase("arm", &mode.arm_phase),
        _ => Phase::strict("arm", Vec::new()),
    }
}
