//! [`Dealer`]: the role. Takes calls, runs procedures, keeps what is known of the players.

use super::answer::{Answer, Failure, succeeded};
use super::asks::{Asker, Asks, Placed};
use super::journal::Journal;
use super::messages::{AskId, Index, Input, Kind, Lane, LinkEvent, Output};
use super::methods::DealerCall;
use super::notices::Notices;
use super::orphans::Orphans;
use super::procedure::{Action, Event, Procedure, Round, View};
use super::roster::Roster;
use super::rules::Rules;
use super::turns::{TURNS_MAX, Turns};
use crate::api::{Call, CallError, Outcome, Ticket};
use crate::units::{Mono, Now};
use crate::value::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

mod calls;

/// Asks of the role itself, for nobody's call.
const NOBODY: u64 = 0;
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
    Wake,
    Cancel,
}

/// The role.
#[derive(Debug)]
pub struct Dealer {
    roster: Roster,
    rules: Rules,
    next: u64,
    running: BTreeMap<u64, Running>,
    turns: Turns<Waiting>,
    asks: Asks,
    told: VecDeque<(u64, Told)>,
    notices: Notices,
    journal: Journal,
    orphans: Orphans,
    /// Authoritative once it was set here; players that come back are told.
    scan_number: Option<i64>,
    /// Who has control of the proxy, to be shown.
    control: Value,
    out: VecDeque<Output>,
}

impl Dealer {
    /// Nobody is connected yet.
    pub fn new(roster: Roster, rules: Rules) -> Dealer {
        Dealer {
            roster,
            rules,
            next: NOBODY,
            running: BTreeMap::new(),
            turns: Turns::default(),
            asks: Asks::default(),
            told: VecDeque::new(),
            notices: Notices::default(),
            journal: Journal::default(),
            orphans: Orphans::default(),
            scan_number: None,
            control: Value::Null,
            out: VecDeque::new(),
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, input: Input<DealerCall>, now: Now) {
        match input {
            Input::Call { ticket, call, who } => self.call(ticket, call, &who, now),
            Input::Cancel { ticket } => self.cancel(ticket),
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
                let answer: Answer = outcome.map_err(Failure::Raised);
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
                self.push_scan_number(player, now);
                self.out.push_back(Output::Changed);
            }
            LinkEvent::State(_) => {
                let needed = self.roster.seat(player).needs_setup.is_some();
                self.roster.seat_mut(player).told(event, now);
                let seat = self.roster.seat(player);
                if let (false, Some(mode)) = (needed, &seat.needs_setup) {
                    let text = format!("{}: it had {mode}, now no mode is set: set_mode", seat.name);
                    self.notices.warn(now.utc, text);
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
        if self.orphans.seen(player, seat, now) {
            let text = format!("{} still had the start that was taken back; it is stopped", seat.name);
            self.notices.warn(now.utc, text);
            self.ask_for_nobody(player, super::procedure::bank("stop", Vec::new()), ORPHAN_STOP_WITHIN, now);
        }
    }

    fn push_scan_number(&mut self, player: Index, now: Now) {
        if let Some(number) = self.scan_number {
            let call = super::procedure::bank("set_scan_number", vec![Value::Int(number)]);
            self.ask_for_nobody(player, call, super::rules::within("set_scan_number"), now);
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

    fn start(&mut self, id: u64, waiting: Waiting) {
        let Waiting { ticket, players, procedure } = waiting;
        self.running.insert(id, Running { ticket, players, procedure, wake: None, replied: false });
        self.told.push_back((id, Told::Begin));
    }

    fn settle(&mut self, now: Now) {
        loop {
            if let Some((id, told)) = self.told.pop_front() {
                self.tell(id, &told, now);
            } else if let Some((id, waiting)) = self.turns.begin_next() {
                self.start(id, waiting);
            } else {
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
            Told::Wake => Event::Wake,
            Told::Cancel => Event::Cancel,
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
            Action::Orphan { player, start } => self.orphans.add(player, start),
            Action::Journal { players, begun } => {
                for line in self.journal.begin(players, begun, &self.roster, now) {
                    self.out.push_back(Output::Journal(line));
                }
            }
            Action::End => self.end(id),
        }
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
