//! What is shown: the view for replies and headers, and everything in one object.

use super::{Controller, Locked, View};
use crate::archon::safety::Memory;
use crate::archon::status_word::StatusWord;
use crate::archon::window::{PARAMETERS, Window};
use crate::frames::geometry::FrameGeometry;
use crate::frames::jobs::FrameId;
use crate::proto::archon::{Buffer, Sample};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::sync::Arc;

/// Before anything was heard.
pub(super) fn nothing_known(word: StatusWord) -> View {
    View {
        attached: false,
        connected: false,
        why: "not connected yet".into(),
        word,
        system: None,
        status: None,
        frame: None,
        config: None,
        acf_path: String::new(),
        acf_hash: String::new(),
        window: None,
        default_window: None,
        alarms: Vec::new(),
        locked: None,
    }
}

impl Controller {
    /// The view follows what is known.
    pub(super) fn follow(&mut self) {
        self.view.word = self.facts.word;
        self.view.system = self.facts.system.clone();
        self.view.window = self.window_in_force();
        // This runs for every piece of a fetch, too: only a new STATUS is looked through.
        let told = self.facts.status.last.as_ref().map(|(status, _)| status);
        let shown = self.view.status.as_ref().map(|(status, _)| status);
        if let Some(status) = told.filter(|told| shown.is_none_or(|shown| !Arc::ptr_eq(told, shown))) {
            let with_temperature = (1..=16u8).filter(|slot| status.get(&format!("MOD{slot}/TEMP")).is_some());
            self.told_temperature.extend(with_temperature);
        }
        self.view.status = self.facts.status.last.clone();
    }

    /// The ACF's window with what was set since.
    fn window_in_force(&self) -> Option<Window> {
        let mut window = self.view.default_window?;
        for (key, name) in PARAMETERS {
            if let Some(value) = self.running.get(&name.to_ascii_uppercase()) {
                window.set(key, *value);
            }
        }
        Some(window)
    }

    /// Shape the next frame will have by configuration and window; `None` before it is known.
    pub fn expected_frame(&self) -> Option<FrameGeometry> {
        let acf = self.facts.acf()?;
        let (lines, pixels) = self.counts_in_force.or_else(|| self.counts_in_memory())?;
        let (line_count, pixel_count) = (u32::try_from(lines).ok()?, u32::try_from(pixels).ok()?);
        let shape = acf.frame_shape(pixel_count, line_count);
        let mode = acf.get("FRAMEMODE").and_then(|v| v.trim().parse().ok()).unwrap_or(0);
        let sample =
            if acf.get("SAMPLEMODE").is_some_and(|v| v.trim() == "1") { Sample::U32 } else { Sample::U16 };
        Some(FrameGeometry {
            width: shape.width,
            height: shape.height,
            sample,
            mode,
            pixel_count,
            line_count,
        })
    }

    /// BACKPLANE_ID.
    pub(in crate::archon) fn backplane(&self) -> &str {
        &self.backplane
    }

    /// The frame that comes next, as far as it is known before it exists: its number and shape; its time stamp is
    /// the newest of those that are there.
    pub(in crate::archon) fn next_frame(&self) -> Option<Locked> {
        let (frame, _) = self.view.frame.as_ref()?;
        let newest = |of: fn(&Buffer) -> u64| frame.buffers.iter().map(of).max().unwrap_or(0);
        let id = FrameId {
            controller: self.name().to_owned(),
            backplane: self.backplane.clone(),
            buffer: 0,
            frame: newest(|b| b.frame) + 1,
            timestamp: newest(|b| b.timestamp),
        };
        let geometry = self.expected_frame()?;
        Some(Locked { id, geometry, base: 0, blocks: 0, exposure_ticks: 0, missed: 0 })
    }

    /// Everything about it in one object, with ages in seconds.
    pub fn describe(&self, now: Now) -> Value {
        let text = |s: &str| Value::Str(s.to_owned());
        let names = self.facts.word.names().into_iter().map(text).collect();
        let status_age = age(self.view.status.as_ref().map(|(_, at)| *at), now);
        let frame_age = age(self.view.frame.as_ref().map(|(_, at)| *at), now);
        let alarms =
            self.view.alarms.iter().map(|a| text(&format!("{} {}: {}", a.name, a.subject, a.text))).collect();
        let memory = match &self.facts.memory {
            Memory::Unknown => "unknown".to_owned(),
            Memory::HalfWritten(why) => format!("NOT_CONFIGURED: half written ({why})"),
            Memory::Known(_) => "known".to_owned(),
        };
        let power = match (self.power_attempted, self.facts.status.power()) {
            (true, Some(crate::proto::archon::Power::On)) => "on, confirmed".to_owned(),
            (true, _) => "POWERON was sent, not confirmed: maybe on".to_owned(),
            (false, Some(p)) => format!("{p:?}"),
            (false, None) => "unknown".to_owned(),
        };
        let running = self.runs.iter().map(|r| text(super::names::order(&r.order))).collect();
        let pairs = [
            ("controller", text(self.name())),
            ("connected", Value::Bool(self.view.connected)),
            ("attached", Value::Bool(self.view.attached)),
            ("why", text(&self.view.why)),
            ("read_only", self.facts.read_only.as_deref().map_or(Value::Null, text)),
            ("status", Value::Int(i64::from(self.facts.word.0))),
            ("status_names", Value::List(names)),
            ("status_age_s", status_age),
            ("frame_age_s", frame_age),
            ("power", Value::Str(power)),
            ("configuration", Value::Str(memory)),
            ("acf", text(&self.view.acf_path)),
            ("acf_hash", text(&self.view.acf_hash)),
            ("applied", Value::Bool(self.facts.applied.is_some())),
            ("prepared", Value::Bool(self.facts.prepared)),
            ("exposure", self.exposure.map_or(Value::Null, |e| Value::Int(e.number as i64))),
            ("integration_left_s", self.integration_left(now)),
            ("unsaved", self.facts.custody().map_or(Value::Null, Value::Str)),
            ("running", Value::List(running)),
            ("queued", Value::Int((self.timing_queue.len() + self.fetch_queue.len()) as i64)),
            ("alarms", Value::List(alarms)),
        ];
        Value::Map(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    fn integration_left(&self, now: Now) -> Value {
        let ends = self.integration_wakes_at();
        ends.map_or(Value::Null, |t| Value::Float(t.since(now.mono).as_secs_f64()))
    }

    /// The end of a running integration.
    pub(super) fn integration_wakes_at(&self) -> Option<Mono> {
        let running = self.exposure.and_then(|e| e.running)?;
        running.waits().then_some(running.ends)
    }
}

fn age(at: Option<Mono>, now: Now) -> Value {
    at.map_or(Value::Null, |at| Value::Float(now.mono.since(at).as_secs_f64()))
}
