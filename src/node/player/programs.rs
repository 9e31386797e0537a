//! The programs of a player: children of this process, or, where they shall outlive it, of a keeper each.

use crate::keep::look::{Found, look};
use crate::keep::message::{Inbox, News, Order, line};
use crate::plan::Child;
use crate::player::bank::{Adopted, Input};
use crate::reactor::{
    Address, ChildSignal, ConnId, ConnectOptions, Effect, Effects, Event, Exit, Program, Stream, Tag,
};
use crate::units::{Mono, Now};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// Between two tries to reach a keeper that was just started.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// A keeper that does not listen by then has failed.
const REACHED_WITHIN: Duration = Duration::from_secs(4);
/// Orders that wait for the way to a keeper; a player gives a handful.
const WAITING_MAX: usize = 64;
/// A Unix socket answers at once.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Where keepers are, and how they are started.
#[derive(Clone, Debug)]
pub struct KeepPlace {
    /// Directory of the sockets.
    pub dir: PathBuf,
    /// What distinguishes this player from others on the host.
    pub name: String,
    /// This binary.
    pub binary: PathBuf,
}

impl KeepPlace {
    /// Where the keeper of a program listens.
    pub fn socket(&self, child: Child) -> PathBuf {
        let child = match child {
            Child::Daq => "daq",
            Child::FitsWriter => "fits-writer",
        };
        self.dir.join(format!("appliance-keep-{}-{child}.sock", self.name))
    }
}

/// How far the way to a keeper is.
#[derive(Debug)]
enum Way {
    None,
    /// To be tried (again) then.
    Trying {
        next: Mono,
        connecting: bool,
    },
    Open {
        conn: ConnId,
        inbox: Inbox,
        /// It has said whose keeper it is.
        heard: bool,
    },
}

#[derive(Debug)]
struct Slot {
    child: Child,
    way: Way,
    /// Orders for the time when its keeper is heard.
    waiting: VecDeque<Order>,
    /// The player knows that it runs.
    runs: bool,
    /// It ran when we came.
    found: Option<Found>,
    /// The keeper to be started, until it is heard.
    launch: Option<Program>,
    /// It was started; nobody else's socket is tried before.
    launched: bool,
    /// A keeper is our child; the next one waits for its end.
    keeper_runs: bool,
    /// It must be heard by then.
    heard_by: Mono,
    /// A program that was started before is not the one that was ordered.
    not_before: Mono,
}

/// The programs of one player.
#[derive(Debug)]
pub struct Programs {
    keep: Option<KeepPlace>,
    slots: [Slot; 2],
}

/// The program itself, the keeper as our child, and the connection to the keeper.
fn tags(child: Child) -> [Tag; 3] {
    match child {
        Child::Daq => [Tag(10), Tag(12), Tag(14)],
        Child::FitsWriter => [Tag(11), Tag(13), Tag(15)],
    }
}

impl Programs {
    /// `keep`: programs outlive this process; those that an earlier one has left running are looked for (which
    /// blocks shortly: before the loop).
    pub fn new(keep: Option<KeepPlace>, now: Now) -> Programs {
        let slot = |child| {
            let found = keep.as_ref().and_then(|place| look(&place.socket(child)));
            let way = if found.is_some() { trying(now) } else { Way::None };
            let runs = found.is_some();
            Slot {
                child,
                way,
                waiting: VecDeque::new(),
                runs,
                found,
                launch: None,
                launched: false,
                keeper_runs: false,
                heard_by: now.mono + REACHED_WITHIN,
                not_before: Mono(0),
            }
        };
        Programs { slots: [slot(Child::Daq), slot(Child::FitsWriter)], keep }
    }

