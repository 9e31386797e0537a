//! The call table: who asked what, and whose turn it is.
//!
//! ```text
//!  read ─────────────────────────────────────► role
//!  write, job ──► recorded? ──► queue, in order of arrival, one at a time ──► role
//!  urgent (stop) ──► recorded? ───────────────────────────────────────────► role
//! ```
//!
//! A write starts only when its entry is in the record and the role is idle. A write whose client has
//! gone is dropped (the client has been told it failed), except urgent ones. A role that puts writes in order itself
//! takes them at once, but they are *deferred* then: until the role begins one, the same rules hold for it.

use crate::api::{CallError, Class, Method, Outcome, Terms, Ticket};
use crate::reactor::ConnId;
use crate::units::{Mono, Now};
use std::collections::{BTreeMap, VecDeque};

/// Writes waiting for their turn, over all clients; more are refused.
pub const QUEUE_MAX: usize = 256;

/// Requests that wait for the answer to a call of another request with the same id.
pub const ASKERS_MAX: usize = 16;

/// A call that has not been answered.
#[derive(Debug)]
pub struct OpenCall<C> {
    /// The connection, while it lasts.
    pub conn: Option<ConnId>,
    /// The session's own number of the call.
    pub seq: u64,
    /// Others, and numbers of theirs, that have asked the same again and wait for the answer.
    pub also: Vec<(ConnId, u64)>,
    /// What was called.
    pub method: &'static Method,
    /// When.
    pub arrived: Now,
    /// In whose name, under which lease, until when to begin.
    pub terms: Terms,
    /// Not yet handed to the role.
    pending: Option<C>,
    recorded: bool,
    /// The role has it, and has not begun it.
    deferred: bool,
}

/// What to do with a call that has come to its turn.
#[derive(Debug, PartialEq)]
pub enum Turn<C> {
    /// Hand it to the role.
    Start(Ticket, C),
    /// Its client has gone: do not execute it.
    Drop(Ticket),
}

impl<C> OpenCall<C> {
    /// Who waits for the answer, with the sessions' own numbers.
    pub fn askers(&self) -> Vec<(ConnId, u64)> {
        self.conn.map(|conn| (conn, self.seq)).into_iter().chain(self.also.iter().copied()).collect()
    }
}

/// All open calls.
#[derive(Debug)]
pub struct Calls<C> {
    next: u64,
    open: BTreeMap<Ticket, OpenCall<C>>,
    queue: VecDeque<Ticket>,
    execute_abandoned: bool,
}

impl<C> Calls<C> {
    /// No calls yet. `execute_abandoned`: execute writes whose client has gone, as the reference does.
    pub fn new(execute_abandoned: bool) -> Calls<C> {
        Calls { next: 0, open: BTreeMap::new(), queue: VecDeque::new(), execute_abandoned }
    }

    /// Admits a call. `None`: too many writes wait already.
    pub fn admit(
        &mut self,
        conn: ConnId,
        seq: u64,
        method: &'static Method,
        call: C,
        terms: Terms,
        now: Now,
    ) -> Option<Ticket> {
        let queued = method.class != Class::Read && !method.urgent;
        if queued && self.queue.len() >= QUEUE_MAX {
            return None;
        }
        self.next += 1;
        let ticket = Ticket(self.next);
        let recorded = method.class == Class::Read;
        let pending = Some(call);
        let entry = OpenCall {
            conn: Some(conn),
            seq,
            also: Vec::new(),
            method,
            arrived: now,
            terms,
            pending,
            recorded,
            deferred: false,
        };
        self.open.insert(ticket, entry);
        if queued {
            self.queue.push_back(ticket);
        }
        Some(ticket)
    }

    /// An open call is asked for again: this client gets the answer, too.
    ///
    /// # Errors
    /// Too many wait for it already; nothing has changed.
    pub fn join(&mut self, ticket: Ticket, conn: ConnId, seq: u64) -> Result<(), CallError> {
        let Some(call) = self.open.get_mut(&ticket) else { return Ok(()) };
        if call.also.len() >= ASKERS_MAX {
            let Method { interface, name, .. } = call.method;
            let text = format!(
                "{ASKERS_MAX} requests with this id wait for {interface}.{name} already; wait for its answer"
            );
            return Err(CallError::exception(text));
        }
        match call.conn {
            Some(_) => call.also.push((conn, seq)),
            None => (call.conn, call.seq) = (Some(conn), seq),
        }
        Ok(())
    }

    /// The record has the entry of this call (or could not be written: that was said elsewhere).
    pub fn recorded(&mut self, ticket: Ticket) {
        if let Some(call) = self.open.get_mut(&ticket) {
            call.recorded = true;
        }
    }

