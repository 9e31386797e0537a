//! Seeded frames: bias level of each tap, read noise, overscan, stars that stay where they are.
//!
//! A frame is a pure function of its [`FrameSpec`]: tests and other clients know every pixel.

use crate::proto::archon::Sample;

/// Largest 16-bit value.
const FULL_SCALE: u32 = u16::MAX as u32;
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
        out.clear();
        let (line, first_tap) =
            if self.mode == 2 && y >= self.lines { (y - self.lines, self.taps / 2) } else { (y, 0) };
        let taps = self.width() / self.pixels.max(1);
        for tap in first_tap..first_tap + taps {
            self.strip(tap, line, out);
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

    fn strip(&self, tap: u32, line: u32, out: &mut Vec<u8>) {
        let key = mix(self.seed ^ mix(self.frame << 32 | u64::from(tap) << 24 ^ u64::from(line)));
        let mut noise = key;
        let level = self.level(tap, line);
        let stars = self.stars_on(tap, line);
        let lit = self.pixels.saturating_sub(self.overscan);
        let bias = bias_level(self.seed, tap);
        for x in 0..self.pixels {
            if x % 4 == 0 {
                noise = noise.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ key;
            }
            let value = if self.counter {
                line.wrapping_mul(self.pixels).wrapping_add(x)
            } else if x < lit {
                level + nibbles(noise >> (16 * (x % 4))) + starlight(&stars, x)
            } else {
                bias + nibbles(noise >> (16 * (x % 4)))
            };
            match self.sample {
                Sample::U16 if self.counter => out.extend_from_slice(&(value as u16).to_le_bytes()),
                Sample::U16 => out.extend_from_slice(&(value.min(FULL_SCALE) as u16).to_le_bytes()),
                // The 16 high bits are what a 16-bit frame has.
                Sample::U32 => out.extend_from_slice(&(value << 8).to_le_bytes()),
            }
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
            let column = (place as u32 % self.pixels.saturating_sub(self.overscan).max(1)) as i64;
            let row = ((place >> 32) as u32 % self.lines.max(1)) as i64;
            let flux = 500.0 + (place >> 20 & 0x3FFF) as f64;
            let dy = (i64::from(line) - row) as f64;
            let peak = flux * self.integration_ms as f64 / 1e3 * (-dy * dy / 4.0).exp();
            (column, peak)
        };
        (0..STARS).map(star).filter(|(_, peak)| *peak >= 1.0).collect()
    }
}

fn starlight(stars: &[(i64, f64)], x: u32) -> u32 {
    let light = |(column, peak): &(i64, f64)| {
        let dx = i64::from(x) - column;
        if dx.abs() > STAR_RADIUS { 0.0 } else { peak * (-(dx * dx) as f64 / 4.0).exp() }
    };
    if stars.is_empty() { 0 } else { stars.iter().map(light).sum::<f64>() as u32 }
}

/// Bias level of a tap, ADU.
fn bias_level(seed: u64, tap: u32) -> u32 {
    900 + (mix(seed ^ u64::from(tap)) % 200) as u32
}

/// Read noise: the sum of four nibbles, halved; sigma 4.6 ADU.
fn nibbles(bits: u64) -> u32 {
    let b = bits as u32;
    ((b & 15) + (b >> 4 & 15) + (b >> 8 & 15) + (b >> 12 & 15)) / 2
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
        let wide = pixels(&FrameSpec { sample: Sample::U32, ..spec() });
        assert_eq!(wide.iter().map(|v| (v >> 8).min(FULL_SCALE)).collect::<Vec<_>>(), pixels(&spec()));
    }
}
