//! From the number to the release of timing: nothing has been exposed yet.

use super::{Expose, Phase};
use crate::api::CallError;
use crate::archon::controller::{Level, Order};
use crate::archon::exposure::promise::Kept;
use crate::archon::exposure::{Shot, promise};
use crate::archon::role::context::{Context, refused};
use crate::archon::role::group::Group;
use crate::archon::role::messages::Index;
use crate::archon::status_word::StatusWord;
use crate::archon::window::Window;
use crate::frames::jobs::{Job, Lost};
use crate::units::Now;
use crate::value::Value;

impl Expose {
    pub(super) fn next_shot(&mut self, cx: &mut Context, now: Now) {
        let Some((flavour, requested, number)) = self.to_do.pop_front() else { return };
        self.began = now;
        cx.exposing = Some(self.id);
        self.shot = Some(Shot {
            flavour,
            requested,
            header: self.ask.header.clone(),
            no_write: self.ask.no_write,
            ..Shot::unknown(0)
        });
        let images = self.controllers.iter().flat_map(|n| {
            let entry = &cx.config.controllers[n.0].entry;
            let written =
                |d: &&crate::config::archon::Detector| !cx.config.site.excluded_cameras.contains(&d.name);
            entry.detectors.iter().filter(written).map(|d| (entry.name.clone(), d.name.clone()))
        });
        let images: Vec<(String, String)> = images.collect();
        let bytes =
            self.controllers.iter().filter_map(|n| cx.controllers[n.0].expected_frame()).map(|f| f.bytes());
        let bytes = if self.ask.no_write { 0 } else { bytes.sum() };
        let naming = cx.config.naming.clone();
        let job = Job::Reserve { naming, seqno: number, images, bytes, at: now.utc };
        self.phase = Phase::Reserving(cx.file(self.id, 0, job));
    }

    pub(super) fn reserved(
        &mut self,
        reservation: crate::frames::jobs::Reservation,
        cx: &mut Context,
        now: Now,
    ) {
        let Some(shot) = &mut self.shot else { return };
        shot.number = reservation.number;
        shot.paths = reservation.paths;
        shot.id = format!("{}-{}-{:08}", cx.config.site.observatory, now.utc.mjd_day(), shot.number);
        cx.last_exposure = shot.number as i64;
        cx.live.extend(self.controllers.iter().map(|n| (shot.number, *n)));
        for warning in reservation.warnings {
            self.warn(warning, cx);
        }
        cx.say(self.ticket, Level::Debug, "next_exposure_no", reservation.number as i64);
        if let Err(why) = self.settle_promises(&reservation.unkept, cx) {
            return self.end(why, cx);
        }
        if cx.hooks.answers("pre_expose") {
            let names = self.controllers.iter().map(|n| Value::from(cx.name(*n))).collect();
            let body = Value::Map(vec![
                ("controllers".into(), Value::List(names)),
                ("exposure_no".into(), Value::Int(reservation.number as i64)),
            ]);
            self.phase = Phase::PreExpose(cx.hooks.ask(self.id, "pre_expose", body, now));
        } else {
            self.set_windows(cx, now);
        }
    }

    /// Exposures of an earlier run: one whose frame is not there must not wait for it any longer, or it would take
    /// ours.
    pub(super) fn settle_promises(&mut self, unkept: &[Lost], cx: &mut Context) -> Result<(), CallError> {
        let mut withdrawn = Vec::new();
        for lost in unkept {
            let of = self.controllers.iter().find(|n| cx.name(**n) == lost.id.controller).copied();
            let Some(n) = of.filter(|n| !cx.live.contains(&(lost.exposure, *n))) else { continue };
            match promise::kept(cx, n, lost) {
                Kept::No => withdrawn.push(lost),
                // The number is taken: it cannot be mistaken for the frame of this exposure.
                Kept::Yes(id) => self.warn(
                    format!(
                        "exposure {} of {} is in buffer {} (frame {}) and not saved yet: `recover` saves it",
                        lost.exposure, id.controller, id.buffer, id.frame
                    ),
                    cx,
                ),
                Kept::Odd(why) => self.warn(format!("exposure {}: {why}", lost.exposure), cx),
                Kept::Perhaps => {
                    return Err(refused(format!(
                        "{} still reads out exposure {}",
                        lost.id.controller, lost.exposure
                    )));
                }
                Kept::Unknown(why) => {
                    return Err(refused(format!("exposure {} is not settled: {why}", lost.exposure)));
                }
            }
        }
        for lost in &withdrawn {
            self.warn(promise::not_there(lost), cx);
        }
        if !withdrawn.is_empty() {
            let images = withdrawn.iter().map(|lost| lost.image.clone()).collect();
            cx.file(self.id, 0, Job::Withdraw(images));
        }
        Ok(())
    }

