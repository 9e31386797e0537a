//! What comes of a measurement, and the table of all of them.

use std::io;
use std::time::Duration;

/// How often each of several partners has its turn; the best counts.
pub const ROUNDS: u32 = 3;

/// Latencies of one measurement, and how long it took.
pub struct Figures {
    latencies: Vec<Duration>,
    span: Duration,
}

impl Figures {
    /// Of these latencies, in any order.
    pub fn new(mut latencies: Vec<Duration>, span: Duration) -> Figures {
        latencies.sort_unstable();
        Figures { latencies, span }
    }

    /// Calls per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.span.as_secs_f64()
    }

    /// The latency below which this share of the calls lies, in microseconds.
    pub fn at(&self, share: f64) -> f64 {
        let index = (share * self.latencies.len() as f64) as usize;
        let latency = self.latencies.get(index.min(self.latencies.len().saturating_sub(1)));
        latency.map_or(f64::NAN, |l| l.as_secs_f64() * 1e6)
    }

    fn line(&self) -> String {
        format!("{:.0}/s, p50 {:.1} us, p99 {:.1} us", self.rate(), self.at(0.50), self.at(0.99))
    }
}

/// Measures several in turn, [`ROUNDS`] times, and keeps the best of each: what else the machine does
/// should not fall on one of them alone.
pub fn in_turn<const N: usize>(
    mut measurements: [&mut dyn FnMut() -> io::Result<Figures>; N],
) -> io::Result<[Figures; N]> {
    let mut best: [Option<Figures>; N] = std::array::from_fn(|_| None);
    for _ in 0..ROUNDS {
        for (best, measure) in best.iter_mut().zip(&mut measurements) {
            let figures = measure()?;
            if best.as_ref().is_none_or(|b| figures.rate() > b.rate()) {
                *best = Some(figures);
            }
        }
    }
    Ok(best.map(|b| b.expect("every round measures all of them")))
}

/// The table printed at the end; every row is said at once, too.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 5]>,
    notes: Vec<&'static str>,
}

impl Report {
    /// A figure. `reference`: what it is measured against in the same run, or nothing.
    pub fn row(&mut self, what: &str, ours: String, reference: &str, ratio: &str, target: &str) {
        println!(
            "{what}: {ours}{}",
            if ratio.is_empty() { String::new() } else { format!(" (ratio {ratio})") }
        );
        self.rows.push([what.into(), ours, reference.into(), ratio.into(), target.into()]);
    }

    /// What was measured how: a line under the table.
    pub fn note(&mut self, text: &'static str) {
        self.notes.push(text);
    }

    /// Rates against rates.
    pub fn compare(&mut self, what: &str, ours: &Figures, partner: &str, theirs: &Figures, target: &str) {
        let ratio = format!("{:.2}", ours.rate() / theirs.rate());
        self.row(what, ours.line(), &format!("{partner}: {}", theirs.line()), &ratio, target);
    }

    /// Latencies alone.
    pub fn latencies(&mut self, what: &str, figures: &Figures, target: &str) {
        let ours = format!(
            "p50 {:.0} us, p99 {:.0} us, max {:.0} us of {}",
            figures.at(0.50),
            figures.at(0.99),
            figures.at(1.0),
            figures.latencies.len()
        );
        self.row(what, ours, "", "", target);
    }

    /// All rows, for a document.
    pub fn table(&self) -> String {
        let head = ["what", "ours", "reference in the same run", "ratio", "target"].map(str::to_owned);
        let rule = std::array::from_fn(|_| "---".to_owned());
        let line = |row: &[String; 5]| format!("| {} |\n", row.join(" | "));
        let rows = [&head, &rule].into_iter().chain(&self.rows).map(line);
        rows.chain(self.notes.iter().map(|note| format!("\n{note}\n"))).collect()
    }
}
