//! Calls that may come twice: a client that lost the answer asks again with the same request id, and is given the
//! answer of the first time.
//!
//! ```text
//!  new ──► call ──► answered, kept 10 min ──► the same answer
//!            └──── asked again meanwhile ───► waits for that answer, too
//! ```
//!
//! What was refused before it began is not kept: nothing happened, so it may be tried again. Nothing survives a
//! restart of the node.

use crate::api::{Call, CallError, Outcome, Ticket};
use crate::proto::json;
use crate::units::{Mono, Now};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(600);
/// Answers kept at most; the oldest goes first.
pub const ANSWERS_MAX: usize = 4096;
/// Bytes of all answers kept, as JSON; the oldest goes first.
pub const BYTES_MAX: usize = 16 << 20;

/// Whose request: the host of the client (it may come back on another connection), and its id.
pub type Key = (String, String);

/// What is known of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// It has not been asked before.
    New,
    /// It is on its way.
    Open(Ticket),
    /// It was answered.
    Answered(Ticket, Outcome),
}

#[derive(Debug)]
struct Asked {
    ticket: Ticket,
    call: Call,
    answer: Option<(Outcome, usize)>,
}

/// The requests with an id that are open or were answered lately.
#[derive(Debug, Default)]
pub struct Repeats {
    asked: BTreeMap<Key, Asked>,
    open: BTreeMap<Ticket, Key>,
    /// Answered ones, oldest first.
    answered: VecDeque<(Mono, Key)>,
    bytes: usize,
}

impl Repeats {
    /// What is known of this request.
    ///
    /// # Errors
    /// The id was used for another call.
    pub fn look_up(&mut self, key: &Key, call: &Call, now: Now) -> Result<Known, CallError> {
        self.forget_old(now.mono);
        let Some(asked) = self.asked.get(key) else { return Ok(Known::New) };
        if asked.call != *call {
            return Err(CallError::id_taken(&key.1, &asked.call));
        }
        Ok(match &asked.answer {
            None => Known::Open(asked.ticket),
            Some((outcome, _)) => Known::Answered(asked.ticket, outcome.clone()),
        })
    }

    /// A new request has become a call.
    pub fn began(&mut self, key: Key, call: Call, ticket: Ticket) {
        self.open.insert(ticket, key.clone());
        self.asked.insert(key, Asked { ticket, call, answer: None });
    }

    /// The call was answered.
    pub fn answered(&mut self, ticket: Ticket, outcome: &Outcome, now: Now) {
        let Some(key) = self.open.remove(&ticket) else { return };
        let Some(asked) = self.asked.get_mut(&key) else { return };
        let bytes = match outcome {
            // What is no JSON never leaves as an answer; then its error does.
            Ok(value) => json::to_text(value).map_or(0, |text| text.len()),
            Err(error) => error.message.len(),
        };
        asked.answer = Some((outcome.clone(), bytes));
        self.bytes += bytes;
        self.answered.push_back((now.mono + KEPT_FOR, key));
        while self.answered.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            self.forget_oldest();
        }
    }

    /// The call was not carried out: it may be asked again.
    pub fn not_carried_out(&mut self, ticket: Ticket) {
        if let Some(key) = self.open.remove(&ticket) {
            self.asked.remove(&key);
        }
    }

    fn forget_old(&mut self, now: Mono) {
        while self.answered.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.answered.pop_front() else { return };
        let kept = self.asked.remove(&key).and_then(|asked| asked.answer);
        self.bytes -= kept.map_or(0, |(_, bytes)| bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn key(id: &str) -> Key {
        ("10.0.0.1".into(), id.into())
    }
    fn call(method: &str) -> Call {
        Call { interface: "bank".into(), method: method.into(), args: vec![], kwargs: vec![] }
    }
    fn at(s: u64) -> Now {
        Now { mono: Mono(s * 1_000_000_000), ..Now::default() }
    }

    #[test]
    fn an_answer_is_given_again_for_ten_minutes() {
        let mut repeats = Repeats::default();
        let answer = Ok(Value::Int(7));
        assert_eq!(repeats.look_up(&key("a"), &call("prepare"), at(0)), Ok(Known::New));
        repeats.began(key("a"), call("prepare"), Ticket(1));
        assert_eq!(repeats.look_up(&key("a"), &call("prepare"), at(1)), Ok(Known::Open(Ticket(1))));
        repeats.answered(Ticket(1), &answer, at(2));
        let again = repeats.look_up(&key("a"), &call("prepare"), at(601));
        assert_eq!(again, Ok(Known::Answered(Ticket(1), answer)));
        assert_eq!(repeats.look_up(&key("a"), &call("prepare"), at(602)), Ok(Known::New));
        assert_eq!(repeats.bytes, 0);
    }

    #[test]
    fn an_id_names_one_call_only() {
        let mut repeats = Repeats::default();
        repeats.began(key("a"), call("prepare"), Ticket(1));
        let error = repeats.look_up(&key("a"), &call("stop"), at(0)).expect_err("another call");
        assert!(error.message.contains("'a'") && error.message.contains("bank.prepare"), "{error}");
        let other = ("10.0.0.2".into(), "a".into());
        assert_eq!(repeats.look_up(&other, &call("stop"), at(0)), Ok(Known::New), "another client's id");
    }

    #[test]
    fn what_was_not_carried_out_may_be_asked_again() {
        let mut repeats = Repeats::default();
        repeats.began(key("a"), call("prepare"), Ticket(1));
        repeats.not_carried_out(Ticket(1));
        assert_eq!(repeats.look_up(&key("a"), &call("prepare"), at(0)), Ok(Known::New));
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let mut repeats = Repeats::default();
        let mut answer = |n: u64, outcome: &Outcome| {
            repeats.began(key(&n.to_string()), call("prepare"), Ticket(n));
            repeats.answered(Ticket(n), outcome, at(0));
            (repeats.asked.len(), repeats.open.len(), repeats.bytes)
        };
        for n in 0..2 * ANSWERS_MAX as u64 {
            answer(n, &Ok(Value::Null));
        }
        assert_eq!(answer(1 << 40, &Ok(Value::Null)), (ANSWERS_MAX, 0, 4 * ANSWERS_MAX));
        let long = Ok(Value::Str("x".repeat(BYTES_MAX / 2)));
        answer(1 << 41, &long);
        assert!(answer(1 << 42, &long).2 <= BYTES_MAX);
    }
}
