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

mod board_calls;
mod buffers;
mod calls;
mod commands;
mod describe;
mod dry;
mod evidence;
mod helper;
mod jobs;
mod later;
mod messages;
mod mode;
mod par_file;
mod programs;
mod promises;
mod proof;
mod restore;
mod scans;
mod space;
mod status;
mod why;
mod would;
mod writes;

pub use restore::Adopted;

pub use board_calls::MOST_CALLS;
pub use buffers::{BuffersKey, BuffersOrder};
pub use messages::{
    Deadlines, FpgaKey, Input, Output, StatusAnswer, StatusKey, StatusOrder, StepKey, Ticket, WorkId,
};

use super::applied::Applied;
use super::children::ChildSlot;
use super::clock::ClockWatch;
use super::compile;
use super::config::{DaqProgram, PlayerConfig};
use super::engine::Engine;
use super::evidence::Look;
use super::methods::PlayerCall;
use super::saved::{Changes, Saved, SavedScan};
use super::schedule::Schedule;
use super::state::{Link, State};
use super::verdict::{Ending, Verdict};
use super::writes::Writes;
use crate::api::{CallError, Outcome};
use crate::config::dibas::{Bank, Dibas, Mode, SynthAt};
use crate::fpga::{FpgaError, FpgaOp, FpgaReply};
use crate::plan::Child;
use crate::plan::runner::Done;
use crate::reactor::When;
use crate::units::{Mono, Now, Utc};
use crate::value::Value;
use jobs::{Job, Kind};
use promises::Promises;
use proof::{Closing, Open};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

#[derive(Debug)]
struct ActiveMode {
    mode: Mode,
    engine: Engine,
    /// Of the configuration the mode was taken from.
    dibas_hash: String,
    /// Parameters as they were when the mode was set.
    defaults: Vec<(String, Value)>,
}

/// One bank.
pub struct Player {
    config: PlayerConfig,
    dibas: Dibas,
    bank: Bank,
    hosts: HashMap<String, Option<Ipv4Addr>>,
    hosts_awaited: bool,
    waiting_for_hosts: Option<(Ticket, PlayerCall, Mono)>,
    waiting_for_par_file: Option<par_file::Waiting>,
    dry_runs: Vec<dry::DryRun>,
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
    helper: Option<helper::Helper>,
    link: Link,
    /// The board no longer runs the design of the mode (it was re-programmed or rebooted).
    stale: bool,
    /// The link came back and the board has not been looked at since.
    probe_due: bool,
    last_error: Option<(Utc, String)>,
    /// Who has control, to be shown.
    control: Value,
    next_watchdog: Option<Mono>,
    after_stop: Option<(Mono, Mono)>,
    last_scan: Option<Value>,
    /// Changes of the engine since the mode was set.
    changes: Changes,
    /// Something that is saved may have changed.
    unsaved: bool,
    last_saved: Option<Saved>,
    /// What went on when the next process was given it: scan, and data without a scan.
    handed_over: Option<(Option<SavedScan>, bool)>,
    /// The next process is to take over as soon as the programs have their commands.
    leaving: bool,
    promises: Promises,
    procedures: Vec<board_calls::Running>,
    /// Questions for the proof of a scan, by its id.
    looks: HashMap<WorkId, (String, Look)>,
    last_work: u64,
    /// The way to the synthesizer has opened and it has not been set up since.
    synth_due: bool,
    /// The synthesizer was not seen locked to the frequency of the mode, for this reason.
    unlocked: Option<String>,
    clock: ClockWatch,
    /// Who placed the call that is being looked at.
    caller: Option<(Ticket, String)>,
    /// Parameters that were set since the mode was.
    asked: BTreeSet<String>,
    /// What the plans of this mode have brought.
    applied: Applied,
    /// What was written to hardware.
    writes: Writes,
    /// Scans for later.
    schedule: Schedule,
    /// A scan of the schedule is due, but the player is not free: it is looked at again then.
    schedule_look: Option<Mono>,
    last_verdict: Option<Verdict>,
    open: Option<Open>,
    closing: Option<Closing>,
    /// Orders about data buffers that are not answered yet.
    buffers: Vec<buffers::Waiting>,
    outputs: VecDeque<Output>,
}

