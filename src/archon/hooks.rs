//! Site hooks: programs that are started with the role and speak JSON lines.
//!
//! ```text
//! > {"id":7,"event":"shutter","open":true,"exposure_no":12}
//! < {"id":7,"ok":true}                       or {"id":7,"ok":false,"error":"blade stuck"}
//! ```
//!
//! Every question has a deadline; a program that dies is started again after a pause. A hook can say no, it
//! cannot stop an abort.

use super::role::HookConfig;
use super::role::messages::{HookIndex, Output};
use super::role::task::TaskId;
use crate::proto::json;
use crate::reactor::{ChildSignal, Exit, Program};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// What a hook was told it finishes within this.
const END_WITHIN: Duration = Duration::from_secs(5);
/// First pause before a program that died is started again; doubles.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);
/// Questions a hook may owe an answer to.
const ASKED_MAX: usize = 64;

/// Names a question to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookKey(pub u64);

#[derive(Debug)]
enum State {
    Starting,
    Running,
    Waiting { until: Mono, why: String },
}

#[derive(Debug)]
struct Hook {
    config: HookConfig,
    state: State,
    pause: Duration,
}

#[derive(Debug)]
struct Asked {
    key: HookKey,
    hook: usize,
    task: TaskId,
    event: &'static str,
    deadline: Mono,
}

/// All hooks.
#[derive(Debug)]
pub struct Hooks {
    hooks: Vec<Hook>,
    asked: Vec<Asked>,
    next: u64,
    /// Nothing is started any more; by then all have ended.
    ending: Option<Mono>,
    outputs: VecDeque<Output>,
    answers: VecDeque<(TaskId, HookKey, Result<Value, String>)>,
}

