//! The table of methods of another process: from `rpc.describe`, or, of a reference player, from `list_methods`.

use super::client::Client;
use crate::api::remote::Remotes;
use crate::api::table::Table;
use crate::api::{CallError, Family, Outcome, builtin};
use crate::proto::json_rpc::LIST_METHODS;
use crate::value::Value;

/// What a player has that does not describe itself.
pub const OF_A_REFERENCE: [&str; 3] = ["bank", "bank.roach", "bank.valon"];

/// What a process says it can do.
#[derive(Debug, Default)]
pub struct RemoteTable {
    /// Its methods.
    pub table: Table,
    /// It tells names and texts only: a player of the reference.
    pub is_reference: bool,
    remotes: Remotes,
}

impl RemoteTable {
    /// Asks for all of it. Descriptions that came before are not kept twice.
    ///
    /// # Errors
    /// The connection failed, or the process has no methods.
    pub fn ask(&mut self, client: &mut Client) -> Result<(), CallError> {
        self.ask_by(&mut |interface, method, args| client.call(interface, method, args, vec![]))
    }

    /// The same, by any way to call.
    fn ask_by(&mut self, call: &mut dyn FnMut(&str, &str, Vec<Value>) -> Outcome) -> Result<(), CallError> {
        let mut table = Table::default();
        match call(builtin::INTERFACE, "interfaces", vec![]) {
            Ok(names) => {
                self.is_reference = false;
                for interface in texts(&names) {
                    let methods = call(builtin::INTERFACE, "describe", vec![interface.into()])?;
                    self.add(&mut table, interface, items(methods));
                }
            }
            Err(error) if no_answer(&error) => return Err(error),
            Err(_) => {
                self.is_reference = true;
                for interface in OF_A_REFERENCE {
                    match call(interface, LIST_METHODS, vec![]) {
                        Ok(list) => self.add(&mut table, interface, names_and_docs(list)),
                        Err(error) if no_answer(&error) => return Err(error),
                        Err(_) => {}
                    }
                }
                if table.interfaces().is_empty() {
                    let told = "it has neither rpc.interfaces nor the methods of a player";
                    return Err(CallError::from_peer("Exception", told));
                }
            }
        }
        self.table = table;
        Ok(())
    }

    fn add(&mut self, table: &mut Table, interface: &str, descriptions: Vec<Value>) {
        let name = self.remotes.name(interface);
        let methods = descriptions.iter().filter_map(|d| self.remotes.method(name, d)).collect();
        table.replace_interface(name, methods);
    }
}

/// Did the way to the process fail, and not the call?
pub fn no_answer(error: &CallError) -> bool {
    matches!(error.family, Family::Timeout | Family::Environment)
        || (error.family == Family::Peer && error.message.contains("connection closed"))
}

/// `[[name, doc], ..]` as descriptions; nothing of `["Interface error", ..]`.
fn names_and_docs(list: Value) -> Vec<Value> {
    let pair = |method: Value| match method {
        Value::List(pair) => {
            let mut pair = pair.into_iter();
            let (name, doc) = (pair.next()?, pair.next().unwrap_or_default());
            Some(Value::Map(vec![("name".into(), name), ("doc".into(), doc)]))
        }
        _ => None,
    };
    items(list).into_iter().filter_map(pair).collect()
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::List(items) => items,
        _ => Vec::new(),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::List(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bind::bind;
    use crate::api::{Call, ErrorClass, Kind};

    fn ours() -> Table {
        crate::player::methods::table()
    }

    #[test]
    fn a_process_of_ours_is_known_as_it_knows_itself() {
        let table = ours();
        let mut call = |interface: &str, method: &str, args: Vec<Value>| {
            let found = table.find(interface, method)?;
            let sent = Call { interface: interface.into(), method: method.into(), args, kwargs: vec![] };
            builtin::answer(&table, found, &bind(found, sent)?)
        };
        let mut remote = RemoteTable::default();
        remote.ask_by(&mut call).expect("described");
        assert!(!remote.is_reference);
        assert_eq!(remote.table.interfaces(), table.interfaces());
        let set_mode = remote.table.find("bank", "set_mode").expect("there");
        assert_eq!((set_mode.args[0].name, set_mode.args[1].unit), ("mode", "MHz"));
    }

    #[test]
    fn a_reference_player_tells_names_and_texts() {
        let mut call = |interface: &str, method: &str, _: Vec<Value>| match (interface, method) {
            ("bank", "list_methods") => Ok(ours().list_methods("bank")),
            (_, "list_methods") => Ok(ours().list_methods("nope")),
            _ => Err(CallError::key_error(interface)),
        };
        let mut remote = RemoteTable::default();
        remote.ask_by(&mut call).expect("listed");
        assert!(remote.is_reference);
        let prepare = remote.table.find("bank", "prepare").expect("there");
        assert_eq!(prepare.args[0].kind, Kind::Rest);
        assert_eq!(remote.table.of_interface("bank.roach").map(<[_]>::len), Some(0));
    }

    #[test]
    fn who_is_not_there_is_no_reference_player() {
        let lost = CallError::new(ErrorClass::Exception, Family::Timeout, "no answer");
        let mut calls = 0;
        let mut call = |_: &str, _: &str, _: Vec<Value>| {
            calls += 1;
            Err(lost.clone())
        };
        assert_eq!(RemoteTable::default().ask_by(&mut call), Err(lost.clone()));
        assert_eq!(calls, 1);
    }
}
