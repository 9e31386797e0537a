//! What goes into the role and what comes out: the contract with the node.

use super::super::controller::Level;
use super::super::methods::ArchonCall;
use crate::api::{Outcome, Ticket};
use crate::frames::jobs;
use crate::proto::archon::Command;
use crate::reactor::{ChildSignal, Exit, Program};
use crate::session::archon_link::{LinkEvent, Token};
use crate::value::Value;

/// Names a file job until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey(pub u64);

/// A controller, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index(pub usize);

/// A site hook, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookIndex(pub usize);

/// A fact for the role.
#[derive(Debug)]
pub enum Input {
    /// A call with bound arguments.
    Call {
        /// The call.
        ticket: Ticket,
        /// What is asked.
        call: ArchonCall,
    },
    /// About the link of a controller.
    Link {
        /// Which.
        controller: Index,
        /// What.
        event: LinkEvent,
    },
    /// A file job is done.
    File {
        /// Which.
        key: FileKey,
        /// What became of it; `Err`: the worker failed, in words.
        done: Result<Box<jobs::Done>, String>,
    },
    /// A hook's program runs.
    HookStarted(HookIndex),
    /// It could not be started.
    HookFailed(HookIndex, String),
    /// It said a line.
    HookLine(HookIndex, Vec<u8>),
    /// It ended.
    HookExited(HookIndex, Exit),
    /// The client of a pending call withdraws it.
    Cancel {
        /// The call.
        ticket: Ticket,
    },
    /// SIGTERM: end in order by policy.
    Shutdown,
}

/// An order of the role.
#[derive(Debug)]
pub enum Output {
    /// The answer to a call.
    Reply {
        /// The call.
        ticket: Ticket,
        /// The answer.
        outcome: Outcome,
    },
    /// A message of a running call, or of nobody in particular: what the actor says with code d, i, w, e. Keys are the
    /// keywords of the actor's schema (`text`, `status`, `filenames`, ...), and ours (`progress`, `quicklook`, `alarm`).
    Say {
        /// Whose.
        ticket: Option<Ticket>,
        /// How serious.
        level: Level,
        /// Keyword and value.
        body: Vec<(&'static str, Value)>,
    },
    /// Send a command to a controller.
    Command {
        /// Which controller.
        controller: Index,
        /// Names the command.
        token: Token,
        /// It has passed the gate.
        command: Command,
    },
    /// A procedure for the record; commands of the same controller that follow wait until it is written.
    Record {
        /// Which controller.
        controller: Index,
        /// The procedure.
        entry: Value,
    },
    /// Close the link and leave it closed, or open it (again).
    Link {
        /// Which controller.
        controller: Index,
        /// Open it; otherwise close it.
        open: bool,
        /// Why.
        why: String,
    },
    /// The file cannot follow the stream (or can again).
    Pause {
        /// Which controller.
        controller: Index,
        /// Stop reading.
        paused: bool,
    },
    /// A piece of a fetch that may be filled again.
    Recycle {
        /// Which controller.
        controller: Index,
        /// Empty.
        bytes: Vec<u8>,
    },
    /// Blocking work.
    File {
        /// Names it.
        key: FileKey,
        /// Which of the file workers: jobs of one lane run in order. Lane 0 is for names and numbers.
        lane: usize,
        /// The work.
        job: jobs::Job,
    },
    /// Start a hook's program.
    SpawnHook(HookIndex, Program),
    /// A line for it.
    TellHook(HookIndex, String),
    /// It will hear nothing more.
    EndHook(HookIndex),
    /// A signal for it.
    SignalHook(HookIndex, ChildSignal),
    /// What `state` shows has changed.
    Changed,
    /// The answer to [`Input::Shutdown`]: everything is in order.
    Finished,
}
