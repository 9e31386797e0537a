//! Golden tests: what the outside world sees, case by case.
//!
//! `cargo test --test golden -- [AREA]`. Reads `tests/golden/<area>/`, or `$APPLIANCE_GOLDEN/<area>/`
//! when that variable names a directory; there the files may have any name, so every area recognises
//! its files by content. A `.json` or `.gz` file that no area can place is a failure, zero cases are a
//! failure, and skipped cases are listed with the reason.

mod archon;
mod arp;
mod backends;
mod board_link;
mod daq;
mod dibas_site;
mod katcp;
mod lbw;
mod modes;
mod report;
mod shm;
mod traces;
mod traces_flag;
mod valon;

use report::{GoldenFile, Report};
use std::path::PathBuf;
use std::process::ExitCode;

/// An area recognises a file and runs its cases, or says `false`: not mine.
type Runner = fn(&GoldenFile, &mut Report) -> bool;

const AREAS: &[(&str, Runner)] =
    &[("katcp", katcp::run), ("shm", shm::run), ("backends", backends::run), ("archon", archon::run)];

fn main() -> ExitCode {
    // The default harness' flags (`--nocapture`, `--quiet`, ...) are accepted and ignored.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|w| !AREAS.iter().any(|(name, _)| name == w)) {
        eprintln!("no golden area '{unknown}'; there are: {}", AREAS.map_names());
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    for (area, run) in AREAS {
        if wanted.is_empty() || wanted.iter().any(|w| w == area) {
            run_area(area, *run, &mut report);
        }
    }
    report.finish()
}

trait Names {
    fn map_names(&self) -> String;
}
impl Names for [(&str, Runner)] {
    fn map_names(&self) -> String {
        self.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ")
    }
}

fn run_area(area: &str, run: Runner, report: &mut Report) {
    let root = match std::env::var_os("APPLIANCE_GOLDEN") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
    };
    let dir = root.join(area);
    let before = report.cases();
    let mut files: Vec<PathBuf> = match std::fs::read_dir(&dir) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
        Err(e) => {
            report.fail(&format!("{area}: {}", dir.display()), &e.to_string());
            return;
        }
    };
    files.sort();
    for path in files {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        if !matches!(extension, "json" | "gz") {
            continue;
        }
        match GoldenFile::read(&path) {
            Ok(file) => {
                if !run(&file, report) {
                    report.fail(&path.display().to_string(), "no area can place this file");
                }
            }
            Err(e) => report.fail(&path.display().to_string(), &e),
        }
    }
    if report.cases() == before {
        report.fail(area, "zero cases");
    }
}
