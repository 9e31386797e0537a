//! Leases on a virtual clock.

use super::*;
use crate::player::methods::BANK;
use crate::units::Utc;
use proptest::prelude::*;

/// 2026-11-21 17:00:00 UTC.
const FIVE: i64 = 1_795_280_400_000_000_000;

fn at(s: u64) -> Now {
    Now { mono: Mono(s * 1_000_000_000), utc: Utc(FIVE) + Duration::from_secs(s) }
}

fn method(name: &str) -> &'static Method {
    BANK.iter().find(|m| m.name == name).expect("in the table")
}

fn held_by_ann(rule: LeaseRule) -> (Leases, String) {
    let mut leases = Leases::new(rule);
    let token = leases.acquire("ann", 3600.0, "commissioning", None, at(0)).expect("free").token;
    (leases, token)
}

fn may(leases: &Leases, name: &str, token: Option<&str>, now: Now) -> bool {
    leases.admit(method(name), token, now).is_ok()
}

#[test]
fn exactly_one_wins_and_the_other_is_told_by_whom_and_until_when() {
    let (mut leases, token) = held_by_ann(LeaseRule::Binding);
    let error = leases.acquire("ben", 60.0, "", None, at(1)).expect_err("held");
    assert_eq!(error.message, "control is with ann (commissioning) until 2026-11-21 18:00:00 UTC");
    let error = leases.admit(method("set_mode"), None, at(1)).expect_err("held");
    assert_eq!(
        error.message,
        "bank.set_mode refused: control is with ann (commissioning) until 2026-11-21 18:00:00 UTC; \
         reads and stop are always allowed"
    );
    assert!(may(&leases, "set_mode", Some(&token), at(1)));
    for name in ["stop", "get_mode", "player_state"] {
        assert!(may(&leases, name, None, at(1)), "{name}");
    }
}

#[test]
fn the_rule_says_who_is_bound() {
    use LeaseRule::*;
    // (rule, no lease while held, another lease while held, no lease while free, an old one while free)
    for (rule, none, other, free, old) in [
        (Cooperative, true, false, true, true),
        (Binding, false, false, true, true),
        (Required, false, false, false, false),
    ] {
        let (leases, token) = held_by_ann(rule);
        assert_eq!(may(&leases, "prepare", None, at(1)), none, "{rule:?}");
        assert_eq!(may(&leases, "prepare", Some("other"), at(1)), other, "{rule:?}");
        assert!(may(&leases, "prepare", Some(&token), at(1)), "{rule:?}");
        assert_eq!(may(&leases, "prepare", None, at(3600)), free, "{rule:?}");
        assert_eq!(may(&leases, "prepare", Some(&token), at(3600)), old, "{rule:?}");
    }
}

#[test]
fn a_lease_ends_on_its_second_and_its_token_is_then_an_old_one() {
    let (mut leases, ann) = held_by_ann(LeaseRule::Cooperative);
    assert_eq!(leases.deadline(), Some(at(3600).mono));
    assert_eq!(leases.expire(at(3599)), None);
    assert!(leases.holder(at(3599)).is_some());
    assert_eq!((leases.holder(at(3600)), leases.describe(at(3600))), (None, Value::Null));
    let ben = leases.acquire("ben", 60.0, "", None, at(3600)).expect("its time is over").token;
    assert_ne!(ann, ben);
    assert!(!may(&leases, "prepare", Some(&ann), at(3601)), "ann does not know that hers has ended: told");
    let error = leases.renew(&ann, 60.0, at(3601)).expect_err("ben's");
    assert_eq!(error.message, "control is with ben until 2026-11-21 18:01:00 UTC");
    assert_eq!(leases.release(&ann, at(3601)), None, "nobody releases what is not theirs");
    assert_eq!(leases.expire(at(3660)).map(|l| l.who), Some("ben".into()));
}

#[test]
fn renewing_and_acquiring_again_keep_the_token() {
    let (mut leases, token) = held_by_ann(LeaseRule::Binding);
    assert_eq!(leases.renew(&token, 7200.0, at(10)).expect("hers").token, token);
    assert_eq!(leases.deadline(), Some(at(7210).mono));
    let again = leases.acquire("ann", 60.0, "set-up", Some(&token), at(20)).expect("hers");
    assert_eq!((again.token.as_str(), again.holder().as_str()), (token.as_str(), "ann (set-up)"));
    assert_eq!(leases.release(&token, at(30)).map(|l| l.who), Some("ann".into()));
    assert_eq!(leases.deadline(), None);
    assert!(leases.renew(&token, 60.0, at(31)).expect_err("released").message.contains("acquire"));
}

#[test]
fn setting_the_wall_clock_moves_the_words_and_not_the_lease() {
    let (leases, _) = held_by_ann(LeaseRule::Binding);
    let now = Now { utc: Utc(FIVE) + Duration::from_secs(7200), ..at(0) };
    let text = leases.describe(now).get("until").map(Value::to_string);
    assert_eq!(text.as_deref(), Some("2026-11-21 20:00:00 UTC"));
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut leases = Leases::new(LeaseRule::Binding);
    for (who, seconds, purpose) in [
        ("", 60.0, ""),
        ("a\nb", 60.0, ""),
        (&"x".repeat(65), 60.0, ""),
        ("ann", 0.0, ""),
        ("ann", 86_401.0, ""),
        ("ann", f64::NAN, ""),
        ("ann", -5.0, ""),
        ("ann", 60.0, &"x".repeat(201)),
    ] {
        let error = leases.acquire(who, seconds, purpose, None, at(0)).expect_err(who);
        assert_eq!(error.class, crate::api::ErrorClass::ValueError);
        assert_eq!(leases.deadline(), None);
    }
}

proptest! {
    /// Whatever three clients do: at most one of them may write, and it is the one that was told so last.
    #[test]
    fn never_two_holders(steps in proptest::collection::vec((0usize..3, 0u8..4, 1u64..40), 1..60)) {
        let mut leases = Leases::new(LeaseRule::Required);
        let mut tokens: [Option<String>; 3] = Default::default();
        let mut time = 0;
        for (client, what, s) in steps {
            time += s;
            let now = at(time);
            let mine = tokens[client].clone();
            match what {
                0 => if let Ok(lease) = leases.acquire("c", s as f64, "", mine.as_deref(), now) {
                    tokens[client] = Some(lease.token);
                },
                1 => if let Some(token) = &mine {
                    let _ = leases.renew(token, s as f64, now);
                },
                2 => if let Some(token) = &mine {
                    let _ = leases.release(token, now);
                },
                _ => drop(leases.expire(now)),
            }
            let may = |t: &Option<String>| t.as_deref().is_some_and(|t| may(&leases, "prepare", Some(t), now));
            let allowed = tokens.iter().filter(|t| may(t)).count();
            prop_assert_eq!(allowed, usize::from(leases.holder(now).is_some()));
        }
    }
}
