//! The child programs: their orders passed on, their deaths acted on.

use super::Player;
use super::jobs::{Job, Kind};
use super::messages::{Output, StepKey};
use crate::plan::Child;
use crate::plan::runner::Done;
use crate::player::children::{ChildOrder, ChildSlot, exit_text};
use crate::player::state::State;
use crate::reactor::{Exit, Program};
use crate::units::Now;

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
            ChildOrder::Spawn => {
                let program = self.program(child);
                self.outputs.push_back(Output::Spawn { child, program });
            }
            ChildOrder::Line(line) => self.outputs.push_back(Output::Line { child, line: line + "\n" }),
            ChildOrder::CloseInput => self.outputs.push_back(Output::CloseInput { child }),
            ChildOrder::Signal(signal) => self.outputs.push_back(Output::Signal { child, signal }),
            ChildOrder::Answer(key, result) => self.step_done(key, Done::Other(result), now),
            ChildOrder::Died(exit) => self.child_died(child, exit, now),
        }
        true
    }

    pub(super) fn program(&self, child: Child) -> Program {
        let mode = match (&self.job, &self.mode) {
            (Some(Job { kind: Kind::SetMode(active), .. }), _) => Some(&active.mode),
            (_, active) => active.as_ref().map(|a| &a.mode),
        };
        self.config.program(child, mode)
    }

    pub(super) fn child_died(&mut self, child: Child, exit: Exit, now: Now) {
        let text = format!("the {child} died: {}", exit_text(exit));
        self.note_error(text.clone(), now);
        if child != Child::Daq {
            return;
        }
        match &self.state {
            State::Scanning(_) => {
                self.end_scan(&text, now);
                self.after_stop = None;
            }
            State::Starting(_) => self.interrupt_job(&text),
            State::Monitoring => self.enter(State::Ready, now),
            _ if self.job.as_ref().is_some_and(|j| matches!(j.kind, Kind::SetMode(_) | Kind::Monitor)) => {
                self.interrupt_job(&text);
            }
            _ => {}
        }
    }
}
