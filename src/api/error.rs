//! Names of error classes and families on the wire, and the errors every face raises the same way.

use super::{Call, CallError, ErrorClass, Family};

const CLASSES: [(ErrorClass, &str); 8] = [
    (ErrorClass::KeyError, "KeyError"),
    (ErrorClass::TypeError, "TypeError"),
    (ErrorClass::ValueError, "ValueError"),
    (ErrorClass::AttributeError, "AttributeError"),
    (ErrorClass::Exception, "Exception"),
    (ErrorClass::RuntimeError, "RuntimeError"),
    (ErrorClass::ValonException, "ValonException"),
    (ErrorClass::NotImplementedError, "NotImplementedError"),
];

const FAMILIES: [(Family, &str); 5] = [
    (Family::Refused, "refused"),
    (Family::Invalid, "invalid"),
    (Family::Peer, "peer"),
    (Family::Environment, "environment"),
    (Family::Timeout, "timeout"),
];

impl ErrorClass {
    /// The Python class name.
    pub fn name(self) -> &'static str {
        CLASSES.iter().find(|(class, _)| *class == self).expect("every class has a name").1
    }

    /// From a Python class name; `None` for one we do not raise ourselves.
    pub fn from_name(name: &str) -> Option<ErrorClass> {
        CLASSES.iter().find(|(_, n)| *n == name).map(|(class, _)| *class)
    }

    /// The family such an error belongs to when nobody says more.
    pub fn usual_family(self) -> Family {
        match self {
            ErrorClass::KeyError
            | ErrorClass::TypeError
            | ErrorClass::ValueError
            | ErrorClass::AttributeError => Family::Invalid,
            ErrorClass::Exception | ErrorClass::NotImplementedError => Family::Refused,
            ErrorClass::RuntimeError | ErrorClass::ValonException => Family::Peer,
        }
    }
}

impl Family {
    /// `refused`, `invalid`, `peer`, `environment`, `timeout`.
    pub fn name(self) -> &'static str {
        FAMILIES.iter().find(|(family, _)| *family == self).expect("every family has a name").1
    }

    /// From its name.
    pub fn from_name(name: &str) -> Option<Family> {
        FAMILIES.iter().find(|(_, n)| *n == name).map(|(family, _)| *family)
    }
}

impl CallError {
    /// `TypeError`: wrong number or type of arguments.
    pub fn type_error(message: impl Into<String>) -> CallError {
        CallError::new(ErrorClass::TypeError, Family::Invalid, message)
    }

    /// `ValueError`: an argument out of range.
    pub fn value_error(message: impl Into<String>) -> CallError {
        CallError::new(ErrorClass::ValueError, Family::Invalid, message)
    }

    /// `KeyError` with the missing key as Python prints it: `'nope'`.
    pub fn key_error(key: &str) -> CallError {
        CallError::new(ErrorClass::KeyError, Family::Invalid, python_repr(key))
    }

    /// How [`CallError::lease_needed`] ends: a proxy on the way has another advice.
    pub const LEASE_NEEDED: &str = "; call rpc.acquire(who, seconds)";

    /// Nothing may be changed without a lease, and the caller has none.
    pub fn lease_needed(place: &str) -> CallError {
        CallError::exception(format!(
            "{place} refused: nothing may be changed without a lease here (listen.lease){}",
            CallError::LEASE_NEEDED
        ))
    }

    /// A request id has been used for another call.
    pub fn id_taken(id: &str, first: &Call) -> CallError {
        let text = format!(
            "request id {} was used for {}.{} with these or other arguments less than ten minutes ago; a new call needs a new id",
            python_repr(id),
            first.interface,
            first.method
        );
        CallError::new(ErrorClass::ValueError, Family::Invalid, text)
    }

    /// A call could not begin as soon as its caller wanted; it was not carried out.
    pub fn too_late(place: &str) -> CallError {
        let text = format!("{place} could not begin within the caller's deadline, and was not carried out");
        CallError::new(ErrorClass::Exception, Family::Timeout, text)
    }

    /// From a class name of a peer. A class we do not know becomes `Exception` and moves into the text.
    pub fn from_peer(class: &str, message: &str) -> CallError {
        match ErrorClass::from_name(class) {
            Some(class) => CallError::new(class, class.usual_family(), message),
            None => CallError::new(ErrorClass::Exception, Family::Peer, format!("{class}: {message}")),
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.class.name(), self.message)
    }
}

impl std::error::Error for CallError {}

/// Python's `repr` of a text: single quotes, double ones when the text has single ones only.
pub fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repr_is_pythons() {
        for (text, want) in
            [("nope", "'nope'"), ("it's", "\"it's\""), ("a'\"", "'a\\'\"'"), ("\u{1}", "'\\x01'")]
        {
            assert_eq!(python_repr(text), want);
        }
    }

    #[test]
    fn names_go_both_ways() {
        for (class, name) in CLASSES {
            assert_eq!((class.name(), ErrorClass::from_name(name)), (name, Some(class)));
        }
        for (family, name) in FAMILIES {
            assert_eq!((family.name(), Family::from_name(name)), (name, Some(family)));
        }
    }

    #[test]
    fn classes_of_other_servers_move_into_the_text() {
        let e = CallError::from_peer("SocketError", "gone");
        assert_eq!((e.class, e.message.as_str()), (ErrorClass::Exception, "SocketError: gone"));
    }
}
