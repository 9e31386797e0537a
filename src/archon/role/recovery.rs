//! Images that an earlier run left behind: published from their partial files, or fetched again while the
//! controller still has the frame. What cannot be had any more is said.

use super::context::{Context, refused};
use super::messages::{FileKey, Index};
use super::task::{Event, Task, TaskId};
use crate::api::Ticket;
use crate::archon::controller::{Level, Order, Which};
use crate::archon::exposure::Shot;
use crate::archon::exposure::promise::{self, Kept};
use crate::archon::exposure::saving::{Into_, Saving};
use crate::frames::jobs::{Done, Found, FrameId, Job, Lost};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// At start controllers must be there by then for frames to be fetched from them.
const CONTROLLERS_WITHIN: Duration = Duration::from_secs(30);
/// A readout that was ordered just before the program ended shows itself by then.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug)]
enum Phase {
    Surveying(FileKey),
    /// One thing at a time: what is done is seen on disk.
    Restoring(FileKey),
    Fetching(Box<Saving>),
    /// A controller is not there yet, or reads out.
    Waiting {
        until: Mono,
    },
    /// A promise: FRAME is asked again and again.
    Watching {
        began: Mono,
        next: Mono,
    },
    /// From one to the next.
    Between,
    Over,
}

/// `recover`, and recovery at start.
#[derive(Debug)]
pub(super) struct Recovery {
    id: TaskId,
    ticket: Option<Ticket>,
    path: Option<PathBuf>,
    checksum: bool,
    keep_lock: bool,
    trust_buffer: bool,
    /// Frames and what of them is lost: images of one frame are fetched together.
    to_do: Vec<Vec<Lost>>,
    phase: Phase,
    saved: Vec<Value>,
    problems: Vec<String>,
}

impl Recovery {
    pub fn new(
        id: TaskId,
        ticket: Option<Ticket>,
        path: Option<PathBuf>,
        [checksum, keep_lock, trust_buffer]: [bool; 3],
        now: Now,
    ) -> Recovery {
        let (to_do, saved, problems) = (Vec::new(), Vec::new(), Vec::new());
        let phase = Phase::Waiting { until: now.mono };
        Recovery { id, ticket, path, checksum, keep_lock, trust_buffer, to_do, phase, saved, problems }
    }

    fn surveyed(&mut self, lost: Vec<Lost>, cx: &mut Context, now: Now) {
        for one in lost {
            let of = (0..cx.controllers.len()).map(Index).find(|n| cx.name(*n) == one.id.controller);
            if of.is_some_and(|n| cx.live.contains(&(one.exposure, n))) {
                continue;
            }
            let same = self.to_do.iter_mut().find(|frame| {
                let first = &frame[0];
                let same_kind = matches!(
                    (&first.found, &one.found),
                    (Found::Incomplete(_), Found::Incomplete(_)) | (Found::Promised, Found::Promised)
                );
                same_kind && first.id == one.id && first.exposure == one.exposure
            });
            match same {
                Some(frame) => frame.push(one),
                None => self.to_do.push(vec![one]),
            }
        }
        self.next(cx, now);
    }

    fn next(&mut self, cx: &mut Context, now: Now) {
        let Some(first) = self.to_do.first().and_then(|f| f.first()).cloned() else { return self.finish(cx) };
        match &first.found {
            Found::Image | Found::WholePart(_) => {
                self.to_do.remove(0);
                let naming = cx.config.naming.clone();
                let (checksum, keep_lock) = (self.checksum, self.keep_lock);
                let job = Job::Restore { lost: Box::new(first), naming, checksum, keep_lock };
                self.phase = Phase::Restoring(cx.file(self.id, 0, job));
            }
            Found::Unreadable(why) => {
                self.to_do.remove(0);
                self.problem(format!("{}: {why}", first.lock.display()), cx);
                self.next(cx, now);
            }
            Found::Stray(path) => {
                self.to_do.remove(0);
                let text = format!(
                    "{}: a partial file without a lock file; look at it, nothing is removed",
                    path.display()
                );
                self.problem(text, cx);
                self.next(cx, now);
            }
            Found::Incomplete(_) => self.fetch_again(&first, cx, now),
            Found::Promised => self.settle_promise(&first, cx, now),
        }
    }

