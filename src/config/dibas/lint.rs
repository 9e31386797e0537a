//! Looks at the whole file: what no single section can know.
//!
//! Nothing here changes a value; it may make a mode unusable only where the site could not work.

use super::load::{Loaded, Role, keys_of, role};
use super::{BEAMFORMERS, Dibas, Finding, Mode, PhaseStep, Severity, mode};
use crate::config::suggest;
use crate::proto::dibas_conf::{Document, Section};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Families smaller than this say nothing about what their members have in common.
const FAMILY_MIN: usize = 4;

/// Adds all remarks.
pub fn run(loaded: &Loaded, dibas: &mut Dibas) {
    let mut findings = Vec::new();
    findings.extend(repeats(loaded.document));
    for section in &loaded.document.sections {
        findings.extend(keys_without_effect(loaded, section));
    }
    findings.extend(defaults(loaded.document, dibas));
    findings.extend(players(loaded.document, dibas));
    findings.extend(macs(loaded.document, dibas));
    for m in &dibas.modes {
        findings.extend(one_mode(loaded.document, dibas, m));
    }
    findings.extend(rare_registers(loaded.document, &dibas.modes));
    findings.extend(odd_ones_out(&dibas.modes));
    dibas.findings.extend(findings);
    refuse_codd_without_banks(dibas);
}

/// Starts a finding on `section.key`, at the line of the key (or of the header).
fn at(
    document: &Document,
    section: &str,
    key: &str,
    severity: Severity,
    problem: String,
    remedy: &str,
) -> Finding {
    let found = document.section(section);
    let line = found.map_or(0, |s| s.entry(key).map_or(s.line, |e| e.line));
    Finding { severity, line, section: section.into(), key: key.into(), problem, remedy: remedy.into() }
}

fn repeats(document: &Document) -> Vec<Finding> {
    let finding = |r: &crate::proto::dibas_conf::Repeat| {
        let kept = document.section(&r.section).and_then(|s| s.entry(&r.key)).map(|e| e.value.as_str());
        let same = kept == Some(r.earlier_value.as_str());
        Finding {
            severity: if same { Severity::Note } else { Severity::Warning },
            line: r.line,
            section: r.section.clone(),
            key: r.key.clone(),
            problem: if same {
                format!("given again with the same value (first on line {})", r.earlier_line)
            } else {
                format!("given again; '{}' on line {} has no effect", r.earlier_value, r.earlier_line)
            },
            remedy: "keep one of the two".into(),
        }
    };
    let reopened = document.sections.iter().flat_map(|s| s.reopened.iter().map(move |line| (s, *line)));
    let merged = reopened.map(|(s, line)| Finding {
        severity: Severity::Warning,
        line,
        section: s.name.clone(),
        key: String::new(),
        problem: format!("the section was opened on line {} already; both are merged", s.line),
        remedy: "keep one section of this name".into(),
    });
    document.repeats.iter().map(finding).chain(merged).collect()
}

fn keys_without_effect(loaded: &Loaded, section: &Section) -> Vec<Finding> {
    let Some(known) = keys_of(role(&section.name)) else {
        return Vec::new();
    };
    let none = BTreeSet::new();
    let used = loaded.used.get(&section.name).unwrap_or(&none);
    let mut findings = Vec::new();
    for entry in &section.entries {
        let key = entry.key.as_str();
        let listed_only = role(&section.name) == Role::Mode && mode::LISTED_ONLY.contains(&key);
        let listed = listed_keys(section).contains(key);
        let (severity, problem) = match () {
            () if listed => continue,
            () if listed_only => {
                (Severity::Note, "has no effect unless shmkeys or roach_reg_keys lists it".to_owned())
            }
            () if key == "hpc_fifo_name" => (
                Severity::Note,
                "required by the old Player, but never used: the program is commanded on its standard input"
                    .to_owned(),
            ),
            () if used.contains(key) || known.contains(&key) => continue,
            () => match suggest::closest(key, known.iter().copied()) {
                Some(near) => (Severity::Warning, format!("nothing reads this key; did you mean '{near}'?")),
                None => (Severity::Note, "nothing reads this key and no key list names it".to_owned()),
            },
        };
        findings.push(at(
            loaded.document,
            &section.name,
            key,
            severity,
            problem,
            "remove it, or add it to a key list",
        ));
    }
    findings
}

/// Lower-case names in `shmkeys` and `roach_reg_keys`.
fn listed_keys(section: &Section) -> BTreeSet<String> {
    let lists = ["shmkeys", "roach_reg_keys"].into_iter().filter_map(|key| section.entry(key));
    lists.flat_map(|e| super::text::list(&e.value)).map(|name| name.to_ascii_lowercase()).collect()
}

