//! Readout: from `ReadOut 1` to the new frame in a buffer.

use super::Controller;
use super::messages::{Answer, Fault, Level};
pub(super) use super::procedure::Baseline;
use super::procedure::{Mark, Procedure, Step, Until};
use super::run::Run;
use crate::archon::safety::Purpose;
use crate::archon::status_word::StatusWord;
use crate::proto::archon::{Buffer, Command, Frame, PARAMETER_MAX};
use crate::units::Now;
use std::time::Duration;

/// A readout nobody waits for that makes no progress for so long is over.
const STANDS_STILL: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_millis(80);

/// What is complete now.
pub(super) fn baseline(frame: &Frame) -> Baseline {
    Baseline {
        complete: frame.buffers.iter().filter(|b| b.complete).map(|b| (b.number, b.frame)).collect(),
        highest: frame.buffers.iter().filter(|b| b.complete).map(|b| b.frame).max().unwrap_or(0),
        given_up: false,
    }
}

/// The frame that was not complete before.
pub(super) fn new_frame<'a>(frame: &'a Frame, before: &Baseline) -> Option<&'a Buffer> {
    let known = |b: &Buffer| before.complete.contains(&(b.number, b.frame));
    frame.buffers.iter().filter(|b| b.complete && b.frame > 0 && !known(b)).max_by_key(|b| b.frame)
}

impl Controller {
    pub(super) fn readout(&self, delay: u32) -> Result<Procedure, Fault> {
        let Some((frame, _)) = &self.view.frame else { return Err(self.refused("FRAME was not read.")) };
        let before = baseline(frame);
        self.room_for_a_frame()?;
        let mut steps = self.reset_steps(false, false);
        if delay > 0 {
            if delay > PARAMETER_MAX {
                return Err(self.refused(format!("WaitCount = {delay} is outside 0..{PARAMETER_MAX}")));
            }
            // Before timing runs: afterwards the script may have passed the place that looks at it.
            steps.push(self.need_parameter("WaitCount", delay)?);
        }
        steps.push(self.need_parameter("ReadOut", 1)?);
        steps.push(Step::Send(Command::ReleaseTiming));
        steps.push(Step::Cleanup(vec![Command::ReleaseTiming, Command::PollOn]));
        steps.extend(self.reading_steps(before, delay));
        let cleanup: Vec<Command> =
            self.load_parameter("ReadOut", 0).into_iter().chain(self.stop_and_release()).collect();
        Ok(Procedure::new(Purpose::Expose, steps).cleanup(&cleanup).within(self.readout_limit(delay)))
    }

    pub(super) fn reading_steps(&self, before: Baseline, delay: u32) -> Vec<Step> {
        let limit = self.config.timeouts.readout_max + Duration::from_secs(u64::from(delay));
        let mut steps = vec![
            Step::Mark(Mark::Reading),
            Step::Poll {
                ask: Command::Frame,
                every: EVERY,
                limit,
                until: Until::NewFrame(before),
                what: "controller to finish reading.".into(),
            },
        ];
        steps.extend(self.load_parameter("AutoFlush", 1).map(Step::Send));
        steps.push(Step::Mark(Mark::ReadingOver));
        steps
    }

    pub(super) fn readout_limit(&self, delay: u32) -> Duration {
        self.config.timeouts.readout_max + Duration::from_secs(u64::from(delay) + 120)
    }

