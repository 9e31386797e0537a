//! Any bytes in status memory, any key, any text: no panic, `END` stays inside, nothing is written beside
//! the cards that were reported as changed.
#![no_main]

use appliance::proto::status_cards::{CARD, CARDS, Card, Cards, Dialect, StatusEditor, find_end};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, String, String, f64, bool)| {
    let (bytes, key, text, number, legacy) = input;
    let dialect = if legacy { Dialect::Legacy } else { Dialect::Hashpipe };
    let mut buffer = bytes;
    buffer.truncate(CARDS * CARD);
    let cards = Cards::whole(&mut buffer, dialect);
    let _ = (cards.get(&key), cards.iter().map(Card::value).count());
    let had_end = find_end(&buffer, 0).is_some();
    let before = buffer.clone();
    let mut editor = StatusEditor::new(&mut buffer, dialect, 0);
    let _ = editor.set_str(&key, &text);
    let _ = editor.set_f64(&key, number);
    let _ = editor.get_value(&key);
    editor.delete(&key);
    let dirty = editor.cards().dirty();
    assert_eq!(find_end(&buffer, 0).is_some(), had_end);
    for (i, (old, new)) in before.chunks(CARD).zip(buffer.chunks(CARD)).enumerate() {
        assert!(old == new || dirty.contains(&i), "card {i} changed outside {dirty:?}");
    }
});
