//! The integration, the shutter, and the readout.

use super::{Expose, LATE, Phase, several};
use crate::archon::controller::{Answer, Fault, Level, Order, Which};
use crate::archon::exposure::saving::{Into_, Saving};
use crate::archon::exposure::{Pending, Shutter};
use crate::archon::hooks::HookKey;
use crate::archon::role::context::{Context, refused};
use crate::archon::role::group::Group;
use crate::archon::role::messages::Index;
use crate::units::{Mono, Now};
use crate::value::Value;

impl Expose {
    pub(super) fn integrate(&mut self, group: &Group, over: &[Index], cx: &mut Context, now: Now) {
        let started = group.results.iter().filter_map(|(n, r)| match r {
            Ok(Answer::Started(at)) => Some((*n, *at)),
            _ => None,
        });
        let Some(shot) = &mut self.shot else { return };
        shot.started = started.collect();
        // The last one: then all of them integrate.
        let all = shot.started.iter().map(|(_, at)| at.mono).max().unwrap_or(now.mono);
        let limit = all + shot.requested + LATE;
        if shot.flavour.opens_shutter() && !self.ask.no_shutter && cx.hooks.answers("shutter") {
            shot.shutter = Shutter::Unconfirmed;
            self.opened = false;
            self.opening = Some(self.move_shutter(true, cx, now));
        }
        let open = self.controllers.iter().filter(|n| !over.contains(n)).copied().collect();
        self.phase = Phase::Integrating { open, limit, told: all };
        self.go_on(cx, now);
    }

    pub(super) fn tell_integration(&self, cx: &mut Context, now: Now) {
        let Some(shot) = &self.shot else { return };
        let began = shot.started.iter().map(|(_, at)| at.mono).max().unwrap_or(now.mono);
        let (gone, all) = (now.mono.since(began).as_secs_f64(), shot.requested.as_secs_f64());
        let body = vec![
            ("exposure_no".into(), Value::Int(shot.number as i64)),
            ("phase".into(), "integration".into()),
            ("fraction".into(), Value::Float((gone / all.max(1e-9)).min(1.0))),
            ("remaining_s".into(), Value::Float((all - gone).max(0.0))),
        ];
        cx.say(self.ticket, Level::Debug, "progress", Value::Map(body));
    }

    pub(super) fn move_shutter(&mut self, open: bool, cx: &mut Context, now: Now) -> HookKey {
        self.shutter_open = open;
        let number = self.shot.as_ref().map_or(0, |s| s.number);
        let body = Value::Map(vec![
            ("open".into(), Value::Bool(open)),
            ("exposure_no".into(), Value::Int(number as i64)),
        ]);
        cx.hooks.ask(self.id, "shutter", body, now)
    }

    /// The integration is over everywhere.
    pub(super) fn integrated(&mut self, cx: &mut Context, now: Now) {
        if let Some(shot) = &mut self.shot {
            shot.over = Some(now);
        }
        if self.shutter_open {
            self.phase = Phase::Closing(self.move_shutter(false, cx, now));
            return;
        }
        self.after_integration(cx, now);
    }

    pub(super) fn after_integration(&mut self, cx: &mut Context, now: Now) {
        if self.ask.readout {
            return self.read_out(cx, now);
        }
        if let Some(shot) = self.shot.take() {
            let value = Value::Map(vec![
                ("exposure_no".into(), Value::Int(shot.number as i64)),
                ("verdict".into(), "pending".into()),
                ("warnings".into(), Value::List(self.warnings.clone())),
            ]);
            cx.pending = Some(Pending { shot, controllers: self.controllers.clone() });
            cx.reply(&mut self.ticket, Ok(value));
        }
        cx.exposing = None;
        self.phase = Phase::Over;
    }