    /// Is the new frame there? Progress, if not.
    pub(super) fn frame_reached(
        &mut self,
        before: &Baseline,
        run: &mut Run,
        now: Now,
    ) -> Result<bool, Fault> {
        let Some((frame, _)) = self.view.frame.clone() else { return self.frame_lost() };
        self.baseline = Some(before.clone());
        let writing = frame.buffer(frame.write_buffer).filter(|b| !b.complete);
        if let Some(buffer) = writing {
            if self.told_buffer != Some((buffer.number, buffer.frame)) {
                self.told_buffer = Some((buffer.number, buffer.frame));
                self.say(run, Level::Debug, format!("Reading frame to buffer {}.", buffer.number));
            }
            let fraction = buffer.lines as f64 / f64::from(buffer.height.max(1));
            self.progress(run, "readout", fraction, Some(("lines", buffer.lines as f64)), now);
        }
        let Some(buffer) = new_frame(&frame, before).cloned() else { return Ok(false) };
        if self.told_buffer != Some((buffer.number, buffer.frame)) {
            self.say(run, Level::Debug, format!("Reading frame to buffer {}.", buffer.number));
        }
        self.frame_is_there(&buffer, before, run, now);
        Ok(true)
    }

    fn frame_lost(&self) -> Result<bool, Fault> {
        let text = "the controller was restarted while it read out; the frame is lost".to_owned();
        Err(Fault::Failed { controller: self.name().to_owned(), text })
    }

    fn frame_is_there(&mut self, buffer: &Buffer, before: &Baseline, run: &mut Run, now: Now) {
        self.baseline = None;
        self.told_buffer = None;
        let missed = buffer.frame.saturating_sub(before.highest).saturating_sub(1);
        if before.highest > 0 && missed > 0 {
            self.say(
                run,
                Level::Warning,
                format!("{missed} frames before frame {} were missed.", buffer.frame),
            );
        }
        if let Some(expected) = self.expected_frame()
            && (buffer.width, buffer.height, buffer.sample)
                != (expected.width, expected.height, expected.sample)
        {
            let text = format!(
                "frame {} is {} x {} {:?}, by configuration and window it should be {} x {} {:?}",
                buffer.frame,
                buffer.width,
                buffer.height,
                buffer.sample,
                expected.width,
                expected.height,
                expected.sample
            );
            self.say(run, Level::Warning, text);
        }
        if !before.given_up {
            let id = self.frame_id(buffer);
            self.facts.unfetched.push(id);
            run.answer = Some(Answer::ReadOut { buffer: buffer.number, frame: buffer.frame, at: now });
        }
    }

    /// A readout nobody waits for any more (link lost, found on attach): is it over?
    pub(super) fn look_for_late_frame(&mut self, now: Now) {
        let Some(before) = self.baseline.clone() else { return };
        let Some((frame, _)) = self.view.frame.clone() else { return };
        let waited = self.runs.iter().any(|r| r.waits_for_frame());
        let Some(buffer) = new_frame(&frame, &before).filter(|_| !waited) else {
            if !waited {
                self.look_whether_it_stands(&frame, now);
            }
            return;
        };
        self.baseline = None;
        if self.facts.word.has(StatusWord::READING) {
            self.set_word(self.facts.word.off(StatusWord::READING));
        }
        if !before.given_up {
            let id = self.frame_id(buffer);
            self.report(super::Report::Log(format!(
                "frame {} is complete in buffer {}; it is not saved",
                buffer.frame, buffer.number
            )));
            self.facts.unfetched.push(id);
            self.report(super::Report::LateFrame);
            self.changed();
        }
    }

    /// A readout that was cut off (RESETTIMING, a restart) leaves a buffer half written for ever.
    fn look_whether_it_stands(&mut self, frame: &Frame, now: Now) {
        let Some(buffer) = frame.buffer(frame.write_buffer).filter(|b| !b.complete) else { return };
        match self.standing {
            Some((number, lines, since)) if (number, lines) == (buffer.number, buffer.lines) => {
                if now.mono.since(since) < STANDS_STILL {
                    return;
                }
                self.standing = None;
                self.baseline = None;
                self.set_word(self.facts.word.off(StatusWord::READING));
                self.report(super::Report::Log(format!(
                    "buffer {} has stood at {} lines for {} s: its readout was cut off",
                    buffer.number,
                    buffer.lines,
                    STANDS_STILL.as_secs()
                )));
                self.changed();
            }
            _ => self.standing = Some((buffer.number, buffer.lines, now.mono)),
        }
    }
}
