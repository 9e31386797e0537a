//! The daemon as a player.

use super::super::{bank_choice, board_lock};
use super::{DaemonArgs, Refusal, desk, surroundings};
use crate::config::dibas::{Bank, Dibas, Severity, SynthAt};
use crate::config::settings::{self, Daq, Dialect as DialectSetting, Settings};
use crate::fpga::katcp::KatcpFpgaConfig;
use crate::fpga::mmap::MmapAddress;
use crate::node::player::board::Board;
use crate::node::player::hardware::Hardware;
use crate::node::player::mapped::Mapped;
use crate::node::player::programs::KeepPlace;
use crate::node::player::synth_port::{Place, SynthPort};
use crate::node::player::work::{self, read_config};
use crate::node::{NodeConfig, PlayerNode};
use crate::player::config::{DaqProgram, PlayerConfig, ScanRules};
use crate::player::guard::OnAlarm;
use crate::proto::status_cards::Dialect;
use crate::reactor::{self, Options};
use crate::session::katcp_client;
use crate::shm::Location;
use crate::shm::StatusMemory;
use crate::shm::key_file::make as make_key_file;
use crate::shm::keys;
use crate::shm::recovery::Policy;
use crate::sim::station::{Station, StationOptions};
use crate::sys::{clock, lock_file, private_dir};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a simulated player without a configuration of the site uses.
const EXAMPLE_DIBAS_CONF: &str = include_str!("../../../config/dibas.example.conf");

/// Names the status memory of a simulation, in its own directory.
const KEY_FILE: &str = "keyfile";

/// `player.fpga` where the board has a KATCP server.
const KATCP: &str = "katcp";

/// Runs a player until it is stopped; the exit status.
pub fn run(args: &DaemonArgs, settings: &Settings) -> Result<u8, Refusal> {
    let (dibas, dibas_conf) = read_dibas(settings)?;
    let mut bank = choose_bank(settings, &dibas)?;
    let mut guard = Guard::default();
    let mut resolve: Vec<_> = settings.resolve.iter().map(|(n, ip)| (n.clone(), *ip)).collect();
    if settings.player.simulate {
        guard = Guard::simulated(settings)?;
        guard.enter(&mut bank, &dibas, &mut resolve);
    } else {
        guard.lock = Some(hold_instance(settings, &bank)?);
    }
    let name = instance_name(settings, &bank);
    let runtime =
        lock_file::directory().map_err(|e| Refusal::System(format!("no runtime directory: {e}")))?;
    let outlives = settings.player.keep && !settings.player.simulate;
    let keep = match outlives {
        true => Some(KeepPlace { dir: runtime.clone(), name: short(&name), binary: own_binary()? }),
        false => None,
    };
    let state_file = outlives.then(|| runtime.join(format!("appliance-player-{name}.state")));
    let saved = state_file.as_deref().and_then(work::saved);
    let Status { memory, env, daq_args } = guard.status_memory(settings, &bank);
    let node_config = NodeConfig {
        desk: desk(args, settings, &default_json(settings, &bank), guard.dir.as_deref())?,
        resolve,
        resolve_elsewhere: !settings.player.simulate,
        dibas_conf,
        keep,
        state_file,
    };
    let mut player_config = player_config(settings, &bank, env, daq_args)?;
    player_config.status_memory = match &memory {
        Ok(memory) => memory.location().to_string(),
        Err(why) => format!("none: {why}"),
    };
    let board = hardware(settings, &bank)?;
    guard.board = board.as_ref().and_then(|(_, lock)| board_lock::hold(lock.as_deref()?));
    let board = board.map(|(board, _)| board);
    log::info!(
        "player for {} (instance {}){}",
        bank.name,
        bank.instance(),
        if settings.player.simulate { ", simulated" } else { "" }
    );
    let synth = synth_port(settings, &bank);
    let record = node_config.desk.record.clone();
    let mut node = PlayerNode::new(node_config, player_config, dibas, bank, memory, board, clock::now());
    if let Some(synth) = synth {
        node = node.with_synth(synth);
    }
    if let Some(record) = record {
        node.learn_writes(&record);
    }
    if let Some(saved) = saved {
        node.restore(&saved, clock::now());
    }
    let code = reactor::run(&mut node, Options::default())
        .map_err(|e| Refusal::System(format!("the loop cannot run: {e}")))?;
    guard.leave(node);
    Ok(code)
}

