//! The plot as pixels: axes, grid, labels, one line.

use super::font::{HEIGHT, WIDTH, glyph};
use super::{Spectrum, bounds};

type Colour = [u8; 3];
const PAPER: Colour = [255, 255, 255];
const INK: Colour = [40, 44, 52];
const GRID: Colour = [226, 230, 236];
const LINE: Colour = [31, 94, 168];
const FILL: Colour = [222, 234, 247];
const MARK: Colour = [200, 60, 40];

/// Inner margins, pixels: left for numbers, bottom for numbers and the name of the axis.
const LEFT: usize = 84;
const RIGHT: usize = 28;
const TOP: usize = 52;
const BOTTOM: usize = 64;
/// Ticks on an axis, about.
const TICKS: f64 = 7.0;

/// Rows of RGB pixels.
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Three bytes a pixel.
    pub pixels: Vec<u8>,
}

/// Draws a spectrum, 1000 × 520.
pub fn draw(spectrum: &Spectrum) -> Picture {
    let mut picture = Picture::blank(1000, 520);
    let (x0, x1) = (LEFT, picture.width - RIGHT);
    let (y0, y1) = (TOP, picture.height - BOTTOM);
    let values = spectrum.binned_db(x1 - x0);
    let (low, high) = bounds(&values);
    let row = |v: f64| {
        y1 - (((v - low) / (high - low)) * (y1 - y0) as f64).round().clamp(0.0, (y1 - y0) as f64) as usize
    };
    let last = spectrum.power.len().saturating_sub(1);
    let (from, to) = (spectrum.frequency_mhz(0), spectrum.frequency_mhz(last));
    fill(&mut picture, &values, x0, y1, row);
    for v in ticks(low, high) {
        let y = row(v);
        picture.horizontal(x0, x1, y, GRID);
        let label = number(v, high - low);
        picture.text(x0.saturating_sub(8 + width_of(&label, 2)), y.saturating_sub(HEIGHT), &label, 2, INK);
    }
    for f in ticks(from.min(to), from.max(to)) {
        let x = x0 + ((f - from) / (to - from) * (x1 - x0) as f64).round() as usize;
        picture.vertical(x.min(x1), y0, y1, GRID);
        let label = number(f, to - from);
        picture.text(x.saturating_sub(width_of(&label, 2) / 2), y1 + 10, &label, 2, INK);
    }
    curve(&mut picture, &values, x0, row);
    mark_peak(&mut picture, spectrum, x0, x1, y0);
    picture.horizontal(x0, x1, y1, INK);
    picture.vertical(x0, y0, y1, INK);
    picture.text(x0, 16, &spectrum.title, 2, INK);
    let axis = "frequency, MHz";
    picture.text((x0 + x1 - width_of(axis, 2)) / 2, y1 + 36, axis, 2, INK);
    picture.text(8, 16, "dB", 2, INK);
    picture
}

fn fill(picture: &mut Picture, values: &[Option<f64>], x0: usize, y1: usize, row: impl Fn(f64) -> usize) {
    for (k, value) in values.iter().enumerate() {
        if let Some(v) = value {
            picture.vertical(x0 + k, row(*v), y1, FILL);
        }
    }
}

fn curve(picture: &mut Picture, values: &[Option<f64>], x0: usize, row: impl Fn(f64) -> usize) {
    let mut before: Option<usize> = None;
    for (k, value) in values.iter().enumerate() {
        let y = value.map(&row);
        if let Some(y) = y {
            let (from, to) = before.map_or((y, y), |b| (b.min(y), b.max(y)));
            // Two pixels wide.
            picture.vertical(x0 + k, from, to + 1, LINE);
            picture.vertical(x0 + k + 1, from, to + 1, LINE);
        }
        before = y;
    }
}

fn mark_peak(picture: &mut Picture, spectrum: &Spectrum, x0: usize, x1: usize, y0: usize) {
    let Some(peak) = spectrum.peak().filter(|_| spectrum.power.len() > 1) else { return };
    let x = x0 + peak * (x1 - x0) / spectrum.power.len();
    let label = format!("channel {peak}, {:.3} MHz", spectrum.frequency_mhz(peak));
    let wide = width_of(&label, 2);
    let at = if x + 12 + wide < x1 { x + 12 } else { x.saturating_sub(12 + wide) };
    picture.text(at, y0 + 10, &label, 2, MARK);
}

/// Round values between two bounds: steps of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return Vec::new();
    }
    let power = 10f64.powf((span / TICKS).log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| span / s <= TICKS).unwrap_or(span);
    let first = (low / step).ceil();
    // Never more than the scale asks for, whatever rounding does.
    (0..=TICKS as usize + 1).map(|k| (first + k as f64) * step).take_while(|v| *v <= high).collect()
}

fn number(value: f64, span: f64) -> String {
    // `+ 0.0` turns a negative zero into zero.
    if span.abs() >= 20.0 { format!("{:.0}", value + 0.0) } else { format!("{:.1}", value + 0.0) }
}

fn width_of(text: &str, scale: usize) -> usize {
    text.chars().count() * (WIDTH + 1) * scale
}

impl Picture {
    fn blank(width: usize, height: usize) -> Picture {
        Picture { width, height, pixels: PAPER.repeat(width * height) }
    }

    fn dot(&mut self, x: usize, y: usize, colour: Colour) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    fn horizontal(&mut self, from: usize, to: usize, y: usize, colour: Colour) {
        (from..=to).for_each(|x| self.dot(x, y, colour));
    }

    fn vertical(&mut self, x: usize, from: usize, to: usize, colour: Colour) {
        (from..=to).for_each(|y| self.dot(x, y, colour));
    }

    fn text(&mut self, x: usize, y: usize, text: &str, scale: usize, colour: Colour) {
        for (k, character) in text.chars().enumerate() {
            let left = x + k * (WIDTH + 1) * scale;
            for (column, bits) in glyph(character).into_iter().enumerate() {
                for row in (0..HEIGHT).filter(|row| bits >> row & 1 == 1) {
                    for (dx, dy) in (0..scale * scale).map(|d| (d % scale, d / scale)) {
                        self.dot(left + column * scale + dx, y + row * scale + dy, colour);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0.0, 1500.0), [0.0, 500.0, 1000.0, 1500.0]);
        assert_eq!(ticks(29.2, 43.4), [30.0, 35.0, 40.0]);
        assert!(ticks(1.0, 1.0).is_empty());
        assert!(ticks(f64::NAN, 1.0).is_empty());
        assert!(ticks(-1e300, 1e300).len() < 10);
    }
}