    /// What ran already.
    pub fn adopted(&self) -> impl Iterator<Item = Adopted> + '_ {
        self.slots.iter().filter_map(|s| {
            let Found { pid, since } = s.found?;
            Some(Adopted { child: s.child, pid, since })
        })
    }

    fn slot(&mut self, child: Child) -> &mut Slot {
        &mut self.slots[usize::from(child == Child::FitsWriter)]
    }

    /// Starts a program.
    pub fn spawn<J>(&mut self, child: Child, program: Program, now: Now, fx: &mut Effects<J>) {
        let [own, ..] = tags(child);
        let Some(place) = &self.keep else { return fx.push(Effect::Spawn { tag: own, program }) };
        let mut args =
            vec!["keep".to_owned(), "--socket".to_owned(), place.socket(child).display().to_string()];
        if program.die_with_parent {
            args.push("--die-with-parent".into());
        }
        // Not the keeper itself: it must not disturb what has these processors for itself.
        args.extend(program.cpus.iter().flat_map(|cpu| ["--cpu".to_owned(), cpu.to_string()]));
        args.extend(program.dir.iter().flat_map(|dir| ["--dir".to_owned(), dir.display().to_string()]));
        args.extend(["--".to_owned(), program.path.display().to_string()]);
        args.extend(program.args);
        let path = place.binary.clone();
        let program = Program { path, args, env: program.env, detached: true, ..Program::default() };
        let slot = self.slot(child);
        (slot.launch, slot.launched, slot.way) = (Some(program), false, trying(now));
        slot.forget_waiting();
        (slot.not_before, slot.heard_by) = (now.mono, now.mono + REACHED_WITHIN);
    }

    /// A command line, its end included.
    pub fn line<J>(&mut self, child: Child, text: String, fx: &mut Effects<J>) {
        log::info!("{child} <- {}", text.trim_end());
        let kept = Order::Line(text.trim_end_matches('\n').to_owned());
        let own = Effect::WriteChild { tag: tags(child)[0], bytes: text.into_bytes() };
        self.order(child, kept, own, fx);
    }

    /// Closes a program's standard input.
    pub fn close_input<J>(&mut self, child: Child, fx: &mut Effects<J>) {
        self.order(child, Order::CloseInput, Effect::CloseChildInput { tag: tags(child)[0] }, fx);
    }

    /// Signals a program.
    pub fn signal<J>(&mut self, child: Child, signal: ChildSignal, fx: &mut Effects<J>) {
        let own = Effect::SignalChild { tag: tags(child)[0], signal };
        self.order(child, Order::signal(signal), own, fx);
    }

    fn order<J>(&mut self, child: Child, kept: Order, own: Effect<J>, fx: &mut Effects<J>) {
        if !self.outlive_us() {
            return fx.push(own);
        }
        let slot = self.slot(child);
        match &slot.way {
            Way::Open { conn, heard: true, .. } => fx.send(*conn, line(&kept)),
            // Found by a player that has just begun, and already given something to do.
            Way::Open { .. } | Way::Trying { .. } if slot.waiting.len() < WAITING_MAX => {
                slot.waiting.push_back(kept);
            }
            _ => log::warn!("{child}: its keeper is not reached, {kept:?} is lost"),
        }
    }

    /// They have keepers.
    pub fn outlive_us(&self) -> bool {
        self.keep.is_some()
    }

    /// When [`Programs::tick`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        let due = self.slots.iter().filter_map(|s| match s.way {
            Way::Trying { next, connecting: false, .. } => Some(next),
            _ => None,
        });
        due.min()
    }

    /// Tries to reach keepers; the facts that come of it.
    pub fn tick<J>(&mut self, now: Now, fx: &mut Effects<J>) -> Vec<Input> {
        let Some(place) = self.keep.clone() else { return Vec::new() };
        let mut inputs = Vec::new();
        for slot in &mut self.slots {
            let Way::Trying { next, connecting } = &mut slot.way else { continue };
            if *connecting || *next > now.mono {
                continue;
            }
            if slot.heard_by <= now.mono {
                inputs.push(slot.lost("its keeper does not answer"));
                continue;
            }
            match &slot.launch {
                // The one before has not ended yet: its socket would be taken for that of the next.
                Some(_) if slot.keeper_runs && !slot.launched => {
                    *next = now.mono + TRY_EVERY;
                    continue;
                }
                Some(program) if !slot.keeper_runs => {
                    let [_, tag, _] = tags(slot.child);
                    fx.push(Effect::Spawn { tag, program: program.clone() });
                    (slot.keeper_runs, slot.launched) = (true, true);
                    *next = now.mono + TRY_EVERY;
                    continue;
                }
                _ => {}
            }
            *connecting = true;
            let address = Address::Unix(place.socket(slot.child));
            let [_, _, tag] = tags(slot.child);
            let options = ConnectOptions::default();
            fx.push(Effect::Connect { tag, address, timeout: CONNECT_WITHIN, options });
        }
        inputs
    }

    /// Takes the events that are about programs; gives the others back.
    pub fn handle<'a, D, J>(
        &mut self,
        event: Event<'a, D>,
        now: Now,
        fx: &mut Effects<J>,
    ) -> Result<Vec<Input>, Event<'a, D>> {
        let slot_of = |tag: Tag, which: usize| self.slots.iter().position(|s| tags(s.child)[which] == tag);
        match event {
            Event::ChildStarted { tag, pid } => Ok(match slot_of(tag, 0) {
                Some(i) => vec![Input::ChildStarted { child: self.slots[i].child, pid }],
                None => Vec::new(),
            }),
            Event::SpawnFailed { tag, error } => Ok(match slot_of(tag, 0).or(slot_of(tag, 1)) {
                Some(i) => {
                    (self.slots[i].way, self.slots[i].launch) = (Way::None, None);
                    self.slots[i].keeper_runs = false;
                    vec![Input::SpawnFailed { child: self.slots[i].child, error }]
                }
                None => Vec::new(),
            }),
            Event::ChildLine { tag, stream, line } => {
                if let Some(i) = slot_of(tag, 0) {
                    say(self.slots[i].child, stream == Stream::Stderr, &String::from_utf8_lossy(line));
                }
                Ok(Vec::new())
            }
            Event::ChildInputClosed { tag } => {
                if let Some(i) = slot_of(tag, 0) {
                    log::warn!("{} no longer reads commands", self.slots[i].child);
                }
                Ok(Vec::new())
            }
            Event::ChildExited { tag, exit } => Ok(match (slot_of(tag, 0), slot_of(tag, 1)) {
                (Some(i), _) => vec![Input::ChildExited { child: self.slots[i].child, exit }],
                (_, Some(i)) => {
                    // The one before, or one that found the socket of the one before: the next is started.
                    self.slots[i].keeper_runs = false;
                    if let Way::Trying { next, connecting: false, .. } = &mut self.slots[i].way {
                        *next = now.mono + TRY_EVERY;
                    }
                    Vec::new()
                }
                _ => Vec::new(),
            }),
            Event::Connected { tag, conn } => match slot_of(tag, 2) {
                Some(i) => {
                    self.slots[i].way = Way::Open { conn, inbox: Inbox::default(), heard: false };
                    Ok(Vec::new())
                }
                None => Err(Event::Connected { tag, conn }),
            },
            Event::ConnectFailed { tag, error } => match slot_of(tag, 2) {
                Some(i) => {
                    if let Way::Trying { next, connecting, .. } = &mut self.slots[i].way {
                        (*next, *connecting) = (now.mono + TRY_EVERY, false);
                    }
                    Ok(Vec::new())
                }
                None => Err(Event::ConnectFailed { tag, error }),
            },
            Event::Received { conn, bytes } => match self.open(conn) {
                Some(i) => Ok(self.slots[i].hear(bytes, now, fx)),
                None => Err(Event::Received { conn, bytes }),
            },
            Event::Closed { conn, reason } => match self.open(conn) {
                // Not a word was heard: it is one that was about to end, or one that is not ready.
                Some(i) if !self.slots[i].runs && self.slots[i].launch.is_some() => {
                    self.slots[i].way = Way::Trying { next: now.mono + TRY_EVERY, connecting: false };
                    Ok(Vec::new())
                }
                // Its program is told of the keeper's death by the kernel.
                Some(i) => {
                    Ok(vec![self.slots[i].lost(&format!("the connection to its keeper is gone: {reason:?}"))])
                }
                None => Err(Event::Closed { conn, reason }),
            },
            other => Err(other),
        }
    }

    fn open(&self, conn: ConnId) -> Option<usize> {
        self.slots.iter().position(|s| matches!(&s.way, Way::Open { conn: c, .. } if *c == conn))
    }
}

