//! [`Dealer`]: the role. Takes calls, runs procedures, keeps what is known of the players.

use super::answer::{Answer, Failure, succeeded};
use super::asks::{Asker, Asks, Placed};
use super::journal::Journal;
use super::lease::PassedOn;
use super::messages::{AskId, Index, Input, Kind, Lane, LinkEvent, Output};
use super::methods::DealerCall;
use super::notices::Notices;
use super::orphans::{Orphans, Sight};
use super::procedure::{Action, Event, Procedure, Round, View};
use super::reapply::{Applied, Reapply};
use super::roster::Roster;
use super::rules::Rules;
use super::turns::{TURNS_MAX, Turns};
use crate::api::{Call, CallError, Outcome, Ticket};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

mod calls;
mod control;
mod keeping;

/// Asks of the role itself, for nobody's call.
const NOBODY: u64 = 0;
/// Asks that pass control on.
const CONTROL: u64 = u64::MAX;
/// Asks that tell a player the scan number.
const NUMBER: u64 = u64::MAX - 1;
/// A procedure of the role itself: its answer is nobody's.
const NO_CALL: Ticket = Ticket(u64::MAX);
/// How long stopping such a scan may take.
const ORPHAN_STOP_WITHIN: Duration = Duration::from_secs(30);

/// A procedure on its way.
#[derive(Debug)]
struct Running {
    ticket: Ticket,
    players: Vec<Index>,
    procedure: Box<dyn Procedure>,
    wake: Option<Mono>,
    replied: bool,
}

/// A procedure that waits for its turn.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    players: Vec<Index>,
    procedure: Box<dyn Procedure>,
}

/// What a procedure is to be told, with the answer it is told about.
#[derive(Debug)]
enum Told {
    Begin,
    Answer { player: Index, round: Round, answer: Answer },
    State(Index),
    Noted,
    ClockSet,
    Wake,
    Cancel,
    Stopped,
}

/// The role.
#[derive(Debug)]
pub struct Dealer {
    roster: Roster,
    rules: Rules,
    next: u64,
    running: BTreeMap<u64, Running>,
    turns: Turns<Waiting>,
    /// Whose turn has come, and of which it is not known yet whether it may begin.
    called: BTreeMap<Ticket, (u64, Waiting)>,
    asks: Asks,
    told: VecDeque<(u64, Told)>,
    notices: Notices,
    journal: Journal,
    orphans: Orphans,
    /// Authoritative once it was set here; players that come back are told.
    scan_number: Option<i64>,
    /// What was set at players.
    applied: Applied,
    /// Players that came back without, and are to be set up again.
    bare: BTreeMap<Index, Reapply>,
    /// Something of what is kept has changed.
    unsaved: bool,
    /// Saves that were ordered, and that were answered.
    saves: (u64, u64),
    /// Procedures that wait for a save: its number, once it is ordered.
    noting: Vec<(u64, Option<u64>)>,
    /// Players that are to be told.
    unnumbered: BTreeSet<Index>,
    /// Players that would not hear it.
    deaf: BTreeSet<Index>,
    /// Who has control of the proxy, to be shown.
    control: Value,
    lease: PassedOn,
    /// What the desk was told last of [`PassedOn::binds`].
    binds: bool,
    out: VecDeque<Output>,
}

