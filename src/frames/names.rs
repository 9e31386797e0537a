//! Names of images and directories of nights.
//!
//! The template is Python's: `{ccd}`, `{controller}`, `{observatory}`, `{hemisphere}`, and `{exposure_no}` with
//! `:0Nd`. It is also read backwards, to find the numbers that are taken.

use crate::units::Utc;

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub ccd: &'a str,
    pub controller: &'a str,
    pub observatory: &'a str,
    pub exposure: u64,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Name of a field of text.
    Field(String),
    /// The exposure number with at least this many digits, zeros in front.
    Number(usize),
}

/// A template, understood.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

/// Endings that do not matter when numbers are looked for.
const ENDINGS: &[&str] = &[".part", ".lock", ".gz", ".fits", ".fit"];

impl Template {
    /// Understands a template, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            let (field, tail) =
                rest[start + 1..].split_once('}').ok_or_else(|| format!("'{text}' has a {{ without }}"))?;
            pieces.push(piece(field).map_err(|why| format!("'{text}': {why}"))?);
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if !pieces.iter().any(|p| matches!(p, Piece::Number(_))) {
            return Err(format!("'{text}' has no {{exposure_no}}: every image would have the same name"));
        }
        Ok(Template(pieces))
    }

    /// The name; nothing in it leads out of the directory.
    pub fn name(&self, of: &Fields) -> String {
        let name: String = self.0.iter().map(|piece| text_of(piece, of)).collect();
        name.replace(['/', '\0'], "_")
    }

    /// The exposure number in a name made from this template (or in that of a lock or partial file of it).
    pub fn number_in(&self, name: &str) -> Option<u64> {
        let mut pieces = self.0.clone();
        if let Some(Piece::Text(last)) = pieces.last_mut() {
            *last = bare(last).to_owned();
        }
        matching(&pieces, bare(name))
    }
}

/// Without the endings of files.
fn bare(mut name: &str) -> &str {
    while let Some(shorter) = ENDINGS.iter().find_map(|e| name.strip_suffix(e)) {
        name = shorter;
    }
    name
}

fn piece(field: &str) -> Result<Piece, String> {
    let (name, format) = field.split_once(':').unwrap_or((field, ""));
    match name {
        "exposure_no" => {
            let digits = format.strip_suffix('d').unwrap_or(format).trim_start_matches('0');
            let width = if digits.is_empty() { Some(0) } else { digits.parse().ok() };
            let width =
                width.filter(|w| *w <= 40).ok_or_else(|| format!("the format '{format}' is not known"))?;
            Ok(Piece::Number(width))
        }
        "ccd" | "controller" | "observatory" | "hemisphere" => Ok(Piece::Field(name.to_owned())),
        other => Err(format!(
            "there is no field '{other}' (ccd, controller, observatory, hemisphere, exposure_no)"
        )),
    }
}

fn text_of(piece: &Piece, of: &Fields) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Number(digits) => format!("{:0digits$}", of.exposure),
        Piece::Field(name) => match name.as_str() {
            "ccd" => of.ccd.to_owned(),
            "controller" => of.controller.to_owned(),
            "observatory" => of.observatory.to_ascii_lowercase(),
            _ if of.observatory.eq_ignore_ascii_case("APO") => "n".to_owned(),
            _ => "s".to_owned(),
        },
    }
}

/// Whether the name is made of these pieces, fields being anything, and which number is in it.
fn matching(pieces: &[Piece], name: &str) -> Option<u64> {
    let Some((first, rest)) = pieces.split_first() else { return None };
    match first {
        Piece::Text(text) => matching(rest, name.strip_prefix(text.as_str())?),
        Piece::Field(_) => {
            (0..=name.len()).filter(|i| name.is_char_boundary(*i)).find_map(|i| matching(rest, &name[i..]))
        }
        Piece::Number(_) => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            let number = name[..digits].parse().ok()?;
            ends(rest, &name[digits..]).then_some(number)
        }
    }
}

