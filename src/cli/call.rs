//! `appliance call TARGET METHOD [ARG|name=value]...`: one call, its result as JSON.

use super::client::{Client, TIMEOUT};
use super::identity::Identity;
use super::paint::Paint;
use super::remedy::{self, Place};
use super::remote_table::RemoteTable;
use super::shell::complete::Scene;
use super::shell::{help, literal, show};
use super::target::Target;
use crate::api::{CallError, ErrorClass};
use crate::proto::json;
use crate::value::Value;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// What `--help` says of the end.
const EXIT_STATUS: &str = "\
Exit status:
  0  done: there is a result, and nobody refused
  1  the call failed (reason on standard error), or the result says no: it is [false, text],
     or an object in which a player, or several, have such an entry
  2  usage";

/// Make one call and print the result as JSON.
#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_STATUS)]
pub struct CallArgs {
    /// tcp://host:port (JSON), rpc://host:port or unix:/path (binary)
    target: Target,
    /// Interface and method, divided by the last dot: bank.get_status, archon.expose, archon.sp1.status
    #[arg(value_parser = parse_method)]
    method: Method,
    /// Arguments: JSON or as Python writes them (True, None, ['a', 1]), or else text; name=value gives a keyword
    #[arg(value_name = "ARG|name=value", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT.as_secs_f64(), value_parser = parse_seconds)]
    timeout: f64,
    /// Show on standard error what the node says meanwhile (progress, messages); binary targets only
    #[arg(long)]
    watch: bool,
    /// Explain the method, from the table of the node, and do not call it
    #[arg(long, conflicts_with = "watch")]
    describe: bool,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Clone, Debug, PartialEq)]
struct Method {
    interface: String,
    name: String,
}

fn parse_method(text: &str) -> Result<Method, String> {
    match text.rsplit_once('.') {
        Some((interface, name)) if !interface.is_empty() && !name.is_empty() => {
            Ok(Method { interface: interface.to_owned(), name: name.to_owned() })
        }
        _ => Err("give interface.method, for example bank.get_status".into()),
    }
}

/// A time to wait, as an option gives it.
pub(super) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| *s > 0.0 && *s <= 86_400.0);
    seconds.ok_or_else(|| "give seconds, more than 0 and at most 86400".into())
}

/// Arguments by position and by name.
type Bag = (Vec<Value>, Vec<(String, Value)>);

