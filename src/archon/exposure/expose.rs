//! The calls `expose` and `read` as one task.

use super::promise::{self, Kept};
use super::saving::{Into_, Saving};
use super::{Pending, Shot, Shutter, ask_of_read, results};
use crate::api::{CallError, Ticket};
use crate::archon::controller::{Answer, Fault, Level, Order, Which};
use crate::archon::hooks::HookKey;
use crate::archon::methods::{ExposeAsk, Flavour};
use crate::archon::role::FileKey;
use crate::archon::role::context::{Context, error_of, refused};
use crate::archon::role::group::Group;
use crate::archon::role::messages::Index;
use crate::archon::role::task::{Event, Task, TaskId};
use crate::archon::status_word::StatusWord;
use crate::archon::window::Window;
use crate::frames::jobs::{Done, Job, Lost};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// Beyond its own time an integration's end may be this late before we say so.
const LATE: Duration = Duration::from_secs(20);

#[derive(Debug)]
enum Phase {
    Reserving(FileKey),
    PreExpose(HookKey),
    Windows(Group),
    Promising(FileKey),
    Preparing(Group),
    /// `over`: integrations that have ended already (a bias on one controller, while another has not answered).
    Releasing {
        group: Group,
        over: Vec<Index>,
    },
    Integrating {
        open: Vec<Index>,
        limit: Mono,
    },
    /// The integration is over: nothing is read out before the shutter has answered, or its time is up.
    Closing(HookKey),
    ReadingOut {
        group: Group,
        begun: Mono,
    },
    /// Prepared exposures are given up.
    Unpreparing {
        group: Group,
        why: CallError,
    },
    /// Integrations are ended.
    Aborting {
        group: Group,
        why: CallError,
    },
    /// Nothing uses the detectors any more; frames may be on their way.
    Saving,
    Over,
}

/// `expose` or `read`.
#[derive(Debug)]
pub(in crate::archon) struct Expose {
    id: TaskId,
    ticket: Option<Ticket>,
    ask: ExposeAsk,
    controllers: Vec<Index>,
    /// (flavour, time, number)
    to_do: VecDeque<(Flavour, Duration, Option<u64>)>,
    shot: Option<Shot>,
    shots: Vec<Shot>,
    savings: Vec<Saving>,
    phase: Phase,
    began: Now,
    shutter_open: bool,
    /// The question to open it, and whether the answer was yes.
    opening: Option<HookKey>,
    opened: bool,
    warnings: Vec<Value>,
    /// What went wrong on the way; the reply when everything that can be saved is.
    failure: Option<CallError>,
}

impl Expose {
    /// Checks what can be checked at once.
    pub fn new(
        id: TaskId,
        ticket: Ticket,
        controllers: Vec<Index>,
        ask: ExposeAsk,
        cx: &Context,
        now: Now,
    ) -> Result<Expose, CallError> {
        let time = match (ask.flavour, ask.time) {
            (Flavour::Bias, _) => Duration::ZERO,
            (_, Some(time)) => time,
            (flavour, None) => {
                return Err(refused(format!("Exposure time required for flavour '{}'.", flavour.name())));
            }
        };
        if !ask.readout && ask.count > 1 {
            return Err(refused("--count > 1 requires readout."));
        }
        if !ask.readout && ask.with_dark {
            return Err(refused("--with-dark cannot be used with --no-readout."));
        }
        if let Some(mode) = ask.window_mode.as_deref()
            && mode != "default"
            && !cx.config.site.window_modes.iter().any(|(name, _)| name == mode)
        {
            return Err(refused(format!("Invalid window mode '{mode}'.")));
        }
        for n in &controllers {
            check(cx, *n)?;
        }
        let mut to_do = VecDeque::new();
        for _ in 0..ask.count.max(1) {
            to_do.push_back((ask.flavour, time, None));
            if ask.with_dark {
                to_do.push_back((Flavour::Dark, time, None));
            }
        }
        for (item, i) in to_do.iter_mut().zip(0..) {
            item.2 = ask.seqno.map(|first| first + i);
        }
        Ok(Expose::of(id, ticket, ask, controllers, to_do, now))
    }

    /// The readout of an exposure that waits for it.
    pub fn read(id: TaskId, ticket: Ticket, pending: Pending, header: Value, delay: u32, now: Now) -> Expose {
        let mut shot = pending.shot;
        if let (Value::Map(more), Value::Map(there)) = (&header, &mut shot.header) {
            there.extend(more.clone());
        } else if matches!(header, Value::Map(_)) {
            shot.header = header;
        }
        let mut task = Expose::of(id, ticket, ask_of_read(delay), pending.controllers, VecDeque::new(), now);
        task.shot = Some(shot);
        task
    }

