//! The Player ("Bank"): one node of the spectrometer as a state machine.
//!
//! Calls, completions and time come in through [`Player::handle`] and [`Player::tick`]; orders leave
//! through [`Player::poll`]. It touches nothing itself. One job runs at a time (the node queues
//! further writes); `stop` and reads are taken in every state.
//!
//! ```text
//!            set_mode ok          start            arm phase done
//!  NO_MODE ─────────────► READY ────────► STARTING ───────────────► SCANNING
//!     ▲ failed / ▲          │ ▲  ▲ stop,        │ deadline missed,      │ stop, length + 1 s,
//!     └──────────┘ monitor  │ │  └──────────────┘ write failed, stop    │ DAQ program died
//!                           ▼ │ stop                                    │
//!                       MONITORING            READY ◄───────────────────┘
//! ```

use super::children::{ChildOrder, ChildSlot, exit_text};
use super::compile::{self, Site};
use super::config::{DaqProgram, PlayerConfig};
use super::engine::{self, Engine};
use super::methods::PlayerCall;
use super::scan::{self, Scan};
use super::state::{Host, Link, State};
use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::config::dibas::{Bank, Dibas, Mode};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::plan::runner::{Done, Failure, Order, Runner, StepId};
use crate::plan::{Child, Plan, Step};
use crate::reactor::{ChildSignal, Exit, Program, When};
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

/// How often the watchdog looks at a scan.
const WATCHDOG: Duration = Duration::from_secs(1);
/// How long a mode change waits for host names that are still being looked up.
const HOSTS_WITHIN: Duration = Duration::from_secs(5);
/// How long after a scan the DAQ program may take to report `DAQSTATE=stopped`.
const DAQ_STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// Names a call that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names a step of a plan, across plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepKey {
    serial: u64,
    id: StepId,
}

/// Names an FPGA order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FpgaKey {
    /// A step of the running plan.
    Plan(StepKey),
    /// Our own look whether the board still runs the mode's design.
    Probe,
}

/// Names a status memory order.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusKey {
    /// A step of the running plan.
    Plan(StepKey),
    /// Answers a call that returns null.
    Written(Ticket),
    /// Answers `get_status`.
    Cards(Ticket, Value),
    /// Answers `scan_status`.
    ScanStatus(Ticket),
    /// Whether the DAQ program has stopped after a scan.
    AfterStop,
    /// Nobody waits for it.
    Quiet,
}

/// An order to the status memory.
#[derive(Clone, Debug, PartialEq)]
pub enum StatusOrder {
    /// Write keys, all under one lock.
    Put(Vec<(String, String)>),
    /// Read everything.
    Read,
    /// Empty it.
    Clear,
}

/// Its answer: all cards for `Read`, nothing for the others.
pub type StatusAnswer = Result<Vec<(String, Value)>, String>;

/// What the player is told.
#[derive(Debug)]
pub enum Input {
    /// A call with bound arguments.
    Call {
        /// The call.
        ticket: Ticket,
        /// What is asked.
        call: PlayerCall,
    },
    /// Completion of an FPGA order.
    Fpga {
        /// Names the order.
        key: FpgaKey,
        /// How it ended.
        result: Result<FpgaReply, FpgaError>,
    },
    /// Completion of a status order.
    Status {
        /// Names the order.
        key: StatusKey,
        /// What it gave.
        answer: StatusAnswer,
    },
    /// A program runs.
    ChildStarted {
        /// The program.
        child: Child,
        /// Its process id.
        pid: u32,
    },
    /// A program could not be started.
    SpawnFailed {
        /// The program.
        child: Child,
        /// Why not.
        error: String,
    },
    /// A program ended.
    ChildExited {
        /// The program.
        child: Child,
        /// How it ended.
        exit: Exit,
    },
    /// The FPGA link came or went.
    Link(Link),
    /// Addresses of hosts that were asked for.
    Hosts(Vec<Host>),
    /// The configuration was read again.
    Reloaded(Box<Dibas>),
    /// The client of a pending `start` withdraws it.
    Cancel {
        /// The call.
        ticket: Ticket,
    },
    /// Orderly end of the process.
    Shutdown,
}

/// What the player orders.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Answer a call.
    Reply {
        /// The call.
        ticket: Ticket,
        /// The answer.
        outcome: Outcome,
    },
    /// Submit to the FPGA.
    Fpga {
        /// Names the order.
        key: FpgaKey,
        /// The operation.
        op: FpgaOp,
    },
    /// Touch the status memory; orders are carried out in order.
    Status {
        /// Names the order.
        key: StatusKey,
        /// The order.
        order: StatusOrder,
    },
    /// Start a program.
    Spawn {
        /// The program.
        child: Child,
        /// What to start.
        program: Program,
    },
    /// A command line for a program, end of line included.
    Line {
        /// The program.
        child: Child,
        /// The line.
        line: String,
    },
    /// Close a program's standard input.
    CloseInput {
        /// The program.
        child: Child,
    },
    /// Signal a program.
    Signal {
        /// The program.
        child: Child,
        /// The signal.
        signal: ChildSignal,
    },
    /// For the append-only record: this plan is about to run.
    Record(Value),
    /// Re-read the configuration file, say so with [`Input::Reloaded`], and answer the call.
    ReadConfig {
        /// The call.
        ticket: Ticket,
    },
    /// The state changed; subscribers want to know.
    Changed,
    /// Everything has been stopped after [`Input::Shutdown`].
    Finished,
}

/// When to call [`Player::tick`] at the latest, on either clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deadlines {
    /// monotonic
    pub mono: Option<Mono>,
    /// wall clock
    pub utc: Option<Utc>,
}

#[derive(Debug)]
struct ActiveMode {
    mode: Mode,
    engine: Engine,
}

#[derive(Debug)]
enum Kind {
    SetMode(Box<ActiveMode>),
    Prepare,
    Manual,
    Monitor,
    Start {
        cancelled: bool,
    },
    /// Stops the programs after a failed mode change, whose error is answered then.
    Cleanup(CallError),
    Shutdown,
}

#[derive(Debug)]
struct Job {
    serial: u64,
    runner: Runner,
    kind: Kind,
    ticket: Option<Ticket>,
}

