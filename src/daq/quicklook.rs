//! A first look at what was recorded: the mean spectrum in the terminal and as a picture.
//!
//! Drawing is pure (numbers in, text or pixels out); only [`Spectrum::read`] and [`png`](png()) touch files.
//! Not a tool for science: no calibration, one product, one sub-band.

mod font;
mod picture;

use super::sdfits::read::Recording;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// A spectrum to be looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spectrum {
    /// Power by channel, counts per second.
    pub power: Vec<f64>,
    /// Width of a channel, Hz; 0 if not known.
    pub channel_hz: f64,
    /// Frequency of the centre channel, Hz.
    pub centre_hz: f64,
    /// Rows in the file.
    pub rows: usize,
    /// Sum of the exposures, s.
    pub seconds: f64,
    /// Spectra lost.
    pub lost: u64,
    /// What the picture says above the plot.
    pub title: String,
}

impl Spectrum {
    /// Mean of the XX product of the first sub-band over all rows.
    ///
    /// # Errors
    /// The file cannot be read, or is not one of ours.
    pub fn read(path: &Path) -> Result<Spectrum, String> {
        let recording = Recording::open(path)?;
        let text = |key| recording.text(key).unwrap_or_default();
        let first = |name| recording.numbers(name).ok().and_then(|v| v.first().copied());
        let simulated = if text("SIMULATE") == "T" { "  (simulated)" } else { "" };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Spectrum {
            power: recording.mean_spectrum(0, 0)?,
            channel_hz: recording.number("CHAN_BW").unwrap_or(0.0),
            centre_hz: first("SUBFREQ").unwrap_or(0.0),
            rows: recording.rows(),
            seconds: recording.numbers("EXPOSURE")?.iter().sum(),
            lost: recording.numbers("NLOST").map_or(0.0, |v| v.iter().sum()) as u64,
            title: format!("{name}  {}{simulated}", text("TELESCOP")).trim().to_owned(),
        })
    }

    /// The strongest channel, or `None` without channels.
    pub fn peak(&self) -> Option<usize> {
        (0..self.power.len()).max_by(|&a, &b| self.power[a].total_cmp(&self.power[b]))
    }

    /// Frequency of a channel, MHz.
    pub fn frequency_mhz(&self, channel: usize) -> f64 {
        let from_centre = channel as f64 - (self.power.len() / 2) as f64;
        (self.centre_hz + from_centre * self.channel_hz) / 1e6
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let mut line =
            format!("{} rows, {:.3} s on source, {} channels", self.rows, self.seconds, self.power.len());
        if let Some(peak) = self.peak() {
            let _ = write!(line, "; strongest in channel {peak} ({:.3} MHz)", self.frequency_mhz(peak));
        }
        let _ = match self.lost {
            0 => write!(line, "; nothing lost"),
            n => write!(line, "; {n} spectra lost"),
        };
        line
    }

    /// The highest power in each of `bins` equal parts of the band, so that a narrow line is never lost,
    /// as 10 log10 of the power; parts without a positive finite value are `None`.
    fn binned_db(&self, bins: usize) -> Vec<Option<f64>> {
        let n = self.power.len();
        let part = |k: usize| {
            let (from, to) = (k * n / bins, ((k + 1) * n / bins).max(k * n / bins + 1).min(n));
            let strongest = self.power.get(from..to)?.iter().copied().fold(0.0, f64::max);
            (strongest > 0.0 && strongest.is_finite()).then(|| 10.0 * strongest.log10())
        };
        (0..bins).map(part).collect()
    }
}

/// Bounds of the values shown, a little apart even for a flat line; 0 to 1 for nothing at all.
fn bounds(values: &[Option<f64>]) -> (f64, f64) {
    let shown = || values.iter().flatten().copied();
    let (low, high) = (shown().fold(f64::INFINITY, f64::min), shown().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return (0.0, 1.0);
    }
    let margin = ((high - low) * 0.05).max(0.5);
    (low - margin, high + margin)
}

/// Columns left of the plot for the numbers.
const LABELS: usize = 8;

