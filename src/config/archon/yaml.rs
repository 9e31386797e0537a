//! A YAML document as a tree with line numbers, so that every remark can name its line.
//!
//! Scalars as PyYAML's users write them: `true`/`false`, integers, floats; `yes` and `no` stay text here and are taken
//! as booleans where one is wanted (see [`super::reader`]), so that a CCD may be called `n`.

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned, options};
use std::fmt;

/// Longest document, bytes.
const BYTES_MAX: usize = 1 << 20;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Source line, from 1.
    pub line: usize,
    /// The value.
    pub kind: Kind,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In file order, duplicates kept.
    Map(Vec<(Key, Node)>),
}

/// Key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub line: usize,
    pub name: String,
}

impl Kind {
    /// What it is called in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Reads a document; an empty one is `Null`. The error is (line or 0, what is wrong).
pub(super) fn parse(text: &str) -> Result<Node, (usize, String)> {
    if text.len() > BYTES_MAX {
        return Err((0, format!("{} bytes; a configuration has at most {BYTES_MAX}", text.len())));
    }
    let options = options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Option<Node>>(text, options)
        .map(|node| node.unwrap_or(Node { line: 0, kind: Kind::Null }))
        .map_err(|e| {
            let line = e.location().map_or(0, |l| line_of(l.line()));
            (line, e.to_string())
        })
}

fn line_of(line: u64) -> usize {
    usize::try_from(line).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(d)?;
        Ok(Node { line: line_of(spanned.referenced.line()), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Key, D::Error> {
        let spanned = Spanned::<String>::deserialize(d)?;
        Ok(Key { line: line_of(spanned.referenced.line()), name: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Kind, D::Error> {
        d.deserialize_any(AnyKind)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_none<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Kind, D::Error> {
        Kind::deserialize(d)
    }
    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(b))
    }
    fn visit_i64<E: de::Error>(self, i: i64) -> Result<Kind, E> {
        Ok(Kind::Int(i))
    }
    fn visit_u64<E: de::Error>(self, i: u64) -> Result<Kind, E> {
        i64::try_from(i).map(Kind::Int).map_err(|_| E::custom(format!("{i} is too large")))
    }
    fn visit_f64<E: de::Error>(self, x: f64) -> Result<Kind, E> {
        Ok(Kind::Float(x))
    }
    fn visit_str<E: de::Error>(self, s: &str) -> Result<Kind, E> {
        Ok(Kind::Text(s.to_owned()))
    }
    fn visit_string<E: de::Error>(self, s: String) -> Result<Kind, E> {
        Ok(Kind::Text(s))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Kind::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        match parse(text).expect(text).kind {
            Kind::Map(mut pairs) => pairs.remove(0).1.kind,
            other => other,
        }
    }

    #[test]
    fn scalars() {
        for (text, wanted) in [
            ("a: 10", Kind::Int(10)),
            ("a: -115.5", Kind::Float(-115.5)),
            ("a: 1.0", Kind::Float(1.0)),
            ("a: '10'", Kind::Text("10".into())),
            ("a: true", Kind::Bool(true)),
            ("a: yes", Kind::Text("yes".into())),
            ("a: ~", Kind::Null),
            ("a:", Kind::Null),
            ("a: {}", Kind::Map(vec![])),
            ("a: .nan", Kind::Text(".nan".into())),
            ("", Kind::Null),
            ("# nothing\n", Kind::Null),
        ] {
            assert_eq!(kind(text), wanted, "{text}");
        }
    }

    #[test]
    fn maps_keep_their_order_their_lines_and_their_duplicates() {
        let Kind::Map(pairs) = parse("z: 1\n1: 2\nb:\n  c: [3,\n    4]\nz: 5\n").expect("good").kind else {
            panic!("no map")
        };
        let keys: Vec<_> = pairs.iter().map(|(k, _)| (k.name.as_str(), k.line)).collect();
        assert_eq!(keys, [("z", 1), ("1", 2), ("b", 3), ("z", 6)]);
        let Kind::Map(inner) = &pairs[2].1.kind else { panic!("no map") };
        let Kind::List(items) = &inner[0].1.kind else { panic!("no list") };
        assert_eq!((items[0].line, items[1].line), (4, 5));
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line() {
        let (line, _) = parse("a: 1\nb: [1, 2\nc: 3\n").expect_err("open list");
        assert!(line >= 2, "{line}");
        let deep = "[".repeat(5000);
        parse(&deep).expect_err("too deep");
        parse(&"a".repeat(BYTES_MAX + 1)).expect_err("too long");
    }
}
