//! The JSON bodies inside the ZeroMQ messages.
//!
//! ```text
//! request  {"name": "bank", "proc": "get_status", "args": [], "kwargs": {}}
//!          and, if the client likes, "who": "ann", "lease": "...", "deadline_ms": 5000, "id": "..."
//! reply    any value, or {"EXCEPTION": ["KeyError", "'nope'", ["bank.nope: 'nope'"]]}
//! ```
//!
//! Whatever arrives decodes to a request or to a [`Fault`] that can be sent back. Not here: which methods
//! there are (`api`), who may call them (the node).

use super::json;
use crate::value::Value;

/// The key that makes a reply an error; no result may be an object that has it.
pub const EXCEPTION: &str = "EXCEPTION";
/// The method every interface answers.
pub const LIST_METHODS: &str = "list_methods";
/// Characters of `who`, `lease` and `id`.
pub const EXTRA_MAX: usize = 64;
/// Trace lines kept from a peer's error.
const LINES_MAX: usize = 10;

/// What a client wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The methods of an interface.
    ListMethods {
        /// Interface.
        name: String,
    },
    /// A call.
    Call {
        /// Interface.
        name: String,
        /// Method.
        proc: String,
        /// Positional arguments.
        args: Vec<Value>,
        /// Keyword arguments, each name once.
        kwargs: Vec<(String, Value)>,
        /// What else the client says.
        extras: Extras,
    },
}

/// Keys of a request that clients of the reference do not send and its server ignores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The client's name for itself, at most [`EXTRA_MAX`] printable characters; empty if not sent.
    pub who: String,
    /// The token of a lease; empty if not sent.
    pub lease: String,
    /// The call is dropped if it cannot begin within so many milliseconds; 0: not sent.
    pub deadline_ms: u32,
    /// Names this request, so that it can be asked again without being carried out twice; empty if not sent.
    pub id: String,
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Python class name.
    pub class: String,
    /// Text.
    pub message: String,
    /// What a traceback would say; for people.
    pub lines: Vec<String>,
}

impl Fault {
    /// A fault with one line that says where it happened.
    pub fn new(class: &str, place: &str, message: impl Into<String>) -> Fault {
        let message = message.into();
        let lines = vec![format!("{place}: {message}")];
        Fault { class: class.to_owned(), message, lines }
    }

    fn request(class: &str, message: impl Into<String>) -> Fault {
        Fault::new(class, "request", message)
    }
}

/// What a server answered.
pub type Reply = Result<Value, Fault>;

/// Reads the body of a request.
pub fn read_request(body: &[u8]) -> Result<Request, Fault> {
    let mut members = match json::read(body) {
        Ok(Value::Map(members)) => members,
        Ok(other) => {
            let text = format!("request is a JSON {}, an object is needed", other.kind());
            return Err(Fault::request("ValueError", text));
        }
        Err(error) => return Err(Fault::request("ValueError", error.to_string())),
    };
    let mut take = |key: &str| members.iter().position(|(k, _)| k == key).map(|i| members.swap_remove(i).1);
    let proc = text_or_repr(take("proc").ok_or_else(|| missing("proc"))?);
    let name = take("name").ok_or_else(|| missing("name"))?;
    if proc == LIST_METHODS {
        return match name {
            Value::Str(name) => Ok(Request::ListMethods { name }),
            other => {
                Err(Fault::request("ValueError", format!("'name' must be a string, not {}", other.kind())))
            }
        };
    }
    let args = match take("args") {
        None => Vec::new(),
        Some(Value::List(args)) => args,
        Some(other) => return Err(wrong_type("args", "list", &other)),
    };
    let kwargs = match take("kwargs") {
        None => Vec::new(),
        Some(Value::Map(kwargs)) => kwargs,
        Some(other) => return Err(wrong_type("kwargs", "object", &other)),
    };
    let extras = Extras {
        who: extra_text("who", take("who"))?,
        lease: extra_text("lease", take("lease"))?,
        deadline_ms: deadline(take("deadline_ms"))?,
        id: extra_text("id", take("id"))?,
    };
    Ok(Request::Call { name: text_or_repr(name), proc, args, kwargs, extras })
}

fn extra_text(key: &str, value: Option<Value>) -> Result<String, Fault> {
    match value {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::Str(s)) if s.chars().count() <= EXTRA_MAX && !s.chars().any(char::is_control) => Ok(s),
        Some(_) => {
            let text = format!("'{key}' must be a string of at most {EXTRA_MAX} printable characters");
            Err(Fault::request("ValueError", text))
        }
    }
}

