//! The role as a whole: calls, controllers, exposures, recovery, hooks.

mod at_once;
pub(super) mod context;
pub(super) mod group;
mod load;
pub mod messages;
mod raw;
mod recovery;
mod replies;
mod several;
pub(super) mod task;
mod wait;

pub use messages::{FileKey, HookIndex, Index, Input, Output};

use super::controller::{ControllerConfig, Order};
use super::exposure::{Expose, promise};
use super::methods::{ArchonCall, Ask};
use crate::api::{CallError, Ticket};
use crate::config::archon::ArchonConfig;
use crate::frames::jobs::{Done, Job, Naming};
use crate::units::{Mono, Now};
use crate::value::Value;
use context::{Context, refused};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use task::{Event, Task, TaskId};

/// How the role is run.
#[derive(Clone, Debug)]
pub struct RoleConfig {
    /// `archon.yml`.
    pub site: ArchonConfig,
    /// One for each of `site.controllers`.
    pub controllers: Vec<ControllerConfig>,
    /// Where images go.
    pub naming: Naming,
    /// Relative ACF paths start here: the directory of `archon.yml`.
    pub base_dir: PathBuf,
    /// Site hooks.
    pub hooks: Vec<HookConfig>,
    /// On an orderly stop: `poweroff` instead of leaving everything as it is.
    pub power_off_on_exit: bool,
    /// Every controller is simulated: `SIMULATE` = T in headers.
    pub simulated: bool,
    /// Files may be read and written below these directories only (ACF files, raw fetches); empty: anywhere.
    pub roots: Vec<PathBuf>,
}

/// A site hook: a program that is started with the role and speaks JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `shutter`, `pre_expose`, `post_process`, `header`, `alarm`, ...
    pub events: Vec<String>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// Calls being answered at the same time; more are refused.
const TASKS_MAX: usize = 256;
/// `reconnect` without a limit of its own.
const RECONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What runs when the program is asked to end has this long.
const END_WITHIN: Duration = Duration::from_secs(60);
/// `on_exit = poweroff` has this long.
const POWER_OFF_WITHIN: Duration = Duration::from_secs(40);

/// A call that takes more than one turn, and whether other writes wait for it.
struct Running {
    task: Box<dyn Task>,
    ticket: Option<Ticket>,
    write: bool,
}

/// The role.
pub struct Archon {
    cx: Context,
    tasks: BTreeMap<TaskId, Running>,
    /// Who has control, to be shown.
    control: Value,
    next_task: u64,
    /// Asked to end; by then it does.
    ending: Option<Mono>,
    powering_off: bool,
    finished: bool,
    started: bool,
    /// The counter on disk is being read.
    counting: Option<FileKey>,
}

impl Archon {
    /// Nothing connected yet.
    pub fn new(config: RoleConfig, now: Now) -> Archon {
        let mut role = Archon {
            cx: Context::new(config, now),
            tasks: BTreeMap::new(),
            control: Value::Null,
            next_task: 0,
            ending: None,
            powering_off: false,
            finished: false,
            started: false,
            counting: None,
        };
        role.settle(now);
        role
    }

