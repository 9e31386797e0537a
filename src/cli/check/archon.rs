//! Files of the role archon: `archon.yml`, and ACF files held against it and against the limits file.

use super::{File, FileKind, whole_file};
use crate::config::acf::{About, Acf, source_lines};
use crate::config::archon::limits::Limits;
use crate::config::archon::{ArchonConfig, ControllerEntry, HeaderFrom, ReplyOf};
use crate::config::finding::{Finding, Severity};
use std::path::{Path, PathBuf};

/// What the given files say together.
#[derive(Default)]
pub(super) struct Site {
    /// Directory of each `archon.yml`, and what it says.
    configs: Vec<(PathBuf, ArchonConfig)>,
    limits: Limits,
}

impl Site {
    /// From the files that can be used; what is wrong with the others is said when they are checked.
    pub fn of(files: &[File]) -> Site {
        let mut site = Site::default();
        for file in files {
            let Ok(text) = &file.text else { continue };
            match file.kind() {
                FileKind::Archon => {
                    if let Ok((config, _)) = load(text, &file.path) {
                        site.configs.push((directory(&file.path), config));
                    }
                }
                FileKind::Limits => {
                    if let Ok(limits) = Limits::load(text, &file.name) {
                        site.limits.controllers.extend(limits.controllers);
                    }
                }
                _ => {}
            }
        }
        site
    }

    /// ACF files that the configurations name and nobody gave.
    pub fn further_files(&self, given: &[File]) -> Vec<PathBuf> {
        let mut further: Vec<PathBuf> = Vec::new();
        for (dir, config) in &self.configs {
            for path in config.controllers.iter().filter_map(|c| config.acf_file.of(&c.name)) {
                let path = dir.join(path);
                let known = given.iter().any(|f| same_file(&f.path, &path)) || further.contains(&path);
                if !known {
                    further.push(path);
                }
            }
        }
        further
    }

    /// Controllers an ACF file is for: those whose configuration names it, else the only one there is.
    fn controllers_of(&self, path: &Path) -> Vec<(&ArchonConfig, &str)> {
        let all = || {
            self.configs.iter().flat_map(|(dir, config)| {
                config.controllers.iter().map(move |c| (dir, config, c.name.as_str()))
            })
        };
        let names_it = |dir: &Path, config: &ArchonConfig, name: &str| {
            config.acf_file.of(name).is_some_and(|acf| same_file(&dir.join(acf), path))
        };
        let named: Vec<_> = all().filter(|(dir, config, name)| names_it(dir, config, name)).collect();
        let chosen = if named.is_empty() && all().count() == 1 { all().collect() } else { named };
        chosen.into_iter().map(|(_, config, name)| (config, name)).collect()
    }
}

fn directory(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn load(text: &str, path: &Path) -> Result<(ArchonConfig, Vec<Finding>), Vec<Finding>> {
    ArchonConfig::load(text, path, &|name| std::env::var(name).ok())
}

/// `archon.yml`.
pub(super) fn check_config(text: &str, path: &Path) -> Vec<Finding> {
    load(text, path).map_or_else(|findings| findings, |(_, findings)| findings)
}

/// Keywords whose value a module would say that the ACF's [SYSTEM] does not have, or not of that type.
fn header_keys(config: &ArchonConfig, entry: &ControllerEntry, acf: &Acf) -> Vec<Finding> {
    let types: Vec<(&str, &str)> = acf
        .system
        .iter()
        .filter_map(|(key, value)| Some((key.strip_suffix("_TYPE")?, value.as_str())))
        .collect();
    let mut findings = Vec::new();
    for header in &config.header {
        let HeaderFrom::Reply { command, of: ReplyOf::Each(keys) } = &header.from else { continue };
        let ours = keys.iter().filter(|(ccd, _)| entry.detectors.iter().any(|d| d.name == *ccd));
        for (ccd, reply) in ours.filter(|_| command == "status" && !types.is_empty()) {
            let Some((module, name)) = reply.key.split_once('/') else { continue };
            let kind = types
                .iter()
                .find(|(m, _)| m.eq_ignore_ascii_case(module))
                .map_or("0", |(_, kind)| kind.trim());
            let sensor = matches!(name, "tempa" | "tempb" | "tempc");
            let problem = match kind {
                "0" => format!("{} of {ccd}: the ACF has no module {module}", header.key),
                // HEATER and HEATERX.
                kind if sensor && !["5", "11"].contains(&kind) => {
                    format!(
                        "{} of {ccd}: {module} is of type {kind} in the ACF and has no sensors",
                        header.key
                    )
                }
                _ => continue,
            };
            let remedy = format!("correct '{}' under header.{} in archon.yml", reply.key, header.key);
            findings.push(Finding { severity: Severity::Warning, ..whole_file(problem, &remedy) });
        }
    }
    findings
}

/// An ACF file, for each controller it is for.
pub(super) fn check_acf(text: &str, path: &Path, site: &Site) -> Vec<Finding> {
    let (acf, mut findings) = match Acf::parse(text) {
        Ok(parsed) => parsed,
        Err(e) => return vec![Finding { line: e.line, ..whole_file(e.problem, &e.remedy) }],
    };
    let lines = source_lines(text);
    let about = About { lines: Some(&lines), ..About::default() };
    let controllers = site.controllers_of(path);
    if controllers.is_empty() {
        let mut all = site.limits.controllers.values();
        let limits = all.next().filter(|_| all.next().is_none());
        findings.extend(acf.lint(&About { limits, ..about }));
    }
    for (config, name) in controllers {
        let limits = site.limits.controllers.get(name);
        if limits.is_none() && !site.limits.controllers.is_empty() {
            let problem = format!("the limits file has no [controller.{name}]");
            findings.push(Finding {
                severity: Severity::Warning,
                ..whole_file(problem, "no voltage of it is checked")
            });
        }
        let entry = config.controllers.iter().find(|c| c.name == name);
        findings.extend(entry.into_iter().flat_map(|entry| header_keys(config, entry, &acf)));
        let about = About {
            int_param: Some(config.int_param),
            detectors: entry.map(|c| c.detectors.as_slice()),
            limits,
            ..about
        };
        match acf.with_overrides(&config.overrides_for(name)) {
            Ok(acf) => findings.extend(acf.lint(&about)),
            Err(e) => findings.push(whole_file(format!("acf_overrides of {name}: {}", e.problem), &e.remedy)),
        }
    }
    let mut said: Vec<Finding> = Vec::new();
    for finding in findings {
        // Two controllers with one ACF say most things twice.
        if !said.contains(&finding) {
            said.push(finding);
        }
    }
    said.sort_by_key(|f| f.line);
    said
}
