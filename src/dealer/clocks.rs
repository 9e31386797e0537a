//! Do the players' clocks agree well enough to arm before the same 1 PPS?
//!
//! A player arms 0.9 s before the second, by its own clock. One that is ahead of the others by more than 0.1 s arms
//! before the pulse of the second *before*, and begins a second early; one that is behind has so much less time for its
//! arm phase. Clocks are compared with their median, ours among them: a proxy that is wrong itself is outvoted.

use super::messages::Index;
use super::roster::Roster;

/// What is said of a clock.
const WARN_NS: i64 = 20_000_000;
/// What keeps a player from starting: certainly ahead by this. 20 ms are left of the 100 that would be a second early.
const AHEAD_MAX_NS: i64 = 80_000_000;
/// Or behind by this: 0.5 s are left of the 0.9 that arming has.
const BEHIND_MAX_NS: i64 = 400_000_000;

/// Clocks that are off: `Err` says why there must be no start, `Ok` what the operator should know.
pub fn compare(players: &[Index], roster: &Roster) -> Result<Vec<String>, String> {
    let known = players.iter().filter_map(|p| Some((*p, roster.seat(*p).clock?)));
    let known: Vec<_> = known.collect();
    let median = median(known.iter().map(|(_, clock)| clock.offset_ns).collect());
    let mut warnings = Vec::new();
    for (player, clock) in known {
        let off = clock.offset_ns - median;
        // Only what is certain counts: a slow round trip proves nothing.
        let least = (off.abs() - clock.uncertainty_ns).max(0);
        let from = if players.len() == 1 { "ours" } else { "the others'" };
        let text = format!(
            "the clock of {} is {:+.1} ms from {from} (+-{:.1} ms)",
            roster.name(player),
            off as f64 / 1e6,
            clock.uncertainty_ns as f64 / 1e6
        );
        if least > if off > 0 { AHEAD_MAX_NS } else { BEHIND_MAX_NS } {
            return Err(format!("not started: {text}; set the clocks right (chronyc tracking)"));
        }
        if least > WARN_NS {
            warnings.push(text);
        }
    }
    if median.abs() > WARN_NS {
        warnings.push(format!(
            "the clock of this host is {:+.1} ms from the players' (chronyc tracking)",
            -median as f64 / 1e6
        ));
    }
    Ok(warnings)
}

/// Of the players' offsets from us and our own, which is 0. With one player there is nobody to outvote us.
fn median(mut offsets: Vec<i64>) -> i64 {
    if offsets.len() < 2 {
        return 0;
    }
    offsets.push(0);
    offsets.sort_unstable();
    let middle = offsets.len() / 2;
    match offsets.len() % 2 {
        0 => (offsets[middle - 1] + offsets[middle]) / 2,
        _ => offsets[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dealer::messages::LinkEvent;
    use crate::units::Now;
    use std::collections::BTreeMap;

    fn judged(offsets_ms: &[i64]) -> Result<Vec<String>, String> {
        let now = Now::default();
        let names: Vec<String> = (0..offsets_ms.len()).map(|n| format!("BANK{n}")).collect();
        let mut roster = Roster::new(&names, &BTreeMap::new(), &[], now).expect("sound");
        for (n, ms) in offsets_ms.iter().enumerate() {
            let clock = LinkEvent::Clock { offset_ns: ms * 1_000_000, uncertainty_ns: 5_000_000 };
            roster.seat_mut(Index(n)).told(clock, now);
        }
        compare(&roster.all().collect::<Vec<_>>(), &roster)
    }

    #[test]
    fn ahead_is_worse_than_behind() {
        assert_eq!(judged(&[0, 0, 10]), Ok(vec![]));
        assert_eq!(
            judged(&[0, 0, 90]).expect_err("a second early is near"),
            "not started: the clock of BANK2 is +90.0 ms from the others' (+-5.0 ms); set the clocks right (chronyc tracking)"
        );
        let warned = judged(&[0, 0, -300]).expect("late is bearable");
        assert_eq!(warned, ["the clock of BANK2 is -300.0 ms from the others' (+-5.0 ms)"]);
        assert!(judged(&[0, 0, -410]).is_err());
    }

    #[test]
    fn what_is_not_certain_is_not_held_against_a_player() {
        assert!(judged(&[0, 0, 84]).is_ok());
        assert!(judged(&[0, 0, 86]).is_err());
    }

    #[test]
    fn two_that_are_apart_are_found_wherever_our_clock_is() {
        assert!(judged(&[300, -300]).is_err());
        assert!(judged(&[300, -300, 0]).is_err());
    }

    #[test]
    fn a_proxy_that_is_wrong_itself_keeps_nobody_from_starting() {
        let warned = judged(&[500, 501, 499]).expect("the players agree");
        assert_eq!(warned, ["the clock of this host is -499.5 ms from the players' (chronyc tracking)"]);
    }

    #[test]
    fn a_single_player_is_compared_with_us() {
        assert!(judged(&[90]).is_err());
        assert_eq!(judged(&[-90]).expect("late").len(), 1);
    }
}