    pub(super) fn read_out(&mut self, cx: &mut Context, now: Now) {
        cx.text(self.ticket, Level::Info, "Reading out CCDs.");
        let order = Order::Readout { delay: self.ask.delay };
        let group = Group::order(cx, self.id, &self.controllers, |_| order.clone(), now);
        cx.hooks.tell("readout", Value::Map(Vec::new()));
        self.phase = Phase::ReadingOut { group, begun: now.mono };
        if self.ask.async_readout && self.to_do.is_empty() {
            cx.text(self.ticket, Level::Info, "Returning while readout is ongoing.");
            let number = self.shot.as_ref().map_or(0, |s| s.number);
            let value = Value::Map(vec![
                ("exposure_no".into(), Value::Int(number as i64)),
                ("verdict".into(), "reading".into()),
                ("warnings".into(), Value::List(self.warnings.clone())),
            ]);
            cx.reply(&mut self.ticket, Ok(value));
        }
        self.go_on(cx, now);
    }

    /// A controller has its frame in a buffer: it is saved beside whatever the others do.
    pub(super) fn save(&mut self, n: Index, buffer: u8, frame: u64, cx: &mut Context, now: Now) {
        let Some(shot) = self.shot.clone() else { return };
        let name = cx.name(n).to_owned();
        let mine = shot.paths.iter().filter(|(controller, _, _)| *controller == name);
        let mut paths: Vec<_> = mine.map(|(_, ccd, path)| (ccd.clone(), path.clone())).collect();
        // Excluded cameras have no name of their own and are not written.
        for detector in &cx.config.controllers[n.0].entry.detectors {
            if !paths.iter().any(|(ccd, _)| *ccd == detector.name) {
                paths.push((detector.name.clone(), std::path::PathBuf::new()));
            }
        }
        let view = cx.controllers[n.0].view();
        let there = view.frame.as_ref().and_then(|(f, _)| f.buffer(buffer)).filter(|b| b.frame == frame);
        let which = there.map_or(Which::Buffer(buffer), |b| Which::Frame(cx.controllers[n.0].frame_id(b)));
        let mut saving = Saving::new(n, shot, self.id, which, Into_::Images(paths), now);
        saving.go_on(self.ticket, cx, now);
        // In the order of the configuration, whoever reads out first: so files are named in replies.
        let place = |s: &Saving| (s.shot.number, s.n);
        let at = self.savings.partition_point(|s| place(s) <= place(&saving));
        self.savings.insert(at, saving);
    }

    pub(super) fn read_over(&mut self, faults: Vec<(Index, Fault)>, begun: Mono, cx: &mut Context, now: Now) {
        cx.exposing = None;
        let seconds = now.mono.since(begun).as_secs_f64();
        cx.text(self.ticket, Level::Debug, format!("Readout completed in {seconds:.1} seconds."));
        if let Some(shot) = self.shot.take() {
            // Their promises stay: the frame may still come, and recovery will know it.
            for (n, _) in &faults {
                cx.live.remove(&(shot.number, *n));
            }
            self.shots.push(shot);
        }
        if !faults.is_empty() {
            self.to_do.clear();
            self.failure = Some(several(&faults, cx, self.ticket));
        }
        self.phase = Phase::Saving;
        self.go_on(cx, now);
    }

    pub(super) fn hook_answered(
        &mut self,
        key: HookKey,
        result: Result<Value, String>,
        cx: &mut Context,
        now: Now,
    ) {
        if matches!(&self.phase, Phase::PreExpose(k) if *k == key) {
            return match result {
                Ok(_) => self.set_windows(cx, now),
                Err(why) => self.end(refused(format!("pre_expose: {why}")), cx),
            };
        }
        // The shutter: its word goes into the header.
        let closes = matches!(&self.phase, Phase::Closing(k) if *k == key);
        match &result {
            Ok(_) if self.opening == Some(key) => self.opened = true,
            Ok(_) if closes && self.opened => {
                if let Some(shot) = &mut self.shot {
                    shot.shutter = Shutter::Confirmed;
                }
            }
            Ok(_) => {}
            Err(why) => {
                let what = if self.opening == Some(key) { "open" } else { "close" };
                self.warn(format!("Shutter failed to {what}: {why}"), cx);
            }
        }
        if closes {
            self.after_integration(cx, now);
        }
    }
}
