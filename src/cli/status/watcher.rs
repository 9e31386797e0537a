//! [`Watcher`]: looks at one node, again and again; one that does not answer is tried again at the next look.

use super::rows::{self, CONTROLLERS, Columns, KEYS, Look, PLAYERS};
use super::warnings;
use crate::api::{CallError, Outcome};
use crate::cli::client::Client;
use crate::cli::remote_table::no_answer;
use crate::cli::target::Target;
use crate::value::Value;
use std::time::Duration;

/// How long a proxy waits for the status keys of one player.
const KEYS_WITHIN_S: f64 = 0.4;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Proxy,
    Player,
    Reference,
    CcdHost,
}

/// Looks at one node.
pub struct Watcher {
    name: String,
    target: Target,
    timeout: Duration,
    client: Option<Client>,
    kind: Option<Kind>,
    columns: Columns,
    only: Vec<String>,
    all_warnings: bool,
}

impl Watcher {
    /// `name`: what its row is called while it does not answer; `timeout`: of one call.
    pub fn new(name: &str, target: &Target, timeout: Duration) -> Watcher {
        Watcher {
            name: name.to_owned(),
            target: target.clone(),
            timeout,
            client: None,
            kind: None,
            columns: PLAYERS,
            only: Vec::new(),
            all_warnings: false,
        }
    }

    /// Only the rows of these banks, in any case of letters; all of them if none is named.
    pub fn only(mut self, banks: &[String]) -> Watcher {
        self.only = banks.to_vec();
        self
    }

    /// Old warnings, too.
    pub fn all_warnings(mut self, all: bool) -> Watcher {
        self.all_warnings = all;
        self
    }

    /// How it is now; `detail`: the row whose status keys are wanted, too.
    pub fn look(&mut self, detail: Option<&str>) -> Look {
        match self.try_look(detail) {
            Ok(look) => look.only(&self.only),
            Err(error) => {
                // The next look finds out anew who is there.
                self.client = None;
                self.kind = None;
                Look::silent(self.columns, &self.name, &error.message)
            }
        }
    }

    fn try_look(&mut self, detail: Option<&str>) -> Result<Look, CallError> {
        let kind = match self.kind {
            Some(kind) => kind,
            None => {
                let found = self.find_out()?;
                *self.kind.insert(found)
            }
        };
        self.columns = if kind == Kind::CcdHost { CONTROLLERS } else { PLAYERS };
        match kind {
            Kind::Proxy => self.proxy(detail),
            Kind::Player => self.player(detail),
            Kind::Reference => self.reference(detail),
            Kind::CcdHost => self.ccd_host(detail),
        }
    }

    fn find_out(&mut self) -> Result<Kind, CallError> {
        let interfaces = match self.call("rpc", "interfaces", vec![], vec![]) {
            Err(error) if no_answer(&error) => return Err(error),
            Err(_) => return Ok(Kind::Reference),
            Ok(names) => rows::texts(Some(&names)),
        };
        let has = |name: &str| interfaces.iter().any(|i| i == name);
        match () {
            () if has("dealer") => Ok(Kind::Proxy),
            () if has("archon") => Ok(Kind::CcdHost),
            () if has("bank") => Ok(Kind::Player),
            () => Err(CallError::exception(format!(
                "{}: neither a player, a proxy nor a CCD host",
                self.target
            ))),
        }
    }

