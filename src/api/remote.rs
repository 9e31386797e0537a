//! Methods of another process, described by values, as entries of our table.
//!
//! A table entry lives as long as the process. [`Remotes`] makes each distinct description once, so that a node that
//! comes and goes costs nothing, and stops making new ones at [`REMOTES_MAX`].

use super::{Arg, Class, Effect, Kind, Method};
use crate::value::Value;
use std::collections::BTreeMap;

/// Distinct methods that are ever described; more are left out, and said in the log.
pub const REMOTES_MAX: usize = 16 * 1024;

/// All arguments as they come: for a method of which only the name is known.
const ANYTHING: &[Arg] =
    &[Arg { name: "args", kind: Kind::Rest, unit: "", default: Some("[]"), doc: "Passed on as they are." }];

/// The methods of other processes.
#[derive(Debug, Default)]
pub struct Remotes {
    made: BTreeMap<String, &'static Method>,
    names: BTreeMap<String, &'static str>,
}

impl Remotes {
    /// A text that stays.
    pub fn name(&mut self, text: &str) -> &'static str {
        if let Some(name) = self.names.get(text) {
            return name;
        }
        let name: &'static str = Box::leak(text.to_owned().into_boxed_str());
        self.names.insert(text.to_owned(), name);
        name
    }

    /// The table's entry for a method as `rpc.describe` tells it, or for `{name, doc}` alone. `None`: it has no name, or
    /// there are too many.
    pub fn method(&mut self, interface: &'static str, description: &Value) -> Option<&'static Method> {
        let text = |key: &str| description.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("name");
        if name.is_empty() {
            return None;
        }
        let key = format!("{interface}\n{}", crate::proto::json::to_text(description).ok()?);
        if let Some(method) = self.made.get(&key) {
            return Some(method);
        }
        if self.made.len() >= REMOTES_MAX {
            log::error!("{interface}.{name} is left out: {REMOTES_MAX} methods have been described");
            return None;
        }
        let described = description.get("args").is_some();
        let args = match described {
            true => self.args(description)?,
            false => ANYTHING,
        };
        let keywords = match (described, description.get("keywords")) {
            (false, _) => Some("passed on as they are"),
            (true, Some(Value::Str(meaning))) => Some(meaning.clone()).map(|m| self.name(&m)),
            _ => None,
        };
        let class = match text("class") {
            "read" => Class::Read,
            "job" => Class::Job,
            _ if !described && is_read(name) => Class::Read,
            _ => Class::Write,
        };
        let effect = match text("effect") {
            "query" => Effect::Query,
            "configure" => Effect::Configure,
            "dangerous" => Effect::Dangerous,
            _ if class == Class::Read => Effect::Query,
            _ => Effect::Operate,
        };
        let method = Method {
            interface,
            name: self.name(name),
            doc: self.name(text("doc")),
            args,
            keywords,
            reply: self.name(text("reply")),
            class,
            effect,
            cancellable: description.get("cancellable") == Some(&Value::Bool(true)),
            urgent: is_urgent(interface, name, description),
            since: self.name(text("since")),
        };
        let method: &'static Method = Box::leak(Box::new(method));
        self.made.insert(key, method);
        Some(method)
    }

    fn args(&mut self, description: &Value) -> Option<&'static [Arg]> {
        let Some(Value::List(args)) = description.get("args") else { return None };
        let made: Option<Vec<Arg>> = args.iter().map(|a| self.arg(a)).collect();
        Some(Box::leak(made?.into_boxed_slice()))
    }

    fn arg(&mut self, arg: &Value) -> Option<Arg> {
        let text = |key: &str| arg.get(key).and_then(Value::as_str).unwrap_or_default();
        let required = arg.get("required") == Some(&Value::Bool(true));
        Some(Arg {
            name: self.name(arg.get("name")?.as_str()?),
            kind: Kind::from_name(text("type")),
            unit: self.name(text("unit")),
            default: (!required)
                .then(|| self.name(arg.get("default").and_then(Value::as_str).unwrap_or("None"))),
            doc: self.name(text("doc")),
        })
    }
}

/// Of the methods of the reference whose class nobody tells: those that only look.
fn is_read(name: &str) -> bool {
    const READS: &[&str] = &["earliest_start", "scan_status", "help_param", "list_modes", "ping", "status"];
    name.starts_with("get_") || name.starts_with("list") || name.starts_with("read") || READS.contains(&name)
}

/// As it is described; of one that does not say, `stop` of a bank: `bank`, or the name of a player at a proxy.
fn is_urgent(interface: &str, name: &str, description: &Value) -> bool {
    match description.get("urgent") {
        Some(Value::Bool(urgent)) => *urgent,
        _ => name == "stop" && !interface.contains('.'),
    }
}

impl Kind {
    /// From [`Kind::name`]; a kind we do not know is anything.
    fn from_name(name: &str) -> Kind {
        let all = [Kind::Bool, Kind::Int, Kind::Number, Kind::Str, Kind::List, Kind::Bytes, Kind::Rest];
        all.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::super::builtin::describe_method;
    use super::*;
    use crate::player::methods::BANK;

    #[test]
    fn what_a_method_says_of_itself_makes_it_again() {
        let mut remotes = Remotes::default();
        for m in BANK {
            let told = describe_method(m);
            let again = remotes.method("bank", &told).expect("a name");
            assert_eq!(describe_method(again), told);
            assert!(std::ptr::eq(again, remotes.method("bank", &told).expect("a name")), "made once");
        }
    }

    #[test]
    fn of_a_method_with_nothing_but_a_name_everything_is_passed_on() {
        let mut remotes = Remotes::default();
        let told =
            |name: &str| Value::Map(vec![("name".into(), name.into()), ("doc".into(), "Does.".into())]);
        let method = remotes.method("BANKA", &told("set_mode")).expect("a name");
        assert_eq!(
            (method.class, method.keywords.is_some(), method.args[0].kind),
            (Class::Write, true, Kind::Rest)
        );
        assert_eq!(remotes.method("BANKA", &told("get_status")).expect("a name").class, Class::Read);
    }

    #[test]
    fn stop_of_a_bank_is_urgent_and_no_other_unless_it_is_described_so() {
        let mut remotes = Remotes::default();
        let told = |name: &str| Value::Map(vec![("name".into(), name.into())]);
        for (interface, name, urgent) in [
            ("bank", "stop", true),
            ("BANKA", "stop", true),
            ("BANKA.roach", "stop", false),
            ("bank", "start", false),
        ] {
            let method = remotes.method(interface, &told(name)).expect("a name");
            assert_eq!(method.urgent, urgent, "{interface}.{name}");
        }
        let described =
            |urgent: bool| Value::Map(vec![("name".into(), "stop".into()), ("urgent".into(), urgent.into())]);
        assert!(remotes.method("bank.roach", &described(true)).expect("a name").urgent);
        assert!(!remotes.method("bank", &described(false)).expect("a name").urgent);
    }
}
