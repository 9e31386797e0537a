//! What a simulated player does wrong, on request; written on the command line as `[PLAYER/]name=value`.

use crate::sim::packets::spectra::SplitMix;
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Every answer comes so much later, between these.
    Delay(Duration, Duration),
    /// Done, but never answered.
    Silent(Which),
    /// Not done; the answer is `[false, text]`.
    Refuse(Which),
    /// Not done; the answer is an error.
    Raise(Which),
    /// Not done; the connection it came on ends.
    Kill(Which),
}

/// Which calls: a method's, or any (`*`); all of them, or the K-th counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Which {
    method: String,
    only: Option<u64>,
}

/// One fault, of one player or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    player: Option<String>,
    what: What,
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let (player, rest) = match text.split_once('/') {
            Some((player, rest)) => (Some(player.to_owned()), rest),
            None => (None, text),
        };
        let known = "there are delay=MS, delay=LOW-HIGH, silent=METHOD[:K], refuse=METHOD[:K], raise=METHOD[:K], \
                     kill=METHOD[:K] (METHOD may be *), each for one player as PLAYER/FAULT";
        let bad = || format!("'{text}' is no fault; {known}");
        let (name, value) = rest.split_once('=').ok_or_else(bad)?;
        let what = match name {
            "delay" => delay(value),
            "silent" => which(value).map(What::Silent),
            "refuse" => which(value).map(What::Refuse),
            "raise" => which(value).map(What::Raise),
            "kill" => which(value).map(What::Kill),
            _ => None,
        };
        Ok(Fault { player, what: what.ok_or_else(bad)? })
    }
}

fn delay(text: &str) -> Option<What> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let ms = |t: &str| t.parse().ok().map(Duration::from_millis);
    let (low, high) = (ms(low)?, ms(high)?);
    (low <= high).then_some(What::Delay(low, high))
}

fn which(text: &str) -> Option<Which> {
    let (method, only) = match text.split_once(':') {
        Some((method, k)) => (method, Some(k.parse().ok().filter(|k| *k > 0)?)),
        None => (text, None),
    };
    (!method.is_empty()).then(|| Which { method: method.to_owned(), only })
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing is wrong.
    Fine,
    Silent,
    Refused,
    Raised,
    Killed,
}

/// The faults of one player, and how often each has been looked for.
#[derive(Debug)]
pub(super) struct Faults {
    delay: Option<(Duration, Duration)>,
    of_calls: Vec<(Which, Fate, u64)>,
    random: SplitMix,
}

impl Faults {
    /// Those of `all` that are this player's.
    pub(super) fn of(player: &str, all: &[Fault], seed: u64) -> Faults {
        let mut faults = Faults { delay: None, of_calls: Vec::new(), random: SplitMix(seed) };
        for fault in all.iter().filter(|f| f.player.as_deref().is_none_or(|name| name == player)) {
            let mut add = |which: &Which, fate| faults.of_calls.push((which.clone(), fate, 0));
            match &fault.what {
                What::Delay(low, high) => faults.delay = Some((*low, *high)),
                What::Silent(which) => add(which, Fate::Silent),
                What::Refuse(which) => add(which, Fate::Refused),
                What::Raise(which) => add(which, Fate::Raised),
                What::Kill(which) => add(which, Fate::Killed),
            }
        }
        faults
    }

    /// A call has come. The fault named first counts.
    pub(super) fn fate_of(&mut self, method: &str) -> Fate {
        let mut fate = Fate::Fine;
        for (which, its, seen) in &mut self.of_calls {
            if which.method != "*" && which.method != method {
                continue;
            }
            *seen += 1;
            if fate == Fate::Fine && which.only.is_none_or(|k| k == *seen) {
                fate = *its;
            }
        }
        fate
    }

    /// How much later the next answer comes.
    pub(super) fn delay(&mut self) -> Duration {
        let Some((low, high)) = self.delay else { return Duration::ZERO };
        low + (high - low).mul_f64(self.random.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(all: &[&str]) -> Faults {
        let all: Vec<Fault> = all.iter().map(|t| t.parse().expect("a fault")).collect();
        Faults::of("SIM01", &all, 1)
    }

    #[test]
    fn a_fault_is_of_a_player_a_method_and_a_time() {
        let mut faults = faults(&["SIM02/kill=*", "refuse=start:2", "SIM01/silent=stop"]);
        let fates = ["start", "start", "start", "stop", "stop"].map(|m| faults.fate_of(m));
        assert_eq!(fates, [Fate::Fine, Fate::Refused, Fate::Fine, Fate::Silent, Fate::Silent]);
    }

    #[test]
    fn delays_are_within_their_bounds_and_repeat() {
        let draw = || {
            let mut faults = faults(&["delay=5-20"]);
            [(); 50].map(|()| faults.delay())
        };
        assert!(draw().iter().all(|d| (5..20).contains(&d.as_millis())), "{:?}", draw());
        assert_eq!(draw(), draw());
        assert_eq!(faults(&[]).delay(), Duration::ZERO);
        assert_eq!(faults(&["delay=3"]).delay(), Duration::from_millis(3));
    }

    #[test]
    fn what_is_no_fault_is_told_what_there_is() {
        for text in ["delay", "delay=x", "delay=9-3", "kill=", "kill=start:0", "SIM01/", "lost=start"] {
            let why = text.parse::<Fault>().expect_err(text);
            assert!(why.starts_with(&format!("'{text}' is no fault")) && why.contains("delay=MS"), "{why}");
        }
    }
}
