//! One frame on its way from a controller's buffer to its files.
//!
//! ```text
//! wait ─► lock ─► open ─► fetch … write ─► ask STATUS ─► secure ─► unlock, publish ─► over
//!   ▲                        │ link lost, silence: once more
//!   └────────────────────────┘
//! ```
//!
//! The buffer stays locked until the data and their directory are synced. If the files cannot be written the
//! frame stays where it is, and the text says so.

use super::Shot;
use super::header;
use crate::api::Ticket;
use crate::archon::controller::{Answer, Fault, Level, Locked, Order, OrderKey, Which};
use crate::archon::hooks::HookKey;
use crate::archon::role::FileKey;
use crate::archon::role::context::Context;
use crate::archon::role::messages::{Index, Output};
use crate::archon::role::task::{Event, TaskId};
use crate::frames::geometry;
use crate::frames::jobs::Overscan;
use crate::frames::jobs::{Card, Done, FrameHandle, FramePlan, ImageSpec, Job, Published, TapStatistics};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Pieces on their way to the disk: above this the controller's stream pauses.
const IN_FLIGHT_MAX: usize = 16;
/// Below this it goes on.
const IN_FLIGHT_LOW: usize = 4;
/// A controller that was lost must be back by then.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// A disk that does not answer for so long has failed.
const DISK_WITHIN: Duration = Duration::from_secs(180);
/// Times a buffer that could not be released is tried again.
const UNLOCK_TRIES: u32 = 3;

/// Where the images of a frame go.
#[derive(Clone, Debug)]
pub(in crate::archon) enum Into_ {
    /// The images of an exposure: (ccd, path).
    Images(Vec<(String, PathBuf)>),
    /// The whole frame as it is.
    Raw(PathBuf),
    /// What a lock file of an earlier run says.
    Again(Vec<ImageSpec>),
}

#[derive(Debug, PartialEq)]
enum State {
    /// Another frame of this controller is being saved, or the controller is away.
    Waiting {
        since: Mono,
    },
    Locking(OrderKey),
    Opening(FileKey),
    Fetching(OrderKey),
    /// Fetched; pieces are still being written.
    Writing,
    /// Something went wrong; pieces are still being written.
    Failing,
    /// Partial files are put aside before another try, or for good.
    Abandoning(FileKey),
    AskingStatus(OrderKey),
    /// The site's own cards.
    AskingHook(HookKey),
    Securing(FileKey),
    Publishing(FileKey),
    Over,
}

/// A frame that is safe.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::archon) struct Saved {
    pub published: Vec<Published>,
    pub statistics: Vec<TapStatistics>,
    pub locked: Locked,
    /// It took two fetches.
    pub again: bool,
}

/// One frame being saved.
#[derive(Debug)]
pub(in crate::archon) struct Saving {
    pub n: Index,
    pub shot: Shot,
    task: TaskId,
    which: Which,
    into: Into_,
    state: State,
    locked: Option<Box<Locked>>,
    handle: Option<FrameHandle>,
    /// Pieces on their way to the disk.
    in_flight: Vec<FileKey>,
    paused: bool,
    fetched: bool,
    tries: u32,
    statistics: Vec<TapStatistics>,
    published: Option<Vec<Published>>,
    unlocking: Option<OrderKey>,
    unlocked: bool,
    unlock_tries: u32,
    failure: Option<String>,
    /// When the disk was last asked or answered.
    disk: Mono,
    /// How it ended.
    pub outcome: Option<Result<Saved, String>>,
}

impl Saving {
    pub fn new(n: Index, shot: Shot, task: TaskId, which: Which, into: Into_, now: Now) -> Saving {
        Saving {
            n,
            shot,
            task,
            which,
            into,
            state: State::Waiting { since: now.mono },
            locked: None,
            handle: None,
            in_flight: Vec::new(),
            paused: false,
            fetched: false,
            tries: 0,
            statistics: Vec::new(),
            published: None,
            unlocking: None,
            unlocked: false,
            unlock_tries: 0,
            failure: None,
            disk: now.mono,
            outcome: None,
        }
    }

