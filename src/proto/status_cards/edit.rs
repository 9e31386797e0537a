//! Finding, adding, replacing and deleting cards: what both C libraries do, plus a bound.

use super::card::position;
use super::{CARD, CARDS, Card, CardError, Dialect, KEYWORD, STRING_MAX, find_end, is_end};
use std::ops::Range;

/// The value field of a card about to be written.
pub(super) enum Field<'v> {
    /// Between quotes from column 10.
    Text(&'v [u8]),
    /// Right-justified to the dialect's column.
    Number(&'v [u8]),
}

/// Editable text of status memory, in the caller's buffer (at most [`CARDS`] cards; what is longer is
/// not looked at).
pub struct Cards<'a> {
    text: &'a mut [u8],
    dialect: Dialect,
    /// Cards that lookups see.
    extent: usize,
    end: Option<usize>,
    dirty: Range<usize>,
}

impl<'a> Cards<'a> {
    /// As a C program sees the buffer: text up to the first NUL, cards after `END` included in lookups.
    pub fn whole(text: &'a mut [u8], dialect: Dialect) -> Cards<'a> {
        let bytes = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        let extent = bytes.div_ceil(CARD).min(text.len() / CARD).min(CARDS);
        let end = find_end(&text[..extent * CARD], 0);
        Cards { text, dialect, extent, end, dirty: 0..0 }
    }

    /// Cards up to `END`; what comes after it counts as absent.
    pub fn up_to_end(text: &'a mut [u8], dialect: Dialect) -> Cards<'a> {
        let end = find_end(text, 0);
        Cards::ending_at(text, dialect, end)
    }

    /// As [`up_to_end`](Cards::up_to_end), for who has found the `END` card already.
    pub fn ending_at(text: &'a mut [u8], dialect: Dialect, end: Option<usize>) -> Cards<'a> {
        let card = |end: usize| text.get(end * CARD..(end + 1) * CARD);
        let end = end.filter(|&end| end < CARDS && card(end).is_some_and(is_end));
        Cards { text, dialect, extent: end.map_or(0, |end| end + 1), end, dirty: 0..0 }
    }

    /// Who formats.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the buffer was never initialised: the rule by which C programs wipe it when they attach.
    pub fn needs_init(text: &[u8]) -> bool {
        !text.chunks_exact(CARD).any(|card| card.starts_with(b"END"))
    }

    /// Cards that were changed: copy these back, at most one card beyond the new `END`.
    pub fn dirty(&self) -> Range<usize> {
        self.dirty.clone()
    }

    /// Index of the `END` card.
    pub fn end(&self) -> Option<usize> {
        self.end
    }

    /// Empties the buffer: zero bytes behind one `END` card.
    pub fn clear(&mut self) {
        let cards = (self.text.len() / CARD).min(CARDS);
        self.text[..cards * CARD].fill(0);
        self.extent = 1;
        self.end = Some(0);
        self.dirty = 0..cards;
        self.write(0, &end_card());
    }

    /// The cards before `END` that have a keyword.
    pub fn iter(&self) -> impl Iterator<Item = Card<'_>> {
        let end = self.end.unwrap_or(0);
        self.text.chunks_exact(CARD).take(end).map(Card).filter(|card| !card.is_blank())
    }

    /// The card at `index`.
    pub fn card(&self, index: usize) -> Card<'_> {
        Card(&self.text[index * CARD..(index + 1) * CARD])
    }

    /// Index of the first card with this keyword. hashpipe cuts the searched keyword to 8 characters,
    /// the legacy library does not.
    pub fn find(&self, key: &str) -> Option<usize> {
        let key = match self.dialect {
            Dialect::Hashpipe => cut(key),
            Dialect::Legacy => key.as_bytes(),
        };
        if key.is_empty() {
            return None;
        }
        let (cards, _) = self.text.as_chunks::<CARD>();
        position(&cards[..self.extent], key)
    }

    /// Text of a value; `KEY[n]` and `KEY,n` select a word of it (see [`Card::word`]).
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let (key, word) = match key.split_once(['[', ',']) {
            Some((key, word)) => (key, Some(word.trim_end_matches(']').parse::<i32>().ok()?)),
            None => (key, None),
        };
        let card = self.card(self.find(key)?);
        match word {
            Some(n) => card.word(n),
            None => Some(card.text()),
        }
    }

    /// Puts a card's text at `index` as it is (tests and repair tools).
    pub fn raw(&mut self, index: usize, text: &str) {
        let mut card = [b' '; CARD];
        let n = text.len().min(CARD);
        card[..n].copy_from_slice(&text.as_bytes()[..n]);
        self.write(index, &card);
        self.extent = self.extent.max(index + 1);
        self.end = find_end(&self.text[..self.extent * CARD], 0);
    }

    /// Sets a value: in place, keeping the comment, or as a new card before `END`. Commentary keywords
    /// always append.
    pub(super) fn put(&mut self, key: &str, field: Field<'_>) -> Result<(), CardError> {
        if let (true, Field::Text(text)) = (is_commentary(key), &field) {
            return self.append_commentary(key, text);
        }
        let old = self.find(key);
        let comment = old.map_or(&[][..], |index| self.card(index).comment());
        let card = compose(key, field, comment, self.dialect)?;
        let index = match old {
            Some(index) => index,
            None => self.place_for(key)?,
        };
        self.write(index, &card);
        Ok(())
    }

