//! The loop itself: wait, fire what is due, give each ready source its turn.
//!
//! ```text
//!   arm timers -> poll -> timers due -> events of the poll -> sources with work left over -> again
//!                            │               │                        │
//!                            └───────────────┴── tell(event) ─────────┘
//!                                 app.handle -> effects carried out -> facts they cause -> app.handle ...
//! ```
//!
//! Readiness is edge-triggered: a source whose budget for this turn is used up goes on the `ready`
//! queue, and while that is not empty the poll does not wait.

use super::child::Child;
use super::conn::{Conn, Flushed};
use super::listen::Listener;
use super::panics::{EXIT_PANICS, Panics, panic_text};
use super::signals::{Meaning, SignalSource};
use super::slab::Generations;
use super::timers::{ClockTimer, TimerQueue};
use super::tokens::Source;
use super::workers::Workers;
use super::{App, CloseReason, ConnId, Effects, Event, READ_BUDGET, Request, Stream, TimerKey};
use crate::sys::clock;
use mio::{Events, Poll, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Exit status after a second request to stop.
pub const EXIT_FORCED: u8 = 130;
/// Events taken from one poll.
const EVENTS_MAX: usize = 256;
/// Consequences told to the app per turn; more wait, so that an app cannot keep the loop to itself.
const FACTS_PER_TURN: usize = 1024;
/// Time for queued output to leave after `Effect::Exit`.
const EXIT_FLUSH_MAX: Duration = Duration::from_secs(1);
/// Time for the workers to finish their jobs after `Effect::Exit`.
const EXIT_WORKERS_MAX: Duration = Duration::from_secs(5);

/// Bounds of a loop, and what it takes from the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// Take TERM, INT, HUP and USR1 of the process. One loop per process may.
    pub signals: bool,
    /// Connections at once, both directions; further peers are closed on arrival.
    pub connections_max: usize,
    /// Bytes that may be queued for one peer; more closes the connection (`Overrun`).
    pub output_max: usize,
    /// Above this a connection counts as congested ...
    pub high_water: usize,
    /// ... until it has fallen below this (`Drained`).
    pub low_water: usize,
    /// A peer with output queued that takes nothing for so long is closed (`Overrun`).
    pub stall_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            signals: true,
            connections_max: 1024,
            output_max: 64 << 20,
            high_water: 1 << 20,
            low_water: 256 << 10,
            stall_max: Duration::from_secs(60),
        }
    }
}

/// Runs the app until it orders [`Effect::Exit`](super::Effect::Exit); yields the exit status.
///
/// A second request to stop ends the loop at once with [`EXIT_FORCED`]; too many panics of the app
/// with [`EXIT_PANICS`]. `Err`: the system refused something without which no loop can run.
pub fn run<A: App>(app: &mut A, options: Options) -> io::Result<u8> {
    let (poll, remote) = Remote::new()?;
    run_on(app, options, poll, remote)
}

/// What other threads hold of a loop.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) waker: Arc<Waker>,
    pub(super) stops: Arc<AtomicU32>,
}

impl Remote {
    pub(super) fn new() -> io::Result<(Poll, Remote)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Source::Waker.token())?);
        Ok((poll, Remote { waker, stops: Arc::default() }))
    }
}

pub(super) fn run_on<A: App>(app: &mut A, options: Options, poll: Poll, remote: Remote) -> io::Result<u8> {
    Loop::new(app, options, poll, remote)?.run()
}

/// Timers on the monotonic clock: the app's, and our own deadlines.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    App(TimerKey),
    Connect(ConnId),
    Stall(ConnId),
    AcceptAgain(u32),
}

/// A source with work left over from its last turn.
pub(super) enum Ready {
    Conn(ConnId),
    Listener(u32),
    Child(u32, Stream),
}

/// How the loop ends.
#[derive(Clone, Copy)]
pub(super) enum Leaving {
    Orderly(u8),
    AtOnce(u8),
}

pub(super) struct Loop<'a, A: App> {
    app: &'a mut A,
    pub(super) options: Options,
    pub(super) poll: Poll,
    pub(super) conns: Generations<Conn>,
    pub(super) listeners: BTreeMap<u32, Listener>,
    pub(super) children: BTreeMap<u32, Child>,
    /// Last serial given to a listener or child.
    pub(super) serial: u32,
    pub(super) mono: TimerQueue<Timer>,
    pub(super) wall: TimerQueue<TimerKey>,
    mono_fd: ClockTimer,
    wall_fd: ClockTimer,
    pub(super) workers: Workers<A::Job, A::Done>,
    signals: SignalSource,
    remote: Remote,
    remote_stops: u32,
    stops: u32,
    pub(super) fx: Effects<A::Job>,
    /// Events caused by carrying out effects, not yet told.
    pub(super) facts: VecDeque<Event<'static, A::Done>>,
    pub(super) ready: VecDeque<Ready>,
    pub(super) scratch: Vec<u8>,
    panics: Panics,
    pub(super) leaving: Option<Leaving>,
}

