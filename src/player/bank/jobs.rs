//! The job: one plan at a time, its orders passed on, its end turned into a state and an answer.

use super::dry::parameters_of;
use super::messages::{FpgaKey, Output, StatusKey, StatusOrder, StepKey, Ticket};
use super::{ActiveMode, Player, scans};
use crate::api::{CallError, ErrorClass, Family};
use crate::plan::runner::{Done, Failure, Order, Runner};
use crate::plan::{Child, Plan, Step};
use crate::player::applied::Applied;
use crate::player::compile;
use crate::player::state::State;
use crate::units::Now;
use crate::value::Value;

/// What a plan is run for.
#[derive(Debug)]
pub(super) enum Kind {
    SetMode(Box<ActiveMode>),
    Prepare,
    Manual,
    Monitor,
    Start {
        cancelled: bool,
        /// The FITS writer obeyed the stop before this start only now, and was started again.
        writer_again: bool,
    },
    /// Stops the programs after a failed mode change, whose error is answered then.
    Cleanup(CallError),
    Shutdown,
}

impl Kind {
    /// The state of a job that was begun in monitor mode, when that mode has ended under it.
    pub(super) fn state_without_monitor(&self) -> State {
        match self {
            Kind::Prepare => State::Preparing,
            _ => State::Operating("phase"),
        }
    }
}

/// The running plan, and who waits for its end.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) serial: u64,
    pub(super) runner: Runner,
    pub(super) kind: Kind,
    pub(super) ticket: Option<Ticket>,
    /// Who stands behind it, if known.
    pub(super) client: Option<String>,
}

impl Player {
    pub(super) fn run(&mut self, kind: Kind, plan: Plan, ticket: Option<Ticket>, state: State, now: Now) {
        debug_assert!(self.job.is_none(), "the node queues writes while a job runs");
        self.serial += 1;
        self.enter(state, now);
        // Nothing leaves before the next process would know of it: the record's entry, for which the plan's orders
        // wait, is written after the state.
        self.save();
        self.outputs.push_back(Output::Record(plan.to_value()));
        let runner = Runner::start(plan, now);
        let client = match ticket {
            Some(ticket) => self.client_of(ticket),
            None => self.schedule.at_work().and_then(|entry| entry.client.clone()),
        };
        self.job = Some(Job { serial: self.serial, runner, kind, ticket, client });
    }

    /// Ends the running plan because the board is not what it was.
    pub(super) fn interrupt_job(&mut self, why: &str) {
        if let Some(job) = &mut self.job {
            job.runner.abort("FPGA", why.to_owned());
        }
    }

    pub(super) fn step_done(&mut self, key: StepKey, done: Done, now: Now) {
        if let Some(job) = &mut self.job
            && job.serial == key.serial
        {
            job.runner.done(key.id, done, now);
        }
    }

    /// Passes on whatever has become due, until nothing moves any more.
    pub(super) fn settle(&mut self, now: Now) {
        loop {
            let mut moved = self.pass_job_order(now);
            moved |= self.pass_child_order(Child::Daq, now);
            moved |= self.pass_child_order(Child::FitsWriter, now);
            if self.job.as_ref().is_some_and(|j| j.runner.outcome().is_some()) {
                self.finish_job(now);
                moved = true;
            }
            if !moved {
                break;
            }
        }
        self.end_orphaned_helper();
        self.close_proof_when_due(now);
        self.set_up_synth(now);
        self.save();
        self.saves_overdue(now);
        self.leave_when_told();
    }

    pub(super) fn pass_job_order(&mut self, now: Now) -> bool {
        let Some(job) = &mut self.job else { return false };
        let serial = job.serial;
        let Some((id, order)) = job.runner.poll() else { return false };
        if let (State::Starting(scan), Order::Fpga(_)) = (&self.state, &order)
            && scan.start < now.utc
        {
            // Armed now, the hardware would start on a later second than the one announced.
            job.runner.abort(scans::LATE, "armed too late: the start second came first".into());
            return true;
        }
        let key = StepKey { serial, id };
        match order {
            Order::Fpga(op) => {
                self.plan_writes(key, &op, now);
                self.outputs.push_back(Output::Fpga { key: FpgaKey::Plan(key), op });
            }
            Order::ReadStatus(name) => self.read_status(StatusKey::Plan(key), &[&name]),
            Order::Other(step) => self.carry_out(key, step, now),
        }
        true
    }

