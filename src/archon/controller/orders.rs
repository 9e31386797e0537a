//! Orders: when they may begin, which lane they run in, what is asked before they are laid out.

use super::messages::{Answer, Fault, Order, OrderKey, Output, Report};
use super::procedure::{Procedure, ReadBack, Step, Until};
use super::run::{Lane, Run};
use super::{Controller, names};
use crate::archon::safety::{Class, Purpose, understand};
use crate::archon::status_word::StatusWord;
use crate::proto::archon::Command;
use crate::units::Now;
use std::time::Duration;

/// Orders waiting for a lane.
pub const MAX_QUEUED: usize = 16;
/// Questions on their way.
pub const MAX_QUESTIONS: usize = 64;

impl Controller {
    /// An order. It is refused at once (in a report) or runs when its turn has come.
    pub fn order(&mut self, key: OrderKey, order: Order, now: Now) {
        self.take_order(key, order, now);
        self.settle();
    }

    fn take_order(&mut self, key: OrderKey, order: Order, now: Now) {
        if !self.facts.connected && !matches!(order, Order::StopFetch) {
            let fault = self.refused(format!("The controller is not connected ({}).", self.view.why));
            return self.done(key, Err(fault));
        }
        match &order {
            Order::StopFetch => return self.stop_fetch(key),
            Order::Attach => {
                self.facts.read_only = None;
                // The attach that follows every connection answers this one too.
                if let Some(run) = self.runs.iter_mut().find(|r| r.order == Order::Attach && r.key.is_none())
                {
                    run.key = Some(key);
                    return;
                }
            }
            Order::Abort { .. } | Order::Reset { .. } | Order::Unprepare => {
                self.interrupt(names::order(&order), now)
            }
            _ => {}
        }
        match lane_of(&order, self.writing_memory()) {
            Lane::Question | Lane::Watch => {
                if self.runs.iter().filter(|r| r.lane == Lane::Question).count() >= MAX_QUESTIONS {
                    let fault =
                        self.refused(format!("{MAX_QUESTIONS} questions wait for an answer already."));
                    return self.done(key, Err(fault));
                }
                self.begin(Lane::Question, Some(key), order, now);
            }
            lane => {
                let queue = if lane == Lane::Timing { &mut self.timing_queue } else { &mut self.fetch_queue };
                if queue.len() >= MAX_QUEUED {
                    let fault = self.refused(format!("{MAX_QUEUED} orders wait already."));
                    return self.done(key, Err(fault));
                }
                if matches!(order, Order::Abort { .. } | Order::Unprepare) {
                    queue.push_front((key, order));
                } else {
                    queue.push_back((key, order));
                }
                self.start_next(now);
            }
        }
    }

    /// Starts what waits for a lane that is free.
    pub(super) fn start_next(&mut self, now: Now) {
        for lane in [Lane::Timing, Lane::Fetch] {
            if self.runs.iter().any(|r| r.lane == lane) || (lane == Lane::Fetch && self.relock_pending) {
                continue;
            }
            if lane == Lane::Timing && self.attach_wanted && self.facts.connected {
                self.begin_attach(now);
                continue;
            }
            let queue = if lane == Lane::Timing { &mut self.timing_queue } else { &mut self.fetch_queue };
            if let Some((key, order)) = queue.pop_front() {
                self.begin(lane, Some(key), order, now);
            }
        }
    }

    pub(super) fn begin(&mut self, lane: Lane, key: Option<OrderKey>, order: Order, now: Now) {
        if let Err(fault) = self.ready(&order) {
            if let Some(key) = key {
                self.done(key, Err(fault));
            }
            return self.start_next(now);
        }
        if order == Order::Attach {
            self.relock_pending = self.lock_is_lost();
        }
        let procedure = self.asking(&order);
        let run = Run::new(self.next_run, lane, key, order, procedure, now);
        self.next_run += 1;
        self.advance(run, now);
    }

    pub(super) fn begin_attach(&mut self, now: Now) {
        self.attach_wanted = false;
        self.begin(Lane::Timing, None, Order::Attach, now);
    }

