//! [`Table`]: the methods of a role by interface and name.

use super::{CallError, ErrorClass, Family, Method};
use crate::value::Value;

/// Names a client's proxy object uses itself: a method so called would break the client.
pub const FORBIDDEN: [&str; 5] =
    ["set_request_reply_timeout", "get_request_reply_timeout", "roach", "valon", "url"];
/// Every interface answers this one itself.
const RESERVED: &str = "list_methods";

/// Methods sorted by interface and name, and the interfaces that exist, with methods or without.
#[derive(Clone, Debug, Default)]
pub struct Table {
    methods: Vec<&'static Method>,
    interfaces: Vec<&'static str>,
    /// Found by name, but in no list.
    unlisted: Vec<&'static Method>,
    /// Methods as they are when they are asked for a dry run.
    looks: Vec<&'static Method>,
    /// Interface and names that exist elsewhere and cannot be called here.
    plumbing: Vec<(&'static str, &'static [&'static str])>,
    /// Interfaces whose methods are not known yet, and what calls are answered meanwhile.
    awaited: Vec<(&'static str, &'static str)>,
}

/// A table that must not be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not a Python identifier, private, or taken.
    #[error("method name '{0}' cannot be published: it is private, reserved or no identifier")]
    Name(String),
    /// Two methods of one name.
    #[error("method {0} is in the table twice")]
    Twice(String),
}

impl Table {
    /// From the groups of methods a role publishes.
    pub fn new(groups: &[&'static [Method]]) -> Result<Table, TableError> {
        let mut methods: Vec<&'static Method> = groups.iter().flat_map(|g| g.iter()).collect();
        if let Some(bad) = methods.iter().find(|m| !is_publishable(m.name)) {
            return Err(TableError::Name(bad.name.to_owned()));
        }
        methods.sort_by_key(|m| (m.interface, m.name));
        let same = |a: &&Method, b: &&Method| (a.interface, a.name) == (b.interface, b.name);
        if let Some(pair) = methods.windows(2).find(|w| same(&w[0], &w[1])) {
            return Err(TableError::Twice(format!("{}.{}", pair[0].interface, pair[0].name)));
        }
        let mut interfaces: Vec<&'static str> = methods.iter().map(|m| m.interface).collect();
        interfaces.dedup();
        Ok(Table { methods, interfaces, ..Table::default() })
    }

    /// Replaces the methods of an interface that is known at run time only: a remote player behind a proxy.
    pub fn replace_interface(&mut self, name: &'static str, methods: Vec<&'static Method>) {
        self.awaited.retain(|(interface, _)| *interface != name);
        self.methods.retain(|m| m.interface != name);
        self.methods.extend(methods.into_iter().filter(|m| is_publishable(m.name)));
        self.methods.sort_by_key(|m| (m.interface, m.name));
        self.methods.dedup_by_key(|m| (m.interface, m.name));
        if let Err(at) = self.interfaces.binary_search(&name) {
            self.interfaces.insert(at, name);
        }
    }

    /// Adds an interface that exists although it has no methods (`bank.roach` without a ROACH).
    pub fn with_interface(mut self, name: &'static str) -> Table {
        if let Err(at) = self.interfaces.binary_search(&name) {
            self.interfaces.insert(at, name);
        }
        self
    }

    /// Adds an interface whose methods come later ([`Table::replace_interface`]); calls are answered by this text until
    /// then.
    pub fn with_awaited(mut self, name: &'static str, answer: &'static str) -> Table {
        self.awaited.push((name, answer));
        self.with_interface(name)
    }

    /// Adds methods that clients call although no list has them (`_request`).
    pub fn with_unlisted(mut self, methods: &'static [Method]) -> Table {
        self.unlisted.extend(methods);
        self
    }

    /// Adds what methods are when their argument `dry_run` is true: reads, which need no right and no turn.
    pub fn with_looks(mut self, methods: &'static [Method]) -> Table {
        self.looks.extend(methods);
        self
    }

    /// The method as it was asked for: that of its dry run, or itself.
    pub fn as_asked(&self, method: &'static Method, dry_run: bool) -> &'static Method {
        let is_look = |m: &&&'static Method| (m.interface, m.name) == (method.interface, method.name);
        self.looks.iter().filter(|_| dry_run).find(is_look).copied().unwrap_or(method)
    }

    /// Adds names that a client of the reference may know: a call is told that there is no such thing here.
    pub fn with_plumbing(mut self, interface: &'static str, names: &'static [&'static str]) -> Table {
        self.plumbing.push((interface, names));
        self
    }

    /// The interfaces, sorted.
    pub fn interfaces(&self) -> &[&'static str] {
        &self.interfaces
    }

    /// All methods, sorted by interface and name.
    pub fn methods(&self) -> &[&'static Method] {
        &self.methods
    }

    /// The methods of one interface, sorted; `None` if there is no such interface.
    pub fn of_interface(&self, interface: &str) -> Option<&[&'static Method]> {
        self.interfaces.iter().find(|i| **i == interface)?;
        let from = self.methods.partition_point(|m| m.interface < interface);
        let to = self.methods.partition_point(|m| m.interface <= interface);
        Some(&self.methods[from..to])
    }

    /// The method, or `KeyError` with the name that is not there.
    pub fn find(&self, interface: &str, method: &str) -> Result<&'static Method, CallError> {
        let methods = self.of_interface(interface).ok_or_else(|| CallError::key_error(interface))?;
        if let Some((_, answer)) = self.awaited.iter().find(|(name, _)| *name == interface) {
            return Err(CallError::new(ErrorClass::Exception, Family::Environment, *answer));
        }
        let at = methods.binary_search_by_key(&method, |m| m.name);
        match at {
            Ok(i) => Ok(methods[i]),
            Err(_) => self.find_unlisted(interface, method),
        }
    }

    fn find_unlisted(&self, interface: &str, method: &str) -> Result<&'static Method, CallError> {
        if let Some(found) = self.unlisted.iter().find(|m| m.interface == interface && m.name == method) {
            return Ok(found);
        }
        let is_plumbing = |(of, names): &(&str, &[&str])| *of == interface && names.contains(&method);
        if self.plumbing.iter().any(is_plumbing) {
            let class = ErrorClass::NotImplementedError;
            let text =
                format!("{interface}.{method} works on Python objects and cannot be called from outside");
            return Err(CallError::new(class, class.usual_family(), text));
        }
        Err(CallError::key_error(method))
    }

    /// The reply to `list_methods`: `[[name, doc], ..]`, or the pair clients know for a wrong interface.
    pub fn list_methods(&self, interface: &str) -> Value {
        let Some(methods) = self.of_interface(interface) else {
            let missing = CallError::key_error(interface).message;
            return Value::List(vec!["Interface error".into(), missing.into()]);
        };
        let doc = |m: &Method| if m.doc.is_empty() { Value::Null } else { m.doc.into() };
        Value::List(methods.iter().map(|m| Value::List(vec![m.name.into(), doc(m)])).collect())
    }
}

fn is_publishable(name: &str) -> bool {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    identifier && name != RESERVED && !FORBIDDEN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Effect, ErrorClass};
    use super::*;

