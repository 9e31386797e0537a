//! What tasks share: the controllers, the way out, and who waits for what.

use super::RoleConfig;
use super::messages::{FileKey, Index, Output};
use super::task::{Event, TaskId};
use crate::api::{CallError, ErrorClass, Family, Outcome, Ticket};
use crate::archon::controller::{
    Controller, Fault, Level, Order, OrderKey, Output as FromController, Report,
};
use crate::archon::exposure::Pending;
use crate::archon::hooks::Hooks;
use crate::frames::jobs;
use crate::units::Now;
use crate::value::Value;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The shared part of the role.
pub(in crate::archon) struct Context {
    pub config: RoleConfig,
    pub controllers: Vec<Controller>,
    pub hooks: Hooks,
    pub outputs: VecDeque<Output>,
    /// Who is doing something, and for which task.
    orders: HashMap<(Index, OrderKey), TaskId>,
    files: HashMap<FileKey, TaskId>,
    next: u64,
    /// Who has a frame buffer of this controller locked.
    pub saving: Vec<Option<TaskId>>,
    /// An exposure that was not read out: `expose(readout=False)`.
    pub pending: Option<Pending>,
    /// The exposure that uses the detectors.
    pub exposing: Option<TaskId>,
    /// Exposures whose frame is awaited or on its way to its files; recovery leaves them alone.
    pub live: BTreeSet<(u64, Index)>,
    /// A frame came that nobody waited for.
    pub late: bool,
    /// Lost images are being looked for.
    pub recovering: bool,
    /// No new work: the program is about to end.
    pub ending: bool,
    /// Number of the last exposure taken, also by an earlier run; -1: none.
    pub last_exposure: i64,
    /// What the last exposures came to, newest last.
    pub verdicts: VecDeque<Value>,
}

/// Verdicts kept for `state`.
const VERDICTS_MAX: usize = 16;

impl Context {
    pub fn new(config: RoleConfig, now: Now) -> Context {
        let controllers: Vec<Controller> =
            config.controllers.iter().map(|c| Controller::new(c.clone(), now)).collect();
        Context {
            hooks: Hooks::new(&config.hooks, now),
            saving: vec![None; controllers.len()],
            controllers,
            config,
            outputs: VecDeque::new(),
            orders: HashMap::new(),
            files: HashMap::new(),
            next: 0,
            pending: None,
            exposing: None,
            live: BTreeSet::new(),
            late: false,
            recovering: false,
            ending: false,
            last_exposure: -1,
            verdicts: VecDeque::new(),
        }
    }

    /// Name of a controller.
    pub fn name(&self, n: Index) -> &str {
        &self.config.controllers[n.0].entry.name
    }

