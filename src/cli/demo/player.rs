//! A spectrometer node on simulators, with a scan in it.

use super::process::NodeProcess;
use super::{LOOK_EVERY, READY_WITHIN, checked, pause, step};
use crate::cli::client::Client;
use crate::daq::quicklook;
use crate::sys::clock;
use crate::value::Value;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Length of the scan, s.
const SCAN_LENGTH: f64 = 6.0;
/// Integration time, s.
const EXPOSURE: f64 = 0.5;

/// Runs it; `rate_divisor`: only that part of the data rate is sent.
pub fn run(out: &Path, rate_divisor: u32) -> Result<(), String> {
    println!("A spectrometer node on simulators. Files go to {}\n", out.display());
    let settings = [
        ("player.simulate", "true".to_owned()),
        ("player.bank", "BANKA".to_owned()),
        ("player.data_root", out.display().to_string()),
        ("player.rate_divisor", rate_divisor.to_string()),
    ];
    let mut process = NodeProcess::spawn("player", out, &settings)?;
    println!("  player     {} (log: {})", process.json, process.log.display());
    let mut client = Client::connect(&process.json, Duration::from_secs(60)).map_err(|e| e.message)?;
    observe(&mut client)?;
    let files = recorded(out)?;
    process.stop()?;
    show(&files, out)
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
