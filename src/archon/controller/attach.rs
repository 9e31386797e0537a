//! Attach, reading of configuration memory, differences, commands as typed.

use super::Controller;
use super::messages::{Answer, Fault, Level};
use super::procedure::{Mark, Procedure, ReadBack, Step};
use crate::archon::safety::{Class, Grant, Purpose, understand};
use crate::archon::status_word::StatusWord;
use crate::config::acf::Acf;
use crate::proto::archon::{Command, Power};
use std::sync::Arc;

impl Controller {
    /// A frame is in our custody and its buffer is not locked, or nobody knows. An order that is about to let it go,
    /// or to lock it, decides by itself.
    pub(super) fn lock_is_lost(&self) -> bool {
        let Some(held) = &self.facts.held else { return false };
        let told = self.view.frame.as_ref().is_some_and(|(f, _)| f.read_buffer == held.id.buffer);
        let in_order = self.runs.iter().any(|r| r.lane == super::run::Lane::Fetch);
        (self.relock_pending || !told) && !in_order
    }

    /// A lock that was lost is taken again before anything else; then everything is read, nothing is written.
    pub(super) fn attach_steps(&self) -> Procedure {
        let mut steps = Vec::new();
        if let Some(held) = self.facts.held.as_ref().filter(|_| self.relock_pending) {
            steps.push(Step::Try(Command::Lock(held.id.buffer)));
            steps.push(Step::Send(Command::Frame));
            steps.push(Step::Mark(Mark::Relocked));
        }
        steps.extend([Command::System, Command::Status, Command::Frame].map(Step::Send));
        steps.push(Step::ReadConfig(ReadBack::of(self.generation)));
        steps.push(Step::Mark(Mark::Attached));
        steps.push(Step::Compile);
        Procedure::new(Purpose::Attach, steps)
    }

    /// `start_mode = reset`: once, window and reset follow.
    pub(super) fn after_attach(&self) -> Result<Procedure, Fault> {
        if !self.config.reset_on_attach || self.was_reset || !self.view.attached {
            return Ok(Procedure::new(Purpose::Attach, []));
        }
        let mut steps = self.default_window_steps();
        steps.extend(self.reset_steps(true, false));
        steps.push(Step::Send(Command::ReleaseTiming));
        steps.push(Step::Mark(Mark::Idle { timing: false }));
        steps.push(Step::Send(Command::Status));
        let grant = Grant::with(Purpose::Reset, &[Class::Write, Class::ApplyPart], &Default::default());
        Ok(Procedure::new(Purpose::Reset, steps).granted(grant).cleanup(&[Command::ReleaseTiming]))
    }

    /// What FRAME and STATUS say about things that were going on before us.
    pub(super) fn found(&mut self) -> Vec<(Level, String)> {
        let mut said = Vec::new();
        let Some((frame, _)) = self.view.frame.clone() else { return said };
        // A controller that has nothing applied reads nothing out: what is half written was cut off by a restart.
        let configured = self.facts.status.power() != Some(Power::NotConfigured);
        let writing = frame.buffer(frame.write_buffer).filter(|_| configured);
        if let Some(buffer) = writing.filter(|b| !b.complete && (b.lines > 0 || b.pixels > 0)) {
            said.push((
                Level::Warning,
                format!("a readout into buffer {} is going on; it is left alone", buffer.number),
            ));
            self.baseline.get_or_insert_with(|| super::readout::baseline(&frame));
            self.set_word(self.facts.word.on(StatusWord::READING));
        } else if !self.facts.word.has(StatusWord::ACTIVE) {
            self.set_word(self.facts.word.on(StatusWord::IDLE));
        }
        if let Some(newest) = frame.newest().filter(|b| b.frame > 0)
            && !self.facts.unfetched.iter().any(|f| f.frame == newest.frame)
            && self.last_saved != Some(newest.frame)
        {
            let text = format!(
                "buffer {} holds frame {}; whether it was saved is not known here. It stays until the controller \
                 needs the buffer",
                newest.number, newest.frame
            );
            said.push((Level::Debug, text));
        }
        if self.facts.held.is_none() && frame.read_buffer > 0 {
            said.push((Level::Warning, format!("buffer {} is locked, not by us", frame.read_buffer)));
        }
        said
    }

    /// The lock was taken again: is the frame still there?
    pub(super) fn relocked(&mut self) {
        self.relock_pending = false;
        let Some(held) = self.facts.held.clone() else { return };
        let there = self.view.frame.as_ref().and_then(|(f, _)| f.buffer(held.id.buffer).cloned());
        let same =
            there.is_some_and(|b| b.complete && b.frame == held.id.frame && b.timestamp == held.id.timestamp);
        if same {
            return;
        }
        self.facts.held = None;
        self.facts.unfetched.retain(|id| *id != held.id);
        self.view.locked = None;
        self.report(super::Report::Log(format!(
            "frame {} is no longer in buffer {}: it was lost with the link",
            held.id.frame, held.id.buffer
        )));
        self.changed();
    }

    pub(super) fn configuration_read(&self) -> Result<Procedure, Fault> {
        let acf = self.read_back.clone().ok_or_else(|| self.changed_meanwhile())?;
        Ok(Procedure::new(Purpose::Question, [Step::Answer(Answer::Config(acf))]))
    }

    pub(super) fn difference(&self, acf: &Arc<Acf>) -> Result<Procedure, Fault> {
        let there = self.read_back.clone().ok_or_else(|| self.changed_meanwhile())?;
        Ok(Procedure::new(Purpose::Question, [Step::Answer(Answer::Diff(there.diff(acf)))]))
    }

    fn changed_meanwhile(&self) -> Fault {
        self.refused("The configuration was written while it was read. Ask again.")
    }

    /// As typed. POWERON as typed is watched and taken back like any other.
    pub(super) fn talk(&self, text: &str) -> Result<Procedure, Fault> {
        let meant = understand(text);
        let send = Step::Talk {
            typed: text.to_owned(),
            command: if meant.text() == text { meant.clone() } else { Command::Raw(text.to_owned()) },
        };
        let steps = match meant {
            Command::PowerOn => return Ok(self.power_on_steps(send, Grant::of(Purpose::Talk))),
            _ => vec![send],
        };
        Ok(Procedure::new(Purpose::Talk, steps))
    }
}
