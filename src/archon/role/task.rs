//! A call that takes more than one turn: what happens to it comes as events.

use super::context::Context;
use super::messages::Index;
use crate::archon::controller::{Answer, Fault, Level, OrderKey};
use crate::frames::jobs;
use crate::units::{Mono, Now};
use crate::value::Value;

/// Names a task while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::archon) struct TaskId(pub u64);

/// What a task is told.
#[derive(Debug)]
pub(in crate::archon) enum Event {
    /// One of its orders is finished.
    Done { controller: Index, key: OrderKey, result: Box<Result<Answer, Fault>> },
    /// A step of one of its orders.
    Step { controller: Index, level: Level, text: String },
    /// How far one of its orders is.
    Progress { controller: Index, body: Value },
    /// An integration has run its time; told to everybody.
    IntegrationOver { controller: Index, at: Now },
    /// Payload of a fetch of its.
    Data { controller: Index, bytes: Vec<u8> },
    /// One of its file jobs is done.
    File { key: super::FileKey, done: Result<Box<jobs::Done>, String> },
    /// One of its questions to a hook is answered.
    Hook { key: crate::archon::hooks::HookKey, result: Result<Value, String> },
    /// An operator aborts: the exposure, or the wait.
    Abort,
    /// The program is asked to end.
    Shutdown,
    /// Something changed, or time has passed.
    Tick,
}

impl Event {
    /// What everybody is told.
    pub fn for_everybody(&self) -> Event {
        match self {
            Event::IntegrationOver { controller, at } => {
                Event::IntegrationOver { controller: *controller, at: *at }
            }
            Event::Shutdown => Event::Shutdown,
            _ => Event::Tick,
        }
    }
}

/// A call that takes more than one turn.
pub(in crate::archon) trait Task: std::fmt::Debug {
    /// First turn.
    fn start(&mut self, cx: &mut Context, now: Now);
    /// Another turn.
    fn event(&mut self, event: Event, cx: &mut Context, now: Now);
    /// When to be told [`Event::Tick`] at the latest.
    fn deadline(&self) -> Option<Mono> {
        None
    }
    /// Nothing is left to do.
    fn is_over(&self) -> bool;
    /// `abort` is about this one.
    fn is_exposure(&self) -> bool {
        false
    }
    /// Its call was answered; what is left needs no other call to wait.
    fn is_background(&self) -> bool {
        false
    }
    /// In words, with numbers, for `state`.
    fn describe(&self, now: Now) -> Value;
}