/// Draws with braille dots, two by four in a character: `width` × `height` characters, axis included.
pub fn terminal(spectrum: &Spectrum, width: usize, height: usize) -> String {
    let (columns, lines) =
        (width.saturating_sub(LABELS + 1).clamp(8, 500), height.saturating_sub(2).clamp(3, 200));
    let values = spectrum.binned_db(columns * 2);
    let (low, high) = bounds(&values);
    let mut cells = vec![vec![0u8; columns]; lines];
    let dots = lines * 4;
    let row_of = |v: f64| (((high - v) / (high - low)) * (dots - 1) as f64).round() as usize;
    let mut before: Option<usize> = None;
    for (x, value) in values.iter().enumerate() {
        let y = value.map(row_of);
        if let Some(y) = y {
            // Joined to its neighbour, so that steep flanks are lines.
            let (from, to) = before.map_or((y, y), |b| (b.min(y), b.max(y)));
            (from..=to).for_each(|y| cells[y / 4][x / 2] |= BRAILLE[y % 4][x % 2]);
        }
        before = y;
    }
    let mut text = String::new();
    for (k, line) in cells.iter().enumerate() {
        let label = match k {
            0 => format!("{high:.1} dB"),
            _ if k + 1 == lines => format!("{low:.1} dB"),
            _ => String::new(),
        };
        let drawn: String = line.iter().map(|&bits| dot_character(bits)).collect();
        let _ = writeln!(text, "{label:>LABELS$}┤{drawn}");
    }
    let _ = writeln!(text, "{:>LABELS$}└{}", "", "─".repeat(columns));
    let last = spectrum.power.len().saturating_sub(1);
    let (left, right) =
        (format!("{:.1} MHz", spectrum.frequency_mhz(0)), format!("{:.1} MHz", spectrum.frequency_mhz(last)));
    let gap = columns.saturating_sub(left.len() + right.len());
    let _ = write!(text, "{:>LABELS$} {left}{}{right}", "", " ".repeat(gap));
    text
}

/// Bit of each dot: rows from the top, columns from the left.
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

fn dot_character(bits: u8) -> char {
    match bits {
        0 => ' ',
        _ => char::from_u32(0x2800 + u32::from(bits)).expect("the braille block has 256 characters"),
    }
}

/// Writes the picture, replacing an older one.
///
/// # Errors
/// What the file system says.
pub fn png(spectrum: &Spectrum, path: &Path) -> io::Result<()> {
    let picture = picture::draw(spectrum);
    let sink = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(sink, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.pixels)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(channels: usize, at: usize) -> Spectrum {
        let mut power = vec![1000.0; channels];
        power[at] = 20_000.0;
        Spectrum {
            power,
            channel_hz: 1.5e9 / channels as f64,
            centre_hz: 750e6,
            rows: 3,
            seconds: 2.0,
            title: "test.fits  GBT  (simulated)".into(),
            ..Spectrum::default()
        }
    }

    #[test]
    fn a_single_channel_is_seen_in_the_terminal() {
        let text = terminal(&tone(16_384, 4096), 78, 16);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 16);
        assert!(lines.iter().all(|l| l.chars().count() <= 78), "{text}");
        // The line stands a quarter into the plot, up to near the top.
        let at = lines[1].chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c)).expect("the tone");
        assert!((25..28).contains(&at), "{at}\n{text}");
        assert!(lines[15].contains("0.0 MHz"));
    }

    #[test]
    fn nothing_to_show_is_no_panic() {
        for power in [vec![], vec![0.0; 5], vec![f64::NAN, -1.0, f64::INFINITY], vec![3.0]] {
            let spectrum = Spectrum { power, ..Spectrum::default() };
            for (width, height) in [(0, 0), (78, 16), (10_000, 3)] {
                assert!(!terminal(&spectrum, width, height).is_empty());
            }
            let picture = picture::draw(&spectrum);
            assert_eq!(picture.pixels.len(), picture.width * picture.height * 3);
            assert!(!spectrum.summary().is_empty());
        }
    }

    #[test]
    fn the_picture_is_a_png_and_says_the_peak() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("spectrum.png");
        let spectrum = tone(1024, 256);
        png(&spectrum, &path).expect("written");
        let bytes = std::fs::read(&path).expect("there");
        assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
        assert!(spectrum.summary().contains("channel 256 (375.000 MHz)"), "{}", spectrum.summary());
    }
}
