//! Everything a simulated CCD host needs around it, in this process: one controller on a loopback port for
//! each of the configuration's.

use super::archon::ArchonSimConfig;
use super::archon_app::ArchonApp;
use crate::config::acf::Acf;
use crate::config::archon::{AcfFiles, ArchonConfig, ControllerEntry};
use crate::reactor::{Handle, Options, spawn_thread};
use crate::sys::clock;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// A simulator's listener must be open by then.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Running simulators; dropping it ends them.
pub struct ArchonStation {
    controllers: Vec<(String, SocketAddr, Handle)>,
}

impl ArchonStation {
    /// Starts a controller for each of `site`, made of what its ACF says. Relative paths start at `base_dir`.
    pub fn start(site: &ArchonConfig, base_dir: &Path, seed: u64) -> io::Result<ArchonStation> {
        let controller = |(entry, i): (&ControllerEntry, u64)| {
            let default = ArchonSimConfig::default();
            let config = ArchonSimConfig {
                seed: seed.wrapping_add(i),
                acf: acf_of(site, &entry.name).map(|path| read(&base_dir.join(path))).transpose()?,
                backplane: default.backplane + i,
                ..default
            };
            let (address, handle) = serve(config)?;
            log::info!("controller {} is simulated at {address}", entry.name);
            Ok((entry.name.clone(), address, handle))
        };
        let controllers = site.controllers.iter().zip(0..).map(controller).collect::<io::Result<_>>()?;
        Ok(ArchonStation { controllers })
    }

    /// Points the configuration at the simulated controllers.
    pub fn take_over(&self, site: &mut ArchonConfig) {
        for entry in &mut site.controllers {
            if let Some((_, address, _)) = self.controllers.iter().find(|(name, ..)| *name == entry.name) {
                entry.host = address.ip().to_string();
                entry.port = address.port();
            }
        }
    }
}

fn acf_of<'a>(site: &'a ArchonConfig, controller: &str) -> Option<&'a PathBuf> {
    match &site.acf_file {
        AcfFiles::None => None,
        AcfFiles::All(path) => Some(path),
        AcfFiles::Each(paths) => paths.get(controller),
    }
}

fn read(path: &Path) -> io::Result<Acf> {
    let named = |e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| named(&e))?;
    Acf::parse(&Acf::decode(&bytes)).map(|(acf, _)| acf).map_err(|e| named(&e))
}

fn serve(config: ArchonSimConfig) -> io::Result<(SocketAddr, Handle)> {
    let (told, ready) = sync_channel(1);
    let ready_hook = Box::new(move |result| {
        // The receiver waits for one answer only.
        let _ = told.try_send(result);
    });
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let app = ArchonApp::new(bind, config, Some(ready_hook), clock::now());
    let handle = spawn_thread(app, Options::default(), "sim-archon")?;
    let address = ready
        .recv_timeout(READY_WITHIN)
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "a simulated controller does not come up"))?
        .map_err(io::Error::other)?;
    Ok((address, handle))
}