    pub(super) fn carry_out(&mut self, key: StepKey, step: Step, now: Now) {
        match step {
            Step::Status(pairs) => self.order_status(StatusKey::Plan(key), StatusOrder::Put(pairs)),
            Step::ClearStatus => self.order_status(StatusKey::Plan(key), StatusOrder::Clear),
            Step::DataBuffers { program, .. } => self.make_buffers(key, &program, now),
            Step::SynthFrequency { channel, mhz } => {
                self.set_frequency(key, channel, mhz, now);
            }
            Step::Run { command, within } => self.run_helper(key, &command, within, now),
            Step::StartChild(child) => self.slot(child).start(key, now),
            Step::StopChild(child) => self.slot(child).stop(key, now),
            // What is awaited of it next counts from when it has the command, not from when that was queued.
            Step::Command { child: Child::Daq, line } => self.daq.command_for(&line, key, now),
            Step::Command { child, line } => {
                let result = self.slot(child).command(&line, now);
                self.step_done(key, Done::Other(result), now);
            }
            other => unreachable!("the runner itself carries out {other}"),
        }
    }

    pub(super) fn finish_job(&mut self, now: Now) {
        let Some(job) = self.job.take() else { return };
        self.record_writes();
        for warning in job.runner.warnings() {
            log::warn!("{}: {warning}", job.runner.plan().title);
        }
        let title = job.runner.plan().title.clone();
        let outcome = job.runner.outcome().cloned().unwrap_or(Ok(()));
        let (scheduled, went_well) = (Self::is_scheduled(&job), outcome.is_ok());
        if let Kind::SetMode(_) = job.kind {
            self.applied = Applied::default();
            self.asked.clear();
        }
        match &outcome {
            Ok(()) => self.keep_applied(&job),
            Err(_) => self.applied.doubt(job.runner.plan()),
        }
        match (job.kind, outcome) {
            (Kind::SetMode(active), Ok(())) => {
                let text = format!("New mode {} set!", active.mode.name);
                self.last_program = Some(active.mode.hpc_program.clone());
                self.mode = Some(*active);
                self.last_error = None;
                self.probe();
                self.enter(State::Ready, now);
                self.reply_saved(job.ticket, Ok(Value::verdict(true, text)));
            }
            (Kind::SetMode(active), Err(failure)) => {
                let error = mode_error(&active.mode.name, &failure);
                self.note_error(error.message.clone(), now);
                let state = State::SettingMode(active.mode.name.clone());
                self.run(Kind::Cleanup(error), compile::stop_programs(), job.ticket, state, now);
            }
            (Kind::Cleanup(error), _) => {
                self.enter(State::NoMode, now);
                self.reply(job.ticket, Err(error));
            }
            (Kind::Start { cancelled, .. }, outcome) => {
                self.start_finished(job.ticket, &job.runner, cancelled, outcome, now);
            }
            (Kind::Shutdown, _) => {
                self.close_proof(now);
                self.outputs.push_back(Output::Finished);
            }
            (Kind::Monitor, Ok(())) => {
                self.enter(State::Monitoring, now);
                self.reply_saved(job.ticket, Ok(Value::verdict(true, "Start monitor mode.")));
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
        if scheduled {
            self.scheduled_job_done(went_well, now);
        }
    }

    /// A plan has done what it says.
    fn keep_applied(&mut self, job: &Job) {
        self.applied.keep(job.runner.plan());
        let prepared = match &job.kind {
            Kind::SetMode(active) if active.engine.fpga().conduct.prepare_when_set => Some(&active.defaults),
            _ => None,
        };
        if let Some(parameters) = prepared {
            self.applied.parameters = Some(parameters.clone());
        } else if let (Kind::Prepare, Some(active)) = (&job.kind, &self.mode) {
            self.applied.parameters = Some(parameters_of(&active.engine));
        }
    }

    pub(super) fn back_to_rest(&mut self, now: Now) {
        if self.state != State::Monitoring {
            self.enter(State::Ready, now);
        }
    }
}

pub(super) fn class_of(failure: &Failure) -> ErrorClass {
    if failure.problems.iter().any(|p| p.fpga) { ErrorClass::RuntimeError } else { ErrorClass::Exception }
}

pub(super) fn problems_text(failure: &Failure) -> String {
    if failure.problems.is_empty() && failure.cancelled {
        return "cancelled".into();
    }
    let each = failure.problems.iter().map(|p| format!("{}: {}", p.step, p.error));
    each.collect::<Vec<_>>().join("; ")
}

pub(super) fn step_error(what: &str, failure: &Failure) -> CallError {
    let text = format!("{what} failed at {}: {}", failure.phase, problems_text(failure));
    CallError::new(class_of(failure), Family::Peer, text)
}

/// Why a mode could not be set. Scripts know the words for a GPU that does not come up.
fn mode_error(mode: &str, failure: &Failure) -> CallError {
    match failure.problems.first() {
        Some(p) if failure.phase == compile::GPU_PHASE => CallError::new(
            ErrorClass::Exception,
            Family::Timeout,
            format!("init_gpu_resources(): {}", p.error),
        ),
        _ => step_error(mode, failure),
    }
}
