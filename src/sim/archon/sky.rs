//! Seeded frames: bias level of each tap, read noise, overscan, stars that stay where they are.
//!
//! A frame is a pure function of its [`FrameSpec`]: tests and other clients know every pixel.

use crate::proto::archon::Sample;

/// Largest 16-bit value.
const FULL_SCALE: u32 = u16::MAX as u32;
/// Largest value of the wider sample, before it is shifted up.
const FULL_SCALE_24: u32 = 0xFF_FFFF;
/// Largest read noise.
const NOISE_MAX: u32 = 30;
/// The same 16 bits four times.
const LANES: u64 = 0x0001_0001_0001_0001;
/// Stars of a tap.
const STARS: u64 = 3;
/// A star reaches this far from its centre, pixels.
const STAR_RADIUS: i64 = 6;
/// Light of the sky, ADU/s.
const SKY_PER_S: f64 = 20.0;

/// What the pixels of a frame depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSpec {
    /// Seed of the simulator.
    pub seed: u64,
    /// Frame number.
    pub frame: u64,
    /// Taps in use.
    pub taps: u32,
    /// Pixels of a tap's line (PIXELCOUNT).
    pub pixels: u32,
    /// Lines of a tap (LINECOUNT).
    pub lines: u32,
    /// FRAMEMODE: 0 top, 1 bottom, 2 split.
    pub mode: u8,
    /// Bits of a pixel.
    pub sample: Sample,
    /// Overscan pixels at the end of a tap's line.
    pub overscan: u32,
    /// Integration, ms.
    pub integration_ms: u64,
    /// Lines the image is shifted by: AutoFlush was left on between integration and readout.
    pub shifted: u32,
    /// Only a counter, for measurements of speed.
    pub counter: bool,
}

impl FrameSpec {
    /// Columns of the frame.
    pub fn width(&self) -> u32 {
        if self.mode == 2 { self.taps / 2 * self.pixels } else { self.taps * self.pixels }
    }

    /// Rows of the frame.
    pub fn height(&self) -> u32 {
        if self.mode == 2 { self.lines * 2 } else { self.lines }
    }

    /// Bytes of the frame.
    pub fn bytes(&self) -> u64 {
        u64::from(self.width()) * u64::from(self.height()) * self.sample.bytes() as u64
    }

    /// One row as the controller sends it, little-endian; `out` is replaced.
    pub fn row(&self, y: u32, out: &mut Vec<u8>) {
        let row_bytes = self.width() as usize * self.sample.bytes();
        out.resize(row_bytes, 0);
        let (line, first_tap) =
            if self.mode == 2 && y >= self.lines { (y - self.lines, self.taps / 2) } else { (y, 0) };
        let strip_bytes = self.pixels as usize * self.sample.bytes();
        for (tap, strip) in (first_tap..).zip(out.chunks_exact_mut(strip_bytes.max(1))) {
            match (self.counter, self.sample) {
                (true, _) => self.count(line, strip),
                (false, Sample::U16) => self.strip_16(tap, line, strip),
                (false, Sample::U32) => self.strip_32(tap, line, strip),
            }
        }
    }

