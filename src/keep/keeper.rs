//! The keeper as an app of the loop.

use super::message::{Inbox, News, Order, line};
use crate::reactor::{
    Address, App, ChildSignal, ConnId, Effect, Effects, Event, Exit, Program, Request, Tag, TimerKey, When,
};
use crate::units::Now;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// How long the exit status of a program waits for somebody to take it.
pub const LINGER: Duration = Duration::from_secs(3600);
/// Lines of output kept while nobody listens; older ones are counted and dropped.
const BACKLOG: usize = 500;

const CHILD: Tag = Tag(1);
const SOCKET: Tag = Tag(2);
const GIVE_UP: TimerKey = TimerKey(1);

#[derive(Debug)]
enum Phase {
    NotStarted,
    Running { pid: u32, since: Now },
    Failed(String),
    Ended { pid: u32, since: Now, exit: Exit },
}

/// The keeper of one program.
#[derive(Debug)]
pub struct Keeper {
    socket: PathBuf,
    program: Program,
    phase: Phase,
    client: Option<(ConnId, Inbox)>,
    backlog: VecDeque<News>,
    dropped: u64,
    input_closed: bool,
    /// It was told to end: with its program, not after somebody has asked for the exit status.
    stopping: bool,
    /// Nobody else may talk to it: our own user, and root.
    uid: u32,
}

impl Keeper {
    /// Will listen there and start this; `uid`: who may connect, besides root.
    pub fn new(socket: PathBuf, program: Program, uid: u32) -> Keeper {
        Keeper {
            socket,
            program,
            phase: Phase::NotStarted,
            client: None,
            backlog: VecDeque::new(),
            dropped: 0,
            input_closed: false,
            stopping: false,
            uid,
        }
    }

    fn tell(&mut self, news: &News, fx: &mut Effects<()>) {
        if let Some((conn, _)) = &self.client {
            fx.send(*conn, line(news));
        }
    }

    /// Output is kept for the next client if there is none.
    fn output(&mut self, news: News, fx: &mut Effects<()>) {
        if self.client.is_some() {
            return self.tell(&news, fx);
        }
        if self.backlog.len() >= BACKLOG {
            self.backlog.pop_front();
            self.dropped += 1;
        }
        self.backlog.push_back(news);
    }

    /// Everything a new client has to know.
    fn greet(&mut self, fx: &mut Effects<()>) {
        match &self.phase {
            Phase::NotStarted => return,
            Phase::Failed(why) => return self.tell(&News::SpawnFailed(why.clone()), fx),
            Phase::Running { pid, since } | Phase::Ended { pid, since, .. } => {
                self.tell(&News::hello(*pid, *since), fx);
            }
        }
        if self.dropped > 0 {
            let dropped = News::Dropped(std::mem::take(&mut self.dropped));
            self.tell(&dropped, fx);
        }
        for news in std::mem::take(&mut self.backlog) {
            self.tell(&news, fx);
        }
        if self.input_closed {
            self.tell(&News::InputClosed, fx);
        }
        if let Phase::Ended { exit, .. } = self.phase {
            self.tell(&News::exited(exit), fx);
        }
    }

