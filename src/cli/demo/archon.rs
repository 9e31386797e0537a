//! A CCD host on simulators: two controllers configured, powered and read out into FITS files.

use super::process::NodeProcess;
use super::{LOOK_EVERY, READY_WITHIN, checked, directory, pause, step};
use crate::cli::client::Client;
use crate::frames;
use crate::frames::jobs::TapStatistics;
use crate::frames::quicklook::{self, Stretch};
use crate::sys::clock;
use crate::value::Value;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time of the exposure of the sky, s.
const EXPOSURE: f64 = 2.0;
/// The images are small.
const SPARE_MB: u32 = 10;
/// A call may take so long.
const CALL_WITHIN: Duration = Duration::from_secs(120);

/// Keywords of a call.
type Keywords = Vec<(String, Value)>;

/// Runs it.
pub fn run(out: &Path) -> Result<(), String> {
    println!("A CCD host with two simulated controllers. Files go to {}\n", out.display());
    let images = directory(&out.join("images"))?;
    let settings = [
        ("archon.simulate", "true".to_owned()),
        ("archon.data_dir", images.display().to_string()),
        ("archon.spare_mb", SPARE_MB.to_string()),
    ];
    let mut process = NodeProcess::spawn("archon", out, &settings)?;
    println!("  archon     {} (log: {})", process.json, process.log.display());
    let mut client = Client::connect(&process.rpc, CALL_WITHIN).map_err(|e| e.message)?;
    checked(client.call("rpc", "subscribe", vec!["progress".into()], vec![]))?;
    let taken = observe(&mut client)?;
    process.stop()?;
    show(&taken, out)
}

// ---------------------------------------------------------------------- the observation

/// The images of each exposure.
fn observe(client: &mut Client) -> Result<Vec<Vec<PathBuf>>, String> {
    await_controllers(client)?;
    let keywords = |pairs: &[(&str, Value)]| -> Keywords {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
    };
    let yes = || Value::Bool(true);
    let consent = [("power", Value::Bool(false)), ("bias_consent", yes()), ("thermal", yes())];
    step("init (configuration uploaded, read back, applied)", || {
        call(client, "init", keywords(&consent)).map(|_| Value::Null)
    })?;
    step("power on", || call(client, "power", keywords(&[("state", "on".into())])).map(|_| Value::Null))?;
    let bias = expose(client, "bias", keywords(&[("flavour", "bias".into())]))?;
    let object = [("exposure_time", Value::Float(EXPOSURE)), ("flavour", "object".into())];
    let object = expose(client, &format!("object, {EXPOSURE} s"), keywords(&object))?;
    step("power off", || call(client, "power", keywords(&[("state", "off".into())])).map(|_| Value::Null))?;
    Ok(vec![bias, object])
}

/// Waits until both have been read (nothing is written to a controller before an order).
fn await_controllers(client: &mut Client) -> Result<(), String> {
    let until = clock::mono() + READY_WITHIN;
    loop {
        match call(client, "status", vec![("simple".to_owned(), Value::Bool(true))]) {
            Ok(Value::Map(controllers)) => {
                let names: Vec<&str> = controllers.iter().map(|(name, _)| name.as_str()).collect();
                println!("  connected  {}", names.join(", "));
                return Ok(());
            }
            Ok(other) => return Err(format!("status is {other}")),
            Err(why) if clock::mono() > until => return Err(why),
            Err(_) => pause(LOOK_EVERY),
        }
    }
}

fn call(client: &mut Client, method: &str, keywords: Keywords) -> Result<Value, String> {
    checked(client.call("archon", method, vec![], keywords))
}

