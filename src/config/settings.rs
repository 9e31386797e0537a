//! Our own configuration, `appliance.toml`: every key with its type and default.
//!
//! Precedence: `--set key=value` over the file over `dibas.conf` over the defaults here. Unknown keys
//! are errors, with line and column; nothing falls back to a default because of a typo.

mod archon;
mod dealer;
mod programs;

pub use archon::{Archon, Hook, OnExit, StartMode, Timeouts};
pub use dealer::{Dealer, Health};
pub use programs::{BufferFamily, BufferKind, BufferLayout, BufferSize, DataBuffers, ProgramStart};

use super::cidr::Cidr;
use super::suggest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use toml::{Table, Value};

/// What a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// HPC node of a radio spectrometer.
    #[default]
    Player,
    /// One endpoint for many players.
    DealerProxy,
    /// CCD host.
    Archon,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Role::Player => "player",
            Role::DealerProxy => "dealer-proxy",
            Role::Archon => "archon",
        }
    }
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Role of this node.
    pub role: Role,
    /// Ports and who may use them.
    pub listen: Listen,
    /// The role `player`.
    pub player: Player,
    /// The role `dealer-proxy`.
    pub dealer: Dealer,
    /// The role `archon`.
    pub archon: Archon,
    /// Status memory.
    pub shm: Shm,
    /// The append-only record.
    pub record: Record,
    /// Host names of `dibas.conf` with addresses, looked at before DNS.
    pub resolve: BTreeMap<String, Ipv4Addr>,
}

/// Ports and who may use them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// JSON over ZeroMQ: `tcp://address:port`; empty: loopback and the role's port.
    pub json: String,
    /// Binary RPC: `unix:/path` or `tcp://address:port`.
    pub rpc: Vec<String>,
    /// Networks that may connect and read. Loopback always may.
    pub allow: Vec<Cidr>,
    /// Networks that may also change things. Loopback always may.
    pub allow_write: Vec<Cidr>,
    /// Ports (as written in `json` and `rpc`) on which nothing can be changed.
    pub read_only: Vec<String>,
    /// Execute writes whose client has gone, as the reference does.
    pub execute_abandoned: bool,
    /// Whom a control lease (`rpc.acquire`) binds.
    pub lease: LeaseRule,
}

/// Whom a control lease (`rpc.acquire`) binds. Reads and `stop` are always allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseRule {
    /// Clients that use leases themselves; old clients know nothing of them and go on as ever.
    #[default]
    Cooperative,
    /// Everybody: while one client has control, no other changes anything.
    Binding,
    /// Everybody, and nothing is changed without a lease.
    Required,
}

impl LeaseRule {
    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            LeaseRule::Cooperative => "cooperative",
            LeaseRule::Binding => "binding",
            LeaseRule::Required => "required",
        }
    }
}

/// Which DAQ program records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daq {
    /// The site's own (`hpc_program` of the mode).
    #[default]
    Site,
    /// `appliance daq`.
    Builtin,
    /// `appliance sim daq`, which records nothing.
    Simulated,
}

/// What is done when data do not flow during a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// Say so; the verdict of the scan tells of it.
    #[default]
    Warn,
    /// End the scan; lost packets alone only warn.
    Stop,
}

/// The role `player`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Player {
    /// Bank section; empty: the one whose `hpchost` is this host.
    pub bank: String,
    /// The site's configuration file; empty: `$DIBAS_DIR/etc/config/dibas.conf`.
    pub dibas_conf: PathBuf,
    /// Program root; empty: `$DIBAS_DIR`.
    pub dibas_dir: PathBuf,
    /// Data root; empty: `$DIBAS_DATA`, else `/tmp`.
    pub data_root: PathBuf,
    /// Bring our own ROACH, packets and DAQ program; touch nothing outside.
    pub simulate: bool,
    /// DAQ programs outlive this daemon: a restart or a crash does not end a scan. Each has a keeper process.
    pub keep: bool,
    /// With `simulate`: every n-th part of the data rate.
    pub rate_divisor: u32,
    /// With `simulate`: seed of the simulated data.
    pub seed: u64,
    /// Which DAQ program records.
    pub daq: Daq,
    /// Options for `appliance sim daq`, where that is used.
    pub sim_daq: Vec<String>,
    /// The reference's arithmetic, off by one tick now and then.
    pub reference_rounding: bool,
    /// `set_mode` of the current mode always reloads.
    pub set_mode_always_reloads: bool,
    /// Empty the status memory when the program family changes.
    pub clear_status_on_mode_change: bool,
    /// How the board is reached: `katcp` (as `dibas.conf` says), or `mmap:DEVICE?map=FILE...`.
    pub fpga: String,
    /// Time limit of a KATCP request, s.
    pub katcp_timeout_s: f64,
    /// Time limit of programming the FPGA, s.
    pub katcp_program_timeout_s: f64,
    /// Refuse to start a scan by a clock that is not synchronised, or may be wrong by more than 100 ms.
    pub require_clock: bool,
    /// What is done when data do not flow during a scan.
    pub guard: Guard,
    /// Less free space than this where the data go is an alarm during a scan, GB; 0: not looked at.
    pub disk_free_min_gb: f64,
    /// Who makes the data buffers of the site's programs.
    pub data_buffers: DataBuffers,
    /// Data buffers of programs beside those of VEGAS and GUPPI, or in their place.
    pub data_buffer_layouts: Vec<BufferLayout>,
    /// What programs are given when they start, by their file names.
    pub program: BTreeMap<String, ProgramStart>,
    /// Refuse to start a scan whose data would not fit on the disk.
    pub require_space: bool,
    /// Directory of this host with the gateware's files (`bof_file` of the modes), summed for the proof of a scan;
    /// empty: it has none.
    pub gateware_dir: PathBuf,
}

