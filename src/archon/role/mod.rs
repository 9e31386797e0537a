//! The role as a whole: calls, controllers, exposures, recovery, hooks.

pub mod messages;

pub use messages::{FileKey, HookIndex, Index, Input, Output};

use super::controller::ControllerConfig;
use crate::config::archon::ArchonConfig;
use crate::frames::jobs::Naming;
use crate::units::{Mono, Now};
use crate::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How the role is run.
#[derive(Clone, Debug)]
pub struct RoleConfig {
    /// `archon.yml`.
    pub site: ArchonConfig,
    /// One for each of `site.controllers`.
    pub controllers: Vec<ControllerConfig>,
    /// Where images go.
    pub naming: Naming,
    /// Relative ACF paths start here: the directory of `archon.yml`.
    pub base_dir: PathBuf,
    /// Site hooks.
    pub hooks: Vec<HookConfig>,
    /// On an orderly stop: `poweroff` instead of leaving everything as it is.
    pub power_off_on_exit: bool,
    /// Every controller is simulated: `SIMULATE` = T in headers.
    pub simulated: bool,
    /// Files may be read and written below these directories only (ACF files, raw fetches); empty: anywhere.
    pub roots: Vec<PathBuf>,
}

/// A site hook: a program that is started with the role and speaks JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `shutter`, `pre_expose`, `post_process`, `header`, `alarm`, ...
    pub events: Vec<String>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// The role.
pub struct Archon {}

impl Archon {
    /// Nothing connected yet.
    pub fn new(_config: RoleConfig, _now: Now) -> Archon {
        unimplemented!("owner: role")
    }
    /// One input.
    pub fn handle(&mut self, _input: Input, _now: Now) {
        unimplemented!("owner: role")
    }
    /// Time has passed, or the wall clock was set.
    pub fn tick(&mut self, _now: Now) {
        unimplemented!("owner: role")
    }
    /// When to call [`Archon::tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        unimplemented!("owner: role")
    }
    /// The next order; drain to `None` after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        unimplemented!("owner: role")
    }
    /// No write call runs: the next may be handed in.
    pub fn idle(&self) -> bool {
        unimplemented!("owner: role")
    }
    /// What the role is doing, waiting for, since when, and what is wrong.
    pub fn describe(&self, _now: Now) -> Value {
        unimplemented!("owner: role")
    }
}
