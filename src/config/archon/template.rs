//! Names of image files: `files.template`, in Python's format language as far as names need it.
//!
//! `{ccd}`, `{controller}`, `{observatory}` (lower case), `{hemisphere}` (`n` at APO, else `s`) are text, `{exposure_no}`
//! is a number; after a colon `[[fill]align][0][width][d|s]`. `{{` and `}}` are braces.

use crate::config::suggest;

/// What a name is made of.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Name of the CCD.
    pub ccd: &'a str,
    /// Number of the exposure.
    pub exposure_no: u64,
    /// Name of the controller.
    pub controller: &'a str,
    /// Observatory, in any case.
    pub observatory: &'a str,
}

/// A template that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field, Format),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Ccd,
    ExposureNo,
    Controller,
    Observatory,
    Hemisphere,
}

const FIELDS: [(&str, Field); 5] = [
    ("ccd", Field::Ccd),
    ("exposure_no", Field::ExposureNo),
    ("controller", Field::Controller),
    ("observatory", Field::Observatory),
    ("hemisphere", Field::Hemisphere),
];

/// How a field is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    fill: char,
    align: Align,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Middle,
}

/// Widest field: names of files end at 255 bytes.
const WIDTH_MAX: usize = 200;

impl FileTemplate {
    /// Understands a template, or says what is wrong with it.
    pub fn parse(template: &str) -> Result<FileTemplate, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let tail = &rest[at..];
            if tail.starts_with("{{") || tail.starts_with("}}") {
                text.push_str(&tail[..1]);
                rest = &tail[2..];
                continue;
            }
            let (inside, behind) =
                tail.strip_prefix('{').and_then(|t| t.split_once('}')).ok_or_else(|| {
                    format!("template '{template}': a brace is alone; write {{{{ or }}}} for one in the name")
                })?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(field(inside).map_err(|why| format!("template '{template}': {why}"))?);
            rest = behind;
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        let template_of = FileTemplate { pieces };
        template_of.check().map_err(|why| format!("template '{template}': {why}"))?;
        Ok(template_of)
    }

    fn check(&self) -> Result<(), String> {
        let in_text =
            |bad: &[char]| self.pieces.iter().any(|p| matches!(p, Piece::Text(t) if t.contains(bad)));
        if in_text(&['/', '\0']) {
            return Err("it is the name of a file, without '/'; directories come from files.data_dir".into());
        }
        if !self.has(Field::ExposureNo) {
            return Err("without {exposure_no} every exposure would have the same name".into());
        }
        Ok(())
    }

    fn has(&self, wanted: Field) -> bool {
        self.pieces.iter().any(|p| matches!(p, Piece::Field(field, _) if *field == wanted))
    }

    /// Images of several CCDs of one exposure get different names.
    pub fn tells_ccds_apart(&self) -> bool {
        self.has(Field::Ccd)
    }

    /// The name; what would lead out of the directory becomes `_`.
    pub fn render(&self, of: &Fields<'_>) -> String {
        let name: String = self.pieces.iter().map(|piece| piece.render(of)).collect();
        name.replace(['/', '\0'], "_")
    }
}

/// What is between the braces.
fn field(inside: &str) -> Result<Piece, String> {
    let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
    let known = FIELDS.map(|(name, _)| name);
    let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
        let hint = suggest::hint(name, known);
        return Err(format!("there is no field '{name}'{hint}; there are {}", known.join(", ")));
    };
    let number = *field == Field::ExposureNo;
    let format = Format::parse(format, number).ok_or_else(|| {
        format!("format '{format}' of {{{name}}} is not understood; write for example {{exposure_no:08d}}")
    })?;
    Ok(Piece::Field(*field, format))
}

