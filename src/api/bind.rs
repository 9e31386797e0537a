//! Arguments of a call bound to the arguments of a method, as Python binds them.
//!
//! ```text
//! fn add(x, y = 1)     add(3, y=4)     ->  x = 3, y = 4
//! ```

use super::error::python_repr;
use super::{Arg, Call, CallError, Kind, Method};
use crate::value::Value;

/// Characters of a text that an error repeats.
const SHOWN_MAX: usize = 40;

/// The arguments of a call, one value for each [`Arg`], defaults filled in, types checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// In the order of the table.
    values: Vec<(&'static str, Value)>,
    given: Vec<bool>,
    keywords: Vec<(String, Value)>,
}

/// Binds the arguments of `call` to `method`.
///
/// `TypeError`, naming method and argument, for too many, missing, doubled or unknown arguments and for
/// wrong types. `null` is accepted where the default is `None`.
pub fn bind(method: &'static Method, mut call: Call) -> Result<Bound, CallError> {
    // Said in errors only: a call that binds does not pay for it.
    let place = || format!("{}.{}()", method.interface, method.name);
    let most = method.args.len();
    if method.args.last().is_some_and(|a| a.kind == Kind::Rest) && call.args.len() + 1 >= most {
        let rest = call.args.split_off(most - 1);
        call.args.push(Value::List(rest));
    }
    if call.args.len() > most {
        let given = call.args.len();
        return Err(CallError::type_error(format!(
            "{} takes at most {most} arguments ({given} given)",
            place()
        )));
    }
    let mut slots: Vec<Option<Value>> = call.args.into_iter().map(Some).collect();
    slots.resize(most, None);
    let mut keywords = Vec::new();
    for (name, value) in call.kwargs {
        match method.args.iter().position(|a| a.name == name) {
            Some(i) if slots[i].is_none() => slots[i] = Some(value),
            Some(_) => {
                return Err(CallError::type_error(format!(
                    "{} got multiple values for argument '{name}'",
                    place()
                )));
            }
            None if method.keywords.is_some() => keywords.push((name, value)),
            None => {
                return Err(CallError::type_error(format!(
                    "{} got an unexpected keyword argument '{name}'",
                    place()
                )));
            }
        }
    }
    let given = slots.iter().map(Option::is_some).collect();
    let values = method.args.iter().zip(slots).map(|(arg, slot)| Ok((arg.name, fill(arg, slot, &place)?)));
    Ok(Bound { values: values.collect::<Result<_, CallError>>()?, given, keywords })
}

fn fill(arg: &Arg, slot: Option<Value>, place: &impl Fn() -> String) -> Result<Value, CallError> {
    match (slot, arg.default) {
        (Some(Value::Null), Some("None")) => Ok(Value::Null),
        (Some(value), _) => check(arg.kind, value).map_err(|value| {
            let (name, got) = (arg.name, described(&value));
            let want = if arg.kind == Kind::Bool { "bool (True or False)" } else { arg.kind.name() };
            CallError::type_error(format!("{} argument '{name}' must be {want}, not {got}", place()))
        }),
        (None, Some(default)) => Ok(python_literal(default)),
        (None, None) => Err(CallError::type_error(format!("{} misses argument '{}'", place(), arg.name))),
    }
}

/// What was given instead: its kind, and itself if it is short.
fn described(value: &Value) -> String {
    match value {
        Value::Str(text) if text.chars().count() <= SHOWN_MAX => format!("str {}", python_repr(text)),
        Value::Int(_) | Value::Float(_) => format!("{} {value}", value.kind()),
        other => other.kind().to_owned(),
    }
}

/// The value as its kind wants it, or the value back.
fn check(kind: Kind, value: Value) -> Result<Value, Value> {
    match (kind, value) {
        (Kind::Bool, Value::Int(i @ (0 | 1))) => Ok(Value::Bool(i == 1)),
        (Kind::Any, value)
        | (Kind::Bool, value @ Value::Bool(_))
        | (Kind::Int, value @ Value::Int(_))
        | (Kind::Number, value @ (Value::Int(_) | Value::Float(_)))
        | (Kind::Str, value @ Value::Str(_))
        | (Kind::List | Kind::Rest, value @ Value::List(_))
        | (Kind::Bytes, value @ Value::Bytes(_)) => Ok(value),
        (Kind::Bytes, Value::Str(text)) => bytes_of(&text).map(Value::Bytes).ok_or(Value::Str(text)),
        (_, value) => Err(value),
    }
}

