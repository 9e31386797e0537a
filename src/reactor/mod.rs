//! The loop: one `mio::Poll`, one thread, all state in the [`App`].
//!
//! An [`App`] is pure: it is handed one [`Event`] at a time with the [`Now`] read by the loop, and
//! orders things by pushing [`Effect`]s. The loop carries them out and knows no role. Everything an
//! app waits for comes back as an event; nothing it calls can block.
//!
//! Contract an app can break: bytes of `Received` are everything read so far on that connection that
//! was not delivered before (edge-triggered draining, per-turn budgets and resumption are the loop's
//! business); after `Closed` the id is never seen again; a `send` to a closed id is ignored.

mod background;
mod child;
mod child_io;
mod conn;
mod conn_io;
mod effects;
mod listen;
mod panics;
mod poll_loop;
mod signals;
mod slab;
mod timers;
mod tokens;
mod workers;

pub use background::{Handle, spawn_thread};
pub use panics::{EXIT_PANICS, panic_text};
pub use poll_loop::{EXIT_FORCED, Options, run};

use crate::units::{Mono, Now, Utc};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A connection: generation in the high half, slab index in the low half; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// The app's own name for something it asked for: a listener, an outgoing connection, a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

/// The app's own name for a timer; setting a key again replaces the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerKey(pub u64);

/// Where to listen or connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6, numeric; port 0 picks one when listening.
    Tcp(SocketAddr),
    /// A Unix stream socket; created mode 0660, a stale socket file is replaced.
    Unix(PathBuf),
    /// A serial port, 9600 8N1, raw; to connect to only.
    Serial(PathBuf),
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// For a Unix socket the path of the listener.
    pub address: Address,
    /// `SO_PEERCRED` of a Unix peer.
    pub credentials: Option<Credentials>,
}

/// Peer credentials of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// process id at connect time
    pub pid: i32,
    /// effective user id
    pub uid: u32,
    /// effective group id
    pub gid: u32,
}

/// How the socket of an outgoing connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Re-arm TCP_QUICKACK after every read: for servers that keep Nagle on (KATCP).
    pub quick_ack: bool,
    /// Receive buffer of the kernel, bytes. It is asked for with privilege only: without, `SO_RCVBUF` would be
    /// cut to `net.core.rmem_max` and end the kernel's own growing (to `net.ipv4.tcp_rmem`, 6 MiB as a rule).
    pub receive_buffer: Option<usize>,
    /// When a silent TCP peer is probed.
    pub keep_alive: KeepAlive,
    /// Bytes read in one go and turn; at most [`READ_BUDGET_MAX`].
    pub read_budget: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            quick_ack: false,
            receive_buffer: None,
            keep_alive: KeepAlive::default(),
            read_budget: READ_BUDGET,
        }
    }
}

/// Probing of a TCP peer that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe, whole seconds.
    pub idle: Duration,
    /// Between probes, whole seconds.
    pub interval: Duration,
    /// Unanswered probes until it counts as gone.
    pub probes: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        KeepAlive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 }
    }
}

/// Bytes read from one connection per turn, unless it was opened with another budget.
pub const READ_BUDGET: usize = 64 << 10;
/// The largest such budget: others wait that long.
pub const READ_BUDGET_MAX: usize = 1 << 20;

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On the monotonic clock.
    Mono(Mono),
    /// On the wall clock (`CLOCK_REALTIME`, absolute); re-evaluated when the clock is set.
    Utc(Utc),
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed its end.
    PeerClosed,
    /// We closed it (after flushing) or aborted it.
    Local,
    /// The system reported an error.
    Error(String),
    /// More output queued than allowed, or no progress for too long.
    Overrun(String),
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT; `count` is 1 for the first.
    Stop {
        /// How many such signals have arrived.
        count: u32,
    },
    /// SIGQUIT: another process takes the place of this one.
    HandOver,
    /// SIGHUP.
    Reload,
    /// SIGUSR1: dump the state into the log.
    Dump,
}

/// Which output of a child a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// standard output
    Stdout,
    /// standard error
    Stderr,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// exit status
    Code(i32),
    /// killed by this signal
    Signal(i32),
}