fn parse_args(args: &[String]) -> Bag {
    let mut bag = Bag::default();
    for arg in args {
        match arg.split_once('=').filter(|(name, _)| is_identifier(name)) {
            Some((name, value)) => bag.1.push((name.to_owned(), parse_value(value))),
            None => bag.0.push(parse_value(arg)),
        }
    }
    bag
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// JSON if it is JSON, a literal of Python if it looks like one (`True`, `None`, `['a', 1]`), else the text itself.
pub fn parse_value(text: &str) -> Value {
    let pythonic =
        matches!(text, "True" | "False" | "None") || text.starts_with(|c: char| "'[({".contains(c));
    let literal = || if pythonic { literal::read_all(text).ok() } else { None };
    json::read(text.as_bytes()).ok().or_else(literal).unwrap_or_else(|| text.into())
}

/// Runs the command.
pub fn run(args: CallArgs) -> ExitCode {
    let told = match args.describe {
        true => describe(&args).map(|text| (text, true)),
        false => call(args).and_then(|value| {
            let text = json::to_text(&value).map_err(|e| format!("result: {e}"))?;
            Ok((text, !show::refused(&value)))
        }),
    };
    match told {
        Ok((text, good)) => {
            println!("{text}");
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            eprintln!("appliance call: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The method as the node describes it.
fn describe(args: &CallArgs) -> Result<String, String> {
    let mut client = connect(args).map_err(|e| e.message)?;
    let mut remote = RemoteTable::default();
    remote.ask(&mut client).map_err(|e| told(&e, &args.method))?;
    match remote.table.find(&args.method.interface, &args.method.name) {
        Ok(method) => Ok(help::method(method, Paint::of_terminal(std::io::stdout().is_terminal()))),
        Err(_) => Err(not_there(&args.method, &remote)),
    }
}

fn connect(args: &CallArgs) -> Result<Client, CallError> {
    Client::connect_as(&args.identity, &args.target, Duration::from_secs_f64(args.timeout))
}

fn call(args: CallArgs) -> Result<Value, String> {
    let (positional, named) = parse_args(&args.args);
    let mut client = connect(&args).map_err(|e| e.message)?;
    let (interface, name) = (&args.method.interface, &args.method.name);
    let outcome = if args.watch {
        watch(&mut client, &args.target)?;
        client.call_hearing(interface, name, positional, named, &mut show)
    } else {
        client.call(interface, name, positional, named)
    };
    outcome.map_err(|error| {
        let told = told(&error, &args.method);
        // Names with an underscore are in no list, but may be there.
        if error.class != ErrorClass::KeyError || name.starts_with('_') {
            return told;
        }
        // Is it the method that is not there, or something it was asked for?
        let mut remote = RemoteTable::default();
        match remote.ask(&mut client).map(|()| remote.table.find(interface, name).is_err()) {
            Ok(true) => not_there(&args.method, &remote),
            Ok(false) | Err(_) => told,
        }
    })
}

fn told(error: &CallError, method: &Method) -> String {
    let paint = Paint::of_terminal(std::io::stderr().is_terminal());
    remedy::error(error, &method.name, Place::CommandLine, paint)
}

fn not_there(method: &Method, remote: &RemoteTable) -> String {
    let scene = Scene { table: &remote.table, interface: &method.interface };
    remedy::unknown(&format!("{}.{}", method.interface, method.name), scene, Place::CommandLine)
}

/// Asks to be told what the node says from now on.
fn watch(client: &mut Client, target: &Target) -> Result<(), String> {
    if matches!(target, Target::Json(_)) {
        return Err(format!(
            "--watch: {target} speaks JSON, which tells answers only; give rpc://host:port or unix:/path"
        ));
    }
    let all = client.call("rpc", "subscribe", vec![], vec![]);
    all.map(drop).map_err(|error| format!("--watch: {error}"))
}

/// One line for each event.
fn show(topic: &str, body: &Value) {
    let body = json::to_text(body).unwrap_or_else(|e| e.to_string());
    eprintln!("{topic} {body}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        call: CallArgs,
    }

    fn parse(words: &[&str]) -> Result<CallArgs, clap::Error> {
        Line::try_parse_from([&["call"], words].concat()).map(|line| line.call)
    }

    #[test]
    fn the_last_dot_divides() {
        let method = |text| parse_method(text).map(|m| (m.interface, m.name));
        assert_eq!(method("bank.roach.read"), Ok(("bank.roach".into(), "read".into())));
        for bad in ["bank", ".x", "bank.", ""] {
            assert!(method(bad).is_err());
        }
    }

    #[test]
    fn arguments_are_json_or_text() {
        let words =
            ["3", "-1.5", "text", "[1]", "a=b", "name=\"7\"", "n=7", "1=2", "url=http://x?a=b", "b=True"];
        let (args, kwargs) = parse_args(&words.map(String::from));
        let list = Value::List(vec![Value::Int(1)]);
        assert_eq!(args, [Value::Int(3), Value::Float(-1.5), "text".into(), list, "1=2".into()]);
        let python = ["True", "None", "'7'", "(1, None)", "'it", "007", "True story"];
        let pair = Value::List(vec![Value::Int(1), Value::Null]);
        let words: Vec<Value> = ["'it", "007", "True story"].map(Value::from).into();
        let want = [vec![Value::Bool(true), Value::Null, "7".into(), pair], words].concat();
        assert_eq!(parse_args(&python.map(String::from)).0, want);
        let keyword = |name: &str, value: Value| (name.to_owned(), value);
        let want = [
            keyword("a", "b".into()),
            keyword("name", "7".into()),
            keyword("n", Value::Int(7)),
            keyword("url", "http://x?a=b".into()),
            keyword("b", true.into()),
        ];
        assert_eq!(kwargs, want);
    }

    #[test]
    fn what_describe_prints_can_be_given() {
        for (text, value) in [
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
            ("None", Value::Null),
            ("true", Value::Bool(true)),
            ("null", Value::Null),
            ("''", "".into()),
            ("MODE1", "MODE1".into()),
            ("Truely", "Truely".into()),
        ] {
            assert_eq!(parse_value(text), value, "{text}");
        }
    }

    #[test]
    fn help_tells_the_whole_exit_status() {
        for name in ["call", "status"] {
            let mut cli = <crate::cli::Cli as clap::CommandFactory>::command();
            let help = cli.find_subcommand_mut(name).expect("there").render_long_help().to_string();
            assert!(help.contains("Exit status:") && help.contains("  2  usage"), "{help}");
        }
    }

    #[test]
    fn the_command_line() {
        let args = parse(&["tcp://h:1", "bank.add", "-3", "y=2", "--timeout", "2.5"]).expect("parses");
        assert_eq!((args.args, args.timeout), (vec!["-3".to_owned(), "y=2".to_owned()], 2.5));
        for bad in [&["h:1", "bank.add"][..], &["tcp://h:1", "add"], &["tcp://h:1", "a.b", "--timeout", "0"]]
        {
            assert_eq!(parse(bad).err().map(|e| e.exit_code()), Some(2), "{bad:?}");
        }
    }
}
