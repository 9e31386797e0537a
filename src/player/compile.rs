//! What the player does to hardware, compiled into plans.
//!
//! Pure: bank, mode and what the parameter engine prepared go in, a [`Plan`] comes out. The order of
//! the steps is the reference's (its traces are golden tests); fixed sleeps around hardware are
//! replaced by waits on a state.

mod beamformer;

use crate::api::{CallError, ErrorClass, Family};
use crate::config::dibas::{Bank, Dibas, Mode, PhaseStep, RegisterValue};
use crate::fpga::FpgaOp;
use crate::plan::{Child, Phase, Plan, Step};
use crate::player::engine::Prepared;
use crate::player::engine::facts::{FpgaFacts, Tap};
use crate::shm::databuf::Layout;
use crate::units::Utc;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long the DAQ program may take to report its state; after `set_mode` only a warning if it does not.
const DAQ_READY_WITHIN: Duration = Duration::from_secs(1);

/// How long the DAQ program may take to set up its GPU.
const GPU_WITHIN: Duration = Duration::from_secs(75);
/// The phase that ends the programs before.
const STOP_PHASE: &str = "stop_programs";
/// The phase that waits for it.
pub const GPU_PHASE: &str = "gpu_init";
/// The phase of a start that waits for packets.
pub const PACKETS_PHASE: &str = "await_packets";
/// What is left of the arm delay when the wait for packets ends.
const PACKETS_MARGIN: Duration = Duration::from_millis(1500);

/// What compiling needs to know beside the mode.
pub struct Site<'a> {
    /// The whole configuration.
    pub dibas: &'a Dibas,
    /// This player's bank.
    pub bank: &'a Bank,
    /// Host name to address.
    pub resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>,
    /// Data are simulated, and say so.
    pub simulate: bool,
    /// The site's own programs run: a FITS writer beside the DAQ program, and what cleans up before them.
    pub fits_writer: bool,
    /// Empty the status memory first (the program family changes).
    pub clear_status: bool,
    /// Wait for the DAQ program to report itself in `DAQSTATE`: `stopped` after its start, `running` after
    /// START and MONITOR.
    pub await_daq: bool,
}

/// `set_mode`: from stopping the old programs to the new ones running.
pub fn set_mode(site: &Site, mode: &Mode, facts: &FpgaFacts, prepared: &Prepared) -> Result<Plan, CallError> {
    let mut plan = Plan::new(format!("set_mode({})", mode.name));
    plan.push(Phase::strict(STOP_PHASE, programs_before(site).map(Step::StopChild).collect()));
    if site.clear_status {
        plan.push(Phase::strict("clear_status", vec![Step::ClearStatus]));
    }
    let packetizers = facts.packetizers.as_ref();
    if let Some(p) = packetizers {
        beamformer::clean(site, p, &mut plan);
    }
    // GUPPI announces itself when its board is set up, VEGAS before anything else.
    let announced_first = facts.conduct.prepare_when_set;
    if announced_first {
        plan.push(backend(site, facts));
    }
    match packetizers {
        Some(p) => {
            beamformer::cov_mode(p, &mut plan);
            beamformer::program(site, mode, facts.drives_board, p, &mut plan)?;
        }
        None if facts.drives_board => program(site, mode, facts, &mut plan),
        None => {}
    }
    if facts.drives_board {
        match packetizers {
            Some(p) => beamformer::network(site, mode, p, &mut plan)?,
            None => network(site, mode, facts, &mut plan)?,
        }
        let registers = mode.roach_regs.iter().map(|(name, value)| set_register(name, value)).collect();
        plan.push(Phase::any("registers", registers));
        plan.push(phase("reset", &mode.reset_phase));
    }
    if !announced_first {
        plan.push(backend(site, facts));
    }
    if facts.conduct.prepare_when_set {
        push_prepared(facts, prepared, &mut plan);
    }
    match packetizers {
        Some(_) => beamformer::start_programs(site, &mut plan),
        None => start_programs(site, facts, &mut plan),
    }
    if facts.conduct.gpu_init {
        plan.push(gpu_init());
    }
    if facts.conduct.arm_when_set && facts.drives_board {
        plan.push(phase("arm", &mode.arm_phase));
    }
    Ok(plan)
}

fn start_programs(site: &Site, facts: &FpgaFacts, plan: &mut Plan) {
    plan.push(Phase::strict("start_programs", children(site, facts).map(start_child).collect()));
    if site.await_daq {
        let ready =
            Step::WaitStatus { key: "DAQSTATE".into(), value: "stopped".into(), within: DAQ_READY_WITHIN };
        plan.push(Phase::strict("daq_ready", vec![ready]).or_warn());
    }
}

fn start_child(child: Child) -> Step {
    Step::StartChild(child)
}

/// Puts the making of data buffers behind the end of the programs before: a program takes the buffers it finds.
pub fn with_data_buffers(plan: &mut Plan, program: &str, layout: &Layout) {
    let at = plan.phases.iter().position(|p| p.name == STOP_PHASE).map_or(0, |at| at + 1);
    plan.phases.insert(at, data_buffers(program, layout));
}