impl Default for Player {
    fn default() -> Self {
        Player {
            bank: String::new(),
            dibas_conf: PathBuf::new(),
            dibas_dir: PathBuf::new(),
            data_root: PathBuf::new(),
            simulate: false,
            keep: true,
            rate_divisor: 1,
            seed: 1,
            daq: Daq::Site,
            sim_daq: Vec::new(),
            reference_rounding: false,
            set_mode_always_reloads: false,
            clear_status_on_mode_change: true,
            fpga: "katcp".into(),
            katcp_timeout_s: 5.0,
            katcp_program_timeout_s: 30.0,
            require_clock: true,
            guard: Guard::Warn,
            disk_free_min_gb: 1.0,
            data_buffers: DataBuffers::Auto,
            data_buffer_layouts: Vec::new(),
            program: BTreeMap::new(),
            require_space: true,
            gateware_dir: PathBuf::new(),
        }
    }
}

/// Text formatting of status memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// hashpipe 1.x; the rule of VEGAS and FLAG nodes.
    #[default]
    Hashpipe,
    /// guppi_daq: fixed key, legacy number columns.
    Guppi,
}

/// Status memory.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shm {
    /// Layout and key rule.
    pub dialect: Dialect,
    /// File the keys are derived from; empty: `$HASHPIPE_KEYFILE`, `$HOME`, `/tmp` as hashpipe does.
    pub keyfile: PathBuf,
    /// A lock held this long by nobody alive is repaired, s.
    pub stale_lock_s: f64,
    /// Repair such locks (otherwise every access fails until somebody does).
    pub repair_stale_lock: bool,
}

impl Default for Shm {
    fn default() -> Self {
        Shm {
            dialect: Dialect::Hashpipe,
            keyfile: PathBuf::new(),
            stale_lock_s: 2.0,
            repair_stale_lock: true,
        }
    }
}

/// The append-only record.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Directory of `record.jsonl`; empty: `/var/lib/appliance/<role>` for root, `$XDG_STATE_HOME/appliance/<role>` otherwise.
    pub dir: PathBuf,
    /// A file larger than this is put aside, bytes.
    pub max_bytes: u64,
    /// How many are kept beside the current one.
    pub keep: u32,
}

impl Default for Record {
    fn default() -> Self {
        Record { dir: PathBuf::new(), max_bytes: 64 << 20, keep: 8 }
    }
}

/// Reads the text of a configuration file (may be empty) and the overrides `key=value`.
///
/// The error is one text: file, line and column, the key, and what to write instead.
pub fn load(text: &str, path: &str, overrides: &[String]) -> Result<Settings, String> {
    let mut table: Table = toml::from_str(text).map_err(|e| format!("{path}: {e}"))?;
    // Typed reading of the file alone, so that errors carry its lines.
    toml::from_str::<Settings>(text).map_err(|e| format!("{path}: {}{}", e, hint(&e.to_string())))?;
    for item in overrides {
        override_key(&mut table, item)?;
    }
    let settings: Settings = Value::Table(table)
        .try_into()
        .map_err(|e: toml::de::Error| format!("--set: {}{}", e.message(), hint(e.message())))?;
    check(&settings)?;
    Ok(settings)
}

/// For `unknown field` messages: the nearest key there is.
fn hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.contains("unknown field") {
        return String::new();
    }
    let Some(wrong) = quoted.next() else { return String::new() };
    let known: Vec<&str> = quoted.collect();
    suggest::hint(wrong, known.iter().copied())
}

