//! The signal: Gaussian-like noise around a level, and a tone. Pure and repeatable.

/// splitmix64 (Steele, Lea, Flood 2014): small, fast, good enough for a simulated receiver.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Mean 0, variance 1: sum of twelve uniform numbers.
    pub fn gaussian(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Level of the noise in the total-power products.
const LEVEL: f64 = 1000.0;
/// Its scatter.
const SCATTER: f64 = 30.0;
/// Height of the tone above the level.
const TONE: f64 = 20_000.0;
/// Noise values drawn once; spectra take them from changing places. A prime, so that spectra differ.
const POOL: usize = 65_537;

/// Makes spectra.
pub struct Spectra {
    random: SplitMix,
    pool: Vec<f32>,
    /// Smooth band shape × level, per channel.
    shape: Vec<f32>,
    tone_channel: usize,
}

impl Spectra {
    /// For spectra of `nchan` channels with a tone at `tone` (0 = first channel, 1 = last).
    pub fn new(seed: u64, nchan: usize, tone: f64) -> Spectra {
        let mut random = SplitMix(seed);
        let pool = (0..POOL).map(|_| (random.gaussian() * SCATTER) as f32).collect();
        let last = nchan.saturating_sub(1).max(1) as f64;
        let shape = (0..nchan).map(|c| (LEVEL * band_shape(c as f64 / last)) as f32).collect();
        Spectra { random, pool, shape, tone_channel: (tone.clamp(0.0, 1.0) * last).round() as usize }
    }

    /// Channel the tone is in.
    pub fn tone_channel(&self) -> usize {
        self.tone_channel
    }

    /// Writes one spectrum: channel, then XX, YY, Re XY, Im XY, big-endian.
    pub fn fill(&mut self, out: &mut Vec<u8>) {
        out.clear();
        let mut at = (self.random.next_u64() % POOL as u64) as usize;
        for (channel, &level) in self.shape.iter().enumerate() {
            let line = if channel == self.tone_channel { TONE as f32 } else { 0.0 };
            // The tone is polarised: half the power in YY, and it correlates.
            for mean in [level + line, level * 0.9 + line * 0.5, line * 0.7, 0.0] {
                let value = (mean + self.pool[at]) as i32;
                out.extend_from_slice(&value.to_be_bytes());
                at = if at + 1 == POOL { 0 } else { at + 1 };
            }
        }
    }
}

/// A band filter: falls off at both ends, with a little ripple.
fn band_shape(x: f64) -> f64 {
    let edge = |d: f64| 1.0 - (-d / 0.02).exp();
    0.1 + 0.9 * edge(x + 0.002) * edge(1.002 - x) * (1.0 + 0.05 * (x * 25.0).sin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_the_tone_stands_out() {
        let mut spectra = Spectra::new(7, 1024, 0.25);
        let mut again = Spectra::new(7, 1024, 0.25);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        spectra.fill(&mut a);
        again.fill(&mut b);
        assert_eq!(a, b);
        assert_eq!(a.len(), 16_384);
        let xx: Vec<i32> =
            a.chunks_exact(16).map(|c| i32::from_be_bytes(*c.first_chunk().expect("four bytes"))).collect();
        let peak = (0..xx.len()).max_by_key(|&c| xx[c]).expect("channels");
        assert_eq!((peak, spectra.tone_channel()), (256, 256));
        spectra.fill(&mut b);
        assert_ne!(a, b);
    }
}