    fn of(
        id: TaskId,
        ticket: Ticket,
        ask: ExposeAsk,
        controllers: Vec<Index>,
        to_do: VecDeque<(Flavour, Duration, Option<u64>)>,
        now: Now,
    ) -> Expose {
        Expose {
            id,
            ticket: Some(ticket),
            ask,
            controllers,
            to_do,
            shot: None,
            shots: Vec::new(),
            savings: Vec::new(),
            phase: Phase::Saving,
            began: now,
            shutter_open: false,
            opening: None,
            opened: false,
            warnings: Vec::new(),
            failure: None,
        }
    }

    // ------------------------------------------------------------------ from shot to shot

    fn next_shot(&mut self, cx: &mut Context, now: Now) {
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

    fn reserved(&mut self, reservation: crate::frames::jobs::Reservation, cx: &mut Context, now: Now) {
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
    fn settle_promises(&mut self, unkept: &[Lost], cx: &mut Context) -> Result<(), CallError> {
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

    fn warn(&mut self, text: String, cx: &mut Context) {
        self.warnings.push(Value::Str(text.clone()));
        cx.text(self.ticket, Level::Warning, text);
    }

    fn set_windows(&mut self, cx: &mut Context, now: Now) {
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
    fn window(&self, cx: &Context, n: Index) -> Option<Window> {
        let mode = self.ask.window_mode.as_deref()?;
        let mut window = cx.controllers[n.0].view().default_window?;
        let members = cx.config.site.window_modes.iter().find(|(name, _)| name == mode);
        for (key, value) in members.map_or(&[][..], |(_, m)| m) {
            window.set(*key, *value);
        }
        Some(window)
    }

    /// On disk before the first photon: whose the next frame of each controller is.
    fn promise(&mut self, cx: &mut Context, now: Now) {
        let Some(shot) = &self.shot else { return };
        let plans = promise::plans(cx, &self.controllers, shot, now);
        if plans.is_empty() {
            return self.prepare(cx, now);
        }
        self.phase = Phase::Promising(cx.file(self.id, 0, Job::Promise(plans)));
    }

    fn prepare(&mut self, cx: &mut Context, now: Now) {
        let Some(shot) = &self.shot else { return };
        let order = Order::Prepare { integration: shot.requested, exposure: shot.number };
        self.phase = Phase::Preparing(Group::order(cx, self.id, &self.controllers, |_| order.clone(), now));
        self.go_on(cx, now);
    }

    fn release(&mut self, cx: &mut Context, now: Now) {
        let names: Vec<&str> = self.controllers.iter().map(|n| cx.name(*n)).collect();
        let text = format!("Starting exposure in controllers: {}.", names.join(", "));
        cx.text(self.ticket, Level::Info, text);
        let group = Group::order(cx, self.id, &self.controllers, |_| Order::Release, now);
        self.phase = Phase::Releasing { group, over: Vec::new() };
        self.go_on(cx, now);
    }

    fn integrate(&mut self, group: &Group, over: &[Index], cx: &mut Context, now: Now) {
        let started = group.results.iter().filter_map(|(_, r)| match r {
            Ok(Answer::Started(at)) => Some(*at),
            _ => None,
        });
        // The last one: then all of them integrate.
        let started = started.max_by_key(|t| t.mono).unwrap_or(now);
        let Some(shot) = &mut self.shot else { return };
        shot.started = Some(started);
        let limit = started.mono + shot.requested + LATE;
        if shot.flavour.opens_shutter() && !self.ask.no_shutter && cx.hooks.answers("shutter") {
            shot.shutter = Shutter::Unconfirmed;
            self.opened = false;
            self.opening = Some(self.move_shutter(true, cx, now));
        }
        let open = self.controllers.iter().filter(|n| !over.contains(n)).copied().collect();
        self.phase = Phase::Integrating { open, limit };
        self.go_on(cx, now);
    }

    fn move_shutter(&mut self, open: bool, cx: &mut Context, now: Now) -> HookKey {
        self.shutter_open = open;
        let number = self.shot.as_ref().map_or(0, |s| s.number);
        let body = Value::Map(vec![
            ("open".into(), Value::Bool(open)),
            ("exposure_no".into(), Value::Int(number as i64)),
        ]);
        cx.hooks.ask(self.id, "shutter", body, now)
    }

    /// The integration is over everywhere.
    fn integrated(&mut self, cx: &mut Context, now: Now) {
        if let Some(shot) = &mut self.shot {
            shot.over = Some(now);
        }
        if self.shutter_open {
            self.phase = Phase::Closing(self.move_shutter(false, cx, now));
            return;
        }
        self.after_integration(cx, now);
    }

    fn after_integration(&mut self, cx: &mut Context, now: Now) {
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

    fn read_out(&mut self, cx: &mut Context, now: Now) {
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
    fn save(&mut self, n: Index, buffer: u8, frame: u64, cx: &mut Context, now: Now) {
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

    fn read_over(&mut self, faults: Vec<(Index, Fault)>, begun: Mono, cx: &mut Context, now: Now) {
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

    // ------------------------------------------------------------------ what happens

    /// Goes on to the next phase when this one is done.
    fn go_on(&mut self, cx: &mut Context, now: Now) {
        match std::mem::replace(&mut self.phase, Phase::Saving) {
            Phase::Windows(group) if group.is_done() => match group.faults() {
                f if f.is_empty() => self.promise(cx, now),
                faults => self.end(several(&faults, cx, self.ticket), cx),
            },
            Phase::Preparing(group) if group.is_done() => match group.faults() {
                f if f.is_empty() => self.release(cx, now),
                faults => {
                    let why = several(&faults, cx, self.ticket);
                    self.give_up_prepared(&group.well(), why, cx, now);
                }
            },
            Phase::Releasing { group, over } if group.is_done() => match group.faults() {
                f if f.is_empty() => self.integrate(&group, &over, cx, now),
                faults => {
                    let why = several(&faults, cx, self.ticket);
                    self.stop(&group.well(), why, cx, now);
                }
            },
            Phase::Integrating { open, .. } if open.is_empty() => self.integrated(cx, now),
            Phase::Integrating { open, limit } if limit <= now.mono => {
                let names: Vec<&str> = open.iter().map(|n| cx.name(*n)).collect();
                let why = format!("the integration did not end in time on {}", names.join(", "));
                let all = self.controllers.clone();
                self.stop(&all, refused(why), cx, now);
            }
            Phase::ReadingOut { group, begun } if group.is_done() => {
                self.read_over(group.faults(), begun, cx, now);
            }
            Phase::Unpreparing { group, why } if group.is_done() => self.end(why, cx),
            Phase::Aborting { group, why } if group.is_done() => self.end(why, cx),
            Phase::Saving => {
                self.phase = Phase::Saving;
                self.saving_goes_on(cx, now);
            }
            same => self.phase = same,
        }
    }

    fn saving_goes_on(&mut self, cx: &mut Context, now: Now) {
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
    fn tell_files(&mut self, cx: &mut Context) {
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

    fn finish(&mut self, cx: &mut Context) {
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
    fn end(&mut self, why: CallError, cx: &mut Context) {
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

    fn give_up_prepared(&mut self, who: &[Index], why: CallError, cx: &mut Context, now: Now) {
        let group = Group::order(cx, self.id, who, |_| Order::Unprepare, now);
        self.phase = Phase::Unpreparing { group, why };
        self.go_on(cx, now);
    }

    /// Ends what integrates or reads.
    fn stop(&mut self, who: &[Index], why: CallError, cx: &mut Context, now: Now) {
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

    fn abort(&mut self, cx: &mut Context, now: Now) {
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

    fn order_done(
        &mut self,
        n: Index,
        key: crate::archon::controller::OrderKey,
        result: &Result<Answer, Fault>,
        cx: &mut Context,
        now: Now,
    ) {
        let group = match &mut self.phase {
            Phase::Windows(g) | Phase::Preparing(g) | Phase::Releasing { group: g, .. } => g,
            Phase::ReadingOut { group, .. }
            | Phase::Unpreparing { group, .. }
            | Phase::Aborting { group, .. } => group,
            _ => return,
        };
        let mine = group.take(n, key, result);
        // A frame counts also when the exposure was aborted meanwhile: it is the only copy.
        if let Ok(Answer::ReadOut { buffer, frame, .. }) = result
            && mine
        {
            self.save(n, *buffer, *frame, cx, now);
        }
        self.go_on(cx, now);
    }

    fn hook_answered(&mut self, key: HookKey, result: Result<Value, String>, cx: &mut Context, now: Now) {
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

/// May this controller begin an exposure?
fn check(cx: &Context, n: Index) -> Result<(), CallError> {
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

/// What went wrong on which controller; each is told by itself first.
fn several(faults: &[(Index, Fault)], cx: &mut Context, ticket: Option<Ticket>) -> CallError {
    for (n, fault) in faults {
        cx.error_of(ticket, *n, fault.to_string());
    }
    match faults {
        [(_, fault)] => error_of(fault),
        faults => {
            let texts: Vec<String> = faults.iter().map(|(_, f)| f.to_string()).collect();
            let first = faults.first().map(|(_, f)| error_of(f));
            let text = format!("Controllers failed with error: {}", texts.join("; "));
            first.map_or_else(|| refused(text.clone()), |e| CallError::new(e.class, e.family, text.clone()))
        }
    }
}

impl Task for Expose {
    fn start(&mut self, cx: &mut Context, now: Now) {
        cx.exposing = Some(self.id);
        if self.shot.is_some() { self.read_out(cx, now) } else { self.next_shot(cx, now) }
    }

    fn event(&mut self, mut event: Event, cx: &mut Context, now: Now) {
        for saving in &mut self.savings {
            if saving.event(&mut event, self.ticket, cx, now) {
                return self.go_on(cx, now);
            }
        }
        match event {
            Event::Done { controller, key, result } => self.order_done(controller, key, &result, cx, now),
            Event::Step { controller, level, text } => cx.text_of(self.ticket, level, controller, text),
            Event::Progress { controller, body } => {
                let number = self.shot.as_ref().map_or(0, |s| s.number);
                let mut rest = vec![("exposure_no".to_owned(), Value::Int(number as i64))];
                if let Value::Map(pairs) = body {
                    rest.extend(pairs);
                }
                let body = cx.about(controller, rest);
                cx.say(self.ticket, Level::Debug, "progress", body);
            }
            Event::IntegrationOver { controller, .. } => {
                match &mut self.phase {
                    Phase::Integrating { open, .. } => open.retain(|n| *n != controller),
                    Phase::Releasing { over, .. } => over.push(controller),
                    _ => {}
                }
                self.go_on(cx, now);
            }
            Event::Data { controller, bytes } => {
                cx.outputs.push_back(crate::archon::role::Output::Recycle { controller, bytes });
            }
            Event::File { key, done } => {
                if matches!(&self.phase, Phase::Promising(k) if *k == key) {
                    return match done.map(|d| *d) {
                        Ok(Done::Promised(Ok(()))) => self.prepare(cx, now),
                        Ok(Done::Promised(Err(why))) => self.end(refused(why.to_string()), cx),
                        Ok(_) => self.end(refused("the lock files were not written"), cx),
                        Err(why) => self.end(refused(why), cx),
                    };
                }
                if matches!(&self.phase, Phase::Reserving(k) if *k == key) {
                    match done.map(|d| *d) {
                        Ok(Done::Reserved(Ok(reservation))) => self.reserved(reservation, cx, now),
                        Ok(Done::Reserved(Err(why))) => self.end(refused(why.to_string()), cx),
                        Ok(_) => self.end(refused("no exposure number was given"), cx),
                        Err(why) => self.end(refused(why), cx),
                    }
                }
            }
            Event::Hook { key, result } => self.hook_answered(key, result, cx, now),
            Event::Abort => self.abort(cx, now),
            Event::Shutdown => {
                if !matches!(self.phase, Phase::Saving | Phase::ReadingOut { .. }) {
                    self.abort(cx, now);
                } else {
                    self.to_do.clear();
                }
            }
            Event::Tick => self.go_on(cx, now),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let own = match &self.phase {
            Phase::Integrating { limit, .. } => Some(*limit),
            _ => None,
        };
        self.savings.iter().filter(|s| s.outcome.is_none()).filter_map(Saving::deadline).chain(own).min()
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn is_exposure(&self) -> bool {
        true
    }

    fn is_background(&self) -> bool {
        self.ticket.is_none()
    }

    fn describe(&self, now: Now) -> Value {
        let phase = match &self.phase {
            Phase::Reserving(_) => "reserving a number",
            Phase::PreExpose(_) => "waiting for pre_expose",
            Phase::Windows(_) => "setting windows",
            Phase::Promising(_) => "writing lock files",
            Phase::Preparing(_) => "preparing",
            Phase::Releasing { .. } => "starting",
            Phase::Integrating { .. } => "integrating",
            Phase::Closing(_) => "closing the shutter",
            Phase::ReadingOut { .. } => "reading out",
            Phase::Unpreparing { .. } | Phase::Aborting { .. } => "aborting",
            Phase::Saving => "saving",
            Phase::Over => "over",
        };
        let frames = self.savings.iter().map(|s| Value::from(s.doing())).collect();
        Value::Map(vec![
            ("doing".into(), phase.into()),
            ("exposure_no".into(), self.shot.as_ref().map_or(Value::Null, |s| Value::Int(s.number as i64))),
            ("for_s".into(), Value::Float(now.mono.since(self.began.mono).as_secs_f64())),
            ("frames".into(), Value::List(frames)),
            ("exposures_to_do".into(), Value::Int(self.to_do.len() as i64)),
        ])
    }
}
