//! Status memory: orders to it, and answers that are made from its cards.

use super::Player;
use super::messages::{Output, StatusAnswer, StatusKey, StatusOrder, StepKey};
use crate::api::{CallError, ErrorClass, Family, Outcome};
use crate::plan::Step;
use crate::plan::runner::Done;
use crate::player::guard;
use crate::player::state::State;
use crate::units::Now;
use crate::value::Value;

/// What `scan_status` shows.
pub(super) const SCAN_STATUS_KEYS: &[&str] = &["NETSTAT", "DISKSTAT"];

impl Player {
    pub(super) fn order_status(&mut self, key: StatusKey, order: StatusOrder) {
        self.outputs.push_back(Output::Status { key, order });
    }

    pub(super) fn read_status(&mut self, key: StatusKey, names: &[&str]) {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        self.order_status(key, StatusOrder::Read(Some(names)));
    }

    pub(super) fn status_answered(&mut self, key: StatusKey, answer: StatusAnswer, now: Now) {
        match key {
            StatusKey::Plan(key) => self.status_step_done(key, answer, now),
            StatusKey::Written(ticket) => {
                self.reply_saved(Some(ticket), answer.map(|_| Value::Null).map_err(status_error));
            }
            StatusKey::Cards(ticket, keys) => {
                let outcome = answer.map_err(status_error).and_then(|cards| select(cards, &keys));
                self.reply(Some(ticket), outcome);
            }
            StatusKey::ScanStatus(ticket) => {
                let running = matches!(self.state, State::Scanning(_));
                let outcome = answer.map(|cards| scan_status(running, &cards)).map_err(status_error);
                self.reply(Some(ticket), outcome);
            }
            StatusKey::AfterStop => {
                let cards = answer.unwrap_or_default();
                if card(&cards, "DAQSTATE").is_some_and(|v| v.to_string() == "stopped") {
                    self.after_stop = None;
                }
                self.last_numbers(cards);
            }
            StatusKey::DiskAtEnd => {
                let cards = answer.unwrap_or_default();
                let said = card(&cards, "DISKSTAT").map(Value::to_string).unwrap_or_default();
                if guard::is_disk_error(&said) {
                    self.note_error(
                        format!("data of scan {} are missing: DISKSTAT={said}", self.scan_number),
                        now,
                    );
                }
                self.last_numbers(cards);
            }
            StatusKey::Watch => self.watched(answer, now),
            StatusKey::Quiet => {
                if let Err(e) = answer {
                    self.note_error(format!("status memory: {e}"), now);
                }
            }
        }
    }

    pub(super) fn status_step_done(&mut self, key: StepKey, answer: StatusAnswer, now: Now) {
        let Some(job) = &self.job else { return };
        let polled = match job.runner.step_of(key.id) {
            Some(Step::WaitStatus { key, .. } | Step::WaitChange { key, .. }) => Some(key.clone()),
            _ => None,
        };
        let done = match (answer, polled) {
            (Ok(cards), Some(name)) => Done::Status(card(&cards, &name).map(|v| v.to_string())),
            (Ok(_), None) => Done::Other(Ok(())),
            (Err(_), Some(_)) => Done::Status(None),
            (Err(e), None) => Done::Other(Err(e)),
        };
        self.step_done(key, done, now);
    }
}

fn status_error(text: String) -> CallError {
    CallError::new(ErrorClass::Exception, Family::Environment, format!("status memory: {text}"))
}

fn card<'a>(cards: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    cards.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v)
}

fn scan_status(running: bool, cards: &[(String, Value)]) -> Value {
    let show = |key: &str| {
        let value = card(cards, key).map_or_else(|| "unknown".to_owned(), Value::to_string);
        Value::Str(format!("{key}={value}"))
    };
    let shown = SCAN_STATUS_KEYS.iter().map(|key| show(key));
    Value::List(std::iter::once(Value::Bool(running)).chain(shown).collect())
}

/// The keys `get_status` has to read; `None`: all of them.
pub(super) fn wanted(keys: &Value) -> Option<Vec<String>> {
    match keys {
        Value::Null => None,
        Value::List(names) => Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        one => Some(vec![one.to_string()]),
    }
}

/// `get_status`: everything, the keys of a list that exist, or one key.
fn select(cards: Vec<(String, Value)>, keys: &Value) -> Outcome {
    match keys {
        Value::Null => Ok(Value::Map(cards)),
        Value::List(names) => {
            let found = names.iter().filter_map(|n| {
                let name = n.as_str()?;
                Some((name.to_owned(), card(&cards, name)?.clone()))
            });
            Ok(Value::Map(found.collect()))
        }
        one => {
            let name = one.to_string();
            card(&cards, &name)
                .cloned()
                .ok_or_else(|| CallError::new(ErrorClass::KeyError, Family::Invalid, format!("'{name}'")))
        }
    }
}
