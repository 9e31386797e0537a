//! An exposure up to its readout: set up, released, its end noticed, aborted.

use super::messages::{Fault, Order, Report};
use super::procedure::{Mark, Procedure, Step};
use super::run::Run;
use super::{Controller, readout};
use crate::archon::safety::Purpose;
use crate::archon::status_word::StatusWord;
use crate::config::archon::IntParam;
use crate::proto::archon::{Command, Frame, PARAMETER_MAX, TICKS_PER_SECOND};
use crate::units::{Mono, Now};
use std::time::Duration;

/// Integrations at least this long are ended by the controller's clock, not by ours alone.
const LONG: Duration = Duration::from_secs(10);

/// One exposure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exposure {
    /// The role's number of it.
    pub number: u64,
    /// As ordered.
    pub integration: Duration,
    /// Since RELEASETIMING was answered.
    pub running: Option<Integration>,
}

/// An integration that is going on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integration {
    pub ends: Mono,
    /// The controller's clock when it began, or a little later.
    pub ticks: Option<u64>,
    /// The TIMER query that was sent at the end, and once only.
    pub asked: Asked,
}

/// TIMER at the end of an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Begin(u64),
    End(u64),
    Done,
}

impl Integration {
    /// Its end is ours to notice; otherwise TIMER was asked and says.
    pub fn waits(&self) -> bool {
        !matches!(self.asked, Asked::End(_))
    }
}

impl Controller {
    pub(super) fn prepare(&self, integration: Duration, exposure: u64) -> Result<Procedure, Fault> {
        if self.facts.acf().is_none() {
            return Err(self.refused("The controller ACF configuration is unknown."));
        }
        self.room_for_a_frame()?;
        let (name, unit) = match self.config.int_param {
            IntParam::IntCS => ("IntCS", Duration::from_millis(10)),
            IntParam::IntMS => ("IntMS", Duration::from_millis(1)),
        };
        let value = ticks_of(integration, unit).ok_or_else(|| {
            let longest = unit.as_secs_f64() * f64::from(PARAMETER_MAX);
            self.refused(format!(
                "{} s is longer than {name} can say ({longest:.2} s)",
                integration.as_secs_f64()
            ))
        })?;
        let mut steps = self.reset_steps(false, false);
        steps.push(Step::Send(Command::Status));
        steps.push(self.need_parameter("ReadOut", 0)?);
        steps.push(self.need_parameter(name, value)?);
        steps.push(self.need_parameter("Exposures", 1)?);
        steps.push(Step::Mark(Mark::Prepared { exposure, integration }));
        Ok(Procedure::new(Purpose::Expose, steps).cleanup(&self.stop_and_release()))
    }

    /// The buffer the controller will write next must not hold the only copy of a frame.
    ///
    /// What is locked is FRAME's word, whoever locked it; if our own lock is another one, it may take effect yet.
    pub(super) fn room_for_a_frame(&self) -> Result<(), Fault> {
        let told = self.view.frame.as_ref().map(|(f, _)| f.read_buffer).filter(|n| *n > 0);
        let ours = self.facts.held.as_ref().map(|h| h.id.buffer);
        self.room_with(told)?;
        if ours == told { Ok(()) } else { self.room_with(ours) }
    }

    /// The same if this buffer were locked: the writer goes around it.
    pub(super) fn room_with(&self, locked: Option<u8>) -> Result<(), Fault> {
        let Some((frame, _)) = &self.view.frame else { return Ok(()) };
        let Some(next) = self.next_buffer(frame, locked) else {
            return Err(self.refused("There is no free frame buffer: all are locked."));
        };
        match self.facts.unfetched.iter().find(|id| id.buffer == next) {
            None => Ok(()),
            Some(id) => Err(self.refused(format!(
                "The next exposure would overwrite frame {} in buffer {next}, which is not saved ({}). Fetch it or \
                 discard it.",
                id.frame,
                self.facts.custody().unwrap_or_default()
            ))),
        }
    }

    /// The next unlocked buffer after the one written last.
    fn next_buffer(&self, frame: &Frame, locked: Option<u8>) -> Option<u8> {
        let big = self.facts.acf().and_then(|acf| acf.get("BIGBUF")).is_some_and(|v| v.trim() == "1");
        let buffers: u8 = if big || frame.buffers.len() == 2 { 2 } else { 3 };
        (1..=buffers)
            .map(|step| (frame.write_buffer.min(buffers) + step - 1) % buffers + 1)
            .find(|n| Some(*n) != locked)
    }

    pub(super) fn release(&self) -> Procedure {
        // If nobody knows whether it began, it must not go on unseen.
        let mut stop: Vec<Command> = [("Exposures", 0), ("AbortExposure", 1)]
            .iter()
            .filter_map(|(name, value)| self.load_parameter(name, *value))
            .collect();
        stop.push(Command::ReleaseTiming);
        Procedure::new(Purpose::Expose, [Step::Send(Command::ReleaseTiming), Step::Mark(Mark::Integrating)])
            .cleanup(&stop)
    }

    pub(super) fn unprepare(&self) -> Procedure {
        let undo = [("Exposures", 0), ("AutoFlush", 1)];
        let mut steps: Vec<Step> =
            undo.iter().filter_map(|(n, v)| self.load_parameter(n, *v)).map(Step::Send).collect();
        steps.extend([Step::Send(Command::ReleaseTiming), Step::Mark(Mark::Unprepared)]);
        Procedure::new(Purpose::Expose, steps).cleanup(&[Command::ReleaseTiming])
    }