    fn accepted(&mut self, conn: ConnId, uid: Option<u32>, fx: &mut Effects<()>) {
        if !uid.is_some_and(|u| u == self.uid || u == 0) {
            log::warn!("keeper: a client of user {uid:?} is not let in");
            return fx.push(Effect::Abort { conn });
        }
        if let Some((old, _)) = self.client.replace((conn, Inbox::default())) {
            fx.push(Effect::Abort { conn: old });
        }
        fx.push(Effect::CancelTimer { key: GIVE_UP });
        self.greet(fx);
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], fx: &mut Effects<()>) {
        let Some((_, inbox)) = self.client.as_mut().filter(|(c, _)| *c == conn) else { return };
        match inbox.feed::<Order>(bytes) {
            Ok(orders) => orders.into_iter().for_each(|order| self.obey(order, fx)),
            Err(why) => {
                log::warn!("keeper: {why}");
                fx.push(Effect::Abort { conn });
            }
        }
    }

    fn obey(&mut self, order: Order, fx: &mut Effects<()>) {
        match order {
            Order::Line(text) => {
                fx.push(Effect::WriteChild { tag: CHILD, bytes: (text + "\n").into_bytes() });
            }
            Order::CloseInput => fx.push(Effect::CloseChildInput { tag: CHILD }),
            Order::Signal { kill } => {
                let signal = if kill { ChildSignal::Kill } else { ChildSignal::Term };
                fx.push(Effect::SignalChild { tag: CHILD, signal });
            }
            Order::End if !matches!(self.phase, Phase::Running { .. }) => fx.push(Effect::Exit { code: 0 }),
            Order::End => {}
        }
    }

    /// Nobody listens any more: what has ended is not kept for ever.
    fn wait_for_somebody(&mut self, now: Now, fx: &mut Effects<()>) {
        if self.client.is_none() && !matches!(self.phase, Phase::Running { .. }) {
            fx.set_timer(GIVE_UP, When::Mono(now.mono + LINGER));
        }
    }
}

impl App for Keeper {
    type Job = ();
    type Done = ();

    fn start(&mut self, now: Now, fx: &mut Effects<()>) {
        fx.push(Effect::Listen { tag: SOCKET, address: Address::Unix(self.socket.clone()) });
        self.wait_for_somebody(now, fx);
    }

    fn handle(&mut self, event: Event<'_, ()>, now: Now, fx: &mut Effects<()>) {
        match event {
            // Not before: a program without a way to it must not run.
            Event::Listening { .. } => fx.push(Effect::Spawn { tag: CHILD, program: self.program.clone() }),
            Event::ListenFailed { address, error, .. } => {
                log::error!("keeper: cannot listen on {address:?}: {error}");
                fx.push(Effect::Exit { code: 1 });
            }
            Event::Accepted { conn, peer, .. } => self.accepted(conn, peer.credentials.map(|c| c.uid), fx),
            Event::Received { conn, bytes } => self.received(conn, bytes, fx),
            Event::Closed { conn, .. } => {
                if self.client.as_ref().is_some_and(|(c, _)| *c == conn) {
                    self.client = None;
                    self.wait_for_somebody(now, fx);
                }
            }
            Event::ChildStarted { pid, .. } => {
                self.phase = Phase::Running { pid, since: now };
                self.greet(fx);
            }
            Event::SpawnFailed { error, .. } => {
                self.phase = Phase::Failed(error);
                self.greet(fx);
                self.wait_for_somebody(now, fx);
            }
            Event::ChildLine { stream, line, .. } => self.output(News::output(stream, line), fx),
            Event::ChildInputClosed { .. } => {
                self.input_closed = true;
                self.tell(&News::InputClosed, fx);
            }
            Event::ChildExited { exit, .. } => {
                if let Phase::Running { pid, since } = self.phase {
                    self.phase = Phase::Ended { pid, since, exit };
                }
                self.tell(&News::exited(exit), fx);
                self.wait_for_somebody(now, fx);
                if self.stopping {
                    fx.push(Effect::Exit { code: 0 });
                }
            }
            Event::Timer { .. } => fx.push(Effect::Exit { code: 0 }),
            // Whoever ends the keeper means the program; it is given its time, and its end is ours.
            Event::Signal(Request::Stop { .. }) => {
                self.stopping = true;
                fx.push(Effect::SignalChild { tag: CHILD, signal: ChildSignal::Term });
                if !matches!(self.phase, Phase::Running { .. }) {
                    fx.push(Effect::Exit { code: 0 });
                }
            }
            Event::Signal(_)
            | Event::Connected { .. }
            | Event::ConnectFailed { .. }
            | Event::Congested { .. }
            | Event::Drained { .. }
            | Event::ClockSet
            | Event::Done(_) => {}
        }
    }

    fn work((): ()) {}
}