    const fn method(interface: &'static str, name: &'static str, doc: &'static str) -> Method {
        Method {
            interface,
            name,
            doc,
            args: &[],
            keywords: None,
            reply: "",
            class: Class::Read,
            effect: Effect::Query,
            cancellable: false,
            urgent: false,
            since: "0.1",
        }
    }

    const A: &[Method] = &[method("bank", "stop", "Stops."), method("bank", "get_mode", "")];
    const B: &[Method] = &[method("archon", "expose", "Exposes.")];

    fn table() -> Table {
        Table::new(&[A, B]).expect("valid").with_interface("bank.roach")
    }

    #[test]
    fn found_by_interface_and_name() {
        assert_eq!(table().find("bank", "stop").map(|m| m.doc), Ok("Stops."));
        assert_eq!(table().interfaces(), ["archon", "bank", "bank.roach"]);
    }

    #[test]
    fn unknown_names_are_key_errors() {
        for (interface, name, text) in [
            ("nope", "stop", "'nope'"),
            ("bank", "nope", "'nope'"),
            ("bank", "__init__", "'__init__'"),
            ("bank.roach", "stop", "'stop'"),
        ] {
            let error = table().find(interface, name).expect_err("not there");
            assert_eq!((error.class, error.message.as_str()), (ErrorClass::KeyError, text));
        }
    }

    #[test]
    fn unlisted_methods_and_plumbing_are_found_by_name_only() {
        static HIDDEN: &[Method] = &[method("bank.roach", "_request", "")];
        let table = table().with_unlisted(HIDDEN).with_plumbing("bank.roach", &["join"]);
        assert_eq!(table.find("bank.roach", "_request").map(|m| m.name), Ok("_request"));
        assert_eq!(table.list_methods("bank.roach"), Value::List(vec![]));
        let class = |name| table.find("bank.roach", name).expect_err("not callable").class;
        assert_eq!(class("join"), ErrorClass::NotImplementedError);
        assert_eq!(class("nope"), ErrorClass::KeyError);
        assert_eq!(table.find("bank", "join").expect_err("elsewhere").class, ErrorClass::KeyError);
    }

    #[test]
    fn list_methods_is_sorted_pairs() {
        let pair = |n: &str, d: Value| Value::List(vec![n.into(), d]);
        let want = vec![pair("get_mode", Value::Null), pair("stop", "Stops.".into())];
        assert_eq!(table().list_methods("bank"), Value::List(want));
        assert_eq!(table().list_methods("bank.roach"), Value::List(vec![]));
        let want = Value::List(vec!["Interface error".into(), "'nope'".into()]);
        assert_eq!(table().list_methods("nope"), want);
    }

    #[test]
    fn names_that_would_break_clients_are_refused() {
        static HIDDEN: &[Method] = &[method("bank", "_watchdog", "")];
        static TAKEN: &[Method] = &[method("bank", "roach", "")];
        static LIST: &[Method] = &[method("bank", "list_methods", "")];
        static SPACE: &[Method] = &[method("bank", "frame status", "")];
        for group in [HIDDEN, TAKEN, LIST, SPACE] {
            assert!(matches!(Table::new(&[group]), Err(TableError::Name(_))), "{}", group[0].name);
        }
        assert_eq!(Table::new(&[A, A]).err(), Some(TableError::Twice("bank.get_mode".into())));
    }
}
