//! The node that is meant when nobody says: the first on this computer that listens at its usual port.

use super::target::Target;
use crate::sys::stream::Stream;
use std::time::Duration;

/// Player, dealer proxy, CCD host: where each speaks JSON unless its configuration says otherwise.
pub const USUAL: [&str; 3] = ["tcp://127.0.0.1:6667", "tcp://127.0.0.1:6668", "tcp://127.0.0.1:6669"];
/// Connecting within this computer takes no longer.
const WITHIN: Duration = Duration::from_secs(1);

/// The target that was given, or the first usual one where something listens.
///
/// # Errors
/// Nothing listens at any of them.
pub fn or_usual(given: Option<&Target>) -> Result<Target, String> {
    let listens = |target: &Target| match target {
        Target::Json(at) => at.resolve().and_then(|a| Stream::connect_tcp(&a, || Some(WITHIN))).is_ok(),
        Target::Rpc(_) | Target::Unix(_) => false,
    };
    let usual = || USUAL.iter().filter_map(|text| text.parse::<Target>().ok()).find(listens);
    given.cloned().or_else(usual).ok_or_else(|| {
        format!("no node listens on this computer at its usual port ({}): give a TARGET, or start one; `appliance shm status` shows status memory without a node", USUAL.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ones_are_targets_and_what_is_given_counts() {
        assert!(USUAL.iter().all(|text| matches!(text.parse(), Ok(Target::Json(_)))));
        let given: Target = "unix:/run/x.sock".parse().expect("a target");
        assert_eq!(or_usual(Some(&given)), Ok(given));
    }
}
