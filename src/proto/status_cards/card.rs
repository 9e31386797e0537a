//! Reading one card.

use super::number::{self, StackText};
use super::{CARD, KEYWORD, ends_keyword};
use crate::value::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// One card of 80 columns, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card<'a>(pub(super) &'a [u8]);

impl<'a> Card<'a> {
    /// A card from its text; columns beyond the 80th are ignored, missing ones count as absent.
    pub fn new(text: &'a [u8]) -> Card<'a> {
        Card(&text[..text.len().min(CARD)])
    }

    /// All columns.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The keyword as written, blanks removed; empty on a blank card.
    pub fn keyword(self) -> Cow<'a, str> {
        let columns = &self.0[..self.0.len().min(KEYWORD)];
        let end = columns.iter().position(|&b| b == b'=').unwrap_or(columns.len());
        String::from_utf8_lossy(columns[..end].trim_ascii())
    }

    /// Whether there is no keyword.
    pub fn is_blank(self) -> bool {
        self.0.iter().take(KEYWORD).all(|&b| b == b' ')
    }

    /// Whether a search for `key` finds this card: any case, blanks before it, and then the end of the
    /// keyword.
    pub fn is(self, key: &[u8]) -> bool {
        let Some(start) = self.0.iter().take(KEYWORD).position(|&b| b != b' ') else { return false };
        let Some(found) = self.0.get(start..start + key.len()) else { return false };
        found.eq_ignore_ascii_case(key) && self.0.get(start + key.len()).is_none_or(|&b| ends_keyword(b))
    }

    /// Where the text between quotes is, if it is quoted: `(quote, start, end)`. `end` is the closing quote,
    /// or where unterminated text stops.
    fn quoted(self) -> Option<(u8, usize, usize)> {
        [b'\'', b'"'].into_iter().find_map(|quote| {
            let open = self.0.iter().position(|&b| b == quote)?;
            if self.0[..open].contains(&b'/') {
                return None;
            }
            let rest = &self.0[open + 1..];
            let close =
                rest.iter().position(|&b| b == quote).or_else(|| rest.iter().position(|&b| b == b'/'));
            Some((quote, open + 1, close.map_or(self.0.len(), |c| open + 1 + c)))
        })
    }

    /// Whether this is a string card.
    pub fn is_string(self) -> bool {
        self.quoted().is_some()
    }

    /// The value's text: inside the quotes, or between `=` and the comment; blanks around it removed.
    pub fn text(self) -> &'a [u8] {
        self.text_and_kind().0
    }

    /// The text, and whether it was quoted.
    fn text_and_kind(self) -> (&'a [u8], bool) {
        let (field, quoted) = match self.quoted() {
            Some((_, start, end)) => (&self.0[start..end], true),
            None => (self.unquoted(), false),
        };
        match trim(field) {
            b"-0" => (b"0", quoted),
            text => (text, quoted),
        }
    }

    fn unquoted(self) -> &'a [u8] {
        let start = self.0.iter().position(|&b| b == b'=').map_or(KEYWORD + 1, |equals| equals + 1);
        // The last column is not looked at without a comment: the C readers lose it as well.
        let last = self.0.len().min(CARD - 1);
        let rest = self.0.get(start..).unwrap_or(&[]);
        match rest.iter().position(|&b| b == b'/') {
            Some(slash) => &rest[..slash],
            None => self.0.get(start..last).unwrap_or(&[]),
        }
    }

    /// The comment after `/`, one blank before it and all blanks after it removed; empty if there is none.
    pub fn comment(self) -> &'a [u8] {
        let from = match self.quoted() {
            Some((quote, _, end)) => end + usize::from(self.0.get(end) == Some(&quote)),
            None => 0,
        };
        let rest = self.0.get(from..).unwrap_or(&[]);
        let Some(slash) = rest.iter().position(|&b| b == b'/') else { return &[] };
        let text = &rest[slash + 1..];
        text.strip_prefix(b" ").unwrap_or(text).trim_ascii_end()
    }

    /// The `n`-th blank-separated word of the text, from 1; `-n`: all from word `n` on.
    pub fn word(self, n: i32) -> Option<&'a [u8]> {
        let text = self.text();
        let mut rest = text;
        for _ in 1..n.unsigned_abs() {
            let end = rest.iter().position(|&b| b == b' ')?;
            rest = rest[end..].trim_ascii_start();
        }
        if n == 0 || rest.is_empty() {
            return None;
        }
        let end = if n < 0 { rest.len() } else { rest.iter().position(|&b| b == b' ').unwrap_or(rest.len()) };
        Some(&rest[..end])
    }

    /// The value with the kind the card shows: quoted text is text, `T` and `F` are logical, decimal
    /// digits are an integer, and so on. Numbers that JSON cannot carry stay text.
    pub fn value(self) -> Value {
        let (text, quoted) = self.text_and_kind();
        let text = String::from_utf8_lossy(text);
        if quoted {
            return Value::Str(text.into_owned());
        }
        match text.as_ref() {
            "T" => return Value::Bool(true),
            "F" => return Value::Bool(false),
            _ => {}
        }
        if let Ok(integer) = text.parse::<i64>() {
            return Value::Int(integer);
        }
        let looks_numeric = text.bytes().all(|b| b"0123456789+-.eEdD".contains(&b));
        let number = text.replace(['d', 'D'], "e").parse::<f64>();
        match number {
            Ok(x) if looks_numeric && x.is_finite() => Value::Float(x),
            _ => Value::Str(text.into_owned()),
        }
    }
}

