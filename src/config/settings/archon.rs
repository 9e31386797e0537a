//! The section `[archon]`.

use crate::proto::archon::Timeouts as CommandTimeouts;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Most configuration lines in flight: a quarter of the ids a connection has.
const UPLOAD_DEPTH_MAX: u32 = 64;
/// STATUS older than this is no ground for an order that needs one, s.
const STATUS_INTERVAL_MAX_S: f64 = 10.0;

/// What happens to a controller when the role attaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartMode {
    /// It is read, nothing is written.
    #[default]
    Attach,
    /// Window and reset, as the reference does.
    Reset,
}

/// What an orderly stop does to the controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// Everything stays as it is.
    #[default]
    Leave,
    /// POWEROFF.
    Poweroff,
}

/// The role `archon`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archon {
    /// `archon.yml`.
    pub config: PathBuf,
    /// The site's limits file; empty: none.
    pub limits: PathBuf,
    /// What happens to a controller on attach.
    pub start_mode: StartMode,
    /// What an orderly stop does.
    pub on_exit: OnExit,
    /// Bring our own controllers; touch nothing outside.
    pub simulate: bool,
    /// With `simulate`: seed of the simulated images.
    pub seed: u64,
    /// Configuration lines in flight while uploading, 1..=64.
    pub upload_depth: u32,
    /// Read back and compare after an upload.
    pub verify_config: bool,
    /// `talk` may send FLASH, ERASE, REBOOT, WARMBOOT.
    pub allow_flash: bool,
    /// Where images go instead of `files.data_dir` of `archon.yml`; empty: there.
    pub data_dir: PathBuf,
    /// The data directory must be on a mounted file system of its own.
    pub require_mount: bool,
    /// Free space demanded besides the images themselves, MB (10^6 bytes).
    pub spare_mb: u64,
    /// Files named in calls are read and written below these directories only; empty: anywhere.
    pub roots: Vec<PathBuf>,
    /// STATUS is asked this often, s; at most 10.
    pub status_interval_s: f64,
    /// Site programs, started with the role.
    pub hooks: Vec<Hook>,
    /// Longest waits for a controller.
    pub timeouts: Timeouts,
}

impl Default for Archon {
    fn default() -> Self {
        Archon {
            config: PathBuf::from("/etc/appliance/archon.yml"),
            limits: PathBuf::new(),
            start_mode: StartMode::Attach,
            on_exit: OnExit::Leave,
            simulate: false,
            seed: 1,
            upload_depth: 1,
            verify_config: true,
            allow_flash: false,
            data_dir: PathBuf::new(),
            require_mount: false,
            spare_mb: 1000,
            roots: Vec::new(),
            status_interval_s: 1.0,
            hooks: Vec::new(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A site program that speaks JSON lines: shutter, header cards, alarms.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `shutter`, `pre_expose`, `post_process`, `header`, `alarm`, ...
    pub events: Vec<String>,
    /// Longest wait for an answer, s.
    #[serde(default = "hook_timeout_s")]
    pub timeout_s: f64,
}

fn hook_timeout_s() -> f64 {
    5.0
}

/// Longest waits for a controller, s.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// SYSTEM, STATUS, CLEARCONFIG, HOLDTIMING, RELEASETIMING, RESETTIMING, APPLYCDS, APPLYSYSTEM, `talk`.
    pub normal_s: f64,
    /// FRAME, TIMER, FETCHLOG, POLLON, POLLOFF, parameters, LOCK.
    pub quick_s: f64,
    /// RCONFIG.
    pub read_config_s: f64,
    /// APPLYMOD, APPLYDIO, LOADTIMING.
    pub apply_module_s: f64,
    /// APPLYALL.
    pub apply_all_s: f64,
    /// POWERON, POWEROFF.
    pub power_s: f64,
    /// FETCH: longest silence between bytes.
    pub fetch_silence_s: f64,
}

impl Default for Timeouts {
    fn default() -> Self {
        let t = CommandTimeouts::default();
        Timeouts {
            normal_s: t.normal.as_secs_f64(),
            quick_s: t.quick.as_secs_f64(),
            read_config_s: t.read_config.as_secs_f64(),
            apply_module_s: t.apply_module.as_secs_f64(),
            apply_all_s: t.apply_all.as_secs_f64(),
            power_s: t.power.as_secs_f64(),
            fetch_silence_s: t.fetch_silence.as_secs_f64(),
        }
    }
}

impl Timeouts {
    /// As the link wants them; `write_config` is `timeouts.write_config_timeout` of `archon.yml`.
    pub fn commands(&self, write_config: Duration) -> CommandTimeouts {
        // Finite, positive and below a day: `check` has seen to it.
        let s = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        CommandTimeouts {
            normal: s(self.normal_s),
            quick: s(self.quick_s),
            read_config: s(self.read_config_s),
            write_config,
            apply_module: s(self.apply_module_s),
            apply_all: s(self.apply_all_s),
            power: s(self.power_s),
            fetch_silence: s(self.fetch_silence_s),
        }
    }

    fn all(&self) -> [(&'static str, f64); 7] {
        [
            ("normal_s", self.normal_s),
            ("quick_s", self.quick_s),
            ("read_config_s", self.read_config_s),
            ("apply_module_s", self.apply_module_s),
            ("apply_all_s", self.apply_all_s),
            ("power_s", self.power_s),
            ("fetch_silence_s", self.fetch_silence_s),
        ]
    }
}

/// Refuses what makes no sense.
pub(super) fn check(a: &Archon) -> Result<(), String> {
    if !(1..=UPLOAD_DEPTH_MAX).contains(&a.upload_depth) {
        return Err(format!(
            "archon.upload_depth = {}: must be 1..={UPLOAD_DEPTH_MAX} lines",
            a.upload_depth
        ));
    }
    if !(a.status_interval_s > 0.0 && a.status_interval_s <= STATUS_INTERVAL_MAX_S) {
        let found = a.status_interval_s;
        return Err(format!(
            "archon.status_interval_s = {found}: must be above 0 and at most {STATUS_INTERVAL_MAX_S} s (power and alarms need a fresh STATUS)"
        ));
    }
    for (key, value) in a.timeouts.all() {
        seconds(&format!("archon.timeouts.{key}"), value)?;
    }
    for (index, hook) in a.hooks.iter().enumerate() {
        if hook.command.first().is_none_or(String::is_empty) || hook.events.is_empty() {
            return Err(format!(
                "archon.hooks[{index}]: needs a program and events; write {{ command = [\"/usr/local/bin/shutter\"], events = [\"shutter\"] }}"
            ));
        }
        seconds(&format!("archon.hooks[{index}].timeout_s"), hook.timeout_s)?;
    }
    Ok(())
}

/// A wait: above nothing, below a day.
fn seconds(key: &str, value: f64) -> Result<(), String> {
    let sane = value.is_finite() && value > 0.0 && value <= 86_400.0;
    if sane {
        Ok(())
    } else {
        Err(format!("{key} = {value}: must be a positive number of seconds, at most a day"))
    }
}