/// The configuration, and its file unless it is built in.
pub(in crate::cli) fn read_dibas(settings: &Settings) -> Result<(Dibas, Option<PathBuf>), Refusal> {
    let mut path = settings.player.dibas_conf.clone();
    if path.as_os_str().is_empty() {
        match std::env::var_os("DIBAS_DIR") {
            Some(dir) => path = PathBuf::from(dir).join("etc/config/dibas.conf"),
            None if settings.player.simulate => {
                let dibas = Dibas::load(EXAMPLE_DIBAS_CONF, "built-in example")
                    .map_err(|f| Refusal::System(format!("the built-in example is broken: {f:?}")))?;
                return Ok((dibas, None));
            }
            None => {
                return Err(Refusal::Config(
                    "'DIBAS_DIR' is not set!, and neither is player.dibas_conf; say where the site's dibas.conf is".into(),
                ));
            }
        }
    }
    Ok((read_file(&path)?, Some(path)))
}

/// The configuration in this file, else where the player looks; `None` if there is none and none is `needed`.
pub(super) fn read_dibas_at(
    settings: &Settings,
    path: &PathBuf,
    needed: bool,
) -> Result<Option<Dibas>, Refusal> {
    if !path.as_os_str().is_empty() {
        return read_file(path).map(Some);
    }
    let found = !settings.player.dibas_conf.as_os_str().is_empty() || std::env::var_os("DIBAS_DIR").is_some();
    if needed || found { read_dibas(settings).map(|(dibas, _)| Some(dibas)) } else { Ok(None) }
}

fn read_file(path: &PathBuf) -> Result<Dibas, Refusal> {
    let dibas = read_config(path).map_err(Refusal::Config)?;
    for f in dibas.findings.iter().filter(|f| f.severity == Severity::Error) {
        log::warn!("{}:{}: {}.{}: {}; {}", path.display(), f.line, f.section, f.key, f.problem, f.remedy);
    }
    Ok(dibas)
}

/// One player for each instance of a status memory: a second one would overwrite the first one's keys.
fn hold_instance(settings: &Settings, bank: &Bank) -> Result<lock_file::Held, Refusal> {
    lock_file::hold(&format!("player-{}", instance_name(settings, bank))).map_err(|e| {
        Refusal::System(format!("another player seems to run for {} on this host: {e}", bank.name))
    })
}

/// What distinguishes this player from others on the host.
fn instance_name(settings: &Settings, bank: &Bank) -> String {
    let installation = key_file(settings).display().to_string().replace('/', "_");
    format!("{}{installation}", bank.instance())
}

/// Paths of sockets have 107 bytes at most.
fn short(name: &str) -> String {
    use sha1::Digest;
    let sum = sha1::Sha1::digest(name.as_bytes());
    sum.iter().take(6).map(|b| format!("{b:02x}")).collect()
}

fn own_binary() -> Result<PathBuf, Refusal> {
    std::env::current_exe().map_err(|e| Refusal::System(format!("cannot find this program: {e}")))
}

fn key_file(settings: &Settings) -> PathBuf {
    let configured = Some(settings.shm.keyfile.as_path()).filter(|k| !k.as_os_str().is_empty());
    keys::key_file(configured, &keys::process_env)
}

pub(in crate::cli) fn choose_bank(settings: &Settings, dibas: &Dibas) -> Result<Bank, Refusal> {
    let host = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let bank = bank_choice::choose(dibas, &settings.player.bank, &host, settings.player.simulate)
        .map_err(Refusal::Config)?;
    match &bank.usable {
        Ok(()) => Ok(bank.clone()),
        Err(why) => Err(Refusal::Config(format!("{}: {why}", bank.name))),
    }
}