    fn call(
        &mut self,
        interface: &str,
        method: &str,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
    ) -> Outcome {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::connect(&self.target, self.timeout)?),
        };
        client.call(interface, method, args, kwargs)
    }

    /// The answer, or nothing where the node answered no: a part of the picture is missing then, not all of it.
    fn part(&mut self, interface: &str, method: &str, kwargs: Vec<(String, Value)>) -> Outcome {
        match self.call(interface, method, vec![], kwargs) {
            Err(error) if no_answer(&error) => Err(error),
            other => Ok(other.unwrap_or_default()),
        }
    }

    fn proxy(&mut self, detail: Option<&str>) -> Result<Look, CallError> {
        let snapshot = self.call("dealer", "snapshot", vec![], vec![])?;
        let names: Vec<Value> = match snapshot.get("players") {
            Some(Value::Map(players)) => players.iter().map(|(name, _)| name.as_str().into()).collect(),
            _ => Vec::new(),
        };
        let wanted = vec![
            ("keys".to_owned(), Value::List(KEYS.iter().map(|k| (*k).into()).collect())),
            ("players".to_owned(), Value::List(names.clone())),
            ("deadline_s".to_owned(), Value::Float(KEYS_WITHIN_S)),
        ];
        let keys = self.part("dealer", "get_status", wanted)?;
        let rows = rows::players(&snapshot, &keys);
        let complete = !rows.iter().any(|r| r.cells[1] == rows::NO_ANSWER);
        let detail = match detail.filter(|d| names.iter().any(|n| n.as_str() == Some(d))) {
            Some(name) => Some((name.to_owned(), rows::keys(&self.part(name, "get_status", vec![])?))),
            None => None,
        };
        let time = snapshot.get("time").and_then(Value::as_str);
        let warnings = warnings::lines(snapshot.get("warnings"), time, self.all_warnings);
        Ok(Look { columns: PLAYERS, rows, warnings, detail, complete })
    }

    fn player(&mut self, detail: Option<&str>) -> Result<Look, CallError> {
        let state = self.call("bank", "player_state", vec![], vec![])?;
        let keys = self.part("bank", "get_status", vec![])?;
        let name = state.get("bank").and_then(Value::as_str).unwrap_or(&self.name).to_owned();
        let row = rows::player(&name, &state, Some(&keys));
        Ok(one(row, &keys, rows::texts(state.get("warnings")), detail))
    }

    fn reference(&mut self, detail: Option<&str>) -> Result<Look, CallError> {
        let mode = self.call("bank", "get_mode", vec![], vec![])?;
        let scan = self.part("bank", "scan_status", vec![])?;
        let keys = self.part("bank", "get_status", vec![])?;
        let name = keys.get("BANKNAM").and_then(Value::as_str).unwrap_or(&self.name).to_owned();
        Ok(one(rows::reference(&name, &mode, &scan, &keys), &keys, vec![], detail))
    }

    fn ccd_host(&mut self, detail: Option<&str>) -> Result<Look, CallError> {
        // From memory, and of every controller: `status` fails for all of them when one is not there.
        let state = self.call("archon", "state", vec![], vec![])?;
        let controllers = state.get("controllers").cloned().unwrap_or_default();
        let rows = rows::controllers(&state);
        let detail = match detail.and_then(|name| Some((name, controllers.get(name)?))) {
            Some((name, known)) => {
                let whole = self.part("archon", "status", vec![("controller".to_owned(), name.into())])?;
                Some((name.to_owned(), rows::keys(whole.get(name).unwrap_or(known))))
            }
            None => None,
        };
        let complete = !rows.iter().any(|r| r.cells[1] == rows::NO_ANSWER);
        Ok(Look { columns: CONTROLLERS, rows, warnings: vec![], detail, complete })
    }
}

fn one(row: rows::Row, keys: &Value, warnings: Vec<String>, detail: Option<&str>) -> Look {
    let detail = detail.filter(|d| *d == row.name).map(|name| (name.to_owned(), rows::keys(keys)));
    Look { columns: PLAYERS, rows: vec![row], warnings, detail, complete: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_a_row_that_says_so() {
        let target = "unix:/nonexistent/socket".parse().expect("a target");
        let look = Watcher::new("BANKA", &target, Duration::from_secs(1)).look(None);
        assert!(!look.complete);
        assert_eq!((look.rows[0].name.as_str(), look.rows[0].cells[1].as_str()), ("BANKA", "NO ANSWER"));
        assert!(look.rows[0].trouble.contains("cannot connect"), "{:?}", look.rows[0]);
    }
}
