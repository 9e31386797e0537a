//! The calls `expose` and `read` as one task: the phases, and what happens in them.

mod begin;
mod finish;
mod integrate;

use crate::api::{CallError, Ticket};
use crate::archon::controller::{Answer, Fault, Level};
use crate::archon::exposure::saving::Saving;
use crate::archon::exposure::{Pending, Shot, ask_of_read};
use crate::archon::hooks::HookKey;
use crate::archon::methods::{ExposeAsk, Flavour};
use crate::archon::role::FileKey;
use crate::archon::role::context::{Context, error_of, refused};
use crate::archon::role::group::Group;
use crate::archon::role::messages::Index;
use crate::archon::role::task::{Event, Task, TaskId};
use crate::frames::jobs::Done;
use crate::units::{Mono, Now};
use crate::value::Value;
use begin::check;
use std::collections::VecDeque;
use std::time::Duration;

/// Beyond its own time an integration's end may be this late before we say so.
const LATE: Duration = Duration::from_secs(20);
/// Progress of an integration.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Phase {
    Reserving(FileKey),
    PreExpose(HookKey),
    Windows(Group),
    Promising(FileKey),
    Preparing(Group),
    /// `over`: integrations that have ended already (a bias on one controller, while another has not answered).
    Releasing {
        group: Group,
        over: Vec<Index>,
    },
    Integrating {
        open: Vec<Index>,
        limit: Mono,
        /// When progress was told last.
        told: Mono,
    },
    /// The integration is over: nothing is read out before the shutter has answered, or its time is up.
    Closing(HookKey),
    ReadingOut {
        group: Group,
        begun: Mono,
    },
    /// Prepared exposures are given up.
    Unpreparing {
        group: Group,
        why: CallError,
    },
    /// Integrations are ended.
    Aborting {
        group: Group,
        why: CallError,
    },
    /// Nothing uses the detectors any more; frames may be on their way.
    Saving,
    Over,
}

/// `expose` or `read`.
#[derive(Debug)]
pub(in crate::archon) struct Expose {
    id: TaskId,
    ticket: Option<Ticket>,
    ask: ExposeAsk,
    controllers: Vec<Index>,
    /// (flavour, time, number)
    to_do: VecDeque<(Flavour, Duration, Option<u64>)>,
    shot: Option<Shot>,
    shots: Vec<Shot>,
    savings: Vec<Saving>,
    phase: Phase,
    began: Now,
    shutter_open: bool,
    /// The question to open it, and whether the answer was yes.
    opening: Option<HookKey>,
    opened: bool,
    warnings: Vec<Value>,
    /// What went wrong on the way; the reply when everything that can be saved is.
    failure: Option<CallError>,
}

impl Expose {
    /// Checks what can be checked at once.
    pub fn new(
        id: TaskId,
        ticket: Ticket,
        controllers: Vec<Index>,
        ask: ExposeAsk,
        cx: &Context,
        now: Now,
    ) -> Result<Expose, CallError> {
        let time = match (ask.flavour, ask.time) {
            (Flavour::Bias, _) => Duration::ZERO,
            (_, Some(time)) => time,
            (flavour, None) => {
                return Err(refused(format!("Exposure time required for flavour '{}'.", flavour.name())));
            }
        };
        if !ask.readout && ask.count > 1 {
            return Err(refused("--count > 1 requires readout."));
        }
        if !ask.readout && ask.with_dark {
            return Err(refused("--with-dark cannot be used with --no-readout."));
        }
        if let Some(mode) = ask.window_mode.as_deref()
            && mode != "default"
            && !cx.config.site.window_modes.iter().any(|(name, _)| name == mode)
        {
            return Err(refused(format!("Invalid window mode '{mode}'.")));
        }
        for n in &controllers {
            check(cx, *n)?;
        }
        let mut to_do = VecDeque::new();
        for _ in 0..ask.count.max(1) {
            to_do.push_back((ask.flavour, time, None));
            if ask.with_dark {
                to_do.push_back((Flavour::Dark, time, None));
            }
        }
        for (item, i) in to_do.iter_mut().zip(0..) {
            item.2 = ask.seqno.map(|first| first + i);
        }
        Ok(Expose::of(id, ticket, ask, controllers, to_do, now))
    }

    /// The readout of an exposure that waits for it.
    pub fn read(id: TaskId, ticket: Ticket, pending: Pending, header: Value, delay: u32, now: Now) -> Expose {
        let mut shot = pending.shot;
        if let (Value::Map(more), Value::Map(there)) = (&header, &mut shot.header) {
            there.extend(more.clone());
        } else if matches!(header, Value::Map(_)) {
            shot.header = header;
        }
        let mut task = Expose::of(id, ticket, ask_of_read(delay), pending.controllers, VecDeque::new(), now);
        task.shot = Some(shot);
        task
    }

