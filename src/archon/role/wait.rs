//! Calls that wait for something to become true: `wait_until_idle`, `reconnect`, and the end of `abort`.

use super::context::{Context, refused};
use super::group::Group;
use super::messages::{Index, Output};
use super::task::{Event, Task, TaskId};
use crate::api::{CallError, ErrorClass, Family, Ticket};
use crate::archon::controller::{Fault, Level, Order};
use crate::archon::status_word::StatusWord;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// An aborted exposure has let the detectors go by then.
const ABORTED_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug)]
enum For {
    Idle { allow_errored: bool },
    Back { who: Vec<Index> },
}

/// `wait_until_idle`, `reconnect`
#[derive(Debug)]
pub(super) struct Wait {
    ticket: Option<Ticket>,
    what: For,
    limit: Mono,
    over: bool,
}

impl Wait {
    pub fn until_idle(ticket: Ticket, allow_errored: bool, within: Duration, now: Now) -> Wait {
        Wait {
            ticket: Some(ticket),
            what: For::Idle { allow_errored },
            limit: now.mono + within,
            over: false,
        }
    }

    pub fn until_back(ticket: Ticket, who: Vec<Index>, within: Duration, now: Now) -> Wait {
        Wait { ticket: Some(ticket), what: For::Back { who }, limit: now.mono + within, over: false }
    }

    fn look(&mut self, cx: &mut Context, now: Now) {
        let waiting = match &self.what {
            For::Idle { allow_errored } => busy(cx, *allow_errored),
            For::Back { who } => who.iter().find(|n| !cx.controllers[n.0].view().attached).map(|n| {
                format!(
                    "Timed-out while reconnecting to controller '{}'. ({})",
                    cx.name(*n),
                    cx.controllers[n.0].view().why
                )
            }),
        };
        let outcome = match waiting {
            None => Ok(self.text(cx)),
            Some(_) if now.mono < self.limit => return,
            Some(why) => Err(CallError::new(ErrorClass::Exception, Family::Timeout, why)),
        };
        self.over = true;
        cx.reply(&mut self.ticket, outcome);
    }

    fn text(&self, cx: &mut Context) -> Value {
        let For::Idle { allow_errored } = &self.what else { return Value::Bool(true) };
        if *allow_errored && cx.controllers.iter().any(|c| c.view().word.has(StatusWord::ERRORED)) {
            cx.text(self.ticket, Level::Warning, "Some controllers are ERRORED.");
        }
        let text = "All controllers are IDLE.";
        cx.text(self.ticket, Level::Info, text);
        text.into()
    }
}

/// Who is not idle, and what is going on.
fn busy(cx: &Context, allow_errored: bool) -> Option<String> {
    if cx.exposing.is_some() || cx.recovering || cx.saving.iter().any(Option::is_some) {
        return Some("an exposure is still going on or being written".into());
    }
    if cx.pending.is_some() && !allow_errored {
        return Some("an exposure waits for its readout".into());
    }
    (0..cx.controllers.len()).map(Index).find_map(|n| {
        let word = cx.controllers[n.0].view().word;
        let pending = word.has(StatusWord::READOUT_PENDING) && !allow_errored;
        (!word.has(StatusWord::IDLE) || pending)
            .then(|| format!("{} is {}", cx.name(n), word.names().join("|")))
    })
}

impl Task for Wait {
    fn start(&mut self, cx: &mut Context, now: Now) {
        if let For::Back { who } = &self.what {
            for n in who {
                let why = "reconnect".to_owned();
                cx.outputs.push_back(Output::Link { controller: *n, open: true, why });
            }
            // What they say now is about the old connection.
            return;
        }
        self.look(cx, now);
    }

    fn event(&mut self, event: Event, cx: &mut Context, now: Now) {
        match event {
            Event::Abort => {
                self.over = true;
                cx.reply(&mut self.ticket, Err(refused("the wait was ended by abort")));
            }
            _ => self.look(cx, now),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        Some(self.limit)
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        Value::Str(format!("waiting for {:?}", self.what))
    }
}

/// `abort`: the exposure is told first; then the detectors are free, and may be reset or flushed.
#[derive(Debug)]
pub(super) struct Abort {
    id: TaskId,
    ticket: Option<Ticket>,
    who: Vec<Index>,
    then: VecDeque<Order>,
    group: Option<Group>,
    failed: Vec<(Index, Fault)>,
    limit: Mono,
    over: bool,
}

impl Abort {
    pub fn new(id: TaskId, ticket: Ticket, who: Vec<Index>, reset: bool, flush: bool, now: Now) -> Abort {
        let mut then = VecDeque::new();
        if reset {
            then.push_back(Order::Reset { timing: true });
        }
        if flush {
            then.push_back(Order::Flush { count: 1 });
        }
        let (group, limit) = (None, now.mono + ABORTED_WITHIN);
        Abort { id, ticket: Some(ticket), who, then, group, failed: Vec::new(), limit, over: false }
    }

    fn go_on(&mut self, cx: &mut Context, now: Now) {
        if cx.exposing.is_some() && now.mono < self.limit {
            return;
        }
        if self.group.as_ref().is_some_and(|g| !g.is_done()) {
            return;
        }
        if let Some(group) = self.group.take() {
            self.failed.extend(group.faults());
        }
        match self.then.pop_front() {
            Some(order) if self.failed.is_empty() => {
                let text = if matches!(order, Order::Reset { .. }) {
                    "Resetting controllers"
                } else {
                    "Flushing devices"
                };
                cx.text(self.ticket, Level::Debug, text);
                let group = Group::order(cx, self.id, &self.who, |_| order.clone(), now);
                self.group = Some(group);
                self.go_on(cx, now);
            }
            _ => {
                self.over = true;
                let done = self.who.iter().map(|n| (*n, Value::Bool(true))).collect::<Vec<_>>();
                let outcome = super::several::outcome(cx, &self.who, &self.failed, &done);
                cx.reply(&mut self.ticket, outcome.map(|_| Value::Bool(true)));
            }
        }
    }
}

impl Task for Abort {
    fn start(&mut self, cx: &mut Context, now: Now) {
        self.go_on(cx, now);
    }

    fn event(&mut self, event: Event, cx: &mut Context, now: Now) {
        if let (Event::Done { controller, key, result }, Some(group)) = (&event, &mut self.group) {
            group.take(*controller, *key, result);
        }
        self.go_on(cx, now);
    }

    fn deadline(&self) -> Option<Mono> {
        Some(self.limit)
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        "aborting".into()
    }
}
