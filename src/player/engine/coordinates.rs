//! Sky positions: `source_ra_dec` in, degrees and sexagesimal text out.
//!
//! Accepted: `03:14:15.9 +26:37:10.11`, `12 30 49.42 +12 23 28.0`, `12h30m49.42s +12d23m28.0s`,
//! `J141213.23+161252.12`. Right ascension in hours, declination in degrees, always three fields
//! each; the seconds have at least two characters. Plain degrees are refused: the old Player took
//! them for something else.

/// A position on the sky.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    ra: Angle,
    dec: Angle,
}

/// Sign, hours or degrees, minutes, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Angle {
    negative: bool,
    whole: u32,
    minutes: u32,
    seconds: f64,
}

impl Angle {
    /// Seconds of time or arc, without the sign.
    fn total_seconds(&self) -> f64 {
        f64::from(self.whole * 3600 + self.minutes * 60) + self.seconds
    }

    /// Whole, minutes and seconds rounded to `1/units` second, carried.
    fn rounded(&self, units: u32) -> (u64, u64, f64) {
        let scale = f64::from(units);
        let per_minute = 60 * u64::from(units);
        let minutes = u64::from(self.whole * 60 + self.minutes);
        // In range by construction: seconds < 60.
        let ticks = minutes * per_minute + (self.seconds * scale).round() as u64;
        let minutes = ticks / per_minute;
        (minutes / 60, minutes % 60, (ticks % per_minute) as f64 / scale)
    }
}

impl Position {
    /// Parses one of the forms above.
    pub fn parse(text: &str) -> Option<Position> {
        let scan = Scan::of(text)?;
        let (ra, dec) = match scan.numbers.len() {
            2 => scan.packed()?,
            6 => scan.spaced()?,
            _ => return None,
        };
        let in_range = ra.whole < 24 && dec.total_seconds() <= 90.0 * 3600.0;
        in_range.then_some(Position { ra, dec })
    }

    /// Right ascension, degrees, 0..360.
    pub fn ra_deg(&self) -> f64 {
        self.ra.total_seconds() / 240.0
    }

    /// Declination, degrees, -90..=90.
    pub fn dec_deg(&self) -> f64 {
        let degrees = self.dec.total_seconds() / 3600.0;
        if self.dec.negative { -degrees } else { degrees }
    }

    /// `HH:MM:SS.sss`.
    pub fn ra_text(&self) -> String {
        let (h, m, s) = self.ra.rounded(1000);
        format!("{:02}:{m:02}:{s:06.3}", h % 24)
    }

    /// `D:MM:SS.sssss`, degrees neither padded nor signed when positive.
    pub fn dec_text(&self) -> String {
        let (d, m, s) = self.dec.rounded(100_000);
        format!("{}{d}:{m:02}:{s:08.5}", if self.dec.negative { "-" } else { "" })
    }
}

/// The text cut into numbers and what stands around them, blanks removed.
struct Scan<'a> {
    numbers: Vec<&'a str>,
    /// `around[i]` stands before `numbers[i]`; the last one after all numbers.
    around: Vec<String>,
}