/// Whether what is behind the number is made of these pieces.
fn ends(pieces: &[Piece], name: &str) -> bool {
    match pieces.split_first() {
        None => name.is_empty(),
        Some((Piece::Text(text), rest)) => name.strip_prefix(text.as_str()).is_some_and(|n| ends(rest, n)),
        Some((_, rest)) => (0..=name.len()).any(|i| name.is_char_boundary(i) && ends(rest, &name[i..])),
    }
}

/// SDSS Julian day: `floor(MJD + 0.3)` at APO, `floor(MJD + 0.4)` elsewhere (LCO).
pub(super) fn sjd(observatory: &str, at: Utc) -> i64 {
    let tenths = if observatory.eq_ignore_ascii_case("APO") { 3 } else { 4 };
    // In whole nanoseconds: a night does not begin a rounding error early.
    (at + std::time::Duration::from_secs(tenths * 8640)).mjd_day()
}

/// Name of the directory of a night.
pub(super) fn night(use_sjd: bool, observatory: &str, at: Utc) -> String {
    if use_sjd { sjd(observatory, at).to_string() } else { at.mjd_day().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MJD_OF_EPOCH;

    fn fields(ccd: &str, exposure: u64) -> Fields<'_> {
        Fields { ccd, controller: "sp1", observatory: "APO", exposure }
    }

    #[test]
    fn names_are_those_of_python_format() {
        for (template, name) in [
            ("sdR-{ccd}-{exposure_no:08d}.fits.gz", "sdR-b1-00000012.fits.gz"),
            ("sdR-{hemisphere}-{ccd}-{exposure_no:04d}.fits", "sdR-n-b1-0012.fits"),
            ("{observatory}_{controller}_{exposure_no}.fits", "apo_sp1_12.fits"),
            ("{exposure_no:8d}", "00000012"),
        ] {
            let template = Template::parse(template).expect(template);
            assert_eq!(template.name(&fields("b1", 12)), name);
            assert_eq!(template.number_in(name), Some(12), "{name}");
        }
        let template = Template::parse("{ccd}{exposure_no}").expect("good");
        assert_eq!(template.name(&fields("../../etc/", 1)), ".._.._etc_1");
    }

    #[test]
    fn numbers_are_found_in_what_is_beside_an_image_and_nowhere_else() {
        let template = Template::parse("sdR-{ccd}-{exposure_no:04d}.fits.gz").expect("good");
        for (name, number) in [
            ("sdR-b1-0012.fits.gz.part", Some(12)),
            ("sdR-b-1-0013.fits.part", Some(13)),
            ("sdR-r1-12345.lock", Some(12345)),
            ("sdR-b1-0012.fits", Some(12)),
            ("sdR-b1-.fits.gz", None),
            ("other-0012.fits.gz", None),
            ("61365.md5sum", None),
            ("sdR-é-0001.fits", Some(1)),
        ] {
            assert_eq!(template.number_in(name), number, "{name}");
        }
    }

    #[test]
    fn templates_that_cannot_be_used_say_why() {
        for (template, said) in [
            ("a.fits", "no {exposure_no}"),
            ("{exposure_no", "without }"),
            ("{night}-{exposure_no}", "no field 'night'"),
            ("{exposure_no:x}", "format 'x'"),
        ] {
            let why = Template::parse(template).expect_err(template);
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn nights_of_both_observatories() {
        // MJD 61365.65: still the night before at APO (.3 earlier than a new day), a new one at LCO.
        let at = Utc::from_seconds((61_365 - MJD_OF_EPOCH) * 86_400 + 65 * 864);
        assert_eq!((sjd("APO", at), sjd("LCO", at)), (61_365, 61_366));
        assert_eq!((night(false, "LCO", at), night(true, "lco", at)), ("61365".into(), "61366".into()));
    }
}
