//! The dealer, its players and the time between them.

use super::player::{ARM_BEFORE, Doing, MODE_TAKES, Player, Taken};
use appliance::api::{Call, CallError, Outcome, Ticket};
use appliance::dealer::Dealer;
use appliance::dealer::fanout::Policy;
use appliance::dealer::lease::Held;
use appliance::dealer::messages::{AskId, Index, Input, Kind, LinkEvent, Output};
use appliance::dealer::methods::{DealerCall, Pick, What};
use appliance::dealer::roster::Roster;
use appliance::dealer::rules::Rules;
use appliance::dealer::saved::Saved;
use appliance::dealer::start::utc_of;
use appliance::node::leases::Leases;
use appliance::units::{Mono, Now, Utc};
use appliance::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One way between dealer and player.
pub const TRAVEL: Duration = Duration::from_millis(5);
/// Until the proxy's file is written.
const SAVE_TAKES: Duration = Duration::from_millis(2);
/// A silent player is noticed after this.
const NOTICED: Duration = Duration::from_secs(3);

/// Instead of 0.9 s before the second, 15 s after it.
const LATE_BY: i64 = 15_900_000_000;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kindness {
    /// The connection goes, the player does not; again after 4 s.
    Lost,
    /// Stopped for 6 s with everything it has in its hands.
    Hung,
    /// Answers with an error.
    Refusing,
    /// Answers `[false, ..]`.
    SayingNo,
    /// 2.5 s late.
    Slow,
    /// Accepts a start, does not arm, and says so 15 s after the second.
    Late,
    /// Begins anew without a mode; there again after 2 s.
    Restarted,
    /// Its clock jumps by 0.6 s.
    ClockOff,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// The dealer has asked, the player has not heard.
    Asked,
    /// It has begun.
    Taken,
    /// Its answer has reached the dealer.
    Replied,
}

/// Something goes wrong with a player at its part of a method; once.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub player: usize,
    pub method: &'static str,
    pub moment: Moment,
    pub kind: Kindness,
}

enum Happening {
    Arrive { player: usize, wire: u32, id: AskId, call: Call },
    ModeSet { player: usize, life: u32, wire: u32, id: AskId, mode: String },
    Arm { player: usize, life: u32, start: Utc },
    Answer { player: usize, wire: u32, id: AskId, method: String, outcome: Outcome },
    Poll { player: usize },
    Down { player: usize, wire: u32 },
    Up { player: usize },
    Resume { player: usize },
    Saved { proxy: u32 },
}

pub struct World {
    pub dealer: Dealer,
    pub now: Now,
    pub players: Vec<Player>,
    pub replies: BTreeMap<u64, Vec<Outcome>>,
    pub journal: Vec<Value>,
    /// What clients that wait for control were told.
    pub passed: BTreeMap<u64, Value>,
    /// What is in the proxy's file.
    pub saved: Saved,
    /// Counts proxies: what an earlier one waited for reaches nobody.
    proxy: u32,
    roster: Roster,
    rules: Rules,
    /// The proxy keeps out whoever has no lease.
    pub binds: bool,
    /// What was asked of whom, in order.
    pub asked: Vec<(usize, Call)>,
    /// The second of the last start that was sent.
    pub second: Option<Utc>,
    pub faults: Vec<Fault>,
    /// Calls that may not begin when their turn comes, and why.
    pub refused: BTreeMap<u64, CallError>,
    queue: BTreeMap<(Mono, u64), Happening>,
    count: u64,
    tickets: u64,
}

impl World {
    /// All connected and known.
    pub fn new(kinds: &[Kind], mode: Option<&str>, rules: Rules) -> World {
        let now = Now { mono: Mono(1_000_000_000), utc: Utc::from_seconds(1_795_228_800) + ms(300) };
        let names: Vec<String> = (0..kinds.len()).map(name).collect();
        let groups = BTreeMap::from([("pair".to_owned(), names[..2].to_vec())]);
        let roster = Roster::new(&names, &groups, &[], now).expect("sound");
        let mut world = World {
            dealer: Dealer::new(roster.clone(), rules.clone()),
            now,
            players: kinds.iter().map(|kind| Player::new(*kind, mode)).collect(),
            replies: BTreeMap::new(),
            journal: Vec::new(),
            passed: BTreeMap::new(),
            binds: false,
            saved: Saved::default(),
            proxy: 0,
            roster: roster.clone(),
            rules: rules.clone(),
            asked: Vec::new(),
            second: None,
            faults: Vec::new(),
            refused: BTreeMap::new(),
            queue: BTreeMap::new(),
            count: 0,
            tickets: 0,
        };
        for player in 0..kinds.len() {
            world.at(Duration::ZERO, Happening::Up { player });
            world.at(ms(1000 + player as u64), Happening::Poll { player });
        }
        world.run(ms(20));
        world
    }