impl<'a> Scan<'a> {
    /// `None` when there are more numbers than any form has.
    fn of(text: &'a str) -> Option<Scan<'a>> {
        const NUMBERS_MAX: usize = 6;
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let mut scan = Scan { numbers: Vec::new(), around: Vec::new() };
        let mut rest = text;
        while let Some(start) = rest.find(is_number) {
            if scan.numbers.len() == NUMBERS_MAX {
                return None;
            }
            let tail = &rest[start..];
            let end = tail.find(|c| !is_number(c)).unwrap_or(tail.len());
            scan.around.push(squeezed(&rest[..start]));
            scan.numbers.push(&tail[..end]);
            rest = &tail[end..];
        }
        scan.around.push(squeezed(rest));
        Some(scan)
    }

    /// `JHHMMSS.ss+DDMMSS.ss`
    fn packed(&self) -> Option<(Angle, Angle)> {
        let negative = sign(&self.around[1]).filter(|_| !self.around[1].is_empty())?;
        if !self.around[0].eq_ignore_ascii_case("J") || !self.around[2].is_empty() {
            return None;
        }
        Some((digits(self.numbers[0], false)?, digits(self.numbers[1], negative)?))
    }

    /// Three fields, three fields.
    fn spaced(&self) -> Option<(Angle, Angle)> {
        let [first, a, b, middle, c, d, last] = self.around.as_slice() else {
            return None;
        };
        let middle = middle.strip_prefix(style(a, b, 'h')?)?;
        let end = style(c, d, 'd')?;
        if !first.is_empty() || last != end {
            return None;
        }
        let negative = sign(middle)?;
        let n = &self.numbers;
        Some((angle(n[0], n[1], n[2], false)?, angle(n[3], n[4], n[5], negative)?))
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Is it negative? `None`: not a sign.
fn sign(text: &str) -> Option<bool> {
    match text {
        "" | "+" => Some(false),
        "-" => Some(true),
        _ => None,
    }
}

/// The two separators of a three-field angle; says what must follow the seconds.
fn style(first: &str, second: &str, unit: char) -> Option<&'static str> {
    match (first, second) {
        (":", ":") | ("", "") => Some(""),
        (u, "m") if u.strip_prefix(unit) == Some("") => Some("s"),
        _ => None,
    }
}

/// `DDMMSS.ss`
fn digits(text: &str, negative: bool) -> Option<Angle> {
    let whole_digits = text.split('.').next().unwrap_or("").len();
    if whole_digits != 6 {
        return None;
    }
    angle(&text[..2], &text[2..4], &text[4..], negative)
}

fn angle(whole: &str, minutes: &str, seconds: &str, negative: bool) -> Option<Angle> {
    let field = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() <= 2);
    let angle = Angle {
        negative,
        whole: field(whole)?,
        minutes: field(minutes)?,
        seconds: seconds.parse::<f64>().ok().filter(|_| seconds.len() >= 2)?,
    };
    (angle.minutes < 60 && angle.seconds < 60.0).then_some(angle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(position: &str) -> (String, String) {
        let p = Position::parse(position).expect(position);
        (p.ra_text(), p.dec_text())
    }

    fn pair(ra: &str, dec: &str) -> (String, String) {
        (ra.into(), dec.into())
    }

    #[test]
    fn all_forms() {
        assert_eq!(texts("03:14:15.9 +26:37:10.11"), pair("03:14:15.900", "26:37:10.11000"));
        assert_eq!(texts("12 30 49.42 +12 23 28.0"), pair("12:30:49.420", "12:23:28.00000"));
        assert_eq!(texts("12h30m49.42s +12d23m28.0s"), pair("12:30:49.420", "12:23:28.00000"));
        assert_eq!(texts("J141213.23+161252.12"), pair("14:12:13.230", "16:12:52.12000"));
        assert_eq!(texts("3:14:15.9 -10:37:10.11"), pair("03:14:15.900", "-10:37:10.11000"));
    }

    #[test]
    fn small_negative_declinations_keep_the_sign() {
        let p = Position::parse("01:08:07.7 -00:37:10.11").expect("valid");
        assert_eq!((p.ra_text(), p.dec_text()), pair("01:08:07.700", "-0:37:10.11000"));
        assert!(p.dec_deg() < -0.6);
    }

    #[test]
    fn rounding_carries() {
        assert_eq!(texts("03:14:59.9996 +26:59:59.999999"), pair("03:15:00.000", "27:00:00.00000"));
        assert_eq!(texts("23:59:59.9999 +00:00:00.0").0, "00:00:00.000");
    }

    #[test]
    fn degrees() {
        let p = Position::parse("12:30:49.42 -12:23:28.0").expect("valid");
        assert!((p.ra_deg() - 187.705_916_666_666_67).abs() < 1e-12);
        assert!((p.dec_deg() + 12.391_111_111_111_11).abs() < 1e-12);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "not a position",
            "",
            "187.70 12.39",
            "24:00:00.0 +10:00:00.0",
            "03:60:00.0 +10:00:00.0",
            "03:14:60.0 +10:00:00.0",
            "03:14:15.9 +90:00:00.1",
            "03:14:15.9 +26:37",
            "03:14:1 +26:37:10.11",
            "03:14:15.9 * 26:37:10.11",
            "03h14d15.9s +26d37m10.1s",
            "141213.23+161252.12",
            "J14121.23+161252.12",
            "03:14:1.5.9 +26:37:10.11",
        ] {
            assert_eq!(Position::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[J0-9:hdms.+ é-]{0,30}") {
            if let Some(p) = Position::parse(&text) {
                let _ = (p.ra_text(), p.dec_text(), p.ra_deg(), p.dec_deg());
            }
        }

        #[test]
        fn what_is_printed_is_read(h in 0u32..24, m in 0u32..60, s in 0u32..60_000, d in 0u32..90, neg: bool) {
            let sign = if neg { '-' } else { '+' };
            let seconds = f64::from(s) / 1000.0;
            let p = Position::parse(&format!("{h}:{m}:{seconds:06.3} {sign}{d}:{m}:{seconds:06.3}")).expect("valid");
            let again = Position::parse(&format!("{} {}", p.ra_text(), p.dec_text())).expect("valid");
            prop_assert_eq!(again.ra_text(), p.ra_text());
            prop_assert_eq!(again.dec_text(), p.dec_text());
        }
    }
}