    /// Ends a procedure that only waits, so that another order may take its place.
    fn interrupt(&mut self, by: &str, now: Now) {
        let running = self.runs.iter().find(|r| r.lane == Lane::Timing && r.interruptible()).map(|r| r.id);
        let Some(mut run) = running.and_then(|id| self.take_run(id)) else { return };
        let text = format!("{} was ended by {by}", names::order(&run.order));
        let fault = Fault::Aborted { controller: self.name().to_owned(), text };
        self.fail(&mut run, fault);
        self.advance(run, now);
    }

    fn stop_fetch(&mut self, key: OrderKey) {
        let fetching = self.runs.iter().any(|r| matches!(r.order, Order::Fetch { .. }));
        if fetching {
            self.fetch_stopped = true;
            self.out.push_back(Output::Relink("the fetch was stopped: the file cannot take it".into()));
        }
        self.done(key, Ok(Answer::Done));
    }

    pub(super) fn done(&mut self, key: OrderKey, result: Result<Answer, Fault>) {
        self.report(Report::Done { key, result });
    }

    pub(super) fn refused(&self, text: impl Into<String>) -> Fault {
        Fault::Refused { controller: self.name().to_owned(), text: text.into() }
    }

    pub(super) fn writing_memory(&self) -> bool {
        self.runs.iter().any(|r| {
            r.lane == Lane::Timing
                && matches!(
                    r.order,
                    Order::Load { .. } | Order::WriteLine { .. } | Order::SetWindow(_) | Order::Attach
                )
        })
    }

    /// The wrong state for an order, with the words of the reference where it has any.
    pub(super) fn ready(&self, order: &Order) -> Result<(), Fault> {
        let word = self.facts.word;
        let busy = self.facts.timing_busy();
        let wrong = |text: &str| Err(self.refused(text));
        let always = matches!(order, Order::Attach | Order::Talk(_) | Order::Power { on: false, .. })
            || lane_of(order, false) == Lane::Question;
        if !self.view.attached && !always {
            return wrong("What the controller is doing is not known: attach it.");
        }
        match order {
            Order::Prepare { .. } if busy.is_some() => wrong("The controller is not idle."),
            Order::Prepare { .. } if word.has(StatusWord::READOUT_PENDING) => {
                wrong("Controller has a readout pending. Read the device or flush.")
            }
            Order::Prepare { .. } if !word.has(StatusWord::POWERON) || word.has(StatusWord::POWERBAD) => {
                wrong("Controller power is off or invalid.")
            }
            Order::Release | Order::Unprepare if !self.facts.prepared => wrong("No exposure is prepared."),
            Order::Readout { .. } if !word.has(StatusWord::READOUT_PENDING) || busy.is_some() => {
                wrong("Controller is not in a readable state.")
            }
            Order::Abort { .. }
                if !self.facts.prepared && !word.has(StatusWord::EXPOSING.with(StatusWord::READING)) =>
            {
                wrong("Controller is not exposing.")
            }
            // Parameters do not end an integration that is going on.
            Order::Reset { timing: false } if word.has(StatusWord::EXPOSING) => {
                wrong("The controller is exposing. Abort it, or reset with RESETTIMING.")
            }
            Order::Flush { .. } | Order::SetWindow(_) | Order::Load { .. } if busy.is_some() => {
                wrong("The controller is not idle.")
            }
            Order::Lock(_) | Order::Fetch { .. } if word.has(StatusWord::FETCHING) => {
                wrong("Controller is already fetching.")
            }
            Order::Fetch { .. } | Order::Unlock if self.facts.held.is_none() => wrong("No buffer is locked."),
            _ => Ok(()),
        }
    }

