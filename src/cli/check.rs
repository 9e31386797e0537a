//! `appliance check FILE...`: says everything there is to say about configuration files.
//!
//! One line per finding, `file:line: severity: section.key: problem; remedy`, so that editors can
//! jump to it. What a file is, its content tells, not its name.

use crate::config::dibas::{Dibas, Finding, Mode, Severity};
use crate::config::settings;
use crate::player::engine::{Engine, Site, hbw};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// dibas.conf or appliance.toml, told apart by content
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Least severity to print
    #[arg(long, value_enum, default_value_t = Level::Note)]
    pub level: Level,
}

/// Least severity to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Only what cannot be used.
    Error,
    /// Also what is probably not meant.
    Warning,
    /// Everything.
    Note,
}

impl Level {
    fn shows(self, severity: Severity) -> bool {
        match self {
            Level::Error => severity == Severity::Error,
            Level::Warning => severity <= Severity::Warning,
            Level::Note => true,
        }
    }
}

/// Checks all files. Exit status: 0 usable, 1 at least one error.
pub fn run(args: CheckArgs) -> ExitCode {
    let mut errors = 0;
    for path in &args.files {
        let name = path.display().to_string();
        let findings = match std::fs::read_to_string(path) {
            Ok(text) => check(&text, &name),
            Err(e) => vec![whole_file(
                format!("cannot be read: {e}"),
                "check the name, the rights and that it is UTF-8 text",
            )],
        };
        for finding in findings.iter().filter(|f| args.level.shows(f.severity)) {
            println!("{name}:{finding}");
        }
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        errors += count(Severity::Error);
        println!(
            "{name}: {} errors, {} warnings, {} notes",
            count(Severity::Error),
            count(Severity::Warning),
            count(Severity::Note)
        );
    }
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Dibas,
    Settings,
    Unknown,
}

/// By its section names: those of `dibas.conf` are upper case, ours are lower case.
fn kind(text: &str) -> FileKind {
    let headers = text.lines().filter_map(|line| line.strip_prefix('[')?.split(']').next());
    for name in headers {
        let dibas = ["DEFAULTS", "HPCMACS", "DEALER"].contains(&name)
            || name.starts_with("BANK")
            || name.contains("MODE");
        if dibas {
            return FileKind::Dibas;
        }
        let table = name.split('.').next().unwrap_or("").trim();
        if ["listen", "player", "shm", "record", "resolve", "dealer", "archon"].contains(&table) {
            return FileKind::Settings;
        }
    }
    let names_a_role =
        text.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim() == "role"));
    if names_a_role { FileKind::Settings } else { FileKind::Unknown }
}

fn check(text: &str, name: &str) -> Vec<Finding> {
    match kind(text) {
        FileKind::Dibas => check_dibas(text, name),
        FileKind::Settings => check_settings(text, name),
        FileKind::Unknown => vec![whole_file(
            "neither a dibas.conf (sections such as [DEFAULTS], [BANKA]) nor an appliance.toml (such as [listen])".into(),
            "this version checks these two kinds of file",
        )],
    }
}

fn check_dibas(text: &str, name: &str) -> Vec<Finding> {
    match Dibas::load(text, name) {
        Ok(dibas) => {
            let rehearsed: Vec<Finding> =
                dibas.modes.iter().flat_map(|mode| rehearse(&dibas, mode)).collect();
            let mut findings = dibas.findings;
            findings.extend(rehearsed);
            findings.sort_by_key(|f| f.line);
            findings
        }
        Err(findings) => findings,
    }
}

/// Lets the mode's engine prepare its defaults on a bank, if there is an engine and a bank.
fn rehearse(dibas: &Dibas, mode: &Mode) -> Vec<Finding> {
    let bank = dibas.banks.iter().find(|b| b.has_roach && b.usable.is_ok());
    let Some(bank) = bank.filter(|_| mode.usable.is_ok() && hbw::MODENAMES.contains(&mode.modename.as_str()))
    else {
        return Vec::new();
    };
    let site = Site { dibas, resolve: &|_| None, dibas_dir: "", data_root: "", reference_rounding: false };
    let finding = |severity, problem| Finding {
        severity,
        line: mode.line,
        section: mode.name.clone(),
        key: "prepare".into(),
        problem,
        remedy: format!("(worked out for {} with default parameters)", bank.name),
    };
    match Engine::new(bank, mode, None, &site).and_then(|engine| engine.prepare()) {
        Ok(prepared) => prepared.warnings.into_iter().map(|text| finding(Severity::Warning, text)).collect(),
        Err(e) => vec![finding(Severity::Error, e.message)],
    }
}

fn check_settings(text: &str, name: &str) -> Vec<Finding> {
    let Err(problem) = settings::load(text, name, &[]) else {
        return Vec::new();
    };
    let problem = problem.strip_prefix(&format!("{name}: ")).unwrap_or(&problem);
    let line = problem.split_once("at line ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    let remedy = "config/appliance.toml shows every key with its default";
    vec![Finding { line: line.unwrap_or(0), ..whole_file(one_line(problem), remedy) }]
}

/// What a TOML error says below the picture of the line, or the whole text.
fn one_line(problem: &str) -> String {
    let below: Vec<&str> = problem.lines().skip_while(|line| !line.contains('^')).skip(1).collect();
    if below.is_empty() { problem.to_owned() } else { below.concat() }
}

/// An error about a file as a whole.
fn whole_file(problem: String, remedy: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        line: 0,
        section: String::new(),
        key: "file".into(),
        problem,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIBAS: &str = include_str!("../../config/dibas.example.conf");
    const SETTINGS: &str = include_str!("../../config/appliance.toml");

    #[test]
    fn content_tells_the_kind() {
        assert_eq!(kind(DIBAS), FileKind::Dibas);
        assert_eq!(kind(SETTINGS), FileKind::Settings);
        assert_eq!(kind("role = \"player\"\n"), FileKind::Settings);
        assert_eq!(kind("[SYSTEM]\nBACKPLANE_TYPE=1\n"), FileKind::Unknown);
    }

    #[test]
    fn our_own_files_are_clean() {
        assert_eq!(check(DIBAS, "dibas.example.conf"), []);
        assert_eq!(check(SETTINGS, "appliance.toml"), []);
    }

    #[test]
    fn errors_carry_line_and_remedy() {
        let found = check("[player]\nsimulat = true\n", "a.toml");
        assert_eq!((found.len(), found[0].line, found[0].severity), (1, 2, Severity::Error));
        let found = check(&DIBAS.replace("hwexposr = 0.000524288", "hwexposr = 1e-9"), "d.conf");
        assert!(found.iter().any(|f| f.key == "prepare" && f.severity == Severity::Error), "{found:?}");
        let found = check(&DIBAS.replace("sg_period = 704643070", "sg_period = 704643068"), "d.conf");
        assert!(found.iter().any(|f| f.problem.contains("sg_period 704643068")), "{found:?}");
        assert_eq!(check("hello", "x")[0].severity, Severity::Error);
    }
}
