//! A first look at an image: smaller, in grey, and a table of the taps. Not a tool for science.

use super::jobs::TapStatistics;
use super::verify::{self, Opened};
use std::fmt::Write;
use std::path::Path;

/// Longest side of the picture, pixels.
const SIDE_MAX: u32 = 1024;
/// Longest side of an image that is believed.
const IMAGE_SIDE_MAX: u32 = 1 << 20;
/// Parts of the pixels left black and white by [`Stretch::Auto`].
const TAILS: f64 = 0.005;

/// How numbers become grey.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stretch {
    /// Linear, half a percent of the pixels black and half a percent white.
    #[default]
    Auto,
    /// The square root between the same limits: faint light is seen.
    Root,
    /// Linear between these numbers, ADU.
    Range(f64, f64),
}

/// An image made smaller: the means of squares of pixels, first row at the bottom as astronomers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Means, ADU; the top row first.
    pub means: Vec<f64>,
}

impl Picture {
    /// Reads an image of ours, compressed or not; or says in words why it cannot.
    pub fn read(image: &Path) -> Result<Picture, String> {
        let mut opened = verify::open(image)?;
        let (width, height) = (opened.width, opened.height);
        if width == 0 || height == 0 || width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX {
            return Err(format!("{}: {width} x {height} pixels are no image", image.display()));
        }
        let square = width.max(height).div_ceil(SIDE_MAX);
        let (columns, rows) = (width.div_ceil(square) as usize, height.div_ceil(square) as usize);
        let (mut sums, mut counts) = (vec![0.0; columns * rows], vec![0u32; columns * rows]);
        let zero = zero(&opened);
        let size = opened.bits as usize / 8;
        let mut line = vec![0; width as usize * size];
        for y in 0..height {
            opened.read(&mut line).map_err(|why| format!("{}: {why}", image.display()))?;
            let row = (rows - 1 - (y / square) as usize) * columns;
            for (x, pixel) in line.chunks_exact(size).enumerate() {
                let at = row + x / square as usize;
                sums[at] += stored(pixel) + zero;
                counts[at] += 1;
            }
        }
        let means = sums.iter().zip(&counts).map(|(s, n)| s / f64::from((*n).max(1))).collect();
        Ok(Picture { width: columns, height: rows, means })
    }

    /// The picture as the bytes of a PNG file.
    pub fn png(&self, stretch: Stretch) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(|e| format!("cannot make a picture: {e}"))?;
        writer.write_image_data(&self.grey(stretch)).map_err(|e| format!("cannot make a picture: {e}"))?;
        writer.finish().map_err(|e| format!("cannot make a picture: {e}"))?;
        Ok(bytes)
    }

    fn grey(&self, stretch: Stretch) -> Vec<u8> {
        let (low, high) = match stretch {
            Stretch::Range(low, high) => (low, high),
            Stretch::Auto | Stretch::Root => self.limits(),
        };
        let width = if high > low { high - low } else { 1.0 };
        let level = |v: &f64| {
            let part = ((v - low) / width).clamp(0.0, 1.0);
            let part = if stretch == Stretch::Root { part.sqrt() } else { part };
            (part * 255.0).round() as u8
        };
        self.means.iter().map(level).collect()
    }

    fn limits(&self) -> (f64, f64) {
        let mut sorted = self.means.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            sorted.get((part * (sorted.len().saturating_sub(1)) as f64).round() as usize).copied()
        };
        (at(TAILS).unwrap_or(0.0), at(1.0 - TAILS).unwrap_or(1.0))
    }
}

/// BZERO.
fn zero(opened: &Opened) -> f64 {
    verify::card(&opened.header, "BZERO").and_then(|t| t.parse().ok()).unwrap_or(0.0)
}

fn stored(pixel: &[u8]) -> f64 {
    match *pixel {
        [a, b] => f64::from(i16::from_be_bytes([a, b])),
        [a, b, c, d] => f64::from(i32::from_be_bytes([a, b, c, d])),
        _ => 0.0,
    }
}

/// A PNG of an image of ours; or in words why not.
pub fn png(image: &Path, stretch: Stretch) -> Result<Vec<u8>, String> {
    Picture::read(image)?.png(stretch)
}

/// A line for each tap, for a terminal.
pub fn summary(statistics: &[TapStatistics]) -> String {
    let wide = statistics.iter().map(|t| t.ccd.len()).max().unwrap_or(0).max(3);
    let mut text = format!("{:wide$} tap       mean      sigma   overscan  saturated\n", "ccd");
    for t in statistics {
        let overscan = t.overscan.map_or("-".to_owned(), |o| format!("{o:.1}"));
        let TapStatistics { ccd, tap, mean, sigma, saturated, .. } = t;
        let _ = writeln!(text, "{ccd:wide$} {tap:3} {mean:10.1} {sigma:10.2} {overscan:>10} {saturated:10}");
    }
    text
}