fn deadline(value: Option<Value>) -> Result<u32, Fault> {
    let number = match value {
        None | Some(Value::Null) => return Ok(0),
        Some(Value::Int(ms)) => u32::try_from(ms).ok(),
        Some(Value::Float(ms)) if (0.0..=f64::from(u32::MAX)).contains(&ms) => Some(ms as u32),
        Some(_) => None,
    };
    let text = format!("'deadline_ms' must be a number of milliseconds, 0 to {}", u32::MAX);
    number.ok_or_else(|| Fault::request("ValueError", text))
}

fn missing(key: &str) -> Fault {
    Fault::request("KeyError", format!("'{key}'"))
}

fn wrong_type(key: &str, want: &str, got: &Value) -> Fault {
    Fault::request("TypeError", format!("'{key}' must be a JSON {want}, not {}", got.kind()))
}

/// Names that are no strings are looked up as Python prints them, and not found.
fn text_or_repr(value: Value) -> String {
    match value {
        Value::Str(s) => s,
        other => other.to_string(),
    }
}

/// The body of a reply. A result that cannot be sent becomes a fault of `place` (`bank.get_status`).
pub fn write_reply(reply: &Reply, place: &str) -> Vec<u8> {
    let fault = match reply {
        Ok(Value::Map(members)) if members.iter().any(|(k, _)| k == EXCEPTION) => {
            Fault::new("ValueError", place, format!("result has the reserved key '{EXCEPTION}'"))
        }
        Ok(value) => {
            let mut out = Vec::new();
            match json::write(&mut out, value) {
                Ok(()) => return out,
                Err(error) => Fault::new("ValueError", place, format!("result: {error}")),
            }
        }
        Err(fault) => fault.clone(),
    };
    write_fault(fault)
}

fn write_fault(fault: Fault) -> Vec<u8> {
    let lines = fault.lines.into_iter().map(Value::Str).collect();
    let triple = Value::List(vec![Value::Str(fault.class), Value::Str(fault.message), Value::List(lines)]);
    let mut out = Vec::new();
    json::write(&mut out, &Value::Map(vec![(EXCEPTION.to_owned(), triple)]))
        .expect("strings and lists are always JSON");
    out
}

/// The body of a request.
pub fn write_request(
    name: &str,
    proc: &str,
    args: &[Value],
    kwargs: &[(String, Value)],
) -> Result<Vec<u8>, json::NotJson> {
    write_request_with(name, proc, args, kwargs, &Extras::default())
}

/// The same with what a client may say beside its call; a server of the reference passes over it.
pub fn write_request_with(
    name: &str,
    proc: &str,
    args: &[Value],
    kwargs: &[(String, Value)],
    extras: &Extras,
) -> Result<Vec<u8>, json::NotJson> {
    let mut keys = vec![
        ("name".into(), name.into()),
        ("proc".into(), proc.into()),
        ("args".into(), Value::List(args.to_vec())),
        ("kwargs".into(), Value::Map(kwargs.to_vec())),
    ];
    let texts = [("who", &extras.who), ("lease", &extras.lease), ("id", &extras.id)];
    let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
    keys.extend(said.map(|(key, text)| (key.to_owned(), Value::from(text.as_str()))));
    if extras.deadline_ms > 0 {
        keys.push(("deadline_ms".into(), Value::Int(extras.deadline_ms.into())));
    }
    let mut out = Vec::new();
    json::write(&mut out, &Value::Map(keys))?;
    Ok(out)
}

/// Reads the body of a reply; the outer error says why it is none.
pub fn read_reply(body: &[u8]) -> Result<Reply, json::JsonError> {
    let value = json::read(body)?;
    Ok(match value.get(EXCEPTION) {
        Some(triple) => Err(read_fault(triple)),
        None => Ok(value),
    })
}

fn read_fault(triple: &Value) -> Fault {
    let parts: &[Value] = if let Value::List(parts) = triple { parts } else { &[] };
    let text = |i: usize| parts.get(i).map(Value::to_string);
    let lines = match parts.get(2) {
        Some(Value::List(lines)) => lines.iter().take(LINES_MAX).map(Value::to_string).collect(),
        _ => Vec::new(),
    };
    let class = text(0).unwrap_or_else(|| "Exception".into());
    Fault { class, message: text(1).unwrap_or_else(|| triple.to_string()), lines }
}

#[cfg(test)]
mod tests;