fn defaults(document: &Document, dibas: &Dibas) -> Vec<Finding> {
    let mut findings = Vec::new();
    if dibas.bank(&dibas.who_is_master).is_none() && !dibas.who_is_master.is_empty() {
        let names = dibas.banks.iter().map(|b| b.name.as_str());
        let problem =
            format!("no bank '{}'{}", dibas.who_is_master, suggest::hint(&dibas.who_is_master, names));
        let remedy = "write the section name of a bank; no bank is switching master now";
        findings.push(at(document, "DEFAULTS", "who_is_master", Severity::Warning, problem, remedy));
    }
    if dibas.player_port.is_none() {
        let problem = "missing: a Player started without a bank name has only its bank's port".to_owned();
        findings.push(at(
            document,
            "DEFAULTS",
            "player_port",
            Severity::Note,
            problem,
            "add 'player_port = 6667'",
        ));
    }
    findings
}

fn players(document: &Document, dibas: &Dibas) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in dibas.dealer_players.iter().filter(|name| dibas.bank(name).is_none()) {
        let hint = suggest::hint(name, dibas.banks.iter().map(|b| b.name.as_str()));
        let problem = format!("no bank '{name}'{hint}");
        findings.push(at(
            document,
            "DEALER",
            "players",
            Severity::Warning,
            problem,
            "list section names of banks",
        ));
    }
    let mut seen: BTreeMap<(String, u16), &str> = BTreeMap::new();
    for bank in &dibas.banks {
        if let Some(other) = seen.insert((bank.hpc_host.clone(), bank.player_port), &bank.name) {
            let problem = format!("{}:{} is the Player of {other} too", bank.hpc_host, bank.player_port);
            let remedy = "two Players on a host need two ports";
            findings.push(at(document, &bank.name, "player_port", Severity::Warning, problem, remedy));
        }
    }
    findings
}

fn macs(document: &Document, dibas: &Dibas) -> Vec<Finding> {
    let has_mac = |host: &str| dibas.hpc_macs.iter().any(|m| m.host.eq_ignore_ascii_case(host));
    let has_bank =
        |host: &str| dibas.banks.iter().any(|b| b.data_destination_host.eq_ignore_ascii_case(host));
    let unknown = dibas
        .banks
        .iter()
        .filter(|b| !b.data_destination_host.is_empty() && !has_mac(&b.data_destination_host));
    let unknown = unknown.map(|b| {
        let problem =
            format!("'{}' is not in [HPCMACS]; the ROACH cannot send to it", b.data_destination_host);
        at(
            document,
            &b.name,
            "data_destination_host",
            Severity::Warning,
            problem,
            "add the host with its MAC address",
        )
    });
    let idle = dibas.hpc_macs.iter().filter(|m| !has_bank(&m.host));
    let idle =
        idle.map(|m| m.remark(Severity::Note, "no bank sends to this host", "remove it, or add its bank"));
    unknown.chain(idle).collect()
}

fn one_mode(document: &Document, dibas: &Dibas, mode: &Mode) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |key: &str, severity, problem: String, remedy: &str| {
        findings.push(at(document, &mode.name, key, severity, problem, remedy));
    };
    let legal = |b: &&super::Bank| b.has_roach && !b.filter_bits.iter().any(|(bw, _)| *bw == mode.filter_bw);
    for bank in dibas.banks.iter().filter(legal) {
        let problem = format!("{} MHz is not a filter of {}", mode.filter_bw, bank.name);
        add("filter_bw", Severity::Warning, problem, "see filter_bandwidth_bits of the bank");
    }
    if let Some((_, telescope)) = mode.shm_keys.iter().find(|(k, _)| k == "TELESCOP")
        && *telescope != dibas.telescope
    {
        let problem = format!("'{telescope}' here, but [DEFAULTS] telescope is '{}'", dibas.telescope);
        add("telescop", Severity::Warning, problem, "data of this mode carry the name given here");
    }
    if mode.postarm_phase.is_empty()
        && !mode.reset_phase.is_empty()
        && has_empty(document, mode, "postarm_phase")
    {
        let problem =
            "the old Player never ran this phase (its loader empties it when postarm_phase is empty)";
        add("reset_phase", Severity::Note, problem.into(), "we run it as written");
    }
    if mode.modename == "l1/lbw1" && mode.gain.len() > 1 {
        let problem = format!("{} values, but this engine uses the first only", mode.gain.len());
        add("gain", Severity::Note, problem, "keep one");
    }
    for (key, register, value) in flag_words(mode) {
        let problem = format!("'{register}' is written 0 and 1, and once {value}");
        add(key, Severity::Note, problem, "check that a value other than 0 or 1 is meant");
    }
    if mode.modename.starts_with("guppi-") && mode.needed_arm_delay < GUPPI_ARM_DELAY_MIN {
        let problem = format!("{} s leave no time to wait for packets", mode.needed_arm_delay.as_secs());
        let remedy = "write 3 or more: NETSTAT must say 'receiving' 1.5 s before the board is armed, or the start fails";
        add("needed_arm_delay", Severity::Warning, problem, remedy);
    }
    let engines = || ENGINES.iter().chain(&BEAMFORMERS).copied();
    if !engines().any(|name| name == mode.modename) && !mode.modename.is_empty() {
        let hint = suggest::hint(&mode.modename, engines());
        let problem = format!("no engine is called '{}'{hint}", mode.modename);
        add("modename", Severity::Warning, problem, "set_mode will refuse this mode");
    }
    findings
}

