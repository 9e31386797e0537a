//! Header cards as text: 80 columns, as astropy prints them.
//!
//! FITS standard 4.0, section 4: <https://fits.gsfc.nasa.gov/fits_standard.html>. Keywords of more than eight
//! characters follow the HIERARCH convention of ESO, texts that are too long are continued (section 4.2.1.2).

use super::jobs::Card;
use crate::value::Value;
use std::fmt::Write;

/// Columns of a card.
pub(super) const COLUMNS: usize = 80;
/// Columns of text of a continued string: quotes, `&` and `CONTINUE  ` taken off.
const PIECE: usize = 67;
/// Columns of comment behind `CONTINUE  '&' / `.
const COMMENT_PIECE: usize = 64;

/// Cards without value: the text is in the comment, or the value.
const COMMENTARY: &[&str] = &["COMMENT", "HISTORY", ""];

/// The card(s) of a keyword, each 80 bytes of printable ASCII.
pub(super) fn format(card: &Card) -> Vec<u8> {
    let keyword = keyword(&card.key);
    if COMMENTARY.contains(&keyword.as_str()) {
        return commentary(&keyword, card);
    }
    let hierarch = needs_hierarch(&keyword);
    let head = if hierarch { format!("HIERARCH {keyword} = ") } else { format!("{keyword:8}= ") };
    let value = value_text(&card.value);
    let value = if hierarch { value.trim().to_owned() } else { value };
    let comment = printable(&card.comment);
    let mut line = format!("{head}{value}");
    if let Value::Str(text) = &card.value
        && line.len() > COLUMNS
    {
        return continued(&head, &quoted(text), &comment);
    }
    if !comment.is_empty() {
        // The value must stay whole; a comment may be cut.
        let _ = write!(line, " / {comment}");
    }
    padded(&line)
}

/// Upper case, without what no keyword may hold.
pub(super) fn keyword(key: &str) -> String {
    let text = key.trim().to_ascii_uppercase();
    text.chars().map(|c| if c.is_ascii_graphic() && c != '=' || c == ' ' { c } else { '_' }).collect()
}

fn needs_hierarch(keyword: &str) -> bool {
    keyword.len() > 8
        || !keyword.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

/// Value field, at least 20 columns: numbers and logicals end there, texts begin at its first.
fn value_text(value: &Value) -> String {
    match value {
        Value::Bool(b) => format!("{:>20}", if *b { "T" } else { "F" }),
        Value::Int(i) => format!("{i:>20}"),
        Value::Float(x) if x.is_finite() => format!("{:>20}", float_text(*x)),
        // The null string has no trailing blanks, and astropy fills no column behind it.
        Value::Str(text) if text.trim_end().is_empty() => "''".to_owned(),
        Value::Str(text) => format!("{:20}", format!("'{:8}'", quoted(text))),
        Value::Bytes(_) | Value::List(_) | Value::Map(_) => {
            format!("{:20}", format!("'{:8}'", quoted(&value.to_string())))
        }
        // Undefined: FITS has no not-a-number in its header.
        Value::Null | Value::Float(_) => " ".repeat(20),
    }
}

/// The shortest text that reads back as the same number, in Python's layout with a capital E; at most 20
/// columns, as astropy cuts it.
pub(super) fn float_text(x: f64) -> String {
    let scientific = format!("{x:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let mut text = format!("{x}");
        if !text.contains('.') {
            text.push_str(".0");
        }
        text.truncate(20);
        return text;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let tail = format!("E{sign}{:02}", exponent.abs());
    let room = 20 - tail.len();
    format!("{}{tail}", &mantissa[..mantissa.len().min(room)])
}

fn quoted(text: &str) -> String {
    printable(text.trim_end()).replace('\'', "''")
}

/// Headers are ASCII without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// One card of 80 columns.
fn padded(line: &str) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    bytes.resize(COLUMNS, b' ');
    bytes
}

fn commentary(keyword: &str, card: &Card) -> Vec<u8> {
    let text = match &card.value {
        Value::Null => card.comment.clone(),
        value => value.to_string(),
    };
    let text = printable(&text);
    let pieces = pieces(&text, COLUMNS - 8, COLUMNS - 8);
    pieces.iter().flat_map(|piece| padded(&format!("{keyword:8}{piece}"))).collect()
}

/// A string over several cards.
fn continued(head: &str, text: &str, comment: &str) -> Vec<u8> {
    let first = (PIECE + 10).saturating_sub(head.len()).max(1);
    let words = pieces(text, first, PIECE);
    let mut cards = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let head = if i == 0 { head } else { "CONTINUE  " };
        let more = if i + 1 < words.len() || !comment.is_empty() { "&" } else { "" };
        cards.extend(padded(&format!("{head}'{word}{more}'")));
    }
    let words = if comment.is_empty() { Vec::new() } else { pieces(comment, COMMENT_PIECE, COMMENT_PIECE) };
    for (i, word) in words.iter().enumerate() {
        let more = if i + 1 < words.len() { "&" } else { "" };
        cards.extend(padded(&format!("CONTINUE  '{more}' / {word}")));
    }
    cards
}

