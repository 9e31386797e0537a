//! What replies teach us, and what silence leaves unknown. One place for every command, whoever sent it.

use super::Controller;
use super::messages::{Alarm, Fault, Locked, Order, Report};
use super::procedure::ReadBack;
use super::run::Run;
use crate::archon::safety::{Applied, Held, Memory, understand};
use crate::archon::status_word::StatusWord;
use crate::config::acf::{Acf, Family, Line, family};
use crate::frames::geometry::FrameGeometry;
use crate::frames::jobs::FrameId;
use crate::proto::archon::{Buffer, Command, Frame, Power, Status, System, TICKS_PER_SECOND};
use crate::session::archon_link::LinkError;
use crate::units::{Mono, Now};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// After a reconnect the controller's clock may lag this far behind ours before we think it booted.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

impl Controller {
    /// A command is about to leave: from now on it may have been carried out.
    pub(super) fn leaving(&mut self, command: &Command, now: Now) {
        match as_meant(command) {
            Command::ClearConfig => {
                if let Some(acf) = self.facts.acf() {
                    self.before_upload = Some(acf.clone());
                }
                self.forget_memory(Memory::HalfWritten("an upload was not finished".into()));
            }
            Command::WriteConfig { .. } => self.generation += 1,
            Command::PollOff => self.facts.polling_off = true,
            Command::PowerOn => {
                self.power_attempted = true;
                self.power_by_us = Some(now.mono);
            }
            Command::PowerOff => self.power_by_us = Some(now.mono),
            Command::ApplyAll => {
                self.facts.applied = None;
                self.power_by_us = Some(now.mono);
            }
            Command::WarmBoot | Command::Reboot => self.rebooted("it was told to"),
            _ => {}
        }
    }

    /// A command succeeded. `Err`: its reply makes no sense, in words.
    pub(super) fn learned(&mut self, command: &Command, text: &str, now: Now) -> Result<(), String> {
        match as_meant(command) {
            Command::System => self.system_came(System::parse(text).map_err(|e| e.to_string())?),
            Command::Status => self.status_came(Status::parse(text).map_err(|e| e.to_string())?, now),
            Command::Frame => self.frame_came(Frame::parse(text).map_err(|e| e.to_string())?, now),
            Command::Timer => {
                let ticks =
                    text.trim().strip_prefix("TIMER=").and_then(|t| u64::from_str_radix(t.trim(), 16).ok());
                self.timer_came(ticks.ok_or_else(|| format!("TIMER: {text:?} is no number of ticks"))?, now);
            }
            Command::FetchLog => self.log_came(text),
            Command::PollOn => self.facts.polling_off = false,
            Command::Lock(buffer) => self.now_locked(buffer),
            Command::WriteConfig { line, text } => self.line_written(line, &text),
            Command::ApplyAll => self.all_applied(),
            Command::ApplyModule { slot } => {
                let module = format!("MOD{slot}/");
                self.now_applied(|key| key.starts_with(&module));
            }
            Command::ApplyCds => self.cds_applied(),
            Command::ApplySystem => self.now_applied(|key| !key.contains('/')),
            Command::LoadTiming | Command::LoadParams => self.parameters_loaded(),
            Command::LoadParam(name) => {
                self.running.remove(&name.to_ascii_uppercase());
            }
            Command::FastLoadParam { name, value } => {
                self.running.insert(name.to_ascii_uppercase(), i64::from(value));
            }
            _ => {}
        }
        Ok(())
    }

    /// A command has no reply: what it would have changed is unknown, unless the controller refused it.
    pub(super) fn not_answered(&mut self, command: &Command, error: &LinkError) {
        if matches!(
            error,
            LinkError::Refused { .. } | LinkError::Down { sent: false, .. } | LinkError::Full { .. }
        ) {
            return;
        }
        match as_meant(command) {
            Command::WriteConfig { .. } if self.facts.acf().is_some() => {
                self.forget_memory(Memory::Unknown);
            }
            Command::FastLoadParam { name, .. } | Command::LoadParam(name) => {
                self.running.remove(&name.to_ascii_uppercase());
            }
            Command::LoadTiming | Command::LoadParams | Command::ApplyAll => self.running.clear(),
            Command::ApplyCds => self.counts_in_force = None,
            _ => {}
        }
    }

    fn system_came(&mut self, system: System) {
        let id = system.get("BACKPLANE_ID").unwrap_or_default().to_owned();
        if !self.backplane.is_empty() && self.backplane != id {
            self.rebooted("another backplane answers");
        }
        self.backplane = id;
        self.facts.system = Some(Arc::new(system));
    }