/// A start in a GUPPI mode waits for the first packets until 1.5 s before the board is armed; this leaves half a second.
const GUPPI_ARM_DELAY_MIN: Duration = Duration::from_secs(2);

/// Every `MODENAME` the old Player knew, lower case, but for those of the beamformer.
const ENGINES: &[&str] = &["h1k", "h16k", "l1/lbw1", "l8/lbw1", "l8/lbw8", "guppi-inco", "guppi-codd"];

fn has_empty(document: &Document, mode: &Mode, key: &str) -> bool {
    document.section(&mode.name).and_then(|s| s.entry(key)).is_some_and(|e| e.value.is_empty())
}

fn phases(mode: &Mode) -> [(&'static str, &[PhaseStep]); 3] {
    [
        ("reset_phase", &mode.reset_phase),
        ("arm_phase", &mode.arm_phase),
        ("postarm_phase", &mode.postarm_phase),
    ]
}

fn writes(steps: &[PhaseStep]) -> impl Iterator<Item = (&str, u32)> {
    steps.iter().filter_map(|step| match step {
        PhaseStep::Write { register, value } => Some((register.as_str(), *value)),
        PhaseStep::Wait(_) => None,
    })
}

/// Registers that a phase writes 0 and 1, and another value besides.
fn flag_words(mode: &Mode) -> Vec<(&'static str, String, u32)> {
    let mut found = Vec::new();
    for (key, steps) in phases(mode) {
        let wrote = |register: &str, value: u32| writes(steps).any(|w| w == (register, value));
        let odd = writes(steps).filter(|(r, v)| *v > 1 && wrote(r, 0) && wrote(r, 1));
        found.extend(odd.map(|(r, v)| (key, r.to_owned(), v)));
    }
    found
}

/// A register written in one mode only, whose name is one edit away from a common one: a typo.
fn rare_registers(document: &Document, modes: &[Mode]) -> Vec<Finding> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for mode in modes {
        for (register, _) in phases(mode).into_iter().flat_map(|(_, steps)| writes(steps)) {
            users.entry(register).or_default().insert(&mode.name);
        }
    }
    let common = |name: &str| {
        users.iter().find(|(r, by)| by.len() > 1 && suggest::edits(r, name) == 1).map(|(r, _)| *r)
    };
    let mut findings = Vec::new();
    for mode in modes {
        for (key, steps) in phases(mode) {
            for (register, _) in writes(steps).filter(|(r, _)| users[r].len() == 1) {
                if let Some(near) = common(register) {
                    let problem = format!("no other mode writes '{register}'; did you mean '{near}'?");
                    let remedy = "correct the name; a write to an unknown register fails";
                    findings.push(at(document, &mode.name, key, Severity::Warning, problem, remedy));
                }
            }
        }
    }
    findings
}

/// A status key that all modes of a backend publish, but one.
fn odd_ones_out(modes: &[Mode]) -> Vec<Finding> {
    let mut families: BTreeMap<&str, Vec<&Mode>> = BTreeMap::new();
    for mode in modes {
        families.entry(&mode.backend).or_default().push(mode);
    }
    let mut findings = Vec::new();
    for (backend, family) in families.iter().filter(|(_, f)| f.len() >= FAMILY_MIN) {
        let keys: BTreeSet<&str> =
            family.iter().flat_map(|m| m.shm_keys.iter().map(|(k, _)| k.as_str())).collect();
        for key in keys {
            let without: Vec<_> =
                family.iter().filter(|m| !m.shm_keys.iter().any(|(k, _)| k == key)).collect();
            if let [mode] = without.as_slice() {
                findings.push(Finding {
                    severity: Severity::Warning,
                    line: mode.line,
                    section: mode.name.clone(),
                    key: "shmkeys".into(),
                    problem: format!("the only {backend} mode that does not publish '{key}'"),
                    remedy: "add it to shmkeys, with its value".into(),
                });
            }
        }
    }
    findings
}

/// A CODD mode needs the sections of all its banks.
fn refuse_codd_without_banks(dibas: &mut Dibas) {
    let banks: BTreeMap<String, bool> = dibas.banks.iter().map(|b| (b.name.clone(), b.has_roach)).collect();
    for mode in &mut dibas.modes {
        let Some(cdd) = mode.cdd.as_ref().filter(|_| mode.usable.is_ok()) else {
            continue;
        };
        let absent = cdd.hpcs.iter().find(|name| !banks.contains_key(*name));
        let problem = match absent {
            Some(name) => format!("No dest_ip/dest_port information for cdd Bank {name}"),
            None if banks.get(&cdd.master) == Some(&false) => {
                format!("cdd_master_hpc {} has no ROACH", cdd.master)
            }
            None => continue,
        };
        mode.usable = Err(problem.clone());
        dibas.findings.push(Finding {
            severity: Severity::Error,
            line: mode.line,
            section: mode.name.clone(),
            key: "cdd_hpcs".into(),
            problem,
            remedy: "name banks that have a section; the master needs has_roach = true".into(),
        });
    }
}
