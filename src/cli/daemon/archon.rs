//! The daemon as a CCD host.

use super::{DaemonArgs, Refusal, desk};
use crate::archon::controller::ControllerConfig;
use crate::archon::role::{HookConfig, RoleConfig};
use crate::config::archon::limits::Limits;
use crate::config::archon::{ArchonConfig, ControllerEntry};
use crate::config::finding::Finding;
use crate::config::settings::{Archon, OnExit, Settings, StartMode};
use crate::frames::jobs::Naming;
use crate::node::{ArchonNode, ArchonNodeConfig};
use crate::reactor::{self, Options};
use crate::session::archon_link;
use crate::sim::archon_station::ArchonStation;
use crate::sys::{clock, lock_file, private_dir};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a simulated CCD host without a configuration of the site uses, by file name.
const EXAMPLES: [(&str, &str); 3] = [
    (SITE, include_str!("../../../config/archon.example.yml")),
    ("archon.example.acf", include_str!("../../../config/archon.example.acf")),
    (LIMITS, include_str!("../../../config/archon.example.limits.toml")),
];
const SITE: &str = "archon.example.yml";
const LIMITS: &str = "archon.example.limits.toml";
/// JSON is spoken here unless the configuration says otherwise.
const JSON_PORT: u16 = 6669;
/// Bytes of a megabyte of `archon.spare_mb`.
const MEGABYTE: u64 = 1_000_000;

/// Runs the role until it is stopped; the exit status.
pub fn run(args: &DaemonArgs, settings: &Settings) -> Result<u8, Refusal> {
    let mut guard = Guard::new(settings)?;
    let outcome = run_guarded(args, settings, &mut guard);
    guard.leave();
    outcome
}

fn run_guarded(args: &DaemonArgs, settings: &Settings, guard: &mut Guard) -> Result<u8, Refusal> {
    let files = guard.files(settings)?;
    let mut site = read_site(&files.site, guard.dir.as_deref())?;
    let limits = files.limits.as_deref().map(read_limits).transpose()?;
    site.files.data_dir = guard.data_dir(settings, &site)?;
    if settings.archon.simulate {
        guard.simulate(settings, &mut site, &files)?;
    } else {
        guard.hold(&site.controllers)?;
    }
    let json = format!("tcp://127.0.0.1:{}", if settings.archon.simulate { 0 } else { JSON_PORT });
    let names: Vec<&str> = site.controllers.iter().map(|c| c.name.as_str()).collect();
    let simulated = if settings.archon.simulate { ", simulated" } else { "" };
    log::info!(
        "CCD host for {}{simulated}; images go to {}",
        names.join(", "),
        site.files.data_dir.display()
    );
    let config = ArchonNodeConfig {
        desk: desk(args, settings, &json, guard.dir.as_deref())?,
        link: link(&settings.archon, &site),
        resolve: settings.resolve.iter().map(|(n, ip)| (n.clone(), *ip)).collect(),
        role: role(&settings.archon, site, limits.as_ref(), &files),
    };
    let mut node = ArchonNode::new(config, clock::now());
    reactor::run(&mut node, Options::default())
        .map_err(|e| Refusal::System(format!("the loop cannot run: {e}")))
}

// ---------------------------------------------------------------------- configuration

/// Where the configuration is.
struct Files {
    site: PathBuf,
    limits: Option<PathBuf>,
}

impl Files {
    /// Relative ACF paths start here.
    fn base_dir(&self) -> PathBuf {
        self.site.parent().map(Path::to_owned).unwrap_or_default()
    }
}

fn read(path: &Path, remedy: &str) -> Result<String, Refusal> {
    std::fs::read_to_string(path)
        .map_err(|e| Refusal::Config(format!("cannot read {}: {e}; {remedy}", path.display())))
}

/// `private`: the directory of a simulation, which needs no home.
fn read_site(path: &Path, private: Option<&Path>) -> Result<ArchonConfig, Refusal> {
    let text = read(path, "say where the site's archon.yml is with archon.config")?;
    let home = |name: &str| private.filter(|_| name == "HOME").map(|dir| dir.display().to_string());
    let env = |name: &str| std::env::var(name).ok().or_else(|| home(name));
    let said = |f: &Finding| format!("{}:{f}", path.display());
    let (site, findings) = ArchonConfig::load(&text, path, &env)
        .map_err(|findings| Refusal::Config(findings.iter().map(said).collect::<Vec<_>>().join("\n")))?;
    for finding in &findings {
        log::warn!("{}", said(finding));
    }
    if site.controllers.is_empty() {
        return Err(Refusal::Config(format!("{}: there is no controller in it", path.display())));
    }
    Ok(site)
}

fn read_limits(path: &Path) -> Result<Limits, Refusal> {
    let text = read(path, "say where the site's limits file is with archon.limits")?;
    Limits::load(&text, &path.display().to_string()).map_err(|e| Refusal::Config(e.to_string()))
}

