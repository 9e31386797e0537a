//! `appliance shm`: status memory from the command line, a superset of `hashpipe_check_status`.
//!
//! It never creates a buffer that is not there. What it prints comes out at the end, and only if all went
//! well: a script never takes half an answer for a whole one.

mod actions;

use crate::proto::status_cards::format_general;
use crate::shm::{
    CardError, Dialect, Location, LockState, Snapshot, StatusEditor, StatusError, StatusMemory, clean, keys,
};
use crate::value::Value;
use actions::{Action, Actions, SetTo};
use clap::{Args, Subcommand, ValueEnum};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Long enough for a stale lock to be found and repaired.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_millis(250);
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Status memory: look, change, clean up.
#[derive(Args, Debug)]
pub struct ShmArgs {
    #[command(subcommand)]
    command: ShmCommand,
}

#[derive(Subcommand, Debug)]
enum ShmCommand {
    /// Print or change status keys. Options act in the order given; a missing key ends with exit status 2.
    Status(StatusArgs),
    /// Remove status memory and its lock. Refuses while programs are attached.
    Clean(CleanArgs),
}

/// Which status memory.
#[derive(Args, Debug)]
struct Target {
    /// Instance, modulo 64
    #[arg(short = 'I', long, default_value_t = 0, value_name = "N")]
    instance: u8,
    /// Key file instead of HASHPIPE_KEYFILE or HOME
    #[arg(short = 'K', long, value_name = "FILE")]
    keyfile: Option<PathBuf>,
    /// Status memory kept in files of this directory instead of a System V segment
    #[arg(long, value_name = "DIR", conflicts_with = "keyfile")]
    dir: Option<PathBuf>,
    /// Whose keys and text format
    #[arg(long, value_enum, default_value_t = Family::Hashpipe)]
    dialect: Family,
}

/// The three families of pipeline programs.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// hashpipe 1.x
    Hashpipe,
    /// vegas_hpc: keys as hashpipe, legacy text
    Vegas,
    /// guppi_daq: fixed key, legacy text
    Guppi,
}

#[derive(Args, Debug)]
struct StatusArgs {
    #[command(flatten)]
    target: Target,
    /// Print JSON with the kind each card shows
    #[arg(long)]
    json: bool,
    /// Go on printing what changes
    #[arg(long)]
    watch: bool,
    /// Needed with --clear
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    actions: Actions,
}

#[derive(Args, Debug)]
struct CleanArgs {
    #[command(flatten)]
    target: Target,
    /// Also while programs are attached; they will go on with memory nobody else can find
    #[arg(long)]
    force: bool,
}

/// Why a command ends: exit status and what to say, and where.
#[derive(Debug)]
struct Failure {
    status: u8,
    text: String,
    on_stdout: bool,
}

impl Failure {
    fn new(status: u8, text: impl Into<String>) -> Failure {
        Failure { status, text: text.into(), on_stdout: false }
    }
}

impl From<StatusError> for Failure {
    fn from(e: StatusError) -> Failure {
        Failure::new(FAILED, e.to_string())
    }
}

/// Runs the command. Exit status: 0 done, 1 failed, 2 usage or missing key.
pub fn run(args: ShmArgs) -> ExitCode {
    let result = match args.command {
        ShmCommand::Status(args) => status(&args),
        ShmCommand::Clean(args) => remove(&args),
    };
    match result {
        Ok(text) => match say(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(FAILED),
        },
        Err(failure) => {
            if failure.on_stdout {
                // Whoever closed our output does not want to know.
                let _ = say(&format!("{}\n", failure.text));
            } else {
                eprintln!("appliance shm: {}", failure.text);
            }
            ExitCode::from(failure.status)
        }
    }
}

impl Target {
    fn location(&self) -> Result<Location, Failure> {
        match (&self.dir, self.dialect) {
            (Some(dir), _) => Ok(Location::File { dir: dir.clone() }),
            (None, Family::Guppi) => Ok(keys::guppi_location()),
            (None, _) => keys::status_location(self.keyfile.as_deref(), self.instance, &keys::process_env)
                .map_err(|e| Failure::new(FAILED, e.to_string())),
        }
    }