    /// The controller of a frame, or what is wrong with the name.
    fn controller_of(&mut self, first: &Lost, cx: &mut Context, now: Now) -> Option<Index> {
        let found = (0..cx.controllers.len()).map(Index).find(|n| cx.name(*n) == first.id.controller);
        if found.is_none() {
            let text = format!("{}: there is no controller '{}'", first.lock.display(), first.id.controller);
            self.give_up(text, cx, now);
        }
        found
    }

    /// Waits for what may change by itself; `false`: it has waited long enough.
    fn wait(&mut self, within: Duration, now: Now) -> bool {
        match self.phase {
            Phase::Waiting { until } => now.mono < until,
            _ => {
                self.phase = Phase::Waiting { until: now.mono + within };
                true
            }
        }
    }

    /// Asks FRAME for so long; `false`: long enough.
    fn watch(&mut self, n: Index, within: Duration, cx: &mut Context, now: Now) -> bool {
        let (began, next) = match self.phase {
            Phase::Watching { began, next } => (began, next),
            _ => (now.mono, now.mono),
        };
        if now.mono >= began + within {
            return false;
        }
        let mut after = next;
        if now.mono >= next {
            after = now.mono + ASK_EVERY;
            cx.order(self.id, n, Order::Frame, now);
        }
        self.phase = Phase::Watching { began, next: after };
        true
    }

    /// This one cannot be had now; on with the next.
    fn give_up(&mut self, text: String, cx: &mut Context, now: Now) {
        self.to_do.remove(0);
        self.problem(text, cx);
        // A wait was for this one.
        self.phase = Phase::Between;
        self.next(cx, now);
    }

    fn fetch_again(&mut self, first: &Lost, cx: &mut Context, now: Now) {
        let Some(n) = self.controller_of(first, cx, now) else { return };
        if !cx.controllers[n.0].view().attached {
            if self.wait(CONTROLLERS_WITHIN, now) {
                return;
            }
            let text = format!(
                "{}: not fetched, {} is not there ({}); run `recover` when it is",
                first.image.display(),
                cx.name(n),
                cx.controllers[n.0].view().why
            );
            return self.give_up(text, cx, now);
        }
        match self.which(first, cx) {
            Ok(which) => self.fetch(n, first, which, cx, now),
            Err(why) => self.give_up(why, cx, now),
        }
    }

    /// An exposure that was begun: was it read out?
    fn settle_promise(&mut self, first: &Lost, cx: &mut Context, now: Now) {
        let Some(n) = self.controller_of(first, cx, now) else { return };
        match promise::kept(cx, n, first) {
            Kept::Yes(id) => self.fetch(n, first, Which::Frame(id), cx, now),
            Kept::Perhaps if self.watch(n, cx.config.controllers[n.0].timeouts.readout_max, cx, now) => {}
            Kept::No if self.watch(n, BEGINS_WITHIN, cx, now) => {}
            Kept::Unknown(_) if self.wait(CONTROLLERS_WITHIN, now) => {}
            Kept::No => {
                let images = self.to_do[0].iter().map(|lost| lost.image.clone()).collect();
                cx.file(self.id, 0, Job::Withdraw(images));
                self.give_up(promise::not_there(first), cx, now);
            }
            Kept::Perhaps => {
                let text = format!("{} still reads out; run `recover` when it is done", cx.name(n));
                self.give_up(format!("{}: {text}", first.image.display()), cx, now);
            }
            Kept::Unknown(why) => {
                let text = format!("{}: {why}; run `recover` when it is", first.image.display());
                self.give_up(text, cx, now);
            }
            Kept::Odd(why) => self.give_up(format!("{}: {why}", first.image.display()), cx, now),
        }
    }

    /// Images of one frame, together.
    fn fetch(&mut self, n: Index, first: &Lost, which: Which, cx: &mut Context, now: Now) {
        let images = self.to_do.remove(0);
        let specs = images.iter().map(|l| l.spec.clone()).collect();
        let shot = Shot::unknown(first.exposure);
        let mut saving = Box::new(Saving::new(n, shot, self.id, which, Into_::Again(specs), now));
        saving.go_on(self.ticket, cx, now);
        self.phase = Phase::Fetching(saving);
        self.look(cx, now);
    }