    /// One input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Call { ticket, call } => self.call(ticket, call, now),
            Input::Link { controller, event } => self.cx.controllers[controller.0].link(event, now),
            Input::File { key, done } if self.counting == Some(key) => {
                self.counting = None;
                self.cx.file_done(key);
                if let Ok(Done::NextNumber(Some(next))) = done.map(|d| *d)
                    && self.cx.last_exposure < 0
                {
                    self.cx.last_exposure = next as i64 - 1;
                }
            }
            Input::File { key, done } => {
                if let Some(task) = self.cx.file_done(key) {
                    self.tell(Some(task), Event::File { key, done }, now);
                }
            }
            Input::HookStarted(hook) => self.cx.hooks.started(hook),
            Input::HookFailed(hook, why) => self.cx.hooks.ended(hook, &why, now),
            Input::HookLine(hook, line) => self.cx.hooks.line(hook, &line),
            Input::HookExited(hook, exit) => self.cx.hooks.exited(hook, exit, now),
            Input::Cancel { ticket } => {
                let found = self.tasks.iter().find(|(_, r)| r.ticket == Some(ticket)).map(|(id, _)| *id);
                self.tell(found, Event::Abort, now);
            }
            Input::Shutdown => self.shut_down(now),
        }
        self.settle(now);
    }

    /// Time has passed, or the wall clock was set.
    pub fn tick(&mut self, now: Now) {
        if !self.started {
            self.started = true;
            let naming = self.cx.config.naming.clone();
            self.counting = Some(self.cx.file(TaskId(0), 0, Job::NextNumber { naming }));
            if self.cx.config.site.actor.run_recovery_on_start {
                self.recover(None, None, [true, false, false], now);
            }
        }
        for controller in &mut self.cx.controllers {
            controller.tick(now);
        }
        self.cx.hooks.tick(now);
        self.tell(None, Event::Tick, now);
        self.settle(now);
    }

    /// When to call [`Archon::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        if !self.started {
            return Some(Mono(0));
        }
        if self.finished {
            return None;
        }
        let controllers = self.cx.controllers.iter().filter_map(|c| c.deadline());
        let tasks = self.tasks.values().filter_map(|r| r.task.deadline());
        controllers.chain(tasks).chain(self.cx.hooks.deadline()).chain(self.ending).min()
    }

    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// The next write may be handed in: none runs but exposures, which say themselves what they do not suffer.
    pub fn idle(&self) -> bool {
        !self.tasks.values().any(|r| r.write && !r.task.is_exposure())
    }

    /// Something inside failed in a way nobody thought of: no controller is touched until an operator attaches it
    /// again; questions, and frames on their way to the disk, go on.
    pub fn panicked(&mut self, text: &str, now: Now) {
        for controller in &mut self.cx.controllers {
            controller.drop_to_read_only(&format!("an internal error: {text}"));
        }
        self.settle(now);
    }

    /// Who has control of the node (null: nobody), to be shown in `archon.state`.
    pub fn set_control(&mut self, held: Value) {
        self.control = held;
        self.cx.outputs.push_back(Output::Changed);
    }

    /// What the role is doing, waiting for, since when, and what is wrong.
    pub fn describe(&self, now: Now) -> Value {
        let controllers = self.cx.controllers.iter().zip(&self.cx.config.controllers);
        let controllers = controllers.map(|(c, config)| (config.entry.name.clone(), c.describe(now)));
        let doing = self.tasks.values().map(|r| r.task.describe(now)).collect();
        Value::Map(vec![
            ("doing".into(), Value::List(doing)),
            (
                "pending_exposure".into(),
                match &self.cx.pending {
                    Some(p) => Value::Int(p.shot.number as i64),
                    None => Value::Null,
                },
            ),
            ("last_exposure_no".into(), Value::Int(self.cx.last_exposure)),
            ("exposures".into(), Value::List(self.cx.verdicts.iter().cloned().collect())),
            ("simulated".into(), Value::Bool(self.cx.config.simulated)),
            ("lease".into(), self.control.clone()),
            ("ending".into(), Value::Bool(self.cx.ending)),
            ("controllers".into(), Value::Map(controllers.collect())),
        ])
    }

    // ------------------------------------------------------------------ calls

    fn call(&mut self, ticket: Ticket, call: ArchonCall, now: Now) {
        if let Err(error) = self.begin(ticket, call, now) {
            let mut ticket = Some(ticket);
            self.cx.reply(&mut ticket, Err(error));
        }
    }

    fn begin(&mut self, ticket: Ticket, call: ArchonCall, now: Now) -> Result<(), CallError> {
        let ArchonCall { controllers, ask } = call;
        let changes = is_write(&ask);
        if self.cx.ending && changes && !matches!(ask, Ask::Abort { .. }) {
            return Err(refused("The program is about to end."));
        }
        if self.tasks.len() >= TASKS_MAX {
            return Err(refused(format!("{TASKS_MAX} calls are being answered already")));
        }
        if matches!(ask, Ask::State) {
            let value = self.describe(now);
            self.cx.reply(&mut Some(ticket), Ok(value));
            return Ok(());
        }
        self.not_while_exposing(&ask)?;
        let free = matches!(ask, Ask::Disconnect | Ask::Reconnect(_) | Ask::Recover { .. } | Ask::Alarms)
            || matches!(ask, Ask::WaitUntilIdle { .. } | Ask::NextExposure | Ask::Abort { .. });
        let who = self.cx.select(&controllers, !free)?;
        if let Some(outcome) = at_once::answer(&mut self.cx, &ask, &who, now) {
            self.cx.reply(&mut Some(ticket), outcome);
            return Ok(());
        }
        self.next_task += 1;
        let id = TaskId(self.next_task);
        let task = self.task(id, ticket, ask, who, now)?;
        self.run(id, Some(ticket), task, changes, now);
        Ok(())
    }

    fn task(
        &mut self,
        id: TaskId,
        ticket: Ticket,
        ask: Ask,
        who: Vec<Index>,
        now: Now,
    ) -> Result<Box<dyn Task>, CallError> {
        if let Ask::ConfigRead { save: true } = ask {
            return Ok(Box::new(raw::ConfigSave::new(id, ticket, &who, &self.cx)?));
        }
        if let Some(stages) = several::stages(&ask) {
            return Ok(Box::new(several::Several::new(id, ticket, ask, who, stages)));
        }
        Ok(match ask {
            Ask::Init { .. } | Ask::ConfigWrite { .. } | Ask::ConfigDiff(_) => {
                Box::new(load::Load::new(id, ticket, ask, who, &self.cx)?)
            }
            Ask::SetWindow { mode, members } => {
                Box::new(at_once::SetWindow::new(id, ticket, &who, mode.as_deref(), &members, &self.cx)?)
            }
            Ask::FrameFetch { buffer, file } => {
                Box::new(raw::FrameFetch::new(id, ticket, &who, buffer, file.as_deref(), &self.cx)?)
            }
            Ask::Expose(ask) => {
                self.may_expose()?;
                if self.cx.pending.is_some() {
                    return Err(refused("The expose delegate is locked."));
                }
                Box::new(Expose::new(id, ticket, who, *ask, &self.cx, now)?)
            }
            Ask::Read { header, delay } => {
                self.may_expose()?;
                let pending = self.cx.pending.take();
                let pending = pending.ok_or_else(|| refused("Expose delegator is not locked."))?;
                Box::new(Expose::read(id, ticket, pending, header, delay, now))
            }
            Ask::Abort { flush, reset } => {
                self.abort(id, now)?;
                Box::new(wait::Abort::new(id, ticket, who, reset, flush, now))
            }
            Ask::WaitUntilIdle { allow_errored, timeout } => {
                Box::new(wait::Wait::until_idle(ticket, allow_errored, timeout, now))
            }
            Ask::Reconnect(within) => {
                Box::new(wait::Wait::until_back(ticket, who, within.unwrap_or(RECONNECT_WITHIN), now))
            }
            Ask::Recover { path, checksum, keep_lock, trust_buffer } => {
                if self.cx.recovering {
                    return Err(refused("Image recovery is already running."));
                }
                if let Some(path) = &path {
                    load::allowed(&self.cx, path.as_ref())?;
                }
                let options = [checksum, keep_lock, trust_buffer];
                Box::new(recovery::Recovery::new(id, Some(ticket), path.map(PathBuf::from), options, now))
            }
            other => return Err(refused(format!("{other:?} has no answer"))),
        })
    }

    /// What would disturb the exposure that uses the detectors is refused, not kept waiting.
    fn not_while_exposing(&self, ask: &Ask) -> Result<(), CallError> {
        let suffered = !is_write(ask)
            || matches!(
                ask,
                Ask::Expose(_) | Ask::Read { .. } | Ask::Recover { .. } | Ask::FrameFetch { .. }
            )
            || matches!(ask, Ask::Disconnect | Ask::Reconnect(_) | Ask::Discard);
        let exposing = self.cx.exposing.filter(|_| !suffered);
        match exposing {
            None => Ok(()),
            Some(_) => Err(refused(format!(
                "Exposure {} is going on: wait for it (`wait_until_idle`) or `abort` it first.",
                self.cx.last_exposure
            ))),
        }
    }

    fn may_expose(&self) -> Result<(), CallError> {
        if self.cx.recovering {
            return Err(refused("Waiting for image recovery to finish."));
        }
        if self.cx.exposing.is_some() {
            return Err(refused("The expose delegate is locked."));
        }
        Ok(())
    }

    /// Tells the exposure. One that only waits for its readout is given up.
    fn abort(&mut self, id: TaskId, now: Now) -> Result<(), CallError> {
        let running: Vec<TaskId> =
            self.tasks.iter().filter(|(_, r)| r.task.is_exposure()).map(|(id, _)| *id).collect();
        if running.is_empty() && !promise::give_up_pending(&mut self.cx, id) {
            return Err(refused("Expose command is not running."));
        }
        self.cx.text(None, super::controller::Level::Debug, "Aborting exposures");
        for task in running.into_iter().filter(|t| *t != id) {
            self.tell(Some(task), Event::Abort, now);
        }
        Ok(())
    }

    fn recover(&mut self, ticket: Option<Ticket>, path: Option<PathBuf>, options: [bool; 3], now: Now) {
        self.next_task += 1;
        let id = TaskId(self.next_task);
        let task = recovery::Recovery::new(id, ticket, path, options, now);
        self.run(id, ticket, Box::new(task), false, now);
    }

    fn run(&mut self, id: TaskId, ticket: Option<Ticket>, mut task: Box<dyn Task>, write: bool, now: Now) {
        task.start(&mut self.cx, now);
        if !task.is_over() {
            self.tasks.insert(id, Running { task, ticket, write });
        }
    }

    // ------------------------------------------------------------------ events

    /// One task, or all of them.
    fn tell(&mut self, task: Option<TaskId>, event: Event, now: Now) {
        let Some(id) = task else {
            let all: Vec<TaskId> = self.tasks.keys().copied().collect();
            for id in all {
                self.tell_one(id, event.for_everybody(), now);
            }
            return;
        };
        self.tell_one(id, event, now);
    }

    fn tell_one(&mut self, id: TaskId, event: Event, now: Now) {
        // Taken out while it runs: it may order things that concern the others.
        let Some(mut running) = self.tasks.remove(&id) else {
            if let Event::Data { controller, bytes } = event {
                self.cx.outputs.push_back(Output::Recycle { controller, bytes });
            }
            return;
        };
        running.task.event(event, &mut self.cx, now);
        if !running.task.is_over() {
            self.tasks.insert(id, running);
        }
    }

    /// Until nobody has anything to say.
    fn settle(&mut self, now: Now) {
        loop {
            let mut moved = false;
            for n in 0..self.cx.controllers.len() {
                for (task, event) in self.cx.pump(Index(n)) {
                    moved = true;
                    self.tell(task, event, now);
                }
            }
            while let Some((task, key, result)) = self.cx.hooks.next_answer() {
                moved = true;
                self.tell(Some(task), Event::Hook { key, result }, now);
            }
            while let Some(output) = self.cx.hooks.poll() {
                moved = true;
                self.cx.outputs.push_back(output);
            }
            if !moved {
                break;
            }
        }
        if std::mem::take(&mut self.cx.late) && !self.cx.recovering && !self.cx.ending {
            // The frame of an exposure whose readout nobody could wait for: its promise says whose it is.
            self.recover(None, None, [true, false, false], now);
        }
        // A write whose call was answered no longer keeps others waiting.
        for running in self.tasks.values_mut() {
            running.write &= !running.task.is_background();
        }
        self.end_if_due(now);
    }

    // ------------------------------------------------------------------ the end

    fn shut_down(&mut self, now: Now) {
        if self.ending.is_some() {
            return;
        }
        self.cx.ending = true;
        self.ending = Some(now.mono + END_WITHIN);
        self.tell(None, Event::Shutdown, now);
    }

    fn end_if_due(&mut self, now: Now) {
        let Some(limit) = self.ending else { return };
        let busy = self.tasks.values().any(|r| r.task.is_exposure() || r.write);
        if self.finished || (busy && now.mono < limit) {
            return;
        }
        if self.cx.config.power_off_on_exit && self.power_off(limit, now) {
            return;
        }
        let ended = self.cx.hooks.end(now);
        while let Some(output) = self.cx.hooks.poll() {
            self.cx.outputs.push_back(output);
        }
        if ended {
            self.finished = true;
            self.cx.outputs.push_back(Output::Finished);
        }
    }
}