    pub fn ours(n: usize) -> World {
        World::new(&vec![Kind::Ours; n], Some("HBW"), Rules::default())
    }

    // ------------------------------------------------------------------ calls

    pub fn call(&mut self, what: What) -> u64 {
        self.call_with(what, Pick::default())
    }

    pub fn call_with(&mut self, what: What, pick: Pick) -> u64 {
        self.call_of(what, pick, "")
    }

    pub fn call_of(&mut self, what: What, pick: Pick, who: &str) -> u64 {
        self.tickets += 1;
        let (ticket, call) = (Ticket(self.tickets), DealerCall::Own(what, pick));
        self.dealer.handle(Input::Call { ticket, call, who: who.to_owned() }, self.now);
        self.drain();
        self.tickets
    }

    /// Control of the proxy is with somebody; what players say to it.
    pub fn control(&mut self, held: Option<Held>) -> Value {
        self.tickets += 1;
        let client = self.tickets;
        self.dealer.handle(Input::Control { held, waiting: vec![client] }, self.now);
        self.drain();
        let end = self.now.mono + ms(5000);
        while !self.passed.contains_key(&client) && self.now.mono < end {
            self.run(ms(10));
        }
        self.passed.remove(&client).expect("clients are told what players say")
    }

    pub fn cancel(&mut self, ticket: u64) {
        self.dealer.handle(Input::Cancel { ticket: Ticket(ticket) }, self.now);
        self.drain();
    }

    /// The one answer of a call, if it is there.
    pub fn reply(&self, ticket: u64) -> Option<&Outcome> {
        let all = self.replies.get(&ticket)?;
        assert_eq!(all.len(), 1, "call {ticket} is answered once");
        all.first()
    }

    /// The answer, waited for.
    pub fn answer(&mut self, ticket: u64, within: Duration) -> Outcome {
        let end = self.now.mono + within;
        while self.reply(ticket).is_none() && self.now.mono < end {
            self.run(ms(10));
        }
        self.reply(ticket).unwrap_or_else(|| panic!("call {ticket} has no answer within {within:?}")).clone()
    }

    /// Calls and waits.
    pub fn done(&mut self, what: What) -> Value {
        let ticket = self.call(what);
        self.answer(ticket, Duration::from_secs(200)).expect("a result")
    }

    /// The proxy is killed, and there again at once; players find their connections gone.
    pub fn kill_proxy(&mut self) {
        self.proxy += 1;
        self.dealer = Dealer::new(self.roster.clone(), self.rules.clone());
        self.dealer.restore(&Saved::parse(self.saved.text().as_bytes()).expect("whole"), self.now);
        for player in 0..self.players.len() {
            let p = &mut self.players[player];
            p.wire += 1;
            p.up = false;
            self.at(ms(100 + 10 * player as u64), Happening::Up { player });
        }
    }

    /// The wall clock of the proxy is set, alone or with those of all players.
    pub fn set_clock(&mut self, by_ns: i64, players_too: bool) {
        self.now.utc = Utc(self.now.utc.0 + by_ns);
        for player in 0..self.players.len() {
            let p = &mut self.players[player];
            p.clock_ns -= if players_too { 0 } else { by_ns };
            if let Doing::Starting(start) = p.doing {
                let life = p.life;
                let left = start.nanos_since(p.utc(self.now)) - ARM_BEFORE.as_nanos() as i64;
                self.at(Duration::from_nanos(left.max(0) as u64), Happening::Arm { player, life, start });
            }
        }
        self.dealer.handle(Input::ClockSet, self.now);
        self.drain();
    }