impl Hooks {
    /// Programs that are not started yet; the first [`Hooks::tick`] does.
    pub fn new(configs: &[HookConfig], now: Now) -> Hooks {
        let hook = |config: &HookConfig| Hook {
            config: config.clone(),
            state: State::Waiting { until: now.mono, why: "not started yet".into() },
            pause: PAUSE_FIRST,
        };
        Hooks {
            hooks: configs.iter().map(hook).collect(),
            asked: Vec::new(),
            next: 0,
            ending: None,
            outputs: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// Somebody is configured for this event.
    pub fn answers(&self, event: &str) -> bool {
        self.place(event).is_some()
    }

    fn place(&self, event: &str) -> Option<usize> {
        self.hooks.iter().position(|h| h.config.events.iter().any(|e| e == event))
    }

    /// Asks; the answer comes by [`Hooks::next_answer`], at the latest when its time is over.
    pub(super) fn ask(&mut self, task: TaskId, event: &'static str, body: Value, now: Now) -> HookKey {
        self.next += 1;
        let key = HookKey(self.next);
        let Some(hook) = self.place(event) else {
            self.answers.push_back((task, key, Err(format!("no hook answers {event}"))));
            return key;
        };
        if let State::Waiting { why, .. } = &self.hooks[hook].state {
            let why = format!("{}: {why}", self.name(hook));
            self.answers.push_back((task, key, Err(why)));
        } else if self.asked.len() >= ASKED_MAX {
            let why = format!("{}: {ASKED_MAX} questions are not answered yet", self.name(hook));
            self.answers.push_back((task, key, Err(why)));
        } else {
            let deadline = now.mono + self.hooks[hook].config.timeout;
            self.asked.push(Asked { key, hook, task, event, deadline });
            self.send(hook, key.0, event, body);
        }
        key
    }

    /// Tells whoever is configured for this event; nobody waits for an answer.
    pub(super) fn tell(&mut self, event: &'static str, body: Value) {
        for hook in 0..self.hooks.len() {
            let wanted = self.hooks[hook].config.events.iter().any(|e| e == event);
            if wanted && !matches!(self.hooks[hook].state, State::Waiting { .. }) {
                self.next += 1;
                self.send(hook, self.next, event, body.clone());
            }
        }
    }

    fn send(&mut self, hook: usize, id: u64, event: &'static str, body: Value) {
        let mut map =
            vec![("id".to_owned(), Value::Int(id as i64)), ("event".to_owned(), Value::from(event))];
        if let Value::Map(pairs) = body {
            map.extend(pairs);
        }
        match json::to_text(&Value::Map(map)) {
            Ok(text) => self.outputs.push_back(Output::TellHook(HookIndex(hook), text + "\n")),
            Err(e) => log::error!("{}: {event} cannot be said: {e}", self.name(hook)),
        }
    }

    fn name(&self, hook: usize) -> String {
        let command = self.hooks[hook].config.command.first().map_or("?", String::as_str);
        format!("hook {command}")
    }

    /// The program runs.
    pub fn started(&mut self, hook: HookIndex) {
        if let Some(h) = self.hooks.get_mut(hook.0) {
            h.state = State::Running;
        }
    }

    /// It could not be started, or ended.
    pub fn ended(&mut self, hook: HookIndex, why: &str, now: Now) {
        let Some(h) = self.hooks.get_mut(hook.0) else { return };
        let until = now.mono + h.pause;
        h.pause = (h.pause * 2).min(PAUSE_LIMIT);
        h.state = State::Waiting { until, why: why.to_owned() };
        let name = self.name(hook.0);
        if self.ending.is_none() {
            log::error!("{name}: {why}");
        }
        let (gone, rest) = std::mem::take(&mut self.asked).into_iter().partition(|a| a.hook == hook.0);
        self.asked = rest;
        let gone: Vec<Asked> = gone;
        self.answers.extend(gone.into_iter().map(|a| (a.task, a.key, Err(format!("{name}: {why}")))));
    }

    /// In words.
    pub fn exited(&mut self, hook: HookIndex, exit: Exit, now: Now) {
        let why = match exit {
            Exit::Code(code) => format!("ended with status {code}"),
            Exit::Signal(signal) => format!("ended by signal {signal}"),
        };
        self.ended(hook, &why, now);
    }

    /// A line of its.
    pub fn line(&mut self, hook: HookIndex, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let answer = serde_json::from_str::<serde_json::Value>(&text).ok();
        let id = answer.as_ref().and_then(|a| a.get("id")).and_then(serde_json::Value::as_u64);
        let at = id.and_then(|id| self.asked.iter().position(|a| a.key.0 == id && a.hook == hook.0));
        let (Some(answer), Some(at)) = (answer, at) else {
            log::debug!("{}: {text}", self.name(hook.0));
            return;
        };
        let asked = self.asked.remove(at);
        if let Some(h) = self.hooks.get_mut(hook.0) {
            h.pause = PAUSE_FIRST;
        }
        let result = if answer.get("ok").and_then(serde_json::Value::as_bool) == Some(true) {
            Ok(json::read(text.as_bytes()).unwrap_or(Value::Null))
        } else {
            let error = answer.get("error").and_then(serde_json::Value::as_str).unwrap_or("it said no");
            Err(format!("{}: {}: {error}", self.name(hook.0), asked.event))
        };
        self.answers.push_back((asked.task, asked.key, result));
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        for i in 0..if self.ending.is_some() { 0 } else { self.hooks.len() } {
            let due = matches!(self.hooks[i].state, State::Waiting { until, .. } if until <= now.mono);
            if due && let [path, args @ ..] = self.hooks[i].config.command.as_slice() {
                let program = Program {
                    path: path.into(),
                    args: args.to_vec(),
                    die_with_parent: true,
                    ..Program::default()
                };
                self.hooks[i].state = State::Starting;
                self.outputs.push_back(Output::SpawnHook(HookIndex(i), program));
            }
        }
        while let Some(at) = self.asked.iter().position(|a| a.deadline <= now.mono) {
            let asked = self.asked.remove(at);
            let timeout = self.hooks[asked.hook].config.timeout.as_secs_f64();
            let why = format!("{}: {}: no answer within {timeout} s", self.name(asked.hook), asked.event);
            self.answers.push_back((asked.task, asked.key, Err(why)));
        }
    }

    /// When to call [`Hooks::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let starts = self.hooks.iter().filter_map(|h| match h.state {
            State::Waiting { .. } if self.ending.is_some() => None,
            State::Waiting { until, .. } if !h.config.command.is_empty() => Some(until),
            _ => None,
        });
        let running = self.hooks.iter().any(|h| !matches!(h.state, State::Waiting { .. }));
        let end = self.ending.filter(|_| running);
        starts.chain(self.asked.iter().map(|a| a.deadline)).chain(end).min()
    }

    /// They are no longer needed: they hear the end of their input, finish what they were told, and end; those that
    /// do not are signalled. `true`: all have ended, or their time is over.
    pub fn end(&mut self, now: Now) -> bool {
        let running = |h: &Hook| !matches!(h.state, State::Waiting { .. });
        let Some(limit) = self.ending else {
            self.ending = Some(now.mono + END_WITHIN);
            let all = 0..self.hooks.len();
            self.outputs
                .extend(all.filter(|i| running(&self.hooks[*i])).map(|i| Output::EndHook(HookIndex(i))));
            return !self.hooks.iter().any(running);
        };
        if now.mono < limit {
            return !self.hooks.iter().any(running);
        }
        for (i, hook) in self.hooks.iter().enumerate().filter(|(_, h)| running(h)) {
            log::warn!("hook {:?} does not end by itself", hook.config.command);
            self.outputs.push_back(Output::SignalHook(HookIndex(i), ChildSignal::Term));
        }
        true
    }

    /// The next order.
    pub(super) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next answer.
    pub(super) fn next_answer(&mut self) -> Option<(TaskId, HookKey, Result<Value, String>)> {
        self.answers.pop_front()
    }
}
