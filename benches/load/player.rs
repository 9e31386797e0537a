//! A simulated player at work: how long reads take meanwhile, and how late the arm phase begins.

use super::ANSWER_MAX;
use super::figures::{Figures, Report};
use super::zmtp;
use appliance::cli::client::Client;
use appliance::cli::target::Target;
use appliance::config::dibas::{Dibas, PhaseStep};
use appliance::value::Value;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the readers ask for.
const READS: [&str; 3] = ["get_mode", "player_state", "get_status"];
/// Clients that load the player while it arms.
const CLIENTS: usize = 8;
/// The mode that is set, and the configuration the player has it from, but for its arm delay.
const MODE: &str = "MODE1";
const DIBAS_CONF: &str = include_str!("../../config/dibas.example.conf");
/// Mode changes of which the median counts.
const MODE_CHANGES: usize = 11;
/// Between two looks at the player's state.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Reads while the mode is set and while scans are started; arm lateness under load.
pub fn during_jobs(report: &mut Report, target: &str, starts: usize) -> io::Result<()> {
    let mut operator = Operator::connect(target)?;
    operator.await_state(|s| s.get("roach").and_then(Value::as_str) == Some("connected"))?;
    let set_mode = || vec![MODE.into(), Value::Null, Value::Bool(true)];
    operator.call("set_mode", set_mode())?;
    operator.call("prepare", vec![])?;

    let waits = waits_of_the_procedure()?;
    let mut beyond = Vec::new();
    for _ in 0..MODE_CHANGES {
        let began = Instant::now();
        operator.call("set_mode", set_mode())?;
        beyond.push(began.elapsed().saturating_sub(waits));
    }
    let beyond = Figures::new(beyond, Duration::from_secs(1));
    let what = format!(
        "`set_mode({MODE})` beyond the {} s its procedure waits for the hardware; programs stopped and started",
        waits.as_secs_f64()
    );
    report.latencies(&what, &beyond, "p50 < 100000 us");

    for clients in [1, CLIENTS] {
        let (reads, done) = during(target, clients, || operator.call("set_mode", set_mode()).map(drop))?;
        done?;
        let target = if clients == 1 { "p99 < 1000 us" } else { "" };
        report.latencies(&format!("read during `set_mode`, {clients} client(s)"), &reads, target);
    }
    operator.call("prepare", vec![])?;
    let (reads, done) = during(target, 1, || operator.start_and_stop())?;
    done?;
    report.latencies("read during `start`, 1 client", &reads, "p99 < 1000 us");

    let series = || (0..starts).map(|_| operator.start_and_stop()).collect::<io::Result<Vec<_>>>();
    let (reads, late) = during(target, CLIENTS, series)?;
    report.latencies(&format!("read during `start`, {CLIENTS} clients"), &reads, "");
    let late = Figures::new(late?, Duration::from_secs(1));
    let what =
        format!("first arm write after its time, {CLIENTS} clients loading ({:.0} reads/s)", reads.rate());
    report.latencies(&what, &late, "p99 < 1000 us");
    Ok(())
}

/// What `set_mode` waits because the configuration says that the hardware needs it.
fn waits_of_the_procedure() -> io::Result<Duration> {
    let dibas =
        Dibas::load(DIBAS_CONF, "dibas.example.conf").map_err(|f| io::Error::other(format!("{f:?}")))?;
    let mode = dibas.mode(MODE).ok_or_else(|| io::Error::other("the example has no such mode"))?;
    let waits = mode.reset_phase.iter().map(|step| match step {
        PhaseStep::Wait(d) => *d,
        PhaseStep::Write { .. } => Duration::ZERO,
    });
    Ok(waits.sum())
}

/// Reads on so many connections, on a thread of their own, until `job` has come to its end.
fn during<T>(target: &str, connections: usize, job: impl FnOnce() -> T) -> io::Result<(Figures, T)> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = || zmtp::load(target, connections, &READS, |_| !done.load(Ordering::Acquire));
        let readers = scope.spawn(reading);
        let result = job();
        done.store(true, Ordering::Release);
        let figures = readers.join().map_err(|_| io::Error::other("the reading thread panicked"))?;
        Ok((figures?, result))
    })
}

/// The client that changes things.
struct Operator {
    client: Client,
}

impl Operator {
    fn connect(target: &str) -> io::Result<Operator> {
        let target: Target = target.parse().map_err(|e| io::Error::other(format!("{target}: {e}")))?;
        let client = Client::connect(&target, ANSWER_MAX).map_err(|e| io::Error::other(e.message))?;
        Ok(Operator { client })
    }

    /// A call; a reply `[false, text]` is a failure, too.
    fn call(&mut self, method: &str, args: Vec<Value>) -> io::Result<Value> {
        match self.client.call("bank", method, args, vec![]) {
            Ok(Value::List(l)) if l.first() == Some(&Value::Bool(false)) => {
                Err(io::Error::other(format!("{method}: {}", Value::List(l))))
            }
            Ok(value) => Ok(value),
            Err(e) => Err(io::Error::other(format!("{method}: {}", e.message))),
        }
    }

    fn await_state(&mut self, wanted: impl Fn(&Value) -> bool) -> io::Result<()> {
        let until = Instant::now() + ANSWER_MAX;
        loop {
            let state = self.call("player_state", vec![])?;
            if wanted(&state) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("the player does not come along: {state}")));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A start at the earliest time, ended as soon as it is armed: how late its first write was.
    fn start_and_stop(&mut self) -> io::Result<Duration> {
        self.await_state(|s| s.get("state").and_then(Value::as_str) == Some("READY"))?;
        self.call("start", vec![])?;
        let state = self.call("player_state", vec![])?;
        let late = state.get("scan").and_then(|s| s.get("arm_late_us")).and_then(Value::as_f64);
        let late = late.ok_or_else(|| io::Error::other(format!("no arm_late_us in {state}")))?;
        self.call("stop", vec![])?;
        Ok(Duration::from_secs_f64(late.max(0.0) / 1e6))
    }
}