fn default_json(settings: &Settings, bank: &Bank) -> String {
    format!("tcp://127.0.0.1:{}", if settings.player.simulate { 0 } else { bank.player_port })
}

/// What is configured, else what the environment says as it does for the reference.
fn or_env(path: &Path, name: &str, default: &str) -> String {
    if path.as_os_str().is_empty() {
        std::env::var(name).unwrap_or_else(|_| default.to_owned())
    } else {
        path.display().to_string()
    }
}

/// Program root.
pub(in crate::cli) fn dibas_dir(settings: &Settings) -> String {
    or_env(&settings.player.dibas_dir, "DIBAS_DIR", "")
}

/// Data root.
pub(in crate::cli) fn data_root(settings: &Settings) -> PathBuf {
    PathBuf::from(or_env(&settings.player.data_root, "DIBAS_DATA", "/tmp"))
}

fn player_config(
    settings: &Settings,
    bank: &Bank,
    env: Vec<(String, String)>,
    daq_args: DaqArgs,
) -> Result<PlayerConfig, Refusal> {
    let p = &settings.player;
    let daq = daq_program(settings, bank, daq_args)?;
    Ok(PlayerConfig {
        dibas_dir: dibas_dir(settings),
        data_root: data_root(settings).display().to_string(),
        simulate: p.simulate,
        reference_rounding: p.reference_rounding,
        set_mode_always_reloads: p.set_mode_always_reloads,
        clear_status_on_mode_change: p.clear_status_on_mode_change,
        status_memory: String::new(),
        daq,
        env,
        surroundings: surroundings::surroundings(p),
        scan: scan_rules(p),
    })
}

/// The synthesizer, if it hangs on this host and not on the ROACH.
fn synth_port(settings: &Settings, bank: &Bank) -> Option<SynthPort> {
    let local = bank.synth.as_ref().filter(|s| s.where_ == SynthAt::Local)?;
    Some(SynthPort::new(match settings.player.simulate {
        true => Place::Simulated(Box::default()),
        false => Place::Serial(PathBuf::from(&local.port)),
    }))
}

fn scan_rules(p: &settings::Player) -> ScanRules {
    ScanRules {
        require_clock: p.require_clock,
        guard: match p.guard {
            settings::Guard::Warn => OnAlarm::Warn,
            settings::Guard::Stop => OnAlarm::Stop,
        },
        disk_free_min: (p.disk_free_min_gb * 1e9) as u64,
        require_space: p.require_space,
        gateware_dir: p.gateware_dir.display().to_string(),
        host: nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default(),
    }
}

fn daq_program(settings: &Settings, bank: &Bank, daq_args: DaqArgs) -> Result<DaqProgram, Refusal> {
    let p = &settings.player;
    let mut memory = vec!["--instance".to_owned(), bank.instance().to_string()];
    if settings.shm.dialect == DialectSetting::Guppi {
        memory.extend(["--dialect".to_owned(), "legacy".to_owned()]);
    }
    memory.extend(daq_args.memory);
    let command = |words: &[&str], more: Vec<String>| -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).chain(memory.iter().cloned()).chain(more).collect()
    };
    let builtin = command(&["daq"], daq_args.network);
    let simulated = command(&["sim", "daq"], p.sim_daq.clone());
    Ok(match p.daq {
        Daq::Simulated => DaqProgram::Simulated { path: own_binary()?, args: simulated },
        _ if p.simulate => DaqProgram::Rehearsal { path: own_binary()?, builtin, simulated },
        Daq::Builtin => DaqProgram::Builtin { path: own_binary()?, args: builtin },
        Daq::Site => DaqProgram::Site,
    })
}

