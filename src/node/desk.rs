//! What every node has: the desk where calls come in, are entered in the record, wait for their turn, and
//! where answers go out.
//!
//! The desk knows the table of methods but not what they do: [`Desk::next`] says what the role is to be
//! given, [`Desk::hold`] and [`Desk::release`] keep its orders to hardware back until they are in the record.

use super::access::{Access, Right};
use super::calls::{self, Calls, Turn};
use super::faces::{FaceEvent, Faces, Port};
use super::leases::Leases;
use super::recorder::{Recorder, Waiting};
use super::repeats::Repeats;
use super::timers::Timers;
use super::work::{self, Announce, Done, Job};
use crate::api::bind::{Bound, bind};
use crate::api::table::Table;
use crate::api::{Call, CallError, Class, Method, Outcome, Terms, Ticket, builtin};
use crate::config::settings::LeaseRule;
use crate::proto::rpc_frame::Hello;
use crate::reactor::{ConnId, Effect, Effects, Event, TimerKey, When};
use crate::record::{self, RecordFile};
use crate::units::Now;
use crate::value::Value;
use std::collections::VecDeque;

mod control;
mod repeated;

/// The timer of the record; a role's own keys are others.
const RECORD: TimerKey = TimerKey(0);
/// The end of a lease.
const LEASE: TimerKey = TimerKey(0x40);
/// Calls that must begin by a time of their own.
const BEGIN: TimerKey = TimerKey(0x41);

/// Ports, rights and record of a node.
#[derive(Clone, Debug, Default)]
pub struct DeskConfig {
    /// Ports to listen on.
    pub ports: Vec<Port>,
    /// Who may do what.
    pub access: Access,
    /// Execute writes whose client has gone.
    pub execute_abandoned: bool,
    /// Whom a control lease binds.
    pub lease: LeaseRule,
    /// The append-only record, if kept.
    pub record: Option<RecordFile>,
    /// Whom to tell the bound addresses.
    pub announce: Option<Announce>,
}

/// What a role has to say about its calls and orders.
pub struct Trade<C, O> {
    /// Name of the role, for clients and the log.
    pub role: &'static str,
    /// Which node of this role, for clients.
    pub node: String,
    /// The methods.
    pub table: Table,
    /// The typed call of a method with its bound arguments.
    pub understand: fn(&'static Method, Bound) -> Result<C, CallError>,
    /// The hardware an order goes to, if it may change it: it then waits for that hardware's entry in the record.
    pub lane_of: fn(&O) -> Option<usize>,
    /// Does this urgent method (`stop`) take back that one, which waits for its turn?
    pub takes_back: fn(&Method, &Method) -> bool,
}

/// What the role is to be told next.
#[derive(Debug, PartialEq)]
pub enum Ask<C> {
    /// A call whose turn has come.
    Call(Ticket, C),
    /// The client of a pending call withdraws it.
    Cancel(Ticket),
}

/// Faces, calls and record of a node whose role takes calls `C` and gives orders `O`.
pub struct Desk<C, O> {
    trade: Trade<C, O>,
    faces: Faces,
    calls: Calls<C>,
    recorder: Recorder<O>,
    record: Option<RecordFile>,
    record_failing: bool,
    leases: Leases,
    /// Requests that may come twice.
    repeats: Repeats,
    /// Who has control has changed, and neither role nor subscribers know.
    lease_changed: bool,
    /// The role passes control on to others first.
    passing: Option<control::Passing>,
    announce: Option<Announce>,
    /// Calls that need no turn, and cancellations.
    asks: VecDeque<Ask<C>>,
    /// The write that had its turn last.
    turn: Option<Ticket>,
    timers: Timers,
}

impl<C, O> Desk<C, O> {
    /// Nobody has called.
    pub fn new(config: DeskConfig, trade: Trade<C, O>) -> Desk<C, O> {
        let hello = Hello::of(trade.role, &trade.node);
        Desk {
            faces: Faces::new(config.ports, config.access, hello),
            calls: Calls::new(config.execute_abandoned),
            recorder: Recorder::new(trade.lane_of),
            trade,
            record: config.record,
            record_failing: false,
            leases: Leases::new(config.lease),
            repeats: Repeats::default(),
            lease_changed: false,
            passing: None,
            announce: config.announce,
            asks: VecDeque::new(),
            turn: None,
            timers: Timers::default(),
        }
    }

