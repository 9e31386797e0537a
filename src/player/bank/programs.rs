//! The child programs: their orders passed on, their deaths acted on.

use super::jobs::{Job, Kind};
use super::messages::{Output, StepKey};
use super::{ActiveMode, Player};
use crate::plan::Child;
use crate::plan::runner::Done;
use crate::player::children::{ChildOrder, ChildSlot, exit_text};
use crate::player::config::DaqKind;
use crate::player::state::State;
use crate::reactor::Exit;
use crate::units::Now;

/// The step that a start ends at when one of its programs dies.
pub(super) const DIED: &str = "programs";

impl Player {
    pub(super) fn slot(&mut self, child: Child) -> &mut ChildSlot<StepKey> {
        match child {
            Child::Daq => &mut self.daq,
            Child::FitsWriter => &mut self.writer,
        }
    }

    pub(super) fn pass_child_order(&mut self, child: Child, now: Now) -> bool {
        let Some(order) = self.slot(child).poll() else { return false };
        match order {
            ChildOrder::Spawn => self.spawn(child),
            ChildOrder::Line(line) => self.outputs.push_back(Output::Line { child, line: line + "\n" }),
            ChildOrder::CloseInput => self.outputs.push_back(Output::CloseInput { child }),
            ChildOrder::Signal(signal) => self.outputs.push_back(Output::Signal { child, signal }),
            ChildOrder::Answer(key, result) => self.step_done(key, Done::Other(result), now),
            ChildOrder::Died(exit) => self.child_died(child, exit, now),
        }
        true
    }

    fn spawn(&mut self, child: Child) {
        let Some(active) = self.active() else { return self.spawn_failed(child, "no mode is set") };
        let (mode, conduct) = (&active.mode, &active.engine.fpga().conduct);
        if child == Child::Daq && self.config.daq.kind(conduct) == DaqKind::Simulated {
            log::warn!(
                "{}: {} is rehearsed with a simulated DAQ program (appliance sim daq): nothing is recorded",
                self.bank.name,
                mode.name
            );
        }
        let program = self.config.program(child, mode, conduct, active.engine.command_line(child));
        self.outputs.push_back(Output::Spawn { child, program });
    }

    /// The mode that is set or is just being set.
    fn active(&self) -> Option<&ActiveMode> {
        match (&self.job, &self.mode) {
            (Some(Job { kind: Kind::SetMode(active), .. }), _) => Some(active),
            (_, active) => active.as_ref(),
        }
    }

    /// Which DAQ program the mode has.
    pub(super) fn daq_kind(&self) -> Option<DaqKind> {
        self.active().map(|active| self.config.daq.kind(&active.engine.fpga().conduct))
    }

    pub(super) fn child_started(&mut self, child: Child, pid: u32, now: Now) {
        self.slot(child).started(pid, now);
        if child == Child::FitsWriter && self.is_writer_again() {
            self.tell(&[child], "START", now);
        }
    }

    pub(super) fn spawn_failed(&mut self, child: Child, error: &str) {
        self.slot(child).spawn_failed(error);
        if child == Child::FitsWriter
            && self.is_writer_again()
            && let Some(job) = &mut self.job
        {
            job.runner.abort(DIED, format!("the {child} has ended and does not start again: {error}"));
        }
    }

    /// Was the FITS writer started again on behalf of the running start?
    fn is_writer_again(&self) -> bool {
        matches!(&self.job, Some(Job { kind: Kind::Start { writer_again: true, .. }, .. }))
    }

    /// A site's FITS writer ends when it is told to stop, now or a while later: perhaps when the next start is
    /// under way already. `true`: that is what happened, and it is taken care of.
    fn writer_ended_in_order(&mut self, now: Now) -> bool {
        match (&self.state, &mut self.job) {
            (State::Ready, _) => true,
            (State::Starting(_), Some(job)) => match &mut job.kind {
                // The plan comes to it yet.
                _ if job.runner.phase_name() == "start_programs" => true,
                Kind::Start { writer_again: again @ false, .. } => {
                    *again = true;
                    self.writer.start_unasked(now);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    pub(super) fn child_died(&mut self, child: Child, exit: Exit, now: Now) {
        if child == Child::FitsWriter && exit == Exit::Code(0) && self.writer_ended_in_order(now) {
            log::info!("the {child} has ended");
            return;
        }
        let (is_daq, text) = (child == Child::Daq, format!("the {child} died: {}", exit_text(exit)));
        match (&self.state, &mut self.job) {
            // Only the new programs: the old ones are stopped before.
            (State::SettingMode(_), Some(job))
                if ["start_programs", "daq_ready", "daq_alive", "start_writer"]
                    .contains(&job.runner.phase_name()) =>
            {
                job.runner.abort(&child.to_string(), format!("it died: {}", exit_text(exit)));
            }
            (State::Starting(_), Some(job)) => job.runner.abort(DIED, text.clone()),
            (State::Scanning(_), _) if is_daq => {
                self.end_scan(&text, now);
                self.after_stop = None;
            }
            (_, Some(Job { kind: Kind::Monitor, runner, .. })) if is_daq => runner.abort(DIED, text.clone()),
            (State::Monitoring, None) if is_daq => self.enter(State::Ready, now),
            (State::Monitoring, Some(job)) if is_daq => {
                let state = job.kind.state_without_monitor();
                self.enter(state, now);
            }
            _ => {}
        }
        self.note_error(text, now);
    }
}