    /// What a fault does now, whatever the player is at.
    pub fn strike(&mut self, player: usize, kind: Kindness) {
        match kind {
            Kindness::Lost => {
                self.down(player, "connection reset");
                self.at(ms(4000), Happening::Up { player });
            }
            Kindness::Hung => {
                self.players[player].hung = true;
                let wire = self.players[player].wire;
                self.at(NOTICED, Happening::Down { player, wire });
                self.at(ms(6000), Happening::Resume { player });
                self.at(ms(6500), Happening::Up { player });
            }
            Kindness::Restarted => {
                let mut fresh = Player::new(self.players[player].kind, None);
                fresh.leases = Leases::new(self.players[player].leases.rule());
                let old = std::mem::replace(&mut self.players[player], fresh);
                let p = &mut self.players[player];
                (p.life, p.wire, p.up, p.took, p.clock_ns) =
                    (old.life + 1, old.wire, old.up, old.took, old.clock_ns);
                self.down(player, "it closed the connection");
                self.at(ms(2000), Happening::Up { player });
            }
            Kindness::ClockOff => {
                self.players[player].clock_ns = 600_000_000;
                self.tell_clock(player);
            }
            Kindness::Refusing | Kindness::SayingNo | Kindness::Slow | Kindness::Late => {}
        }
    }

    // ------------------------------------------------------------------ time

