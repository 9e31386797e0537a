//! The daemon as a dealer proxy.

use super::super::target::{HostPort, Target};
use super::player::read_dibas_at;
use super::{DaemonArgs, Refusal, desk, record_file};
use crate::config::dibas::Dibas;
use crate::config::settings::{self, Settings};
use crate::dealer::link::Protocol;
use crate::dealer::messages::Index;
use crate::dealer::roster::Roster;
use crate::dealer::rules::{HealthGate, Rules};
use crate::node::dealer::work;
use crate::node::dialing::Place;
use crate::node::{DealerNode, DealerNodeConfig};
use crate::reactor::{self, Options};
use crate::record::RecordFile;
use crate::sys::clock;
use std::collections::BTreeMap;

/// JSON is spoken here unless the configuration says otherwise.
const DEFAULT_JSON: &str = "tcp://127.0.0.1:6668";

/// Runs the role until it is stopped; the exit status.
pub fn run(args: &DaemonArgs, settings: &Settings) -> Result<u8, Refusal> {
    let d = &settings.dealer;
    let dibas = read_dibas_at(settings, &d.dibas_conf, d.players.is_empty())?;
    let places = places(settings, dibas.as_ref())?;
    let names: Vec<String> = places.iter().map(|(name, ..)| name.clone()).collect();
    let roster = Roster::new(&names, &d.groups, &d.default_active, clock::now())
        .map_err(|why| Refusal::Config(format!("dealer: {why}")))?;
    if let Some(name) = d.proxy_ports.keys().find(|name| !names.contains(name)) {
        return Err(Refusal::Config(format!(
            "dealer.proxy_ports: there is no player {name}; there are {}",
            names.join(", ")
        )));
    }
    let name = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let state_file = record_file(settings, None).path.with_file_name("dealer.state");
    let config = DealerNodeConfig {
        desk: desk(args, settings, DEFAULT_JSON, None)?,
        name: name.clone(),
        places,
        resolve: settings.resolve.iter().map(|(n, ip)| (n.clone(), *ip)).collect(),
        alias: d.alias,
        journal: Some(journal(settings)),
        state_file: Some(state_file.clone()),
    };
    log::info!("dealer proxy for {}", names.join(", "));
    let rules = Rules { name, ..rules(settings, dibas.as_ref(), &roster) };
    let mut node = DealerNode::new(config, roster, rules, clock::now());
    if let Some(saved) = work::saved(&state_file) {
        node.restore(&saved, clock::now());
    }
    reactor::run(&mut node, Options::default())
        .map_err(|e| Refusal::System(format!("the loop cannot run: {e}")))
}

/// The players of the configuration, else those of dibas.conf where their banks are.
fn places(settings: &Settings, dibas: Option<&Dibas>) -> Result<Vec<(String, Place, Protocol)>, Refusal> {
    let d = &settings.dealer;
    if !d.players.is_empty() {
        let place = |(name, text): (&String, &String)| {
            let target: Target =
                text.parse().map_err(|e| Refusal::Config(format!("dealer.players.{name}: {e}")))?;
            check_name(name)?;
            let (place, protocol) = place_of(&target);
            Ok((name.clone(), place, protocol))
        };
        return d.players.iter().map(place).collect();
    }
    let names = dibas.map(|d| d.dealer_players.as_slice()).unwrap_or_default();
    if names.is_empty() {
        return Err(Refusal::Config(
            "no players: write [dealer] players = { BANKA = \"tcp://host:6667\", .. }, or [DEALER] players in dibas.conf"
                .into(),
        ));
    }
    let banks = dibas.map(|d| &d.banks);
    let place = |name: &String| {
        check_name(name)?;
        let bank = banks.and_then(|banks| banks.iter().find(|b| b.name == *name));
        let bank = bank.ok_or_else(|| {
            Refusal::Config(format!("[DEALER] players names {name}, but dibas.conf has no section [{name}]"))
        })?;
        let place = Place::Tcp { host: bank.hpc_host.clone(), port: bank.player_port };
        Ok((name.clone(), place, Protocol::Json))
    };
    names.iter().map(place).collect()
}

/// A player's name becomes an interface.
fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match plain && !["bank", "dealer", "rpc"].contains(&name) {
        true => Ok(()),
        false => Err(Refusal::Config(format!(
            "dealer: '{name}' cannot be the name of a player: letters, digits and _ only, and not bank, dealer or rpc"
        ))),
    }
}

fn place_of(target: &Target) -> (Place, Protocol) {
    let tcp = |at: &HostPort| Place::Tcp { host: at.host().to_owned(), port: at.port() };
    match target {
        Target::Json(at) => (tcp(at), Protocol::Json),
        Target::Rpc(at) => (tcp(at), Protocol::Binary),
        Target::Unix(path) => (Place::Unix(path.clone()), Protocol::Binary),
    }
}

fn rules(settings: &Settings, dibas: Option<&Dibas>, roster: &Roster) -> Rules {
    let master = |mode: &crate::config::dibas::Mode| -> Option<(String, Index)> {
        let cdd = mode.cdd.as_ref()?;
        Some((mode.name.clone(), roster.find(&cdd.master)?))
    };
    let masters: BTreeMap<String, Index> =
        dibas.map(|d| d.modes.iter().filter_map(master).collect()).unwrap_or_default();
    Rules {
        masters,
        health: match settings.dealer.health {
            settings::Health::Off => HealthGate::Off,
            settings::Health::Warn => HealthGate::Warn,
            settings::Health::Refuse => HealthGate::Refuse,
        },
        reapply: settings.dealer.reapply,
        ..Rules::default()
    }
}

fn journal(settings: &Settings) -> RecordFile {
    let record = record_file(settings, None);
    let path = match settings.dealer.journal.as_os_str().is_empty() {
        true => record.path.with_file_name("scans.jsonl"),
        false => settings.dealer.journal.clone(),
    };
    RecordFile { path, ..record }
}