    /// Time or circumstances changed: go on if it is our turn.
    pub fn go_on(&mut self, ticket: Option<Ticket>, cx: &mut Context, now: Now) {
        if !self.waits_for_disk() {
            self.disk = now.mono;
        }
        if let State::Waiting { since } = self.state {
            let view = cx.controllers[self.n.0].view();
            let free = cx.saving[self.n.0].is_none_or(|t| t == self.task);
            if view.attached && free {
                return self.lock(ticket, cx, now);
            }
            if !view.attached && now.mono >= since + BACK_WITHIN {
                let why = view.why.clone();
                let text =
                    format!("the controller did not come back within {} s ({why})", BACK_WITHIN.as_secs());
                self.fail(text, cx, now);
            }
        }
        if self.unlocking.is_none()
            && !self.unlocked
            && self.published.is_some()
            && self.unlock_tries < UNLOCK_TRIES
        {
            self.unlock(cx, now);
        }
        self.end_if_done(ticket, cx);
    }

    /// When to be told the time.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Waiting { since } => Some(since + BACK_WITHIN),
            _ if self.waits_for_disk() => Some(self.disk + DISK_WITHIN),
            _ => None,
        }
    }

    fn waits_for_disk(&self) -> bool {
        let job = matches!(
            self.state,
            State::Opening(_) | State::Abandoning(_) | State::Securing(_) | State::Publishing(_)
        );
        self.outcome.is_none() && (job || !self.in_flight.is_empty())
    }

    fn lock(&mut self, ticket: Option<Ticket>, cx: &mut Context, now: Now) {
        cx.saving[self.n.0] = Some(self.task);
        let name = cx.name(self.n).to_owned();
        cx.text(ticket, Level::Debug, format!("Fetching {name} buffer."));
        self.tries += 1;
        self.state = State::Locking(cx.order(self.task, self.n, Order::Lock(self.which.clone()), now));
    }

    /// `false`: not about this frame.
    pub fn event(&mut self, event: &mut Event, ticket: Option<Ticket>, cx: &mut Context, now: Now) -> bool {
        match event {
            Event::Done { controller, key, result } if *controller == self.n => {
                self.order_done(*key, result, ticket, cx, now)
            }
            Event::Data { controller, bytes } if *controller == self.n => {
                if !matches!(self.state, State::Fetching(_)) {
                    return false;
                }
                self.data(std::mem::take(bytes), cx, now);
                true
            }
            Event::Hook { key, result } if self.state == State::AskingHook(*key) => {
                self.hook_answered(result, ticket, cx, now);
                true
            }
            Event::File { key, done } => match std::mem::replace(done, Err(String::new())) {
                Ok(given) => {
                    let (mine, given) = self.file_done(*key, *given, ticket, cx, now);
                    if let Some(given) = given {
                        *done = Ok(Box::new(given));
                    }
                    mine
                }
                Err(why) => {
                    let mine = self.owns(*key);
                    if mine {
                        self.fail(why, cx, now);
                    } else {
                        *done = Err(why);
                    }
                    mine
                }
            },
            _ => false,
        }
    }

    fn owns(&self, key: FileKey) -> bool {
        if self.in_flight.contains(&key) {
            return true;
        }
        let (State::Opening(k) | State::Abandoning(k) | State::Securing(k) | State::Publishing(k)) =
            &self.state
        else {
            return false;
        };
        *k == key
    }

    fn order_done(
        &mut self,
        key: OrderKey,
        result: &Result<Answer, Fault>,
        ticket: Option<Ticket>,
        cx: &mut Context,
        now: Now,
    ) -> bool {
        if self.unlocking == Some(key) {
            self.unlocking = None;
            match result {
                Ok(_) => self.unlocked = true,
                Err(fault) if self.unlock_tries >= UNLOCK_TRIES => {
                    self.unlocked = true;
                    cx.error_of(ticket, self.n, format!("the buffer was not released: {fault}"));
                }
                Err(_) => {}
            }
            self.end_if_done(ticket, cx);
            return true;
        }
        match (&self.state, result) {
            (State::Locking(k), Ok(Answer::Locked(locked))) if *k == key => {
                self.which = Which::Frame(locked.id.clone());
                self.locked = Some(locked.clone());
                self.open(cx, now);
            }
            (State::Fetching(k), Ok(_)) if *k == key => {
                self.fetched = true;
                self.state = State::Writing;
                self.written(cx, now);
            }
            (State::AskingStatus(k), _) if *k == key => self.ask_hook(cx, now),
            (State::Locking(k) | State::Fetching(k), result) if *k == key => {
                let text = match result {
                    Err(fault) => fault.to_string(),
                    Ok(other) => format!("{}: an answer to another question: {other:?}", cx.name(self.n)),
                };
                self.failed(text, ticket, cx, now);
            }
            _ => return false,
        }
        true
    }

    fn open(&mut self, cx: &mut Context, now: Now) {
        match self.plan(cx) {
            Ok(plan) => {
                self.state = State::Opening(cx.file(self.task, 1 + self.n.0, Job::Open(Box::new(plan))));
            }
            Err(why) => self.fail(why, cx, now),
        }
    }

    fn plan(&self, cx: &Context) -> Result<FramePlan, String> {
        let locked = self.locked.as_ref().ok_or("no buffer is locked")?;
        let detectors = &cx.config.controllers[self.n.0].entry.detectors;
        let images = match &self.into {
            Into_::Again(images) => {
                let mut images = images.clone();
                for image in &mut images {
                    header::correct(&mut image.cards, locked);
                }
                images
            }
            Into_::Raw(path) => {
                let cut = locked.geometry.uncut(cx.name(self.n));
                let cards = header::raw_cards(cx, self.n, locked);
                vec![ImageSpec { cut, path: path.clone(), cards, discard: false }]
            }
            Into_::Images(paths) => {
                let cuts = geometry::cuts(detectors, &locked.geometry)
                    .map_err(|why| format!("{}: {why}", cx.name(self.n)))?;
                let image = |cut: geometry::Cut| {
                    let path = paths.iter().find(|(ccd, _)| *ccd == cut.ccd).map(|(_, p)| p.clone());
                    let path = path.ok_or(format!("no file name was reserved for {}", cut.ccd))?;
                    let discard = self.shot.no_write || cx.config.site.excluded_cameras.contains(&cut.ccd);
                    let cards = header::cards(cx, self.n, &self.shot, &cut.ccd, locked, &path);
                    Ok::<_, String>(ImageSpec { cut, path, cards, discard })
                };
                cuts.into_iter().map(image).collect::<Result<_, _>>()?
            }
        };
        let view = cx.controllers[self.n.0].view();
        let columns = view.window.map_or(0, |w| w.overscanpixels / w.hbin.max(1));
        let mirrored = view.config.as_ref().map(|acf| acf.mirrored_taps()).unwrap_or_default();
        Ok(FramePlan {
            id: locked.id.clone(),
            exposure: self.shot.number,
            geometry: locked.geometry,
            base: locked.base,
            images,
            overscan: Overscan { columns: u32::try_from(columns).unwrap_or(0), mirrored },
            naming: cx.config.naming.clone(),
        })
    }

    fn data(&mut self, bytes: Vec<u8>, cx: &mut Context, _now: Now) {
        let Some(handle) = self.handle.clone() else { return };
        self.in_flight.push(cx.file(self.task, 1 + self.n.0, Job::Write { handle, bytes }));
        if self.in_flight.len() >= IN_FLIGHT_MAX && !self.paused {
            self.pause(true, cx);
        }
    }

    fn pause(&mut self, paused: bool, cx: &mut Context) {
        self.paused = paused;
        cx.outputs.push_back(Output::Pause { controller: self.n, paused });
    }

    /// `(mine, given back)`
    fn file_done(
        &mut self,
        key: FileKey,
        done: Done,
        ticket: Option<Ticket>,
        cx: &mut Context,
        now: Now,
    ) -> (bool, Option<Done>) {
        self.disk = now.mono;
        if let Some(at) = self.in_flight.iter().position(|k| *k == key) {
            self.in_flight.remove(at);
            if let Done::Written { bytes, error, .. } = done {
                self.piece_written(bytes, error.map(|e| e.to_string()), ticket, cx, now);
            }
            return (true, None);
        }
        if !self.owns(key) {
            return (false, Some(done));
        }
        match done {
            Done::Opened(Ok(handle)) => {
                self.handle = Some(handle);
                self.fetched = false;
                cx.text(ticket, Level::Debug, "Reading frame buffer ...");
                self.state =
                    State::Fetching(cx.order(self.task, self.n, Order::Fetch { from_block: 0 }, now));
            }
            Done::Secured(Ok(statistics)) => {
                self.statistics = statistics;
                self.unlock(cx, now);
                if let Some(handle) = self.handle.clone() {
                    self.state = State::Publishing(cx.file(self.task, 1 + self.n.0, Job::Publish { handle }));
                }
            }
            Done::Published(Ok(published)) => {
                self.published = Some(published);
                self.end_if_done(ticket, cx);
            }
            Done::Published(Err(why)) => {
                // Synced under its temporary name: recovery only has to rename it.
                self.fail(why.to_string(), cx, now);
            }
            Done::Abandoned => self.after_abandon(now, cx),
            Done::Opened(Err(why)) | Done::Secured(Err(why)) => self.failed_on_disk(why.to_string(), cx, now),
            _ => {}
        }
        (true, None)
    }

    fn piece_written(
        &mut self,
        bytes: Vec<u8>,
        error: Option<String>,
        ticket: Option<Ticket>,
        cx: &mut Context,
        now: Now,
    ) {
        cx.outputs.push_back(Output::Recycle { controller: self.n, bytes });
        if self.paused && self.in_flight.len() <= IN_FLIGHT_LOW {
            self.pause(false, cx);
        }
        if let (Some(why), None) = (error, &self.failure) {
            let fetching = matches!(self.state, State::Fetching(_));
            self.failure = Some(why);
            self.tries = u32::MAX;
            self.state = State::Failing;
            if fetching {
                cx.order(self.task, self.n, Order::StopFetch, now);
            }
        }
        match self.state {
            State::Writing => self.written(cx, now),
            State::Failing if self.in_flight.is_empty() => self.abandon(ticket, cx, now),
            _ => {}
        }
    }

    /// Every piece is with the system: what is missing is the header.
    fn written(&mut self, cx: &mut Context, now: Now) {
        if self.fetched && self.in_flight.is_empty() {
            self.state = State::AskingStatus(cx.order(self.task, self.n, Order::Status, now));
        }
    }

    /// The site may add cards to each image.
    fn ask_hook(&mut self, cx: &mut Context, now: Now) {
        let (Into_::Images(paths), Some(locked)) = (&self.into, &self.locked) else {
            return self.secure(cx, now);
        };
        if !cx.hooks.answers("header") {
            return self.secure(cx, now);
        }
        let ccds = paths.iter().map(|(ccd, _)| Value::from(ccd.as_str())).collect();
        let body = Value::Map(vec![
            ("controller".into(), cx.name(self.n).into()),
            ("ccds".into(), Value::List(ccds)),
            ("exposure_no".into(), Value::Int(self.shot.number as i64)),
            ("flavour".into(), self.shot.flavour.name().into()),
            ("exposure_time".into(), Value::Float(self.shot.requested.as_secs_f64())),
            ("frame".into(), Value::Int(locked.id.frame as i64)),
        ]);
        self.state = State::AskingHook(cx.hooks.ask(self.task, "header", body, now));
    }

    /// Without an answer the image is written all the same: its pixels are the only copy.
    fn hook_answered(
        &mut self,
        result: &Result<Value, String>,
        ticket: Option<Ticket>,
        cx: &mut Context,
        now: Now,
    ) {
        match result {
            Ok(answer) => {
                if let Some(Value::Map(more)) = answer.get("header") {
                    match &mut self.shot.header {
                        Value::Map(there) => there.extend(more.clone()),
                        other => *other = Value::Map(more.clone()),
                    }
                }
            }
            Err(why) => cx.text_of(ticket, Level::Warning, self.n, format!("header: {why}")),
        }
        self.secure(cx, now);
    }

    fn secure(&mut self, cx: &mut Context, _now: Now) {
        let (Some(handle), Some(locked)) = (self.handle.clone(), self.locked.clone()) else { return };
        let cards: Vec<(String, Vec<Card>)> = match &self.into {
            Into_::Images(paths) => paths
                .iter()
                .map(|(ccd, path)| (ccd.clone(), header::cards(cx, self.n, &self.shot, ccd, &locked, path)))
                .collect(),
            _ => Vec::new(),
        };
        self.state = State::Securing(cx.file(self.task, 1 + self.n.0, Job::Secure { handle, cards }));
    }

    fn unlock(&mut self, cx: &mut Context, now: Now) {
        self.unlock_tries += 1;
        self.unlocking = Some(cx.order(self.task, self.n, Order::Unlock, now));
    }

    /// The controller or its link failed: once more, if it was not the disk.
    fn failed(&mut self, why: String, ticket: Option<Ticket>, cx: &mut Context, now: Now) {
        self.failure = Some(why);
        if self.handle.is_some() {
            self.state = State::Failing;
            if self.in_flight.is_empty() {
                self.abandon(ticket, cx, now);
            }
        } else {
            self.after_abandon(now, cx);
        }
    }

    fn failed_on_disk(&mut self, why: String, cx: &mut Context, now: Now) {
        self.failure = Some(why);
        self.tries = u32::MAX;
        match self.handle.take() {
            Some(handle) => {
                let why = self.failure.clone().unwrap_or_default();
                let job = Job::Abandon { handle, keep: true, why };
                self.state = State::Abandoning(cx.file(self.task, 1 + self.n.0, job));
            }
            None => self.after_abandon(now, cx),
        }
    }

    /// Partial and lock files stay: they are the evidence, and the way back after a crash.
    fn abandon(&mut self, ticket: Option<Ticket>, cx: &mut Context, now: Now) {
        let why = self.failure.clone().unwrap_or_default();
        cx.error_of(ticket, self.n, format!("Failed fetching data: {why}"));
        match self.handle.take() {
            Some(handle) => {
                let job = Job::Abandon { handle, keep: true, why };
                self.state = State::Abandoning(cx.file(self.task, 1 + self.n.0, job));
            }
            None => self.after_abandon(now, cx),
        }
    }

    fn after_abandon(&mut self, now: Now, cx: &mut Context) {
        let known = self.locked.is_some();
        let lost = self.failure.as_ref().is_some_and(|f| f.contains("is gone"));
        if self.tries < 2 && !lost && (known || matches!(self.which, Which::Frame(_))) {
            self.failure = None;
            self.paused = false;
            self.state = State::Waiting { since: now.mono };
            return;
        }
        let why = self.failure.take().unwrap_or_else(|| "it was given up".into());
        self.fail(why, cx, now);
    }

    /// For good. The frame stays in its buffer, locked, if it ever was.
    fn fail(&mut self, why: String, cx: &mut Context, _now: Now) {
        let locked = self.locked.as_ref().map(|l| {
            format!(
                "; frame {} stays locked in buffer {} of {}: `recover` saves it once the cause is gone, `discard` gives it up",
                l.id.frame, l.id.buffer, l.id.controller
            )
        });
        let secured = !self.statistics.is_empty() || self.unlocking.is_some() || self.unlocked;
        let locked = if secured {
            Some("; the data are safe in the partial file beside it: `recover` publishes it".to_owned())
        } else if why.contains("is gone") {
            None
        } else {
            locked
        };
        self.outcome = Some(Err(format!("{why}{}", locked.unwrap_or_default())));
        self.state = State::Over;
        self.release(cx);
    }

    fn end_if_done(&mut self, ticket: Option<Ticket>, cx: &mut Context) {
        let settled = self.unlocked || (self.unlocking.is_none() && self.unlock_tries >= UNLOCK_TRIES);
        if self.outcome.is_some() || !settled || self.published.is_none() {
            return;
        }
        let (Some(published), Some(locked)) = (self.published.clone(), self.locked.as_deref().cloned())
        else {
            return;
        };
        for warning in published.iter().flat_map(|p| &p.warnings) {
            cx.text(ticket, Level::Warning, warning.clone());
        }
        let statistics = std::mem::take(&mut self.statistics);
        self.outcome = Some(Ok(Saved { published, statistics, locked, again: self.tries > 1 }));
        self.state = State::Over;
        self.release(cx);
    }

    fn release(&self, cx: &mut Context) {
        if cx.saving[self.n.0] == Some(self.task) {
            cx.saving[self.n.0] = None;
        }
    }

    /// Where it stands, in a word.
    pub fn doing(&self) -> &'static str {
        match self.state {
            State::Waiting { .. } => "waiting",
            State::Locking(_) => "locking",
            State::Opening(_) => "opening files",
            State::Fetching(_) => "fetching",
            State::Writing | State::AskingStatus(_) | State::AskingHook(_) | State::Securing(_) => "writing",
            State::Failing | State::Abandoning(_) => "giving up",
            State::Publishing(_) => "publishing",
            State::Over => "over",
        }
    }
}