    pub(super) fn abort(&self, readout: bool) -> Result<Procedure, Fault> {
        if self.facts.prepared {
            return Ok(self.unprepare());
        }
        let flags =
            [self.need_parameter("ReadOut", u32::from(readout))?, self.need_parameter("AbortExposure", 1)?];
        let reading = self.facts.word.has(StatusWord::READING);
        let baseline = self.view.frame.as_ref().map(|(f, _)| readout::baseline(f)).unwrap_or_default();
        if !reading && !readout {
            let steps = flags.into_iter().chain([Step::Mark(Mark::Aborted)]);
            return Ok(Procedure::new(Purpose::Expose, steps));
        }
        if !reading {
            self.room_for_a_frame()?;
            let steps = flags.into_iter().chain([Step::Mark(Mark::Aborted)]);
            let steps = steps.chain(self.reading_steps(baseline, 0));
            return Ok(Procedure::new(Purpose::Expose, steps).within(self.readout_limit(0)));
        }
        // The controller reads to its end; nobody waits for it, and nobody wants the frame.
        let baseline = readout::Baseline { given_up: true, ..self.baseline.clone().unwrap_or(baseline) };
        let stop = self.need_parameter("ReadOut", 0)?;
        let steps = [stop, Step::Answer(super::Answer::Done)].into_iter();
        let steps = steps.chain(self.reading_steps(baseline, 0));
        Ok(Procedure::new(Purpose::Expose, steps).within(self.readout_limit(0)))
    }

    /// RELEASETIMING was answered.
    pub(super) fn integrating(&mut self, now: Now) {
        self.facts.prepared = false;
        self.set_word(self.facts.word.on(StatusWord::EXPOSING.with(StatusWord::READOUT_PENDING)));
        let Some(exposure) = &mut self.exposure else { return };
        let ends = now.mono + exposure.integration;
        let long = exposure.integration >= LONG;
        exposure.running = Some(Integration { ends, ticks: None, asked: Asked::No });
        if long {
            let id = self.watch(Command::Timer, now);
            if let Some(running) = self.exposure.as_mut().and_then(|e| e.running.as_mut()) {
                running.asked = Asked::Begin(id);
            }
        }
    }

    /// The time of a running integration has come, by our clock.
    pub(super) fn look_at_integration(&mut self, now: Now) {
        if !self.facts.word.has(StatusWord::EXPOSING) {
            return;
        }
        let Some(running) = self.exposure.and_then(|e| e.running) else { return };
        if now.mono < running.ends || matches!(running.asked, Asked::End(_)) {
            return;
        }
        let confirm = running.ticks.is_some() && running.asked != Asked::Done && self.facts.connected;
        if !confirm {
            return self.integration_over(now);
        }
        let id = self.watch(Command::Timer, now);
        if let Some(running) = self.exposure.as_mut().and_then(|e| e.running.as_mut()) {
            running.asked = Asked::End(id);
        }
    }

    /// A TIMER query of an integration is answered, or not.
    pub(super) fn timer_answered(&mut self, run: u64, came: bool, now: Now) {
        let ticks = self.ticks_at().map(|(t, _)| t).filter(|_| came);
        let Some(exposure) = &mut self.exposure else { return };
        let Some(running) = &mut exposure.running else { return };
        match running.asked {
            Asked::Begin(id) if id == run => {
                running.ticks = ticks;
                running.asked = Asked::No;
            }
            Asked::End(id) if id == run => {
                running.asked = Asked::Done;
                // Not later than a hundredth, whatever the controller's clock says.
                let limit = exposure.integration / 100 + Duration::from_millis(100);
                let left = running.ticks.zip(ticks).map(|(from, to)| {
                    let gone =
                        Duration::from_nanos(to.saturating_sub(from) * (1_000_000_000 / TICKS_PER_SECOND));
                    exposure.integration.saturating_sub(gone).min(limit)
                });
                running.ends = now.mono + left.unwrap_or_default();
                self.look_at_integration(now);
            }
            _ => {}
        }
    }

    fn integration_over(&mut self, now: Now) {
        self.exposure = None;
        self.set_word(self.facts.word.off(StatusWord::EXPOSING));
        self.report(Report::IntegrationOver { at: now });
    }

    /// A failed order leaves no activity behind in the word that nobody would end.
    pub(super) fn leave_activity(&mut self, run: &Run, fault: &Fault) {
        let word = self.facts.word;
        // Ended by another order, the controller still reads; that order says what becomes of it.
        let reads_on = matches!(fault, Fault::Aborted { .. }) && self.baseline.is_some();
        let word = match &run.order {
            Order::Readout { .. } | Order::Abort { .. } if !reads_on => word.off(StatusWord::READING),
            Order::Flush { .. } => word.off(StatusWord::FLUSHING),
            Order::Fetch { .. } => word.off(StatusWord::FETCHING),
            Order::Prepare { .. } | Order::Release => {
                self.facts.prepared = false;
                self.exposure = None;
                word
            }
            _ => word,
        };
        self.set_word(word);
    }
}

/// Whole units in a time, truncated, if the parameter can say it.
fn ticks_of(time: Duration, unit: Duration) -> Option<u32> {
    u32::try_from(time.as_nanos() / unit.as_nanos()).ok().filter(|n| *n <= PARAMETER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_times_are_truncated_exactly() {
        let cs = Duration::from_millis(10);
        assert_eq!(ticks_of(Duration::from_nanos(299_999_999), cs), Some(29));
        assert_eq!(ticks_of(Duration::from_secs_f64(0.29), cs), Some(29));
        assert_eq!(ticks_of(Duration::from_secs(10_485), cs), Some(1_048_500));
        assert_eq!(ticks_of(Duration::from_secs(10_486), cs), None);
        assert_eq!(ticks_of(Duration::from_secs(1049), Duration::from_millis(1)), None);
    }
}