    /// Opens the ports.
    pub fn start<J>(&mut self, fx: &mut Effects<Job<J>>) {
        self.faces.listen(fx);
    }

    /// Takes the events that are the desk's; gives the others back. A failed worker is everybody's.
    pub fn handle<'a, J, D>(
        &mut self,
        event: Event<'a, Done<D>>,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) -> Option<Event<'a, Done<D>>> {
        match event {
            Event::Listening { tag, address } => {
                if let (Some(text), Some(to)) = (self.faces.listening(tag, address), self.announce) {
                    fx.push(Effect::Work { worker: work::CLERK, job: Job::Announce { to, text } });
                }
            }
            Event::ListenFailed { address, error, .. } => {
                let role = self.trade.role;
                log::error!("cannot listen on {address:?}: {error}; is another {role} running on this port?");
                fx.push(Effect::Exit { code: 1 });
            }
            Event::Accepted { listener, conn, peer } => {
                self.faces.accepted(listener, conn, &peer, now, fx);
                self.drain_face(conn, now, fx);
            }
            Event::Received { conn, bytes } if self.faces.received(conn, bytes, now) => {
                self.drain_face(conn, now, fx);
            }
            Event::Congested { conn } => self.faces.set_congested(conn, true, now),
            Event::Drained { conn } => {
                self.faces.set_congested(conn, false, now);
                self.drain_face(conn, now, fx);
            }
            Event::Closed { conn, .. } if self.faces.closed(conn, fx) => {
                for ticket in self.calls.forget(conn) {
                    self.repeats.not_carried_out(ticket);
                    self.asks.push_back(Ask::Cancel(ticket));
                }
            }
            Event::Timer { key: RECORD } => self.record_late(now),
            Event::Timer { key: LEASE } => self.lease_due(now, fx),
            Event::Timer { key: BEGIN } => self.begin_due(now, fx),
            Event::Timer { key } => match self.faces.timer(key, now) {
                Some(conn) => self.drain_face(conn, now, fx),
                None => return Some(event),
            },
            Event::Done(Ok(Done::Recorded { waiting, error })) => self.written(waiting, error),
            Event::Done(Ok(Done::Announced { error })) => {
                if let Some(e) = error {
                    log::warn!("the bound addresses could not be announced: {e}");
                }
            }
            Event::Done(Err(ref lost)) => {
                log::error!("work was lost: {lost}");
                if lost.job.kind == work::RECORD {
                    self.record_lost();
                }
                return Some(event);
            }
            other => return Some(other),
        }
        None
    }

    /// What the role is to be told now. `idle`: it takes the next write.
    pub fn next<J>(&mut self, idle: bool, now: Now, fx: &mut Effects<Job<J>>) -> Option<Ask<C>> {
        if let Some(ask) = self.asks.pop_front() {
            return Some(ask);
        }
        if !idle {
            return None;
        }
        loop {
            match self.calls.next_turn()? {
                Turn::Start(ticket, call) => {
                    // Control may have gone to somebody else while it waited.
                    if let Err(refused) = self.still_admitted(ticket, now) {
                        self.not_carried_out(ticket, refused, now, fx);
                        continue;
                    }
                    self.turn = Some(ticket);
                    return Some(Ask::Call(ticket, call));
                }
                Turn::Drop(ticket) => {
                    self.repeats.not_carried_out(ticket);
                    log::warn!("call {} dropped: its client has gone", ticket.0);
                    self.enter("dropped", vec![("id".into(), Value::Int(ticket.0 as i64))], None, now, fx);
                }
            }
        }
    }

    /// The role puts writes in order itself: it has taken this one and asks [`Desk::begin`] when its turn has come. Until
    /// then it is withdrawn ([`Ask::Cancel`]) when its client leaves, or did not want to wait so long.
    pub fn defer(&mut self, ticket: Ticket) {
        self.calls.defer(ticket);
    }