    /// A call that needs no turn: a read, or an urgent one whose entry is written.
    pub fn immediate(&mut self, ticket: Ticket) -> Option<C> {
        let call = self.open.get_mut(&ticket)?;
        let free = call.method.class == Class::Read || call.method.urgent;
        if free && call.recorded { call.pending.take() } else { None }
    }

    /// The next queued write whose turn has come; call it only while the role is idle.
    pub fn next_turn(&mut self) -> Option<Turn<C>> {
        let ticket = *self.queue.front()?;
        let Some(call) = self.open.get_mut(&ticket) else {
            self.queue.pop_front();
            return Some(Turn::Drop(ticket));
        };
        if !call.recorded {
            return None;
        }
        self.queue.pop_front();
        if call.conn.is_none() && !self.execute_abandoned {
            self.open.remove(&ticket);
            return Some(Turn::Drop(ticket));
        }
        call.pending.take().map(|c| Turn::Start(ticket, c))
    }

    /// The role has taken this write, and will ask before it begins it.
    pub fn defer(&mut self, ticket: Ticket) {
        if let Some(call) = self.open.get_mut(&ticket) {
            call.deferred = call.method.class != Class::Read && !call.method.urgent;
        }
    }

    /// The role begins a deferred write. `false`: its client has gone, it is not to be carried out.
    pub fn begin(&mut self, ticket: Ticket) -> bool {
        let Some(call) = self.open.get_mut(&ticket) else { return false };
        call.deferred = false;
        call.conn.is_some() || self.execute_abandoned
    }

    /// Takes queued writes back that have not begun; they stay open until they are answered.
    pub fn take_back(&mut self, wanted: impl Fn(&Method) -> bool) -> Vec<Ticket> {
        let wanted = |ticket: &Ticket| self.open.get(ticket).is_some_and(|call| wanted(call.method));
        let (back, left) = self.queue.iter().partition(|ticket| wanted(ticket));
        self.queue = left;
        back.into()
    }

    /// Calls that still wait for their turn, and whose callers did not want to wait so long: they have none any more.
    pub fn too_late(&mut self, now: Now) -> Vec<Ticket> {
        let late: Vec<Ticket> = self.waiting().filter(|(_, by)| *by <= now.mono).map(|(t, _)| t).collect();
        self.queue.retain(|ticket| !late.contains(ticket));
        late
    }

    /// When to look for [`Calls::too_late`].
    pub fn deadline(&self) -> Option<Mono> {
        self.waiting().map(|(_, by)| by).min()
    }

    /// What has not begun, and must by then.
    fn waiting(&self) -> impl Iterator<Item = (Ticket, Mono)> {
        let queued = self.queue.iter().filter_map(|ticket| Some((*ticket, self.open.get(ticket)?)));
        let deferred =
            self.open.iter().filter(|(_, call)| call.deferred).map(|(ticket, call)| (*ticket, call));
        queued.chain(deferred).filter_map(|(ticket, call)| Some((ticket, call.terms.begin_by?)))
    }

    /// On what terms an open call was made.
    pub fn terms(&self, ticket: Ticket) -> Option<&Terms> {
        self.open.get(&ticket).map(|c| &c.terms)
    }

    /// The answer has come: the call is closed.
    pub fn close(&mut self, ticket: Ticket) -> Option<OpenCall<C>> {
        self.open.remove(&ticket)
    }

    /// A client has gone. Those of its calls that the role is to give up, if nobody else waits for them: writes it has
    /// not begun, and reads that would go on for nobody.
    pub fn forget(&mut self, conn: ConnId) -> Vec<Ticket> {
        let mut idle = Vec::new();
        for (ticket, call) in &mut self.open {
            call.also.retain(|(other, _)| *other != conn);
            if call.conn != Some(conn) {
                continue;
            }
            call.conn = None;
            if let Some((other, seq)) = call.also.pop() {
                (call.conn, call.seq) = (Some(other), seq);
                continue;
            }
            let endless = call.method.class == Class::Read && call.method.cancellable;
            if endless || (call.deferred && !self.execute_abandoned) {
                idle.push(*ticket);
            }
        }
        idle
    }

    /// The open call of a session.
    pub fn find(&self, conn: ConnId, seq: u64) -> Option<Ticket> {
        self.open.iter().find(|(_, c)| c.conn == Some(conn) && c.seq == seq).map(|(t, _)| *t)
    }

    /// The connection of an open call, while it lasts.
    pub fn conn(&self, ticket: Ticket) -> Option<ConnId> {
        self.open.get(&ticket)?.conn
    }

    /// The method of an open call.
    pub fn method(&self, ticket: Ticket) -> Option<&'static Method> {
        self.open.get(&ticket).map(|c| c.method)
    }
}