impl Player {
    /// A player of `bank` with nothing set. `hosts_awaited`: an [`Input::Hosts`] will come.
    pub fn new(config: PlayerConfig, dibas: Dibas, bank: Bank, hosts_awaited: bool, now: Now) -> Player {
        // What plays a site's program is treated like one: it may lose commands, and ignore `quit`.
        let (gap, quit) = match config.daq {
            DaqProgram::Builtin { .. } | DaqProgram::Rehearsal { .. } => (0, 15_000),
            DaqProgram::Site | DaqProgram::Simulated { .. } => (1_100, 3_000),
        };
        let slot = |child| ChildSlot::new(child, Duration::from_millis(gap), Duration::from_millis(quit));
        let link = if bank.has_roach { Link::Down("not connected yet".into()) } else { Link::Absent };
        Player {
            daq: slot(Child::Daq),
            writer: slot(Child::FitsWriter),
            helper: None,
            link,
            config,
            dibas,
            bank,
            hosts: HashMap::new(),
            hosts_awaited,
            waiting_for_hosts: None,
            waiting_for_par_file: None,
            dry_runs: Vec::new(),
            state: State::NoMode,
            since: now,
            mode: None,
            frequencies: HashMap::new(),
            last_program: None,
            scan_number: 1,
            job: None,
            serial: 0,
            stale: false,
            probe_due: false,
            last_error: None,
            control: Value::Null,
            next_watchdog: None,
            after_stop: None,
            last_scan: None,
            changes: Changes::default(),
            unsaved: false,
            last_saved: None,
            handed_over: None,
            leaving: false,
            promises: Promises::default(),
            procedures: Vec::new(),
            looks: HashMap::new(),
            last_work: 0,
            synth_due: false,
            unlocked: None,
            clock: ClockWatch::default(),
            caller: None,
            asked: BTreeSet::new(),
            applied: Applied::default(),
            writes: Writes::default(),
            schedule: Schedule::default(),
            schedule_look: None,
            last_verdict: None,
            open: None,
            closing: None,
            buffers: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// One input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Call { ticket, call } => self.call(ticket, call, now),
            Input::Fpga { key, result } => self.fpga_answered(key, result, now),
            Input::Synth { id, result } => self.synth_answered(id, result, now),
            Input::SynthLine(state) => self.synth_line(state, now),
            Input::Status { key, answer } => self.status_answered(key, answer, now),
            Input::ChildStarted { child, pid } => self.child_started(child, pid, now),
            Input::SpawnFailed { child, error } => self.spawn_failed(child, &error),
            Input::ChildExited { child, exit } => self.slot(child).exited(exit),
            Input::HelperEnded(result) => self.helper_ended(result, now),
            Input::Link(link) => self.link_changed(link, now),
            Input::Hosts(hosts) => self.hosts_known(hosts, now),
            Input::ParFile { path, text } => {
                self.par_file_for_dry_runs(&path, &text);
                self.par_file_read(&path, text, now);
            }
            Input::Clock(quality) => self.clock.heard(quality, now.mono),
            Input::Caller { ticket, client } => self.caller = Some((ticket, client)),
            Input::Buffers { key, result } => self.buffers_answered(key, result, now),
            Input::Space(free) if matches!(self.state, State::Starting(_)) => self.refuse_without_space(free),
            Input::Space(free) => self.space_measured(free),
            Input::GatewareSummed { name, sum } => self.gateware_summed(&name, sum),
            Input::ProofWritten { id, result } => self.proof_written(&id, result, now),
            Input::Reloaded(dibas) => self.reloaded(*dibas),
            Input::Cancel { ticket } => {
                self.cancel(ticket);
                self.end_calls(Some(ticket), &CallError::exception("cancelled"), now);
            }
            Input::Saved => self.saved_now(),
            Input::Shutdown => self.shutdown(now),
            Input::HandOver => self.hand_over(now),
        }
        self.settle(now);
    }

