//! The interface `rpc`, which every role has: the table of methods described by itself.

use super::bind::Bound;
use super::entry::{self, arg};
use super::table::Table;
use super::{Arg, CallError, Class, Effect, Kind, Method, Outcome};
use crate::value::Value;

/// Name of the interface.
pub const INTERFACE: &str = "rpc";

/// Subscribes a connection of the binary RPC to a topic. The session answers it, so it is not in the table
/// and does not exist on the JSON face.
pub const SUBSCRIBE: &str = "subscribe";

/// Characters of the name a lease is taken in.
pub const WHO_MAX: usize = 64;

const fn query(name: &'static str, doc: &'static str, args: &'static [Arg], reply: &'static str) -> Method {
    entry::method(INTERFACE, name, Class::Read, Effect::Query, args, reply, doc)
}

/// A method of leases: it changes who may change things, waits for no turn, and is refused to read-only clients.
const fn lease(name: &'static str, doc: &'static str, args: &'static [Arg], reply: &'static str) -> Method {
    Method { class: Class::Write, effect: Effect::Configure, urgent: true, ..query(name, doc, args, reply) }
}

const SECONDS: Arg = arg("seconds", Kind::Number, "s", None, "how long from now, 1 to 86400");
const TOKEN: Arg = arg("token", Kind::Str, "", None, "as acquire gave it");

/// The methods of `rpc`.
pub const METHODS: &[Method] = &[
    query("interfaces", "Names the interfaces of this process.", &[], "list of names"),
    query(
        "describe",
        "Describes an interface, or one method as interface.method: arguments with type, unit and default, \
         reply, class (read, write, job), effect, whether it can be cancelled, whether it waits for no turn and no lease \
         (urgent), and version.",
        &[arg("name", Kind::Str, "", None, "an interface, or a method as interface.method")],
        "list of descriptions, or one description",
    ),
    query(
        "clients",
        "Lists who is connected: address, name the client gave itself, its program and version (binary RPC only), \
         whether it may change things, since when, and its last call.",
        &[],
        "list of {address, who, software, may_write, subscribed, since, last_call, last_call_at}, times in UTC",
    ),
    query(
        "lease",
        "Tells who has control of this node, or null. The token is its holder's own.",
        &[],
        "{who, purpose, until} or null",
    ),
    lease(
        "acquire",
        "Takes control of this node for a while, so that clients do not change things between each other's steps. \
         Refused while another client has control. Calls on this connection are then made under the lease, and so \
         are requests elsewhere that carry its token. Whom it keeps out is the site's choice (listen.lease); reads and \
         stop are always allowed. It ends by release or when its time is over, not with the connection.",
        &[
            arg("who", Kind::Str, "", None, "your name for others to see, at most 64 characters"),
            SECONDS,
            arg("purpose", Kind::Str, "", Some("''"), "what for, at most 200 characters"),
        ],
        "{token, who, until, seconds, rule}, rule being listen.lease; at a dealer proxy, which passes it on, also \
         players: {player: [true, text] or [false, why not]}",
    ),
    lease(
        "renew",
        "Binds this connection to a lease, and sets how long it lasts from now on; without seconds it ends when it did.",
        &[TOKEN, Arg { default: Some("None"), ..SECONDS }],
        "as acquire",
    ),
    lease(
        "release",
        "Gives control back before its time is over.",
        &[TOKEN],
        "false if it had ended already",
    ),
];

/// Answers a method of `rpc` from the table. `KeyError` for names that are not there.
pub fn answer(table: &Table, method: &Method, bound: &Bound) -> Outcome {
    match method.name {
        "interfaces" => Ok(Value::List(table.interfaces().iter().map(|i| (*i).into()).collect())),
        "describe" => describe(table, bound.text("name").unwrap_or_default()),
        other => Err(CallError::key_error(other)),
    }
}

fn describe(table: &Table, name: &str) -> Outcome {
    if let Some(methods) = table.of_interface(name) {
        return Ok(Value::List(methods.iter().map(|m| describe_method(m)).collect()));
    }
    let (interface, method) = name.rsplit_once('.').ok_or_else(|| CallError::key_error(name))?;
    table.find(interface, method).map(describe_method)
}

/// One method as a value.
pub fn describe_method(method: &Method) -> Value {
    Value::Map(vec![
        ("interface".into(), method.interface.into()),
        ("name".into(), method.name.into()),
        ("doc".into(), method.doc.into()),
        ("args".into(), Value::List(method.args.iter().map(describe_arg).collect())),
        ("keywords".into(), method.keywords.map_or(Value::Null, Value::from)),
        ("reply".into(), method.reply.into()),
        ("class".into(), method.class.name().into()),
        ("effect".into(), method.effect.name().into()),
        ("cancellable".into(), method.cancellable.into()),
        ("urgent".into(), method.urgent.into()),
        ("since".into(), method.since.into()),
    ])
}

fn describe_arg(arg: &Arg) -> Value {
    Value::Map(vec![
        ("name".into(), arg.name.into()),
        ("type".into(), arg.kind.name().into()),
        ("unit".into(), arg.unit.into()),
        ("required".into(), arg.default.is_none().into()),
        ("default".into(), arg.default.map_or(Value::Null, Value::from)),
        ("doc".into(), arg.doc.into()),
    ])
}

impl Class {
    /// `read`, `write`, `job`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Write => "write",
            Class::Job => "job",
        }
    }
}

impl Effect {
    /// `query`, `configure`, `operate`, `dangerous`.
    pub fn name(self) -> &'static str {
        match self {
            Effect::Query => "query",
            Effect::Configure => "configure",
            Effect::Operate => "operate",
            Effect::Dangerous => "dangerous",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bind::bind;
    use super::super::{Call, ErrorClass};
    use super::*;

    fn call(method: &str, args: &[&str]) -> Outcome {
        let table = Table::new(&[METHODS]).expect("valid");
        let found = table.find(INTERFACE, method)?;
        let args = args.iter().map(|a| Value::from(*a)).collect();
        let call = Call { interface: INTERFACE.into(), method: method.into(), args, kwargs: vec![] };
        answer(&table, found, &bind(found, call)?)
    }

    #[test]
    fn describes_itself() {
        assert_eq!(call("interfaces", &[]), Ok(Value::List(vec!["rpc".into()])));
        let one = call("describe", &["rpc.describe"]).expect("is there");
        assert_eq!((one.get("class"), one.get("urgent")), (Some(&"read".into()), Some(&false.into())));
        let all = call("describe", &["rpc"]).expect("is there");
        assert!(matches!(&all, Value::List(l) if l.len() == METHODS.len() && l.contains(&one)));
    }

    #[test]
    fn unknown_names() {
        for name in ["nope", "rpc.nope", "nope.describe"] {
            assert_eq!(call("describe", &[name]).map_err(|e| e.class), Err(ErrorClass::KeyError));
        }
    }
}