fn override_key(table: &mut Table, item: &str) -> Result<(), String> {
    let (key, text) = item
        .split_once('=')
        .ok_or_else(|| format!("--set {item}: write key=value, for example player.bank=BANKA"))?;
    let mut names: Vec<&str> = key.trim().split('.').collect();
    let last = names.pop().unwrap_or_default();
    let mut at = table;
    for name in names {
        let next = at.entry(name).or_insert_with(|| Value::Table(Table::new()));
        at =
            next.as_table_mut().ok_or_else(|| format!("--set {item}: '{name}' is a value, not a section"))?;
    }
    at.insert(last.to_owned(), override_value(key.trim(), text.trim()));
    Ok(())
}

/// Text is text where the key wants text; otherwise it is read as TOML (`true`, `5`, `["a"]`).
fn override_value(key: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    if TEXT_KEYS.contains(&key) || TEXT_TABLES.iter().any(|table| key.starts_with(table)) {
        return as_text();
    }
    let parsed = toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
    match parsed {
        Some(v) => v,
        None if LIST_KEYS.contains(&key) => {
            Value::Array(text.split(',').map(|s| Value::String(s.trim().to_owned())).collect())
        }
        None => as_text(),
    }
}

/// Tables of names with texts.
const TEXT_TABLES: &[&str] = &["resolve.", "dealer.players.", "dealer.proxy_ports."];

const TEXT_KEYS: &[&str] = &[
    "role",
    "listen.json",
    "listen.lease",
    "player.bank",
    "player.dibas_conf",
    "player.dibas_dir",
    "player.data_root",
    "player.daq",
    "player.guard",
    "player.fpga",
    "dealer.dibas_conf",
    "dealer.health",
    "dealer.journal",
    "player.data_buffers",
    "archon.config",
    "archon.limits",
    "archon.start_mode",
    "archon.on_exit",
    "archon.data_dir",
    "shm.dialect",
    "shm.keyfile",
    "record.dir",
];
const LIST_KEYS: &[&str] = &[
    "listen.rpc",
    "listen.allow",
    "listen.allow_write",
    "listen.read_only",
    "player.sim_daq",
    "archon.roots",
    "dealer.default_active",
];

fn check(s: &Settings) -> Result<(), String> {
    let positive = [
        ("player.katcp_timeout_s", s.player.katcp_timeout_s),
        ("player.katcp_program_timeout_s", s.player.katcp_program_timeout_s),
        ("shm.stale_lock_s", s.shm.stale_lock_s),
    ];
    for (key, value) in positive {
        if !(value.is_finite() && value > 0.0) {
            return Err(format!("{key} = {value}: must be a positive number of seconds"));
        }
    }
    if !(s.player.disk_free_min_gb.is_finite() && s.player.disk_free_min_gb >= 0.0) {
        return Err(format!("player.disk_free_min_gb = {}: must be 0 or more GB", s.player.disk_free_min_gb));
    }
    if s.player.fpga != "katcp" && !s.player.fpga.starts_with("mmap:") {
        return Err(format!(
            "player.fpga = '{}': write \"katcp\" or \"mmap:DEVICE?map=FILE\" (docs/fpga.md)",
            s.player.fpga
        ));
    }
    if s.player.rate_divisor == 0 {
        return Err("player.rate_divisor = 0: must be at least 1".into());
    }
    programs::check(&s.player.program, &s.player.data_buffer_layouts)?;
    archon::check(&s.archon)?;
    let ports = std::iter::once(&s.listen.json).filter(|p| !p.is_empty()).chain(&s.listen.rpc);
    let ports = ports.chain(s.dealer.proxy_ports.values());
    for port in ports {
        let endpoint: Endpoint = port.parse()?;
        if endpoint.reaches_out() && s.listen.allow.is_empty() && s.listen.allow_write.is_empty() {
            return Err(format!(
                "listen: {port} is reachable from the network, but nobody is allowed to use it. Name the networks:\n  \
                 [listen]\n  allow = [\"10.16.0.0/12\"]         # may read\n  allow_write = [\"10.16.96.0/24\"]   # may also change things"
            ));
        }
    }
    Ok(())
}

/// Where a port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `tcp://address:port`
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
}

