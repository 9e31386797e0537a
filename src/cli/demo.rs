//! `appliance demo`: the whole machine on simulators, on loopback, with a real observation in it.
//!
//! Starts this binary again as a player with `player.simulate = true` (which brings its own ROACH,
//! packet source and DAQ program), drives it as an operator's script would, and shows what was
//! recorded. Needs no root, no hardware, no configuration, and leaves only the output directory.

use super::client::Client;
use super::target::Target;
use crate::api::Outcome;
use crate::daq::quicklook;
use crate::sys::{child, clock};
use crate::units::Mono;
use crate::value::Value;
use clap::{Args, ValueEnum};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

/// Length of the scan, s.
const SCAN_LENGTH: f64 = 6.0;
/// Integration time, s.
const EXPOSURE: f64 = 0.5;
/// The player must be ready by then.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Looking again at the player's state.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The player must have gone by then after SIGTERM.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// Arguments of `appliance demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// What to show
    #[arg(value_enum, default_value = "player")]
    what: What,
    /// Where the files go; a directory of its own is made for each run if this is not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Send only every n-th part of the data rate
    #[arg(long, value_name = "N", default_value_t = 1)]
    rate_divisor: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
enum What {
    /// A spectrometer node: set a mode, run a scan, look at the spectrum
    Player,
}

/// Runs the demonstration.
pub fn run(args: DemoArgs) -> ExitCode {
    let What::Player = args.what;
    match player(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("demo: {text}");
            ExitCode::FAILURE
        }
    }
}

fn player(args: &DemoArgs) -> Result<(), String> {
    let out = output_directory(args.out.as_deref())?;
    println!("A spectrometer node on simulators. Files go to {}\n", out.display());
    let mut process = PlayerProcess::spawn(&out, args.rate_divisor)?;
    println!("  player     {} (log: {})", process.target, out.join("player.log").display());
    let mut client = Client::connect(&process.target, Duration::from_secs(60)).map_err(|e| e.message)?;
    observe(&mut client)?;
    let files = recorded(&out)?;
    process.stop()?;
    show(&files, &out)
}

fn output_directory(wanted: Option<&Path>) -> Result<PathBuf, String> {
    let out = match wanted {
        Some(dir) => dir.to_owned(),
        None => PathBuf::from("appliance-demo")
            .join(clock::utc().to_string().replace([' ', ':'], "-").split('.').next().unwrap_or("run")),
    };
    fs::create_dir_all(&out)
        .map_err(|e| format!("cannot make {}: {e}; give another place with --out", out.display()))?;
    out.canonicalize().map_err(|e| format!("{}: {e}", out.display()))
}

// ---------------------------------------------------------------------- the observation

fn observe(client: &mut Client) -> Result<(), String> {
    await_roach(client)?;
    step("set_mode MODE1", || call(client, "set_mode", vec!["MODE1".into()]))?;
    let kwargs = vec![
        ("exposure".to_owned(), Value::Float(EXPOSURE)),
        ("scan_length".to_owned(), Value::Float(SCAN_LENGTH)),
        ("source".to_owned(), "simulated tone".into()),
        ("observer".to_owned(), "demo".into()),
        ("project_id".to_owned(), "DEMO".into()),
    ];
    step("set_param", || checked(client.call("bank", "set_param", vec![], kwargs)))?;
    step("prepare", || call(client, "prepare", vec![]))?;
    step("start (armed 0.9 s before the start second)", || call(client, "start", vec![]))?;
    follow(client)
}

/// Waits for the simulated board, and says where the status is kept.
fn await_roach(client: &mut Client) -> Result<(), String> {
    let until = clock::mono() + READY_WITHIN;
    loop {
        let state = call(client, "player_state", vec![])?;
        match state.get("roach").and_then(Value::as_str) {
            Some("connected") => {
                let memory = state.get("status_memory").map(Value::to_string).unwrap_or_default();
                println!(
                    "  status     {memory}{}",
                    if memory.contains("0x") { "" } else { " (System V memory is not to be had here)" }
                );
                return Ok(());
            }
            other if clock::mono() > until => {
                return Err(format!("the simulated ROACH is {}", other.unwrap_or("unknown")));
            }
            _ => pause(LOOK_EVERY),
        }
    }
}

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

/// Shows the running scan until it ends.
fn follow(client: &mut Client) -> Result<(), String> {
    let until = clock::mono() + Duration::from_secs_f64(SCAN_LENGTH + 20.0);
    loop {
        let state = call(client, "player_state", vec![])?;
        if state.get("state").and_then(Value::as_str) != Some("SCANNING") {
            progress_line(1.0, "done");
            println!();
            return after_scan(&state);
        }
        let left =
            state.get("scan").and_then(|s| s.get("remaining_s")).and_then(Value::as_f64).unwrap_or(0.0);
        let net = call(client, "scan_status", vec![])?;
        progress_line((1.0 - left / SCAN_LENGTH).clamp(0.0, 0.99), &words(&net));
        if clock::mono() > until {
            return Err("the scan does not end".into());
        }
        pause(LOOK_EVERY);
    }
}