    /// A lock file of the reference knows the buffer but not the frame.
    fn which(&self, lost: &Lost, _cx: &Context) -> Result<Which, String> {
        let FrameId { frame, buffer, .. } = lost.id;
        match (frame, self.trust_buffer) {
            (0, true) => Ok(Which::Buffer(buffer)),
            (0, false) => Err(format!(
                "{}: the lock file does not say which frame it was; if buffer {buffer} still holds it, recover with trust_buffer",
                lost.lock.display()
            )),
            _ => Ok(Which::Frame(lost.id.clone())),
        }
    }

    fn look(&mut self, cx: &mut Context, now: Now) {
        match &mut self.phase {
            Phase::Fetching(saving) => {
                saving.go_on(self.ticket, cx, now);
                match &saving.outcome {
                    None => {}
                    Some(Ok(saved)) => {
                        let names = saved.published.iter().map(|p| Value::Str(p.path.display().to_string()));
                        self.saved.extend(names);
                        self.next(cx, now);
                    }
                    Some(Err(why)) => {
                        let text = format!("exposure {} of {}: {why}", saving.shot.number, cx.name(saving.n));
                        self.problem(text, cx);
                        self.next(cx, now);
                    }
                }
            }
            Phase::Waiting { .. } | Phase::Watching { .. } => self.next(cx, now),
            _ => {}
        }
    }

    fn problem(&mut self, text: String, cx: &mut Context) {
        cx.text(self.ticket, Level::Warning, text.clone());
        self.problems.push(text);
    }

    fn finish(&mut self, cx: &mut Context) {
        self.phase = Phase::Over;
        cx.recovering = false;
        if self.saved.is_empty() {
            cx.text(self.ticket, Level::Info, "No exposures were recovered.");
        } else {
            cx.say(self.ticket, Level::Info, "filenames", self.saved.clone());
        }
        let problems = self.problems.drain(..).map(Value::from).collect();
        let value = Value::Map(vec![
            ("filenames".into(), Value::List(std::mem::take(&mut self.saved))),
            ("problems".into(), Value::List(problems)),
        ]);
        cx.reply(&mut self.ticket, Ok(value));
    }

    fn end(&mut self, why: String, cx: &mut Context) {
        self.phase = Phase::Over;
        cx.recovering = false;
        if self.ticket.is_none() {
            cx.text(None, Level::Warning, format!("Skipping recovery. {why}"));
        }
        cx.reply(&mut self.ticket, Err(refused(format!("Recovery failed. {why}"))));
    }
}

impl Task for Recovery {
    fn start(&mut self, cx: &mut Context, now: Now) {
        cx.recovering = true;
        let job = Job::Survey { path: self.path.clone(), naming: cx.config.naming.clone(), at: now.utc };
        self.phase = Phase::Surveying(cx.file(self.id, 0, job));
    }

    fn event(&mut self, mut event: Event, cx: &mut Context, now: Now) {
        if let Phase::Fetching(saving) = &mut self.phase
            && saving.event(&mut event, self.ticket, cx, now)
        {
            return self.look(cx, now);
        }
        match event {
            Event::File { key, done } => match (&self.phase, done.map(|d| *d)) {
                (Phase::Surveying(k), Ok(Done::Surveyed(Ok(lost)))) if *k == key => {
                    self.surveyed(lost, cx, now)
                }
                (Phase::Surveying(k), Ok(Done::Surveyed(Err(why)))) if *k == key => {
                    self.end(why.to_string(), cx)
                }
                (Phase::Restoring(k), Ok(Done::Published(Ok(published)))) if *k == key => {
                    let names = published.iter().map(|p| Value::Str(p.path.display().to_string()));
                    self.saved.extend(names);
                    self.next(cx, now);
                }
                (Phase::Restoring(k), Ok(Done::Published(Err(why)))) if *k == key => {
                    self.problem(why.to_string(), cx);
                    self.next(cx, now);
                }
                (Phase::Surveying(k) | Phase::Restoring(k), Err(why)) if *k == key => self.end(why, cx),
                _ => {}
            },
            Event::Step { controller, level, text } => cx.text_of(self.ticket, level, controller, text),
            _ => self.look(cx, now),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Watching { next, .. } => Some(*next),
            Phase::Fetching(saving) => saving.deadline(),
            _ => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn describe(&self, _: Now) -> Value {
        Value::Map(vec![
            ("recovering".into(), Value::Int(self.to_do.len() as i64)),
            ("problems".into(), Value::List(self.problems.iter().cloned().map(Value::from).collect())),
        ])
    }
}