/// The way to the bank's board, if it has one, and the name of its lock. A simulated player has the simulated
/// ROACH, which is nobody else's.
fn hardware(settings: &Settings, bank: &Bank) -> Result<Option<(Hardware, Option<String>)>, Refusal> {
    if !bank.has_roach {
        return Ok(None);
    }
    if settings.player.simulate || settings.player.fpga == KATCP {
        let board = |(host, port): (String, u16)| {
            let lock = (!settings.player.simulate).then(|| board_lock::of_katcp(&host, port));
            (Board::new(host.clone(), port, board_config(settings, host)).into(), lock)
        };
        return Ok(bank.katcp.clone().map(board));
    }
    let address: MmapAddress =
        settings.player.fpga.parse().map_err(|why| Refusal::Config(format!("player.fpga: {why}")))?;
    let synth = bank.synth.as_ref().is_some_and(|s| s.where_ == SynthAt::Katcp);
    let behind_katcp = [
        (synth, "synth = katcp", "set_mode", "synth = none in dibas.conf"),
        (
            !bank.filter_bits.is_empty() && !address.no_i2c,
            "filter_bandwidth_bits",
            "prepare",
            "i2c=none in player.fpga",
        ),
    ];
    for (_, key, method, remedy) in behind_katcp.iter().filter(|(configured, ..)| *configured) {
        log::warn!(
            "{}: {key} is reached through the board's KATCP server only, which player.fpga = mmap leaves out: {method} \
             will fail; where there is no such hardware, write {remedy}",
            bank.name
        );
    }
    let lock = board_lock::of_mapped(&address);
    Ok(Some((Mapped::new(address).into(), Some(lock))))
}

fn board_config(settings: &Settings, board: String) -> KatcpFpgaConfig {
    let seconds = Duration::from_secs_f64;
    let link = katcp_client::Config {
        timeout_normal: seconds(settings.player.katcp_timeout_s),
        timeout_program: seconds(settings.player.katcp_program_timeout_s),
        seed: u64::from(std::process::id()),
        ..katcp_client::Config::default()
    };
    KatcpFpgaConfig { board, link, ..KatcpFpgaConfig::default() }
}

// ---------------------------------------------------------------------- what must be undone at the end

/// What lives as long as the player and is removed after it.
#[derive(Default)]
struct Guard {
    station: Option<Station>,
    dir: Option<PathBuf>,
    lock: Option<lock_file::Held>,
    board: Option<lock_file::Held>,
}

/// Status memory, the environment children need to find it, and what the built-in DAQ program is told.
struct Status {
    memory: Result<StatusMemory, String>,
    env: Vec<(String, String)>,
    daq_args: DaqArgs,
}

/// What our own DAQ programs are told.
#[derive(Default)]
struct DaqArgs {
    /// Where the status memory is.
    memory: Vec<String>,
    /// Where packets come in.
    network: Vec<String>,
}

impl Guard {
    /// Simulated hardware and a directory of our own: nothing outside is touched.
    fn simulated(settings: &Settings) -> Result<Guard, Refusal> {
        let system = |what: &str, e: std::io::Error| Refusal::System(format!("{what}: {e}"));
        let dir = private_dir::create("appliance-player").map_err(|e| system("no private directory", e))?;
        let options =
            StationOptions { seed: settings.player.seed, rate_divisor: settings.player.rate_divisor };
        let station =
            Station::start(options).map_err(|e| system("the simulated hardware does not start", e))?;
        Ok(Guard { station: Some(station), dir: Some(dir), ..Guard::default() })
    }

    /// Points the bank at the simulated hardware; all its host names become loopback addresses.
    fn enter(&self, bank: &mut Bank, dibas: &Dibas, resolve: &mut Vec<(String, std::net::Ipv4Addr)>) {
        let Some(station) = &self.station else { return };
        if !bank.has_roach {
            log::info!(
                "{} has no ROACH; it gets a simulated one, so that every mode can be rehearsed",
                bank.name
            );
            bank.has_roach = true;
        }
        station.take_over(bank);
        let hosts = dibas.hpc_macs.iter().zip(1u8..).map(|(m, i)| {
            let [a, b, c, _] = station.address().octets();
            (m.host.clone(), std::net::Ipv4Addr::new(a, b, c, i))
        });
        resolve.extend(hosts);
    }

