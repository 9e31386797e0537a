//! The desk's part in control leases and callers' deadlines: what `rpc` says and does about them, who is told, and
//! what is entered in the record.

use super::{Ask, BEGIN, Desk, LEASE, lease_of};
use crate::api::bind::Bound;
use crate::api::{CallError, Method, Outcome, Terms, Ticket, builtin};
use crate::node::leases::{Lease, SECONDS_MIN};
use crate::node::work::Job;
use crate::reactor::{ConnId, Effects};
use crate::units::Now;
use crate::value::Value;
use std::collections::BTreeMap;

/// Topic of the event that tells who has control, or null.
const TOPIC: &str = "lease";

/// Answers about control that wait until the role has passed it on. Each belongs to a call in flight, of which a
/// connection has a few.
#[derive(Debug, Default)]
pub(super) struct Passing {
    last: u64,
    /// The role does not know of these yet.
    new: Vec<u64>,
    open: BTreeMap<u64, (ConnId, u64, Value)>,
}

impl<C, O> Desk<C, O> {
    /// Who has control has changed since this was asked last: for the role to show. Subscribers are told.
    pub fn control_news<J>(&mut self, now: Now, fx: &mut Effects<Job<J>>) -> Option<Value> {
        if !std::mem::take(&mut self.lease_changed) {
            return None;
        }
        let held = self.leases.describe(now);
        self.publish(TOPIC, || held.clone(), now, fx);
        Some(held)
    }

    /// The role passes control on to others: clients are answered when it has ([`Desk::control_passed`]).
    pub fn pass_control_on(&mut self) {
        self.passing = Some(Passing::default());
    }

    /// Who has control now, for the role to pass on, and the clients that wait for it.
    pub fn control_to_pass(&mut self, now: Now) -> (Option<Lease>, Vec<u64>) {
        let new = self.passing.as_mut().map(|p| std::mem::take(&mut p.new)).unwrap_or_default();
        (self.leases.holder(now).cloned(), new)
    }

    /// What has become of it: `players` is added to the answer of the clients that wait.
    pub fn control_passed<J>(
        &mut self,
        waiting: &[u64],
        players: &Value,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) {
        for name in waiting {
            let Some(passing) = &mut self.passing else { return };
            let Some((conn, seq, mut answer)) = passing.open.remove(name) else { continue };
            if let Value::Map(fields) = &mut answer {
                fields.push(("players".into(), players.clone()));
            }
            self.faces.reply(conn, seq, Ok(answer), now);
            self.drain_face(conn, now, fx);
        }
    }

    /// A lease binds everybody from now on, or whom the configuration says.
    pub fn bind_others(&mut self, binding: bool) {
        self.leases.set_binding(binding);
    }

    /// The outcome of a method of `rpc`, unless others have to be told first.
    pub(super) fn unless_passed_on(
        &mut self,
        (conn, seq): (ConnId, u64),
        method: &Method,
        outcome: Outcome,
    ) -> Option<Outcome> {
        let about_control = matches!(method.name, "acquire" | "renew" | "release");
        match (&mut self.passing, outcome) {
            (Some(passing), Ok(answer)) if about_control && answer != Value::Bool(false) => {
                passing.last += 1;
                passing.new.push(passing.last);
                passing.open.insert(passing.last, (conn, seq, answer));
                None
            }
            (_, outcome) => Some(outcome),
        }
    }

