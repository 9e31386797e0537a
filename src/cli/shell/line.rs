//! A line of the shell: a call, in either of two ways to write it, or a command of the shell itself.

use super::literal;
use crate::value::Value;

/// The shell's own commands, with what they take and do.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("help", "[NAME]", "what there is; about an interface, a method or a parameter"),
    ("interfaces", "", "names of the interfaces"),
    ("methods", "[INTERFACE]", "methods of an interface, with their arguments"),
    ("use", "INTERFACE", "methods without an interface are of this one"),
    ("timeout", "[SECONDS]", "how long an answer is waited for"),
    ("quit", "", "end (also exit, Ctrl-D)"),
];

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// Nothing, or a comment (`#`).
    Empty,
    /// `help set_mode`
    Command(&'static str, Vec<String>),
    /// A call.
    Call(Written),
}

/// A call as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Interface and method, or the method alone.
    pub name: String,
    /// By position.
    pub args: Vec<Value>,
    /// By name.
    pub kwargs: Vec<(String, Value)>,
}

/// Reads a line. A word that begins it is a command of the shell unless `is_method` knows better; `help`, `use` and
/// the ways to end are always commands.
///
/// # Errors
/// What cannot be understood, in words.
pub fn parse(text: &str, is_method: impl Fn(&str) -> bool) -> Result<Line, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(Line::Empty);
    }
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Err(format!("'{text}' begins with no name: write interface.method(..) or help"));
    }
    if let Some(command) = command(name).filter(|c| is_reserved(c) || !is_method(name)) {
        let words = rest.trim().trim_start_matches('(').trim_end_matches(')');
        let words = words.split_whitespace().map(|w| w.trim_matches(['\'', '"', ',']).to_owned()).collect();
        return Ok(Line::Command(command, words));
    }
    if rest.trim_start().starts_with('=') {
        return Err("there are no variables here: write the call alone, its result is shown".into());
    }
    let mut call = Written { name: name.to_owned(), ..Written::default() };
    match rest.trim_start().strip_prefix('(') {
        Some(inside) => python_arguments(inside, &mut call)?,
        None if rest.is_empty() || rest.starts_with(char::is_whitespace) => words(rest, &mut call)?,
        None => {
            return Err(format!(
                "'{}' after {name}: write ({name} ARG name=value) or {name}(..)",
                rest.trim()
            ));
        }
    }
    Ok(Line::Call(call))
}

fn command(name: &str) -> Option<&'static str> {
    let name = if name == "exit" { "quit" } else { name };
    COMMANDS.iter().find(|(command, ..)| *command == name).map(|(command, ..)| *command)
}

fn is_reserved(command: &str) -> bool {
    matches!(command, "help" | "use" | "quit")
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

/// `1, 'x', name=2)`
fn python_arguments(text: &str, call: &mut Written) -> Result<(), String> {
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            return match after.trim() {
                "" => Ok(()),
                more => Err(format!("'{more}' after the closing bracket: one call a line")),
            };
        }
        let (value, after) = match keyword(rest) {
            Some((name, after)) => {
                let (value, after) = literal::read(after).map_err(|e| format!("{name}: {e}"))?;
                call.kwargs.push((name.to_owned(), value));
                (None, after)
            }
            None => literal::read(rest).map(|(value, after)| (Some(value), after))?,
        };
        match value {
            Some(_) if !call.kwargs.is_empty() => {
                return Err("an argument without a name after one with a name".into());
            }
            Some(value) => call.args.push(value),
            None => {}
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.starts_with(')') => after,
            None if after.is_empty() => return Err("')' is missing at the end".into()),
            None => return Err(format!("',' or ')' is missing before '{after}'")),
        };
    }
}

/// `name=` and what follows.
fn keyword(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end();
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then_some((name, rest))
}

/// `MODE1 force=True 'two words'`: what is no literal is text.
fn words(text: &str, call: &mut Written) -> Result<(), String> {
    for word in split(text)? {
        match keyword(&word) {
            Some((name, value)) => call.kwargs.push((name.to_owned(), of_word(value))),
            None => call.args.push(of_word(&word)),
        }
    }
    Ok(())
}

/// A word as a value: a literal if it is one, else the text itself.
fn of_word(word: &str) -> Value {
    literal::read_all(word).unwrap_or_else(|_| word.into())
}

/// Words divided by white space outside of quotes and brackets.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut depth) = (Vec::new(), String::new(), 0_usize);
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match quote {
            Some(open) => {
                if c == open && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped;
            }
            None if matches!(c, '\'' | '"') && (depth > 0 || word.is_empty() || word.ends_with('=')) => {
                quote = Some(c);
            }
            None if matches!(c, '[' | '{' | '(') => depth += 1,
            None if matches!(c, ']' | '}' | ')') => depth = depth.saturating_sub(1),
            None => {}
        }
        if c.is_whitespace() && quote.is_none() && depth == 0 {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.push(c);
        }
    }
    if let Some(open) = quote {
        return Err(format!("the closing {open} is missing"));
    }
    words.extend((!word.is_empty()).then_some(word));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Written {
        match parse(text, |_| false) {
            Ok(Line::Call(call)) => call,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn both_ways_to_write_a_call_say_the_same() {
        let want = Written {
            name: "bank.set_mode".into(),
            args: vec!["MODE1".into(), Value::Float(1500.0)],
            kwargs: vec![("force".into(), true.into())],
        };
        for text in [
            "bank.set_mode('MODE1', 1500.0, force=True)",
            "bank.set_mode MODE1 1500.0 force=True",
            "  bank.set_mode ( \"MODE1\",1500.0 , force = true ) ",
            "bank.set_mode 'MODE1' 1500.0 force=true",
        ] {
            assert_eq!(call(text), want, "{text}");
        }
    }

    #[test]
    fn words_keep_quotes_and_brackets_together() {
        let got = call("set_param source='3C 286' x=[1, 2] who=it's");
        let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
        let pair = |n: &str, v: Value| (n.to_owned(), v);
        assert_eq!(
            got.kwargs,
            [pair("source", "3C 286".into()), pair("x", list), pair("who", "it's".into())]
        );
        assert_eq!(call("write_cmd STOP").args, [Value::from("STOP")]);
        assert_eq!(call("start").args, []);
        assert_eq!(call("start()").args, []);
    }

    #[test]
    fn commands_give_way_to_methods_but_some_do_not() {
        let parse_with = |text, method| parse(text, |name: &str| name == method);
        assert_eq!(parse_with("help set_mode", "x"), Ok(Line::Command("help", vec!["set_mode".into()])));
        assert_eq!(
            parse_with("help('set_mode')", "help"),
            Ok(Line::Command("help", vec!["set_mode".into()]))
        );
        assert_eq!(parse_with("exit", "x"), Ok(Line::Command("quit", vec![])));
        assert!(matches!(parse_with("timeout 3", "timeout"), Ok(Line::Call(_))));
        assert_eq!(parse_with(" # a remark", "x"), Ok(Line::Empty));
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for (text, says) in [
            ("f(1", "')' is missing"),
            ("f(a)", "needs quotes"),
            ("f(x=1, 2)", "after one with a name"),
            ("f(1) + 2", "one call a line"),
            ("x = f()", "no variables"),
            ("f 'open", "closing '"),
            ("=3", "begins with no name"),
            ("f[0]", "after f"),
        ] {
            let error = parse(text, |_| false).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
