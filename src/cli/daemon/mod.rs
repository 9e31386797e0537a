//! The daemon of a node: reads the configuration, puts the role together, runs the loop.
//!
//! Exit status: 0 after an orderly stop, 1 when the node could not run, 2 when the configuration is
//! wrong (nothing was touched then).

pub mod archon;
pub mod dealer;
pub mod player;
pub(in crate::cli) mod surroundings;

use super::logging;
use crate::config::settings::{self, Endpoint, Role, Settings};
use crate::node::DeskConfig;
use crate::node::access::Access;
use crate::node::faces::{Port, Protocol};
use crate::node::work::Announce;
use crate::reactor::Address;
use crate::record::RecordFile;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Read when no `--config` is given and it exists.
const DEFAULT_CONFIG: &str = "/etc/appliance/appliance.toml";

/// Options of the daemon.
#[derive(Args, Debug)]
pub struct DaemonArgs {
    /// Run as the daemon of a node in this role (player, dealer-proxy, archon)
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Configuration file [default: /etc/appliance/appliance.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a configuration key, e.g. --set player.bank=BANKA (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Print `ready json=tcp://... ` on standard output when all ports are open
    #[arg(long)]
    announce: bool,
    /// Write the same line to this inherited file descriptor instead
    #[arg(long, value_name = "N")]
    ready_fd: Option<i32>,
}

impl DaemonArgs {
    /// Was any of them given?
    pub fn is_given(&self) -> bool {
        self.role.is_some() || self.config.is_some() || !self.overrides.is_empty()
    }
}

/// Why the daemon does not run.
#[derive(Debug)]
pub enum Refusal {
    /// The configuration is wrong.
    Config(String),
    /// The system does not give what is needed.
    System(String),
}

/// Runs the daemon.
pub fn run(args: DaemonArgs) -> ExitCode {
    logging::init();
    let read = read_settings(args.config.as_deref(), args.role.as_deref(), &args.overrides);
    let outcome = read.and_then(|settings| match settings.role {
        Role::Player => player::run(&args, &settings),
        Role::Archon => archon::run(&args, &settings),
        Role::DealerProxy => dealer::run(&args, &settings),
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(Refusal::Config(text)) => {
            log::error!("{text}");
            ExitCode::from(2)
        }
        Err(Refusal::System(text)) => {
            log::error!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// The configuration: the file, or the default one if it exists, with what the command line overrides.
pub(super) fn read_settings(
    config: Option<&Path>,
    role: Option<&str>,
    set: &[String],
) -> Result<Settings, Refusal> {
    let default = Path::new(DEFAULT_CONFIG);
    let path = config.or_else(|| default.exists().then_some(default));
    let text = match path {
        None => String::new(),
        Some(p) => {
            std::fs::read_to_string(p).map_err(|e| Refusal::Config(format!("{}: {e}", p.display())))?
        }
    };
    let mut overrides: Vec<String> = role.iter().map(|r| format!("role={r}")).collect();
    overrides.extend(set.iter().cloned());
    let name = path.map_or_else(|| "(no file)".to_owned(), |p| p.display().to_string());
    settings::load(&text, &name, &overrides).map_err(Refusal::Config)
}

// ---------------------------------------------------------------------- what every role has

/// Ports, rights and record. `default_json`: where JSON is spoken unless the configuration says; `private`: the
/// directory of a simulation, which keeps its record there.
fn desk(
    args: &DaemonArgs,
    settings: &Settings,
    default_json: &str,
    private: Option<&Path>,
) -> Result<DeskConfig, Refusal> {
    Ok(DeskConfig {
        ports: ports(settings, default_json)?,
        access: Access {
            allow: settings.listen.allow.clone(),
            allow_write: settings.listen.allow_write.clone(),
            own_uid: nix::unistd::Uid::effective().as_raw(),
        },
        execute_abandoned: settings.listen.execute_abandoned,
        lease: settings.listen.lease,
        record: Some(record_file(settings, private)),
        announce: args.ready_fd.map(Announce::Fd).or(args.announce.then_some(Announce::Stdout)),
    })
}

fn ports(settings: &Settings, default_json: &str) -> Result<Vec<Port>, Refusal> {
    let port = |protocol, text: &str| {
        let address = match text.parse::<Endpoint>().map_err(Refusal::Config)? {
            Endpoint::Tcp(a) => Address::Tcp(a),
            Endpoint::Unix(p) => Address::Unix(p),
        };
        let read_only = settings.listen.read_only.iter().any(|r| r == text);
        Ok(Port { protocol, address, read_only, player: None })
    };
    let json = if settings.listen.json.is_empty() { default_json } else { &settings.listen.json };
    let mut ports = vec![port(Protocol::Json, json)?];
    for text in &settings.listen.rpc {
        ports.push(port(Protocol::Binary, text)?);
    }
    for (player, text) in &settings.dealer.proxy_ports {
        ports.push(Port { player: Some(player.clone()), ..port(Protocol::Json, text)? });
    }
    Ok(ports)
}

fn record_file(settings: &Settings, private: Option<&Path>) -> RecordFile {
    let dir = if !settings.record.dir.as_os_str().is_empty() {
        settings.record.dir.clone()
    } else if let Some(private) = private {
        private.join("record")
    } else {
        state_dir().join(settings.role.name())
    };
    RecordFile {
        path: dir.join("record.jsonl"),
        max_bytes: settings.record.max_bytes,
        keep: settings.record.keep,
    }
}

/// `/var/lib/appliance` for root, `$XDG_STATE_HOME/appliance` or `~/.local/state/appliance` otherwise.
fn state_dir() -> PathBuf {
    if nix::unistd::Uid::effective().is_root() {
        return PathBuf::from("/var/lib/appliance");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home =
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".local/state");
    state.unwrap_or_else(home).join("appliance")
}