    fn status_came(&mut self, status: Status, now: Now) {
        let before = self.facts.status.last.as_ref().and_then(|(s, _)| s.count());
        let count = status.count();
        if self.facts.status.invalid && !status.valid() {
            return;
        }
        if !self.facts.status.take(status, now.mono) {
            return;
        }
        if let (Some(before), Some(count)) = (before, count)
            && count < before
        {
            self.rebooted("COUNT of STATUS began anew");
        }
        self.power_told();
        self.look_at_alarms(now);
    }

    /// The power bits follow STATUS; between OFF and ON for the time an order of ours takes.
    fn power_told(&mut self) {
        let Some((status, _)) = self.facts.status.last.clone() else { return };
        let bit = match status.power() {
            Power::On if status.power_good() => StatusWord::POWERON,
            Power::Off if status.power_good() => StatusWord::POWEROFF,
            Power::Intermediate if status.power_good() && self.power_changing() => return,
            _ => StatusWord::POWERBAD,
        };
        if bit == StatusWord::POWEROFF {
            self.power_attempted = false;
        }
        let busy = StatusWord::ACTIVE.with(StatusWord::READOUT_PENDING);
        if status.power() == Power::NotConfigured
            && (self.facts.applied.is_some() || self.facts.prepared || self.facts.word.has(busy))
        {
            self.warm_booted();
        }
        self.set_word(self.facts.word.on(bit));
    }

    /// Nothing is applied any more, but clock and frame numbers went on: a warm boot. No script runs; frames in its
    /// memory are still there, and still nobody's but ours.
    fn warm_booted(&mut self) {
        let frames = (self.facts.unfetched.clone(), self.facts.held.clone(), self.view.locked.clone());
        let frame = self.view.frame.clone();
        let ticks = self.ticks;
        self.facts.unfetched.clear();
        self.facts.held = None;
        self.rebooted("POWER says that nothing is configured");
        (self.facts.unfetched, self.facts.held, self.view.locked) = frames;
        self.view.frame = frame;
        self.ticks = ticks;
    }

    fn frame_came(&mut self, frame: Frame, now: Now) {
        if let Some((ticks, at)) = self.ticks {
            let slack = CLOCK_SLACK + now.mono.since(at) / 100;
            let elapsed = now.mono.since(at).saturating_sub(slack).as_nanos() as u64
                / (1_000_000_000 / TICKS_PER_SECOND);
            let lags = self.reconnected && frame.timer < ticks.saturating_add(elapsed);
            if frame.timer < ticks || lags {
                self.rebooted("its clock began anew");
            }
        }
        let highest = |f: &Frame| f.buffers.iter().map(|b| b.frame).max().unwrap_or(0);
        if let Some((before, _)) = &self.view.frame
            && highest(&frame) < highest(before)
        {
            self.rebooted("its frame numbers began anew");
        }
        self.ticks = Some((frame.timer, now.mono));
        self.notice_readout(&frame);
        self.view.frame = Some((Arc::new(frame), now.mono));
        self.look_for_overwritten();
    }

    /// Lines arrive in a buffer, and no order of ours asked for them: a readout begun before us, or by another client.
    fn notice_readout(&mut self, frame: &Frame) {
        let idle = self.baseline.is_none() && !self.runs.iter().any(|r| r.lane == super::run::Lane::Timing);
        // What an order of ours has cut off stays half written: only what was seen since counts.
        let since = |at: Mono| self.timing_ended.is_none_or(|t| t < at);
        let Some((before, _)) = self.view.frame.clone().filter(|(_, at)| idle && since(*at)) else { return };
        let Some(writing) = frame.buffer(frame.write_buffer).filter(|b| !b.complete) else { return };
        let was = before.buffer(frame.write_buffer).filter(|b| !b.complete).map_or(0, |b| b.lines);
        if writing.lines > was {
            self.baseline = Some(super::readout::baseline(&before));
            self.set_word(self.facts.word.on(StatusWord::READING));
        }
    }

