//! From the timing script to frame memory: a frame begins, its lines come in, it is complete.

use super::faults::Fault;
use super::script::{Charge, State};
use super::{Archon, FrameSpec, buffers};
use crate::proto::archon::TICKS_PER_SECOND;
use crate::units::Mono;
use std::time::Duration;

impl Archon {
    /// Ticks since boot.
    pub(super) fn ticks(&self, at: Mono) -> u64 {
        (at.since(self.health.booted).as_nanos() / (1_000_000_000 / u128::from(TICKS_PER_SECOND))) as u64
    }

    pub(super) fn begin_frame(&mut self, charge: Charge) {
        let mut spec = self.spec(charge);
        if spec.bytes() > self.buffers.size() {
            self.say(format!("frame of {} bytes is larger than a buffer: lost", spec.bytes()));
            return self.script.restart();
        }
        let number = self.buffers.begin_frame();
        spec.frame = self.buffers.last_frame;
        let slow = self.faults.find(|f| if let Fault::SlowReadout(d) = f { Some(*d) } else { None });
        let wait = Duration::from_secs(u64::from(self.parameters.get("WaitCount")));
        let reading = self.config.line_time * spec.lines + wait + slow.unwrap_or_default();
        let since = self.now + Duration::from_millis(u64::from(self.parameters.get("NoIntMS")));
        let short = self.faults.find(|f| if let Fault::ShortFrame(n) = f { Some(*n) } else { None });
        let told_width = short.map(|n| spec.width().saturating_sub(n));
        let (timestamp, rising, falling) =
            (self.ticks(self.now), self.ticks(charge.began), self.ticks(charge.ended));
        if let Some(buffer) = self.buffers.get_mut(number) {
            // Lines of an unfinished frame count as written: what they overwrote is gone.
            let before = buffer.spec.take();
            *buffer = buffers::Buffer {
                spec: Some(spec),
                before,
                complete: false,
                timestamp,
                rising,
                falling,
                lines: 0,
                told_width,
            };
        }
        self.script.state = State::Reading { since, until: since + reading, buffer: number };
    }

    /// The frame that would begin now; its number is not known yet.
    fn spec(&self, charge: Charge) -> FrameSpec {
        let geometry = self.geometry;
        let binning = self.parameters.get("HorizontalBinning").max(1);
        FrameSpec {
            seed: self.config.seed,
            frame: 0,
            taps: geometry.taps,
            pixels: geometry.pixels,
            lines: geometry.lines,
            mode: geometry.mode,
            sample: geometry.sample,
            overscan: self.parameters.get("OverscanPixels") / binning,
            integration_ms: charge.ended.since(charge.began).as_millis() as u64,
            shifted: charge.shifted,
            counter: self.config.counter,
        }
    }

    pub(super) fn complete(&mut self, number: u8) {
        if let Some(buffer) = self.buffers.get_mut(number) {
            buffer.complete = true;
            buffer.before = None;
            buffer.lines = buffer.spec.as_ref().map_or(0, |s| s.lines);
        }
    }

    /// Lines read so far; a fault that waits for the middle of a readout strikes here.
    pub(super) fn progress(&mut self) {
        let State::Reading { since, until, buffer } = self.script.state else { return };
        let now = self.script.now(self.now);
        let whole = until.since(since).as_secs_f64();
        let part = if whole > 0.0 { now.since(since).as_secs_f64() / whole } else { 1.0 };
        if let Some(b) = self.buffers.get_mut(buffer) {
            let lines = b.spec.as_ref().map_or(0, |s| s.lines);
            b.lines = (f64::from(lines) * part.min(1.0)) as u32;
        }
        if part < 0.5 {
            return;
        }
        if self.faults.once(|f| matches!(f, Fault::RebootInReadout).then_some(())).is_some() {
            self.reboot(false);
        } else if self.faults.once(|f| matches!(f, Fault::WarmBootInReadout).then_some(())).is_some() {
            self.reboot(true);
        } else if self.faults.once(|f| matches!(f, Fault::StuckReadout).then_some(())).is_some() {
            self.script.restart();
        }
    }
}
