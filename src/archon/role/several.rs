//! Calls that are one order (or a few, one after the other) to every controller named.

use super::context::{Context, error_of, refused};
use super::group::Group;
use super::messages::Index;
use super::replies;
use super::task::{Event, Task, TaskId};
use crate::api::{CallError, Outcome, Ticket};
use crate::archon::controller::{Answer, Fault, Level, Order};
use crate::archon::exposure::promise;
use crate::archon::methods::Ask;
use crate::archon::status_word::StatusWord;
use crate::config::acf::Difference;
use crate::units::Now;
use crate::value::Value;
use std::collections::VecDeque;

/// One order for all, given a controller.
type Stage = Box<dyn Fn(Index) -> Order>;

/// The call.
pub(super) struct Several {
    id: TaskId,
    ticket: Option<Ticket>,
    ask: Ask,
    controllers: Vec<Index>,
    stages: VecDeque<Stage>,
    group: Group,
    failed: Vec<(Index, Fault)>,
    /// By controller, in the order of the call.
    values: Vec<(Index, Value)>,
    over: bool,
}

impl std::fmt::Debug for Several {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Several({:?} of {:?})", self.ask, self.controllers)
    }
}

/// What is ordered for a call; `None`: it is not of this kind.
pub(super) fn stages(ask: &Ask) -> Option<VecDeque<Stage>> {
    fn one(order: Order) -> VecDeque<Stage> {
        VecDeque::from([Box::new(move |_| order.clone()) as Stage])
    }
    Some(match ask {
        Ask::Status { simple: true, .. } => VecDeque::new(),
        Ask::Status { .. } => one(Order::Status),
        Ask::System => one(Order::System),
        Ask::FrameStatus => one(Order::Frame),
        Ask::Power(None, _) => one(Order::Status),
        Ask::Power(Some(on), consent) => {
            let mut stages = one(Order::Power { on: *on, consent: consent.clone() });
            if *on {
                stages.extend(one(Order::Reset { timing: false }));
            }
            stages
        }
        Ask::Reset { timing } => one(Order::Reset { timing: *timing }),
        Ask::Flush(count) => one(Order::Flush { count: *count }),
        Ask::Talk(text) => one(Order::Talk(text.clone())),
        Ask::ConfigRead { .. } => one(Order::ReadConfig),
        Ask::SetParam(name, value) => one(Order::SetParameter { name: name.clone(), value: *value }),
        Ask::WriteLine { key, value, apply, consent } => one(Order::WriteLine {
            key: key.clone(),
            value: value.clone(),
            apply: *apply,
            consent: consent.clone(),
        }),
        Ask::Discard => one(Order::Discard),
        Ask::Attach => one(Order::Attach),
        _ => return None,
    })
}

impl Several {
    pub fn new(
        id: TaskId,
        ticket: Ticket,
        ask: Ask,
        controllers: Vec<Index>,
        stages: VecDeque<Stage>,
    ) -> Several {
        Several {
            id,
            ticket: Some(ticket),
            ask,
            controllers,
            stages,
            group: Group::default(),
            failed: Vec::new(),
            values: Vec::new(),
            over: false,
        }
    }

    fn next(&mut self, cx: &mut Context, now: Now) {
        let live: Vec<Index> =
            self.controllers.iter().copied().filter(|n| !self.failed.iter().any(|(m, _)| m == n)).collect();
        match self.stages.pop_front() {
            Some(stage) if !live.is_empty() => self.group = Group::order(cx, self.id, &live, stage, now),
            _ => self.finish(cx),
        }
        if !self.over && self.group.is_done() {
            self.next(cx, now);
        }
    }

    fn answered(&mut self, n: Index, answer: &Answer, cx: &mut Context) {
        let ticket = self.ticket;
        let value = match (&self.ask, answer) {
            (Ask::Status { debug, .. }, Answer::Status(status)) => {
                let value = replies::status(cx, n, Some(status));
                cx.say(ticket, if *debug { Level::Debug } else { Level::Info }, "status", value.clone());
                value
            }
            (Ask::System, Answer::System(system)) => {
                let value = replies::system(cx, n, system);
                cx.say(ticket, Level::Info, "system", value.clone());
                value
            }
            (Ask::FrameStatus, Answer::Frame(frame)) => {
                let value = replies::frame(cx, n, frame);
                cx.say(ticket, Level::Info, "frame", value.clone());
                value
            }
            (Ask::Power(None, _), _) => tell_power(cx, ticket, n),
            (Ask::Talk(_), Answer::Talk { command, response, ok }) => {
                let value = cx.about(
                    n,
                    vec![
                        ("command".into(), Value::Str(command.clone())),
                        ("response".into(), Value::Str(response.clone())),
                    ],
                );
                cx.say(ticket, if *ok { Level::Info } else { Level::Error }, "raw_reply", value.clone());
                value
            }
            (Ask::ConfigRead { .. }, Answer::Config(acf)) => {
                let lines = acf.wire_lines().into_iter().map(Value::from).collect();
                let value = cx.about(n, vec![("config".into(), Value::List(lines))]);
                cx.say(ticket, Level::Info, "config", value.clone());
                value
            }
            (Ask::Reset { .. } | Ask::Flush(_), _) => {
                // The charge that waited for its readout is gone now.
                if cx.pending.as_ref().is_some_and(|p| p.controllers.contains(&n)) {
                    promise::give_up_pending(cx, self.id);
                }
                Value::Bool(true)
            }
            _ => Value::Bool(true),
        };
        self.values.retain(|(m, _)| *m != n);
        self.values.push((n, value));
    }