    fn fpga_answered(&mut self, key: FpgaKey, result: Result<FpgaReply, FpgaError>, now: Now) {
        self.write_answered(key, &result);
        match key {
            FpgaKey::Plan(key) => self.step_done(key, Done::Fpga(result), now),
            FpgaKey::Probe => self.probed(result, now),
            FpgaKey::Work(id) => self.board_answered(id, result, now),
        }
    }

    /// Time has passed, or the wall clock was set.
    pub fn tick(&mut self, now: Now) {
        self.daq.tick(now);
        self.writer.tick(now);
        self.helper_overdue(now);
        if let Some(job) = &mut self.job {
            job.runner.tick(now);
        }
        if matches!(&self.waiting_for_hosts, Some((_, _, until)) if *until <= now.mono) {
            self.hosts_known(Vec::new(), now);
        }
        self.par_file_overdue(now);
        self.dry_runs_overdue(now);
        self.buffers_overdue(now);
        self.wake_procedures(now);
        self.watchdog(now);
        self.watch_daq_stop(now);
        self.work_off_schedule(now);
        self.settle(now);
    }

    /// The next order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Player::tick`] at the latest.
    pub fn deadlines(&self) -> Deadlines {
        let runner = self.job.as_ref().and_then(|j| j.runner.deadline());
        let (schedule_look, schedule_due) = self.schedule_deadline();
        let mono = [
            schedule_look,
            self.daq.deadline(),
            self.writer.deadline(),
            self.helper_deadline(),
            self.next_watchdog,
            self.scan_end(),
            self.after_stop.map(|(next, _)| next),
            self.procedures_deadline(),
            self.dry_runs_deadline(),
            self.buffers_deadline(),
            self.closing.as_ref().map(|c| c.until()),
            self.promises.deadline(),
            self.waiting_for_hosts.as_ref().map(|(_, _, until)| *until),
            self.waiting_for_par_file.as_ref().map(|waiting| waiting.until),
            match runner {
                Some(When::Mono(m)) => Some(m),
                _ => None,
            },
        ];
        let utc = match runner {
            Some(When::Utc(t)) => Some(t),
            _ => None,
        };
        let utc = [utc, schedule_due].into_iter().flatten().min();
        Deadlines { mono: mono.into_iter().flatten().min(), utc }
    }

    /// Who has control of the node (null: nobody), to be shown in `player_state`.
    pub fn set_control(&mut self, held: Value) {
        self.control = held;
        self.outputs.push_back(Output::Changed);
    }

    /// A job, or a call that changes the board, is at work: further writes have to wait. Not while shutting down: they are refused then.
    pub fn is_busy(&self) -> bool {
        let waiting = self.waiting_for_hosts.is_some() || self.waiting_for_par_file.is_some();
        let at_work = self.job.is_some() || self.hardware_is_changing();
        self.state != State::ShuttingDown && (at_work || waiting)
    }