impl<'a, A: App> Loop<'a, A> {
    fn new(app: &'a mut A, options: Options, poll: Poll, remote: Remote) -> io::Result<Self> {
        let (mono_fd, wall_fd) = (ClockTimer::monotonic()?, ClockTimer::wall()?);
        mono_fd.register(poll.registry(), Source::MonoTimer.token())?;
        wall_fd.register(poll.registry(), Source::WallTimer.token())?;
        let signals = SignalSource::open(options.signals, poll.registry(), Source::Signals.token())?;
        Ok(Loop {
            app,
            options,
            poll,
            conns: Generations::new(),
            listeners: BTreeMap::new(),
            children: BTreeMap::new(),
            serial: 0,
            mono: TimerQueue::new(),
            wall: TimerQueue::new(),
            mono_fd,
            wall_fd,
            workers: Workers::new(A::work, A::name_of, Arc::clone(&remote.waker)),
            signals,
            remote,
            remote_stops: 0,
            stops: 0,
            fx: Effects::default(),
            facts: VecDeque::new(),
            ready: VecDeque::new(),
            scratch: vec![0; READ_BUDGET],
            panics: Panics::default(),
            leaving: None,
        })
    }

    fn run(mut self) -> io::Result<u8> {
        self.app.start(clock::now(), &mut self.fx);
        self.carry_out();
        self.tell_facts();
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            if let Some(leaving) = self.leaving {
                return self.leave(leaving);
            }
            self.turn(&mut events)?;
        }
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let clock_set = self.arm_timers()?;
        let work_left = clock_set || !self.ready.is_empty() || !self.facts.is_empty();
        match self.poll.poll(events, work_left.then_some(Duration::ZERO)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        if clock_set {
            self.tell(Event::ClockSet);
        }
        self.tell_facts();
        self.fire_timers();
        for event in events.iter() {
            self.on_readiness(event)?;
        }
        for ready in std::mem::take(&mut self.ready) {
            match ready {
                Ready::Conn(id) => self.read_turn(id),
                Ready::Listener(serial) => self.accept_turn(serial),
                Ready::Child(serial, stream) => self.child_turn(serial, stream),
            }
        }
        Ok(())
    }

    fn on_readiness(&mut self, event: &mio::event::Event) -> io::Result<()> {
        match Source::of(event.token()) {
            Some(Source::Conn(id)) => self.on_conn(id, event),
            Some(Source::Listener(serial)) => self.accept_turn(serial),
            Some(Source::Waker) => self.on_waker(),
            Some(Source::Signals) => self.on_signals(),
            Some(Source::MonoTimer) => drop(self.mono_fd.acknowledge()?),
            Some(Source::WallTimer) => self.on_wall_timer()?,
            Some(Source::ChildExit(serial)) => self.reap(serial),
            Some(Source::ChildInput(serial)) => self.on_child_input(serial, event),
            Some(Source::ChildOutput(serial)) => self.child_turn(serial, Stream::Stdout),
            Some(Source::ChildErrors(serial)) => self.child_turn(serial, Stream::Stderr),
            None => {}
        }
        Ok(())
    }

    /// Tells the app one event, carries out its orders, then tells what these caused.
    pub(super) fn tell(&mut self, event: Event<'_, A::Done>) {
        self.handle(event);
        self.tell_facts();
    }

    pub(super) fn tell_facts(&mut self) {
        for _ in 0..FACTS_PER_TURN {
            let Some(fact) = self.facts.pop_front() else { return };
            self.handle(fact);
        }
    }

    fn handle(&mut self, event: Event<'_, A::Done>) {
        if self.leaving.is_some() {
            return;
        }
        let conn = conn_of(&event);
        let handled = catch_unwind(AssertUnwindSafe(|| self.app.handle(event, clock::now(), &mut self.fx)));
        match handled {
            Ok(()) => self.carry_out(),
            Err(payload) => self.on_panic(conn, &panic_text(&*payload)),
        }
    }