    fn finish(&mut self, cx: &mut Context) {
        self.over = true;
        let outcome = outcome(cx, &self.controllers, &self.failed, &self.values);
        cx.reply(&mut self.ticket, outcome);
    }
}

/// A map by controller, or what failed on which.
pub(super) fn outcome(
    cx: &Context,
    order: &[Index],
    failed: &[(Index, Fault)],
    values: &[(Index, Value)],
) -> Outcome {
    if let [(_, fault), more @ ..] = failed {
        let error = error_of(fault);
        if more.is_empty() && order.len() == 1 {
            return Err(error);
        }
        let texts: Vec<String> = failed.iter().map(|(_, f)| f.to_string()).collect();
        let well: Vec<&str> = values.iter().map(|(n, _)| cx.name(*n)).collect();
        let rest = if well.is_empty() { String::new() } else { format!(" (done on {})", well.join(", ")) };
        let text = format!("Controllers failed with error: {}{rest}", texts.join("; "));
        return Err(CallError::new(error.class, error.family, text));
    }
    let of = |n: &Index| values.iter().find(|(m, _)| m == n).map(|(_, v)| v.clone()).unwrap_or_default();
    Ok(Value::Map(order.iter().map(|n| (cx.name(*n).to_owned(), of(n))).collect()))
}

fn tell_power(cx: &mut Context, ticket: Option<Ticket>, n: Index) -> Value {
    let view = cx.controllers[n.0].view();
    let (word, text) = (replies::word(view.word), replies::power(view));
    let value = cx.about(n, word);
    cx.say(ticket, Level::Info, "status", value.clone());
    cx.text_of(ticket, Level::Info, n, text);
    value
}

/// `power on` of what is on already, or of what nobody should touch.
fn power_is_right(cx: &mut Context, ticket: Option<Ticket>, n: Index, on: bool) -> Result<bool, CallError> {
    let word = cx.controllers[n.0].view().word;
    if !word.has(StatusWord::POWERON.with(StatusWord::POWEROFF)) {
        let text = format!("Controller reports unsafe power status {}", word.names().join("|"));
        cx.error_of(ticket, n, text.clone());
        return Err(refused(format!("{} - {text}", cx.name(n))));
    }
    let right = word.has(if on { StatusWord::POWERON } else { StatusWord::POWEROFF });
    if right {
        cx.text_of(
            ticket,
            Level::Info,
            n,
            format!("Controller is already {}.", if on { "on" } else { "off" }),
        );
    }
    Ok(right)
}

impl Task for Several {
    fn start(&mut self, cx: &mut Context, now: Now) {
        if let Ask::Status { simple: true, debug } = self.ask {
            for n in self.controllers.clone() {
                let value = replies::status(cx, n, None);
                cx.say(self.ticket, if debug { Level::Debug } else { Level::Info }, "status", value.clone());
                self.values.push((n, value));
            }
        }
        if let Ask::Power(Some(on), _) = self.ask {
            let mut left = Vec::new();
            for n in self.controllers.clone() {
                match power_is_right(cx, self.ticket, n, on) {
                    Ok(true) => self.values.push((n, Value::Bool(true))),
                    Ok(false) => left.push(n),
                    Err(error) => {
                        self.over = true;
                        return cx.reply(&mut self.ticket, Err(error));
                    }
                }
            }
            if left.is_empty() {
                return self.finish(cx);
            }
            self.controllers = left;
        }
        self.next(cx, now);
    }

    fn event(&mut self, event: Event, cx: &mut Context, now: Now) {
        match event {
            Event::Done { controller, key, result } if self.group.take(controller, key, &result) => {
                match &*result {
                    Ok(answer) => self.answered(controller, answer, cx),
                    Err(fault) => {
                        cx.error_of(self.ticket, controller, fault.to_string());
                        self.values.retain(|(m, _)| *m != controller);
                        self.failed.push((controller, fault.clone()));
                    }
                }
                if self.group.is_done() {
                    self.next(cx, now);
                }
            }
            Event::Step { controller, level, text } => cx.text_of(self.ticket, level, controller, text),
            Event::Progress { controller, body } => progress(cx, self.ticket, controller, body),
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn describe(&self, _: Now) -> Value {
        Value::Str(format!("{:?}", self.ask))
    }
}

/// `progress` of an order.
pub(super) fn progress(cx: &mut Context, ticket: Option<Ticket>, n: Index, body: Value) {
    let rest = if let Value::Map(pairs) = body { pairs } else { Vec::new() };
    let body = cx.about(n, rest);
    cx.say(ticket, Level::Debug, "progress", body);
}

/// One difference between configurations, for replies.
pub(super) fn difference(d: &Difference) -> Value {
    let text = |v: &Option<String>| v.clone().map_or(Value::Null, Value::Str);
    Value::Map(vec![
        ("key".into(), Value::Str(d.key.clone())),
        ("old".into(), text(&d.old)),
        ("new".into(), text(&d.new)),
        ("family".into(), Value::Str(format!("{:?}", d.family).to_lowercase())),
    ])
}