    /// What the running job is, for messages: `set_mode(MODE1)`.
    pub fn job_title(&self) -> Option<&str> {
        self.job.as_ref().map(|j| j.runner.plan().title.as_str())
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn link_changed(&mut self, link: Link, now: Now) {
        if self.link == link || self.link == Link::Absent {
            return;
        }
        if let (Link::Up, Link::Down(why)) = (&self.link, &link) {
            self.note_error(format!("lost the ROACH: {why}"), now);
        }
        self.link = link;
        self.probe_due = self.link == Link::Up && (self.mode.is_some() || self.job.is_some());
        let behind_board = self.bank.synth.as_ref().is_some_and(|s| s.where_ == SynthAt::Katcp);
        self.synth_due |= self.link == Link::Up && behind_board;
        self.probe();
        self.wake_procedures(now);
        self.outputs.push_back(Output::Changed);
    }

    /// After a reconnect: looks whether the board still runs the mode's design; while a mode is being set there
    /// is none, so that is looked at afterwards.
    fn probe(&mut self) {
        if self.probe_due && self.mode_drives_board() && self.state != State::ShuttingDown {
            self.probe_due = false;
            self.outputs.push_back(Output::Fpga { key: FpgaKey::Probe, op: FpgaOp::Status });
        }
    }

    fn probed(&mut self, result: Result<FpgaReply, FpgaError>, now: Now) {
        if result == Ok(FpgaReply::Flag(false)) && self.mode_drives_board() {
            self.stale = true;
            self.applied.registers.clear();
            let text = "the FPGA is no longer programmed (the ROACH was restarted): call set_mode again";
            match self.state {
                State::Scanning(_) => self.end_scan(text, now),
                State::Starting(_) => self.interrupt_job(text),
                _ => {}
            }
            self.note_error(text.into(), now);
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
        self.refuse_dry_runs();
        self.end_looks(&shutting_down());
        self.answer_open_calls(&shutting_down(), now);
        // Their scan has begun, and ends now: "started" would be true and misleading.
        let ended = CallError::exception("the scan had started, but the player is shutting down and ends it");
        for promise in self.promises.take() {
            let outcome = if promise.of_scan { Err(ended.clone()) } else { promise.outcome };
            self.reply(Some(promise.ticket), outcome);
        }
        if let State::Scanning(_) = self.state {
            self.end_scan_as(Ending::Cut("the player was stopped".into()), now);
        }
        self.after_stop = None;
        self.next_watchdog = None;
        self.run(Kind::Shutdown, compile::stop_programs(), None, State::ShuttingDown, now);
    }

    /// Another process goes on: programs and scans are left as they are. Who still waits is told what to do.
    fn hand_over(&mut self, now: Now) {
        if matches!(self.state, State::ShuttingDown) {
            return;
        }
        self.answer_open_calls(&CallError::exception("the player is being restarted; ask again"), now);
        self.refuse_dry_runs();
        self.end_looks(&shutting_down());
        log::info!("{}: programs and scan are left to the next player", self.bank.name);
        self.close_proof(now);
        self.save();
        // The state leaves with this process, so what was to be said after it is true.
        for promise in self.promises.take() {
            self.reply(Some(promise.ticket), promise.outcome);
        }
        self.after_stop = None;
        self.next_watchdog = None;
        // Calls on their way may still set a parameter: what is saved then is to have the scan, too.
        self.handed_over = Some((self.state.scan().map(SavedScan::of), self.state == State::Monitoring));
        self.state = State::ShuttingDown;
        self.leaving = true;
        self.outputs.push_back(Output::Changed);
    }

    /// Leaves to the next process when the programs have been told what they were to be told: a `stop` that waits
    /// for its turn would be lost, and data recorded that nobody asked for.
    fn leave_when_told(&mut self) {
        if self.leaving && self.daq.is_told_all() && self.writer.is_told_all() {
            self.leaving = false;
            self.outputs.push_back(Output::Finished);
        }
    }

    /// Answers whoever waits for a job, a procedure, an address or a file: it will not come any more.
    fn answer_open_calls(&mut self, error: &CallError, now: Now) {
        if let Some((ticket, ..)) = self.waiting_for_hosts.take() {
            self.reply(Some(ticket), Err(error.clone()));
        }
        if let Some(waiting) = self.waiting_for_par_file.take() {
            self.reply(waiting.ticket, Err(error.clone()));
        }
        self.end_calls(None, error, now);
        if let Some(mut job) = self.job.take() {
            job.runner.cancel();
            self.reply(job.ticket, Err(error.clone()));
        }
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
        self.unsaved = true;
    }

    fn note_error(&mut self, text: String, now: Now) {
        log::warn!("{}: {text}", self.bank.name);
        self.last_error = Some((now.utc, text));
    }
}

fn shutting_down() -> CallError {
    CallError::exception("the player is shutting down")
}