    /// The controllers of these names (all, if none is named), or the words of the reference.
    pub fn select(&self, names: &[String], must_be_connected: bool) -> Result<Vec<Index>, CallError> {
        let all = || (0..self.controllers.len()).map(Index);
        let found: Vec<Index> = match names {
            [] => all().collect(),
            names => names
                .iter()
                .map(|name| {
                    all().find(|n| self.name(*n) == name).ok_or_else(|| {
                        CallError::new(
                            ErrorClass::ValueError,
                            Family::Invalid,
                            format!("Invalid controller '{name}'."),
                        )
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        if found.is_empty() {
            return Err(refused("No controllers are available."));
        }
        if must_be_connected && let Some(n) = found.iter().find(|n| !self.controllers[n.0].view().connected) {
            let why = &self.controllers[n.0].view().why;
            return Err(refused(format!("Controller '{}' is not connected. ({why})", self.name(*n))));
        }
        Ok(found)
    }

    /// Orders something of a controller for a task.
    pub fn order(&mut self, task: TaskId, n: Index, order: Order, now: Now) -> OrderKey {
        self.next += 1;
        let key = OrderKey(self.next);
        self.orders.insert((n, key), task);
        self.controllers[n.0].order(key, order, now);
        key
    }

    /// Orders a file job for a task. Lane 0 is for names and numbers, lane 1 + n for the frames of controller n.
    pub fn file(&mut self, task: TaskId, lane: usize, job: jobs::Job) -> FileKey {
        self.next += 1;
        let key = FileKey(self.next);
        self.files.insert(key, task);
        self.outputs.push_back(Output::File { key, lane, job });
        key
    }

    /// Whose file job this was.
    pub fn file_done(&mut self, key: FileKey) -> Option<TaskId> {
        self.files.remove(&key)
    }

    /// A message of a call.
    pub fn say(&mut self, ticket: Option<Ticket>, level: Level, key: &'static str, value: impl Into<Value>) {
        self.outputs.push_back(Output::Say { ticket, level, body: vec![(key, value.into())] });
    }

    /// `text` of a call.
    pub fn text(&mut self, ticket: Option<Ticket>, level: Level, text: impl Into<String>) {
        self.say(ticket, level, "text", Value::Str(text.into()));
    }

    /// `text` of a call about one controller.
    pub fn text_of(&mut self, ticket: Option<Ticket>, level: Level, n: Index, text: impl Into<String>) {
        let body = self.about(n, vec![("text".into(), Value::Str(text.into()))]);
        self.say(ticket, level, "text", body);
    }

    /// `error` of a call about one controller.
    pub fn error_of(&mut self, ticket: Option<Ticket>, n: Index, text: impl Into<String>) {
        let body = self.about(n, vec![("error".into(), Value::Str(text.into()))]);
        self.say(ticket, Level::Error, "error", body);
    }

    /// `{controller: name, ...}`
    pub fn about(&self, n: Index, rest: Vec<(String, Value)>) -> Value {
        let mut map = vec![("controller".to_owned(), Value::from(self.name(n)))];
        map.extend(rest);
        Value::Map(map)
    }

    /// The answer to a call, once.
    pub fn reply(&mut self, ticket: &mut Option<Ticket>, outcome: Outcome) {
        if let Some(ticket) = ticket.take() {
            self.outputs.push_back(Output::Reply { ticket, outcome });
        }
    }

    /// What became of an exposure, kept for `state`.
    pub fn verdict(&mut self, verdict: Value) {
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back(verdict);
    }

    /// Passes on what a controller says: orders go out, reports become events of the tasks they belong to.
    pub fn pump(&mut self, n: Index) -> Vec<(Option<TaskId>, Event)> {
        let mut events = Vec::new();
        while let Some(output) = self.controllers[n.0].poll() {
            match output {
                FromController::Command { token, command } => {
                    self.outputs.push_back(Output::Command { controller: n, token, command });
                }
                FromController::Record(entry) => {
                    self.outputs.push_back(Output::Record { controller: n, entry });
                }
                FromController::Relink(why) => {
                    self.outputs.push_back(Output::Link { controller: n, open: true, why });
                }
                FromController::Report(report) => events.extend(self.report(n, report)),
            }
        }
        events
    }

    fn report(&mut self, n: Index, report: Report) -> Option<(Option<TaskId>, Event)> {
        let owner = |cx: &Context, key: OrderKey| cx.orders.get(&(n, key)).copied();
        let controller = n;
        match report {
            Report::Done { key, result } => {
                let task = self.orders.remove(&(n, key))?;
                Some((Some(task), Event::Done { controller, key, result: Box::new(result) }))
            }
            Report::Step { key, level, text } => {
                owner(self, key).map(|task| (Some(task), Event::Step { controller, level, text }))
            }
            Report::Progress { key, body } => {
                owner(self, key).map(|task| (Some(task), Event::Progress { controller, body }))
            }
            Report::IntegrationOver { at } => Some((None, Event::IntegrationOver { controller, at })),
            Report::Data { key, bytes } => match owner(self, key) {
                Some(task) => Some((Some(task), Event::Data { controller, bytes })),
                None => {
                    self.outputs.push_back(Output::Recycle { controller, bytes });
                    None
                }
            },
            Report::Changed => {
                self.changed(n);
                Some((None, Event::Tick))
            }
            Report::Alarm(alarm) => {
                let level = if alarm.on { Level::Error } else { Level::Info };
                let body = super::replies::alarm(self.name(n), &alarm);
                self.hooks.tell("alarm", body.clone());
                self.say(None, level, "alarm", body);
                None
            }
            Report::LateFrame => {
                self.late = true;
                None
            }
            Report::Log(line) => {
                let body = self.about(n, vec![("log".into(), Value::Str(line))]);
                self.say(None, Level::Info, "log", body);
                None
            }
        }
    }

    fn changed(&mut self, n: Index) {
        let view = self.controllers[n.0].view();
        let body = super::replies::word(view.word);
        let body = self.about(n, body);
        self.say(None, Level::Debug, "status", body);
        self.outputs.push_back(Output::Changed);
    }
}

/// Nothing was done: wrong state or policy.
pub(in crate::archon) fn refused(text: impl Into<String>) -> CallError {
    CallError::exception(text)
}

/// A fault of one controller as the error of a call.
pub(in crate::archon) fn error_of(fault: &Fault) -> CallError {
    let (class, family) = match fault {
        Fault::Refused { .. } | Fault::Aborted { .. } => (ErrorClass::Exception, Family::Refused),
        Fault::Failed { .. } => (ErrorClass::RuntimeError, Family::Peer),
        Fault::Timeout { .. } => (ErrorClass::RuntimeError, Family::Timeout),
    };
    CallError::new(class, family, fault.to_string())
}