    /// A frame nobody saved may have been written over.
    fn look_for_overwritten(&mut self) {
        let Some((frame, _)) = self.view.frame.clone() else { return };
        let there = |id: &FrameId| frame.buffer(id.buffer).is_some_and(|b| b.frame == id.frame && b.complete);
        let (kept, lost) = std::mem::take(&mut self.facts.unfetched).into_iter().partition(there);
        self.facts.unfetched = kept;
        let lost: Vec<FrameId> = lost;
        for id in lost {
            let text = format!(
                "frame {} in buffer {} is gone: it was written over before it was saved",
                id.frame, id.buffer
            );
            self.report(Report::Log(text));
        }
    }

    /// FRAME is read again only when it is needed: the buffer locked is known without it.
    fn now_locked(&mut self, buffer: u8) {
        if let Some((frame, _)) = &mut self.view.frame {
            Arc::make_mut(frame).read_buffer = buffer;
        }
    }

    fn timer_came(&mut self, ticks: u64, now: Now) {
        self.ticks = Some((ticks, now.mono));
    }

    fn log_came(&mut self, text: &str) {
        let line = text.trim();
        self.log_drained = line.is_empty() || line == "(null)";
        if !self.log_drained {
            self.report(Report::Log(line.to_owned()));
        }
    }

    fn line_written(&mut self, line: u16, text: &str) {
        let Memory::Known(acf) = &self.facts.memory else { return };
        let mut acf = (**acf).clone();
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let Some(slot) = acf.lines.get_mut(usize::from(line)) else {
            self.forget_memory(Memory::Unknown);
            return;
        };
        *slot = Line { key: key.to_owned(), value: value.to_owned() };
        if let Some(lines) = &mut self.unverified {
            lines.insert(line);
        }
        if let Some(applied) = &mut self.facts.applied {
            applied.unapplied.insert(key.to_ascii_uppercase());
        }
        self.know_memory(Arc::new(acf));
    }

    /// Configuration memory was read; stale if something was written meanwhile.
    pub(super) fn memory_read(&mut self, read: ReadBack) {
        if read.generation != self.generation {
            self.read_back = None;
            return;
        }
        let mut acf = Arc::new(Acf::from_wire(read.finish()));
        // The controller does not keep what the file said about modules: the same lines are the same file.
        if let Some(known) = self.facts.acf().filter(|known| known.lines == acf.lines) {
            acf = known.clone();
        }
        self.read_back = Some(acf.clone());
        self.unverified = Some(BTreeSet::new());
        if !matches!(self.facts.memory, Memory::HalfWritten(_)) {
            self.know_memory(acf);
        }
    }

    /// This is in configuration memory.
    pub(super) fn know_memory(&mut self, acf: Arc<Acf>) {
        let known = self.facts.acf().is_some_and(|old| **old == *acf);
        self.facts.memory = Memory::Known(acf.clone());
        if known && self.view.config.is_some() {
            return;
        }
        self.parameters = acf.parameters();
        self.view.acf_hash = acf.hash();
        self.view.config = Some(acf);
        self.view.default_window = Some(crate::archon::window::Window::of_parameters(&self.parameters));
        self.changed();
    }

    /// What is in configuration memory is not known.
    pub(super) fn forget_memory(&mut self, memory: Memory) {
        self.generation += 1;
        self.facts.memory = memory;
        self.view.config = None;
        self.view.acf_hash = String::new();
        self.changed();
    }

    fn all_applied(&mut self) {
        let hash = self.view.acf_hash.clone();
        self.facts.applied = Some(Applied {
            hash,
            verified: self.unverified.as_ref().is_some_and(BTreeSet::is_empty),
            unapplied: Default::default(),
        });
        self.parameters_loaded();
        self.cds_applied();
    }

    fn now_applied(&mut self, these: impl Fn(&str) -> bool) {
        if let Some(applied) = &mut self.facts.applied {
            applied.unapplied.retain(|key| !these(key));
        }
    }

    fn cds_applied(&mut self) {
        self.now_applied(|key| family(key) == Family::Frame);
        self.counts_in_force = self.counts_in_memory();
    }

    /// LINECOUNT and PIXELCOUNT of configuration memory.
    pub(super) fn counts_in_memory(&self) -> Option<(i64, i64)> {
        let acf = self.facts.acf()?;
        let number = |key: &str| acf.get(key).and_then(|t| t.trim().parse().ok());
        Some((number("LINECOUNT")?, number("PIXELCOUNT")?))
    }

    fn parameters_loaded(&mut self) {
        self.running = self.parameters.iter().map(|p| (p.name.to_ascii_uppercase(), p.value)).collect();
        self.now_applied(|key| family(key) == Family::Timing);
    }

