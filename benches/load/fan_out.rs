//! One read through the proxy to one player, and the same to many: what each further player costs.
//!
//! No two reads are the same, so that all of them reach the players; last, what a read costs that is shared.

use super::figures::{Figures, Report, in_turn};
use super::ping_pong::measure;
use super::rpc_caller::RpcCaller;
use super::server::Server;
use super::{ANSWER_MAX, socket_address};
use appliance::value::Value;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Players that are processes of their own, each with its own board.
const PROCESSES: usize = 8;
/// Players that are simulated by one process.
const SIMULATED: usize = 64;
/// The part of them that is asked first.
const FEW: usize = 8;
/// Between two looks whether all players are connected.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Players as processes; many simulated ones, over the binary RPC and over JSON.
pub fn figures(report: &mut Report, binary: &Path, span: Duration) -> io::Result<()> {
    let players: Vec<Server> = (0..PROCESSES).map(|_| player(binary)).collect::<io::Result<_>>()?;
    let places = players.iter().enumerate().map(|(n, p)| Ok((format!("BANK{n}"), rpc_of(&p.ready)?)));
    let places: Vec<(String, String)> = places.collect::<io::Result<_>>()?;
    fan_outs(report, binary, &places, "players (processes)", &[(PROCESSES, "<= 2")], span)?;
    drop(players);

    let targets = [(FEW, "<= 2"), (SIMULATED, "<= 6")];
    for (flag, kind) in [(None, "simulated players"), (Some("--json"), "simulated players that speak JSON")] {
        let mut command = Command::new(binary);
        command.args(["sim", "players", "--announce", "--count", &SIMULATED.to_string()]).args(flag);
        let players = Server::start(&mut command)?;
        let place = |text: &str| text.split_once('=').map(|(name, at)| (name.to_owned(), at.to_owned()));
        let places: Vec<(String, String)> = players.ready.split(' ').filter_map(place).collect();
        fan_outs(report, binary, &places, kind, &targets, span)?;
    }
    Ok(())
}

fn player(binary: &Path) -> io::Result<Server> {
    Server::start(
        Command::new(binary)
            .args(["--role", "player", "--announce"])
            .args(["--set", "player.simulate=true", "--set", "player.bank=BANKA"])
            .args(["--set", "listen.json=tcp://127.0.0.1:0", "--set", "listen.rpc=tcp://127.0.0.1:0"]),
    )
}

fn rpc_of(ready: &str) -> io::Result<String> {
    let found = ready.split(' ').find_map(|face| face.strip_prefix("rpc="));
    found.map(str::to_owned).ok_or_else(|| io::Error::other(format!("no binary RPC in '{ready}'")))
}

/// A proxy for these players, and reads of one of them, of some, of all.
fn fan_outs(
    report: &mut Report,
    binary: &Path,
    places: &[(String, String)],
    kind: &str,
    targets: &[(usize, &str)],
    span: Duration,
) -> io::Result<()> {
    let mut command = Command::new(binary);
    command.args(["--role", "dealer-proxy", "--announce"]);
    command.args(["--set", "listen.json=tcp://127.0.0.1:0", "--set", "listen.rpc=tcp://127.0.0.1:0"]);
    for (name, at) in places {
        command.args(["--set", &format!("dealer.players.{name}={at}")]);
    }
    let proxy = Server::start(&mut command)?;
    let at = rpc_of(&proxy.ready)?;
    let (mut alone, mut all) = (Bench::connect(&at, "ALONE")?, Bench::connect(&at, "ALL")?);

    let first = &places[0].0;
    for (count, target) in targets {
        let names: Vec<Value> = places[..*count].iter().map(|(name, _)| name.as_str().into()).collect();
        let names = Value::List(names);
        let [many, one] = in_turn([&mut || measure(span, || all.read("dealer", Some(&names))), &mut || {
            measure(span, || alone.read(first, None))
        }])?;
        row(report, &format!("a read of {count} {kind}"), &many, "of one", &one, target);
    }
    let one = measure(span, || alone.read(first, None))?;
    let shared = measure(span, || all.read_again())?;
    row(
        report,
        &format!("a shared read of {} {kind}", places.len()),
        &shared,
        "of one, not shared",
        &one,
        "",
    );
    Ok(())
}

fn row(report: &mut Report, what: &str, ours: &Figures, partner: &str, one: &Figures, target: &str) {
    let said = |f: &Figures| format!("p50 {:.0} us, p99 {:.0} us", f.at(0.50), f.at(0.99));
    let ratio = format!("{:.2}", ours.at(0.50) / one.at(0.50));
    report.row(what, said(ours), &format!("{partner}: {}", said(one)), &ratio, target);
}

/// A client of the proxy.
struct Bench {
    caller: RpcCaller,
    /// Begins the keys it reads: nobody else's.
    mark: &'static str,
    reads: u64,
}

impl Bench {
    /// Connects, and waits until the proxy has all its players.
    fn connect(proxy: &str, mark: &'static str) -> io::Result<Bench> {
        let mut caller = RpcCaller::connect(socket_address(proxy)?)?;
        let until = Instant::now() + ANSWER_MAX;
        loop {
            let shown = caller.call("dealer", "snapshot", &[])?;
            let Some(Value::Map(players)) = shown.get("players") else {
                return Err(io::Error::other(format!("a snapshot without players: {shown}")));
            };
            let up = |(_, p): &(String, Value)| p.get("connected") == Some(&Value::Bool(true));
            if players.iter().all(up) {
                return Ok(Bench { caller, mark, reads: 0 });
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("not all players are connected: {shown}")));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A read that is like none before.
    fn read(&mut self, interface: &str, players: Option<&Value>) -> io::Result<()> {
        self.reads += 1;
        let keys = ("keys", Value::Str(format!("{}{}", self.mark, self.reads)));
        let reply = match players {
            None => self.caller.call(interface, "get_status", &[keys])?,
            Some(names) => self.caller.call(interface, "get_status", &[keys, ("players", names.clone())])?,
        };
        match (players, &reply) {
            (Some(Value::List(names)), Value::Map(entries)) if entries.len() == names.len() => Ok(()),
            (None, Value::Null) => Ok(()),
            _ => Err(io::Error::other(format!("{interface}.get_status: {reply}"))),
        }
    }

    /// The same again.
    fn read_again(&mut self) -> io::Result<()> {
        self.caller.call("dealer", "get_status", &[("keys", "AGAIN".into())]).map(drop)
    }
}
