use super::*;
use proptest::prelude::*;

fn value(text: &str, key: &str) -> String {
    let document = parse(text).expect("parses");
    document.sections[0].entry(key).expect("key is there").value.clone()
}

#[test]
fn python_two_semantics() {
    for (line, key, wanted) in [
        ("k = v", "k", "v"),
        ("K : v", "k", "v"),
        ("k=v=w", "k", "v=w"),
        ("k=v:w", "k", "v:w"),
        ("k = v ; c", "k", "v"),
        ("k = v;c", "k", "v;c"),
        ("k = ; c", "k", "; c"),
        ("k = a;b ; c", "k", "a;b ; c"),
        ("k = v # c", "k", "v # c"),
        ("k = \"\"", "k", ""),
        ("k = \"a b\"", "k", "\"a b\""),
        ("k =", "k", ""),
        ("k = v\r", "k", "v"),
        ("remember = 1", "remember", "1"),
        ("two words = 1", "two words", "1"),
        ("k = a\n  b\n\tc", "k", "a\nb\nc"),
        ("k = a\n  # b", "k", "a\n# b"),
        ("k = a\n\n# x\n  b", "k", "a\nb"),
        ("k = a\n  [B]", "k", "a\n[B]"),
        ("k = 1\nk = 2", "k", "2"),
        ("k = 1 ; x\n  2 ; y", "k", "1\n2 ; y"),
    ] {
        assert_eq!(value(&format!("[A]\n{line}\n"), key), wanted, "{line:?}");
    }
}

#[test]
fn comments_and_headers() {
    let d = parse("; c\nrem c\nREM\tc\n[A] ignored\n#k = 1\n[B]\nx=1\n[A]\ny=2\n").expect("parses");
    assert_eq!(d.sections.len(), 2);
    assert_eq!((d.sections[0].line, d.sections[0].reopened.as_slice()), (4, &[8][..]));
    assert_eq!(d.sections[0].entries.len(), 1);
    assert_eq!(d.sections[0].entries[0].line, 9);
}

#[test]
fn every_bad_line_is_reported() {
    let errors = parse("k = 1\n  [A]\n[A]\n  b = 1\nno separator\n= 3\nok = 1\n").expect_err("bad");
    assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 2, 4, 5, 6]);
    assert!(matches!(errors[1].rule, Rule::NoSection(_)));
    assert!(matches!(errors[3].rule, Rule::NotAnEntry(_)));
    assert_eq!(parse("[A]\na\0b = 1").expect_err("bad")[0].rule, Rule::Nul);
}

#[test]
fn repeats_name_both_lines() {
    let d = parse("[A]\nk = 1\nx = 0\nK = 2\n").expect("parses");
    assert_eq!(
        d.repeats,
        [Repeat {
            section: "A".into(),
            key: "k".into(),
            earlier_line: 2,
            earlier_value: "1".into(),
            line: 4
        }]
    );
}

#[test]
fn interpolation() {
    let d =
        parse("[DEFAULT]\nroot = /r\n[A]\na = %(root)s/x\nb = %(a)s/y\nc = %(c)s\npct = 50%%\n").expect("ok");
    let a = d.section("A").expect("A");
    assert_eq!(d.interpolate(a, "%(B)s").as_deref(), Ok("/r/x/y"));
    assert_eq!(d.interpolate(a, "50%%").as_deref(), Ok("50%%"));
    assert_eq!(d.interpolate(a, "1%2").as_deref(), Ok("1%2"));
    assert_eq!(d.interpolate(a, "5%% %(root)s").as_deref(), Ok("5% /r"));
    assert_eq!(d.interpolate(a, "%(nope)s"), Err(InterpolationError::Missing("nope".into())));
    assert_eq!(d.interpolate(a, "%(c)s"), Err(InterpolationError::TooDeep));
    assert_eq!(d.interpolate(a, "%(c"), Err(InterpolationError::Open));
}

#[test]
fn growing_interpolation_is_bounded() {
    let mut text = String::from("[A]\nk0 = xxxxxxxxxxxxxxxx\n");
    for i in 1..9 {
        text += &format!("k{i} = {}\n", format!("%(k{})s", i - 1).repeat(64));
    }
    let d = parse(&text).expect("ok");
    assert_eq!(d.interpolate(&d.sections[0], "%(k8)s"), Err(InterpolationError::TooLong));
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,400}") {
        if let Ok(d) = parse(&text) {
            for s in &d.sections {
                for e in &s.entries {
                    let _ = d.interpolate(s, &e.value);
                }
            }
        }
    }

    #[test]
    fn never_panics_on_config_like_text(lines in proptest::collection::vec("[\\[\\]a-c=:;%()s #\t\r\"]{0,12}", 0..20)) {
        let text = lines.join("\n");
        if let Ok(d) = parse(&text) {
            for s in &d.sections {
                for e in &s.entries {
                    let _ = d.interpolate(s, &e.value);
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(pairs in proptest::collection::btree_map("[a-z_]{1,8}", "[A-Za-z0-9,.x/ -]{0,20}", 0..12)) {
        prop_assume!(!pairs.contains_key("rem"));
        let mut text = String::from("[S]\n");
        for (k, v) in &pairs {
            text += &format!("{k} = {v}\n");
        }
        let d = parse(&text).expect("well formed");
        prop_assert_eq!(d.sections[0].entries.len(), pairs.len());
        for (k, v) in &pairs {
            prop_assert_eq!(d.sections[0].entry(k).map(|e| e.value.as_str()), Some(v.trim()));
        }
    }
}