    fn of(
        id: TaskId,
        ticket: Ticket,
        ask: ExposeAsk,
        controllers: Vec<Index>,
        to_do: VecDeque<(Flavour, Duration, Option<u64>)>,
        now: Now,
    ) -> Expose {
        Expose {
            id,
            ticket: Some(ticket),
            ask,
            controllers,
            to_do,
            shot: None,
            shots: Vec::new(),
            savings: Vec::new(),
            phase: Phase::Saving,
            began: now,
            shutter_open: false,
            opening: None,
            opened: false,
            warnings: Vec::new(),
            failure: None,
        }
    }

    // ------------------------------------------------------------------ what happens

    /// Goes on to the next phase when this one is done.
    fn go_on(&mut self, cx: &mut Context, now: Now) {
        match std::mem::replace(&mut self.phase, Phase::Saving) {
            Phase::Windows(group) if group.is_done() => match group.faults() {
                f if f.is_empty() => self.promise(cx, now),
                faults => self.end(several(&faults, cx, self.ticket), cx),
            },
            Phase::Preparing(group) if group.is_done() => match group.faults() {
                f if f.is_empty() => self.release(cx, now),
                faults => {
                    let why = several(&faults, cx, self.ticket);
                    self.give_up_prepared(&group.well(), why, cx, now);
                }
            },
            Phase::Releasing { group, over } if group.is_done() => match group.faults() {
                f if f.is_empty() => self.integrate(&group, &over, cx, now),
                faults => {
                    let why = several(&faults, cx, self.ticket);
                    self.stop(&group.well(), why, cx, now);
                }
            },
            Phase::Integrating { open, .. } if open.is_empty() => self.integrated(cx, now),
            Phase::Integrating { open, limit, .. } if limit <= now.mono => {
                let names: Vec<&str> = open.iter().map(|n| cx.name(*n)).collect();
                let why = format!("the integration did not end in time on {}", names.join(", "));
                let all = self.controllers.clone();
                self.stop(&all, refused(why), cx, now);
            }
            Phase::Integrating { open, limit, told } if told + TELL_EVERY <= now.mono => {
                self.tell_integration(cx, now);
                self.phase = Phase::Integrating { open, limit, told: now.mono };
            }
            Phase::ReadingOut { group, begun } if group.is_done() => {
                self.read_over(group.faults(), begun, cx, now);
            }
            Phase::Unpreparing { group, why } if group.is_done() => self.end(why, cx),
            Phase::Aborting { group, why } if group.is_done() => self.end(why, cx),
            Phase::Saving => {
                self.phase = Phase::Saving;
                self.saving_goes_on(cx, now);
            }
            same => self.phase = same,
        }
    }

    fn order_done(
        &mut self,
        n: Index,
        key: crate::archon::controller::OrderKey,
        result: &Result<Answer, Fault>,
        cx: &mut Context,
        now: Now,
    ) {
        let group = match &mut self.phase {
            Phase::Windows(g) | Phase::Preparing(g) | Phase::Releasing { group: g, .. } => g,
            Phase::ReadingOut { group, .. }
            | Phase::Unpreparing { group, .. }
            | Phase::Aborting { group, .. } => group,
            _ => return,
        };
        let mine = group.take(n, key, result);
        // A frame counts also when the exposure was aborted meanwhile: it is the only copy.
        if let Ok(Answer::ReadOut { buffer, frame, .. }) = result
            && mine
        {
            self.save(n, *buffer, *frame, cx, now);
        }
        self.go_on(cx, now);
    }
}

/// What went wrong on which controller; each is told by itself first.
fn several(faults: &[(Index, Fault)], cx: &mut Context, ticket: Option<Ticket>) -> CallError {
    for (n, fault) in faults {
        cx.error_of(ticket, *n, fault.to_string());
    }
    match faults {
        [(_, fault)] => error_of(fault),
        faults => {
            let texts: Vec<String> = faults.iter().map(|(_, f)| f.to_string()).collect();
            let first = faults.first().map(|(_, f)| error_of(f));
            let text = format!("Controllers failed with error: {}", texts.join("; "));
            first.map_or_else(|| refused(text.clone()), |e| CallError::new(e.class, e.family, text.clone()))
        }
    }
}

