//! The writer the appliance uses: byte for byte the chosen dialect, except where the dialect loses or
//! corrupts what it is given.

use super::edit::cut;
use super::number::{self, StackText};
use super::{Card, CardError, Cards, Dialect, STRING_MAX, put, read};
use crate::value::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// Columns 10 to 29: where a legacy number may go without touching the blank after `=`.
const LEGACY_COLUMNS: usize = 20;

/// Edits a private copy of status memory. Setters change nothing when they fail.
///
/// Rules beyond the dialect: keywords are cut to 8 characters and checked; numbers are finite; a number too
/// wide for its columns is written in its shortest form; a `'` in text becomes `"` and control
/// characters become blanks, since readers stop there; in the legacy dialect a double keeps all its digits
/// when they fit (`%g` alone would keep six).
pub struct StatusEditor<'a> {
    cards: Cards<'a>,
    instance: Option<u8>,
    legacy_full_doubles: bool,
}

impl<'a> StatusEditor<'a> {
    /// Edits `text`, whose used part must be complete and, if the buffer goes on, followed by one more card.
    /// `instance` is written as `INSTANCE` by [`clear`](StatusEditor::clear) (hashpipe dialect only).
    pub fn new(text: &'a mut [u8], dialect: Dialect, instance: u8) -> StatusEditor<'a> {
        StatusEditor::of(Cards::up_to_end(text, dialect), instance)
    }

    /// As [`new`](StatusEditor::new), from cards.
    pub fn of(cards: Cards<'a>, instance: u8) -> StatusEditor<'a> {
        let instance = (cards.dialect() == Dialect::Hashpipe).then_some(instance);
        StatusEditor { cards, instance, legacy_full_doubles: true }
    }

    /// Writes doubles in the legacy dialect with exactly the six digits of the C library.
    pub fn with_legacy_doubles_cut(mut self) -> StatusEditor<'a> {
        self.legacy_full_doubles = false;
        self
    }

    /// The cards as they are now.
    pub fn cards(&self) -> &Cards<'a> {
        &self.cards
    }