fn after_scan(state: &Value) -> Result<(), String> {
    let scan = state.get("last_scan").cloned().unwrap_or_default();
    let number = |key: &str| scan.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let ended = scan.get("ended").map_or_else(|| "unknown".to_owned(), Value::to_string);
    println!(
        "  scan {}: {ended}; first arm write {} us after its time, armed {:.0} ms before the start",
        number("number"),
        number("arm_late_us"),
        number("arm_margin_ms")
    );
    if ended == "complete" { Ok(()) } else { Err(format!("the scan ended early: {ended}")) }
}

fn words(status: &Value) -> String {
    match status {
        Value::List(l) => l.iter().skip(1).map(Value::to_string).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn progress_line(part: f64, text: &str) {
    const WIDTH: usize = 30;
    let full = (part * WIDTH as f64).round() as usize;
    if io::stdout().is_terminal() {
        print!("\r  scan [{}{}] {text:<50}", "#".repeat(full), "-".repeat(WIDTH - full));
        let _ = io::stdout().flush();
    } else if part >= 1.0 {
        print!("  scan                                        {text}");
    }
}

fn call(client: &mut Client, method: &str, args: Vec<Value>) -> Result<Value, String> {
    checked(client.call("bank", method, args, vec![]))
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

// ---------------------------------------------------------------------- what was recorded

fn recorded(out: &Path) -> Result<Vec<PathBuf>, String> {
    let until = clock::mono() + READY_WITHIN;
    loop {
        let mut files = fits_files(out).map_err(|e| format!("{}: {e}", out.display()))?;
        if !files.is_empty() {
            files.sort();
            return Ok(files);
        }
        if clock::mono() > until {
            return Err(format!("no FITS file has appeared in {}; see player.log there", out.display()));
        }
        pause(LOOK_EVERY);
    }
}

fn fits_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.into_iter().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "fits")).collect())
}

fn show(files: &[PathBuf], out: &Path) -> Result<(), String> {
    let file = files.first().ok_or("nothing was recorded")?;
    let spectrum = quicklook::Spectrum::read(file)?;
    println!("\n{}", quicklook::terminal(&spectrum, 78, 16));
    println!("  {}", spectrum.summary());
    let picture = out.join("spectrum.png");
    quicklook::png(&spectrum, &picture).map_err(|e| format!("{}: {e}", picture.display()))?;
    println!("\nFiles:");
    for file in files {
        println!("  {}   (SDFITS: astropy, CFITSIO, GBTIDL-style readers open it)", file.display());
    }
    println!("  {}", picture.display());
    println!("  {}   (every call and hardware order)", out.join("record/record.jsonl").display());
    println!("  {}", out.join("player.log").display());
    Ok(())
}

// ---------------------------------------------------------------------- the player process

struct PlayerProcess {
    child: Child,
    target: Target,
}

impl PlayerProcess {
    fn spawn(out: &Path, divisor: u32) -> Result<PlayerProcess, String> {
        let exe = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let log = File::create(out.join("player.log")).map_err(|e| e.to_string())?;
        let set = |key: &str, value: &str| ["--set".to_owned(), format!("{key}={value}")];
        let text = |path: &Path| path.display().to_string();
        let mut command = Command::new(exe);
        command
            .args(["--role", "player", "--announce"])
            .args(set("player.simulate", "true"))
            .args(set("player.bank", "BANKA"))
            .args(set("player.data_root", &text(out)))
            .args(set("player.rate_divisor", &divisor.to_string()))
            .args(set("record.dir", &text(&out.join("record"))))
            .args(set("listen.json", "tcp://127.0.0.1:0"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        child::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(|e| format!("cannot start the player: {e}"))?;
        let stdout = child.stdout.take().ok_or("the player has no output")?;
        let mut line = String::new();
        let told = BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string());
        let address = line.split_whitespace().find_map(|w| w.strip_prefix("json=")).map(str::to_owned);
        match (told, address) {
            (Ok(_), Some(address)) => {
                let target = address.parse().map_err(|e| format!("{address}: {e}"))?;
                Ok(PlayerProcess { child, target })
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                let log = fs::read_to_string(out.join("player.log")).unwrap_or_default();
                Err(format!("the player did not start:\n{log}"))
            }
        }
    }

    /// Stops it in order and waits for its end.
    fn stop(&mut self) -> Result<(), String> {
        child::terminate(self.child.id()).map_err(|e| e.to_string())?;
        let until = clock::mono() + GONE_WITHIN;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the player ended with {status}; see player.log")),
                Ok(None) if clock::mono() < until => pause(Duration::from_millis(20)),
                Ok(None) => return Err("the player does not end; see player.log".into()),
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

impl Drop for PlayerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = child::terminate(self.child.id());
            let until: Mono = clock::mono() + GONE_WITHIN;
            while matches!(self.child.try_wait(), Ok(None)) && clock::mono() < until {
                pause(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A person watches: looking again at once would only flicker.
fn pause(d: Duration) {
    std::thread::sleep(d);
}
