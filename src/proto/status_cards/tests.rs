use super::*;
use crate::value::Value;
use proptest::prelude::*;

/// A fresh buffer: one `END` card, then NUL bytes.
fn fresh(cards: usize) -> Vec<u8> {
    let mut text = vec![0; cards * CARD];
    Cards::up_to_end(&mut text, Dialect::Legacy).clear();
    text
}

fn lines(text: &[u8]) -> Vec<String> {
    let used = find_end(text, 0).map_or(0, |end| end + 1);
    text.chunks(CARD).take(used).map(|c| String::from_utf8_lossy(c).trim_end().to_owned()).collect()
}

fn edit(dialect: Dialect, change: impl FnOnce(&mut StatusEditor<'_>)) -> Vec<String> {
    let mut text = fresh(64);
    change(&mut StatusEditor::new(&mut text, dialect, 3));
    lines(&text)
}

#[test]
fn a_cleared_buffer_is_end_and_zeros_and_hashpipe_adds_instance() {
    assert_eq!(edit(Dialect::Legacy, |e| e.clear()), ["END"]);
    assert_eq!(edit(Dialect::Hashpipe, |e| e.clear()), ["INSTANCE=                       3", "END"]);
}

#[test]
fn what_is_no_keyword_is_refused_and_changes_nothing() {
    let cards = edit(Dialect::Hashpipe, |e| {
        for key in ["", "END", "end", "A B", "A=B", "A/B", "A[1]", "A,1", "it's", "Ä", "A\0"] {
            assert_eq!(e.set_str(key, "x"), Err(CardError::Keyword { key: key.into() }), "{key:?}");
        }
    });
    assert_eq!(cards, ["END"]);
}

#[test]
fn numbers_that_no_reader_understands_are_refused() {
    let cards = edit(Dialect::Hashpipe, |e| {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(e.set_f64("X", x), Err(CardError::NotFinite { .. })));
            assert!(matches!(e.set_f32("X", x as f32), Err(CardError::NotFinite { .. })));
            assert!(matches!(e.set_f64_decimals("X", x, 3), Err(CardError::NotFinite { .. })));
        }
    });
    assert_eq!(cards, ["END"]);
}

#[test]
fn too_wide_numbers_take_their_shortest_form() {
    let write = |e: &mut StatusEditor<'_>| {
        e.set_f32("WIDE", 1e15).expect("fits as 1e15");
        e.set_f64("LONG", -2.225_073_858_507_201_4e-308).expect("the blank after = is given up");
        e.set_f64_decimals("DECIMALS", 1e300, 5).expect("fits as 1e300");
    };
    let expected = [
        "WIDE    =                    1e15",
        "LONG    =-2.2250738585072014e-308",
        "DECIMALS=                   1e300",
        "END",
    ];
    assert_eq!(edit(Dialect::Hashpipe, write), expected);
    let legacy = edit(Dialect::Legacy, write);
    assert_eq!(legacy[0], "WIDE    =                 1e15");
    assert_eq!(legacy[1], "LONG    =        -2.22507e-308");
}

#[test]
fn legacy_doubles_keep_their_digits_unless_told_otherwise() {
    let cards = edit(Dialect::Legacy, |e| {
        e.set_f64("MJD", 56000.123456).expect("set");
        e.set_f64("RATE", 1.5e9).expect("set");
    });
    assert_eq!(cards[..2], ["MJD     =         56000.123456", "RATE    =              1.5e+09"]);
    let mut text = fresh(8);
    let mut editor = StatusEditor::new(&mut text, Dialect::Legacy, 0).with_legacy_doubles_cut();
    editor.set_f64("MJD", 56000.123456).expect("set");
    assert_eq!(lines(&text)[0], "MJD     =              56000.1");
}

#[test]
fn quotes_and_control_characters_do_not_get_into_text() {
    let cards = edit(Dialect::Hashpipe, |e| e.set_str("NOTE", "it's\na\0b").expect("set"));
    assert_eq!(cards[0], "NOTE    = 'it\"s a b'");
}

#[test]
fn text_is_cut_at_a_character() {
    let text = format!("{}ä", "x".repeat(66));
    let cards = edit(Dialect::Hashpipe, |e| e.set_str("NOTE", &text).expect("set"));
    assert_eq!(cards[0], format!("NOTE    = '{}'", "x".repeat(66)));
}