impl Slot {
    /// The program, or the way to it, is gone.
    fn lost(&mut self, why: &str) -> Input {
        (self.way, self.launch) = (Way::None, None);
        self.forget_waiting();
        if std::mem::take(&mut self.runs) {
            log::error!("{}: {why}", self.child);
            Input::ChildExited { child: self.child, exit: Exit::Signal(libc::SIGKILL) }
        } else {
            Input::SpawnFailed { child: self.child, error: why.to_owned() }
        }
    }

    /// They were for a program that is not there any more.
    fn forget_waiting(&mut self) {
        for order in self.waiting.drain(..) {
            log::warn!("{}: its keeper was not reached, {order:?} is lost", self.child);
        }
    }

    fn hear<J>(&mut self, bytes: &[u8], now: Now, fx: &mut Effects<J>) -> Vec<Input> {
        let Way::Open { conn, inbox, .. } = &mut self.way else { return Vec::new() };
        let conn = *conn;
        match inbox.feed::<News>(bytes) {
            Ok(news) if self.is_of_the_one_before(&news) => {
                fx.push(Effect::Abort { conn });
                self.way = trying(now);
                Vec::new()
            }
            Ok(news) => news.into_iter().filter_map(|news| self.take(news, conn, fx)).collect(),
            Err(why) => {
                fx.push(Effect::Abort { conn });
                vec![self.lost(&format!("its keeper is not understood: {why}"))]
            }
        }
    }

