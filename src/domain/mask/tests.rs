//! Every way of writing a secret that people have met in logs, and random ones.

use super::*;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use std::fmt::Write as _;

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END PRIVATE KEY-----\n";

#[test]
fn masks_whole_values_and_their_lines() {
    assert_eq!(mask("token=abcdef and abc", &["abc", "abcdef\n"]), "token=*** and ***");
    let key = "-----BEGIN-----\nMIIEvQIBADANBg\n}\n";
    assert_eq!(mask("  MIIEvQIBADANBg\n}", &[key]), "  ***\n}");
    assert_eq!(mask("untouched", &["", " "]), "untouched");
    assert_eq!(mask("größe=süß!", &["süß"]), "größe=***!");
}

#[test]
fn masks_url_encoded_values_whatever_was_escaped() {
    let secret = "p&ss w/rd=100%é";
    for written in [
        "p%26ss%20w%2Frd%3D100%25%C3%A9",
        "p%26ss+w%2frd%3d100%25%c3%a9",
        "p&ss%20w/rd=100%25é",
        "p&ss+w/rd=100%é",
        "%70%26%73%73%20%77%2F%72%64%3D%31%30%30%25%C3%A9",
    ] {
        assert_eq!(mask(&format!("?a={written}&b"), &[secret]), "?a=***&b", "{written}");
    }
    assert_eq!(mask("?a=p%26+w&b", &["p&+w"]), "?a=***&b", "outside a form a + is a +");
    assert_eq!(mask("100%25 and %zz and %", &[secret]), "100%25 and %zz and %");
}

#[test]
fn masks_what_stands_escaped_in_json() {
    let key = "{\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIEvQ/IBADANBg\"\n}";
    let text = format!("{{\"env\":{}}}", serde_json::to_string(key).unwrap());
    assert_eq!(mask(&text, &[key]), "{\"env\":\"***\"}");
    for secret in ["a\tb", "a\rb", "a\nb", "a\"b", "a\\b"] {
        assert_eq!(mask(&serde_json::to_string(secret).unwrap(), &[secret]), "\"***\"", "{secret:?}");
    }
    assert_eq!(mask(r"a\nb \x \", &["secret-value"]), r"a\nb \x \");
}

#[test]
fn masks_base64_wherever_the_value_begins_in_it() {
    let secret = "p&ss??w/rd>>100%";
    for before in ["", "u", "us", "user:", "Bearer "] {
        for after in ["", "\n", "!!", "tail"] {
            for engine in [BASE64_STANDARD, BASE64_URL_SAFE, BASE64_STANDARD_NO_PAD] {
                let text = engine.encode(format!("{before}{secret}{after}"));
                let masked = mask(&text, &[secret]);
                assert!(masked.contains(MASK), "{before:?} {after:?}: {masked}");
                // What is left decodes to nothing of the secret: each letter that holds a bit of it is gone.
                let left = masked.replace(MASK, "").len();
                let most = (before.len() * 8 / 6) + (after.len() * 8).div_ceil(6) + 2;
                assert!(left <= most, "{before:?} {after:?}: {masked}");
            }
        }
    }
    for short in ["abc", "abcd", "abcde"] {
        assert_eq!(mask(&BASE64_STANDARD.encode(short), &[short]), MASK);
    }
    assert_eq!(mask("key==1", &["key"]), "***==1");
}

#[test]
fn what_stands_beside_a_value_stays_but_for_letters_that_hold_a_part_of_it() {
    let secret = "p&ss??w/r";
    let masked = |text: &str| mask(text, &[secret]);
    assert_eq!(masked(&format!("x{secret}y")), "x***y");
    let encoded = |before: &str, after: &str| BASE64_STANDARD.encode(format!("{before}{secret}{after}"));
    assert_eq!(masked(&encoded("abc", "xyz")), "YWJj***eHl6", "no letter is shared");
    let shared = encoded("abcd", "xy");
    let (before, after) = (&shared[..5], &shared[18..]);
    assert_eq!(masked(&shared), format!("{before}***{after}"));
    // Cut where the shared letters were.
    for blank in ["", " "] {
        assert_eq!(masked(&format!("{blank}{}", &shared[6..])), format!("{blank}***{after}"));
        assert_eq!(masked(&format!("{}{blank}", &shared[..17])), format!("{before}***{blank}"));
    }
}

#[test]
fn masks_base64_that_is_broken_into_lines_or_url_encoded() {
    let encoded = BASE64_STANDARD.encode(PEM);
    let mut wrapped = String::new();
    for line in encoded.as_bytes().chunks(76) {
        let _ = writeln!(wrapped, "  {}", String::from_utf8_lossy(line));
    }
    let masked = mask(&format!("key:\n{wrapped}end"), &[PEM]);
    assert!(masked.len() < 24 && masked.starts_with("key:\n") && masked.ends_with("\nend"), "{masked}");
    let secret = "??>>??>>x";
    assert_eq!(
        mask(&BASE64_STANDARD.encode(secret).replace('/', "%2F").replace('+', "%2B"), &[secret]),
        MASK
    );
}

#[test]
fn masks_what_is_left_of_a_long_value_that_was_cut_before() {
    let secret: String = (0..4000).map(|n| char::from(b'!' + u8::try_from(n * n % 89).unwrap())).collect();
    for start in [1, 100, 191, 1000, 3000] {
        let masked = mask(&secret[start..], &[&secret]);
        assert!(masked.len() <= PIECE + MASK.len() && masked.ends_with(MASK), "{start}: {masked}");
    }
    let encoded = BASE64_STANDARD.encode(&secret);
    let masked = mask(&encoded[1501..], &[&secret]);
    assert!(masked.len() <= PIECE * 3 / 2 && masked.contains(MASK), "{masked}");
}

/// A small generator: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).unwrap()
    }

    fn text(&mut self, letters: &[char], length: usize) -> String {
        (0..length).map(|_| letters[self.below(letters.len())]).collect()
    }
}