impl Task for Expose {
    fn start(&mut self, cx: &mut Context, now: Now) {
        cx.exposing = Some(self.id);
        if self.shot.is_some() { self.read_out(cx, now) } else { self.next_shot(cx, now) }
    }

    fn event(&mut self, mut event: Event, cx: &mut Context, now: Now) {
        for saving in &mut self.savings {
            if saving.event(&mut event, self.ticket, cx, now) {
                return self.go_on(cx, now);
            }
        }
        match event {
            Event::Done { controller, key, result } => self.order_done(controller, key, &result, cx, now),
            Event::Step { controller, level, text } => cx.text_of(self.ticket, level, controller, text),
            Event::Progress { controller, body } => {
                let saved = self.savings.iter().find(|s| s.n == controller && s.outcome.is_none());
                let shot = saved.map(|s| &s.shot).or(self.shot.as_ref());
                let number = shot.map_or(0, |s| s.number);
                let mut rest = vec![("exposure_no".to_owned(), Value::Int(number as i64))];
                if let Value::Map(pairs) = body {
                    rest.extend(pairs);
                }
                let body = cx.about(controller, rest);
                cx.say(self.ticket, Level::Debug, "progress", body);
            }
            Event::IntegrationOver { controller, .. } => {
                match &mut self.phase {
                    Phase::Integrating { open, .. } => open.retain(|n| *n != controller),
                    Phase::Releasing { over, .. } => over.push(controller),
                    _ => {}
                }
                self.go_on(cx, now);
            }
            Event::Data { controller, bytes } => {
                cx.outputs.push_back(crate::archon::role::Output::Recycle { controller, bytes });
            }
            Event::File { key, done } => {
                if matches!(&self.phase, Phase::Promising(k) if *k == key) {
                    return match done.map(|d| *d) {
                        Ok(Done::Promised(Ok(()))) => self.prepare(cx, now),
                        Ok(Done::Promised(Err(why))) => self.end(refused(why.to_string()), cx),
                        Ok(_) => self.end(refused("the lock files were not written"), cx),
                        Err(why) => self.end(refused(why), cx),
                    };
                }
                if matches!(&self.phase, Phase::Reserving(k) if *k == key) {
                    match done.map(|d| *d) {
                        Ok(Done::Reserved(Ok(reservation))) => self.reserved(reservation, cx, now),
                        Ok(Done::Reserved(Err(why))) => self.end(refused(why.to_string()), cx),
                        Ok(_) => self.end(refused("no exposure number was given"), cx),
                        Err(why) => self.end(refused(why), cx),
                    }
                }
            }
            Event::Hook { key, result } => self.hook_answered(key, result, cx, now),
            Event::Abort => self.abort(cx, now),
            Event::Shutdown => {
                if !matches!(self.phase, Phase::Saving | Phase::ReadingOut { .. }) {
                    self.abort(cx, now);
                } else {
                    self.to_do.clear();
                }
            }
            Event::Tick => self.go_on(cx, now),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let own = match &self.phase {
            Phase::Integrating { limit, told, .. } => Some((*limit).min(*told + TELL_EVERY)),
            _ => None,
        };
        self.savings.iter().filter(|s| s.outcome.is_none()).filter_map(Saving::deadline).chain(own).min()
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn is_exposure(&self) -> bool {
        true
    }

    fn is_background(&self) -> bool {
        self.ticket.is_none()
    }

    fn describe(&self, now: Now) -> Value {
        let phase = match &self.phase {
            Phase::Reserving(_) => "reserving a number",
            Phase::PreExpose(_) => "waiting for pre_expose",
            Phase::Windows(_) => "setting windows",
            Phase::Promising(_) => "writing lock files",
            Phase::Preparing(_) => "preparing",
            Phase::Releasing { .. } => "starting",
            Phase::Integrating { .. } => "integrating",
            Phase::Closing(_) => "closing the shutter",
            Phase::ReadingOut { .. } => "reading out",
            Phase::Unpreparing { .. } | Phase::Aborting { .. } => "aborting",
            Phase::Saving => "saving",
            Phase::Over => "over",
        };
        let frames = self.savings.iter().map(|s| Value::from(s.doing())).collect();
        Value::Map(vec![
            ("doing".into(), phase.into()),
            ("exposure_no".into(), self.shot.as_ref().map_or(Value::Null, |s| Value::Int(s.number as i64))),
            ("for_s".into(), Value::Float(now.mono.since(self.began.mono).as_secs_f64())),
            ("frames".into(), Value::List(frames)),
            ("exposures_to_do".into(), Value::Int(self.to_do.len() as i64)),
        ])
    }
}