    /// Status memory, and how children find it.
    fn status_memory(&self, settings: &Settings, bank: &Bank) -> Status {
        let dialect = match settings.shm.dialect {
            DialectSetting::Hashpipe => Dialect::Hashpipe,
            DialectSetting::Guppi => Dialect::Legacy,
        };
        let mut env = Vec::new();
        let mut args = DaqArgs::default();
        let memory = match (&self.dir, &self.station) {
            (Some(dir), Some(station)) => {
                args.network.extend(["--bind".to_owned(), station.address().to_string()]);
                env.push(("HASHPIPE_KEYFILE".to_owned(), dir.join(KEY_FILE).display().to_string()));
                private_memory(dir, dialect, bank.instance(), &mut args.memory)
            }
            _ => {
                let path = key_file(settings);
                env.push(("HASHPIPE_KEYFILE".to_owned(), path.display().to_string()));
                // The address the packets are sent to, where it is known without asking anybody.
                let destination = &bank.data_destination_host;
                let known = destination.parse().ok().or_else(|| settings.resolve.get(destination).copied());
                args.network.extend(known.iter().flat_map(|ip| ["--bind".to_owned(), ip.to_string()]));
                site_memory(&path, dialect, bank.instance())
            }
        };
        let policy = Policy {
            stale_after: Duration::from_secs_f64(settings.shm.stale_lock_s),
            repair: settings.shm.repair_stale_lock,
        };
        let memory = memory.map(|mut m| {
            log::info!("{}", m.location());
            m.set_policy(policy);
            m
        });
        if let Err(e) = &memory {
            log::error!("no status memory, calls that need it will fail: {e}");
        }
        Status { memory, env, daq_args: args }
    }

    fn leave(mut self, node: PlayerNode) {
        drop(self.station.take());
        let memory = node.leave();
        if let Some(dir) = &self.dir {
            if let Some(memory) = memory
                && let Err(e) = memory.remove()
            {
                log::warn!("simulated status memory was not removed: {e}");
            }
            if let Err(e) = std::fs::remove_dir_all(dir) {
                log::warn!("{} was not removed: {e}", dir.display());
            }
        }
    }
}

/// A segment of our own, found by children through `HASHPIPE_KEYFILE`; files where there is no System V memory.
fn private_memory(
    dir: &Path,
    dialect: Dialect,
    instance: u8,
    args: &mut Vec<String>,
) -> Result<StatusMemory, String> {
    let no_overrides = |_: &str| None;
    let keyfile = dir.join(KEY_FILE);
    let segment = make_key_file(&keyfile)
        .map_err(|e| format!("key file: {e}"))
        .and_then(|()| {
            keys::status_location(Some(&keyfile), instance, &no_overrides).map_err(|e| e.to_string())
        })
        .and_then(|location| StatusMemory::create(&location, dialect, instance).map_err(|e| e.to_string()));
    segment.or_else(|why| {
        log::warn!("System V memory is not to be had ({why}); the simulation keeps its status in a file");
        args.extend(["--status-dir".to_owned(), dir.display().to_string()]);
        let location = Location::File { dir: dir.to_owned() };
        StatusMemory::create(&location, dialect, instance).map_err(|e| e.to_string())
    })
}

fn site_memory(keyfile: &Path, dialect: Dialect, instance: u8) -> Result<StatusMemory, String> {
    let location = match dialect {
        Dialect::Legacy => keys::guppi_location(),
        Dialect::Hashpipe => {
            keys::status_location(Some(keyfile), instance, &keys::process_env).map_err(|e| e.to_string())?
        }
    };
    StatusMemory::open_or_create(&location, dialect, instance).map_err(|e| e.to_string())
}