impl Format {
    /// `[[fill]align][0][width][d|s]`
    fn parse(text: &str, number: bool) -> Option<Format> {
        let align_of = |c| match c {
            '<' => Some(Align::Left),
            '>' => Some(Align::Right),
            '^' => Some(Align::Middle),
            _ => None,
        };
        let default = if number { Align::Right } else { Align::Left };
        let text = text.strip_suffix(if number { 'd' } else { 's' }).unwrap_or(text);
        let mut chars = text.chars();
        let (first, second) = (chars.next(), chars.next());
        let (fill, align, rest) = match (first, second.and_then(align_of), first.and_then(align_of)) {
            (Some(fill), Some(align), _) => (Some(fill), Some(align), chars.as_str()),
            (Some(c), None, Some(align)) => (None, Some(align), &text[c.len_utf8()..]),
            _ => (None, None, text),
        };
        let zero = rest.starts_with('0');
        // Python: "'=' alignment not allowed in string format specifier".
        if zero && !number {
            return None;
        }
        let width = if rest.is_empty() { Some(0) } else { rest.parse().ok() };
        let digits_only = rest.bytes().all(|b| b.is_ascii_digit());
        Some(Format {
            fill: fill.unwrap_or(if zero { '0' } else { ' ' }),
            align: align.unwrap_or(default),
            width: width.filter(|w| digits_only && *w <= WIDTH_MAX)?,
        })
    }

    fn pad(self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let (left, right) = match self.align {
            Align::Left => (0, missing),
            Align::Right => (missing, 0),
            Align::Middle => (missing / 2, missing - missing / 2),
        };
        let fill = |n| std::iter::repeat_n(self.fill, n);
        fill(left).chain(text.chars()).chain(fill(right)).collect()
    }
}

impl Piece {
    fn render(&self, of: &Fields<'_>) -> String {
        let (field, format) = match self {
            Piece::Text(text) => return text.clone(),
            Piece::Field(field, format) => (field, format),
        };
        format.pad(&match field {
            Field::Ccd => of.ccd.to_owned(),
            Field::ExposureNo => of.exposure_no.to_string(),
            Field::Controller => of.controller.to_owned(),
            Field::Observatory => of.observatory.to_ascii_lowercase(),
            Field::Hemisphere if of.observatory.eq_ignore_ascii_case("APO") => "n".to_owned(),
            Field::Hemisphere => "s".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B1: Fields<'_> = Fields { ccd: "b1", exposure_no: 12, controller: "sp1", observatory: "APO" };

    #[test]
    fn names_are_those_of_python() {
        for (template, name) in [
            ("sdR-{ccd}-{exposure_no:08d}.fits.gz", "sdR-b1-00000012.fits.gz"),
            ("sdR-{hemisphere}-{ccd}-{exposure_no:04d}.fits", "sdR-n-b1-0012.fits"),
            ("{observatory}_{controller}_{exposure_no}.fits", "apo_sp1_12.fits"),
            ("{exposure_no:4}|{ccd:4}|", "  12|b1  |"),
            ("{ccd:_>4s}{exposure_no:<4d}.{ccd:-^5}", "__b112  .-b1--"),
            ("{{{exposure_no:d}}}", "{12}"),
            ("{exposure_no:1}", "12"),
        ] {
            assert_eq!(
                FileTemplate::parse(template).map(|t| t.render(&B1)),
                Ok(name.to_owned()),
                "{template}"
            );
        }
        let south = Fields { observatory: "lco", ..B1 };
        let template = FileTemplate::parse("{hemisphere}{exposure_no}").expect("fine");
        assert_eq!(template.render(&south), "s12");
        assert!(!template.tells_ccds_apart());
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        let template = FileTemplate::parse("{ccd}-{exposure_no}").expect("fine");
        assert_eq!(template.render(&Fields { ccd: "../../etc/x", ..B1 }), ".._.._etc_x-12");
        FileTemplate::parse("../{exposure_no}").expect_err("a path");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (template, why) in [
            ("{ccd}.fits", "without {exposure_no}"),
            ("{cdd}-{exposure_no}", "did you mean 'ccd'?; there are ccd, exposure_no"),
            ("{exposure_no", "brace is alone"),
            ("exposure_no}", "brace is alone"),
            ("{exposure_no:x}", "format 'x'"),
            ("{exposure_no:+4}", "format '+4'"),
            ("{exposure_no:999}", "format '999'"),
            ("{ccd:04}{exposure_no}", "format '04'"),
            ("{}", "no field ''"),
        ] {
            let error = FileTemplate::parse(template).expect_err(template);
            assert!(error.contains(why), "{error}");
        }
    }
}
