//! Named after the rows of the request table of the JSON face's description.
use super::*;
use crate::proto::json::tests::any_value;
use proptest::prelude::*;

fn fault(body: &[u8]) -> (String, String) {
    let f = read_request(body).expect_err("a fault");
    assert_eq!(f.lines.len(), 1);
    (f.class, f.message)
}

fn class(body: &str) -> String {
    fault(body.as_bytes()).0
}

#[test]
fn key_order_and_separators_vary() {
    let want = Request::Call {
        name: "bank".into(),
        proc: "get_mode".into(),
        args: vec![],
        kwargs: vec![],
        extras: Extras::default(),
    };
    for body in [
        r#"{"args":[],"proc":"get_mode","name":"bank","kwargs":{}}"#,
        r#" {"name": "bank", "proc": "get_mode", "args": [], "kwargs": {}, "extra": 1}
        "#,
        r#"{"name": "bank", "proc": "get_mode"}"#,
    ] {
        assert_eq!(read_request(body.as_bytes()), Ok(want.clone()), "{body}");
    }
}

#[test]
fn list_methods_needs_only_a_name() {
    let want = Request::ListMethods { name: "nope".into() };
    assert_eq!(read_request(br#"{"name": "nope", "proc": "list_methods", "args": 3}"#), Ok(want));
}

#[test]
fn list_methods_without_a_usable_name() {
    assert_eq!(fault(br#"{"proc": "list_methods"}"#), ("KeyError".into(), "'name'".into()));
    assert_eq!(class(r#"{"proc": "list_methods", "name": 5}"#), "ValueError");
}

#[test]
fn missing_name_or_proc() {
    assert_eq!(fault(br#"{"proc": "x", "args": []}"#), ("KeyError".into(), "'name'".into()));
    assert_eq!(fault(br#"{"name": "bank"}"#), ("KeyError".into(), "'proc'".into()));
}

#[test]
fn bodies_that_are_no_request() {
    let deep = "[".repeat(100_000);
    for body in [
        &b""[..],
        b"3",
        b"[]",
        b"{",
        b"\xEF\xBB\xBF{}",
        b"{}\0",
        b"{} {}",
        b"{\"name\": \"\xFF\"}",
        deep.as_bytes(),
    ] {
        let (class, _) = fault(body);
        assert!(class == "ValueError" || class == "KeyError", "{class}");
    }
    assert_eq!(class(r#"{"name": "bank", "proc": "add", "args": [18446744073709551616]}"#), "ValueError");
    assert_eq!(class(r#"{"name": "bank", "proc": "add", "args": [NaN]}"#), "ValueError");
}

#[test]
fn args_and_kwargs_of_the_wrong_type() {
    for args in ["null", "\"abc\"", "{}", "1"] {
        assert_eq!(class(&format!(r#"{{"name": "bank", "proc": "add", "args": {args}}}"#)), "TypeError");
    }
    for kwargs in ["null", "\"abc\"", "[]", "1"] {
        assert_eq!(class(&format!(r#"{{"name": "bank", "proc": "add", "kwargs": {kwargs}}}"#)), "TypeError");
    }
}

#[test]
fn proc_that_is_no_string_is_looked_up_as_text() {
    let got = read_request(br#"{"name": "bank", "proc": 5}"#);
    assert!(matches!(got, Ok(Request::Call { proc, .. }) if proc == "5"));
}

#[test]
fn surrogate_pairs_decode_and_the_last_duplicate_wins() {
    let got = read_request(br#"{"name": "a", "name": "\ud83d\udd2d", "proc": "p"}"#);
    assert!(matches!(got, Ok(Request::Call { name, .. }) if name == "\u{1F52D}"));
}

#[test]
fn errors_are_an_object_with_the_key_exception() {
    let fault = Fault::new("KeyError", "bank.nope", "'nope'");
    let body = write_reply(&Err(fault.clone()), "bank.nope");
    assert_eq!(body, br#"{"EXCEPTION": ["KeyError", "'nope'", ["bank.nope: 'nope'"]]}"#);
    assert_eq!(read_reply(&body), Ok(Err(fault)));
}

#[test]
fn results_that_cannot_be_sent_are_errors() {
    let reserved = Value::Map(vec![("EXCEPTION".into(), Value::Null)]);
    for result in [reserved, Value::Float(f64::NAN)] {
        let body = write_reply(&Ok(result), "bank.x");
        let Ok(Err(fault)) = read_reply(&body) else { panic!("{body:?}") };
        assert_eq!(fault.class, "ValueError");
    }
}

#[test]
fn odd_errors_of_other_servers_are_still_errors() {
    for body in [r#"{"EXCEPTION": 5}"#, r#"{"EXCEPTION": []}"#, r#"{"EXCEPTION": ["A", 1, 2, 3]}"#] {
        assert!(matches!(read_reply(body.as_bytes()), Ok(Err(_))), "{body}");
    }
}

#[test]
fn request_as_the_client_of_today_writes_it() {
    let body = write_request("bank", "add", &[Value::Int(2)], &[("y".into(), Value::Int(3))]);
    assert_eq!(
        body.as_deref(),
        Ok(&br#"{"name": "bank", "proc": "add", "args": [2], "kwargs": {"y": 3}}"#[..])
    );
}

#[test]
fn what_is_said_beside_a_call_is_read_again() {
    let extras = Extras {
        who: "dealer-proxy control".into(),
        lease: "1f.2".into(),
        deadline_ms: 1500,
        id: "7a".into(),
    };
    let body = write_request_with("bank", "stop", &[], &[], &extras).expect("JSON");
    let Ok(Request::Call { extras: back, .. }) = read_request(&body) else { panic!("a call") };
    assert_eq!(back, extras);
}

proptest! {
    #[test]
    fn requests_round_trip(args in proptest::collection::vec(any_value(), 0..4), v in any_value()) {
        let kwargs = vec![("k".to_owned(), v)];
        let body = write_request("a", "p", &args, &kwargs).expect("finite");
        let want = Request::Call { name: "a".into(), proc: "p".into(), args, kwargs, extras: Extras::default() };
        prop_assert_eq!(read_request(&body), Ok(want));
    }

    #[test]
    fn any_bytes_decode_or_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_request(&bytes);
        let _ = read_reply(&bytes);
    }
}

#[test]
fn what_a_client_says_beside_a_call() {
    let extras =
        |keys: &str| match read_request(format!(r#"{{"name": "a", "proc": "p", {keys}}}"#).as_bytes()) {
            Ok(Request::Call { extras, .. }) => Ok(extras),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault.message),
        };
    let want = Extras { who: "ann".into(), lease: "1f.2".into(), deadline_ms: 1500, id: "7a".into() };
    assert_eq!(extras(r#""who": "ann", "lease": "1f.2", "deadline_ms": 1500, "id": "7a""#), Ok(want));
    assert_eq!(
        extras(r#""who": null, "lease": null, "deadline_ms": null, "id": null, "other": 1"#),
        Ok(Extras::default())
    );
    let long = format!(r#""who": "{}""#, "x".repeat(EXTRA_MAX + 1));
    for (bad, key) in [
        (r#""who": 1"#, "'who'"),
        (r#""who": "a\nb""#, "'who'"),
        (&long, "'who'"),
        (r#""lease": []"#, "'lease'"),
        (r#""id": 7"#, "'id'"),
        (r#""deadline_ms": -1"#, "'deadline_ms'"),
        (r#""deadline_ms": "soon""#, "'deadline_ms'"),
    ] {
        let error = extras(bad).expect_err(bad);
        assert!(error.starts_with(key), "{error}");
    }
}