    fn text_dialect(&self) -> Dialect {
        match self.dialect {
            Family::Hashpipe => Dialect::Hashpipe,
            Family::Vegas | Family::Guppi => Dialect::Legacy,
        }
    }

    fn attach(&self) -> Result<StatusMemory, Failure> {
        let location = self.location()?;
        StatusMemory::attach(&location, self.text_dialect(), self.instance).map_err(|e| match e {
            // Word for word what the C tool says, and where it says it.
            StatusError::Missing { location } => Failure {
                status: FAILED,
                text: format!("{location} for instance {} does not exist", self.instance),
                on_stdout: true,
            },
            other => other.into(),
        })
    }
}

fn remove(args: &CleanArgs) -> Result<String, Failure> {
    let location = args.target.location()?;
    let cleaned = clean(&location, args.force).map_err(|e| Failure::new(FAILED, e.to_string()))?;
    Ok(match (cleaned.memory, cleaned.lock) {
        (true, true) => "Deleted status shared memory and semaphore.\n".into(),
        (true, false) => "Deleted status shared memory; there was no semaphore.\n".into(),
        (false, true) => "Deleted the semaphore; there was no status shared memory.\n".into(),
        (false, false) => format!("{location}: nothing to delete.\n"),
    })
}

fn status(args: &StatusArgs) -> Result<String, Failure> {
    let actions = args.actions.in_order();
    if actions.contains(&Action::Clear { asks: true }) && !args.yes {
        return Err(Failure::new(USAGE, "--clear removes every key; add --yes to mean it"));
    }
    if !actions.is_empty() && actions.iter().all(|a| *a == Action::ShowKey) {
        return actions.iter().map(|_| show_key(&args.target)).collect();
    }
    let mut memory = args.target.attach()?;
    let mut session = Session { target: &args.target, json: args.json, selected: None, found: Vec::new() };
    let mut out = String::new();
    for action in actions {
        out += &session.act(&mut memory, action)?;
    }
    if args.json && !session.found.is_empty() {
        out += &json_text(&session.found);
    } else if actions.is_empty() && !args.watch {
        out += &listing(&memory.snapshot(LOCK_TIMEOUT)?, args.json);
    }
    if args.watch {
        if say(&out).is_ok() {
            watch(&mut memory)?;
        }
        return Ok(String::new());
    }
    Ok(out)
}

/// What options carry from one to the next.
struct Session<'a> {
    target: &'a Target,
    json: bool,
    /// By `-k`.
    selected: Option<&'a str>,
    /// Values for `--json`.
    found: Vec<(String, Value)>,
}

impl<'a> Session<'a> {
    /// Does one action; what it prints.
    fn act(&mut self, memory: &mut StatusMemory, action: &'a Action) -> Result<String, Failure> {
        match action {
            Action::Print(key) => self.print(memory, key),
            Action::PrintNumber(key) => {
                let number = memory.snapshot(LOCK_TIMEOUT)?.get_f64(key).ok_or_else(|| missing(key))?;
                Ok(format!("{}\n", format_general(number)))
            }
            Action::Select(key) => {
                self.selected = Some(key);
                Ok(String::new())
            }
            Action::Set(key, value) => self.set(memory, Some(key), value),
            Action::SetSelected(value) => self.set(memory, None, value),
            Action::Delete(key) => self.delete(memory, Some(key)),
            Action::DeleteSelected => self.delete(memory, None),
            Action::Clear { .. } => edit(memory, |e| {
                e.clear();
                Ok(())
            }),
            Action::Raw => {
                Ok(format!("{}\n", String::from_utf8_lossy(memory.snapshot(LOCK_TIMEOUT)?.text())))
            }
            Action::ShowKey => show_key(self.target),
            Action::ShowLock => Ok(format!("{} {}\n", memory.location(), lock_text(memory.lock_state()))),
        }
    }

    fn print(&mut self, memory: &mut StatusMemory, key: &str) -> Result<String, Failure> {
        let snapshot = memory.snapshot(LOCK_TIMEOUT)?;
        let value = snapshot.get(key).ok_or_else(|| missing(key))?;
        if self.json {
            self.found.push((key.to_owned(), value));
            return Ok(String::new());
        }
        Ok(format!("{}\n", snapshot.get_str(key).unwrap_or_default()))
    }