    fn append_commentary(&mut self, key: &str, text: &[u8]) -> Result<(), CardError> {
        let mut card = [b' '; CARD];
        copy(&mut card, 0, cut(key));
        copy(&mut card, KEYWORD + 1, text);
        let index = self.place_for(key)?;
        self.write(index, &card);
        Ok(())
    }

    /// Gives an existing card a comment; without such a card nothing happens.
    pub fn put_comment(&mut self, key: &str, comment: &str) {
        let Some(index) = self.find(key) else { return };
        let mut card = [b' '; CARD];
        card.copy_from_slice(self.card(index).0);
        let used = value_end(&card, self.dialect);
        card[used..].fill(b' ');
        attach_comment(&mut card, used, comment.as_bytes());
        self.write(index, &card);
    }

    /// A free card: the first of the blank cards before `END`, else `END`'s own place, `END` moving down.
    fn place_for(&mut self, key: &str) -> Result<usize, CardError> {
        let end = self.end.ok_or(CardError::NoEnd)?;
        let blanks = (0..end).rev().take_while(|&i| self.card(i).is_blank()).count();
        if blanks > 0 {
            return Ok(end - blanks);
        }
        let room = (self.text.len() / CARD).min(CARDS);
        if end + 1 >= room {
            return Err(CardError::Full { key: key.to_owned() });
        }
        self.write(end + 1, &end_card());
        self.end = Some(end + 1);
        self.extent = self.extent.max(end + 2);
        Ok(end)
    }

    /// Removes the first card with this keyword; `false` if there is none before `END`.
    ///
    /// The cards below move up. hashpipe leaves a second `END` and a NUL behind it, legacy a blank card.
    pub fn delete(&mut self, key: &str) -> bool {
        let (Some(index), Some(end)) = (self.find(key), self.end) else { return false };
        if index >= end {
            return false;
        }
        self.text.copy_within((index + 1) * CARD..(end + 1) * CARD, index * CARD);
        self.mark(index..end + 1);
        self.end = Some(end - 1);
        match self.dialect {
            Dialect::Legacy => self.write(end, &[b' '; CARD]),
            Dialect::Hashpipe => self.terminate(end + 1),
        }
        true
    }

    /// A NUL byte at the start of a card, if the buffer reaches that far.
    fn terminate(&mut self, index: usize) {
        if index < (self.text.len() / CARD).min(CARDS) {
            self.text[index * CARD] = 0;
            self.mark(index..index + 1);
        }
        self.extent = index;
    }

    fn write(&mut self, index: usize, card: &[u8; CARD]) {
        self.text[index * CARD..(index + 1) * CARD].copy_from_slice(card);
        self.mark(index..index + 1);
    }

    fn mark(&mut self, cards: Range<usize>) {
        self.dirty = match self.dirty.is_empty() {
            true => cards,
            false => self.dirty.start.min(cards.start)..self.dirty.end.max(cards.end),
        };
    }
}

/// A keyword as it is stored.
pub(super) fn cut(key: &str) -> &[u8] {
    &key.as_bytes()[..key.len().min(KEYWORD)]
}

fn is_commentary(key: &str) -> bool {
    key.eq_ignore_ascii_case("COMMENT") || key.eq_ignore_ascii_case("HISTORY")
}

fn end_card() -> [u8; CARD] {
    let mut card = [b' '; CARD];
    copy(&mut card, 0, b"END");
    debug_assert!(is_end(&card));
    card
}

/// Copies as much as fits.
fn copy(card: &mut [u8; CARD], at: usize, text: &[u8]) {
    let n = text.len().min(CARD - at.min(CARD));
    card[at..at + n].copy_from_slice(&text[..n]);
}

fn compose(key: &str, field: Field<'_>, comment: &[u8], dialect: Dialect) -> Result<[u8; CARD], CardError> {
    let mut card = [b' '; CARD];
    copy(&mut card, 0, cut(key));
    card[KEYWORD] = b'=';
    let used = match field {
        Field::Text(text) => quote(&mut card, text),
        Field::Number(text) => {
            let start = dialect.number_end().checked_sub(text.len()).filter(|&start| start >= KEYWORD);
            let start = start.ok_or(CardError::TooWide { key: key.to_owned(), width: text.len() })?;
            copy(&mut card, start, text);
            0
        }
    };
    attach_comment(&mut card, used.max(dialect.number_end()), comment);
    Ok(card)
}

/// Writes the quoted text; returns where a comment may start.
fn quote(card: &mut [u8; CARD], text: &[u8]) -> usize {
    const OPEN: usize = KEYWORD + 2;
    let text = &text[..text.len().min(STRING_MAX)];
    let width = text.len().max(KEYWORD);
    card[OPEN] = b'\'';
    copy(card, OPEN + 1, text);
    card[OPEN + 1 + width] = b'\'';
    OPEN + width + 2 + 2
}

/// Where a comment may start on an existing card.
fn value_end(card: &[u8], dialect: Dialect) -> usize {
    let card = Card(card);
    match (card.is_string(), card.text().len()) {
        (true, len) => (KEYWORD + 2 + len.max(KEYWORD) + 4).clamp(dialect.number_end(), CARD),
        (false, _) => dialect.number_end(),
    }
}

/// Appends ` / comment` at column `at`, cut at the last column; nothing if not even one letter fits.
fn attach_comment(card: &mut [u8; CARD], at: usize, comment: &[u8]) {
    if !comment.is_empty() && at + 3 < CARD {
        copy(card, at + 1, b"/");
        copy(card, at + 3, comment);
    }
}