    /// The whole frame, little-endian.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes() as usize);
        let mut row = Vec::new();
        for y in 0..self.height() {
            self.row(y, &mut row);
            bytes.extend_from_slice(&row);
        }
        bytes
    }

    /// Pixels that only count: within a tap, line by line.
    fn count(&self, line: u32, strip: &mut [u8]) {
        let first = line.wrapping_mul(self.pixels);
        match self.sample {
            Sample::U16 => {
                for (pixel, n) in strip.as_chunks_mut().0.iter_mut().zip(0..) {
                    *pixel = (first.wrapping_add(n) as u16).to_le_bytes();
                }
            }
            Sample::U32 => {
                for (pixel, n) in strip.as_chunks_mut().0.iter_mut().zip(0..) {
                    *pixel = (first.wrapping_add(n) << 8).to_le_bytes();
                }
            }
        }
    }

    /// Four pixels at a time: this is what the simulator spends its time on.
    fn strip_16(&self, tap: u32, line: u32, strip: &mut [u8]) {
        let light = self.light(tap, line);
        if light.brightest() > FULL_SCALE - NOISE_MAX {
            return self.strip_16_bright(&light, strip);
        }
        let level = u64::from(light.level) * LANES;
        let (words, rest) = strip.as_chunks_mut::<8>();
        for (four, word) in words.iter_mut().enumerate() {
            *word = (light.noise(four as u64) + level).to_le_bytes();
        }
        let tail = (light.noise(words.len() as u64) + level).to_le_bytes();
        rest.copy_from_slice(&tail[..rest.len()]);

        let (pixels, _) = strip.as_chunks_mut::<2>();
        for (column, adu) in light.starlight() {
            add(&mut pixels[column], adu);
        }
        let lit = self.lit();
        for pixel in &mut pixels[lit as usize..] {
            *pixel = (u16::from_le_bytes(*pixel) - (light.level - light.bias) as u16).to_le_bytes();
        }
    }

    /// Where something saturates, pixel by pixel.
    fn strip_16_bright(&self, light: &Light, strip: &mut [u8]) {
        for (pixel, value) in strip.as_chunks_mut().0.iter_mut().zip(self.values(light)) {
            *pixel = (value.min(FULL_SCALE) as u16).to_le_bytes();
        }
    }

    /// 24 bits in the upper ones of 32.
    fn strip_32(&self, tap: u32, line: u32, strip: &mut [u8]) {
        let light = self.light(tap, line);
        for (pixel, value) in strip.as_chunks_mut().0.iter_mut().zip(self.values(&light)) {
            *pixel = (value.min(FULL_SCALE_24) << 8).to_le_bytes();
        }
    }

    /// Every pixel of a line, not yet cut to its range.
    fn values(&self, light: &Light) -> Vec<u32> {
        let noise = |x: u32| (light.noise(u64::from(x / 4)) >> (16 * (x % 4))) as u32 & 0xFFFF;
        let lit = self.lit();
        let base = |x: u32| if x < lit { light.level } else { light.bias };
        let mut values: Vec<u32> = (0..self.pixels).map(|x| base(x) + noise(x)).collect();
        for (column, adu) in light.starlight() {
            values[column] += adu;
        }
        values
    }

    /// Pixels of a tap's line that see light.
    fn lit(&self) -> u32 {
        self.pixels.saturating_sub(self.overscan)
    }

    fn light(&self, tap: u32, line: u32) -> Light {
        Light {
            key: mix(self.seed ^ mix(self.frame << 32 | u64::from(tap) << 24 ^ u64::from(line))),
            bias: bias_level(self.seed, tap),
            level: self.level(tap, line),
            lit: i64::from(self.lit()),
            stars: self.stars_on(tap, line),
        }
    }

    /// Bias and sky of a line; shifted lines at the top have only bias.
    fn level(&self, tap: u32, line: u32) -> u32 {
        let sky = SKY_PER_S * self.integration_ms as f64 / 1e3;
        bias_level(self.seed, tap) + if line < self.shifted { 0 } else { sky as u32 }
    }

    /// (column, peak) of the stars that reach this line.
    fn stars_on(&self, tap: u32, line: u32) -> Vec<(i64, f64)> {
        let Some(line) = line.checked_sub(self.shifted) else { return Vec::new() };
        let star = |n: u64| {
            let place = mix(self.seed ^ mix(u64::from(tap) << 8 | n | 1 << 40));
            let column = (place as u32 % self.lit().max(1)) as i64;
            let row = ((place >> 32) as u32 % self.lines.max(1)) as i64;
            let flux = 500.0 + (place >> 20 & 0x3FFF) as f64;
            let peak = flux * self.integration_ms as f64 / 1e3 * profile(i64::from(line) - row);
            (column, peak)
        };
        (0..STARS).map(star).filter(|(_, peak)| *peak >= 1.0).collect()
    }
}

/// What falls on a line of a tap.
struct Light {
    /// Of the noise.
    key: u64,
    /// ADU of a pixel without light, and with that of the sky.
    bias: u32,
    level: u32,
    /// Columns that see light.
    lit: i64,
    /// (column, peak)
    stars: Vec<(i64, f64)>,
}

