//! Which bank this host plays.

use crate::config::dibas::{Bank, Dibas};

/// The bank of this name (any case), or the one whose `hpchost` is this host: equal first (with or without
/// domain), else the only one where one name contains the other. A simulation without a name takes the first.
pub fn choose<'a>(dibas: &'a Dibas, name: &str, host: &str, simulate: bool) -> Result<&'a Bank, String> {
    let names = || dibas.banks.iter().map(|b| b.name.as_str()).collect::<Vec<_>>().join(", ");
    if !name.is_empty() {
        let wanted = name.to_ascii_uppercase();
        return dibas
            .banks
            .iter()
            .find(|b| b.name.to_ascii_uppercase() == wanted)
            .ok_or_else(|| format!("{}: there is no bank {wanted}; there are: {}", dibas.path, names()));
    }
    let short = |h: &str| h.split('.').next().unwrap_or("").to_ascii_lowercase();
    let own = short(host);
    let equal: Vec<&Bank> = dibas.banks.iter().filter(|b| short(&b.hpc_host) == own).collect();
    let alike = || {
        dibas.banks.iter().filter(|b| {
            let theirs = short(&b.hpc_host);
            !theirs.is_empty() && !own.is_empty() && (theirs.contains(&own) || own.contains(&theirs))
        })
    };
    let found = if equal.is_empty() { alike().collect() } else { equal };
    match found[..] {
        [bank] => Ok(bank),
        [] if simulate => dibas.banks.first().ok_or_else(|| format!("{}: there is no bank", dibas.path)),
        [] => Err(format!(
            "{}: no bank has hpchost = {host}; say which bank this is: --set player.bank=NAME (there are: {})",
            dibas.path,
            names()
        )),
        _ => Err(format!(
            "{}: several banks could be host {host} ({}); say which: --set player.bank=NAME",
            dibas.path,
            found.iter().map(|b| b.name.as_str()).collect::<Vec<_>>().join(", ")
        )),
    }
}
