//! What is found and what is not, however the content is cut; and what counts as rotated.

use super::*;

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nshort\n-----END PRIVATE KEY-----\n";

fn value(key: &str, value: &str) -> SecretValue {
    SecretValue { secret: "keys".into(), key: key.into(), value: value.into() }
}

fn needles(values: &[&str]) -> Needles {
    Needles::new(values.iter().enumerate().map(|(at, text)| value(&at.to_string(), text)))
}

fn found(needles: &Needles, text: &str) -> Option<String> {
    needles.found_in(text).map(|value| value.key.clone())
}

#[test]
fn whole_values_and_long_lines_are_found() {
    let needles = needles(&["12345678\n", "1234567", PEM, "two\nlines-of-less-than-24"]);
    for (text, expected) in [
        ("KEY=12345678;", Some("0")),
        ("1234567", None),
        ("  MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\r\n", Some("2")),
        ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", None),
        ("short", None),
        ("lines-of-less-than-24", None),
        ("two\nlines-of-less-than-24", Some("3")),
        ("", None),
    ] {
        assert_eq!(found(&needles, text).as_deref(), expected, "{text:?}");
    }
    assert!(Needles::default().is_empty() && self::needles(&["1234567", ""]).is_empty());
    assert!(!needles.is_empty());
}

#[test]
fn printed_for_developers_it_names_what_it_looks_for_and_shows_no_value() {
    assert_eq!(format!("{:?}", needles(&["12345678"])), r#"Needles(["key 0 of Secret keys"])"#);
}

#[test]
fn a_value_within_another_is_found_in_both() {
    let needles = needles(&["abcdefgh", "xxabcdefghxx", "efghxxyy"]);
    let counts = needles.count(b"xxabcdefghxxyy abcdefgh");
    assert_eq!(counts, Counts(vec![2, 1, 1]));
}

#[test]
fn it_counts_where_the_parent_has_it_less_often() {
    let needles = needles(&["abcdefgh", "ijklmnop"]);
    let count = |text: &str| needles.count(text.as_bytes());
    let (one, both) = (count("abcdefgh"), count("abcdefgh ijklmnop"));
    assert!(needles.added(&one, &both).is_none() && needles.added(&one, &one).is_none());
    assert_eq!(needles.added(&both, &one).map(|value| value.key.as_str()), Some("1"));
    assert!(!one.is_zero() && count("").is_zero());
}

#[test]
fn however_the_content_is_cut_the_same_is_found() {
    let needles = needles(&["aaaaaaaa", "aabaaabaaab", PEM]);
    let mut content = PEM.repeat(3);
    let mut number = 5_u32;
    for _ in 0..3000 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        content.push(if number >> 29 == 0 { 'b' } else { 'a' });
    }
    let whole = needles.count(content.as_bytes());
    assert!(whole.0.iter().all(|count| *count > 0), "{whole:?}");
    for size in [1, 2, 3, 7, 8, 9, 64, 1000] {
        let mut search = needles.search();
        content.as_bytes().chunks(size).for_each(|piece| search.feed(piece));
        assert_eq!(search.end(), whole, "in pieces of {size}");
    }
}

#[test]
fn short_values_are_masked_though_they_are_not_looked_for() {
    let needles = needles(&["hunter2"]);
    assert_eq!(needles.mask("is hunter2"), "is ***");
    assert!(needles.found_in("is hunter2").is_none());
    let failure = |message: &str| Failure {
        operation: "getFile",
        class: crate::domain::failure::Class::Invalid,
        reason: "InvalidFiles",
        message: message.to_owned(),
    };
    assert_eq!(needles.mask_failure(failure("hunter2/x is no file")), failure("***/x is no file"));
}

#[test]
fn values_are_never_printed() {
    let needles = needles(&["canary-value", PEM]);
    let printed = format!("{needles:?} {:?} {}", value("k", "canary-value"), value("k", "canary-value"));
    assert!(!printed.contains("canary") && !printed.contains("MIIE"), "{printed}");
    assert!(printed.contains("key k of Secret keys"), "{printed}");
}

#[test]
fn another_version_or_none_is_a_rotation_unless_the_old_value_is_known_or_given_up() {
    let version = |name: &str, version: &str| SecretVersion { name: name.into(), version: version.into() };
    let recorded = [version("a", "1"), version("b", "2")];
    let same = [version("b", "2"), version("c", "9"), version("a", "1")];
    let changed = [version("a", "1"), version("b", "3")];
    assert_eq!(rotated(&recorded, &same, false, false), None);
    assert_eq!(rotated(&recorded, &changed, false, false), Some(vec!["b".to_owned()]));
    assert_eq!(rotated(&recorded, &[], false, false), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(rotated(&recorded, &changed, true, false), None);
    assert_eq!(rotated(&recorded, &changed, false, true), None);
    assert_eq!(rotated(&[], &changed, false, false), None, "an older release recorded nothing");
}
