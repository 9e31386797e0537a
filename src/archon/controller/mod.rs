//! One controller as a state machine: procedures, power, windows, frames, alarms.

//!
//! ```text
//! order --> lane (timing | fetch | question) --> ask --> compile --> procedure --> gate --> command
//!                                                                      ^             |
//!                                                  what replies teach us (facts) <---'
//! ```
//!
//! An order first asks what it must know (`FRAME`, `STATUS`, the configuration), then is laid out as a
//! procedure - data, in the record before its first changing command - or refused. Every command passes
//! [`super::safety::gate`] in one place, `steps::send`.

mod alarms;
mod answers;
mod attach;
mod expose;
mod fetch;
mod knowledge;
mod lines;
mod load;
mod marks;
pub mod messages;
mod names;
mod orders;
mod power;
mod procedure;
mod readout;
mod run;
mod script;
mod steps;
mod view;
mod watch;

pub use messages::{Alarm, Answer, Fault, Level, Locked, Order, OrderKey, Output, Report, Which};

use super::safety::Facts;
use super::status_word::StatusWord;
use super::window::Window;
use crate::config::acf::{Acf, Parameter};
use crate::config::archon::limits::ControllerLimits;
use crate::config::archon::{ControllerEntry, IntParam, Timeouts};
use crate::proto::archon::{Frame, Status, System};
use crate::session::archon_link::{LinkEvent, Token};
use crate::units::{Mono, Now};
use alarms::Alarms;
use expose::Exposure;
use readout::Baseline;
use run::{Flight, Run};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use watch::Watch;

/// How a controller is run.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Name, address, CCDs.
    pub entry: ControllerEntry,
    /// `timeouts` of the configuration.
    pub timeouts: Timeouts,
    /// Which parameter carries the exposure time.
    pub int_param: IntParam,
    /// Set on every reset.
    pub default_parameters: Vec<(String, i64)>,
    /// What the detector survives; `None`: no file, or the controller is not in it.
    pub limits: Option<ControllerLimits>,
    /// `start_mode = reset`: window and reset on attach, as the reference does.
    pub reset_on_attach: bool,
    /// Configuration lines in flight while uploading.
    pub upload_depth: usize,
    /// Read back and compare after an upload.
    pub verify_config: bool,
    /// `talk` may send FLASH, ERASE, REBOOT, WARMBOOT.
    pub allow_flash: bool,
    /// STATUS is asked this often.
    pub status_interval: Duration,
}

/// What is known about a controller, for replies and headers. Everything old says how old.
#[derive(Clone, Debug)]
pub struct View {
    /// The link is up and the controller was read.
    pub attached: bool,
    /// The link is up.
    pub connected: bool,
    /// Why not, if not.
    pub why: String,
    /// Status word.
    pub word: StatusWord,
    /// SYSTEM, as read on attach.
    pub system: Option<Arc<System>>,
    /// The last STATUS and when it came.
    pub status: Option<(Arc<Status>, Mono)>,
    /// The last FRAME and when it came.
    pub frame: Option<(Arc<Frame>, Mono)>,
    /// Configuration memory as read back or uploaded.
    pub config: Option<Arc<Acf>>,
    /// Where it was loaded from; empty: found on the controller.
    pub acf_path: String,
    /// SHA-256 of its lines as on the wire, joined by LF.
    pub acf_hash: String,
    /// Window in force; `None` before the configuration is known.
    pub window: Option<Window>,
    /// Window of the ACF's parameters.
    pub default_window: Option<Window>,
    /// Alarms that are on.
    pub alarms: Vec<Alarm>,
    /// The buffer that is locked, and the frame in it.
    pub locked: Option<Locked>,
}

/// One controller.
pub struct Controller {
    config: ControllerConfig,
    facts: Facts,
    view: View,
    out: VecDeque<Output>,
    runs: Vec<Run>,
    flights: HashMap<Token, Flight>,
    timing_queue: VecDeque<(OrderKey, Order)>,
    fetch_queue: VecDeque<(OrderKey, Order)>,
    next_run: u64,
    next_token: u64,
    /// The view changed since it was last announced.
    announce: bool,

    // ---- what is known of its script
    parameters: Vec<Parameter>,
    /// Parameters known to be in force, by upper-case name.
    running: BTreeMap<String, i64>,
    /// LINECOUNT and PIXELCOUNT in force.
    counts_in_force: Option<(i64, i64)>,
    /// Parameters of this configuration (by hash) whose absence was said.
    warned: RefCell<(String, Vec<String>)>,

    // ---- what is known of its memory
    /// Goes up with everything that may change configuration memory.
    generation: u64,
    /// As read last.
    read_back: Option<Arc<Acf>>,
    line_read: Option<(u16, String)>,
    /// What was in configuration memory before an upload that was not finished.
    before_upload: Option<Arc<Acf>>,
    /// Lines written and not read back since; `None`: nothing was read back.
    unverified: Option<BTreeSet<u16>>,

    // ---- what it does
    exposure: Option<Exposure>,
    /// When the last order that touches timing was over.
    timing_ended: Option<Mono>,
    /// ERROR comes from a lock or fetch, and goes with the next one that goes well.
    fetch_failed: bool,
    /// Frame buffers before the readout that is going on.
    baseline: Option<Baseline>,
    /// Buffer and lines of a readout nobody waits for, and since when they are so.
    standing: Option<(u8, u64, Mono)>,
    /// The buffer whose readout was announced.
    told_buffer: Option<(u8, u64)>,
    fetch_from: u64,
    fetch_bytes: u64,
    fetch_stopped: bool,
    last_saved: Option<u64>,
    power_in_order: bool,
    power_by_us: Option<Mono>,
    /// POWERON was sent and STATUS has not said OFF since.
    power_attempted: bool,

