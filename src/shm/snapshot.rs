//! A private copy of status memory, to be read at leisure.

use crate::proto::status_cards::{CARD, Card, KEYWORD, find_end, read};
use crate::value::Value;
use std::borrow::Cow;

/// The cards up to and including `END`, as they were at one moment under the lock.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    text: Vec<u8>,
}

impl Snapshot {
    /// From the buffer's bytes; what comes after `END` is dropped. Without `END` the snapshot is empty.
    pub fn new(buffer: &[u8]) -> Snapshot {
        let cards = find_end(buffer, 0).map_or(0, |end| end + 1);
        Snapshot { text: buffer[..cards * CARD].to_vec() }
    }

    /// The text without line ends, `END` card included; empty if the buffer was not initialised.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Cards with a keyword, in order.
    pub fn cards(&self) -> impl Iterator<Item = Card<'_>> {
        let end = (self.text.len() / CARD).saturating_sub(1);
        self.text.chunks_exact(CARD).take(end).map(Card::new).filter(|card| !card.is_blank())
    }

    /// The first card of a keyword, in any case.
    pub fn card(&self, key: &str) -> Option<Card<'_>> {
        let stored = &key.as_bytes()[..key.len().min(KEYWORD)];
        self.cards().find(|card| !stored.is_empty() && card.is(stored))
    }

    /// Text of a value.
    pub fn get_str(&self, key: &str) -> Option<Cow<'_, str>> {
        self.card(key).map(|card| String::from_utf8_lossy(card.text()))
    }

    /// A value with the kind its card shows.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.card(key).map(Card::value)
    }

    /// A number, as the C reader for doubles sees it (text is 0).
    pub fn get_f64(&self, key: &str) -> Option<f64> {
        self.card(key).map(|card| read::float64(card.text()))
    }

    /// Keywords in order, duplicates once.
    pub fn keys(&self) -> Vec<String> {
        self.to_pairs().into_iter().map(|(key, _)| key).collect()
    }

    /// All values by key, in order; of duplicates the first, as readers see it. `COMMENT` and `HISTORY`
    /// have no value and are left out.
    pub fn to_pairs(&self) -> Vec<(String, Value)> {
        let mut seen = std::collections::HashSet::new();
        let mut first = |card: &Card<'_>| seen.insert(stored_keyword(card));
        let with_value = self.cards().filter(|card| has_value(card) && first(card));
        with_value.map(pair).collect()
    }

    /// As [`to_pairs`](Snapshot::to_pairs), but only these keys, in the order given; missing ones are left
    /// out. A few keys of many cost a fraction of all.
    pub fn pairs_of<K: AsRef<str>>(&self, keys: &[K]) -> Vec<(String, Value)> {
        keys.iter().filter_map(|key| self.card(key.as_ref())).filter(has_value).map(pair).collect()
    }

    /// All values as one map.
    pub fn to_value(&self) -> Value {
        Value::Map(self.to_pairs())
    }
}

fn has_value(card: &Card<'_>) -> bool {
    !card.is(b"COMMENT") && !card.is(b"HISTORY")
}

fn pair(card: Card<'_>) -> (String, Value) {
    (card.keyword().into_owned(), card.value())
}

/// The keyword's columns in capitals, as lookups compare them.
fn stored_keyword(card: &Card<'_>) -> [u8; KEYWORD] {
    let mut columns = [b' '; KEYWORD];
    let keyword = card.keyword();
    let n = keyword.len().min(KEYWORD);
    columns[..n].copy_from_slice(&keyword.as_bytes()[..n]);
    columns.make_ascii_uppercase();
    columns
}