    /// A keeper that is about to end still answers.
    fn is_of_the_one_before(&self, news: &[News]) -> bool {
        matches!(news.first(), Some(News::Hello { mono_ns, .. }) if *mono_ns < self.not_before.0)
    }

    fn take<J>(&mut self, news: News, conn: ConnId, fx: &mut Effects<J>) -> Option<Input> {
        let child = self.child;
        let ended = |fx: &mut Effects<J>| {
            fx.send(conn, line(&Order::End));
            fx.push(Effect::Close { conn });
        };
        match news {
            News::Hello { pid, .. } => {
                self.launch = None;
                if let Way::Open { heard, .. } = &mut self.way {
                    *heard = true;
                }
                for order in self.waiting.drain(..) {
                    fx.send(conn, line(&order));
                }
                (!std::mem::replace(&mut self.runs, true)).then_some(Input::ChildStarted { child, pid })
            }
            News::SpawnFailed(error) => {
                ended(fx);
                (self.way, self.launch) = (Way::None, None);
                self.forget_waiting();
                Some(Input::SpawnFailed { child, error })
            }
            News::Output { error, line } => {
                say(child, error, &line);
                None
            }
            News::Dropped(lines) => {
                log::warn!("{child}: {lines} lines it wrote while nobody listened were not kept");
                None
            }
            News::InputClosed => {
                log::warn!("{child} no longer reads commands");
                None
            }
            News::Exited { code, signal } => {
                ended(fx);
                (self.way, self.runs) = (Way::None, false);
                self.forget_waiting();
                Some(Input::ChildExited { child, exit: News::exit(code, signal) })
            }
        }
    }
}

fn trying(now: Now) -> Way {
    Way::Trying { next: now.mono, connecting: false }
}

