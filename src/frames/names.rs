//! Templates of image names read backwards: which exposure numbers are taken.

use crate::config::archon::template::{Fields, FileTemplate};

/// Longer than any padding, and in no name: where a field of text stands in a name.
const FIELD: char = '\u{1}';
const FIELD_LENGTH: usize = 255;
/// More digits than any padding that is not absurd.
const NUMBER: u64 = u64::MAX;

/// Endings that do not matter when numbers are looked for.
const ENDINGS: &[&str] = &[".part", ".lock", ".gz", ".fits", ".fit"];

/// A piece of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Anything.
    Field,
    Number,
}

/// What all names of a template have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

impl Pattern {
    /// Of the names a template gives at this observatory.
    pub fn of(template: &FileTemplate, observatory: &str) -> Pattern {
        let any = FIELD.to_string().repeat(FIELD_LENGTH);
        let fields = Fields { ccd: &any, controller: &any, observatory, exposure_no: NUMBER };
        let name = template.render(&fields);
        let (number, mut rest) = (NUMBER.to_string(), bare(&name));
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let special = rest.find(FIELD).into_iter().chain(rest.find(&number)).min();
            let (text, tail) = rest.split_at(special.unwrap_or(rest.len()));
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            rest = match (tail.strip_prefix(&any), tail.strip_prefix(&number)) {
                (Some(behind), _) => {
                    pieces.push(Piece::Field);
                    behind
                }
                (None, Some(behind)) => {
                    pieces.push(Piece::Number);
                    behind
                }
                (None, None) => "",
            };
        }
        Pattern(pieces)
    }

    /// The exposure number in a name of this pattern, or in that of a lock or partial file beside it.
    pub fn number_in(&self, name: &str) -> Option<u64> {
        find(&self.0, bare(name), None)
    }
}

/// Without the endings of files.
fn bare(mut name: &str) -> &str {
    while let Some(shorter) = ENDINGS.iter().find_map(|e| name.strip_suffix(e)) {
        name = shorter;
    }
    name
}

/// Whether the name is made of these pieces, and which number is in it.
fn find(pieces: &[Piece], name: &str, number: Option<u64>) -> Option<u64> {
    let Some((first, rest)) = pieces.split_first() else { return number.filter(|_| name.is_empty()) };
    match first {
        Piece::Text(text) => find(rest, name.strip_prefix(text.as_str())?, number),
        Piece::Field => {
            let mut ends = (0..=name.len()).filter(|i| name.is_char_boundary(*i));
            ends.find_map(|i| find(rest, &name[i..], number))
        }
        Piece::Number => {
            // Padding other than with zeros.
            let name = name.trim_start_matches(' ');
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            find(rest, &name[digits..], Some(name[..digits].parse().ok()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(template: &str) -> Pattern {
        Pattern::of(&FileTemplate::parse(template).expect(template), "APO")
    }

    #[test]
    fn the_number_is_found_in_every_name_of_a_template() {
        for template in [
            "sdR-{ccd}-{exposure_no:08d}.fits.gz",
            "sdR-{hemisphere}-{ccd}-{exposure_no:04d}.fits",
            "{observatory}_{controller}_{exposure_no}.fits",
            "{exposure_no:8d}",
            "{exposure_no:05d}-{ccd:_>6s}-{controller}",
        ] {
            let parsed = FileTemplate::parse(template).expect(template);
            for exposure_no in [1, 12, 123_456_789_012] {
                let fields = Fields { ccd: "b1", controller: "sp1", observatory: "APO", exposure_no };
                let name = parsed.render(&fields);
                assert_eq!(pattern(template).number_in(&name), Some(exposure_no), "{name}");
            }
        }
    }

    #[test]
    fn numbers_are_found_in_what_is_beside_an_image_and_nowhere_else() {
        let pattern = pattern("sdR-{ccd}-{exposure_no:04d}.fits.gz");
        for (name, number) in [
            ("sdR-b1-0012.fits.gz.part", Some(12)),
            ("sdR-b-1-0013.fits.part", Some(13)),
            ("sdR-r1-12345.lock", Some(12345)),
            ("sdR-b1-0012.fits", Some(12)),
            ("sdR-b1-.fits.gz", None),
            ("sdR-b1-0012-extra.fits.gz", None),
            ("other-0012.fits.gz", None),
            ("61365.md5sum", None),
            ("sdR-é-0001.fits", Some(1)),
        ] {
            assert_eq!(pattern.number_in(name), number, "{name}");
        }
    }
}
