//! What changes in our own state as a procedure goes on, and the conditions it goes on under.

use super::expose::Exposure;
use super::messages::Fault;
use super::procedure::{Check, Mark, ReadBack, Step, Until};
use super::run::Run;
use super::{Answer, Controller};
use crate::archon::safety::Memory;
use crate::archon::status_word::StatusWord;
use crate::proto::archon::{Command, Power};
use crate::units::Now;
use std::collections::BTreeSet;

impl Controller {
    pub(super) fn mark(&mut self, run: &mut Run, mark: Mark, now: Now) {
        let word = self.facts.word;
        match mark {
            Mark::Idle { timing } => self.idle(timing),
            Mark::Prepared { exposure, integration } => {
                self.facts.prepared = true;
                self.exposure = Some(Exposure { number: exposure, integration, running: None });
            }
            Mark::Unprepared => {
                self.facts.prepared = false;
                self.exposure = None;
            }
            Mark::Integrating => self.integrating(now),
            Mark::Aborted => {
                self.exposure = None;
                self.set_word(word.off(StatusWord::EXPOSING));
            }
            Mark::Reading => self.set_word(word.on(StatusWord::READING).off(StatusWord::READOUT_PENDING)),
            Mark::ReadingOver => self.set_word(word.off(StatusWord::READING)),
            Mark::Flushing => {
                self.idle(false);
                self.set_word(self.facts.word.on(StatusWord::FLUSHING));
            }
            Mark::FlushingOver => self.set_word(word.off(StatusWord::FLUSHING)),
            Mark::Fetching => {
                if let super::Order::Fetch { from_block } = run.order {
                    self.fetch_from = u64::from(from_block) * crate::proto::archon::BLOCK as u64;
                }
                self.fetch_bytes = 0;
                self.fetch_stopped = false;
                self.set_word(word.on(StatusWord::FETCHING));
            }
            Mark::FetchingOver => {
                let mended = std::mem::take(&mut self.fetch_failed);
                let word = if mended { word.off(StatusWord::ERROR) } else { word };
                self.set_word(word.off(StatusWord::FETCHING));
                self.remark_on_speed(run, now);
            }
            Mark::Uploaded { acf, path, verified, changed } => {
                self.unverified = verified.then(BTreeSet::new);
                self.facts.memory = Memory::Unknown;
                self.know_memory(acf);
                self.view.acf_path = path;
                if let Some(applied) = &mut self.facts.applied {
                    applied.unapplied.extend(changed);
                }
                self.look_at_boot_keys(now);
            }
            Mark::Released => self.released(),
            Mark::Discarded => {
                self.facts.unfetched.clear();
                self.facts.held = None;
                self.view.locked = None;
                self.changed();
            }
            Mark::Relocked => self.relocked(),
            Mark::Attached => {
                self.reconnected = false;
                self.view.attached = true;
                for (level, text) in self.found() {
                    self.say(run, level, text);
                }
                self.look_at_boot_keys(now);
                self.changed();
            }
            Mark::PowerChanging => self.power_in_order = true,
            Mark::ReadAnew => {
                self.read_back = None;
                run.procedure.steps.push_front(Step::ReadConfig(ReadBack::of(self.generation)));
            }
            Mark::ThenReset => {
                for step in self.reset_after_load().into_iter().rev() {
                    run.procedure.steps.push_front(step);
                }
            }
        }
    }

    /// The script was stopped: nothing is pending, and old errors are forgotten.
    fn idle(&mut self, timing: bool) {
        let power = StatusWord::POWERON.with(StatusWord::POWEROFF).with(StatusWord::POWERBAD);
        let fetching = StatusWord(self.facts.word.0 & StatusWord::FETCHING.0);
        let kept = StatusWord(self.facts.word.0 & power.0);
        let word = if fetching.0 == 0 { kept.with(StatusWord::IDLE) } else { kept.with(fetching) };
        self.facts.prepared = false;
        self.exposure = None;
        self.was_reset = true;
        if let (false, Some(before)) = (timing, &mut self.baseline) {
            before.given_up = true;
            return self.set_word(word.on(StatusWord::READING));
        }
        self.baseline = None;
        self.set_word(word);
    }

    fn released(&mut self) {
        let Some(held) = self.facts.held.take() else { return };
        self.facts.unfetched.retain(|id| *id != held.id);
        self.last_saved = Some(held.id.frame);
        self.view.locked = None;
        self.changed();
    }

    pub(super) fn check(&mut self, check: &Check) -> Result<(), Fault> {
        match check {
            Check::MemoryIs(acf) => self.memory_is(acf),
            Check::LineIs { line, text } => self.line_is(*line, text),
            Check::Locked(locked) => self.is_locked(locked),
        }
    }

    /// Has a poll what it waits for?
    pub(super) fn reached(&mut self, until: &Until, run: &mut Run, now: Now) -> Result<bool, Fault> {
        let status = self.facts.status.last.as_ref().map(|(s, _)| s.clone());
        let usable = status.filter(|_| !self.facts.status.invalid);
        match until {
            Until::Fresh => {
                let moved = self.facts.status.advanced.is_some_and(|t| t >= run.poll_began);
                Ok(moved && self.facts.status.fresh(now.mono).is_ok())
            }
            Until::PowerOff => Ok(usable.is_some_and(|s| s.power() == Power::Off)),
            Until::PowerOn => {
                let Some(status) = usable else { return Ok(false) };
                match self.power_reached(&status) {
                    Ok(()) => Ok(true),
                    Err(why) => {
                        run.not_yet = Some(why);
                        Ok(false)
                    }
                }
            }
            Until::NewFrame(before) => self.frame_reached(before, run, now),
        }
    }

    /// The reply is (part of) the answer to the order.
    pub(super) fn note_answer(&mut self, run: &mut Run, command: &Command, text: String, now: Now) {
        if let Command::ReadConfig { line } = command {
            self.line_read = Some((*line, text));
            return;
        }
        let status = || self.facts.status.last.as_ref().map(|(s, _)| Box::new((**s).clone()));
        let answer = match (&run.order, command) {
            (super::Order::System, Command::System) => {
                self.facts.system.as_ref().map(|s| Answer::System(Box::new((**s).clone())))
            }
            (super::Order::Status, Command::Status) if !self.facts.status.invalid => {
                status().map(Answer::Status)
            }
            (super::Order::Status, Command::Status) => {
                let text = "STATUS says VALID=0: nothing of it can be used".to_owned();
                let fault = Fault::Failed { controller: self.name().to_owned(), text };
                return self.fail(run, fault);
            }
            (super::Order::Frame, Command::Frame) => {
                self.view.frame.as_ref().map(|(f, _)| Answer::Frame(Box::new((**f).clone())))
            }
            (super::Order::Release, Command::ReleaseTiming) => Some(Answer::Started(now)),
            (super::Order::Fetch { .. }, Command::Fetch { .. }) => {
                Some(Answer::Fetched { bytes: self.fetch_bytes })
            }
            _ => None,
        };
        if answer.is_some() {
            run.answer = answer;
        }
    }
}
