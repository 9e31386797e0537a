//! The section `[dealer]`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a start does about players that do not look well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Nothing is looked at.
    Off,
    /// It is said in `last_warnings`.
    #[default]
    Warn,
    /// No start.
    Refuse,
}

/// The role `dealer-proxy`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dealer {
    /// Name and target of each player; empty: `[DEALER] players` of dibas.conf.
    pub players: BTreeMap<String, String>,
    /// `dibas.conf`, for players and the masters of CODD modes; empty: as `player.dibas_conf`.
    pub dibas_conf: PathBuf,
    /// Players that are active at first; empty: all.
    pub default_active: Vec<String>,
    /// Named sets of players.
    pub groups: BTreeMap<String, Vec<String>>,
    /// JSON ports that serve one player's `bank*` each.
    pub proxy_ports: BTreeMap<String, String>,
    /// `bank`, `bank.roach`, `bank.valon` are those of the first active player.
    pub alias: bool,
    /// What a start does about players that do not look well.
    pub health: Health,
    /// Set mode and parameters again at a player that comes back without.
    pub reapply: bool,
    /// The scan journal; empty: `scans.jsonl` beside the record.
    pub journal: PathBuf,
}

impl Default for Dealer {
    fn default() -> Dealer {
        Dealer {
            players: BTreeMap::new(),
            dibas_conf: PathBuf::new(),
            default_active: Vec::new(),
            groups: BTreeMap::new(),
            proxy_ports: BTreeMap::new(),
            alias: true,
            health: Health::Warn,
            reapply: false,
            journal: PathBuf::new(),
        }
    }
}
