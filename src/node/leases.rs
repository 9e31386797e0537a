//! Control leases: one client at a time may say that the node is its own for a while.
//!
//! ```text
//!          acquire                      release, or its time is over
//!   free ──────────► held (token, who, purpose, until) ──────────► free
//!                       └── renew ──┘
//! ```
//!
//! A lease keeps well-meaning clients out of each other's way; rights are [`access`](super::access)'s. Its token is a
//! name, not a secret. It outlives connections and ends by release or time; a restart of the node ends it, too.

use crate::api::{CallError, Class, Method, builtin};
use crate::config::settings::LeaseRule;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::time::Duration;

/// Longest lease, s; it can be renewed.
pub const SECONDS_MAX: f64 = 86_400.0;
/// Shortest lease, s.
pub const SECONDS_MIN: f64 = 1.0;
/// Characters of a client's name.
pub const WHO_MAX: usize = builtin::WHO_MAX;
/// Characters of a purpose.
pub const PURPOSE_MAX: usize = 200;

/// A lease that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Names it.
    pub token: String,
    /// Whose.
    pub who: String,
    /// What for; may be empty.
    pub purpose: String,
    /// On the monotonic clock: setting the wall clock neither shortens nor prolongs it.
    until: Mono,
}

impl Lease {
    /// How long it lasts, from now.
    fn remaining(&self, now: Now) -> Duration {
        self.until.since(now.mono)
    }

    /// When it ends as the wall clock is now, to the second.
    fn ends(&self, now: Now) -> String {
        let mut civil = (now.utc + self.remaining(now) + Duration::from_micros(500)).to_string();
        civil.truncate(civil.find('.').unwrap_or(civil.len()));
        format!("{civil} UTC")
    }

    /// `ann (commissioning)`
    pub fn holder(&self) -> String {
        match self.purpose.as_str() {
            "" => self.who.clone(),
            purpose => format!("{} ({purpose})", self.who),
        }
    }

    /// When it ends.
    pub fn until(&self) -> Mono {
        self.until
    }

    /// Without the token: who, what for, until when.
    pub fn public(&self, now: Now) -> Vec<(String, Value)> {
        vec![
            ("who".into(), self.who.as_str().into()),
            ("purpose".into(), self.purpose.as_str().into()),
            ("until".into(), self.ends(now).into()),
        ]
    }

    /// What its holder is given: `{token, who, until, seconds}`.
    pub fn granted(&self, now: Now) -> Value {
        Value::Map(vec![
            ("token".into(), self.token.as_str().into()),
            ("who".into(), self.who.as_str().into()),
            ("until".into(), self.ends(now).into()),
            ("seconds".into(), Value::Float(self.remaining(now).as_secs_f64())),
        ])
    }

    /// `ann (commissioning) until 2026-11-21 18:00:00 UTC`
    pub fn in_words(&self, now: Now) -> String {
        format!("{} until {}", self.holder(), self.ends(now))
    }

    fn refusal(&self, now: Now) -> CallError {
        CallError::exception(format!("control is with {}", self.in_words(now)))
    }
}

/// The lease of a node, if somebody holds it.
#[derive(Debug, Default)]
pub struct Leases {
    rule: LeaseRule,
    /// Whatever the rule says, a lease binds everybody while it is held.
    binding: bool,
    held: Option<Lease>,
    given: u64,
}

impl Leases {
    /// Nobody holds it.
    pub fn new(rule: LeaseRule) -> Leases {
        Leases { rule, binding: false, held: None, given: 0 }
    }

    /// Gives control to `who` for `seconds`. `token`: what the client's connection holds already: then its lease is
    /// renewed, with another name and purpose. Refused while somebody else has control.
    pub fn acquire(
        &mut self,
        who: &str,
        seconds: f64,
        purpose: &str,
        token: Option<&str>,
        now: Now,
    ) -> Result<Lease, CallError> {
        checked_text("who", who, WHO_MAX)?;
        checked_text("purpose", purpose, PURPOSE_MAX)?;
        if who.is_empty() {
            return Err(CallError::value_error("who: give a name, so that others know whom to ask"));
        }
        let lasts = checked_seconds(seconds)?;
        let token = match self.holder(now) {
            Some(held) if Some(held.token.as_str()) == token => held.token.clone(),
            Some(held) => return Err(held.refusal(now)),
            None => {
                self.given += 1;
                format!("{:x}.{}", now.utc.0, self.given)
            }
        };
        let (who, purpose) = (who.to_owned(), purpose.to_owned());
        Ok(self.held.insert(Lease { token, who, purpose, until: now.mono + lasts }).clone())
    }

    /// Gives the lease of this token other `seconds` from now.
    pub fn renew(&mut self, token: &str, seconds: f64, now: Now) -> Result<Lease, CallError> {
        let lasts = checked_seconds(seconds)?;
        self.expire(now);
        match &mut self.held {
            Some(held) if held.token == token => {
                held.until = now.mono + lasts;
                Ok(held.clone())
            }
            Some(held) => Err(held.refusal(now)),
            None => Err(CallError::exception("this lease has ended, and nobody holds another: acquire")),
        }
    }

    /// Gives control back. `None`: this lease had ended already.
    pub fn release(&mut self, token: &str, now: Now) -> Option<Lease> {
        self.expire(now);
        self.held.take_if(|held| held.token == token)
    }

    /// Whom a lease binds, as the configuration says.
    pub fn rule(&self) -> LeaseRule {
        self.rule
    }

    /// A lease binds everybody, whatever the rule says: it stands for others that do.
    pub fn set_binding(&mut self, binding: bool) {
        self.binding = binding;
    }

    /// Who has control.
    pub fn holder(&self, now: Now) -> Option<&Lease> {
        self.held.as_ref().filter(|held| held.until > now.mono)
    }

    /// May this method be called under this lease (or none)? Reads and urgent methods (`stop`) always.
    pub fn admit(&self, method: &Method, token: Option<&str>, now: Now) -> Result<(), CallError> {
        if method.class == Class::Read || method.urgent {
            return Ok(());
        }
        let name = || format!("{}.{}", method.interface, method.name);
        match (self.holder(now), token) {
            (Some(held), Some(token)) if held.token == token => Ok(()),
            (Some(_), None) if self.rule == LeaseRule::Cooperative && !self.binding => Ok(()),
            (Some(held), _) => Err(CallError::exception(format!(
                "{} refused: {}; reads and stop are always allowed",
                name(),
                held.refusal(now).message
            ))),
            (None, _) if self.rule == LeaseRule::Required => Err(CallError::lease_needed(&name())),
            (None, _) => Ok(()),
        }
    }

    /// Forgets a lease whose time is over, and gives it.
    pub fn expire(&mut self, now: Now) -> Option<Lease> {
        self.held.take_if(|held| held.until <= now.mono)
    }

    /// When to call [`Leases::expire`].
    pub fn deadline(&self) -> Option<Mono> {
        self.held.as_ref().map(|held| held.until)
    }

    /// Who has control, what for, until when; null if nobody has.
    pub fn describe(&self, now: Now) -> Value {
        self.holder(now).map_or(Value::Null, |held| Value::Map(held.public(now)))
    }
}

fn checked_seconds(seconds: f64) -> Result<Duration, CallError> {
    if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(CallError::value_error(format!("seconds = {seconds}: must be {SECONDS_MIN} to {SECONDS_MAX}")))
}

fn checked_text(name: &str, text: &str, max: usize) -> Result<(), CallError> {
    if text.chars().count() <= max && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(CallError::value_error(format!("{name}: must be at most {max} printable characters")))
}

#[cfg(test)]
mod tests;