/// A child program to start: never through a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Absolute path, or a name looked up on PATH.
    pub path: PathBuf,
    /// Arguments after argv[0].
    pub args: Vec<String>,
    /// Variables added to (or replacing) the inherited environment.
    pub env: Vec<(String, String)>,
    /// Ask the kernel for SIGTERM on the death of this process (`PR_SET_PDEATHSIG`).
    pub die_with_parent: bool,
    /// Processors it may run on; empty: any.
    pub cpus: Vec<u32>,
    /// Working directory; `None`: ours.
    pub dir: Option<PathBuf>,
    /// It outlives this process: a session of its own, no pipes to us, standard error shared.
    pub detached: bool,
}

/// A fact about the world.
#[derive(Debug)]
pub enum Event<'a, D> {
    /// A listener is ready; for port 0 this is the port chosen.
    Listening {
        /// the name it was asked for under
        tag: Tag,
        /// where
        address: Address,
    },
    /// A listener could not be opened.
    ListenFailed {
        /// the name it was asked for under
        tag: Tag,
        /// where
        address: Address,
        /// why, in words
        error: String,
    },
    /// Somebody connected to a listener.
    Accepted {
        /// the listener it came to
        listener: Tag,
        /// the connection
        conn: ConnId,
        /// who
        peer: Peer,
    },
    /// An outgoing connection is established.
    Connected {
        /// the name it was asked for under
        tag: Tag,
        /// the connection
        conn: ConnId,
    },
    /// An outgoing connection was refused, timed out or could not be tried.
    ConnectFailed {
        /// the name it was asked for under
        tag: Tag,
        /// why, in words
        error: String,
    },
    /// Bytes arrived.
    Received {
        /// the connection
        conn: ConnId,
        /// what
        bytes: &'a [u8],
    },
    /// The output queue of a connection rose above the high-water mark: the peer takes less than it is given.
    Congested {
        /// the connection
        conn: ConnId,
    },
    /// The output queue of a connection fell below the low-water mark again.
    Drained {
        /// the connection
        conn: ConnId,
    },
    /// The connection is gone. For peers that only half-close this comes at end of input.
    Closed {
        /// the connection
        conn: ConnId,
        /// why
        reason: CloseReason,
    },
    /// A timer is due.
    Timer {
        /// which timer
        key: TimerKey,
    },
    /// The wall clock was set (stepped); `Utc` timers have been re-armed.
    ClockSet,
    /// A child runs.
    ChildStarted {
        /// the name it was asked for under
        tag: Tag,
        /// its process id
        pid: u32,
    },
    /// A child could not be started.
    SpawnFailed {
        /// the name it was asked for under
        tag: Tag,
        /// why, in words
        error: String,
    },
    /// One line (without its end) from a child; longer than 4096 bytes is cut.
    ChildLine {
        /// the name it was asked for under
        tag: Tag,
        /// which output
        stream: Stream,
        /// the line
        line: &'a [u8],
    },
    /// Writing to the child's stdin failed: it closed it or died.
    ChildInputClosed {
        /// the name it was asked for under
        tag: Tag,
    },
    /// The child ended and was reaped.
    ChildExited {
        /// the name it was asked for under
        tag: Tag,
        /// how
        exit: Exit,
    },
    /// A worker has done a job, or it will not be done.
    Done(Result<D, Lost>),
    /// A signal.
    Signal(Request),
}

/// Signals an app may send to its child's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildSignal {
    /// SIGTERM
    Term,
    /// SIGKILL
    Kill,
}