/// One byte per character; `None` if one is above U+00FF.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// A default of the method table as a value: `None`, `True`, `10`, `10.0`, `[]`, `'text'` or bare text.
pub fn python_literal(text: &str) -> Value {
    match text {
        "None" => Value::Null,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "[]" => Value::List(Vec::new()),
        "{}" => Value::Map(Vec::new()),
        _ => {
            let quoted = ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
            let number = || text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float));
            quoted.map(Value::from).unwrap_or_else(|| number().unwrap_or_else(|_| text.into()))
        }
    }
}

impl Kind {
    /// What messages and documents call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Any => "any",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Number => "number",
            Kind::Str => "str",
            Kind::List => "list",
            Kind::Bytes => "bytes (characters U+0000 to U+00FF)",
            Kind::Rest => "any number of values",
        }
    }
}

/// The getters panic on a name that the method's table does not have: that is a slip in the code of
/// the method, not of its caller. They give `None` for null and for a value of another type.
impl Bound {
    fn index(&self, name: &str) -> usize {
        self.values
            .iter()
            .position(|(n, _)| *n == name)
            .unwrap_or_else(|| panic!("no argument '{name}' in the table"))
    }

    /// The call that binds to this again: arguments by position up to the last that was given, those called
    /// `without` left out.
    pub fn to_args(&self, method: &Method, without: &[&str]) -> Vec<Value> {
        let kept = || method.args.iter().zip(&self.values).zip(&self.given);
        let wanted = |name: &str| !without.contains(&name);
        let last = kept().rposition(|((arg, _), given)| *given && wanted(arg.name));
        let mut args = Vec::new();
        for ((arg, (_, value)), _) in
            kept().take(last.map_or(0, |n| n + 1)).filter(|((a, _), _)| wanted(a.name))
        {
            match (arg.kind, value) {
                (Kind::Rest, Value::List(rest)) => args.extend(rest.iter().cloned()),
                _ => args.push(value.clone()),
            }
        }
        args
    }

    /// Any argument.
    pub fn value(&self, name: &str) -> &Value {
        &self.values[self.index(name)].1
    }

    /// An argument the method may not have.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Did the caller give it (rather than the default)?
    pub fn given(&self, name: &str) -> bool {
        self.given[self.index(name)]
    }