/// `reformat_data_buffers`.
pub fn reformat(program: &str, layout: &Layout) -> Plan {
    let mut plan = stop_programs();
    plan.title = format!("reformat_data_buffers for {program}");
    plan.push(data_buffers(program, layout));
    plan
}

fn data_buffers(program: &str, layout: &Layout) -> Phase {
    let step = Step::DataBuffers { program: program.to_owned(), wanted: layout.to_string() };
    Phase::strict("data_buffers", vec![step])
}

/// The programs of the family.
fn children(site: &Site, facts: &FpgaFacts) -> impl Iterator<Item = Child> + use<> {
    let writer = (site.fits_writer && facts.conduct.fits_writer).then_some(Child::FitsWriter);
    std::iter::once(Child::Daq).chain(writer)
}

/// What may run in the mode before, whatever its family; a program that does not run is stopped at once.
fn programs_before(site: &Site) -> impl Iterator<Item = Child> + use<> {
    std::iter::once(Child::Daq).chain(site.fits_writer.then_some(Child::FitsWriter))
}

fn backend(site: &Site, facts: &FpgaFacts) -> Phase {
    let mut backend = vec![("BACKEND".to_owned(), facts.conduct.backend.to_owned())];
    if site.simulate {
        backend.push(("SIMULATE".into(), "T".into()));
    }
    Phase::strict("backend", vec![Step::Status(backend)])
}

/// Contexts and memory of the GPU are made once, not when a scan starts.
fn gpu_init() -> Phase {
    let steps = vec![
        Step::Status(vec![("GPUCTXIN".into(), "FALSE".into())]),
        Step::Command { child: Child::Daq, line: "INIT_GPU".into() },
        Step::WaitStatus { key: "GPUCTXIN".into(), value: "TRUE".into(), within: GPU_WITHIN },
    ];
    Phase::strict(GPU_PHASE, steps)
}

/// `prepare`: filter bits, status, registers.
pub fn prepare(mode: &Mode, facts: &FpgaFacts, prepared: &Prepared) -> Plan {
    let mut plan = Plan::new(format!("prepare({})", mode.name));
    push_prepared(facts, prepared, &mut plan);
    plan
}

/// `start`: programs told to start, the wait for the arm time, the arm phase. A program that is `monitoring`
/// would ignore START.
pub fn start(site: &Site, mode: &Mode, facts: &FpgaFacts, start: Utc, arm_at: Utc, monitoring: bool) -> Plan {
    let mut plan = Plan::new(format!("start({start})"));
    if monitoring {
        let stop = Step::Command { child: Child::Daq, line: "stop".into() };
        plan.push(Phase::strict("end_monitor", vec![stop]));
    }
    plan.push(Phase::strict("start_programs", children(site, facts).map(start_child).collect()));
    // The DAQ program counts time from the commanded second, not from when packets happen to arrive.
    plan.push(Phase::strict(
        "announce_start",
        vec![Step::Status(vec![("STTMJD".into(), format!("{:.10}", start.mjd()))])],
    ));
    let command = |child| Step::Command { child, line: "START".into() };
    // Each gets its command when its turn has come: neither waits for the other's.
    plan.push(Phase::any("start_daq", children(site, facts).map(command).collect()));
    if site.await_daq {
        plan.push(daq_running());
    }
    if facts.conduct.await_receiving {
        let within = mode.needed_arm_delay.saturating_sub(PACKETS_MARGIN);
        let wait = Step::WaitStatus { key: "NETSTAT".into(), value: "receiving".into(), within };
        plan.push(Phase::strict(PACKETS_PHASE, vec![wait]));
    }
    plan.push(Phase::strict("await_arm_time", vec![Step::WaitUntil(arm_at)]));
    plan.push(arm(site, mode, facts));
    if facts.conduct.wipes_counters {
        plan.push(Phase::strict("armed", vec![Step::Status(vec![("ACCBLKOU".into(), "-".into())])]));
    }
    plan
}

/// What makes the hardware begin with the next second: of the mode, or of the site.
fn arm(site: &Site, mode: &Mode, facts: &FpgaFacts) -> Phase {
    match &facts.packetizers {
        Some(p) => beamformer::arm(site, mode, facts.drives_board, p),
        None if facts.drives_board => phase("arm", &mode.arm_phase),
        None => Phase::strict("arm", Vec::new()),
    }
}

/// `arm_roach`: the same by hand.
pub fn arm_by_hand(site: &Site, mode: &Mode, facts: &FpgaFacts) -> Plan {
    let mut plan = Plan::new("arm");
    plan.push(arm(site, mode, facts));
    plan
}

/// `monitor`: data flow, and are thrown away.
pub fn monitor(site: &Site) -> Plan {
    let mut plan = Plan::new("monitor");
    let line = Step::Command { child: Child::Daq, line: "monitor".into() };
    plan.push(Phase::strict("monitor", vec![Step::StartChild(Child::Daq), line]));
    if site.await_daq {
        plan.push(daq_running());
    }
    plan
}