/// Cuts a text; not between the two quotes that stand for one.
fn pieces(text: &str, first: usize, rest: usize) -> Vec<&str> {
    let (mut found, mut left, mut room) = (Vec::new(), text, first);
    while left.len() > room {
        let quotes = left[..room].bytes().rev().take_while(|b| *b == b'\'').count();
        let cut = if quotes % 2 == 1 && room > 1 { room - 1 } else { room };
        let (piece, tail) = left.split_at(cut);
        found.push(piece);
        (left, room) = (tail, rest);
    }
    found.push(left);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, value: impl Into<Value>, comment: &str) -> String {
        let card = Card { key: key.into(), value: value.into(), comment: comment.into() };
        let bytes = format(&card);
        assert_eq!(bytes.len() % COLUMNS, 0, "{key}");
        String::from_utf8(bytes).expect("ASCII").trim_end().to_owned()
    }

    #[test]
    fn cards_are_those_of_astropy() {
        // As the reference wrote them.
        for (key, value, comment, card) in [
            (
                "SIMPLE",
                Value::Bool(true),
                "conforms to FITS standard",
                "SIMPLE  =                    T / conforms to FITS standard",
            ),
            ("NAXIS1", 35.into(), "", "NAXIS1  =                   35"),
            ("EXPTIME", 0.1.into(), "Exposure time", "EXPTIME =                  0.1 / Exposure time"),
            ("SPEC", "sp1".into(), "Spectrograph name", "SPEC    = 'sp1     '           / Spectrograph name"),
            (
                "FILENAME",
                "sdR-b1-00000001.fits".into(),
                "File basename",
                "FILENAME= 'sdR-b1-00000001.fits' / File basename",
            ),
            ("SIMPLEST", "abc".into(), "", "SIMPLEST= 'abc     '"),
            ("EMPTY", "".into(), "", "EMPTY   = ''"),
            ("ARCHX", "it's".into(), "", "ARCHX   = 'it''s   '"),
            ("CCDTEMP1", (-183.15).into(), "LN2 temp", "CCDTEMP1=              -183.15 / LN2 temp"),
            ("UNDEF", Value::Null, "not known", "UNDEF   =                      / not known"),
            ("NAN", f64::NAN.into(), "", "NAN     ="),
        ] {
            assert_eq!(text(key, value, comment), card);
        }
    }

    #[test]
    fn floats_are_those_of_python_with_a_capital_e() {
        for (x, wanted) in [
            (1.0, "1.0"),
            (900.0, "900.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1E+16"),
            (1.5e-5, "1.5E-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1e300, "1E+300"),
            (-1.234_567_890_123_456_7e-100, "-1.234567890123E-100"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(float_text(x), wanted);
        }
    }

    #[test]
    fn long_keywords_and_odd_ones_follow_the_hierarch_convention() {
        assert_eq!(text("exposure time", 5, "s"), "HIERARCH EXPOSURE TIME = 5 / s");
        assert_eq!(text("LongKeyword", "x", ""), "HIERARCH LONGKEYWORD = 'x       '");
        assert_eq!(text("A=B", 1, ""), "A_B     =                    1");
    }

    #[test]
    fn long_texts_are_continued_and_quotes_never_parted() {
        let long = format!("{}'{}", "a".repeat(66), "b".repeat(90));
        let cards = text("ARCHACF", long.as_str(), "the file");
        assert_eq!(&cards[..80], &format!("ARCHACF = '{}&'{}", "a".repeat(66), " "));
        assert!(cards[80..].starts_with(&format!("CONTINUE  '''{}&'", "b".repeat(65))), "{cards}");
        assert!(cards.ends_with("CONTINUE  '' / the file"), "{cards}");
        // Just short enough: one card, and the comment is cut before the value.
        assert_eq!(text("ARCHACF", "a".repeat(68).as_str(), "c").len(), 80);
        assert_eq!(text("HISTORY", Value::Null, &"h".repeat(100)).len(), 80 + 8 + 28);
        assert_eq!(text("KEY", "é\n", ""), "KEY     = '?       '");
    }
}