#[test]
fn end_never_leaves_the_buffer() {
    let mut text = fresh(CARDS);
    let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
    for i in 0..CARDS - 1 {
        editor.set_int(&format!("K{i}"), i as i64).expect("2303 keys fit");
    }
    let full = editor.set_str("ONEMORE", "x");
    assert_eq!(full, Err(CardError::Full { key: "ONEMORE".into() }));
    assert_eq!(editor.cards().end(), Some(CARDS - 1));
    editor.set_str("K7", "still writable").expect("an update needs no room");
    assert!(editor.delete("K0"));
    assert!(editor.set_str("ONEMORE", "x").is_ok());
    assert_eq!(find_end(&text, 0), Some(CARDS - 1));
}

#[test]
fn without_end_nothing_is_added() {
    let mut text = vec![0; 8 * CARD];
    let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
    assert_eq!(editor.set_str("A", "x"), Err(CardError::NoEnd));
    assert_eq!(editor.get_str("A"), None);
    assert!(!editor.delete("A"));
    assert!(editor.cards().dirty().is_empty());
}

#[test]
fn cards_after_end_count_as_absent() {
    let mut text = fresh(8);
    Cards::whole(&mut text, Dialect::Hashpipe).raw(1, "STALE   =                    9");
    let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
    assert_eq!(editor.get_str("STALE"), None);
    editor.set_int("STALE", 10).expect("added");
    assert_eq!(editor.cards().dirty(), 0..2);
    assert_eq!(lines(&text), ["STALE   =                      10", "END"]);
}

#[test]
fn a_comment_that_no_longer_fits_is_dropped() {
    let mut text = fresh(8);
    Cards::whole(&mut text, Dialect::Hashpipe).raw(0, "A       = 'x       '           / why");
    Cards::whole(&mut text, Dialect::Hashpipe).raw(1, "END");
    let long = "y".repeat(67);
    StatusEditor::new(&mut text, Dialect::Hashpipe, 0).set_str("A", &long).expect("set");
    assert_eq!(lines(&text), [format!("A       = '{long}'"), "END".into()]);
}

#[test]
fn only_changed_cards_are_dirty() {
    let mut text = fresh(64);
    let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
    for key in ["A", "B", "C", "D"] {
        editor.set_str(key, "x").expect("set");
    }
    let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
    editor.set_str("B", "y").expect("set");
    assert_eq!(editor.cards().dirty(), 1..2);
    let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
    editor.delete("C");
    // D and END move up; the old END stays, and a NUL follows it.
    assert_eq!(editor.cards().dirty(), 2..6);
}

#[test]
fn values_keep_the_kind_of_their_card() {
    let value = |text: &str| Card::new(format!("KEY     = {text:70}").as_bytes()).value();
    assert_eq!(value("'3C286   '"), Value::Str("3C286".into()));
    assert_eq!(value("'42      '"), Value::Str("42".into()));
    assert_eq!(value("                  42 / n"), Value::Int(42));
    assert_eq!(value("                 010"), Value::Int(10));
    assert_eq!(value("             1.5D+03"), Value::Float(1500.0));
    assert_eq!(value("                   T"), Value::Bool(true));
    assert_eq!(value("                   F"), Value::Bool(false));
    assert_eq!(value("                 nan"), Value::Str("nan".into()));
    assert_eq!(value("                -inf"), Value::Str("-inf".into()));
    assert_eq!(value("bare words"), Value::Str("bare words".into()));
    assert_eq!(value(""), Value::Str(String::new()));
}

#[test]
fn getters_saturate_and_read_prefixes() {
    assert_eq!(read::int32(b"1e99"), i32::MAX);
    assert_eq!(read::int32(b"-1e99"), i32::MIN);
    assert_eq!(read::uint32(b"-1"), 0);
    assert_eq!(read::int64(b"-9223372036854775808"), i64::MIN);
    assert_eq!(read::int64(b"99999999999999999999999999999999999999999999"), i64::MAX);
    assert_eq!(read::uint64(b"99999999999999999999999999999999999999999999"), u64::MAX);
    assert_eq!(read::uint64(b"-1"), u64::MAX);
    assert_eq!(read::float64(b"12abc"), 12.0);
    assert_eq!(read::float64(b"1e"), 1.0);
    assert_eq!(read::float64(b"."), 0.0);
    assert!(read::float64(b"NaN").is_nan());
    assert_eq!(read::float64(b"-Inf"), f64::NEG_INFINITY);
}

