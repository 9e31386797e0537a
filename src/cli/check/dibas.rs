//! `dibas.conf`: what the reader says, and what the engines say about each mode's defaults.

use crate::config::dibas::{Dibas, Finding, Mode, Severity};
use crate::player::engine::{self, Engine, Site};

/// Everything there is to say.
pub(super) fn check(text: &str, name: &str) -> Vec<Finding> {
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
    let Some(bank) = bank.filter(|_| mode.usable.is_ok() && engine::exists_for(&mode.modename)) else {
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