    // ---- its identity over time
    backplane: String,
    ticks: Option<(u64, Mono)>,
    reconnected: bool,
    attach_wanted: bool,
    relock_pending: bool,
    was_reset: bool,

    // ---- our own polls
    watching: Watch,
    alarm_memory: Alarms,
    told_temperature: BTreeSet<u8>,
    log_drained: bool,
    log_asked_for: Option<Mono>,
    frame_asked_for: Option<Mono>,
}

impl Controller {
    /// A controller nothing is known about.
    pub fn new(config: ControllerConfig, now: Now) -> Controller {
        let limits = config.limits.clone().map(Arc::new);
        let facts = Facts::new(limits, config.allow_flash);
        Controller {
            view: view::nothing_known(facts.word),
            facts,
            config,
            out: VecDeque::new(),
            runs: Vec::new(),
            flights: HashMap::new(),
            timing_queue: VecDeque::new(),
            fetch_queue: VecDeque::new(),
            next_run: 1,
            next_token: now.mono.0 % 2 + 1,
            announce: false,
            parameters: Vec::new(),
            running: BTreeMap::new(),
            counts_in_force: None,
            warned: RefCell::default(),
            generation: 0,
            read_back: None,
            line_read: None,
            before_upload: None,
            unverified: None,
            exposure: None,
            timing_ended: None,
            fetch_failed: false,
            baseline: None,
            standing: None,
            told_buffer: None,
            fetch_from: 0,
            fetch_bytes: 0,
            fetch_stopped: false,
            last_saved: None,
            power_in_order: false,
            power_by_us: None,
            power_attempted: false,
            backplane: String::new(),
            ticks: None,
            reconnected: false,
            attach_wanted: false,
            relock_pending: false,
            was_reset: false,
            watching: Watch::default(),
            alarm_memory: Alarms::default(),
            told_temperature: BTreeSet::new(),
            log_drained: true,
            log_asked_for: None,
            frame_asked_for: None,
        }
    }

    /// A fact about its link.
    pub fn link(&mut self, event: LinkEvent, now: Now) {
        match event {
            LinkEvent::Up => self.link_up(now),
            LinkEvent::Down { why } => self.link_down(&why, now),
            LinkEvent::Reply { token, result } => self.reply(token, result, now),
            LinkEvent::Data { token, bytes } => {
                if let Some(id) = self.flights.get(&token).map(|f| f.run) {
                    self.fetched(id, bytes, now);
                }
            }
            LinkEvent::Note(text) => self.report(Report::Log(text)),
        }
        self.settle();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.look_at_integration(now);
        let due: Vec<u64> =
            self.runs.iter().filter(|r| r.wakes_at().is_some_and(|t| t <= now.mono)).map(|r| r.id).collect();
        for id in due {
            if let Some(run) = self.take_run(id) {
                self.advance(run, now);
            }
        }
        self.poll_if_due(now);
        self.settle();
    }

    /// When to call [`Controller::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let runs = self.runs.iter().filter_map(Run::wakes_at);
        let integration = self.integration_wakes_at();
        runs.chain(integration).chain(self.watch_wakes_at()).min()
    }

    /// The next order or report; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// What is known about it.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Nothing but questions until an operator attaches it again: what a panic inside a procedure leads to.
    pub fn drop_to_read_only(&mut self, why: &str) {
        self.facts.read_only = Some(why.to_owned());
        self.set_word(self.facts.word.on(StatusWord::ERROR));
        self.settle();
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.entry.name
    }

    fn link_up(&mut self, now: Now) {
        self.facts.connected = true;
        self.view.connected = true;
        self.view.why = String::new();
        self.reconnected = self.ticks.is_some();
        self.relock_pending = self.facts.held.is_some();
        self.attach_wanted = true;
        self.link_alarm(false, "the link is up again", now);
        self.watch_begins(now);
        self.changed();
        self.start_next(now);
    }

    fn link_down(&mut self, why: &str, now: Now) {
        self.facts.connected = false;
        self.view.connected = false;
        self.view.attached = false;
        self.view.why = why.to_owned();
        self.facts.status.advanced = None;
        self.watch_ends();
        self.flights.clear();
        let text = format!("the link was lost: {why}");
        let waiting: Vec<_> = self.timing_queue.drain(..).chain(self.fetch_queue.drain(..)).collect();
        for mut run in std::mem::take(&mut self.runs) {
            run.link_is_gone();
            let controller = self.name().to_owned();
            let fault = if self.fetch_stopped && matches!(run.order, Order::Fetch { .. }) {
                Fault::Aborted { controller, text: "the fetch was stopped".into() }
            } else {
                Fault::Failed { controller, text: format!("{}: {text}", names::order(&run.order)) }
            };
            self.fail(&mut run, fault);
            self.advance(run, now);
        }
        for (key, order) in waiting {
            let fault = self.refused(format!("{} was not begun: {text}", names::order(&order)));
            self.done(key, Err(fault));
        }
        self.link_alarm(true, &text, now);
        self.changed();
    }

    /// After every call: the view follows, and is announced once.
    fn settle(&mut self) {
        self.follow();
        if std::mem::take(&mut self.announce) {
            self.out.push_back(Output::Report(Report::Changed));
        }
    }
}

#[cfg(test)]
mod tests;