impl Light {
    /// Read noise of four pixels, 16 bits each: the sum of four nibbles, halved; 0 to 30, sigma 4.6 ADU.
    fn noise(&self, four: u64) -> u64 {
        const NIBBLES: u64 = 0x0F0F_0F0F_0F0F_0F0F;
        const BYTES: u64 = 0x00FF_00FF_00FF_00FF;
        let x = (self.key ^ four).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bits = (x ^ x >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let pairs = (bits & NIBBLES) + (bits >> 4 & NIBBLES);
        ((pairs & BYTES) + (pairs >> 8 & BYTES)) >> 1 & BYTES
    }

    /// (column, ADU) of all stars.
    fn starlight(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.stars.iter().flat_map(move |(column, peak)| {
            let reach = (column - STAR_RADIUS).max(0)..(column + STAR_RADIUS + 1).min(self.lit);
            reach.map(move |x| (x as usize, (peak * profile(x - column)) as u32))
        })
    }

    /// No pixel of the line is brighter, noise apart.
    fn brightest(&self) -> u32 {
        self.stars.iter().fold(self.level, |sum, (_, peak)| sum.saturating_add(*peak as u32))
    }
}

/// Light of a star so many pixels beside its centre.
fn profile(distance: i64) -> f64 {
    (-(distance * distance) as f64 / 4.0).exp()
}

fn add(pixel: &mut [u8; 2], adu: u32) {
    *pixel = u16::from_le_bytes(*pixel).saturating_add(adu as u16).to_le_bytes();
}

/// Bias level of a tap, ADU.
fn bias_level(seed: u64, tap: u32) -> u32 {
    900 + (mix(seed ^ u64::from(tap)) % 200) as u32
}

/// The finaliser of splitmix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> FrameSpec {
        FrameSpec {
            seed: 7,
            frame: 3,
            taps: 4,
            pixels: 60,
            lines: 40,
            mode: 0,
            sample: Sample::U16,
            overscan: 10,
            integration_ms: 2000,
            shifted: 0,
            counter: false,
        }
    }
    fn pixels(spec: &FrameSpec) -> Vec<u32> {
        match spec.sample {
            Sample::U16 => {
                spec.whole().chunks(2).map(|p| u32::from(u16::from_le_bytes([p[0], p[1]]))).collect()
            }
            Sample::U32 => {
                spec.whole().chunks(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], p[3]])).collect()
            }
        }
    }

    #[test]
    fn a_frame_has_its_shape_in_every_mode() {
        for (mode, width, height) in [(0, 240, 40), (1, 240, 40), (2, 120, 80)] {
            let spec = FrameSpec { mode, ..spec() };
            assert_eq!((spec.width(), spec.height()), (width, height));
            assert_eq!(spec.whole().len() as u64, spec.bytes());
        }
    }

    #[test]
    fn frames_differ_but_stars_stay() {
        let (one, two) = (pixels(&spec()), pixels(&FrameSpec { frame: 4, ..spec() }));
        assert_ne!(one, two);
        let brightest = |p: &[u32]| p.iter().enumerate().max_by_key(|(_, v)| **v).map(|(i, _)| i as i64);
        let (a, b) = (brightest(&one).expect("some"), brightest(&two).expect("some"));
        assert!((a - b).abs() <= 1, "{a} and {b}");
        let dark = pixels(&FrameSpec { integration_ms: 0, ..spec() });
        assert!(dark.iter().all(|v| (900..1131).contains(v)), "a bias has bias and noise only");
    }

    #[test]
    fn the_wider_sample_says_the_same() {
        for (seconds, shifted, pixels_a_tap) in [(2, 0, 60), (2, 9, 61), (40, 0, 62), (4000, 0, 63)] {
            let narrow =
                FrameSpec { integration_ms: seconds * 1000, shifted, pixels: pixels_a_tap, ..spec() };
            let wide = FrameSpec { sample: Sample::U32, ..narrow.clone() };
            let cut: Vec<u32> = pixels(&wide).iter().map(|v| (v >> 8).min(FULL_SCALE)).collect();
            assert_eq!(cut, pixels(&narrow), "{seconds} s");
        }
    }

    #[test]
    fn overscan_sees_no_light_and_every_tap_has_its_own_bias() {
        let frame = pixels(&FrameSpec { integration_ms: 60_000, ..spec() });
        let row = &frame[..240];
        for (tap, strip) in row.chunks(60).enumerate() {
            let bias = bias_level(7, tap as u32);
            let of_bias = |v: &u32| (bias..=bias + NOISE_MAX).contains(v);
            assert!(strip[50..].iter().all(of_bias), "tap {tap}: {strip:?}");
            assert!(strip[..50].iter().all(|v| *v >= bias + 1200), "tap {tap}: sky");
        }
        assert!((1..4).any(|tap| bias_level(7, tap) != bias_level(7, 0)));
    }

    #[test]
    fn noise_is_noise() {
        let dark = FrameSpec { integration_ms: 0, pixels: 400, lines: 100, taps: 1, overscan: 0, ..spec() };
        let bias = f64::from(bias_level(7, 0));
        let values: Vec<f64> = pixels(&dark).iter().map(|v| f64::from(*v) - bias).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let sigma = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        // Of the sum of four uniform nibbles, halved and cut to whole numbers: 14.75 and 4.61.
        assert!((mean - 14.75).abs() < 0.1 && (sigma - 4.61).abs() < 0.1, "{mean} {sigma}");
        let beside = values.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>();
        let correlation = beside / values.len() as f64 / sigma.powi(2);
        assert!(correlation.abs() < 0.03, "neighbours: {correlation}");
    }

    #[test]
    fn the_counter_counts_within_a_tap() {
        let counter = FrameSpec { counter: true, taps: 2, pixels: 30_000, lines: 4, ..spec() };
        let values = pixels(&counter);
        let want = |line: u32, x: u32| (line * 30_000 + x) & 0xFFFF;
        for line in 0..4u32 {
            let row = &values[line as usize * 60_000..][..60_000];
            let good = |(i, v): (usize, &u32)| *v == want(line, i as u32 % 30_000);
            assert!(row.iter().enumerate().all(good), "line {line}");
        }
        let wide = FrameSpec { sample: Sample::U32, ..counter };
        assert_eq!(pixels(&wide)[70_000], 40_000 << 8, "line 1 begins with 30000");
    }
}
