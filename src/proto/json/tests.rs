use super::*;
use proptest::prelude::*;

/// Any value JSON can carry both ways (bytes come back as text, so they are left out).
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        proptest::num::f64::NORMAL.prop_map(Value::Float),
        ".{0,12}".prop_map(Value::Str),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            proptest::collection::hash_map(".{0,6}", inner, 0..5)
                .prop_map(|m| Value::Map(m.into_iter().collect())),
        ]
    })
}

#[test]
fn prints_as_python_does() {
    let civil = [2026, 1, 2, 3, 4, 5, 0].map(Value::Int).to_vec();
    let v = Value::List(vec![Value::Bool(true), Value::List(civil)]);
    assert_eq!(to_text(&v).as_deref(), Ok("[true, [2026, 1, 2, 3, 4, 5, 0]]"));
    let v = Value::Map(vec![("a".into(), Value::Null), ("b".into(), Value::Float(5.0))]);
    assert_eq!(to_text(&v).as_deref(), Ok(r#"{"a": null, "b": 5.0}"#));
    assert_eq!(
        to_text(&Value::from("Ä\u{1F52D}\"\\\n\u{1}")).as_deref(),
        Ok(r#""\u00c4\ud83d\udd2d\"\\\n\u0001""#)
    );
}

#[test]
fn bytes_become_one_character_each() {
    assert_eq!(to_text(&Value::Bytes(vec![0, b'A', 0xFF])).as_deref(), Ok(r#""\u0000A\u00ff""#));
}

#[test]
fn never_nan() {
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(to_text(&Value::List(vec![Value::Float(x)])).is_err());
    }
    for text in ["NaN", "[Infinity]", "-Infinity", "1e999"] {
        assert!(matches!(read(text.as_bytes()), Err(JsonError::Syntax(_))), "{text}");
    }
}

#[test]
fn whole_numbers_stay_exact_or_fail() {
    assert_eq!(read(b"9223372036854775807"), Ok(Value::Int(i64::MAX)));
    assert_eq!(read(b"-9223372036854775808"), Ok(Value::Int(i64::MIN)));
    assert_eq!(read(b"1e18"), Ok(Value::Float(1e18)));
    assert_eq!(read(b"0.1234567890123456789012"), Ok(Value::Float(0.12345678901234568)));
    assert_eq!(read(br#""99999999999999999999 \" 99999999999999999999""#).map(|v| v.kind()), Ok("str"));
    for text in ["9223372036854775808", "[1, -99999999999999999999]", r#"{"a": 18446744073709551616}"#] {
        assert!(matches!(read(text.as_bytes()), Err(JsonError::Integer(_))), "{text}");
    }
}

#[test]
fn malformed_text_is_an_error() {
    let deep = "[".repeat(100_000);
    for text in
        [&b""[..], b"{", b"\xEF\xBB\xBF1", b"1\0", b"1 x", b"\"\xFF\"", b"\"\\ud800\"", deep.as_bytes()]
    {
        assert!(matches!(read(text), Err(JsonError::Syntax(_))), "{:?}", &text[..text.len().min(9)]);
    }
}

#[test]
fn last_duplicate_key_wins() {
    assert_eq!(read(br#" {"a": 1, "a": 2} "#), Ok(Value::Map(vec![("a".into(), Value::Int(2))])));
}

proptest! {
    #[test]
    fn round_trip(v in any_value()) {
        let text = to_text(&v).expect("finite");
        prop_assert!(text.is_ascii());
        prop_assert_eq!(read(text.as_bytes()), Ok(v));
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }
}
