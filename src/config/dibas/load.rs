//! From the document to a [`Dibas`]: sorts the sections and reads the common ones.

use super::reader::{Need, Reader, Verdict};
use super::{Bank, Dibas, Finding, HpcMac, Mode, Severity, bank, beamformer, lint, mode, text};
use crate::config::suggest;
use crate::proto::dibas_conf::{self, Document, Section};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

const DEFAULTS: &str = "DEFAULTS";
const HPCMACS: &str = "HPCMACS";
const DEALER: &str = "DEALER";
/// Sections that must be sound for anything to work.
const ESSENTIAL: &[&str] = &[DEFAULTS, HPCMACS];

/// Keys with a meaning in `[DEFAULTS]`.
const DEFAULTS_KEYS: &[&str] = &["telescope", "who_is_master", "player_port"];

/// 48 bits.
const MAC_MAX: u64 = (1 << 48) - 1;
/// Lowest bit of the first byte on the wire: group address.
const MAC_MULTICAST: u64 = 1 << 40;

/// What a section is, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Defaults,
    HpcMacs,
    Dealer,
    Bank,
    Mode,
    Fallback,
    Unknown,
}

/// Banks start with `BANK`; modes contain `MODE` but not `BANK`.
pub fn role(name: &str) -> Role {
    match name {
        DEFAULTS => Role::Defaults,
        HPCMACS => Role::HpcMacs,
        DEALER => Role::Dealer,
        "DEFAULT" => Role::Fallback,
        n if n.starts_with("BANK") => Role::Bank,
        n if n.contains("MODE") && !n.contains("BANK") => Role::Mode,
        _ => Role::Unknown,
    }
}

/// Everything that was found out while reading, for [`lint`].
pub struct Loaded<'a> {
    /// The sections as written.
    pub document: &'a Document,
    /// Lower-case keys read, by section name.
    pub used: BTreeMap<String, BTreeSet<String>>,
}

/// See [`Dibas::load`].
pub fn load(text: &str, path: &str) -> Result<Dibas, Vec<Finding>> {
    let document = dibas_conf::parse(text).map_err(syntax_findings)?;
    let mut dibas = Dibas {
        path: path.to_owned(),
        telescope: String::new(),
        who_is_master: String::new(),
        player_port: None,
        hpc_macs: Vec::new(),
        dealer_players: Vec::new(),
        banks: Vec::new(),
        modes: Vec::new(),
        findings: Vec::new(),
        hash: format!("{:016x}", fnv1a(text.as_bytes())),
    };
    let mut loaded = Loaded { document: &document, used: BTreeMap::new() };
    for name in ESSENTIAL.iter().filter(|name| document.section(name).is_none()) {
        dibas.findings.push(missing_section(name));
    }
    for section in &document.sections {
        let verdict = read_section(&document, section, &mut dibas);
        dibas.findings.extend(verdict.findings);
        loaded.used.insert(section.name.clone(), verdict.used);
    }
    lint::run(&loaded, &mut dibas);
    dibas.findings.sort_by_key(|f| (f.line, f.severity));
    let broken = |f: &Finding| f.severity == Severity::Error && ESSENTIAL.contains(&f.section.as_str());
    if dibas.findings.iter().any(broken) { Err(dibas.findings) } else { Ok(dibas) }
}

fn read_section(document: &Document, section: &Section, dibas: &mut Dibas) -> Verdict {
    match role(&section.name) {
        Role::Defaults => read_defaults(Reader::new(document, section), dibas),
        Role::HpcMacs => read_hpc_macs(Reader::new(document, section), section, dibas),
        Role::Dealer => read_dealer(Reader::new(document, section), dibas),
        Role::Bank => {
            let (bank, verdict): (Bank, Verdict) = bank::read(document, section);
            dibas.banks.push(bank);
            verdict
        }
        Role::Mode => {
            let (mode, verdict): (Mode, Verdict) = mode::read(document, section);
            dibas.modes.push(mode);
            verdict
        }
        Role::Fallback => Reader::new(document, section).finish(),
        Role::Unknown => {
            let mut reader = Reader::new(document, section);
            let hint = suggest::hint(&section.name, [DEFAULTS, HPCMACS, DEALER]);
            reader.remark(
                Severity::Warning,
                "",
                format!("nothing reads this section{hint}"),
                "remove it, or correct the name",
            );
            reader.finish()
        }
    }
}