impl Endpoint {
    /// Can somebody from another host connect?
    pub fn reaches_out(&self) -> bool {
        match self {
            Endpoint::Tcp(a) => match a.ip() {
                IpAddr::V4(ip) => !ip.is_loopback(),
                IpAddr::V6(ip) => !ip.is_loopback(),
            },
            Endpoint::Unix(_) => false,
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Endpoint, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Endpoint::Unix(path.into()));
        }
        let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("rpc://"));
        address.and_then(|a| a.parse().ok()).map(Endpoint::Tcp).ok_or_else(|| {
            format!("listen: '{text}' is no address; write tcp://127.0.0.1:6667 (numeric address) or unix:/run/appliance/player/rpc.sock")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn over(items: &[&str]) -> Result<Settings, String> {
        let items: Vec<String> = items.iter().map(|s| (*s).to_owned()).collect();
        load("", "appliance.toml", &items)
    }

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let text = include_str!("../../config/appliance.toml");
        assert_eq!(load(text, "appliance.toml", &[]), Ok(Settings::default()));
    }

    #[test]
    fn every_key_of_the_shipped_file_is_shown() {
        // A key that is missing from the file would not be noticed by the test above.
        let text = include_str!("../../config/appliance.toml");
        let code =
            |source: &'static str| source.split("#[cfg(test)]").next().expect("the code before the tests");
        let sources = [
            include_str!("settings.rs"),
            include_str!("settings/archon.rs"),
            include_str!("settings/dealer.rs"),
            include_str!("settings/programs.rs"),
        ];
        for line in sources.into_iter().flat_map(|source| code(source).lines()) {
            if let Some(field) = line.trim().strip_prefix("pub ")
                && let Some((name, _)) = field.split_once(": ")
                && !name.contains(' ')
            {
                let shown = text.lines().any(|l| {
                    let l = l.trim_start_matches(['#', ' ']);
                    let section = l.split(']').next().and_then(|h| h.strip_prefix('['));
                    l.starts_with(&format!("{name} ="))
                        || section.is_some_and(|s| s.rsplit('.').next() == Some(name))
                        // Members of the tables in a list.
                        || l.split_once('#').is_some_and(|(_, example)| example.contains(&format!("{name} = ")))
                });
                assert!(shown, "config/appliance.toml does not show '{name}'");
            }
        }
    }

    #[test]
    fn overrides_are_typed_by_the_key() {
        let s = over(&[
            "player.bank=BANKA",
            "player.simulate=true",
            "listen.json=tcp://127.0.0.1:0",
            "listen.rpc=unix:/tmp/x,tcp://127.0.0.1:1",
            "resolve.hpc1=127.0.0.1",
            "player.bank=12",
        ])
        .expect("good");
        assert_eq!((s.player.bank.as_str(), s.player.simulate), ("12", true));
        assert_eq!(s.listen.rpc.len(), 2);
        assert_eq!(s.resolve["hpc1"], Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn the_archon_section_is_typed() {
        let s = over(&[
            "archon.config=/tmp/archon.yml",
            "archon.roots=/data,/home",
            "archon.start_mode=reset",
            "archon.timeouts.power_s=40",
            "archon.hooks=[{command=['shutter','-x'],events=['shutter']}]",
        ])
        .expect("good");
        assert_eq!((s.archon.start_mode, s.archon.roots.len()), (StartMode::Reset, 2));
        assert_eq!(s.archon.hooks[0].timeout_s, 5.0);
        let waits = s.archon.timeouts.commands(Duration::from_secs(3));
        assert_eq!((waits.power, waits.write_config), (Duration::from_secs(40), Duration::from_secs(3)));
        let defaults = Timeouts::default().commands(Duration::from_secs(2));
        assert_eq!(defaults, crate::proto::archon::Timeouts::default());
    }

    #[test]
    fn a_typo_is_an_error_with_a_suggestion() {
        let error = over(&["player.bnak=BANKA"]).expect_err("typo");
        assert!(error.contains("did you mean 'bank'"), "{error}");
        let error = load("[player]\nsimulat = true\n", "appliance.toml", &[]).expect_err("typo");
        assert!(error.contains("line 2") && error.contains("did you mean 'simulate'"), "{error}");
    }

    #[test]
    fn a_network_port_needs_an_allow_list() {
        let error = over(&["listen.json=tcp://0.0.0.0:6667"]).expect_err("refused");
        assert!(error.contains("allow_write = ["), "{error}");
        over(&["listen.json=tcp://0.0.0.0:6667", "listen.allow=10.0.0.0/8"]).expect("with a list");
        over(&["listen.json=tcp://127.0.0.1:6667"]).expect("loopback");
    }

    #[test]
    fn nonsense_values_are_refused() {
        for bad in [
            "player.rate_divisor=0",
            "player.katcp_timeout_s=0",
            "player.fpga=serial",
            "shm.stale_lock_s=nan",
            "listen.json=here",
            "listen.lease=strict",
            "role=king",
            "player.rate_divisor=many",
            "player.data_buffers=remove",
            "player.data_buffer_layouts=[{program='x',family='guppi',buffers=[]}]",
            "player.data_buffer_layouts=[{program='x',family='guppi',buffers=[{blocks=0,block_kib=1}]}]",
            "player.program.x.cpus=[9000]",
            "player.program.x.dir=data",
            "player.program.x.cpu=[1]",
            "player.program={'/bin/x'={cpus=[1]}}",
            "archon.upload_depth=0",
            "archon.upload_depth=65",
            "archon.status_interval_s=11",
            "archon.timeouts.power_s=0",
            "archon.start_mode=grab",
            "archon.hooks=[{command=[],events=['shutter']}]",
        ] {
            over(&[bad]).expect_err(bad);
        }
    }
}