    /// A method of `rpc`.
    pub(super) fn answer_builtin<J>(
        &mut self,
        conn: ConnId,
        method: &Method,
        bound: &Bound,
        terms: &Terms,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) -> Outcome {
        let token = || bound.text("token").unwrap_or_default();
        let seconds = || bound.number("seconds").unwrap_or_default();
        self.forget_ended(now, fx);
        match method.name {
            "clients" => Ok(self.faces.clients()),
            "lease" => Ok(self.leases.describe(now)),
            "acquire" => {
                let who = bound.text("who").unwrap_or_default();
                let purpose = bound.text("purpose").unwrap_or_default();
                let lease = self.leases.acquire(who, seconds(), purpose, lease_of(terms), now)?;
                self.given(conn, "acquired", &lease, now, fx)
            }
            "renew" => {
                let held = self.leases.holder(now).filter(|held| held.token == token()).cloned();
                if let (Some(lease), None) = (held, bound.number("seconds")) {
                    // It ends when it ended before: there is nothing to enter. A role that passes control on has its say.
                    self.lease_changed |= self.passing.is_some();
                    return Ok(self.bound(conn, &lease, now));
                }
                // Without seconds a token comes here only to be refused.
                let lease =
                    self.leases.renew(token(), bound.number("seconds").unwrap_or(SECONDS_MIN), now)?;
                self.given(conn, "renewed", &lease, now, fx)
            }
            "release" => {
                let released = self.leases.release(token(), now);
                if lease_of(terms) == Some(token()) {
                    self.faces.bind_lease(conn, None);
                }
                if let Some(lease) = &released {
                    self.lease_note(Some(conn), "released", lease, now, fx);
                }
                Ok(Value::Bool(released.is_some()))
            }
            _ => builtin::answer(&self.trade.table, method, bound),
        }
    }

    /// The connection has the lease from now on.
    fn given<J>(
        &mut self,
        conn: ConnId,
        what: &str,
        lease: &Lease,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) -> Outcome {
        self.lease_note(Some(conn), what, lease, now, fx);
        Ok(self.bound(conn, lease, now))
    }

    /// What its holder is told, on a connection that has it from now on.
    fn bound(&mut self, conn: ConnId, lease: &Lease, now: Now) -> Value {
        self.faces.bind_lease(conn, Some(lease.token.clone()));
        let mut granted = lease.granted(now);
        if let Value::Map(fields) = &mut granted {
            fields.push(("rule".into(), self.leases.rule().name().into()));
        }
        granted
    }

    /// Into log and record; role and subscribers are told when everything has settled.
    fn lease_note<J>(
        &mut self,
        conn: Option<ConnId>,
        what: &str,
        lease: &Lease,
        now: Now,
        fx: &mut Effects<Job<J>>,
    ) {
        self.lease_changed = true;
        let peer =
            conn.and_then(|conn| self.faces.peer(conn)).map_or(String::new(), |(peer, _)| peer.to_owned());
        let by = if peer.is_empty() { String::new() } else { format!(" by {peer}") };
        log::info!("control: {what}{by}; {}", lease.in_words(now));
        let mut fields = vec![("what".to_owned(), Value::from(what))];
        fields.extend(lease.public(now));
        fields.push(("peer".to_owned(), peer.into()));
        self.enter("lease", fields, None, now, fx);
    }

    fn forget_ended<J>(&mut self, now: Now, fx: &mut Effects<Job<J>>) {
        if let Some(lease) = self.leases.expire(now) {
            self.lease_note(None, "ended", &lease, now, fx);
        }
    }

    /// The timer of the lease.
    pub(super) fn lease_due<J>(&mut self, now: Now, fx: &mut Effects<Job<J>>) {
        self.timers.fired(LEASE);
        self.forget_ended(now, fx);
    }

    /// The timer of calls that must begin by a time of their own.
    pub(super) fn begin_due<J>(&mut self, now: Now, fx: &mut Effects<Job<J>>) {
        self.timers.fired(BEGIN);
        for ticket in self.calls.too_late(now) {
            let Some(method) = self.calls.method(ticket) else { continue };
            let error = CallError::too_late(&format!("{}.{}", method.interface, method.name));
            self.not_carried_out(ticket, error, now, fx);
            self.asks.push_back(Ask::Cancel(ticket));
        }
    }

    /// A write whose turn has come: may it still be called under the lease it came with?
    pub(super) fn still_admitted(&self, ticket: Ticket, now: Now) -> Result<(), CallError> {
        match (self.calls.method(ticket), self.calls.terms(ticket)) {
            (Some(method), Some(terms)) => self.leases.admit(method, lease_of(terms), now),
            _ => Ok(()),
        }
    }
}
