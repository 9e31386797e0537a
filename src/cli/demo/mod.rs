//! `appliance demo`: the whole machine on simulators, on loopback, with a real observation in it.
//!
//! Starts this binary again as a node with simulated hardware, drives it as an operator's script would,
//! and shows what was recorded. Needs no root, no hardware, no configuration, and leaves only the output
//! directory.

pub mod archon;
pub mod player;
pub mod process;

use crate::api::Outcome;
use crate::sys::clock;
use crate::value::Value;
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The simulated hardware must be there by then.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Looking again at the state of a node.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `appliance demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// What to show
    #[arg(value_enum, default_value = "player")]
    what: What,
    /// Where the files go; a directory of its own is made for each run if this is not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Player: send only every n-th part of the data rate
    #[arg(long, value_name = "N", default_value_t = 1)]
    rate_divisor: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
enum What {
    /// A spectrometer node: set a mode, run a scan, look at the spectrum
    Player,
    /// A CCD host: configure two controllers, power on, take a bias and an exposure, look at the images
    Archon,
    /// One after the other, in directories of their own
    All,
}

/// Runs the demonstration.
pub fn run(args: DemoArgs) -> ExitCode {
    match output_directory(args.out.as_deref()).and_then(|out| show(&args, &out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("demo: {text}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &DemoArgs, out: &Path) -> Result<(), String> {
    match args.what {
        What::Player => player::run(out, args.rate_divisor),
        What::Archon => archon::run(out),
        What::All => {
            player::run(&directory(&out.join("player"))?, args.rate_divisor)?;
            println!();
            archon::run(&directory(&out.join("archon"))?)
        }
    }
}

fn output_directory(wanted: Option<&Path>) -> Result<PathBuf, String> {
    match wanted {
        Some(dir) => directory(dir),
        None => {
            let now = clock::utc().to_string().replace([' ', ':'], "-");
            directory(&Path::new("appliance-demo").join(now.split('.').next().unwrap_or("run")))
        }
    }
}

fn directory(path: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(path)
        .map_err(|e| format!("cannot make {}: {e}; give another place with --out", path.display()))?;
    path.canonicalize().map_err(|e| format!("{}: {e}", path.display()))
}

// ---------------------------------------------------------------------- an observation, step by step

fn step(what: &str, act: impl FnOnce() -> Result<Value, String>) -> Result<Value, String> {
    print!("  {what} ... ");
    let _ = io::stdout().flush();
    let began = clock::mono();
    let value = act()?;
    println!("{:.2} s  {}", clock::mono().since(began).as_secs_f64(), brief(&value));
    Ok(value)
}

fn brief(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::List(l) if l.len() == 2 => l[1].to_string(),
        other => other.to_string(),
    }
}

/// A reply `[false, "text"]` is a failure, too.
fn checked(outcome: Outcome) -> Result<Value, String> {
    match outcome {
        Ok(Value::List(l))
            if l.first() == Some(&Value::Bool(false)) && l.len() == 2 && l[1].as_str().is_some() =>
        {
            Err(l[1].to_string())
        }
        Ok(value) => Ok(value),
        Err(e) => Err(format!("{}: {}", e.class.name(), e.message)),
    }
}

/// A person watches: looking again at once would only flicker.
fn pause(d: Duration) {
    std::thread::sleep(d);
}