fn say(child: Child, error: bool, line: &str) {
    let level = if error { log::Level::Warn } else { log::Level::Info };
    log::log!(level, "{child}: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Utc;

    fn at(ms: u64) -> Now {
        Now { mono: Mono(ms * 1_000_000), utc: Utc(0) }
    }

    fn programs(dir: &std::path::Path) -> Programs {
        let place = KeepPlace { dir: dir.to_owned(), name: "0".into(), binary: "/bin/appliance".into() };
        Programs::new(Some(place), at(0))
    }

    fn hello(pid: u32, now: Now) -> Vec<u8> {
        line(&News::hello(pid, now))
    }

    fn orders(fx: &mut Effects<()>) -> Vec<String> {
        let name = |e: Effect<()>| match e {
            Effect::Spawn { program, .. } => format!("spawn {}", program.args.join(" ")),
            Effect::Connect { .. } => "connect".into(),
            Effect::Send { bytes, .. } => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Effect::Close { .. } => "close".into(),
            Effect::Abort { .. } => "abort".into(),
            other => format!("{other:?}"),
        };
        fx.drain().map(name).collect()
    }

    fn event(p: &mut Programs, event: Event<'_, ()>, now: Now, fx: &mut Effects<()>) -> String {
        format!("{:?}", p.handle(event, now, fx).expect("about a program"))
    }

    fn daq() -> Program {
        Program { path: "/site/daq".into(), die_with_parent: true, ..Program::default() }
    }

    #[test]
    fn a_program_is_started_through_its_keeper_and_the_next_one_waits_for_the_end_of_that() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut p, mut fx) = (programs(dir.path()), Effects::default());
        let [_, keeper, link] = tags(Child::Daq);
        let conn = ConnId(7);
        p.spawn(Child::Daq, daq(), at(10), &mut fx);
        p.tick(at(10), &mut fx);
        let socket = dir.path().join("appliance-keep-0-daq.sock");
        let started = format!("spawn keep --socket {} --die-with-parent -- /site/daq", socket.display());
        assert_eq!(orders(&mut fx), std::slice::from_ref(&started));
        p.tick(at(30), &mut fx);
        assert_eq!(orders(&mut fx), ["connect"]);
        event(&mut p, Event::ConnectFailed { tag: link, error: "not yet".into() }, at(30), &mut fx);
        p.tick(at(50), &mut fx);
        assert_eq!(orders(&mut fx), ["connect"]);
        event(&mut p, Event::Connected { tag: link, conn }, at(51), &mut fx);
        let facts = event(&mut p, Event::Received { conn, bytes: &hello(42, at(40)) }, at(52), &mut fx);
        assert_eq!(facts, "[ChildStarted { child: Daq, pid: 42 }]");
        p.line(Child::Daq, "START\n".into(), &mut fx);
        assert_eq!(orders(&mut fx), [r#"{"line":"START"}"#]);

        let exited = line(&News::exited(Exit::Code(0)));
        let facts = event(&mut p, Event::Received { conn, bytes: &exited }, at(100), &mut fx);
        assert_eq!(facts, "[ChildExited { child: Daq, exit: Code(0) }]");
        assert_eq!(orders(&mut fx), ["\"end\"", "close"]);
        // Its keeper takes a moment to go.
        p.spawn(Child::Daq, daq(), at(101), &mut fx);
        p.tick(at(101), &mut fx);
        assert_eq!(orders(&mut fx), [""; 0], "neither started beside it, nor taken for it");
        event(&mut p, Event::ChildExited { tag: keeper, exit: Exit::Code(0) }, at(104), &mut fx);
        p.tick(at(130), &mut fx);
        assert_eq!(orders(&mut fx), [started]);
        // A keeper that is not our child (an earlier player's) may still answer for a moment.
        p.tick(at(150), &mut fx);
        assert_eq!(orders(&mut fx), ["connect"]);
        event(&mut p, Event::Connected { tag: link, conn: ConnId(8) }, at(151), &mut fx);
        let old = hello(42, at(40));
        let facts = event(&mut p, Event::Received { conn: ConnId(8), bytes: &old }, at(152), &mut fx);
        assert_eq!((facts.as_str(), orders(&mut fx)), ("[]", vec!["abort".to_owned()]));
    }

    /// A player that has just begun takes its scan up again before it has reached the keeper.
    #[test]
    fn orders_wait_until_the_keeper_is_heard() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut p, mut fx) = (programs(dir.path()), Effects::default());
        // Found by looking, as `new` does.
        (p.slots[0].runs, p.slots[0].way) = (true, trying(at(0)));
        p.line(Child::Daq, "START\n".into(), &mut fx);
        p.tick(at(1), &mut fx);
        assert_eq!(orders(&mut fx), ["connect"]);
        let (link, conn) = (tags(Child::Daq)[2], ConnId(7));
        event(&mut p, Event::Connected { tag: link, conn }, at(2), &mut fx);
        p.line(Child::Daq, "STOP\n".into(), &mut fx);
        assert_eq!(orders(&mut fx), [""; 0], "whose keeper it is has not been said");
        event(&mut p, Event::Received { conn, bytes: &hello(42, at(0)) }, at(3), &mut fx);
        assert_eq!(orders(&mut fx), [r#"{"line":"START"}"#, r#"{"line":"STOP"}"#], "in their order");
        p.line(Child::Daq, "START\n".into(), &mut fx);
        assert_eq!(orders(&mut fx), [r#"{"line":"START"}"#], "at once");
    }

    /// Nothing that was meant for one program is said to the next.
    #[test]
    fn orders_for_a_keeper_that_is_not_heard_go_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut p, mut fx) = (programs(dir.path()), Effects::default());
        (p.slots[0].runs, p.slots[0].way) = (true, trying(at(0)));
        for _ in 0..2 * WAITING_MAX {
            p.line(Child::Daq, "START\n".into(), &mut fx);
        }
        assert_eq!(p.slots[0].waiting.len(), WAITING_MAX);
        let facts = format!("{:?}", p.tick(at(4001), &mut fx));
        assert!(facts.contains("ChildExited"), "{facts}");
        p.spawn(Child::Daq, daq(), at(4002), &mut fx);
        orders(&mut fx);
        let (link, conn) = (tags(Child::Daq)[2], ConnId(7));
        event(&mut p, Event::Connected { tag: link, conn }, at(4010), &mut fx);
        event(&mut p, Event::Received { conn, bytes: &hello(43, at(4005)) }, at(4011), &mut fx);
        assert_eq!(orders(&mut fx), [""; 0]);
    }

    #[test]
    fn a_keeper_that_is_never_heard_is_a_program_that_did_not_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut p, mut fx) = (programs(dir.path()), Effects::<()>::default());
        p.spawn(Child::FitsWriter, daq(), at(0), &mut fx);
        let mut facts = Vec::new();
        for ms in (0..5000).step_by(20) {
            facts.extend(p.tick(at(ms), &mut fx));
            if fx.drain().any(|e| matches!(e, Effect::Connect { .. })) {
                let tag = tags(Child::FitsWriter)[2];
                event(&mut p, Event::ConnectFailed { tag, error: "no".into() }, at(ms), &mut fx);
            }
        }
        assert_eq!(facts.len(), 1);
        assert!(format!("{facts:?}").contains("SpawnFailed"), "{facts:?}");
        assert_eq!(p.deadline(), None);
    }
}