fn read_defaults(mut r: Reader, dibas: &mut Dibas) -> Verdict {
    dibas.telescope = r.required("telescope");
    dibas.who_is_master = r.required("who_is_master");
    dibas.player_port = r.port("player_port", Need::Optional);
    r.finish()
}

fn read_hpc_macs(mut r: Reader, section: &Section, dibas: &mut Dibas) -> Verdict {
    for entry in &section.entries {
        let wanted = "a MAC address such as 0x000F530CA600";
        let Some(mac) = r.typed(&entry.key, Need::Required, wanted, text::mac) else {
            continue;
        };
        if mac > MAC_MAX || mac & MAC_MULTICAST != 0 {
            let why = if mac > MAC_MAX { "has more than 48 bits" } else { "is a multicast address" };
            r.refuse(
                &entry.key,
                format!("'{}' {why}", entry.value),
                "write the MAC of the host's 10 GbE port",
            );
            continue;
        }
        dibas.hpc_macs.push(HpcMac { host: entry.key.clone(), mac, line: entry.line });
    }
    let clashes = clashing_quads(&dibas.hpc_macs);
    for (host, octet) in clashes {
        let problem = format!("another host has the last octet {octet} already");
        r.refuse(&host, problem, "the ARP table has one entry per last octet: give the host another address");
    }
    r.finish()
}

/// Dotted quads whose last octet an earlier one has; names can only be checked once resolved.
fn clashing_quads(macs: &[HpcMac]) -> Vec<(String, u8)> {
    let mut seen = BTreeSet::new();
    let quads = macs.iter().filter_map(|m| Some((m, m.host.parse::<Ipv4Addr>().ok()?.octets()[3])));
    quads.filter(|(_, octet)| !seen.insert(*octet)).map(|(m, octet)| (m.host.clone(), octet)).collect()
}

fn read_dealer(mut r: Reader, dibas: &mut Dibas) -> Verdict {
    let players = r.text("players", Need::Optional).unwrap_or_default();
    dibas.dealer_players = players
        .split(|c: char| c == ',' || c.is_whitespace())
        .map(|name| name.trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if dibas.dealer_players.is_empty() {
        r.remark(
            Severity::Warning,
            "players",
            "no players are listed",
            "list the banks, as in 'players = BANKA, BANKB'",
        );
    }
    r.finish()
}

/// Keys with a meaning in a section of this role; `None` where any key is right.
pub fn keys_of(role: Role) -> Option<Vec<&'static str>> {
    match role {
        Role::Defaults => Some(DEFAULTS_KEYS.to_vec()),
        Role::Dealer => Some(vec!["players"]),
        Role::Bank => Some([bank::KEYS, &beamformer::BANK_KEYS].concat()),
        Role::Mode => Some([mode::KEYS, mode::LISTED_ONLY].concat()),
        Role::HpcMacs | Role::Fallback | Role::Unknown => None,
    }
}

fn syntax_findings(errors: Vec<dibas_conf::SyntaxError>) -> Vec<Finding> {
    let finding = |e: dibas_conf::SyntaxError| Finding {
        severity: Severity::Error,
        line: e.line,
        section: String::new(),
        key: "syntax".to_owned(),
        problem: e.rule.to_string(),
        remedy: "correct the line, or start it with '#'".to_owned(),
    };
    errors.into_iter().map(finding).collect()
}

fn missing_section(name: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        line: 0,
        section: name.to_owned(),
        key: String::new(),
        problem: "the section is required".to_owned(),
        remedy: format!("add a section [{name}]"),
    }
}

/// FNV-1a, 64 bits: stable across versions and machines; detects change, proves nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
