//! `appliance preflight`: would the observation of tonight find what it needs? Read-only: nothing is written, started
//! or programmed.

mod board;
mod host;
mod memory;
mod programs;

use super::daemon::{self, Refusal, player};
use crate::config::settings::{Role, Settings};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `preflight`.
#[derive(Args, Debug)]
pub struct PreflightArgs {
    /// Configuration file [default: /etc/appliance/appliance.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a configuration key, e.g. --set player.bank=BANKA (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// It will probably do; somebody should look.
    Warning,
    /// It will not do.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
struct Check {
    what: String,
    level: Level,
    /// What was found.
    found: String,
    /// What to do; empty if nothing.
    remedy: String,
}

impl Check {
    fn ok(what: &str, found: impl Into<String>) -> Check {
        Check { what: what.into(), level: Level::Ok, found: found.into(), remedy: String::new() }
    }

    fn warning(what: &str, found: impl Into<String>, remedy: &str) -> Check {
        Check { what: what.into(), level: Level::Warning, found: found.into(), remedy: remedy.into() }
    }

    fn failure(what: &str, found: impl Into<String>, remedy: &str) -> Check {
        Check { what: what.into(), level: Level::Failure, found: found.into(), remedy: remedy.into() }
    }

    fn word(&self) -> &'static str {
        match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failure => "FAILURE",
        }
    }
}

/// Runs all checks. Exit status: 0 nothing failed, 1 something did, 2 the configuration cannot be used.
pub fn run(args: PreflightArgs) -> ExitCode {
    let settings = match daemon::read_settings(args.config.as_deref(), None, &args.overrides) {
        Ok(settings) => settings,
        Err(Refusal::Config(text) | Refusal::System(text)) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    let checks = match settings.role {
        Role::Player => of_a_player(&settings),
        Role::Archon | Role::DealerProxy => vec![Check::failure(
            "role",
            "preflight looks at players only",
            "for a CCD host see `appliance check archon.yml` and the method archon.status",
        )],
    };
    for check in &checks {
        if args.json {
            let Check { what, found, remedy, .. } = check;
            println!("{}", json!({"check": what, "result": check.word(), "found": found, "remedy": remedy}));
        } else {
            println!("{:<8} {:<22} {}", check.word(), check.what, check.found);
            if !check.remedy.is_empty() {
                println!("{:<31} -> {}", "", check.remedy);
            }
        }
    }
    let failed = checks.iter().filter(|c| c.level == Level::Failure).count();
    let warned = checks.iter().filter(|c| c.level == Level::Warning).count();
    if !args.json {
        println!("{} checks, {failed} failed, {warned} warnings", checks.len());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn of_a_player(settings: &Settings) -> Vec<Check> {
    let what = "configuration";
    let read = player::read_dibas(settings).and_then(|(dibas, path)| {
        let bank = player::choose_bank(settings, &dibas)?;
        Ok((dibas, path, bank))
    });
    let (dibas, path, bank) = match read {
        Ok(read) => read,
        Err(Refusal::Config(text) | Refusal::System(text)) => {
            return vec![Check::failure(what, text, "correct it; `appliance check` shows every finding")];
        }
    };
    let unusable: Vec<&str> =
        dibas.modes.iter().filter(|m| m.usable.is_err()).map(|m| m.name.as_str()).collect();
    let file = path.map_or_else(|| "built-in example".to_owned(), |p| p.display().to_string());
    let found = format!("{file}: {}, {} modes", bank.name, dibas.modes.len());
    let mut checks = vec![match unusable.as_slice() {
        [] => Check::ok(what, found),
        names => Check::warning(
            what,
            format!("{found}, of which {} cannot be used: {}", names.len(), names.join(", ")),
            "`appliance check` says why, line by line",
        ),
    }];
    checks.extend(host::clock(settings.player.require_clock && !settings.player.simulate));
    checks.extend(host::data_root(&player::data_root(settings)));
    checks.extend(host::addresses(settings, &dibas, &bank));
    checks.extend(memory::checks(settings, &dibas));
    checks.extend(programs::checks(settings, &dibas));
    checks.extend(programs::starts(settings));
    checks.extend(host::synthesizer(settings, &bank));
    checks.extend(board::checks(settings, &dibas, &bank));
    checks
}
