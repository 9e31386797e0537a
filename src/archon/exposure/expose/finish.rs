//! How it ends: everything saved, failed, or aborted.

use super::{Expose, Phase};
use crate::api::CallError;
use crate::archon::controller::{Level, Order};
use crate::archon::exposure::saving::Saving;
use crate::archon::exposure::{promise, results};
use crate::archon::role::context::{Context, refused};
use crate::archon::role::group::Group;
use crate::archon::role::messages::Index;
use crate::archon::status_word::StatusWord;
use crate::units::Now;
use crate::value::Value;

impl Expose {
    pub(super) fn saving_goes_on(&mut self, cx: &mut Context, now: Now) {
        for saving in &mut self.savings {
            saving.go_on(self.ticket, cx, now);
        }
        if self.savings.iter().any(|s| s.outcome.is_none()) {
            return;
        }
        self.tell_files(cx);
        let failed = self.savings.iter().find_map(|s| match &s.outcome {
            Some(Err(why)) => Some(format!("{}: {why}", cx.name(s.n))),
            _ => None,
        });
        if let (Some(why), None) = (failed, &self.failure) {
            self.to_do.clear();
            cx.text(self.ticket, Level::Error, why.clone());
            self.failure = Some(refused(format!("Failed reading out: {why}")));
        }
        if self.failure.is_none() && !self.to_do.is_empty() {
            return self.next_shot(cx, now);
        }
        self.finish(cx);
    }

    /// `filenames` of the shots that were not told yet.
    pub(super) fn tell_files(&mut self, cx: &mut Context) {
        let Some(shot) = self.shots.last() else { return };
        let told = self.savings.iter().filter(|s| s.shot.number == shot.number);
        let saved: Vec<_> = told.filter_map(|s| s.outcome.as_ref().and_then(|o| o.as_ref().ok())).collect();
        let names: Vec<Value> =
            saved.iter().flat_map(|s| &s.published).map(|p| results::path(&p.path)).collect();
        let looks: Vec<Value> = saved.iter().flat_map(|s| &s.statistics).map(results::statistics).collect();
        if !names.is_empty() {
            let body = Value::Map(vec![
                ("exposure_no".into(), Value::Int(shot.number as i64)),
                ("filenames".into(), Value::List(names.clone())),
            ]);
            cx.hooks.tell("post_process", body);
            cx.say(self.ticket, Level::Info, "filenames", names);
        }
        if !looks.is_empty() {
            cx.say(self.ticket, Level::Info, "quicklook", looks);
        }
    }

    pub(super) fn finish(&mut self, cx: &mut Context) {
        let name = |s: &Saving| cx.config.controllers[s.n.0].entry.name.clone();
        let shots: Vec<Value> = self.shots.iter().map(|s| results::of_shot(s, &self.savings, name)).collect();
        let all: Vec<&Saving> = self.savings.iter().collect();
        let verdict = if self.failure.is_some() { "failed" } else { results::verdict(&all) };
        let published = self.savings.iter().filter_map(|s| s.outcome.as_ref().and_then(|o| o.as_ref().ok()));
        let names = published.flat_map(|s| &s.published).map(|p| results::path(&p.path)).collect();
        for shot in &shots {
            cx.verdict(shot.clone());
        }
        let value = Value::Map(vec![
            ("exposure_no".into(), self.shots.last().map_or(Value::Null, |s| Value::Int(s.number as i64))),
            ("verdict".into(), verdict.into()),
            ("filenames".into(), Value::List(names)),
            ("exposures".into(), Value::List(shots)),
            ("warnings".into(), Value::List(std::mem::take(&mut self.warnings))),
        ]);
        let outcome = match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(value),
        };
        if let (Err(error), None) = (&outcome, self.ticket) {
            // The call was answered when the readout began: somebody must hear of this.
            cx.text(None, Level::Error, error.message.clone());
        }
        cx.reply(&mut self.ticket, outcome);
        let numbers: Vec<u64> = self.savings.iter().map(|s| s.shot.number).collect();
        cx.live.retain(|(number, _)| !numbers.contains(number));
        self.phase = Phase::Over;
    }

    /// The detectors are free again, the call has failed; frames that are on their way are saved all the same.
    pub(super) fn end(&mut self, why: CallError, cx: &mut Context) {
        cx.exposing = None;
        self.to_do.clear();
        let number = self.shot.as_ref().map(|s| s.number);
        let saved = |n: &Index| self.savings.iter().any(|s| s.n == *n && Some(s.shot.number) == number);
        let without: Vec<Index> = self.controllers.iter().copied().filter(|n| !saved(n)).collect();
        if let Some(shot) = self.shot.take() {
            promise::withdraw(cx, self.id, &shot, &without);
        }
        if self.savings.iter().all(|s| s.outcome.is_some()) {
            self.failure = Some(why);
            return self.finish(cx);
        }
        cx.reply(&mut self.ticket, Err(why));
        self.phase = Phase::Saving;
    }

    pub(super) fn give_up_prepared(&mut self, who: &[Index], why: CallError, cx: &mut Context, now: Now) {
        let group = Group::order(cx, self.id, who, |_| Order::Unprepare, now);
        self.phase = Phase::Unpreparing { group, why };
        self.go_on(cx, now);
    }

    /// Ends what integrates or reads.
    pub(super) fn stop(&mut self, who: &[Index], why: CallError, cx: &mut Context, now: Now) {
        if self.shutter_open {
            self.move_shutter(false, cx, now);
        }
        let busy = StatusWord::EXPOSING.with(StatusWord::READING);
        let who: Vec<Index> =
            who.iter().copied().filter(|n| cx.controllers[n.0].view().word.has(busy)).collect();
        let group = Group::order(cx, self.id, &who, |_| Order::Abort { readout: false }, now);
        self.phase = Phase::Aborting { group, why };
        self.go_on(cx, now);
    }

    pub(super) fn abort(&mut self, cx: &mut Context, now: Now) {
        let why = refused("Exposure was aborted");
        let all = self.controllers.clone();
        match &self.phase {
            Phase::Reserving(_) | Phase::PreExpose(_) | Phase::Windows(_) | Phase::Promising(_) => {
                self.end(why, cx)
            }
            Phase::Preparing(_) => self.give_up_prepared(&all, why, cx, now),
            Phase::Releasing { .. }
            | Phase::Closing(_)
            | Phase::Integrating { .. }
            | Phase::ReadingOut { .. } => {
                self.stop(&all, why, cx, now);
            }
            Phase::Saving => {
                // What is in a buffer is saved; there will be no further exposure.
                self.to_do.clear();
                cx.text(
                    self.ticket,
                    Level::Warning,
                    "Exposure was aborted; frames that were read are still saved.",
                );
                cx.reply(&mut self.ticket, Err(why));
                self.go_on(cx, now);
            }
            Phase::Unpreparing { .. } | Phase::Aborting { .. } | Phase::Over => {}
        }
    }
}
