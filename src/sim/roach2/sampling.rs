//! How often a client wants to hear of a sensor: the strategies of KATCP in one rule.
//!
//! A reading is told when the longest silence is over, or when it has changed by more than the
//! threshold and the shortest silence is over.

use super::Speaks;
use super::sensors::Reading;
use crate::units::Mono;
use std::time::Duration;

/// How often a sensor is looked at for changes.
const LOOK: Duration = Duration::from_secs(1);
/// No reading is told more often.
const SHORTEST: Duration = Duration::from_millis(1);

/// A strategy by its parameters: T a time, D a difference.
struct Strategy {
    name: &'static str,
    /// `D`: threshold; `m`: shortest silence; `M`: longest silence.
    params: &'static str,
    /// KATCP 5 only.
    modern: bool,
}

const STRATEGIES: &[Strategy] = &[
    Strategy { name: "auto", params: "", modern: false },
    Strategy { name: "event", params: "", modern: false },
    Strategy { name: "period", params: "M", modern: false },
    Strategy { name: "differential", params: "D", modern: false },
    Strategy { name: "event-rate", params: "mM", modern: true },
    Strategy { name: "differential-rate", params: "DmM", modern: true },
];

/// A subscription.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// As the client asked for it: strategy and parameters.
    pub(super) words: Vec<String>,
    threshold: f64,
    shortest: Duration,
    longest: Option<Duration>,
    told: Reading,
    told_at: Mono,
    looked_at: Mono,
}

impl Sampling {
    /// `words`: the strategy and its parameters; `told`: what the client hears at once.
    pub(super) fn parse(
        words: Vec<String>,
        speaks: Speaks,
        told: Reading,
        now: Mono,
    ) -> Result<Sampling, String> {
        let name = words.first().map_or("", String::as_str);
        let strategy = STRATEGIES.iter().find(|s| s.name == name && (!s.modern || speaks == Speaks::V5));
        let strategy = strategy.ok_or_else(|| format!("unknown strategy {name}"))?;
        if words.len() != 1 + strategy.params.len() {
            return Err(format!("strategy {name} takes {} parameters", strategy.params.len()));
        }
        // A period alone is no reason to look at changes.
        let threshold = if strategy.params == "M" { f64::INFINITY } else { 0.0 };
        let given: Vec<(char, String)> = strategy.params.chars().zip(words[1..].iter().cloned()).collect();
        let (shortest, longest) = (Duration::ZERO, None);
        let mut sampling =
            Sampling { words, threshold, shortest, longest, told, told_at: now, looked_at: now };
        for (what, text) in given {
            match what {
                'D' => sampling.threshold = difference(&text)?,
                'm' => sampling.shortest = time(&text, speaks)?,
                _ => sampling.longest = Some(time(&text, speaks)?.max(SHORTEST)),
            }
        }
        Ok(sampling)
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Mono {
        let silence = self.longest.map(|d| self.told_at + d);
        let look = self.threshold.is_finite().then(|| self.looked_at + LOOK);
        silence.into_iter().chain(look).min().expect("every strategy has a period or a threshold")
    }

    /// Is this to be told now? It counts as told then.
    pub(super) fn look(&mut self, reading: Reading, now: Mono) -> bool {
        self.looked_at = now;
        let silence = now.since(self.told_at);
        let changed =
            reading.status != self.told.status || (reading.value - self.told.value).abs() > self.threshold;
        let due = self.longest.is_some_and(|most| silence >= most) || changed && silence >= self.shortest;
        if due {
            (self.told, self.told_at) = (reading, now);
        }
        due
    }
}

/// v4 counts milliseconds, v5 seconds.
fn time(text: &str, speaks: Speaks) -> Result<Duration, String> {
    let unit = if speaks == Speaks::V4 { 1e-3 } else { 1.0 };
    let seconds = text.parse::<f64>().ok().map(|t| t * unit);
    let time = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
    time.ok_or_else(|| format!("{text} is no time"))
}

fn difference(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|d| d.is_finite() && *d >= 0.0);
    value.ok_or_else(|| format!("{text} is no difference"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(text: &str, speaks: Speaks) -> Result<Sampling, String> {
        let words = text.split(' ').map(str::to_owned).collect();
        Sampling::parse(words, speaks, reading(20.0), at(0))
    }

    fn reading(value: f64) -> Reading {
        Reading { status: "nominal", value }
    }

    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn parameters_are_checked() {
        for bad in
            ["", "often", "period", "period -1", "period nan", "period 1 2", "differential inf", "event 1"]
        {
            assert!(sampling(bad, Speaks::V5).is_err(), "{bad}");
        }
        assert!(sampling("event-rate 1 2", Speaks::V4).is_err());
        assert!(sampling("event-rate 1 2", Speaks::V5).is_ok());
    }

    #[test]
    fn a_period_is_milliseconds_in_v4_and_seconds_in_v5() {
        for (speaks, period) in [(Speaks::V4, 250), (Speaks::V5, 250_000)] {
            let mut s = sampling("period 250", speaks).expect("a strategy");
            assert_eq!(s.deadline(), at(period));
            assert!(!s.look(reading(99.0), at(period - 1)) && s.look(reading(20.0), at(period)));
            assert_eq!(s.deadline(), at(2 * period));
        }
    }

    #[test]
    fn changes_are_told_beyond_the_threshold_and_not_too_often() {
        let mut s = sampling("differential-rate 0.5 2 10", Speaks::V5).expect("a strategy");
        assert_eq!(s.deadline(), at(1000));
        assert!(!s.look(reading(21.0), at(1000)), "too early");
        assert!(!s.look(reading(20.5), at(2000)), "too little");
        assert!(s.look(reading(20.75), at(3000)));
        assert!(s.look(reading(20.75), at(13_000)), "silent for too long");
        let failed = Reading { status: "failure", value: 20.75 };
        assert!(s.look(failed, at(16_000)));
    }
}