/// An exposure with its progress; the files it made.
fn expose(client: &mut Client, what: &str, keywords: Keywords) -> Result<Vec<PathBuf>, String> {
    let began = clock::mono();
    let mut line = ProgressLine::new(what);
    let outcome = client.call_hearing("archon", "expose", vec![], keywords, &mut |_, body| line.hear(body));
    let reply = checked(outcome)?;
    let took = clock::mono().since(began).as_secs_f64();
    let verdict = reply.get("verdict").map(Value::to_string).unwrap_or_default();
    line.end(&format!("{took:.2} s  {verdict}"));
    print_taps(&reply);
    let files: Vec<PathBuf> = match reply.get("filenames") {
        Some(Value::List(names)) => names.iter().filter_map(|n| n.as_str()).map(PathBuf::from).collect(),
        _ => Vec::new(),
    };
    if files.is_empty() { Err(format!("the exposure made no files: {reply}")) } else { Ok(files) }
}

/// Statistics of every tap, as they were counted while the frame came in.
fn print_taps(reply: &Value) {
    let Some(Value::List(exposures)) = reply.get("exposures") else { return };
    let taps = exposures.iter().filter_map(|e| match e.get("statistics") {
        Some(Value::List(taps)) => Some(taps),
        _ => None,
    });
    let number = |tap: &Value, key: &str| tap.get(key).and_then(Value::as_f64);
    let statistics: Vec<TapStatistics> = taps
        .flatten()
        .map(|tap| TapStatistics {
            ccd: tap.get("ccd").map(Value::to_string).unwrap_or_default(),
            tap: number(tap, "tap").unwrap_or(f64::NAN) as u32,
            mean: number(tap, "mean").unwrap_or(f64::NAN),
            sigma: number(tap, "sigma").unwrap_or(f64::NAN),
            saturated: number(tap, "saturated").unwrap_or(f64::NAN) as u64,
            overscan: number(tap, "overscan"),
        })
        .collect();
    for line in quicklook::summary(&statistics).lines() {
        println!("      {line}");
    }
}

/// How far an exposure is, on one line of a terminal.
struct ProgressLine<'a> {
    what: &'a str,
    shown: bool,
}

impl<'a> ProgressLine<'a> {
    const WIDTH: usize = 30;

    fn new(what: &'a str) -> ProgressLine<'a> {
        ProgressLine { what, shown: io::stdout().is_terminal() }
    }

    fn hear(&mut self, event: &Value) {
        let Some(progress) = event.get("progress") else { return };
        let part = progress.get("fraction").and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 1.0);
        let phase = progress.get("phase").map(Value::to_string).unwrap_or_default();
        self.draw(part, &phase);
    }

    fn draw(&self, part: f64, text: &str) {
        if self.shown {
            let full = (part * Self::WIDTH as f64).round() as usize;
            let bar = format!("{}{}", "#".repeat(full), "-".repeat(Self::WIDTH - full));
            print!("\r  expose {:<14} [{bar}] {text:<20}", self.what);
            let _ = io::stdout().flush();
        }
    }

    fn end(&self, text: &str) {
        if self.shown {
            self.draw(1.0, text);
            println!();
        } else {
            println!("  expose {} ... {text}", self.what);
        }
    }
}

// ---------------------------------------------------------------------- what was recorded

/// Reads every image back, and makes pictures of those of the last exposure.
fn show(taken: &[Vec<PathBuf>], out: &Path) -> Result<(), String> {
    let began = clock::mono();
    for image in taken.iter().flatten() {
        frames::whole(image)?;
    }
    let count = taken.iter().map(Vec::len).sum::<usize>();
    println!("  {count} images read back, sums agree   {:.2} s", clock::mono().since(began).as_secs_f64());
    let pictures = taken.last().into_iter().flatten().map(|image| picture(image, out));
    let pictures = pictures.collect::<Result<Vec<PathBuf>, String>>()?;
    println!("\nFiles:");
    for image in taken.iter().flatten() {
        println!("  {}", image.display());
    }
    for picture in &pictures {
        println!("  {}", picture.display());
    }
    println!("  {}   (every call and procedure)", out.join("record/record.jsonl").display());
    println!("  {}", out.join("archon.log").display());
    Ok(())
}

fn picture(image: &Path, out: &Path) -> Result<PathBuf, String> {
    let name = image.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let path = out.join(format!("{}.png", name.split(".fits").next().unwrap_or("image")));
    std::fs::write(&path, quicklook::png(image, Stretch::Root)?)
        .map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}
