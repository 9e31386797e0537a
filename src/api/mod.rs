//! One table of methods, many faces.
//!
//! A role publishes `&'static [Method]`; the JSON shim, the binary RPC, the command line and the
//! documentation are derived from it. Calls go by name on every face.

pub mod bind;
pub mod builtin;
pub mod docs;
pub mod entry;
pub mod error;
pub mod keys;
pub mod remote;
pub mod table;

use crate::units::Mono;
use crate::value::Value;

/// How a call is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answered at once from memory; never waits behind writes.
    Read,
    /// Changes something; ordered per role.
    Write,
    /// Long: answered when finished; other writes wait.
    Job,
}

/// What a call can do to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Query,
    /// Changes what will be done.
    Configure,
    /// Moves hardware or data.
    Operate,
    /// Can harm a running observation or the hardware.
    Dangerous,
}

/// Type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything; the method decides.
    Any,
    /// true/false (Python truth is accepted from 0 and 1)
    Bool,
    /// whole number
    Int,
    /// int or float
    Number,
    /// text
    Str,
    /// list
    List,
    /// bytes; text counts as one byte per character, U+0000 to U+00FF
    Bytes,
    /// every further positional argument, as a list; the last argument of a method only
    Rest,
}

/// One argument of a method.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Keyword; also the position is fixed by the order in the table.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Unit, empty if none.
    pub unit: &'static str,
    /// `None`: required. Otherwise the default as Python would print it (`None`, `False`, `10.0`).
    pub default: Option<&'static str>,
    /// Meaning and range.
    pub doc: &'static str,
}

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// `bank`, `bank.roach`, ...
    pub interface: &'static str,
    /// Python identifier.
    pub name: &'static str,
    /// One paragraph, becomes the `__doc__` of the client's method.
    pub doc: &'static str,
    /// Positional-or-keyword arguments in order.
    pub args: &'static [Arg],
    /// `Some(meaning)`: takes any further keywords (`set_param(**kw)`).
    pub keywords: Option<&'static str>,
    /// Reply shape in words.
    pub reply: &'static str,
    /// Scheduling.
    pub class: Class,
    /// Consequence.
    pub effect: Effect,
    /// A later `stop` (or a cancel of the binary RPC) ends it early.
    pub cancellable: bool,
    /// Goes in although another write runs or waits, and although its client has gone (`stop`).
    pub urgent: bool,
    /// Version that introduced it.
    pub since: &'static str,
}

/// A call as it arrives from any face.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Interface name.
    pub interface: String,
    /// Method name.
    pub method: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Vec<(String, Value)>,
}

/// What a client may say beside a call: in whose name, under which lease, until when it must have begun, and what
/// it is to be known by when it is asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The name the client gives itself; empty if it gave none.
    pub who: String,
    /// The token of a lease (`rpc.acquire`); empty if it sent none.
    pub lease: String,
    /// Not to be carried out if it could not begin by then.
    pub begin_by: Option<Mono>,
    /// Names the request, so that it is not carried out twice; empty if it has no id.
    pub id: String,
}

/// Python class names that clients match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// unknown interface, method or key
    KeyError,
    /// wrong number or type of arguments
    TypeError,
    /// value out of range, undecodable request
    ValueError,
    /// kept for compatibility
    AttributeError,
    /// most errors of a Player
    Exception,
    /// KATCP failures
    RuntimeError,
    /// synthesizer failures
    ValonException,
    /// a method that exists in name only
    NotImplementedError,
}

/// Which of the five families an error belongs to; new faces show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// policy, wrong state: nothing happened
    Refused,
    /// the caller's arguments
    Invalid,
    /// a device or client broke the protocol or answered no
    Peer,
    /// system, disk, permission
    Environment,
    /// a wait ended without the thing waited for
    Timeout,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// Python class on the JSON face.
    pub class: ErrorClass,
    /// Family on the new faces.
    pub family: Family,
    /// Exact text.
    pub message: String,
}

impl CallError {
    /// `Exception(message)`, family `Refused`.
    pub fn exception(message: impl Into<String>) -> CallError {
        CallError { class: ErrorClass::Exception, family: Family::Refused, message: message.into() }
    }
    /// Any class and family.
    pub fn new(class: ErrorClass, family: Family, message: impl Into<String>) -> CallError {
        CallError { class, family, message: message.into() }
    }
}

/// Names a call that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Result of a call.
pub type Outcome = Result<Value, CallError>;