/// The first card of `cards` that a search for `key` finds.
///
/// A buffer is searched under the lock, so this looks at the keyword's eight columns as one number:
/// folding the case by setting a bit is coarse, but rules out nearly all cards in one comparison.
pub(super) fn position(cards: &[[u8; CARD]], key: &[u8]) -> Option<usize> {
    const FOLD: u64 = u64::from_le_bytes([0x20; KEYWORD]);
    let used = key.len().min(KEYWORD);
    let (mut wanted, mut columns) = ([0; KEYWORD], [0; KEYWORD]);
    wanted[..used].copy_from_slice(&key[..used]);
    columns[..used].fill(0xff);
    let columns = u64::from_le_bytes(columns);
    let wanted = (u64::from_le_bytes(wanted) | FOLD) & columns;
    let may_match = |card: &[u8; CARD]| {
        let (keyword, _) = card.as_chunks::<KEYWORD>();
        (u64::from_le_bytes(keyword[0]) | FOLD) & columns == wanted || card[0] == b' '
    };
    cards.iter().position(|card| may_match(card) && Card(card).is(key))
}

/// Blanks, and the carriage return some writers leave.
fn trim(field: &[u8]) -> &[u8] {
    let from = field.iter().position(|&b| b != b' ').unwrap_or(field.len());
    let to = field.iter().rposition(|&b| b != b' ' && b != b'\r').map_or(from, |last| last + 1);
    &field[from..to.max(from)]
}

/// What the C getters make of a value's text. All of them find something in any text.
pub mod read {
    use super::{StackText, Write, number};

    /// Some writers mark numbers with `#`.
    fn unmarked(text: &[u8]) -> &[u8] {
        text.strip_prefix(b"#").unwrap_or(text)
    }

    /// `hgetr8`: a leading `#` skipped, Fortran exponents understood; 0 for what is not a number.
    pub fn float64(text: &[u8]) -> f64 {
        let text = unmarked(text);
        if !text.iter().all(|b| b"0123456789+-.eEdD".contains(b)) {
            return number::atof(text);
        }
        let mut plain = StackText::new();
        for &b in text {
            let _ = plain.write_char(if b.is_ascii_alphabetic() { 'e' } else { char::from(b) });
        }
        number::atof(plain.as_bytes())
    }

    /// `hgetr4`.
    pub fn float32(text: &[u8]) -> f32 {
        float64(text) as f32
    }

    /// A thousandth away from zero: 2.9995 counts as 3, 2.6 as 2.
    fn nudged(text: &[u8]) -> f64 {
        let x = float64(text);
        if x >= 0.0 { x + 0.001 } else { x - 0.001 }
    }

    /// `hgeti4`: truncated after a nudge of a thousandth, saturated.
    pub fn int32(text: &[u8]) -> i32 {
        nudged(text) as i32
    }

    /// `hgetu4`: as [`int32`]; negative numbers are 0.
    pub fn uint32(text: &[u8]) -> u32 {
        nudged(text) as u32
    }

    /// `hgeti8`: base by prefix (`010` is 8); other text through `atof`.
    pub fn int64(text: &[u8]) -> i64 {
        let text = unmarked(text);
        let integer = number::integer(text);
        if !integer.complete {
            return number::truncate_i64(number::atof(text));
        }
        let magnitude = integer.magnitude.min(1 << 64) as i128;
        let signed = if integer.negative { -magnitude } else { magnitude };
        signed.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// `hgetu8`: as [`int64`]; a minus sign wraps around, as in C.
    pub fn uint64(text: &[u8]) -> u64 {
        let text = unmarked(text);
        let integer = number::integer(text);
        if !integer.complete {
            return number::truncate_u64(number::atof(text));
        }
        match u64::try_from(integer.magnitude) {
            Ok(magnitude) if integer.negative => magnitude.wrapping_neg(),
            Ok(magnitude) => magnitude,
            Err(_) => u64::MAX,
        }
    }

    /// `hgetl`: whether the text starts with `t` or `T`.
    pub fn logical(text: &[u8]) -> bool {
        matches!(text.first(), Some(b't' | b'T'))
    }
}