proptest! {
    /// Any bytes at all: no panic, and whatever is written can be read back.
    #[test]
    fn garbage_is_survived(mut text in proptest::collection::vec(any::<u8>(), 0..8 * CARD),
                           end in 0usize..8, key in "[A-Z]{1,8}", value in ".{0,70}") {
        if let Some(card) = text.get_mut(end * CARD..end * CARD + 4) {
            card.copy_from_slice(b"END ");
        }
        for dialect in [Dialect::Hashpipe, Dialect::Legacy] {
            let cards = Cards::whole(&mut text, dialect);
            let _ = (cards.get(&key), cards.iter().map(Card::value).count());
            let before = text.clone();
            let mut editor = StatusEditor::new(&mut text, dialect, 1);
            let _ = editor.keys().count();
            let set = editor.set_str(&key, &value);
            prop_assert!(set.is_err() || key == "END" || editor.get_str(&key).is_some() || key == "COMMENT");
            editor.delete(&key);
            let dirty = editor.cards().dirty();
            for (i, (old, new)) in before.chunks(CARD).zip(text.chunks(CARD)).enumerate() {
                prop_assert!(old == new || dirty.contains(&i), "card {} changed outside {:?}", i, dirty);
            }
        }
    }

    /// The quick search finds what looking at every card finds.
    #[test]
    fn searching_is_looking_at_every_card(keys in proptest::collection::vec(" {0,3}[AaBb@`=_-]{1,9}[= x]", 1..40),
                                          key in "[AaBb@`_-]{1,9}") {
        let mut text = fresh(64);
        let mut cards = Cards::whole(&mut text, Dialect::Legacy);
        keys.iter().enumerate().for_each(|(i, key)| cards.raw(i, key));
        cards.raw(keys.len(), "END");
        let slow = (0..=keys.len()).find(|&i| cards.card(i).is(key.as_bytes()));
        prop_assert_eq!(cards.find(&key), slow);
    }

    #[test]
    fn doubles_round_trip(x in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
        let mut text = fresh(4);
        let mut editor = StatusEditor::new(&mut text, Dialect::Hashpipe, 0);
        editor.set_f64("X", x).expect("every finite double fits somehow");
        let back = editor.get_f64("X").expect("just written");
        prop_assert_eq!(back, x);
    }

    #[test]
    fn integers_round_trip(x in any::<i64>(), y in any::<u64>()) {
        for dialect in [Dialect::Hashpipe, Dialect::Legacy] {
            let mut text = fresh(4);
            let mut editor = StatusEditor::new(&mut text, dialect, 0);
            editor.set_int("X", x).expect("fits");
            editor.set_uint("Y", y).expect("fits");
            prop_assert_eq!(editor.get_i64("X"), Some(x));
            prop_assert_eq!(editor.card("Y").map(|c| read::uint64(c.text())), Some(y));
        }
    }

    /// Against a list of pairs as the model.
    #[test]
    fn a_buffer_is_a_map(ops in proptest::collection::vec(("[A-F]", proptest::option::of("[a-z]{1,12}")), 0..60)) {
        for dialect in [Dialect::Hashpipe, Dialect::Legacy] {
            let mut text = fresh(64);
            let mut model: Vec<(String, String)> = Vec::new();
            for (key, value) in &ops {
                // Every operation on a fresh view, as under the lock.
                let mut editor = StatusEditor::new(&mut text, dialect, 0);
                match (value, model.iter_mut().find(|(k, _)| k == key)) {
                    (Some(v), Some((_, old))) => { editor.set_str(key, v).expect("set"); *old = v.clone(); }
                    (Some(v), None) => { editor.set_str(key, v).expect("set"); model.push((key.clone(), v.clone())); }
                    (None, found) => {
                        prop_assert_eq!(editor.delete(key), found.is_some());
                        model.retain(|(k, _)| k != key);
                    }
                }
            }
            let editor = StatusEditor::new(&mut text, dialect, 0);
            let keys: Vec<String> = editor.keys().map(|k| k.into_owned()).collect();
            prop_assert_eq!(keys, model.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>());
            for (key, value) in &model {
                prop_assert_eq!(editor.get_str(key).expect("in the model"), value.as_str());
            }
        }
    }
}