    /// The turn of a deferred write has come: may it still be carried out?
    pub fn begin(&mut self, ticket: Ticket, now: Now) -> Result<(), CallError> {
        let may = self.may_begin(ticket, now);
        if may.is_err() {
            self.repeats.not_carried_out(ticket);
        }
        may
    }

    fn may_begin(&mut self, ticket: Ticket, now: Now) -> Result<(), CallError> {
        let by = self.calls.terms(ticket).and_then(|terms| terms.begin_by);
        if by.is_some_and(|by| by <= now.mono) {
            return Err(CallError::too_late(&self.call_name(ticket)));
        }
        if !self.calls.begin(ticket) {
            log::warn!("{} dropped: its client has gone", self.call_name(ticket));
            return Err(CallError::exception("not carried out: its client has gone"));
        }
        self.still_admitted(ticket, now)
    }

    /// The answer to a call.
    pub fn reply<J>(&mut self, ticket: Ticket, outcome: Outcome, now: Now, fx: &mut Effects<Job<J>>) {
        let Some(call) = self.calls.close(ticket) else { return };
        self.repeats.answered(ticket, &outcome, now);
        if call.method.class != Class::Read {
            self.enter("reply", calls::reply_fields(ticket, &call, &outcome, now), None, now, fx);
        }
        for (conn, seq) in call.askers() {
            self.faces.reply(conn, seq, outcome.clone(), now);
            self.drain_face(conn, now, fx);
        }
    }

    /// News for all subscribers.
    pub fn publish<J>(
        &mut self,
        topic: &str,
        body: impl FnOnce() -> Value,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) {
        for conn in self.faces.publish(topic, body, now) {
            self.drain_face(conn, now, fx);
        }
    }

    /// An open call as the log names it: `archon.expose (call 7)`.
    pub fn call_name(&self, ticket: Ticket) -> String {
        match self.calls.method(ticket) {
            Some(m) => format!("{}.{} (call {})", m.interface, m.name, ticket.0),
            None => format!("call {}", ticket.0),
        }
    }

    /// Who placed an open call, while the connection lasts: its address, and the name it gave itself.
    pub fn client_of(&self, ticket: Ticket) -> Option<String> {
        self.faces.title(self.calls.conn(ticket)?)
    }

    /// The name the client of an open call gave itself; empty if it gave none.
    pub fn who_of(&self, ticket: Ticket) -> &str {
        self.calls.terms(ticket).map_or("", |terms| &terms.who)
    }

    /// Where an open call came from, while the connection lasts.
    pub fn conn_of(&self, ticket: Ticket) -> Option<ConnId> {
        self.calls.conn(ticket)
    }

    /// The methods; those of remote nodes come and go.
    pub fn table_mut(&mut self) -> &mut Table {
        &mut self.trade.table
    }

    // ------------------------------------------------------------------ the record

    /// A hardware procedure for the record; orders to the same hardware that follow wait for it.
    pub fn enter_procedure<J>(&mut self, lane: usize, entry: Value, now: Now, fx: &mut Effects<Job<J>>) {
        let fields = match entry {
            Value::Map(fields) => fields,
            other => vec![("plan".to_owned(), other)],
        };
        self.enter("plan", fields, Some(Waiting::Orders { lane }), now, fx);
    }

    /// An entry that nobody waits for.
    pub fn enter_note<J>(
        &mut self,
        kind: &str,
        fields: Vec<(String, Value)>,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) {
        self.enter(kind, fields, None, now, fx);
    }

    /// Holds an order back while the record of its hardware is on its way; gives anything else back.
    pub fn hold(&mut self, order: O) -> Option<O> {
        self.recorder.hold(order)
    }

    /// The next order that may go out now.
    pub fn release(&mut self) -> Option<O> {
        self.recorder.release()
    }

    /// The orders to this hardware that were held back: they will not go out.
    pub fn withdraw(&mut self, lane: usize) -> Vec<O> {
        self.recorder.withdraw(lane)
    }