    /// It booted, or is another one: what we knew of its state no longer holds.
    pub(super) fn rebooted(&mut self, why: &str) {
        self.report(Report::Log(format!(
            "the controller was restarted ({why}); what we knew of it is forgotten"
        )));
        let gone = self.facts.custody();
        self.facts.applied = None;
        self.facts.prepared = false;
        self.facts.held = None;
        self.facts.unfetched.clear();
        self.facts.polling_off = false;
        self.facts.status.advanced = None;
        self.view.locked = None;
        self.running.clear();
        self.counts_in_force = None;
        self.ticks = None;
        self.exposure = None;
        self.baseline = None;
        self.view.frame = None;
        if !matches!(self.facts.memory, Memory::Unknown) {
            self.forget_memory(Memory::Unknown);
        }
        self.attach_wanted = true;
        let word = self.facts.word.off(StatusWord::ACTIVE).off(StatusWord::READOUT_PENDING);
        self.set_word(word);
        if let Some(gone) = gone {
            self.set_word(self.facts.word.on(StatusWord::ERROR));
            self.report(Report::Log(format!("{gone} was not saved before the controller restarted")));
        }
    }

    /// A hardware or protocol failure sets ERROR; a refusal or an abort does not.
    pub(super) fn went_wrong(&mut self, run: &Run, fault: &Fault) {
        let bad = matches!(fault, Fault::Failed { .. } | Fault::Timeout { .. });
        let ours = !matches!(
            run.order,
            Order::Talk(_) | Order::System | Order::Status | Order::Frame | Order::ReadConfig
        );
        let timing = matches!(run.lane, super::run::Lane::Timing | super::run::Lane::Fetch);
        if bad && ours && timing {
            if !self.facts.word.has(StatusWord::ERROR) {
                self.fetch_failed = run.lane == super::run::Lane::Fetch;
            }
            self.set_word(self.facts.word.on(StatusWord::ERROR));
        }
        if run.order == Order::Attach {
            // Orders that wait for the lock are refused now, not kept; the next attach takes it again.
            self.relock_pending = false;
        }
        self.leave_activity(run, fault);
    }

    pub(super) fn set_word(&mut self, word: StatusWord) {
        if self.facts.word != word {
            self.facts.word = word;
            self.changed();
        }
    }

    pub(super) fn changed(&mut self) {
        self.announce = true;
    }

    /// The id of a buffer's frame.
    pub(in crate::archon) fn frame_id(&self, buffer: &Buffer) -> FrameId {
        FrameId {
            controller: self.name().to_owned(),
            backplane: self.backplane.clone(),
            buffer: buffer.number,
            frame: buffer.frame,
            timestamp: buffer.timestamp,
        }
    }

    /// The shape of a buffer's frame, with the counts in force.
    pub(super) fn geometry(&self, buffer: &Buffer) -> FrameGeometry {
        let (lines, pixels) = self.counts_in_force.or_else(|| self.counts_in_memory()).unwrap_or((0, 0));
        let count = |n: i64| u32::try_from(n).unwrap_or(0);
        FrameGeometry {
            width: buffer.width,
            height: buffer.height,
            sample: buffer.sample,
            mode: buffer.mode,
            pixel_count: count(pixels),
            line_count: count(lines),
        }
    }

    /// This buffer is locked for us and holds this frame.
    pub(super) fn holds(&mut self, locked: Locked) {
        self.facts.held = Some(Held { id: locked.id.clone(), base: locked.base, blocks: locked.blocks });
        if !self.facts.unfetched.contains(&locked.id) {
            self.facts.unfetched.push(locked.id.clone());
        }
        self.view.locked = Some(locked);
        self.changed();
    }

    pub(super) fn raise(&mut self, alarm: Alarm) {
        let at = self.view.alarms.iter().position(|a| a.name == alarm.name && a.subject == alarm.subject);
        match (at, alarm.on) {
            (Some(at), true) => self.view.alarms[at] = alarm.clone(),
            (None, true) => self.view.alarms.push(alarm.clone()),
            (Some(at), false) => {
                self.view.alarms.remove(at);
            }
            (None, false) => return,
        }
        self.report(Report::Alarm(alarm));
    }

    /// A time of the controller, for calculations of intervals.
    pub(super) fn ticks_at(&self) -> Option<(u64, Mono)> {
        self.ticks
    }
}

fn as_meant(command: &Command) -> Command {
    match command {
        Command::Raw(text) => understand(text),
        typed => typed.clone(),
    }
}