    pub fn run(&mut self, d: Duration) {
        let end = self.now.mono + d;
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 10_000, "it never rests");
            let happening = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = happening.into_iter().chain(self.dealer.deadline()).min();
            let Some(next) = next.filter(|t| *t <= end) else { break };
            if next > self.now.mono {
                turns = 0;
            }
            self.advance(next);
            if self.dealer.deadline().is_some_and(|t| t <= self.now.mono) {
                self.dealer.tick(self.now);
                assert!(
                    self.dealer.deadline().is_none_or(|t| t > self.now.mono),
                    "what was due is done after a tick"
                );
                self.drain();
            }
            while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= next) {
                let happening = entry.remove();
                self.happen(happening);
                self.drain();
            }
        }
        self.advance(end);
    }

    pub fn run_to(&mut self, at: Utc) {
        let left = at.nanos_since(self.now.utc).max(0);
        self.run(Duration::from_nanos(left.unsigned_abs()));
    }

    fn advance(&mut self, to: Mono) {
        let d = to.since(self.now.mono);
        self.now = Now { mono: self.now.mono + d, utc: self.now.utc + d };
    }

    fn at(&mut self, after: Duration, happening: Happening) {
        self.count += 1;
        self.queue.insert((self.now.mono + after, self.count), happening);
    }

    // ------------------------------------------------------------------ what happens

    fn drain(&mut self) {
        while let Some(output) = self.dealer.poll() {
            match output {
                Output::Reply { ticket, outcome } => self.replies.entry(ticket.0).or_default().push(outcome),
                Output::Ask { player: Index(player), id, call, .. } => self.ask(player, id, call),
                Output::Journal(line) => self.journal.push(line),
                Output::Turn(ticket) => {
                    let go = self.refused.remove(&ticket.0).map_or(Ok(()), Err);
                    self.dealer.handle(Input::Turn { ticket, go }, self.now);
                }
                Output::ControlPassed { waiting, players } => {
                    self.passed.extend(waiting.into_iter().map(|client| (client, players.clone())));
                }
                Output::ControlBinds(binds) => self.binds = binds,
                Output::Save(saved) => {
                    self.saved = saved;
                    self.at(SAVE_TAKES, Happening::Saved { proxy: self.proxy });
                }
                // The worst case: the player goes on with it.
                Output::Abandon { .. } | Output::Changed | Output::Methods(_) => {}
            }
        }
    }

    fn ask(&mut self, player: usize, id: AskId, call: Call) {
        if !self.players[player].up {
            // Ordered before the loss was known; the loss has answered it.
            return;
        }
        self.asked.push((player, call.clone()));
        if call.method == "start" {
            self.second = call.args.first().and_then(utc_of);
        }
        let wire = self.players[player].wire;
        let method = call.method.clone();
        let mut after = TRAVEL;
        match self.fault(player, &call.method, Moment::Asked) {
            Some(Kindness::Lost | Kindness::Restarted) => return,
            Some(Kindness::Refusing) => {
                let outcome = Err(CallError::exception("it cannot"));
                return self.at(TRAVEL, Happening::Answer { player, wire, id, method, outcome });
            }
            Some(Kindness::SayingNo) => {
                let outcome = Ok(Value::verdict(false, "it will not"));
                return self.at(TRAVEL, Happening::Answer { player, wire, id, method, outcome });
            }
            Some(Kindness::Slow) => after = ms(2500),
            _ => {}
        }
        self.at(after, Happening::Arrive { player, wire, id, call });
    }

    /// A fault of this moment; it has struck.
    fn fault(&mut self, player: usize, method: &str, moment: Moment) -> Option<Kindness> {
        let wanted = |f: &Fault| f.player == player && f.method == method && f.moment == moment;
        let at = self.faults.iter().position(wanted)?;
        let kind = self.faults.remove(at).kind;
        self.strike(player, kind);
        Some(kind)
    }

    fn down(&mut self, player: usize, why: &str) {
        let p = &mut self.players[player];
        p.wire += 1;
        if std::mem::replace(&mut p.up, false) {
            self.tell(player, LinkEvent::Down(why.to_owned()));
        }
    }

    fn tell(&mut self, player: usize, event: LinkEvent) {
        self.dealer.handle(Input::Link { player: Index(player), event }, self.now);
        self.drain();
    }

    fn tell_clock(&mut self, player: usize) {
        let offset_ns = self.players[player].clock_ns;
        if self.players[player].up && self.players[player].kind == Kind::Ours {
            self.tell(player, LinkEvent::Clock { offset_ns, uncertainty_ns: 1_000_000 });
        }
    }

    fn tell_state(&mut self, player: usize) {
        let p = &self.players[player];
        if p.up && !p.hung && !p.busy {
            let state = p.state(self.now);
            self.tell(player, LinkEvent::State(state));
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { player, wire, id, call } => {
                let p = &mut self.players[player];
                // What is in a hung player's hands stays there, whatever becomes of the connection.
                if p.hung || p.busy {
                    p.backlog.push_back((wire, id, call));
                } else if wire == p.wire {
                    self.take(player, wire, id, call);
                }
            }
            Happening::ModeSet { player, life, wire, id, mode } => {
                let p = &mut self.players[player];
                if p.life == life {
                    (p.mode, p.doing) = (Some(mode), Doing::Ready);
                    self.finished(player, wire, id, "set_mode", Ok(Value::verdict(true, "mode set")));
                }
            }
            Happening::Arm { player, life, start } => self.arm(player, life, start),
            Happening::Answer { player, wire, id, method, outcome } => {
                let p = &self.players[player];
                if p.up && p.wire == wire {
                    self.tell(player, LinkEvent::Reply { id, outcome });
                    self.fault(player, &method, Moment::Replied);
                }
            }
            Happening::Poll { player } => {
                if !self.players[player].hung {
                    self.tell_clock(player);
                }
                self.tell_state(player);
                self.at(ms(1000), Happening::Poll { player });
            }
            Happening::Down { player, wire } => {
                if self.players[player].wire == wire {
                    self.down(player, "it has not answered for 3 s");
                }
            }
            Happening::Up { player } => {
                let p = &mut self.players[player];
                if p.up || p.hung {
                    return;
                }
                p.up = true;
                let (kind, methods) = (p.kind, p.methods());
                self.tell(player, LinkEvent::Up { kind, methods });
                self.tell_clock(player);
                self.tell_state(player);
            }
            Happening::Saved { proxy } if proxy == self.proxy => {
                self.dealer.handle(Input::Saved, self.now);
                self.drain();
            }
            Happening::Saved { .. } => {}
            Happening::Resume { player } => {
                self.players[player].hung = false;
                self.work_off(player);
            }
        }
    }

    fn take(&mut self, player: usize, wire: u32, id: AskId, call: Call) {
        let method = call.method.clone();
        let taken = self.players[player].take(&call, wire, self.now);
        let p = &mut self.players[player];
        let life = p.life;
        match taken {
            Taken::Now(outcome) => {
                if method == "stop"
                    && let Some((wire, id)) = p.arming.take()
                {
                    let outcome = Err(CallError::exception("start(): cancelled by stop()"));
                    self.at(TRAVEL, Happening::Answer { player, wire, id, method: "start".into(), outcome });
                }
                let struck = self.fault(player, &method, Moment::Taken);
                let after = if struck == Some(Kindness::Slow) { ms(2500) } else { TRAVEL };
                self.at(after, Happening::Answer { player, wire, id, method, outcome });
                self.tell_state(player);
                return;
            }
            Taken::Mode(mode) => {
                p.busy = p.kind == Kind::Reference;
                let slow = self.fault(player, &method, Moment::Taken) == Some(Kindness::Slow);
                let after = MODE_TAKES + if slow { ms(2500) } else { Duration::ZERO };
                self.at(after, Happening::ModeSet { player, life, wire, id, mode });
            }
            Taken::Arming(start) => {
                p.busy = p.kind == Kind::Reference;
                p.arming = Some((wire, id));
                let left = start.nanos_since(p.utc(self.now)) - ARM_BEFORE.as_nanos() as i64;
                // It answers when it has armed: there is nothing to be slow with, but it may not come to it.
                let late = self.fault(player, &method, Moment::Taken) == Some(Kindness::Late);
                let left = left + if late { LATE_BY } else { 0 };
                self.at(Duration::from_nanos(left.max(0) as u64), Happening::Arm { player, life, start });
            }
        }

        self.tell_state(player);
    }

    fn arm(&mut self, player: usize, life: u32, start: Utc) {
        let p = &mut self.players[player];
        if p.life != life || p.doing != Doing::Starting(start) {
            return;
        }
        let left = start.nanos_since(p.utc(self.now)) - ARM_BEFORE.as_nanos() as i64;
        if left > 0 {
            // The clock was set back meanwhile.
            return self
                .at(Duration::from_nanos(left.unsigned_abs()), Happening::Arm { player, life, start });
        }
        if p.hung {
            // When it goes on it sees that it is too late.
            return self.at(ms(50), Happening::Arm { player, life, start });
        }
        let late = p.utc(self.now) > start - ms(400);
        let outcome = if late {
            p.end(start, "too late to arm");
            Value::verdict(false, "too late to arm")
        } else {
            p.doing = Doing::Scanning(start);
            Value::verdict(true, format!("Successfully started roach for starttime={start}"))
        };
        if let Some((wire, id)) = p.arming.take() {
            self.finished(player, wire, id, "start", Ok(outcome));
        }
    }

    fn finished(&mut self, player: usize, wire: u32, id: AskId, method: &str, outcome: Outcome) {
        self.at(TRAVEL, Happening::Answer { player, wire, id, method: method.into(), outcome });
        self.players[player].busy = false;
        self.tell_state(player);
        self.work_off(player);
    }

    fn work_off(&mut self, player: usize) {
        while !self.players[player].busy && !self.players[player].hung {
            let Some((wire, id, call)) = self.players[player].backlog.pop_front() else { return };
            self.take(player, wire, id, call);
        }
    }
}

pub fn name(player: usize) -> String {
    format!("BANK{}", (b'A' + player as u8) as char)
}

/// `{player: entry}` as pairs; says what it is if it is none.
pub fn entries(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Map(pairs) => pairs.clone(),
        other => panic!("an object with one entry for each player is expected: {other}"),
    }
}

/// The second item of `[flag, text]`.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::List(items) => items.get(1).and_then(Value::as_str).unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

pub fn is_yes(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.first() == Some(&Value::Bool(true)))
}

pub fn bank(method: &str, args: Vec<Value>) -> Call {
    appliance::dealer::procedure::bank(method, args)
}

/// A call of a player's method to many.
pub fn forward(method: &str, class: appliance::api::Class) -> What {
    What::Forward { call: bank(method, vec![]), class }
}

pub fn only(names: &[&str], policy: Policy) -> Pick {
    let players = (!names.is_empty()).then(|| names.iter().map(|n| (*n).to_owned()).collect());
    Pick { players, policy, deadline: None }
}