/// One bank.
pub struct Player {
    config: PlayerConfig,
    dibas: Dibas,
    bank: Bank,
    hosts: HashMap<String, Option<Ipv4Addr>>,
    hosts_awaited: bool,
    waiting_for_hosts: Option<(Ticket, PlayerCall, Mono)>,
    state: State,
    since: Now,
    mode: Option<ActiveMode>,
    frequencies: HashMap<String, f64>,
    last_program: Option<String>,
    scan_number: i64,
    job: Option<Job>,
    serial: u64,
    daq: ChildSlot<StepKey>,
    writer: ChildSlot<StepKey>,
    link: Link,
    /// The board no longer runs the design of the mode (it was re-programmed or rebooted).
    stale: bool,
    last_error: Option<(Utc, String)>,
    next_watchdog: Option<Mono>,
    after_stop: Option<(Mono, Mono)>,
    last_scan: Option<Value>,
    outputs: VecDeque<Output>,
}

enum Answer {
    Now(Value),
    Later,
}
type CallResult = Result<Answer, CallError>;

fn now_is(value: impl Into<Value>) -> CallResult {
    Ok(Answer::Now(value.into()))
}

impl Player {
    /// A player of `bank` with nothing set. `hosts_awaited`: an [`Input::Hosts`] will come.
    pub fn new(config: PlayerConfig, dibas: Dibas, bank: Bank, hosts_awaited: bool, now: Now) -> Player {
        let builtin = matches!(config.daq, DaqProgram::Builtin { .. });
        let (gap, quit) = if builtin { (0, 15_000) } else { (1_100, 3_000) };
        let slot = |child| ChildSlot::new(child, Duration::from_millis(gap), Duration::from_millis(quit));
        let link = if bank.has_roach { Link::Down("not connected yet".into()) } else { Link::Absent };
        Player {
            daq: slot(Child::Daq),
            writer: slot(Child::FitsWriter),
            link,
            config,
            dibas,
            bank,
            hosts: HashMap::new(),
            hosts_awaited,
            waiting_for_hosts: None,
            state: State::NoMode,
            since: now,
            mode: None,
            frequencies: HashMap::new(),
            last_program: None,
            scan_number: 1,
            job: None,
            serial: 0,
            stale: false,
            last_error: None,
            next_watchdog: None,
            after_stop: None,
            last_scan: None,
            outputs: VecDeque::new(),
        }
    }