    /// Card of a keyword, before `END`.
    pub fn card(&self, key: &str) -> Option<Card<'_>> {
        let end = self.cards.end()?;
        let at = self.cards.find(cut_str(key)).filter(|&at| at < end)?;
        Some(self.cards.card(at))
    }

    /// Text of a value; `None` if there is no such key.
    pub fn get_str(&self, key: &str) -> Option<Cow<'_, str>> {
        self.card(key).map(|card| String::from_utf8_lossy(card.text()))
    }

    /// A value with the kind its card shows.
    pub fn get_value(&self, key: &str) -> Option<Value> {
        self.card(key).map(Card::value)
    }

    /// A number, as the C reader for doubles sees it (text is 0).
    pub fn get_f64(&self, key: &str) -> Option<f64> {
        self.card(key).map(|card| read::float64(card.text()))
    }

    /// An integer, as the C reader sees it.
    pub fn get_i64(&self, key: &str) -> Option<i64> {
        self.card(key).map(|card| read::int64(card.text()))
    }

    /// Keywords in buffer order, duplicates included.
    pub fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.cards.iter().map(Card::keyword)
    }

    /// Sets text, cut to 67 bytes. `COMMENT` and `HISTORY` append a card each time.
    pub fn set_str(&mut self, key: &str, text: &str) -> Result<(), CardError> {
        let key = keyword(key)?;
        let mut clean = StackText::new();
        let mut room = STRING_MAX;
        for c in text.chars() {
            let Some(left) = room.checked_sub(c.len_utf8()) else { break };
            room = left;
            let _ = clean.write_char(match c {
                '\'' => '"',
                c if c.is_ascii_control() => ' ',
                c => c,
            });
        }
        self.cards.put_string(key, clean.as_str())
    }

    /// Sets a signed integer.
    pub fn set_int(&mut self, key: &str, x: i64) -> Result<(), CardError> {
        self.cards.put_i64(keyword(key)?, x)
    }

    /// Sets an unsigned integer.
    pub fn set_uint(&mut self, key: &str, x: u64) -> Result<(), CardError> {
        self.cards.put_u64(keyword(key)?, x)
    }

    /// Sets a logical.
    pub fn set_bool(&mut self, key: &str, x: bool) -> Result<(), CardError> {
        self.cards.put_logical(keyword(key)?, x)
    }

    /// Sets a single-precision number, in the dialect's fixed number of decimals if it fits.
    pub fn set_f32(&mut self, key: &str, x: f32) -> Result<(), CardError> {
        let key = finite(key, f64::from(x))?;
        let preferred = put::float32_text(self.cards.dialect(), x);
        let shortest = StackText::of(format_args!("{x:e}"));
        self.put_fitting(key, f64::from(x), [preferred, shortest])
    }

    /// Sets a double.
    pub fn set_f64(&mut self, key: &str, x: f64) -> Result<(), CardError> {
        let key = finite(key, x)?;
        let preferred = put::float64_text(self.cards.dialect(), x);
        let shortest = StackText::of(format_args!("{x:e}"));
        if self.cards.dialect() == Dialect::Legacy && self.legacy_full_doubles && !survives(&preferred, x) {
            let plain = StackText::of(format_args!("{x}"));
            let exact = [plain, shortest].into_iter().find(|text| text.as_bytes().len() <= LEGACY_COLUMNS);
            return self.cards.put_number(key, &exact.unwrap_or(preferred));
        }
        self.put_fitting(key, x, [preferred, shortest])
    }

    /// Sets a double with that many decimals; negative: significant digits.
    pub fn set_f64_decimals(&mut self, key: &str, x: f64, decimals: i32) -> Result<(), CardError> {
        let key = finite(key, x)?;
        let preferred = put::decimals_text(x, decimals);
        let shortest = StackText::of(format_args!("{x:e}"));
        self.put_fitting(key, x, [preferred, shortest])
    }

    /// Sets a value by its kind: text as text, numbers and logicals as such; anything else as its text.
    pub fn set_value(&mut self, key: &str, value: &Value) -> Result<(), CardError> {
        match value {
            Value::Str(text) => self.set_str(key, text),
            Value::Int(x) => self.set_int(key, *x),
            Value::Float(x) => self.set_f64(key, *x),
            Value::Bool(x) => self.set_bool(key, *x),
            other => self.set_str(key, &other.to_string()),
        }
    }

    /// Removes a key; `false` if it was not there.
    pub fn delete(&mut self, key: &str) -> bool {
        self.cards.delete(cut_str(key))
    }

    /// Empties the buffer to what a fresh one holds.
    pub fn clear(&mut self) {
        self.cards.clear();
        self.ensure_instance();
    }

    /// hashpipe dialect: makes `INSTANCE` say which instance this is. Returns whether it had to be written.
    pub fn ensure_instance(&mut self) -> bool {
        let Some(instance) = self.instance.map(i64::from) else { return false };
        if self.get_i64("INSTANCE") == Some(instance) {
            return false;
        }
        self.cards.put_i64("INSTANCE", instance).is_ok()
    }

    /// Writes the first text that leaves the `=` alone; failing all, as many digits as fit.
    fn put_fitting(&mut self, key: &str, x: f64, texts: [StackText; 2]) -> Result<(), CardError> {
        let width = self.cards.dialect().number_end() - super::KEYWORD - 1;
        if let Some(text) = texts.iter().find(|text| text.as_bytes().len() <= width) {
            return self.cards.put_number(key, text);
        }
        let cut = (1..17).rev().map(|digits| number::general(x, digits));
        let text = cut.into_iter().find(|text| text.as_bytes().len() <= width);
        self.cards.put_number(key, &text.expect("one digit and an exponent take at most 7 columns"))
    }
}

fn survives(text: &StackText, x: f64) -> bool {
    number::atof(text.as_bytes()) == x
}

fn cut_str(key: &str) -> &str {
    std::str::from_utf8(cut(key)).unwrap_or("")
}

/// Checks a keyword and cuts it to what is stored.
fn keyword(key: &str) -> Result<&str, CardError> {
    let stored = cut_str(key);
    let allowed = |b: u8| b.is_ascii_graphic() && !b"=/'\"[],".contains(&b);
    if stored.is_empty() || stored.eq_ignore_ascii_case("END") || !stored.bytes().all(allowed) {
        return Err(CardError::Keyword { key: key.to_owned() });
    }
    Ok(stored)
}

fn finite(key: &str, x: f64) -> Result<&str, CardError> {
    if x.is_finite() {
        return keyword(key);
    }
    Err(CardError::NotFinite { key: key.to_owned(), value: x.to_string() })
}
