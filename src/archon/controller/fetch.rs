//! Lock, fetch, unlock: the only copy of a frame on its way to the disk.

use super::messages::{Answer, Fault, Level, Locked, Which};
use super::procedure::{Check, Mark, Procedure, Step};
use super::run::Run;
use super::{Controller, Report};
use crate::archon::safety::Purpose;
use crate::archon::status_word::StatusWord;
use crate::proto::archon::{BLOCK, Buffer, Command};
use crate::units::Now;
use std::time::Duration;

/// Fetches this much faster than the limit of the configuration are not remarked upon.
const PER_LIMIT: f64 = 100e6;

impl Controller {
    pub(super) fn lock(&self, which: &Which) -> Result<Procedure, Fault> {
        let (frame, _) = self.view.frame.as_ref().ok_or_else(|| self.refused("FRAME was not read."))?;
        let buffer = match which {
            Which::Newest => frame.newest().filter(|b| b.frame > 0),
            Which::Buffer(n) if !(1..=3).contains(n) => {
                return Err(self.refused(format!("Invalid frame buffer {n}.")));
            }
            Which::Buffer(n) => match frame.buffer(*n).filter(|b| b.complete) {
                None => return Err(self.refused(format!("Buffer frame {n} cannot be read."))),
                found => found,
            },
            Which::Frame(id) => {
                let found = frame.buffer(id.buffer).filter(|b| b.complete && self.frame_id(b) == *id);
                if found.is_none() {
                    return Err(self.refused(self.what_is_there_instead(id.frame, id.buffer)));
                }
                found
            }
        };
        let buffer = buffer.ok_or_else(|| self.refused("There are no buffers ready to be read."))?;
        let locked = self.locked_buffer(buffer)?;
        if let Some(held) = self.facts.held.as_ref().filter(|h| h.id != locked.id) {
            return Err(self.refused(format!(
                "Buffer {} is locked and its frame {} is not safe on disk: save it or discard it.",
                held.id.buffer, held.id.frame
            )));
        }
        let number = buffer.number;
        let pending = StatusWord::READOUT_PENDING.with(StatusWord::READING);
        if self.facts.prepared || self.facts.word.has(pending) {
            self.room_with(Some(number))?;
        }
        let steps = [
            Step::Say(Level::Debug, format!("Locking buffer {number}")),
            Step::Send(Command::Lock(number)),
            Step::Send(Command::Frame),
            Step::Check(Check::Locked(Box::new(locked.clone()))),
            Step::Answer(Answer::Locked(Box::new(locked))),
        ];
        // Only what is not ours is let go again; a frame that is held stays held.
        let cleanup = if self.facts.held.is_some() { Vec::new() } else { vec![Command::Lock(0)] };
        Ok(Procedure::new(Purpose::Fetch, steps).cleanup(&cleanup))
    }

    fn what_is_there_instead(&self, frame: u64, buffer: u8) -> String {
        let there = self.view.frame.as_ref().and_then(|(f, _)| f.buffer(buffer));
        match there {
            Some(b) if b.complete => {
                format!("Frame {frame} is gone: buffer {buffer} now holds frame {}.", b.frame)
            }
            Some(_) => format!("Frame {frame} is gone: buffer {buffer} is being written."),
            None => format!("Frame {frame} is gone: there is no buffer {buffer}."),
        }
    }

    fn locked_buffer(&self, buffer: &Buffer) -> Result<Locked, Fault> {
        let big = self.facts.acf().and_then(|acf| acf.get("BIGBUF")).is_some_and(|v| v.trim() == "1");
        let room: u64 = if big { 768 << 20 } else { 512 << 20 };
        let blocks = u32::try_from(buffer.blocks()).ok().filter(|_| (1..=room).contains(&buffer.bytes()));
        let Some(blocks) = blocks else {
            return Err(self.refused(format!(
                "Frame {} of {} x {} pixels has {} bytes; a buffer holds {room}.",
                buffer.frame,
                buffer.width,
                buffer.height,
                buffer.bytes()
            )));
        };
        if buffer.base + buffer.bytes() > 1 << 32 {
            return Err(self
                .refused(format!("Buffer {} begins at {:#x}: beyond memory.", buffer.number, buffer.base)));
        }
        let last = self.last_saved.filter(|last| *last < buffer.frame);
        Ok(Locked {
            id: self.frame_id(buffer),
            geometry: self.geometry(buffer),
            base: buffer.base,
            blocks,
            exposure_ticks: buffer.falling.saturating_sub(buffer.rising),
            missed: last.map_or(0, |last| buffer.frame - last - 1),
        })
    }