    /// What must be known before the order can be laid out; orders that need nothing are laid out at once.
    fn asking(&self, order: &Order) -> Procedure {
        let ask = |purpose: Purpose, commands: &[Command]| {
            let mut steps: Vec<Step> = commands.iter().cloned().map(Step::Send).collect();
            steps.push(Step::Compile);
            Procedure::new(purpose, steps)
        };
        let read = || Step::ReadConfig(ReadBack::of(self.generation));
        let question = |command: Command| Procedure::new(Purpose::Question, [Step::Send(command)]);
        match order {
            Order::System => question(Command::System),
            Order::Status => question(Command::Status),
            Order::Frame => question(Command::Frame),
            Order::ReadConfig | Order::Diff { .. } => {
                Procedure::new(Purpose::Question, [read(), Step::Compile])
            }
            Order::Attach => self.attach_steps(),
            Order::Load { .. } => {
                let commands = [Command::System, Command::Status, Command::Frame].map(Step::Send);
                let steps = commands.into_iter().chain([read(), Step::Compile]);
                Procedure::new(Purpose::Load, steps)
            }
            Order::Power { on: true, .. } => Procedure::new(
                Purpose::Power,
                [Step::Send(Command::System), Self::fresh_status(), Step::Compile],
            ),
            Order::Prepare { .. } => ask(Purpose::Expose, &[Command::Frame]),
            Order::Readout { .. } => ask(Purpose::Expose, &[Command::Frame]),
            Order::Abort { readout: true } => ask(Purpose::Expose, &[Command::Frame]),
            Order::Lock(_) => ask(Purpose::Fetch, &[Command::Frame]),
            _ => ask(Purpose::Question, &[]),
        }
    }

    /// STATUS until it is valid, new and moving.
    pub(super) fn fresh_status() -> Step {
        Step::Poll {
            ask: Command::Status,
            every: Duration::from_millis(500),
            limit: Duration::from_secs(15),
            until: Until::Fresh,
            what: "a valid STATUS whose COUNT advances".into(),
        }
    }

    /// Lays out the rest of an order with what is known now, or refuses it.
    pub(super) fn compile(&self, order: &Order) -> Result<Procedure, Fault> {
        self.ready(order)?;
        match order {
            Order::System | Order::Status | Order::Frame => Ok(Procedure::new(Purpose::Question, [])),
            Order::ReadConfig => self.configuration_read(),
            Order::Diff { acf } => self.difference(acf),
            Order::Attach => self.after_attach(),
            Order::Talk(text) => self.talk(text),
            Order::Reset { timing } => Ok(self.reset(*timing)),
            Order::Load { .. } => self.load(order),
            Order::Power { on, consent } => Ok(self.power(*on, consent)),
            Order::Flush { count } => self.flush(*count),
            Order::SetWindow(window) => self.set_window(window),
            Order::SetParameter { name, value } => self.set_parameter(name, *value),
            Order::WriteLine { key, value, apply, consent } => self.write_line(key, value, *apply, consent),
            Order::Prepare { integration, exposure } => self.prepare(*integration, *exposure),
            Order::Release => Ok(self.release()),
            Order::Unprepare => Ok(self.unprepare()),
            Order::Abort { readout } => self.abort(*readout),
            Order::Readout { delay } => self.readout(*delay),
            Order::Discard => Ok(self.discard()),
            Order::Lock(which) => self.lock(which),
            Order::Fetch { from_block } => self.fetch(*from_block),
            Order::Unlock => Ok(self.unlock()),
            Order::StopFetch => Ok(Procedure::new(Purpose::Question, [])),
        }
    }
}

/// The lane of an order; questions about configuration memory wait while it is being written.
fn lane_of(order: &Order, writing: bool) -> Lane {
    match order {
        Order::System | Order::Status | Order::Frame => Lane::Question,
        Order::ReadConfig | Order::Diff { .. } if writing => Lane::Timing,
        Order::ReadConfig | Order::Diff { .. } => Lane::Question,
        Order::Talk(text) => match Class::of(&understand(text)) {
            Class::Query => Lane::Question,
            _ => Lane::Timing,
        },
        Order::Lock(_) | Order::Fetch { .. } | Order::StopFetch | Order::Unlock | Order::Discard => {
            Lane::Fetch
        }
        _ => Lane::Timing,
    }
}