    /// Hands an entry to the recorder. `false`: no record is kept.
    fn enter<J>(
        &mut self,
        kind: &str,
        fields: Vec<(String, Value)>,
        waiting: Option<Waiting>,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) -> bool {
        let Some(file) = self.record.clone() else { return false };
        let line = record::entry(now.utc, kind, fields);
        if let Some(waiting) = waiting {
            self.recorder.submitted(waiting, now);
        }
        fx.push(Effect::Work { worker: work::RECORDER, job: Job::Record { file, line, waiting } });
        true
    }

    fn written(&mut self, waiting: Option<Waiting>, error: Option<String>) {
        if error.is_some() != self.record_failing {
            match &error {
                Some(e) => log::error!("the record cannot be written, calls go on without it: {e}"),
                None => log::info!("the record is written again"),
            }
            self.record_failing = error.is_some();
        }
        if let Some(waiting) = waiting {
            self.no_longer_waiting(waiting);
        }
    }

    /// An entry is written, or nobody waits for it any longer.
    fn no_longer_waiting(&mut self, waiting: Waiting) {
        self.recorder.answered(waiting);
        if let Waiting::Call(ticket) = waiting {
            self.calls.recorded(ticket);
            self.ask_at_once(ticket);
        }
    }

    /// The recorder does not answer in time: go on without it, and say so.
    fn record_late(&mut self, now: Now) {
        self.timers.fired(RECORD);
        for waiting in self.recorder.overdue(now) {
            log::error!("the record is not written in time; going on without it ({waiting:?})");
            self.no_longer_waiting(waiting);
        }
    }

    /// An answer of the recorder will not come: nothing may wait for it.
    fn record_lost(&mut self) {
        for waiting in self.recorder.give_up() {
            self.no_longer_waiting(waiting);
        }
    }

    /// Sets the desk's timers; last thing after an event.
    pub fn settle<J>(&mut self, fx: &mut Effects<Job<J>>) {
        self.timers.want(RECORD, self.recorder.deadline().map(When::Mono), fx);
        self.timers.want(LEASE, self.leases.deadline().map(When::Mono), fx);
        self.timers.want(BEGIN, self.calls.deadline().map(When::Mono), fx);
    }

    // ------------------------------------------------------------------ calls

    /// What a session asks. What it says to the answer, if there is one at once, is drained by the caller.
    fn face_event<J>(&mut self, event: FaceEvent, now: Now, fx: &mut Effects<Job<J>>) {
        match event {
            FaceEvent::ListMethods { conn, seq, interface } => {
                let methods = self.trade.table.list_methods(&interface);
                self.faces.reply(conn, seq, Ok(methods), now);
            }
            FaceEvent::Cancel { conn, seq } => self.cancel(conn, seq),
            FaceEvent::Call { conn, seq, call, terms } => {
                self.faces.called(conn, format!("{}.{}", call.interface, call.method), now);
                if let Err(error) = self.admit(conn, seq, call, terms, now, fx) {
                    self.faces.reply(conn, seq, Err(error), now);
                }
            }
        }
    }

    fn admit<J>(
        &mut self,
        conn: ConnId,
        seq: u64,
        call: Call,
        terms: Terms,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) -> Result<(), CallError> {
        let method = self.trade.table.find(&call.interface, &call.method)?;
        let asked = (method.class != Class::Read).then(|| call.clone());
        let bound = bind(method, call);
        let dry_run = bound.as_ref().is_ok_and(|bound| is_true(bound, "dry_run"));
        let method = self.trade.table.as_asked(method, dry_run);
        let (peer, right) = self.faces.peer(conn).map_or(("", Right::Nothing), |(p, r)| (p, r));
        if method.class != Class::Read && right != Right::Write {
            return Err(CallError::exception(format!(
                "{}.{} changes things, which is not allowed for {peer}: this port is read-only, or the address is not in listen.allow_write",
                method.interface, method.name
            )));
        }
        let bound = bound?;
        let entry = asked.filter(|_| method.class != Class::Read).map(|call| (peer.to_owned(), call));
        if method.interface == builtin::INTERFACE {
            let outcome = self.answer_builtin(conn, method, &bound, &terms, now, fx);
            if let Some(outcome) = self.unless_passed_on((conn, seq), method, outcome) {
                self.faces.reply(conn, seq, outcome, now);
            }
            return Ok(());
        }
        let request = entry.as_ref().and_then(|(peer, call)| repeated::request(peer, method, call, &terms));
        if let Some(request) = &request
            && self.asked_before(request, conn, seq, now, fx)?
        {
            return Ok(());
        }
        self.leases.admit(method, lease_of(&terms), now)?;
        let call = (self.trade.understand)(method, bound)?;
        if method.urgent {
            self.take_back(method, now, fx);
        }
        let ticket = self.calls.admit(conn, seq, method, call, terms, now).ok_or_else(|| self.busy())?;
        if let Some((key, call)) = request {
            self.repeats.began(key, call, ticket);
        }
        match entry {
            Some((peer, call)) => self.enter_call(ticket, &peer, call, now, fx),
            None => self.ask_at_once(ticket),
        }
        Ok(())
    }

