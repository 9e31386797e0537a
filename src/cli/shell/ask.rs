//! Names a node is asked for while somebody types: over a connection of its own, for a moment only, remembered for a while.

use super::complete::{Ask, Wanted};
use crate::api::Outcome;
use crate::cli::client::Client;
use crate::cli::target::Target;
use crate::sys::clock;
use crate::units::Mono;
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A Tab waits no longer than this for one answer.
const PATIENCE: Duration = Duration::from_millis(400);
/// Names are asked for again after this.
const KEEP: Duration = Duration::from_secs(10);

/// Asks a node for names.
pub struct AskNode {
    target: Target,
    client: Option<Client>,
    known: BTreeMap<(String, Wanted), (Mono, Vec<String>)>,
}

impl AskNode {
    /// Connects when it is first asked.
    pub fn new(target: &Target) -> AskNode {
        AskNode { target: target.clone(), client: None, known: BTreeMap::new() }
    }

    /// Forgets what it knows: something was changed.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    fn call(&mut self, interface: &str, method: &str) -> Outcome {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::connect(&self.target, PATIENCE)?),
        };
        client.call(interface, method, vec![], vec![])
    }
}

impl Ask for AskNode {
    fn names(&mut self, interface: &str, wanted: Wanted) -> Vec<String> {
        let key = (interface.to_owned(), wanted);
        let now = clock::mono();
        if let Some((_, names)) = self.known.get(&key).filter(|(at, _)| now.since(*at) < KEEP) {
            return names.clone();
        }
        // The first question that has an answer; of players, all of them.
        let mut found = Vec::new();
        for method in questions(wanted) {
            if wanted == Wanted::Players || found.is_empty() {
                found.extend(self.call(interface, method).map(|value| names_in(&value)).unwrap_or_default());
            }
        }
        found.sort();
        found.dedup();
        self.known.insert(key, (now, found.clone()));
        found
    }
}

/// Methods whose answer has the names.
fn questions(wanted: Wanted) -> &'static [&'static str] {
    match wanted {
        Wanted::Modes => &["list_modes"],
        Wanted::Parameters => &["help_param", "get_param"],
        Wanted::StatusKeys => &["get_status"],
        Wanted::Players => &["list_available_players", "groups"],
    }
}

/// Items of a list, members of an object; of an object of objects (players) the members of each.
fn names_in(value: &Value) -> Vec<String> {
    let texts =
        |items: &[Value]| items.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    match value {
        Value::List(items) => texts(items),
        Value::Map(members) if members.iter().any(|(_, v)| matches!(v, Value::Map(_))) => members
            .iter()
            .filter(|(_, v)| matches!(v, Value::Map(_)))
            .flat_map(|(_, v)| names_in(v))
            .collect(),
        Value::Map(members) => members.iter().map(|(name, _)| name.clone()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json;

    #[test]
    fn names_are_found_in_answers_of_one_and_of_many() {
        let names = |text: &str| names_in(&json::read(text.as_bytes()).expect("JSON"));
        assert_eq!(names(r#"["MODE1", "MODE2"]"#), ["MODE1", "MODE2"]);
        assert_eq!(names(r#"{"exposure": "text", "source": "text"}"#), ["exposure", "source"]);
        assert_eq!(names(r#"{"BANKA": {"NETSTAT": "x"}, "BANKB": [false, "lost"]}"#), ["NETSTAT"]);
        assert_eq!(names("null"), [""; 0]);
    }

    #[test]
    fn a_node_that_is_not_there_costs_a_moment() {
        let target = "unix:/nonexistent/socket".parse().expect("a target");
        assert_eq!(AskNode::new(&target).names("bank", Wanted::Modes), [""; 0]);
    }
}
