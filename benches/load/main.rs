//! Load generators and stop watches. `scripts/bench` starts the servers and the partners.
//!
//! ```text
//! cargo bench --bench load -- [--role player | dealer | archon]
//!                             [--json OURS PYZMQ LIBZMQ] [--rpc OURS] [--player OURS]
//!                             [--python PYTHON] [--binary APPLIANCE]
//!                             BENCH_SECONDS=5 BENCH_STARTS=12      seconds of each measurement
//! ```
//!
//! Not a judge: it prints figures and, last, a table. Whatever has a partner runs against it in the
//! same run, because only the ratio outlives the machine.

mod ccd;
mod fan_out;
mod figures;
mod flush;
mod frame;
mod frames;
mod ping_pong;
mod player;
mod process;
mod rpc_caller;
mod server;
mod status;
mod zmtp;

use figures::{ROUNDS, Report, in_turn};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// No server takes this long for one call.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Calls before the clock starts.
const WARM_UP: usize = 200;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too: then only see that it works.
    let measured = args.iter().any(|a| a == "--bench");
    let seconds = if measured { setting("BENCH_SECONDS").unwrap_or(5.0) } else { 0.05 };
    let span = Duration::from_secs_f64(seconds) / ROUNDS;
    let mut report = Report::default();

    // One role, or all.
    let role = after(&args, "--role").map(|[role]| role);
    let wanted = |name| role.is_none_or(|role| role == name);
    if wanted("player") {
        player(&mut report, &args, span)?;
    }
    if wanted("dealer")
        && let Some([binary]) = after(&args, "--binary")
    {
        fan_out::figures(&mut report, Path::new(binary), span)?;
    }
    if wanted("archon") {
        archon(&mut report, &args, span)?;
    }
    println!("\n{}", report.table());
    Ok(())
}

/// The spectrometer's node, and what every role is built on.
fn player(report: &mut Report, args: &[String], span: Duration) -> io::Result<()> {
    ping_pong::echo(report, span)?;
    // First: afterwards a mode is set, and reads have something to read.
    if let Some([ours]) = after(args, "--player") {
        let starts = setting("BENCH_STARTS").map_or(12, |n| n as usize);
        player::during_jobs(report, ours, starts)?;
    }
    if let Some([ours, pyzmq, libzmq]) = after(args, "--json") {
        json(report, [ours, pyzmq, libzmq], span)?;
    }
    if let Some([ours]) = after(args, "--rpc") {
        ping_pong::rpc(report, ours, span)?;
    }
    flush::thousand_registers(report, python(args))?;
    status::one_key_of_sixty(report, span)?;
    if let Some([binary]) = after(args, "--binary") {
        process::figures(report, Path::new(binary))?;
    }
    Ok(())
}

/// The CCD host: its parts, and, with a binary, all of it.
fn archon(report: &mut Report, args: &[String], span: Duration) -> io::Result<()> {
    frame::fetch(report, span)?;
    frames::to_images(report, span)?;
    if let Some([binary]) = after(args, "--binary") {
        ccd::figures(report, Path::new(binary), python(args), span)?;
    }
    Ok(())
}

fn python(args: &[String]) -> Option<&Path> {
    after(args, "--python").map(|[python]| Path::new(python))
}

/// The same calls to three servers.
fn json(report: &mut Report, [ours, pyzmq, libzmq]: [&str; 3], span: Duration) -> io::Result<()> {
    for connections in [1, 8] {
        let run = |target| zmtp::load(target, connections, &["scan_status"], |passed| passed < span);
        let [figures, with_json, without] =
            in_turn([&mut || run(ours), &mut || run(pyzmq), &mut || run(libzmq)])?;
        let what = format!("JSON `scan_status`, {connections} client(s)");
        report.compare(&what, &figures, "pyzmq server", &with_json, "");
        report.compare(&what, &figures, "libzmq alone, no JSON", &without, ">= 1.5");
    }
    Ok(())
}

/// The `N` values that follow a flag.
fn after<'a, const N: usize>(args: &'a [String], flag: &str) -> Option<[&'a str; N]> {
    let at = args.iter().position(|a| a == flag)? + 1;
    let values: Vec<&str> = args.get(at..at + N)?.iter().map(String::as_str).collect();
    values.try_into().ok()
}

fn setting(name: &str) -> Option<f64> {
    std::env::var(name).ok()?.parse().ok()
}

fn socket_address(target: &str) -> io::Result<SocketAddr> {
    let at = target.split_once("://").map_or(target, |(_, at)| at);
    at.parse().map_err(|e| io::Error::other(format!("{target}: {e}")))
}