    pub(super) fn warn(&mut self, text: String, cx: &mut Context) {
        self.warnings.push(Value::Str(text.clone()));
        cx.text(self.ticket, Level::Warning, text);
    }

    pub(super) fn set_windows(&mut self, cx: &mut Context, now: Now) {
        cx.text(self.ticket, Level::Debug, "Setting exposure window.");
        let wanted: Vec<(Index, Window)> =
            self.controllers.iter().filter_map(|n| Some((*n, self.window(cx, *n)?))).collect();
        let who: Vec<Index> = wanted.iter().map(|(n, _)| *n).collect();
        let window = |n: Index| wanted.iter().find(|(m, _)| *m == n).map(|(_, w)| *w);
        let order = |n: Index| window(n).map_or(Order::Status, Order::SetWindow);
        self.phase = Phase::Windows(Group::order(cx, self.id, &who, order, now));
        self.go_on(cx, now);
    }

    /// The window of this exposure: of the mode, on top of the controller's own default.
    pub(super) fn window(&self, cx: &Context, n: Index) -> Option<Window> {
        let mode = self.ask.window_mode.as_deref()?;
        let mut window = cx.controllers[n.0].view().default_window?;
        let members = cx.config.site.window_modes.iter().find(|(name, _)| name == mode);
        for (key, value) in members.map_or(&[][..], |(_, m)| m) {
            window.set(*key, *value);
        }
        Some(window)
    }

    /// On disk before the first photon: whose the next frame of each controller is.
    pub(super) fn promise(&mut self, cx: &mut Context, now: Now) {
        let Some(shot) = &self.shot else { return };
        let plans = promise::plans(cx, &self.controllers, shot, now);
        if plans.is_empty() {
            return self.prepare(cx, now);
        }
        self.phase = Phase::Promising(cx.file(self.id, 0, Job::Promise(plans)));
    }

    pub(super) fn prepare(&mut self, cx: &mut Context, now: Now) {
        let Some(shot) = &self.shot else { return };
        let order = Order::Prepare { integration: shot.requested, exposure: shot.number };
        self.phase = Phase::Preparing(Group::order(cx, self.id, &self.controllers, |_| order.clone(), now));
        self.go_on(cx, now);
    }

    pub(super) fn release(&mut self, cx: &mut Context, now: Now) {
        let names: Vec<&str> = self.controllers.iter().map(|n| cx.name(*n)).collect();
        let text = format!("Starting exposure in controllers: {}.", names.join(", "));
        cx.text(self.ticket, Level::Info, text);
        let group = Group::order(cx, self.id, &self.controllers, |_| Order::Release, now);
        self.phase = Phase::Releasing { group, over: Vec::new() };
        self.go_on(cx, now);
    }
}

/// May this controller begin an exposure?
pub(super) fn check(cx: &Context, n: Index) -> Result<(), CallError> {
    let (view, name) = (cx.controllers[n.0].view(), cx.name(n));
    let word = view.word;
    if word.has(StatusWord::EXPOSING.with(StatusWord::READING)) {
        return Err(refused(format!("Controller {name} is exposing.")));
    }
    if word.has(StatusWord::READOUT_PENDING) {
        return Err(refused(format!("Controller {name} has a read out pending.")));
    }
    if word.has(StatusWord::ERRORED) {
        return Err(refused(format!("Controller {name} has status ERROR.")));
    }
    if let (Some(locked), None) = (&view.locked, cx.saving[n.0]) {
        return Err(refused(format!(
            "Frame {} in buffer {} of {name} is locked and not saved: `recover` saves it, `discard` gives it up.",
            locked.id.frame, locked.id.buffer
        )));
    }
    Ok(())
}