fn link(a: &Archon, site: &ArchonConfig) -> archon_link::Config {
    archon_link::Config {
        timeouts: a.timeouts.commands(site.timeouts.write_config),
        connect_timeout: site.timeouts.controller_connect,
        seed: u64::from(std::process::id()),
        ..archon_link::Config::default()
    }
}

fn role(a: &Archon, site: ArchonConfig, limits: Option<&Limits>, files: &Files) -> RoleConfig {
    let controller = |entry: &ControllerEntry| ControllerConfig {
        entry: entry.clone(),
        timeouts: site.timeouts,
        int_param: site.int_param,
        default_parameters: site.default_parameters.clone(),
        limits: limits.and_then(|l| l.controllers.get(&entry.name).cloned()),
        reset_on_attach: a.start_mode == StartMode::Reset,
        upload_depth: a.upload_depth as usize,
        verify_config: a.verify_config,
        allow_flash: a.allow_flash,
        status_interval: Duration::from_secs_f64(a.status_interval_s),
    };
    let hooks = a.hooks.iter().map(|hook| HookConfig {
        command: hook.command.clone(),
        events: hook.events.clone(),
        timeout: Duration::from_secs_f64(hook.timeout_s),
    });
    RoleConfig {
        controllers: site.controllers.iter().map(controller).collect(),
        naming: Naming {
            files: site.files.clone(),
            checksum: site.checksum.clone(),
            observatory: site.observatory.clone(),
            require_mount: a.require_mount,
            spare_bytes: a.spare_mb.saturating_mul(MEGABYTE),
        },
        base_dir: files.base_dir(),
        hooks: hooks.collect(),
        power_off_on_exit: a.on_exit == OnExit::Poweroff,
        simulated: a.simulate,
        roots: a.roots.clone(),
        site,
    }
}

// ---------------------------------------------------------------------- what must be undone at the end

/// What lives as long as the role and is removed after it.
struct Guard {
    /// Of a simulation.
    dir: Option<PathBuf>,
    station: Option<ArchonStation>,
    locks: Vec<lock_file::Held>,
}

impl Guard {
    fn new(settings: &Settings) -> Result<Guard, Refusal> {
        let dir = settings.archon.simulate.then(|| private_dir::create("appliance-archon")).transpose();
        let dir = dir.map_err(|e| Refusal::System(format!("no private directory: {e}")))?;
        Ok(Guard { dir, station: None, locks: Vec::new() })
    }

    /// The site's files; a simulation without any writes the examples into its own directory.
    fn files(&self, settings: &Settings) -> Result<Files, Refusal> {
        let a = &settings.archon;
        let limits = (!a.limits.as_os_str().is_empty()).then(|| a.limits.clone());
        match &self.dir {
            Some(dir) if a.config == Archon::default().config && !a.config.exists() => {
                for (name, text) in EXAMPLES {
                    let path = dir.join(name);
                    std::fs::write(&path, text)
                        .map_err(|e| Refusal::System(format!("{}: {e}", path.display())))?;
                }
                Ok(Files { site: dir.join(SITE), limits: limits.or_else(|| Some(dir.join(LIMITS))) })
            }
            _ => Ok(Files { site: a.config.clone(), limits }),
        }
    }

    /// Where images go. Never made here, except in a simulation's own directory.
    fn data_dir(&self, settings: &Settings, site: &ArchonConfig) -> Result<PathBuf, Refusal> {
        let given = &settings.archon.data_dir;
        if !given.as_os_str().is_empty() {
            return Ok(given.clone());
        }
        let Some(dir) = &self.dir else { return Ok(site.files.data_dir.clone()) };
        let images = dir.join("images");
        std::fs::create_dir(&images).map_err(|e| Refusal::System(format!("{}: {e}", images.display())))?;
        Ok(images)
    }

    /// Controllers of our own instead of the site's.
    fn simulate(
        &mut self,
        settings: &Settings,
        site: &mut ArchonConfig,
        files: &Files,
    ) -> Result<(), Refusal> {
        let station = ArchonStation::start(site, &files.base_dir(), settings.archon.seed)
            .map_err(|e| Refusal::System(format!("the simulated controllers do not start: {e}")))?;
        station.take_over(site);
        self.station = Some(station);
        Ok(())
    }

    /// One process for a controller: the hardware answers one client only.
    fn hold(&mut self, controllers: &[ControllerEntry]) -> Result<(), Refusal> {
        for c in controllers {
            let place = format!("{}-{}", c.host, c.port).replace('/', "_");
            let lock = lock_file::hold(&format!("archon-{place}")).map_err(|e| {
                Refusal::System(format!(
                    "another process on this host seems to run controller {}: {e}",
                    c.name
                ))
            })?;
            self.locks.push(lock);
        }
        Ok(())
    }

    fn leave(mut self) {
        drop(self.station.take());
        if let Some(dir) = &self.dir
            && let Err(e) = std::fs::remove_dir_all(dir)
        {
            log::warn!("{} was not removed: {e}", dir.display());
        }
    }
}