    /// LOCK and the FRAME after it: the buffer is locked and nothing was written over meanwhile.
    pub(super) fn is_locked(&mut self, locked: &Locked) -> Result<(), Fault> {
        let failed = |text: String| Fault::Failed { controller: locked.id.controller.clone(), text };
        let Some((frame, _)) = self.view.frame.clone() else {
            return Err(failed("FRAME was not read".into()));
        };
        if frame.read_buffer != locked.id.buffer {
            return Err(failed(format!(
                "LOCK{}: the controller says buffer {} is locked",
                locked.id.buffer, frame.read_buffer
            )));
        }
        let there = frame.buffer(locked.id.buffer).filter(|b| b.complete).map(|b| self.frame_id(b));
        if there.as_ref() != Some(&locked.id) {
            return Err(failed(self.what_is_there_instead(locked.id.frame, locked.id.buffer)));
        }
        self.holds(locked.clone());
        Ok(())
    }

    pub(super) fn fetch(&self, from_block: u32) -> Result<Procedure, Fault> {
        let held = self.facts.held.as_ref().ok_or_else(|| self.refused("No buffer is locked."))?;
        if from_block >= held.blocks {
            return Err(
                self.refused(format!("Block {from_block} is beyond the {} of the frame.", held.blocks))
            );
        }
        let address = held.base + u64::from(from_block) * BLOCK as u64;
        let address = u32::try_from(address).map_err(|_| self.refused("The frame is beyond memory."))?;
        let command = Command::Fetch { address, blocks: held.blocks - from_block };
        let steps = [Step::Mark(Mark::Fetching), Step::Send(command), Step::Mark(Mark::FetchingOver)];
        // Silence ends it; the whole may take as long as the disk does.
        Ok(Procedure::new(Purpose::Fetch, steps).within(Duration::from_secs(24 * 3600)))
    }

    /// Bytes of the running fetch: passed on without the padding of the last block.
    pub(super) fn fetched(&mut self, id: u64, mut bytes: Vec<u8>, now: Now) {
        let Some(mut run) = self.take_run(id) else { return };
        let total = self.view.locked.as_ref().map_or(0, |l| {
            u64::from(l.geometry.width) * u64::from(l.geometry.height) * l.geometry.sample.bytes() as u64
        });
        let first = self.fetch_from;
        let room = total.saturating_sub(first + self.fetch_bytes);
        bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        self.fetch_bytes += bytes.len() as u64;
        if let (Some(key), false) = (run.key, bytes.is_empty()) {
            self.report(Report::Data { key, bytes });
        }
        let seconds = now.mono.since(run.began).as_secs_f64().max(1e-6);
        let fraction = (first + self.fetch_bytes) as f64 / (total.max(1)) as f64;
        let rate = self.fetch_bytes as f64 / seconds / 1e6;
        self.progress(&mut run, "fetch", fraction, Some(("mb_per_s", rate)), now);
        self.runs.push(run);
    }

    /// A slow fetch is remarked upon; the link ends one that has stopped.
    pub(super) fn remark_on_speed(&mut self, run: &Run, now: Now) {
        let seconds = now.mono.since(run.began).as_secs_f64();
        let scale = (self.fetch_bytes as f64 / PER_LIMIT).max(1.0);
        let limit = self.config.timeouts.fetching_max.as_secs_f64() * scale;
        if seconds > limit {
            let text = format!("the fetch took {seconds:.1} s, fetching_max allows {limit:.1} s");
            self.say(run, Level::Warning, text);
        }
    }

    pub(super) fn unlock(&self) -> Procedure {
        let say = Step::Say(Level::Debug, "Frame buffer readout complete. Unlocking all buffers.".into());
        Procedure::new(Purpose::Release, [say, Step::Send(Command::Lock(0)), Step::Mark(Mark::Released)])
    }

    pub(super) fn discard(&self) -> Procedure {
        let mut steps = Vec::new();
        if let Some(frames) = self.facts.custody() {
            steps.push(Step::Say(Level::Warning, format!("Given up: {frames}.")));
        }
        steps.extend([Step::Send(Command::Lock(0)), Step::Mark(Mark::Discarded)]);
        Procedure::new(Purpose::Release, steps)
    }
}
