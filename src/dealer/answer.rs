//! The answer of one player, and the entry it becomes in the result of a call to many.

use crate::api::CallError;
use crate::value::Value;
use std::time::Duration;

/// Why a player gave no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Not connected, or the link was lost before the answer; in words.
    Lost(String),
    /// No answer in time.
    Late(Duration),
    /// It answered with an error.
    Raised(CallError),
    /// It was not asked, for this reason.
    NotAsked(String),
}

/// What a player answered.
pub type Answer = Result<Value, Failure>;

impl Failure {
    /// The words of an entry, for a player of this name.
    pub fn text(&self, player: &str) -> String {
        match self {
            Failure::Lost(_) => format!("Lost connection to server for {player}."),
            Failure::Late(limit) => {
                let limit = limit.as_secs_f64();
                format!("No reply from {player} within {limit} s; the request may still be running")
            }
            Failure::Raised(error) => error.to_string(),
            Failure::NotAsked(why) => why.clone(),
        }
    }

    /// The same with all that is known, for `last_errors`.
    pub fn full_text(&self, player: &str) -> String {
        match self {
            Failure::Lost(why) => format!("{} ({why})", self.text(player)),
            Failure::Raised(error) => format!("{error} [{}]", error.family.name()),
            _ => self.text(player),
        }
    }
}

/// The entry of a player in the result of a call: its value, or `[false, text]`.
pub fn entry(player: &str, answer: &Answer) -> Value {
    match answer {
        Ok(value) => value.clone(),
        Err(failure) => Value::verdict(false, failure.text(player)),
    }
}

/// Did it do what it was asked? A `[false, ..]` of the player itself counts as no.
pub fn succeeded(answer: &Answer) -> bool {
    match answer {
        Ok(Value::List(items)) => items.first() != Some(&Value::Bool(false)),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Why not, in words; of an answer that did not succeed.
pub fn complaint(player: &str, answer: &Answer) -> String {
    match answer {
        Ok(Value::List(items)) => {
            items.get(1).and_then(Value::as_str).unwrap_or("it refused without a reason").to_owned()
        }
        Ok(_) => String::new(),
        Err(failure) => failure.text(player),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_an_entry() {
        let text = |failure: Failure| match entry("BANKC", &Err(failure)) {
            Value::List(items) => {
                assert_eq!(items[0], Value::Bool(false));
                items[1].as_str().unwrap_or_default().to_owned()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(text(Failure::Lost("refused".into())), "Lost connection to server for BANKC.");
        assert_eq!(
            text(Failure::Late(Duration::from_secs(120))),
            "No reply from BANKC within 120 s; the request may still be running"
        );
        let raised = CallError::exception("No such parameter 'x'");
        assert_eq!(text(Failure::Raised(raised)), "Exception: No such parameter 'x'");
    }

    #[test]
    fn a_players_own_no_is_no_success() {
        assert!(succeeded(&Ok(Value::Null)));
        assert!(succeeded(&Ok(Value::verdict(true, "done"))));
        assert!(!succeeded(&Ok(Value::verdict(false, "Mode X is not supported."))));
        assert_eq!(complaint("BANKA", &Ok(Value::verdict(false, "no"))), "no");
    }
}