/// An order to the loop.
#[derive(Debug)]
pub enum Effect<J> {
    /// Open a listener: answered by `Listening` or `ListenFailed`.
    Listen {
        /// the name it was asked for under
        tag: Tag,
        /// where
        address: Address,
    },
    /// Close it; accepted connections stay.
    Unlisten {
        /// the name it was asked for under
        tag: Tag,
    },
    /// Open a connection: answered by `Connected` or `ConnectFailed`.
    Connect {
        /// the name it was asked for under
        tag: Tag,
        /// where
        address: Address,
        /// give up after this
        timeout: Duration,
        /// how the socket is used
        options: ConnectOptions,
    },
    /// Queue bytes; ignored when the connection is gone or closing.
    Send {
        /// the connection
        conn: ConnId,
        /// what
        bytes: Vec<u8>,
    },
    /// Close when everything queued is written.
    Close {
        /// the connection
        conn: ConnId,
    },
    /// Close now.
    Abort {
        /// the connection
        conn: ConnId,
    },
    /// Stop or resume delivering input; what arrives meanwhile waits in the socket.
    PauseReading {
        /// the connection
        conn: ConnId,
        /// pause or go on
        paused: bool,
    },
    /// Set or replace a timer.
    SetTimer {
        /// which timer
        key: TimerKey,
        /// when it is due
        at: When,
    },
    /// Cancel a timer; unknown keys are fine.
    CancelTimer {
        /// which timer
        key: TimerKey,
    },
    /// Start a program: answered by `ChildStarted` or `SpawnFailed`.
    Spawn {
        /// the name it was asked for under
        tag: Tag,
        /// what to run
        program: Program,
    },
    /// Queue bytes for a child's stdin (at most 1 MiB may wait, more closes it: `ChildInputClosed`).
    WriteChild {
        /// the name it was asked for under
        tag: Tag,
        /// what
        bytes: Vec<u8>,
    },
    /// End of input for the child, after what is queued.
    CloseChildInput {
        /// the name it was asked for under
        tag: Tag,
    },
    /// Signal the process group of a child.
    SignalChild {
        /// the name it was asked for under
        tag: Tag,
        /// which
        signal: ChildSignal,
    },
    /// Hand a job to the named worker thread (started on first use; jobs of one worker run in order).
    Work {
        /// name of the thread
        worker: &'static str,
        /// what to do
        job: J,
    },
    /// Leave the loop once queued output is flushed (at most 1 s).
    Exit {
        /// exit status of the process
        code: u8,
    },
}

/// Where an app puts its orders; the loop carries them out in order after each event.
#[derive(Debug)]
pub struct Effects<J> {
    queue: Vec<Effect<J>>,
}

impl<J> Default for Effects<J> {
    fn default() -> Self {
        Effects { queue: Vec::new() }
    }
}

impl<J> Effects<J> {
    /// Adds an order.
    pub fn push(&mut self, effect: Effect<J>) {
        self.queue.push(effect);
    }
    /// Takes all orders (for the loop and for tests).
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<J>> {
        self.queue.drain(..)
    }
    /// Queue bytes to a connection.
    pub fn send(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.push(Effect::Send { conn, bytes });
    }
    /// Set or replace a timer.
    pub fn set_timer(&mut self, key: TimerKey, at: When) {
        self.push(Effect::SetTimer { key, at });
    }
    /// Cancel a timer; unknown keys are fine.
    pub fn cancel_timer(&mut self, key: TimerKey) {
        self.push(Effect::CancelTimer { key });
    }
}

/// What a job is called, for those who wait for one that is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobName {
    /// Which kind of job; the app's own word.
    pub kind: &'static str,
    /// Which of them: a file, a ticket, or nothing.
    pub of: String,
}

/// A job that will not be done: its worker panicked over it, takes no more, or could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The job.
    pub job: JobName,
    /// In words.
    pub why: String,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.job.kind, self.job.of.as_str()) {
            ("", _) => f.write_str(&self.why),
            (kind, "") => write!(f, "{kind}: {}", self.why),
            (kind, of) => write!(f, "{kind} ({of}): {}", self.why),
        }
    }
}

/// What the loop drives: a role composed with its sessions, a simulator, the DAQ control side.
pub trait App {
    /// Blocking work, run on a named worker thread.
    type Job: Send + 'static;
    /// What a job yields.
    type Done: Send + 'static;
    /// Called once before the first event.
    fn start(&mut self, now: Now, fx: &mut Effects<Self::Job>);
    /// One event in, orders out.
    fn handle(&mut self, event: Event<'_, Self::Done>, now: Now, fx: &mut Effects<Self::Job>);
    /// [`App::handle`] has panicked: what it was told is dropped, and so is what it had ordered. Time to make
    /// safe what may be half done.
    fn panicked(&mut self, _text: &str, _now: Now, _fx: &mut Effects<Self::Job>) {}
    /// What to call a job if it is lost; an app that waits for its jobs names them.
    fn name_of(_job: &Self::Job) -> JobName {
        JobName::default()
    }
    /// Does a job; runs on a worker thread and may block.
    fn work(job: Self::Job) -> Self::Done;
}