/// A program that refuses (its port is taken, a key makes no sense) must not look like a scan.
fn daq_running() -> Phase {
    let running =
        Step::WaitStatus { key: "DAQSTATE".into(), value: "running".into(), within: DAQ_READY_WITHIN };
    Phase::strict("daq_running", vec![running])
}

/// A phase of the configuration file by hand: `reset`, `arm`, `postarm`.
pub fn manual(facts: &FpgaFacts, name: &'static str, steps: &[PhaseStep]) -> Plan {
    let mut plan = Plan::new(name);
    if facts.drives_board {
        plan.push(phase(name, steps));
    }
    plan
}

/// After a failed mode change: no program may keep running on a half-set node.
pub fn stop_programs() -> Plan {
    let mut plan = Plan::new("stop programs");
    plan.push(Phase::any(STOP_PHASE, vec![Step::StopChild(Child::Daq), Step::StopChild(Child::FitsWriter)]));
    plan
}

fn program(site: &Site, mode: &Mode, facts: &FpgaFacts, plan: &mut Plan) {
    if site.bank.synth.is_some() {
        let clock = Step::SynthFrequency { channel: 0, mhz: facts.valon_mhz };
        plan.push(Phase::strict("synthesizer", vec![clock]));
    }
    load_design(mode, plan);
}

fn load_design(mode: &Mode, plan: &mut Plan) {
    let deprogram = Step::Fpga(FpgaOp::Program { image: None });
    plan.push(Phase::strict("deprogram", vec![deprogram]).or_warn());
    let image = Some(mode.bof_file.clone());
    plan.push(Phase::strict("program", vec![Step::Fpga(FpgaOp::Program { image })]));
}

fn network(site: &Site, mode: &Mode, facts: &FpgaFacts, plan: &mut Plan) -> Result<(), CallError> {
    let unknown = |host: &str, key: &str| {
        refuse(format!(
            "{} cannot be set: host '{host}' ({key}) has no known address; add it to /etc/hosts, DNS or [resolve]",
            mode.name
        ))
    };
    let source_key = match &mode.cdd {
        Some(_) => format!("{}.cdd_data_interfaces", mode.name),
        None => format!("{}.data_source_host", site.bank.name),
    };
    let mut steps = Vec::new();
    for t in &facts.taps {
        let ip = t.ip.ok_or_else(|| unknown(&t.host, &source_key))?;
        let (tap, device, port) = (t.tap.clone(), t.device.clone(), t.port);
        steps.push(Step::Fpga(FpgaOp::TapStart { tap, device, mac: Tap::mac(ip), ip, port }));
    }
    for d in &facts.destinations {
        let ip = d.ip.ok_or_else(|| unknown(&d.host, &format!("{}.data_destination_host", d.bank)))?;
        steps.push(write(&d.ip_register, u32::from(ip)));
        steps.push(write(&d.port_register, u32::from(d.port)));
    }
    let entries = arp(site);
    let set_arp = |t: &Tap| Step::Fpga(FpgaOp::SetArp { device: t.device.clone(), entries: entries.clone() });
    steps.extend(facts.taps.iter().map(set_arp));
    plan.push(Phase::strict("net_config", steps));
    Ok(())
}

/// ARP entries of all hosts whose address is known; what could not be entered is said.
fn arp(site: &Site) -> Vec<(u8, u64)> {
    let (table, findings) = site.dibas.arp_table(site.resolve);
    for finding in findings {
        log::warn!("ARP table: {finding}");
    }
    table
}

fn push_prepared(facts: &FpgaFacts, prepared: &Prepared, plan: &mut Plan) {
    if facts.drives_board {
        let bits = |(address, data): &(u8, Vec<u8>)| {
            Step::Fpga(FpgaOp::I2cWrite { address: *address, data: data.clone() })
        };
        plan.push(Phase::strict("if_filter", prepared.i2c.iter().map(bits).collect()));
    }
    if !prepared.status.is_empty() {
        plan.push(Phase::strict("status", vec![Step::Status(prepared.status.clone())]));
    }
    if facts.drives_board {
        let registers = prepared.registers.iter().map(|(name, value)| set_register(name, value)).collect();
        plan.push(Phase::any("prepare_registers", registers));
    }
}

fn set_register(name: &str, value: &RegisterValue) -> Step {
    match value {
        RegisterValue::Word(value) => Step::SetRegister { register: name.to_owned(), value: *value },
        RegisterValue::Blob(data) => Step::Fpga(FpgaOp::Write {
            register: name.to_owned(),
            offset: 0,
            data: data.clone(),
            verify: true,
        }),
    }
}

fn phase(name: &'static str, steps: &[PhaseStep]) -> Phase {
    let step = |s: &PhaseStep| match s {
        PhaseStep::Write { register, value } => write(register, *value),
        PhaseStep::Wait(d) => Step::Wait(*d),
    };
    Phase::strict(name, steps.iter().map(step).collect())
}

fn write(register: &str, value: u32) -> Step {
    let data = value.to_be_bytes().to_vec();
    Step::Fpga(FpgaOp::Write { register: register.to_owned(), offset: 0, data, verify: true })
}

fn refuse(text: String) -> CallError {
    CallError::new(ErrorClass::Exception, Family::Refused, text)
}