    /// One input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Call { ticket, call } => self.call(ticket, call, now),
            Input::Fpga { key: FpgaKey::Plan(key), result } => self.step_done(key, Done::Fpga(result), now),
            Input::Fpga { key: FpgaKey::Probe, result } => self.probed(result, now),
            Input::Status { key, answer } => self.status_answered(key, answer, now),
            Input::ChildStarted { child, pid } => self.slot(child).started(pid, now),
            Input::SpawnFailed { child, error } => self.slot(child).spawn_failed(&error),
            Input::ChildExited { child, exit } => self.slot(child).exited(exit),
            Input::Link(link) => self.link_changed(link, now),
            Input::Hosts(hosts) => self.hosts_known(hosts, now),
            Input::Reloaded(dibas) => self.reloaded(*dibas),
            Input::Cancel { ticket } => self.cancel(ticket),
            Input::Shutdown => self.shutdown(now),
        }
        self.settle(now);
    }

    /// Time has passed, or the wall clock was set.
    pub fn tick(&mut self, now: Now) {
        self.daq.tick(now);
        self.writer.tick(now);
        if let Some(job) = &mut self.job {
            job.runner.tick(now);
        }
        if matches!(&self.waiting_for_hosts, Some((_, _, until)) if *until <= now.mono) {
            self.hosts_known(Vec::new(), now);
        }
        self.watchdog(now);
        self.watch_daq_stop(now);
        self.settle(now);
    }

    /// The next order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Player::tick`] at the latest.
    pub fn deadlines(&self) -> Deadlines {
        let runner = self.job.as_ref().and_then(|j| j.runner.deadline());
        let mono = [
            self.daq.deadline(),
            self.writer.deadline(),
            self.next_watchdog,
            self.scan_end(),
            self.after_stop.map(|(next, _)| next),
            self.waiting_for_hosts.as_ref().map(|(_, _, until)| *until),
            match runner {
                Some(When::Mono(m)) => Some(m),
                _ => None,
            },
        ];
        let utc = match runner {
            Some(When::Utc(t)) => Some(t),
            _ => None,
        };
        Deadlines { mono: mono.into_iter().flatten().min(), utc }
    }

    /// A job is at work: further writes have to wait.
    pub fn is_busy(&self) -> bool {
        self.job.is_some() || self.waiting_for_hosts.is_some()
    }

    /// What the running job is, for messages: `set_mode(MODE1)`.
    pub fn job_title(&self) -> Option<&str> {
        self.job.as_ref().map(|j| j.runner.plan().title.as_str())
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    // ------------------------------------------------------------------ calls

    fn call(&mut self, ticket: Ticket, call: PlayerCall, now: Now) {
        let outcome = match self.dispatch(ticket, call, now) {
            Ok(Answer::Later) => return,
            Ok(Answer::Now(value)) => Ok(value),
            Err(error) => Err(error),
        };
        self.outputs.push_back(Output::Reply { ticket, outcome });
    }

    fn dispatch(&mut self, ticket: Ticket, call: PlayerCall, now: Now) -> CallResult {
        match call {
            PlayerCall::SetMode { mode, bandwidth, force } => {
                self.set_mode(ticket, mode, bandwidth, force, now)
            }
            PlayerCall::GetMode => {
                now_is(self.mode.as_ref().map_or(Value::Null, |m| m.mode.name.clone().into()))
            }
            PlayerCall::ListModes => {
                now_is(self.dibas.mode_names().into_iter().map(Value::Str).collect::<Vec<_>>())
            }
            PlayerCall::SetParam(pairs) => self
                .engine("Cannot set parameters until a mode is selected")?
                .set_params(&pairs)
                .map(Answer::Now),
            PlayerCall::GetParam(name) => self
                .engine("Cannot get parameters until a mode is selected")?
                .get_param(name.as_deref())
                .map(Answer::Now),
            PlayerCall::HelpParam(name) => self
                .engine("Cannot set parameters until a mode is selected")?
                .help_param(name.as_deref())
                .map(Answer::Now),
            PlayerCall::Prepare => self.prepare(ticket, now),
            PlayerCall::Start(starttime) => self.start(ticket, &starttime, now),
            PlayerCall::Stop => self.stop(now),
            PlayerCall::Monitor => self.monitor(ticket, now),
            PlayerCall::ScanStatus if self.mode.is_none() => no_backend(),
            PlayerCall::ScanStatus => {
                self.order_status(StatusKey::ScanStatus(ticket), StatusOrder::Read);
                Ok(Answer::Later)
            }
            PlayerCall::EarliestStart => match &self.mode {
                None => no_backend(),
                Some(m) => {
                    let at = scan::earliest_advised(now.utc, m.mode.needed_arm_delay);
                    now_is(vec![Value::Bool(true), scan::civil_value(at)])
                }
            },
            PlayerCall::SetStatus(_) | PlayerCall::GetStatus(_) if self.mode.is_none() => now_is(Value::Null),
            PlayerCall::SetStatus(pairs) => {
                let pairs = pairs.into_iter().map(|(k, v)| (k, v.to_string())).collect();
                self.write_then_null(ticket, pairs)
            }
            PlayerCall::GetStatus(keys) => {
                self.order_status(StatusKey::Cards(ticket, keys), StatusOrder::Read);
                Ok(Answer::Later)
            }
            PlayerCall::SetScanNumber(n) => self.set_scan_number(ticket, n),
            PlayerCall::IncrementScanNumber => {
                self.set_scan_number(ticket, self.scan_number.saturating_add(1))
            }
            PlayerCall::ResetRoach => self.manual(ticket, "reset", now),
            PlayerCall::ArmRoach => self.manual(ticket, "arm", now),
            PlayerCall::DisarmRoach => self.manual(ticket, "postarm", now),
            PlayerCall::ClearSwitchingStates => self
                .engine("Cannot clear switcvhing states until a mode has been selected")?
                .clear_switching_states()
                .map(Answer::Now),
            PlayerCall::AddSwitchingState { duration, blank, cal, sig_ref_1 } => self
                .engine("Cannot add switching states until a mode has been selected.")?
                .add_switching_state(duration, blank, cal, sig_ref_1)
                .map(Answer::Now),
            PlayerCall::SetGbtSs { period, ss_list } => self
                .engine("Cannot set switching states until a mode has been selected.")?
                .set_gbt_ss(period, &ss_list)
                .map(Answer::Now),
            PlayerCall::PlayerState => now_is(self.describe(now)),
            PlayerCall::ReadConfigFile => {
                self.outputs.push_back(Output::ReadConfig { ticket });
                Ok(Answer::Later)
            }
        }
    }

    fn engine(&mut self, without_mode: &str) -> Result<&mut Engine, CallError> {
        self.mode.as_mut().map(|m| &mut m.engine).ok_or_else(|| CallError::exception(without_mode))
    }

    fn set_scan_number(&mut self, ticket: Ticket, n: i64) -> CallResult {
        self.scan_number = n;
        if self.mode.is_none() {
            return now_is(Value::Null);
        }
        let text = n.to_string();
        self.write_then_null(ticket, vec![("SCANNUM".into(), text.clone()), ("SCAN".into(), text)])
    }

    fn write_then_null(&mut self, ticket: Ticket, pairs: Vec<(String, String)>) -> CallResult {
        self.order_status(StatusKey::Written(ticket), StatusOrder::Put(pairs));
        Ok(Answer::Later)
    }

    // ------------------------------------------------------------------ set_mode

    fn set_mode(
        &mut self,
        ticket: Ticket,
        mode: Value,
        bandwidth: Value,
        force: bool,
        now: Now,
    ) -> CallResult {
        if !mode.truthy() {
            return now_is(Value::verdict(false, "Mode is 'None', doing nothing."));
        }
        let name = mode.as_str().map_or_else(|| mode.to_string(), str::to_owned);
        let Some(section) = self.dibas.mode(&name).cloned() else {
            return now_is(Value::verdict(false, format!("Mode {name} is not supported.")));
        };
        if let Err(why) = &section.usable {
            return now_is(Value::verdict(false, format!("Mode {name} is not usable: {why}")));
        }
        let (frequency, force) = frequency_wanted(&bandwidth, force)?;
        if !force && !self.needs_reload(&section, frequency) {
            let text = format!("Mode {name} is already set! Use 'force=True' to force.");
            return now_is(Value::verdict(false, text));
        }
        self.refuse_while_scanning("set_mode", force)?;
        if self.hosts_awaited {
            let call = PlayerCall::SetMode { mode, bandwidth, force };
            self.waiting_for_hosts = Some((ticket, call, now.mono + HOSTS_WITHIN));
            return Ok(Answer::Later);
        }
        self.require_link(false)?;
        let frequency = frequency.or_else(|| self.frequencies.get(&name).copied());
        let (active, plan) = self.compile_set_mode(section, frequency)?;
        if let Some(f) = frequency {
            self.frequencies.insert(name.clone(), f);
        }
        self.mode = None;
        self.stale = false;
        self.next_watchdog = None;
        self.run(Kind::SetMode(Box::new(active)), plan, Some(ticket), State::SettingMode(name), now);
        Ok(Answer::Later)
    }

    fn needs_reload(&self, section: &Mode, frequency: Option<f64>) -> bool {
        let Some(active) = &self.mode else { return true };
        let stored = self.frequencies.get(&section.name).copied().unwrap_or(section.frequency);
        let changed = frequency.is_some_and(|f| f != stored);
        active.mode.name != section.name || changed || self.stale || self.config.set_mode_always_reloads
    }

    /// Everything that can be refused is refused here, before the first hardware step.
    fn compile_set_mode(&self, mode: Mode, frequency: Option<f64>) -> Result<(ActiveMode, Plan), CallError> {
        let resolve = |host: &str| self.address_of(host);
        let site = engine::Site {
            dibas: &self.dibas,
            resolve: &resolve,
            dibas_dir: &self.config.dibas_dir,
            data_root: &self.config.data_root,
            reference_rounding: self.config.reference_rounding,
        };
        let engine = Engine::new(&self.bank, &mode, frequency, &site)?;
        let prepared = engine.initial();
        for warning in &prepared.warnings {
            log::warn!("{}: {warning}", mode.name);
        }
        let family = |program: &str| program.split('_').next().unwrap_or("").to_owned();
        let changes = self.last_program.as_ref().is_some_and(|old| family(old) != family(&mode.hpc_program));
        let plan_site = Site {
            clear_status: changes && self.config.clear_status_on_mode_change,
            await_daq: true,
            ..self.plan_site(&resolve)
        };
        let plan = compile::set_mode(&plan_site, &mode, engine.fpga(), prepared)?;
        Ok((ActiveMode { mode, engine }, plan))
    }

    fn plan_site<'a>(&'a self, resolve: &'a dyn Fn(&str) -> Option<Ipv4Addr>) -> Site<'a> {
        Site {
            dibas: &self.dibas,
            bank: &self.bank,
            resolve,
            simulate: self.config.simulate,
            fits_writer: matches!(self.config.daq, DaqProgram::Site),
            clear_status: false,
            await_daq: false,
        }
    }

    fn address_of(&self, host: &str) -> Option<Ipv4Addr> {
        host.parse().ok().or_else(|| self.hosts.get(&host.to_ascii_lowercase()).copied().flatten())
    }

    /// Addresses that configuration gives.
    pub fn learn_hosts(&mut self, hosts: Vec<Host>) {
        for (name, address) in hosts {
            self.hosts.insert(name.to_ascii_lowercase(), address);
        }
    }

    fn hosts_known(&mut self, hosts: Vec<Host>, now: Now) {
        self.learn_hosts(hosts);
        self.hosts_awaited = false;
        if let Some((ticket, call, _)) = self.waiting_for_hosts.take() {
            self.call(ticket, call, now);
        }
    }

    /// Refuses what needs the board while the board is away, before anything is touched.
    fn require_link(&self, needs_design: bool) -> Result<(), CallError> {
        let refused = |text| Err(CallError::new(ErrorClass::RuntimeError, Family::Refused, text));
        match &self.link {
            Link::Down(why) => refused(format!(
                "No connection to the ROACH of {}: {why}. It is tried again by itself; check power, network and katcp_ip",
                self.bank.name
            )),
            Link::Absent | Link::Up if needs_design && self.stale => refused(
                "The FPGA no longer runs the design of the mode (the board was restarted or re-programmed): call set_mode again"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    fn refuse_while_scanning(&self, what: &str, force: bool) -> Result<(), CallError> {
        match &self.state {
            State::Starting(_) | State::Scanning(_) if !force => Err(CallError::exception(format!(
                "{what} is refused while a scan is {}: call stop() first",
                if matches!(self.state, State::Starting(_)) { "starting" } else { "running" }
            ))),
            _ => Ok(()),
        }
    }

    // ------------------------------------------------------------------ prepare, phases, monitor

    fn prepare(&mut self, ticket: Ticket, now: Now) -> CallResult {
        let without = "Cannot prepare until a mode is selected";
        let active = self.mode.as_mut().ok_or_else(|| CallError::exception(without))?;
        if matches!(self.state, State::Starting(_) | State::Scanning(_)) {
            self.refuse_while_scanning("prepare", false)?;
            return now_is(Value::Null);
        }
        let prepared = active.engine.prepare()?;
        self.require_link(true)?;
        let active = self.mode.as_ref().expect("checked above");
        let resolve = |host: &str| self.address_of(host);
        let plan = compile::prepare(&self.plan_site(&resolve), &active.mode, &prepared);
        let state = if self.state == State::Monitoring { State::Monitoring } else { State::Preparing };
        self.run(Kind::Prepare, plan, Some(ticket), state, now);
        Ok(Answer::Later)
    }

    fn manual(&mut self, ticket: Ticket, phase: &'static str, now: Now) -> CallResult {
        let Some(active) = &self.mode else { return now_is(Value::Null) };
        self.refuse_while_scanning(phase, false)?;
        self.require_link(true)?;
        let steps = match phase {
            "reset" => &active.mode.reset_phase,
            "arm" => &active.mode.arm_phase,
            _ => &active.mode.postarm_phase,
        };
        let resolve = |host: &str| self.address_of(host);
        let plan = compile::manual(&self.plan_site(&resolve), phase, steps);
        self.run(Kind::Manual, plan, Some(ticket), State::Operating(phase), now);
        Ok(Answer::Later)
    }

    fn monitor(&mut self, ticket: Ticket, now: Now) -> CallResult {
        if self.mode.is_none() {
            return no_backend();
        }
        self.refuse_while_scanning("monitor", false)?;
        let mut plan = Plan::new("monitor");
        let line = Step::Command { child: Child::Daq, line: "monitor".into() };
        plan.push(crate::plan::Phase::strict("monitor", vec![Step::StartChild(Child::Daq), line]));
        self.run(Kind::Monitor, plan, Some(ticket), State::Operating("monitor"), now);
        Ok(Answer::Later)
    }

    // ------------------------------------------------------------------ start, stop, watchdog

    fn start(&mut self, ticket: Ticket, starttime: &Value, now: Now) -> CallResult {
        let Some(active) = &self.mode else { return now_is(Value::Null) };
        if matches!(self.state, State::Starting(_) | State::Scanning(_)) {
            return now_is(Value::verdict(false, "Scan already started."));
        }
        let start = scan::start_second(starttime, now.utc, active.mode.needed_arm_delay)?;
        self.require_link(true)?;
        let length = Duration::try_from_secs_f64(active.engine.scan_length()).map_err(|_| {
            CallError::exception(format!(
                "scan_length {} s is no length of a scan",
                active.engine.scan_length()
            ))
        })?;
        let scan = Scan::new(start, length);
        let resolve = |host: &str| self.address_of(host);
        let plan = compile::start(&self.plan_site(&resolve), &active.mode, start, scan.arm_at);
        self.after_stop = None;
        self.run(Kind::Start { cancelled: false }, plan, Some(ticket), State::Starting(scan), now);
        Ok(Answer::Later)
    }

    fn stop(&mut self, now: Now) -> CallResult {
        if self.cancel_start() {
            return now_is(Value::verdict(true, "Pending start cancelled."));
        }
        match self.state {
            State::Scanning(_) => {
                self.end_scan("stopped", now);
                now_is(Value::verdict(true, "Scan ended"))
            }
            State::Monitoring => {
                self.tell(&[Child::Daq], "stop", now);
                self.enter(State::Ready, now);
                now_is(Value::verdict(true, "Ending monitor mode."))
            }
            _ if self.mode.is_none() && self.job.is_none() => no_backend(),
            _ => now_is(Value::verdict(false, "No scan running!")),
        }
    }

    /// Withdraws a start that has not armed yet. `false`: there is none.
    fn cancel_start(&mut self) -> bool {
        let Some(Job { kind: Kind::Start { cancelled }, runner, .. }) = &mut self.job else { return false };
        *cancelled = true;
        // Half an arm phase would leave the hardware in between: it is finished, then undone by STOP.
        if runner.phase_name() != "arm" {
            runner.cancel();
        }
        true
    }

    fn cancel(&mut self, ticket: Ticket) {
        if self.job.as_ref().is_some_and(|j| j.ticket == Some(ticket)) {
            self.cancel_start();
        }
    }

    /// Sends a line to those of the programs that run.
    fn tell(&mut self, children: &[Child], line: &str, now: Now) {
        for child in children {
            if self.slot(*child).is_running()
                && let Err(e) = self.slot(*child).command(line, now)
            {
                self.note_error(format!("'{line}' did not reach the {child}: {e}"), now);
            }
            while self.pass_child_order(*child, now) {}
        }
    }

    fn end_scan(&mut self, reason: &str, now: Now) {
        if let State::Scanning(scan) = &self.state {
            self.last_scan = Some(describe_scan(scan, reason, self.scan_number));
        }
        self.tell(&[Child::Daq, Child::FitsWriter], "stop", now);
        let mut keys = vec![("DISKSTAT".to_owned(), "-".to_owned())];
        if reason != "stopped" {
            keys.push(("SCANREM".into(), "scan terminated".into()));
        }
        self.order_status(StatusKey::Quiet, StatusOrder::Put(keys));
        self.next_watchdog = None;
        self.after_stop = Some((now.mono + WATCHDOG, now.mono + DAQ_STOPPED_WITHIN));
        log::info!("scan {} ended: {reason}", self.scan_number);
        self.enter(State::Ready, now);
    }

    fn scan_end(&self) -> Option<Mono> {
        match &self.state {
            State::Scanning(scan) => scan.ends,
            _ => None,
        }
    }

    fn watchdog(&mut self, now: Now) {
        if self.scan_end().is_some_and(|end| end <= now.mono) {
            self.end_scan("complete", now);
            return;
        }
        if self.next_watchdog.is_none_or(|due| due > now.mono) {
            return;
        }
        self.next_watchdog = Some(now.mono + WATCHDOG);
        self.write_remaining(now);
    }

    fn write_remaining(&mut self, now: Now) {
        if let State::Scanning(scan) = &mut self.state {
            let left = scan.seconds_left(now);
            if scan.remaining.as_ref() != Some(&left) {
                scan.remaining = Some(left.clone());
                self.order_status(StatusKey::Quiet, StatusOrder::Put(vec![("SCANREM".into(), left)]));
            }
        }
    }

    /// After a scan: does the DAQ program report that it has stopped?
    fn watch_daq_stop(&mut self, now: Now) {
        let Some((next, until)) = self.after_stop else { return };
        if !self.daq.is_running() {
            self.after_stop = None;
        } else if until <= now.mono {
            self.after_stop = None;
            let text = format!(
                "the DAQ program has not reported DAQSTATE=stopped within {} s of the end of the scan",
                DAQ_STOPPED_WITHIN.as_secs()
            );
            self.note_error(text, now);
        } else if next <= now.mono {
            self.after_stop = Some((now.mono + WATCHDOG, until));
            self.order_status(StatusKey::AfterStop, StatusOrder::Read);
        }
    }

    // ------------------------------------------------------------------ jobs

    fn run(&mut self, kind: Kind, plan: Plan, ticket: Option<Ticket>, state: State, now: Now) {
        debug_assert!(self.job.is_none(), "the node queues writes while a job runs");
        self.serial += 1;
        self.outputs.push_back(Output::Record(plan.to_value()));
        self.enter(state, now);
        let runner = Runner::start(plan, now);
        self.job = Some(Job { serial: self.serial, runner, kind, ticket });
    }

    fn step_done(&mut self, key: StepKey, done: Done, now: Now) {
        if let Some(job) = &mut self.job
            && job.serial == key.serial
        {
            job.runner.done(key.id, done, now);
        }
    }

    /// Passes on whatever has become due, until nothing moves any more.
    fn settle(&mut self, now: Now) {
        loop {
            let mut moved = self.pass_job_order(now);
            moved |= self.pass_child_order(Child::Daq, now);
            moved |= self.pass_child_order(Child::FitsWriter, now);
            if self.job.as_ref().is_some_and(|j| j.runner.outcome().is_some()) {
                self.finish_job(now);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn pass_job_order(&mut self, now: Now) -> bool {
        let Some(job) = &mut self.job else { return false };
        let serial = job.serial;
        let Some((id, order)) = job.runner.poll() else { return false };
        let key = StepKey { serial, id };
        match order {
            Order::Fpga(op) => self.outputs.push_back(Output::Fpga { key: FpgaKey::Plan(key), op }),
            Order::ReadStatus(_) => self.order_status(StatusKey::Plan(key), StatusOrder::Read),
            Order::Other(step) => self.carry_out(key, step, now),
        }
        true
    }

    fn carry_out(&mut self, key: StepKey, step: Step, now: Now) {
        match step {
            Step::Status(pairs) => self.order_status(StatusKey::Plan(key), StatusOrder::Put(pairs)),
            Step::ClearStatus => self.order_status(StatusKey::Plan(key), StatusOrder::Clear),
            Step::SynthFrequency { channel, mhz } => {
                let op = synthesizer_request(channel, mhz);
                self.outputs.push_back(Output::Fpga { key: FpgaKey::Plan(key), op });
            }
            Step::StartChild(child) => self.slot(child).start(key, now),
            Step::StopChild(child) => self.slot(child).stop(key, now),
            Step::Command { child, line } => {
                let result = self.slot(child).command(&line, now);
                self.step_done(key, Done::Other(result), now);
            }
            other => unreachable!("the runner itself carries out {other}"),
        }
    }

    fn finish_job(&mut self, now: Now) {
        let Some(job) = self.job.take() else { return };
        for warning in job.runner.warnings() {
            log::warn!("{}: {warning}", job.runner.plan().title);
        }
        let title = job.runner.plan().title.clone();
        let outcome = job.runner.outcome().cloned().unwrap_or(Ok(()));
        match (job.kind, outcome) {
            (Kind::SetMode(active), Ok(())) => {
                let text = format!("New mode {} set!", active.mode.name);
                self.last_program = Some(active.mode.hpc_program.clone());
                self.mode = Some(*active);
                self.last_error = None;
                self.enter(State::Ready, now);
                self.reply(job.ticket, Ok(Value::verdict(true, text)));
            }
            (Kind::SetMode(active), Err(failure)) => {
                let error = step_error(&active.mode.name, &failure);
                self.note_error(error.message.clone(), now);
                let state = State::SettingMode(active.mode.name.clone());
                self.run(Kind::Cleanup(error), compile::stop_programs(), job.ticket, state, now);
            }
            (Kind::Cleanup(error), _) => {
                self.enter(State::NoMode, now);
                self.reply(job.ticket, Err(error));
            }
            (Kind::Start { cancelled }, outcome) => {
                self.start_finished(job.ticket, &job.runner, cancelled, outcome, now);
            }
            (Kind::Shutdown, _) => self.outputs.push_back(Output::Finished),
            (Kind::Monitor, Ok(())) => {
                self.enter(State::Monitoring, now);
                self.reply(job.ticket, Ok(Value::verdict(true, "Start monitor mode.")));
            }
            (Kind::Prepare | Kind::Manual, Ok(())) => {
                self.back_to_rest(now);
                self.reply(job.ticket, Ok(Value::Null));
            }
            (Kind::Prepare | Kind::Manual | Kind::Monitor, Err(failure)) => {
                let error = step_error(&title, &failure);
                self.note_error(error.message.clone(), now);
                self.back_to_rest(now);
                self.reply(job.ticket, Err(error));
            }
        }
    }

    fn back_to_rest(&mut self, now: Now) {
        if self.state != State::Monitoring {
            self.enter(State::Ready, now);
        }
    }

    fn start_finished(
        &mut self,
        ticket: Option<Ticket>,
        runner: &Runner,
        cancelled: bool,
        outcome: Result<(), Failure>,
        now: Now,
    ) {
        let State::Starting(mut scan) = self.state.clone() else { return };
        if cancelled {
            self.give_up_start(ticket, CallError::exception("start(): cancelled by stop()"), now);
            return;
        }
        if let Err(failure) = outcome {
            self.give_up_start(ticket, start_error(&failure), now);
            return;
        }
        let mut arm = runner.timings().iter().filter(|t| t.phase == "arm");
        let first = arm.next().map_or(now, |t| t.began);
        let last = arm.next_back().map_or(first, |t| t.ended);
        scan.arm_done(first, last, now);
        let margin = scan.margin_ms().unwrap_or(0.0);
        if margin < 0.0 {
            let text = format!("start(): armed too late by {:.0} ms", -margin);
            self.give_up_start(ticket, CallError::new(ErrorClass::Exception, Family::Timeout, text), now);
            return;
        }
        let late_us = first.utc.nanos_since(scan.arm_at) / 1000;
        log::info!(
            "armed for {}: first write {late_us} us after its time, margin {margin:.0} ms",
            scan.start
        );
        let text = format!("Successfully started roach for starttime={}", scan.start);
        self.next_watchdog = Some(now.mono + WATCHDOG);
        self.last_error = None;
        self.enter(State::Scanning(scan), now);
        self.write_remaining(now);
        self.reply(ticket, Ok(Value::verdict(true, text)));
    }

    fn give_up_start(&mut self, ticket: Option<Ticket>, error: CallError, now: Now) {
        self.tell(&[Child::Daq, Child::FitsWriter], "STOP", now);
        self.note_error(error.message.clone(), now);
        self.enter(State::Ready, now);
        self.reply(ticket, Err(error));
    }

    // ------------------------------------------------------------------ programs

    fn slot(&mut self, child: Child) -> &mut ChildSlot<StepKey> {
        match child {
            Child::Daq => &mut self.daq,
            Child::FitsWriter => &mut self.writer,
        }
    }

    fn pass_child_order(&mut self, child: Child, now: Now) -> bool {
        let Some(order) = self.slot(child).poll() else { return false };
        match order {
            ChildOrder::Spawn => {
                let program = self.program(child);
                self.outputs.push_back(Output::Spawn { child, program });
            }
            ChildOrder::Line(line) => self.outputs.push_back(Output::Line { child, line: line + "\n" }),
            ChildOrder::CloseInput => self.outputs.push_back(Output::CloseInput { child }),
            ChildOrder::Signal(signal) => self.outputs.push_back(Output::Signal { child, signal }),
            ChildOrder::Answer(key, result) => self.step_done(key, Done::Other(result), now),
            ChildOrder::Died(exit) => self.child_died(child, exit, now),
        }
        true
    }

    fn program(&self, child: Child) -> Program {
        let mode = match (&self.job, &self.mode) {
            (Some(Job { kind: Kind::SetMode(active), .. }), _) => Some(&active.mode),
            (_, active) => active.as_ref().map(|a| &a.mode),
        };
        self.config.program(child, mode)
    }

    fn child_died(&mut self, child: Child, exit: Exit, now: Now) {
        let text = format!("the {child} died: {}", exit_text(exit));
        self.note_error(text.clone(), now);
        if child != Child::Daq {
            return;
        }
        match &self.state {
            State::Scanning(_) => {
                self.end_scan(&text, now);
                self.after_stop = None;
            }
            State::Starting(_) => {
                if let Some(job) = &mut self.job {
                    job.runner.cancel();
                }
            }
            State::Monitoring => self.enter(State::Ready, now),
            _ => {}
        }
    }

    // ------------------------------------------------------------------ status memory

    fn order_status(&mut self, key: StatusKey, order: StatusOrder) {
        self.outputs.push_back(Output::Status { key, order });
    }

    fn status_answered(&mut self, key: StatusKey, answer: StatusAnswer, now: Now) {
        match key {
            StatusKey::Plan(key) => self.status_step_done(key, answer, now),
            StatusKey::Written(ticket) => {
                self.reply(Some(ticket), answer.map(|_| Value::Null).map_err(status_error));
            }
            StatusKey::Cards(ticket, keys) => {
                let outcome = answer.map_err(status_error).and_then(|cards| select(&cards, &keys));
                self.reply(Some(ticket), outcome);
            }
            StatusKey::ScanStatus(ticket) => {
                let running = matches!(self.state, State::Scanning(_));
                let outcome = answer.map(|cards| scan_status(running, &cards)).map_err(status_error);
                self.reply(Some(ticket), outcome);
            }
            StatusKey::AfterStop => {
                let cards = answer.unwrap_or_default();
                if card(&cards, "DAQSTATE").is_some_and(|v| v.to_string() == "stopped") {
                    self.after_stop = None;
                }
            }
            StatusKey::Quiet => {
                if let Err(e) = answer {
                    self.note_error(format!("status memory: {e}"), now);
                }
            }
        }
    }

    fn status_step_done(&mut self, key: StepKey, answer: StatusAnswer, now: Now) {
        let Some(job) = &self.job else { return };
        let polled = match job.runner.step_of(key.id) {
            Some(Step::WaitStatus { key, .. }) => Some(key.clone()),
            _ => None,
        };
        let done = match (answer, polled) {
            (Ok(cards), Some(name)) => Done::Status(card(&cards, &name).map(|v| v.to_string())),
            (Ok(_), None) => Done::Other(Ok(())),
            (Err(_), Some(_)) => Done::Status(None),
            (Err(e), None) => Done::Other(Err(e)),
        };
        self.step_done(key, done, now);
    }

    // ------------------------------------------------------------------ the rest

    fn link_changed(&mut self, link: Link, now: Now) {
        if self.link == link || self.link == Link::Absent {
            return;
        }
        if let (Link::Up, Link::Down(why)) = (&self.link, &link) {
            self.note_error(format!("lost the ROACH: {why}"), now);
        }
        self.link = link;
        if self.link == Link::Up && self.mode.is_some() && self.job.is_none() {
            self.outputs.push_back(Output::Fpga { key: FpgaKey::Probe, op: FpgaOp::Status });
        }
        self.outputs.push_back(Output::Changed);
    }

    fn probed(&mut self, result: Result<FpgaReply, FpgaError>, now: Now) {
        if result == Ok(FpgaReply::Flag(false)) && self.mode.is_some() && self.job.is_none() {
            self.stale = true;
            self.note_error("the FPGA is no longer programmed: call set_mode again".into(), now);
            self.outputs.push_back(Output::Changed);
        }
    }

    fn reloaded(&mut self, dibas: Dibas) {
        if let Some(bank) = dibas.bank(&self.bank.name) {
            // Endpoints in use (board, ports) stay until restart; modes and parameters are new at once.
            let filter_bits = bank.filter_bits.clone();
            self.bank.filter_bits = filter_bits;
        }
        self.dibas = dibas;
    }

    fn shutdown(&mut self, now: Now) {
        if matches!(self.state, State::ShuttingDown) {
            return;
        }
        if let Some(mut job) = self.job.take() {
            job.runner.cancel();
            self.reply(job.ticket, Err(CallError::exception("the player is shutting down")));
        }
        if let State::Scanning(_) = self.state {
            self.end_scan("the player was stopped", now);
        }
        self.after_stop = None;
        self.next_watchdog = None;
        self.run(Kind::Shutdown, compile::stop_programs(), None, State::ShuttingDown, now);
    }

    fn reply(&mut self, ticket: Option<Ticket>, outcome: Outcome) {
        if let Some(ticket) = ticket {
            self.outputs.push_back(Output::Reply { ticket, outcome });
        }
    }

    fn enter(&mut self, state: State, now: Now) {
        if self.state.name() != state.name() {
            log::info!("{}: {} -> {}", self.bank.name, self.state.name(), state.name());
            self.since = now;
            self.outputs.push_back(Output::Changed);
        }
        self.state = state;
    }

    fn note_error(&mut self, text: String, now: Now) {
        log::warn!("{}: {text}", self.bank.name);
        self.last_error = Some((now.utc, text));
    }

    /// The answer of `player_state`.
    pub fn describe(&self, now: Now) -> Value {
        let text = |s: &str| Value::Str(s.to_owned());
        let optional = |v: Option<Value>| v.unwrap_or(Value::Null);
        let scan = self.state.scan().map(|s| {
            let mut value = describe_scan(s, "", self.scan_number);
            if let Value::Map(m) = &mut value {
                m.push(("remaining_s".into(), s.seconds_left(now).parse().map_or(Value::Null, Value::Int)));
            }
            value
        });
        let job = self.job.as_ref().map(|j| {
            let (done, all) = j.runner.progress();
            Value::Map(vec![
                ("title".into(), text(&j.runner.plan().title)),
                ("phase".into(), text(j.runner.phase_name())),
                ("steps_done".into(), Value::Int(done as i64)),
                ("steps".into(), Value::Int(all as i64)),
            ])
        });
        let link = match &self.link {
            Link::Absent => "absent".to_owned(),
            Link::Up if self.stale => "connected, but the FPGA is not programmed".to_owned(),
            Link::Up => "connected".to_owned(),
            Link::Down(why) => format!("down: {why}"),
        };
        Value::Map(vec![
            ("bank".into(), text(&self.bank.name)),
            ("state".into(), text(self.state.name())),
            ("since".into(), text(&self.since.utc.to_string())),
            ("simulate".into(), Value::Bool(self.config.simulate)),
            ("mode".into(), optional(self.mode.as_ref().map(|m| text(&m.mode.name)))),
            ("job".into(), optional(job)),
            ("scan_number".into(), Value::Int(self.scan_number)),
            ("scan".into(), optional(scan)),
            ("last_scan".into(), optional(self.last_scan.clone())),
            (
                "programs".into(),
                Value::Map(vec![
                    ("daq".into(), describe_child(&self.daq)),
                    ("fits_writer".into(), describe_child(&self.writer)),
                ]),
            ),
            ("roach".into(), text(&link)),
            (
                "last_error".into(),
                optional(self.last_error.as_ref().map(|(at, e)| text(&format!("{at} UTC: {e}")))),
            ),
        ])
    }
}

fn no_backend() -> CallResult {
    now_is(Value::verdict(false, "No backend selected!"))
}

/// What `bandwidth` means: a frequency, nothing, or (a slip of a shipped example) `force`.
fn frequency_wanted(bandwidth: &Value, force: bool) -> Result<(Option<f64>, bool), CallError> {
    let invalid = |class, text: String| Err(CallError::new(class, Family::Invalid, text));
    match bandwidth {
        Value::Null | Value::Bool(false) => Ok((None, force)),
        Value::Bool(true) => {
            log::warn!("set_mode(.., bandwidth=True) is taken as force=True");
            Ok((None, true))
        }
        other => match other.as_f64() {
            Some(f) if f.is_finite() && f != 0.0 => Ok((Some(f), force)),
            Some(f) => {
                invalid(ErrorClass::ValueError, format!("bandwidth must be a frequency in MHz, not {f}"))
            }
            None => invalid(
                ErrorClass::TypeError,
                format!("set_mode() argument 'bandwidth' must be a number of MHz, not {}", other.kind()),
            ),
        },
    }
}

fn synthesizer_request(channel: u8, mhz: f64) -> FpgaOp {
    let name = if channel == 0 { "synth_a" } else { "synth_b" };
    let args = [name.to_owned(), format!("{mhz:?}"), "10.0".to_owned()];
    FpgaOp::Raw { name: "valon-set-frequency".into(), args: args.map(String::into_bytes).to_vec() }
}

fn class_of(failure: &Failure) -> ErrorClass {
    if failure.problems.iter().any(|p| p.fpga) { ErrorClass::RuntimeError } else { ErrorClass::Exception }
}

fn problems_text(failure: &Failure) -> String {
    if failure.problems.is_empty() && failure.cancelled {
        return "cancelled".into();
    }
    let each = failure.problems.iter().map(|p| format!("{}: {}", p.step, p.error));
    each.collect::<Vec<_>>().join("; ")
}

fn step_error(what: &str, failure: &Failure) -> CallError {
    let text = format!("{what} failed at {}: {}", failure.phase, problems_text(failure));
    CallError::new(class_of(failure), Family::Peer, text)
}

fn start_error(failure: &Failure) -> CallError {
    if failure.phase == "await_arm_time"
        && let Some(p) = failure.problems.first()
    {
        return CallError::new(ErrorClass::Exception, Family::Timeout, format!("start(): {}", p.error));
    }
    if failure.cancelled {
        return CallError::exception("start(): the DAQ program died before the arm time");
    }
    step_error("start()", failure)
}

fn status_error(text: String) -> CallError {
    CallError::new(ErrorClass::Exception, Family::Environment, format!("status memory: {text}"))
}

fn card<'a>(cards: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    cards.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v)
}

fn scan_status(running: bool, cards: &[(String, Value)]) -> Value {
    let show = |key: &str| {
        let value = card(cards, key).map_or_else(|| "unknown".to_owned(), Value::to_string);
        Value::Str(format!("{key}={value}"))
    };
    Value::List(vec![Value::Bool(running), show("NETSTAT"), show("DISKSTAT")])
}

/// `get_status`: everything, the keys of a list that exist, or one key.
fn select(cards: &[(String, Value)], keys: &Value) -> Outcome {
    match keys {
        Value::Null => Ok(Value::Map(cards.to_vec())),
        Value::List(names) => {
            let found = names.iter().filter_map(|n| {
                let name = n.as_str()?;
                Some((name.to_owned(), card(cards, name)?.clone()))
            });
            Ok(Value::Map(found.collect()))
        }
        one => {
            let name = one.to_string();
            card(cards, &name)
                .cloned()
                .ok_or_else(|| CallError::new(ErrorClass::KeyError, Family::Invalid, format!("'{name}'")))
        }
    }
}

fn describe_child(slot: &ChildSlot<StepKey>) -> Value {
    let pid = slot.running().map_or(Value::Null, |(pid, _)| Value::Int(i64::from(pid)));
    let since = slot.running().map_or(Value::Null, |(_, since)| Value::Str(since.utc.to_string()));
    let exit = slot.last_exit().map_or(Value::Null, |e| Value::Str(exit_text(e)));
    Value::Map(vec![
        ("state".into(), slot.phase_name().into()),
        ("pid".into(), pid),
        ("since".into(), since),
        ("last_exit".into(), exit),
    ])
}

fn describe_scan(scan: &Scan, ended: &str, number: i64) -> Value {
    let mut map = vec![
        ("number".to_owned(), Value::Int(number)),
        ("start".to_owned(), Value::Str(scan.start.to_string())),
        ("length_s".to_owned(), Value::Float(scan.length.as_secs_f64())),
    ];
    if let (Some((first, last)), Some(margin)) = (scan.armed, scan.margin_ms()) {
        let late_us = first.utc.nanos_since(scan.arm_at) / 1000;
        map.push(("arm_began".into(), Value::Str(first.utc.to_string())));
        map.push(("arm_ended".into(), Value::Str(last.utc.to_string())));
        map.push(("arm_late_us".into(), Value::Int(late_us)));
        map.push(("arm_margin_ms".into(), Value::Float(margin)));
    }
    if !ended.is_empty() {
        map.push(("ended".into(), ended.into()));
    }
    Value::Map(map)
}