impl Archon {
    /// `on_exit = poweroff`: `true` while a controller still has power and time is left.
    fn power_off(&mut self, limit: Mono, now: Now) -> bool {
        if !self.powering_off {
            self.powering_off = true;
            self.ending = Some(now.mono + POWER_OFF_WITHIN);
            for n in 0..self.cx.controllers.len() {
                let order = Order::Power { on: false, consent: Default::default() };
                self.cx.order(TaskId(0), Index(n), order, now);
                for _ in self.cx.pump(Index(n)) {}
            }
            return true;
        }
        let on = |c: &super::controller::Controller| {
            c.view().connected && c.view().word.has(super::status_word::StatusWord::POWERON)
        };
        now.mono < limit && self.cx.controllers.iter().any(on)
    }
}

/// Calls that change something, and so wait for each other.
fn is_write(ask: &Ask) -> bool {
    !matches!(
        ask,
        Ask::Status { .. }
            | Ask::System
            | Ask::FrameStatus
            | Ask::Power(None, _)
            | Ask::ConfigRead { .. }
            | Ask::ConfigDiff(_)
            | Ask::WaitUntilIdle { .. }
            | Ask::Abort { .. }
            | Ask::GetWindow
            | Ask::GetParam(_)
            | Ask::Alarms
            | Ask::State
            | Ask::NextExposure
    )
}