/// The fields of a reply's record entry.
pub fn reply_fields<C>(
    ticket: Ticket,
    call: &OpenCall<C>,
    outcome: &Outcome,
    now: Now,
) -> Vec<(String, crate::value::Value)> {
    use crate::record::shortened;
    use crate::value::Value;
    let took = now.mono.since(call.arrived.mono).as_secs_f64() * 1e3;
    let result = match outcome {
        Ok(value) => shortened(value),
        Err(e) => Value::Str(format!("{}: {}", e.class.name(), e.message)),
    };
    vec![
        ("id".into(), Value::Int(ticket.0 as i64)),
        ("method".into(), Value::Str(format!("{}.{}", call.method.interface, call.method.name))),
        ("ok".into(), Value::Bool(outcome.is_ok())),
        ("took_ms".into(), Value::Float((took * 1e3).round() / 1e3)),
        ("result".into(), result),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::methods::{BANK, PlayerCall};

    fn method(name: &str) -> &'static Method {
        BANK.iter().find(|m| m.name == name).expect("in the table")
    }
    fn admit(calls: &mut Calls<PlayerCall>, conn: u64, name: &str, call: PlayerCall) -> Ticket {
        calls.admit(ConnId(conn), 1, method(name), call, Terms::default(), Now::default()).expect("room")
    }

    #[test]
    fn reads_and_stop_never_wait_for_a_turn() {
        let mut calls = Calls::new(false);
        admit(&mut calls, 1, "set_mode", PlayerCall::Prepare);
        let read = admit(&mut calls, 2, "get_mode", PlayerCall::GetMode);
        assert_eq!(calls.immediate(read), Some(PlayerCall::GetMode));
        let stop = admit(&mut calls, 3, "stop", PlayerCall::Stop);
        assert_eq!(calls.immediate(stop), None, "not before it is in the record");
        calls.recorded(stop);
        assert_eq!(calls.immediate(stop), Some(PlayerCall::Stop));
    }

    #[test]
    fn writes_keep_their_order_even_if_the_record_answers_out_of_order() {
        let mut calls = Calls::new(false);
        let first = admit(&mut calls, 1, "prepare", PlayerCall::Prepare);
        let second = admit(&mut calls, 2, "monitor", PlayerCall::Monitor);
        calls.recorded(second);
        assert_eq!(calls.next_turn(), None);
        calls.recorded(first);
        assert_eq!(calls.next_turn(), Some(Turn::Start(first, PlayerCall::Prepare)));
        assert_eq!(calls.next_turn(), Some(Turn::Start(second, PlayerCall::Monitor)));
    }

    #[test]
    fn a_write_whose_client_has_gone_is_dropped_but_stop_is_not() {
        let mut calls = Calls::new(false);
        let write = admit(&mut calls, 1, "prepare", PlayerCall::Prepare);
        let stop = admit(&mut calls, 1, "stop", PlayerCall::Stop);
        calls.recorded(write);
        calls.recorded(stop);
        calls.forget(ConnId(1));
        assert_eq!(calls.next_turn(), Some(Turn::Drop(write)));
        assert_eq!(calls.immediate(stop), Some(PlayerCall::Stop));
    }

    #[test]
    fn the_compatibility_switch_executes_abandoned_writes() {
        let mut calls = Calls::new(true);
        let write = admit(&mut calls, 1, "prepare", PlayerCall::Prepare);
        calls.recorded(write);
        calls.forget(ConnId(1));
        assert_eq!(calls.next_turn(), Some(Turn::Start(write, PlayerCall::Prepare)));
    }

    #[test]
    fn the_queue_has_a_bound() {
        let mut calls = Calls::new(false);
        for _ in 0..QUEUE_MAX {
            admit(&mut calls, 1, "prepare", PlayerCall::Prepare);
        }
        let mut more = |name, call| {
            calls.admit(ConnId(1), 1, method(name), call, Terms::default(), Now::default()).is_some()
        };
        assert!(!more("prepare", PlayerCall::Prepare));
        assert!(more("get_mode", PlayerCall::GetMode));
    }

    #[test]
    fn who_does_not_want_to_wait_so_long_loses_the_turn() {
        let at = |s: u64| Now { mono: Mono(s * 1_000_000_000), ..Now::default() };
        let mut calls = Calls::new(false);
        let mut by = |s| {
            let terms = Terms { begin_by: Some(at(s).mono), ..Terms::default() };
            let prepare = PlayerCall::Prepare;
            let ticket = calls.admit(ConnId(1), s, method("prepare"), prepare, terms, at(0)).expect("room");
            calls.recorded(ticket);
            ticket
        };
        let (begun, late, patient) = (by(5), by(3), by(9));
        assert_eq!(calls.deadline(), Some(at(3).mono));
        assert_eq!(calls.next_turn(), Some(Turn::Start(begun, PlayerCall::Prepare)));
        assert_eq!(calls.too_late(at(6)), [late], "what has begun is not late");
        assert_eq!(calls.next_turn(), Some(Turn::Start(patient, PlayerCall::Prepare)));
        assert_eq!(calls.deadline(), None);
    }
}