    fn key<'k>(&self, named: Option<&'k str>) -> Result<&'k str, Failure>
    where
        'a: 'k,
    {
        named.or(self.selected).ok_or_else(|| Failure::new(USAGE, "no key selected; put -k KEY before"))
    }

    fn set(&self, memory: &mut StatusMemory, key: Option<&str>, value: &SetTo) -> Result<String, Failure> {
        let key = self.key(key)?;
        edit(memory, |e| match value {
            SetTo::Text(text) => e.set_str(key, text),
            SetTo::Float32(x) => e.set_f32(key, *x),
            SetTo::Float64(x) => e.set_f64(key, *x),
            SetTo::Integer(x) => e.set_int(key, *x),
        })
    }

    fn delete(&self, memory: &mut StatusMemory, key: Option<&str>) -> Result<String, Failure> {
        let key = self.key(key)?;
        edit(memory, |e| {
            e.delete(key);
            Ok(())
        })
    }
}

fn edit(
    memory: &mut StatusMemory,
    change: impl FnOnce(&mut StatusEditor<'_>) -> Result<(), CardError>,
) -> Result<String, Failure> {
    memory.update(LOCK_TIMEOUT, change)?;
    Ok(String::new())
}

fn missing(key: &str) -> Failure {
    Failure::new(USAGE, format!("no key '{key}' in status memory"))
}

fn show_key(target: &Target) -> Result<String, Failure> {
    Ok(match target.location()? {
        Location::SysV { key, .. } => format!("{key:#08x}\n"),
        Location::File { dir } => format!("{}\n", dir.display()),
    })
}

fn lock_text(state: LockState) -> String {
    match state {
        LockState::Unlocked { value } => format!("unlocked ({value})"),
        LockState::Locked { waiters: 0 } => "locked".into(),
        LockState::Locked { waiters } => format!("locked ({waiters} waiters)"),
    }
}

fn listing(snapshot: &Snapshot, json: bool) -> String {
    let pairs = snapshot.to_pairs();
    if json {
        return json_text(&pairs);
    }
    pairs.iter().map(|(key, value)| line(key, value)).collect()
}

fn line(key: &str, value: &Value) -> String {
    format!("{key:<8} = {value}\n")
}

fn json_text(pairs: &[(String, Value)]) -> String {
    let members = pairs.iter().map(|(key, value)| (key.clone(), json_value(value)));
    format!("{}\n", serde_json::Value::Object(members.collect()))
}

/// Cards hold text, numbers and logicals only.
fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Int(x) => (*x).into(),
        Value::Float(x) => (*x).into(),
        Value::Bool(x) => (*x).into(),
        other => other.to_string().into(),
    }
}

/// Prints. A reader that went away (`| head`) is an error, not a panic.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints what changes until interrupted, or until nobody reads it.
fn watch(memory: &mut StatusMemory) -> Result<(), Failure> {
    let mut before: Vec<(String, Value)> = Vec::new();
    loop {
        let now = memory.snapshot(LOCK_TIMEOUT)?.to_pairs();
        if say(&changes(&before, &now)).is_err() {
            return Ok(());
        }
        before = now;
        std::thread::sleep(WATCH_EVERY);
    }
}

/// A line for every key that went, came or changed.
fn changes(before: &[(String, Value)], now: &[(String, Value)]) -> String {
    let gone = before.iter().filter(|(key, _)| !now.iter().any(|(k, _)| k == key));
    let gone = gone.map(|(key, _)| format!("{key:<8} deleted\n"));
    let new = now.iter().filter(|pair| !before.contains(pair)).map(|(key, value)| line(key, value));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_watched() {
        let pairs = |list: &[(&str, i64)]| -> Vec<(String, Value)> {
            list.iter().map(|(key, x)| ((*key).to_owned(), Value::Int(*x))).collect()
        };
        let (before, now) = (pairs(&[("A", 1), ("B", 2), ("C", 3)]), pairs(&[("A", 1), ("C", 4), ("D", 5)]));
        assert_eq!(changes(&before, &now), "B        deleted\nC        = 4\nD        = 5\n");
        assert_eq!(changes(&now, &now), "");
    }
}
