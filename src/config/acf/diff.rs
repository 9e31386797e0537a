//! Differences of two configurations.

use super::family::family;
use super::keys::normal;
use super::tables::assignment;
use super::{Acf, Difference, Family};
use std::collections::{HashMap, HashSet};

impl Acf {
    /// What changes from this configuration to `other`: keys of this in their order, then new ones. Order of lines does
    /// not count, nor does the case of keys; values are compared as they are.
    ///
    /// A constant or parameter that a bias, clock or heater value names changes that value: it is of its family.
    pub fn diff(&self, other: &Acf) -> Vec<Difference> {
        let (old, new) = (by_key(self), by_key(other));
        let mut users = voltages_by_name(self);
        users.extend(voltages_by_name(other));
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for line in self.lines.iter().chain(&other.lines).filter(|line| !line.key.is_empty()) {
            let key = normal(&line.key);
            let (before, after) = (old.get(&key).copied(), new.get(&key).copied());
            if before == after || !seen.insert(key) {
                continue;
            }
            let names = [before, after].into_iter().flatten().filter_map(assignment);
            let through = names.filter_map(|(name, _)| users.get(&name.to_ascii_uppercase())).min();
            let own = family(&line.key);
            found.push(Difference {
                key: line.key.clone(),
                old: before.map(str::to_owned),
                new: after.map(str::to_owned),
                family: if own == Family::Timing { through.copied().unwrap_or(own) } else { own },
            });
        }
        found
    }
}

/// Values by key; of duplicates the last counts.
fn by_key(acf: &Acf) -> HashMap<String, &str> {
    let named = acf.lines.iter().filter(|line| !line.key.is_empty());
    named.map(|line| (normal(&line.key), line.value.as_str())).collect()
}

/// Upper-case names that appear in values of bias, clock and heater keys.
fn voltages_by_name(acf: &Acf) -> HashMap<String, Family> {
    let mut users = HashMap::new();
    for line in &acf.lines {
        let family = family(&line.key);
        let is_name = line.key.to_ascii_uppercase().ends_with("/NAME");
        if !matches!(family, Family::Bias | Family::Clock | Family::Heater) || is_name {
            continue;
        }
        let words = line.value.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')) {
            let known: &mut Family = users.entry(word.to_ascii_uppercase()).or_insert(family);
            *known = (*known).min(family);
        }
    }
    users
}