#[test]
fn whatever_the_secret_and_the_text_no_form_of_it_is_left() {
    let letters: Vec<char> = "abcXYZ019-_.~%+/=&? \n\tüß漢".chars().collect();
    let mut numbers = Numbers(7);
    for _ in 0..150 {
        let length = 1 + numbers.below(300);
        let secret = numbers.text(&letters, length);
        let (before, after) = (numbers.below(9), numbers.below(9));
        let (before, after) = (numbers.text(&letters, before), numbers.text(&letters, after));
        let url: String = secret.trim().bytes().fold(String::new(), |mut url, byte| {
            let _ = write!(url, "%{byte:02X}");
            url
        });
        let shown = [
            secret.clone(),
            BASE64_STANDARD.encode(format!("{before}{secret}{after}")),
            BASE64_URL_SAFE.encode(&secret),
            url,
        ];
        for form in &shown {
            let text = format!("{before}{form}{after}");
            let masked = mask(&text, &[&secret]);
            let (trimmed, form) = (secret.trim(), form.trim_end_matches('='));
            if trimmed.len() >= MIN_LINE {
                assert!(
                    !masked.contains(trimmed) && !masked.contains(form),
                    "{secret:?} in {text:?}: {masked:?}"
                );
                assert!(masked.len() < text.len(), "{secret:?} in {text:?}: {masked:?}");
            }
            assert_eq!(mask(&masked, &[]), masked);
        }
    }
}

#[test]
fn a_text_without_the_secret_stays_as_it_is() {
    let mut numbers = Numbers(11);
    let letters: Vec<char> = "abc%+/= \nüß".chars().collect();
    for _ in 0..500 {
        let text = numbers.text(&letters, 200);
        assert_eq!(mask(&text, &["0123456789", PEM]), text);
    }
}

#[test]
fn keeps_the_end() {
    assert_eq!(last_lines("a\nb\nc\n", 2, 100), "b\nc");
    assert_eq!(last_lines("a\nb", 20, 100), "a\nb");
    assert_eq!(last_lines("ééé", 20, 3), "é");
    assert_eq!(last_lines("", 20, 3), "");
}