    /// What came before a `stop` and waits is over with it, as it would be if it had had its turn first.
    fn take_back<J>(&mut self, urgent: &Method, now: Now, fx: &mut Effects<Job<J>>) {
        let takes_back = self.trade.takes_back;
        for ticket in self.calls.take_back(|queued| takes_back(urgent, queued)) {
            let text = format!("cancelled by {}() before its turn had come", urgent.name);
            self.reply(ticket, Ok(Value::verdict(false, text)), now, fx);
        }
    }

    fn busy(&self) -> CallError {
        let running = self.turn.filter(|t| self.calls.method(*t).is_some());
        let behind = running.map(|t| format!(" behind {}", self.call_name(t))).unwrap_or_default();
        CallError::exception(format!("busy: {} writes already wait{behind}", calls::QUEUE_MAX))
    }

    fn enter_call<J>(&mut self, ticket: Ticket, peer: &str, call: Call, now: Now, fx: &mut Effects<Job<J>>) {
        let who = Some(self.who_of(ticket)).filter(|who| !who.is_empty()).map(Value::from);
        let mut fields = vec![
            ("id".into(), Value::Int(ticket.0 as i64)),
            ("peer".into(), peer.into()),
            ("method".into(), Value::Str(format!("{}.{}", call.interface, call.method))),
            ("args".into(), record::shortened(&Value::List(call.args))),
            ("kwargs".into(), record::shortened(&Value::Map(call.kwargs))),
        ];
        fields.extend(who.map(|who| ("who".to_owned(), who)));
        let request = self.calls.terms(ticket).map_or("", |terms| &terms.id);
        if !request.is_empty() {
            fields.push(("request".to_owned(), request.into()));
        }
        if !self.enter("call", fields, Some(Waiting::Call(ticket)), now, fx) {
            self.no_longer_waiting(Waiting::Call(ticket));
        }
    }

    fn ask_at_once(&mut self, ticket: Ticket) {
        if let Some(call) = self.calls.immediate(ticket) {
            self.asks.push_back(Ask::Call(ticket, call));
        }
    }

    /// A client withdraws a call: only cancellable ones can be ended.
    fn cancel(&mut self, conn: ConnId, seq: u64) {
        let Some(ticket) = self.calls.find(conn, seq) else { return };
        if self.calls.method(ticket).is_some_and(|m| m.cancellable) {
            self.asks.push_back(Ask::Cancel(ticket));
        }
    }

    /// Until the session has nothing more to say. A loop: a peer that sends a thousand requests at once must not
    /// decide how deep our stack is.
    fn drain_face<J>(&mut self, conn: ConnId, now: Now, fx: &mut Effects<Job<J>>) {
        loop {
            let events = self.faces.drain(conn, fx);
            if events.is_empty() {
                return;
            }
            for event in events {
                self.face_event(event, now, fx);
            }
        }
    }
}

/// The lease a call is made under.
fn lease_of(terms: &Terms) -> Option<&str> {
    Some(terms.lease.as_str()).filter(|token| !token.is_empty())
}

/// Is an argument that not every method has given as true?
fn is_true(bound: &Bound, name: &str) -> bool {
    bound.get(name).is_some_and(|value| *value == Value::Bool(true))
}
