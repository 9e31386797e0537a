//! What the site's configuration says about fan-outs and starts.

use super::messages::Index;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a player may take, by method; everything else is a read.
const WITHIN: &[(&str, Duration)] = &[
    ("set_param", Duration::from_secs(5)),
    ("set_params", Duration::from_secs(5)),
    ("set_status", Duration::from_secs(5)),
    ("set_scan_number", Duration::from_secs(5)),
    ("increment_scan_number", Duration::from_secs(5)),
    ("clear_switching_states", Duration::from_secs(5)),
    ("add_switching_state", Duration::from_secs(5)),
    ("set_gbt_ss", Duration::from_secs(5)),
    ("write_cmd", Duration::from_secs(5)),
    ("schedule", Duration::from_secs(5)),
    ("unschedule", Duration::from_secs(5)),
    ("read_config_file", Duration::from_secs(30)),
    ("check_shared_memory", Duration::from_secs(30)),
    ("clear_shared_memory", Duration::from_secs(30)),
    ("reformat_data_buffers", Duration::from_secs(60)),
    ("set_cov_mode", Duration::from_secs(5)),
    ("prepare", Duration::from_secs(30)),
    ("monitor", Duration::from_secs(30)),
    ("stop", Duration::from_secs(30)),
    ("reset_roach", Duration::from_secs(30)),
    ("arm_roach", Duration::from_secs(30)),
    ("disarm_roach", Duration::from_secs(30)),
    ("set_mode", Duration::from_secs(120)),
];
/// A read.
pub const READ_WITHIN: Duration = Duration::from_secs(2);

/// How long a player may take for a method of `bank`.
pub fn within(method: &str) -> Duration {
    WITHIN.iter().find(|(name, _)| *name == method).map_or(READ_WITHIN, |(_, limit)| *limit)
}

/// What the start does about players that do not look well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthGate {
    /// Not looked at.
    Off,
    /// Said in `last_warnings`.
    #[default]
    Warn,
    /// No start.
    Refuse,
}

/// The rules of a site.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Name of this proxy, for players and clients.
    pub name: String,
    /// Modes in which one player drives the board of all: mode and master.
    pub masters: BTreeMap<String, Index>,
    /// What to do about players that do not look well.
    pub health: HealthGate,
    /// A player that comes back without its mode gets it again, with the parameters that were set here.
    pub reapply: bool,
}

impl Rules {
    /// The master of a mode, if it is one that has a master.
    pub fn master_of(&self, mode: &str) -> Option<Index> {
        self.masters.get(mode).copied()
    }
}
