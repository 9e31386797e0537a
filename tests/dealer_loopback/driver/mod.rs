//! Four ways to command the players: the Python module `dealer`, plain pyzmq, `appliance call`, and the shell on a
//! terminal. Each makes one call at a time; what it heard is the same value whichever way it came.

mod command_line;
mod python;
mod shell;
pub mod shown;

use super::site::Site;
use appliance::proto::json;
use appliance::value::Value;
use std::time::Duration;

/// A call is answered within this, whatever else the machine does.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(150);

/// A call of the interface `dealer`.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub method: &'static str,
    pub args: Vec<Value>,
    pub kwargs: Vec<(&'static str, Value)>,
}

impl Call {
    pub fn new(method: &'static str) -> Call {
        Call { method, ..Call::default() }
    }

    pub fn arg(mut self, value: impl Into<Value>) -> Call {
        self.args.push(value.into());
        self
    }

    pub fn with(mut self, name: &'static str, value: Value) -> Call {
        self.kwargs.push((name, value));
        self
    }

    fn kwargs(&self) -> Value {
        Value::Map(self.kwargs.iter().map(|(name, v)| ((*name).to_owned(), v.clone())).collect())
    }
}

/// An error: its class as Python calls it, and its words.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    pub class: String,
    pub text: String,
}

/// The answer to a call.
pub type Heard = Result<Value, Complaint>;

/// A client.
pub trait Driver: Send {
    /// Sends a call; the one before has been answered.
    fn begin(&mut self, call: &Call);
    /// Its answer.
    fn finish(&mut self) -> Heard;

    fn call(&mut self, call: &Call) -> Heard {
        self.begin(call);
        self.finish()
    }
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Module,
    Pyzmq,
    CommandLine,
    Shell,
}

impl Way {
    pub const ALL: [Way; 4] = [Way::Module, Way::Pyzmq, Way::CommandLine, Way::Shell];

    /// A client of the proxy; `None` without a Python for those that need one.
    pub fn open(self, site: &Site) -> Option<Box<dyn Driver>> {
        Some(match self {
            Way::Module => Box::new(python::Python::start("module", site)?),
            Way::Pyzmq => Box::new(python::Python::start("pyzmq", site)?),
            Way::CommandLine => Box::new(command_line::CommandLine::new(site)),
            Way::Shell => Box::new(shell::Shell::start(site)),
        })
    }
}

/// `["ValueError", "words", ["trace", ..]]`
fn complaint(triple: &Value) -> Complaint {
    match triple {
        Value::List(parts) => match &parts[..] {
            [Value::Str(class), Value::Str(text), Value::List(trace)] if !trace.is_empty() => {
                Complaint { class: class.clone(), text: text.clone() }
            }
            _ => panic!("not [class, words, [line, ..]]: {triple}"),
        },
        _ => panic!("not [class, words, [line, ..]]: {triple}"),
    }
}

/// `ValueError: words`
/// As the command line writes errors: class and family, what was wrong, and then what to do.
fn complaint_of_text(text: &str) -> Complaint {
    let first = text.lines().next().unwrap_or_default();
    let (class, text) = first.split_once(": ").unwrap_or_else(|| panic!("no class: {text}"));
    let class = class.split(" (").next().unwrap_or_default();
    Complaint { class: class.to_owned(), text: text.trim_end().to_owned() }
}

fn to_json(value: &Value) -> String {
    json::to_text(value).expect("arguments that JSON can carry")
}

fn from_json(text: &str) -> Value {
    json::read(text.trim().as_bytes()).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}