    /// An argument of [`Kind::Str`].
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).as_str()
    }

    /// An argument of [`Kind::Int`].
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// An argument of [`Kind::Number`].
    pub fn number(&self, name: &str) -> Option<f64> {
        self.value(name).as_f64()
    }

    /// An argument of [`Kind::Bool`].
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// An argument of [`Kind::List`].
    pub fn list(&self, name: &str) -> Option<&[Value]> {
        match self.value(name) {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// An argument of [`Kind::Bytes`].
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.value(name) {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Further keywords of a method that takes any, in the caller's order.
    pub fn keywords(&self) -> &[(String, Value)] {
        &self.keywords
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Effect};
    use super::*;

    const X: Arg = Arg { name: "x", kind: Kind::Int, unit: "", default: None, doc: "" };
    const Y: Arg = Arg { name: "y", kind: Kind::Number, unit: "s", default: Some("10.0"), doc: "" };
    const Z: Arg = Arg { name: "z", kind: Kind::Bool, unit: "", default: Some("None"), doc: "" };
    const ADD: Method = Method {
        interface: "bank",
        name: "add",
        doc: "",
        args: &[X, Y, Z],
        keywords: None,
        reply: "",
        class: Class::Read,
        effect: Effect::Query,
        cancellable: false,
        urgent: false,
        since: "0.1",
    };
    static METHOD: Method = ADD;
    static OPEN: Method = Method { keywords: Some("parameters"), args: &[], ..ADD };

    fn call(method: &'static Method, args: &[Value], kwargs: &[(&str, Value)]) -> Result<Bound, String> {
        let kwargs = kwargs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let call = Call { interface: "bank".into(), method: "add".into(), args: args.to_vec(), kwargs };
        bind(method, call).map_err(|e| {
            assert_eq!(e.class.name(), "TypeError");
            e.message
        })
    }

    #[test]
    fn positional_and_keyword_mix() {
        let b = call(&METHOD, &[Value::Int(3)], &[("y", Value::Int(4))]).expect("binds");
        assert_eq!((b.int("x"), b.number("y"), b.flag("z")), (Some(3), Some(4.0), None));
        assert_eq!((b.given("y"), b.given("z")), (true, false));
        let b = call(&METHOD, &[], &[("z", Value::Int(1)), ("x", Value::Int(3))]).expect("binds");
        assert_eq!((b.value("y"), b.flag("z")), (&Value::Float(10.0), Some(true)));
    }

    #[test]
    fn errors_name_method_and_argument() {
        let one = Value::Int(1);
        let four = [one.clone(), one.clone(), one.clone(), one.clone()];
        for (got, want) in [
            (call(&METHOD, &[], &[]), "bank.add() misses argument 'x'"),
            (call(&METHOD, &four, &[]), "bank.add() takes at most 3 arguments (4 given)"),
            (
                call(&METHOD, std::slice::from_ref(&one), &[("x", one.clone())]),
                "bank.add() got multiple values for argument 'x'",
            ),
            (call(&METHOD, &[], &[("q", one.clone())]), "bank.add() got an unexpected keyword argument 'q'"),
            (call(&METHOD, &["a".into()], &[]), "bank.add() argument 'x' must be int, not str 'a'"),
            (call(&METHOD, &[Value::Bool(true)], &[]), "bank.add() argument 'x' must be int, not bool"),
            (
                call(&METHOD, &[one.clone(), Value::Null], &[]),
                "bank.add() argument 'y' must be number, not null",
            ),
            (
                call(&METHOD, &[one], &[("z", Value::Int(2))]),
                "bank.add() argument 'z' must be bool (True or False), not int 2",
            ),
        ] {
            assert_eq!(got, Err(want.to_owned()));
        }
    }

    #[test]
    fn the_last_argument_can_take_all_the_rest() {
        const REST: Arg = Arg { name: "rest", kind: Kind::Rest, ..X };
        static MANY: Method = Method { args: &[X, REST], ..ADD };
        for n in 1..4 {
            let args: Vec<Value> = (0..n).map(Value::Int).collect();
            let bound = call(&MANY, &args, &[]).expect("binds");
            assert_eq!((bound.int("x"), bound.list("rest")), (Some(0), Some(&args[1..])));
        }
        assert_eq!(call(&MANY, &[], &[]), Err("bank.add() misses argument 'x'".into()));
    }

    #[test]
    fn text_is_bytes_one_for_each_character() {
        const DATA: Arg = Arg { name: "data", kind: Kind::Bytes, ..X };
        static WRITE: Method = Method { args: &[DATA], ..ADD };
        let bound = call(&WRITE, &["\0\u{ff}".into()], &[]).expect("binds");
        assert_eq!(bound.bytes("data"), Some(&[0, 0xFF][..]));
        let error = call(&WRITE, &["\u{100}".into()], &[]).expect_err("no byte");
        assert!(error.contains("U+0000 to U+00FF"), "{error}");
    }

    #[test]
    fn null_where_the_default_is_none() {
        let b = call(&METHOD, &[Value::Int(1)], &[("z", Value::Null)]).expect("binds");
        assert_eq!((b.flag("z"), b.given("z")), (None, true));
    }

    #[test]
    fn open_methods_collect_keywords_in_order() {
        let b = call(&OPEN, &[], &[("b", Value::Int(1)), ("a", Value::Null)]).expect("binds");
        assert_eq!(b.keywords(), [("b".to_owned(), Value::Int(1)), ("a".to_owned(), Value::Null)]);
    }

    #[test]
    fn defaults_as_python_prints_them() {
        for (text, want) in [
            ("None", Value::Null),
            ("False", Value::Bool(false)),
            ("10", Value::Int(10)),
            ("10.0", Value::Float(10.0)),
            ("'10'", "10".into()),
            ("NETSTAT", "NETSTAT".into()),
            ("[]", Value::List(vec![])),
        ] {
            assert_eq!(python_literal(text), want);
        }
    }
}