impl Dealer {
    /// Nobody is connected yet.
    pub fn new(roster: Roster, rules: Rules) -> Dealer {
        Dealer {
            roster,
            lease: PassedOn::new(&rules.name),
            rules,
            next: NOBODY,
            running: BTreeMap::new(),
            turns: Turns::default(),
            called: BTreeMap::new(),
            asks: Asks::default(),
            told: VecDeque::new(),
            notices: Notices::default(),
            journal: Journal::default(),
            orphans: Orphans::default(),
            scan_number: None,
            applied: Applied::default(),
            bare: BTreeMap::new(),
            unsaved: false,
            saves: (0, 0),
            noting: Vec::new(),
            unnumbered: BTreeSet::new(),
            deaf: BTreeSet::new(),
            control: Value::Null,
            binds: false,
            out: VecDeque::new(),
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, input: Input<DealerCall>, now: Now) {
        match input {
            Input::Call { ticket, call, who } => self.call(ticket, call, &who, now),
            Input::Turn { ticket, go } => self.turn(ticket, go),
            Input::Cancel { ticket } => self.cancel(ticket),
            Input::Control { held, waiting } => self.lease.changed(held, &waiting),
            Input::Saved => self.saved(),
            Input::ClockSet => self.clock_set(),
            Input::Link { player, event } => self.link(player, event, now),
        }
        self.settle(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        for (id, player, call, lane, asker, last) in self.asks.overdue(now.mono) {
            let answer: Answer = Err(Failure::Late(asker.within));
            self.note_failure(player, &answer, now);
            if last {
                self.out.push_back(Output::Abandon { player, id });
                if lane == Lane::Write && self.roster.seat(player).kind() == Some(Kind::Reference) {
                    let text =
                        format!("{} had no reply within {} s", call.method, asker.within.as_secs_f64());
                    self.roster.seat_mut(player).uncertain = Some(text);
                    self.out.push_back(Output::Changed);
                }
            }
            self.told.push_back((asker.procedure, Told::Answer { player, round: asker.round, answer }));
        }
        let due: Vec<u64> = self
            .running
            .iter_mut()
            .filter(|(_, r)| r.wake.is_some_and(|t| now.mono >= t))
            .map(|(id, r)| {
                r.wake = None;
                *id
            })
            .collect();
        self.told.extend(due.into_iter().map(|id| (id, Told::Wake)));
        self.settle(now);
    }

    /// When to call [`Dealer::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let wakes = self.running.values().filter_map(|r| r.wake);
        wakes.chain(self.asks.deadline()).min()
    }

    /// Drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// A client that has no name has left.
    pub fn client_gone(&mut self, who: &str) {
        self.roster.forget(who);
    }

    /// Who has control of the proxy (null: nobody), to be shown in `dealer.snapshot`.
    pub fn set_control(&mut self, held: Value) {
        self.control = held;
        self.out.push_back(Output::Changed);
    }

    /// The players.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    // ------------------------------------------------------------------ links

    fn link(&mut self, player: Index, event: LinkEvent, now: Now) {
        match event {
            LinkEvent::Reply { id, outcome } => {
                let answer: Answer = outcome.map_err(|e| Failure::Raised(self.lease.advise(e)));
                self.answered(id, answer, now);
            }
            LinkEvent::Down(why) => {
                self.roster.seat_mut(player).told(LinkEvent::Down(why.clone()), now);
                self.orphans.lost(player);
                let lost = Err(Failure::Lost(why));
                for open in self.asks.lost(player) {
                    self.note_failure(player, &lost, now);
                    for asker in open.askers {
                        let told = Told::Answer { player, round: asker.round, answer: lost.clone() };
                        self.told.push_back((asker.procedure, told));
                    }
                }
                self.state_told(player);
                self.out.push_back(Output::Changed);
            }
            LinkEvent::Up { .. } => {
                self.roster.seat_mut(player).told(event, now);
                self.out.push_back(Output::Methods(player));
                self.lease.connected(player);
                if self.scan_number.is_some() {
                    self.unnumbered.insert(player);
                }
                self.out.push_back(Output::Changed);
            }
            LinkEvent::State(_) => {
                let needed = self.roster.seat(player).needs_setup.is_some();
                self.roster.seat_mut(player).told(event, now);
                let seat = self.roster.seat(player);
                if let (false, Some(mode)) = (needed, &seat.needs_setup) {
                    let text = format!("{}: it had {mode}, now no mode is set: set_mode", seat.name);
                    let shared = self.rules.master_of(mode).is_some();
                    let again = self.applied.again(player, mode).filter(|_| self.rules.reapply && !shared);
                    self.bare.extend(again.map(|again| (player, again)));
                    self.notices.warn(now.utc, text);
                }
                if let Some((state, _)) = &seat.state {
                    self.lease.told(player, state);
                }
                self.look_for_orphan(player, now);
                for line in self.journal.told(player, &self.roster, now) {
                    self.out.push_back(Output::Journal(line));
                }
                self.state_told(player);
                self.out.push_back(Output::Changed);
            }
            LinkEvent::Clock { .. } => self.roster.seat_mut(player).told(event, now),
        }
    }

    fn state_told(&mut self, player: Index) {
        let with: Vec<u64> =
            self.running.iter().filter(|(_, r)| r.players.contains(&player)).map(|(id, _)| *id).collect();
        self.told.extend(with.into_iter().map(|id| (id, Told::State(player))));
    }

    fn answered(&mut self, id: AskId, answer: Answer, now: Now) {
        let Some(open) = self.asks.answered(id, &answer, now.mono) else { return };
        self.note_failure(open.player, &answer, now);
        if let ("bank", "set_mode") = (open.call.interface.as_str(), open.call.method.as_str())
            && succeeded(&answer)
            && let Some(mode) = open.call.args.first().and_then(Value::as_str)
        {
            self.roster.seat_mut(open.player).has_set(mode);
        }
        self.applied.answered(open.player, &open.call, &answer);
        for asker in open.askers {
            let told = Told::Answer { player: open.player, round: asker.round, answer: answer.clone() };
            self.told.push_back((asker.procedure, told));
        }
    }

    fn note_failure(&mut self, player: Index, answer: &Answer, now: Now) {
        if let Err(failure) = answer {
            let name = self.roster.name(player).to_owned();
            let text = failure.full_text(&name);
            self.notices.failed(&name, now.utc, text);
        }
    }

    /// A scan that was taken back while this player could not be reached.
    fn look_for_orphan(&mut self, player: Index, now: Now) {
        let seat = self.roster.seat(player);
        let name = seat.name.clone();
        for sight in self.orphans.seen(player, seat, now) {
            let text = match sight {
                Sight::Stop => format!("{name} still had the start that was taken back; it is stopped"),
                Sight::GoesOn(start) => {
                    format!(
                        "the start of {start} was under way when the proxy ended; all players have it: it goes on"
                    )
                }
                Sight::Doubt(start) => format!(
                    "{name} runs a scan and does not say which; if it is that of {start}, it was taken back: stop it"
                ),
            };
            self.notices.warn(now.utc, text);
            if sight == Sight::Stop {
                let stop = super::procedure::bank("stop", Vec::new());
                self.ask_for_nobody(player, stop, ORPHAN_STOP_WITHIN, now);
            }
        }
    }

    fn ask_for_nobody(&mut self, player: Index, call: Call, within: Duration, now: Now) {
        self.ask(NOBODY, player, 0, call, Lane::Write, within, now);
    }

    // ------------------------------------------------------------------ procedures

    /// Begins at once, or when its turn has come.
    fn run(&mut self, ticket: Ticket, players: Vec<Index>, procedure: Box<dyn Procedure>, writes: bool) {
        self.next += 1;
        let waiting = Waiting { ticket, players: players.clone(), procedure };
        if !writes {
            self.start(self.next, waiting);
        } else if let Err(refused) = self.turns.queue(self.next, players, waiting) {
            let text = format!("busy: {TURNS_MAX} writes wait already");
            self.reply(refused.ticket, Err(CallError::exception(text)));
        }
    }

    /// Whether a client's write may begin is not known here.
    fn turn_has_come(&mut self, id: u64, waiting: Waiting) {
        if waiting.ticket == NO_CALL {
            return self.start(id, waiting);
        }
        self.out.push_back(Output::Turn(waiting.ticket));
        self.called.insert(waiting.ticket, (id, waiting));
    }

    /// It is known whether a write whose turn has come may begin.
    fn turn(&mut self, ticket: Ticket, go: Result<(), CallError>) {
        let Some((id, waiting)) = self.called.remove(&ticket) else { return };
        match go {
            Ok(()) => self.start(id, waiting),
            Err(refused) => {
                self.turns.done(id);
                self.reply(ticket, Err(refused));
            }
        }
    }

    /// `stop` is called for these players: a start that waits for its turn is over, one that is under way is told.
    fn stop_called(&mut self, players: &[Index], now: Now) {
        let view = View { roster: &self.roster, rules: &self.rules, now };
        let with = |of: &[Index]| of.iter().any(|p| players.contains(p));
        let waiting = self.turns.waiting().filter(|(_, w)| with(&w.players));
        let over: Vec<(u64, Ticket, Outcome)> =
            waiting.filter_map(|(id, w)| Some((id, w.ticket, w.procedure.stopped(&view)?))).collect();
        for (id, ticket, outcome) in over {
            self.turns.done(id);
            self.reply(ticket, outcome);
        }
        let running = self.running.iter().filter(|(_, r)| with(&r.players));
        self.told.extend(running.map(|(id, _)| (*id, Told::Stopped)));
    }

    fn start(&mut self, id: u64, waiting: Waiting) {
        let Waiting { ticket, players, procedure } = waiting;
        self.running.insert(id, Running { ticket, players, procedure, wake: None, replied: false });
        self.told.push_back((id, Told::Begin));
    }

    fn settle(&mut self, now: Now) {
        loop {
            if let Some((id, told)) = self.told.pop_front() {
                match id {
                    CONTROL | NUMBER => self.own_answer(id, &told, now),
                    _ => self.tell(id, &told, now),
                }
            } else if let Some((id, waiting)) = self.turns.begin_next() {
                self.turn_has_come(id, waiting);
            } else if !self.pass_control(now) && !self.save() {
                return;
            }
        }
    }

    fn tell(&mut self, id: u64, told: &Told, now: Now) {
        let Some(running) = self.running.get_mut(&id) else { return };
        let view = View { roster: &self.roster, rules: &self.rules, now };
        let event = match told {
            Told::Begin => Event::Begin,
            Told::Answer { player, round, answer } => {
                Event::Answer { player: *player, round: *round, answer }
            }
            Told::State(player) => Event::State(*player),
            Told::Noted => Event::Noted,
            Told::ClockSet => Event::ClockSet,
            Told::Wake => Event::Wake,
            Told::Cancel => Event::Cancel,
            Told::Stopped => Event::Stopped,
        };
        for action in running.procedure.handle(event, &view) {
            self.act(id, action, now);
        }
    }

    fn act(&mut self, id: u64, action: Action, now: Now) {
        match action {
            Action::Ask { player, round, call, lane, within } => {
                self.ask(id, player, round, call, lane, within, now);
            }
            Action::Wake(at) => {
                if let Some(running) = self.running.get_mut(&id) {
                    running.wake = Some(at);
                }
            }
            Action::Reply(outcome) => {
                let Some(running) = self.running.get_mut(&id).filter(|r| !r.replied) else { return };
                running.replied = true;
                let ticket = running.ticket;
                self.reply(ticket, outcome);
            }
            Action::TurnOver => self.turns.done(id),
            Action::Warn(text) => self.notices.warn(now.utc, text),
            Action::LastStart(what) => self.notices.started(what),
            Action::ScanNumber(number) => self.number_is(Some(number)),
            Action::Orphan { player, start } => self.orphans.add(player, start),
            Action::Arming { players, start } => {
                self.orphans.arming(&players, start);
                self.noting.push((id, None));
            }
            Action::TakenBack(start) => self.orphans.taken_back(start),
            Action::StartOver(start) => self.orphans.over(start),
            Action::Extend { round, within } => self.asks.extend(id, round, now.mono + within, within),
            Action::Journal { players, begun } => {
                for line in self.journal.begin(players, begun, &self.roster) {
                    self.out.push_back(Output::Journal(line));
                }
            }
            Action::End => self.end(id),
        }
    }

    fn number_is(&mut self, number: Option<i64>) {
        self.scan_number = number;
        self.unsaved = true;
    }

    fn end(&mut self, id: u64) {
        self.running.remove(&id);
        self.turns.done(id);
        for (ask, open) in self.asks.forget(id) {
            self.out.push_back(Output::Abandon { player: open.player, id: ask });
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn ask(
        &mut self,
        procedure: u64,
        player: Index,
        round: Round,
        call: Call,
        lane: Lane,
        within: Duration,
        now: Now,
    ) {
        let seat = self.roster.seat(player);
        if !seat.is_up() {
            let answer = Err(Failure::Lost(seat.why_down().to_owned()));
            self.note_failure(player, &answer, now);
            self.told.push_back((procedure, Told::Answer { player, round, answer }));
            return;
        }
        let asker = Asker { procedure, round, deadline: now.mono + within, within };
        if call.method == "start" && call.interface == "bank" {
            let start = call.args.first().and_then(super::start::utc_of);
            self.orphans.begins(player, start, seat.kind() == Some(Kind::Ours));
        }
        match self.asks.place(player, call.clone(), lane, asker, now.mono) {
            Placed::New(id) => self.out.push_back(Output::Ask { player, id, call, lane, within }),
            Placed::Shared => {}
            Placed::Answered(answer) => {
                self.told.push_back((procedure, Told::Answer { player, round, answer }));
            }
        }
    }

    fn reply(&mut self, ticket: Ticket, outcome: Outcome) {
        self.out.push_back(Output::Reply { ticket, outcome });
    }

    fn cancel(&mut self, ticket: Ticket) {
        if self.withdraw(ticket) {
            return;
        }
        let running = self.running.iter().find(|(_, r)| r.ticket == ticket && !r.replied).map(|(id, _)| *id);
        if let Some(id) = running {
            self.told.push_back((id, Told::Cancel));
        }
    }
}