    /// The dispatch boundary: what was being handled ends, orders half given are dropped.
    fn on_panic(&mut self, conn: Option<ConnId>, text: &str) {
        self.fx.drain();
        let told = catch_unwind(AssertUnwindSafe(|| self.app.panicked(text, clock::now(), &mut self.fx)));
        match told {
            Ok(()) => self.carry_out(),
            Err(_) => {
                self.fx.drain();
            }
        }
        match conn {
            Some(id) => {
                log::error!("internal error on connection {:#x}, which is closed now: {text}", id.0);
                self.close(id, CloseReason::Error(format!("internal error: {text}")));
            }
            None => log::error!("internal error, the event is dropped: {text}"),
        }
        if self.panics.count(clock::mono()) {
            log::error!(
                "too many internal errors in a short time: the process ends, please restart it and report"
            );
            self.leaving = Some(Leaving::AtOnce(EXIT_PANICS));
        }
    }

    fn arm_timers(&mut self) -> io::Result<bool> {
        self.mono_fd.arm(self.mono.earliest())?;
        self.wall_fd.arm(self.wall.earliest())
    }

    fn fire_timers(&mut self) {
        let now = clock::now();
        let mark = self.mono.mark();
        while let Some(timer) = self.mono.pop_due(now.mono.0 as i64, mark) {
            match timer {
                Timer::App(key) => self.tell(Event::Timer { key }),
                Timer::Connect(id) => self.close(id, CloseReason::Error("no answer in time".into())),
                Timer::Stall(id) => self.on_stall(id),
                Timer::AcceptAgain(serial) => self.accept_turn(serial),
            }
        }
        let mark = self.wall.mark();
        while let Some(key) = self.wall.pop_due(now.utc.0, mark) {
            self.tell(Event::Timer { key });
        }
        self.tell_facts();
    }

    fn on_wall_timer(&mut self) -> io::Result<()> {
        if self.wall_fd.acknowledge()? {
            self.tell(Event::ClockSet);
        }
        Ok(())
    }

    fn on_waker(&mut self) {
        while let Some(outcome) = self.workers.next_result() {
            self.tell(Event::Done(outcome));
        }
        let asked = self.remote.stops.load(Ordering::Acquire);
        while self.remote_stops < asked {
            self.remote_stops += 1;
            self.on_stop();
        }
    }

    fn on_signals(&mut self) {
        for meaning in self.signals.pending() {
            match meaning {
                Meaning::Stop => self.on_stop(),
                Meaning::Ask(request) => self.tell(Event::Signal(request)),
                Meaning::Child => self.reap_all(),
            }
        }
    }

    /// The first request is the app's to obey; the second is obeyed here.
    fn on_stop(&mut self) {
        self.stops += 1;
        self.tell(Event::Signal(Request::Stop { count: self.stops }));
        if self.stops >= 2 && self.leaving.is_none() {
            log::warn!("asked to stop again: leaving at once");
            self.leaving = Some(Leaving::AtOnce(EXIT_FORCED));
        }
    }

    fn leave(mut self, leaving: Leaving) -> io::Result<u8> {
        match leaving {
            Leaving::AtOnce(code) => Ok(code),
            Leaving::Orderly(code) => {
                self.flush_all()?;
                if !self.workers.finish(EXIT_WORKERS_MAX) {
                    log::warn!("a worker did not finish within {EXIT_WORKERS_MAX:?}; leaving without it");
                }
                Ok(code)
            }
        }
    }

    fn flush_all(&mut self) -> io::Result<()> {
        let deadline = clock::mono() + EXIT_FLUSH_MAX;
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let mut waiting = false;
            for conn in self.conns.values_mut() {
                let Conn { output, socket, .. } = conn;
                waiting |= matches!(output.flush(socket), Ok(Flushed::Some(_)));
            }
            let left = deadline.since(clock::mono());
            if !waiting || left.is_zero() {
                break;
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
        }
        for conn in self.conns.values_mut() {
            conn.socket.finish_writing();
            conn.discard_input();
        }
        Ok(())
    }
}

/// The connection an event is about: the one that pays for a panic.
fn conn_of<D>(event: &Event<'_, D>) -> Option<ConnId> {
    match event {
        Event::Accepted { conn, .. }
        | Event::Connected { conn, .. }
        | Event::Received { conn, .. }
        | Event::Congested { conn }
        | Event::Drained { conn }
        | Event::Closed { conn, .. } => Some(*conn),
        _ => None,
    }
}
