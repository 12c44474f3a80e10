//! Promises of the patterns.

use super::*;
use proptest::prelude::*;

/// The definition, by recursion: exponential, and plain to see.
fn naive(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'*', behind @ ..], text) => naive(behind, text) || !text.is_empty() && naive(pattern, &text[1..]),
        (_, []) => false,
        (pattern, [byte, left @ ..]) => one(pattern, *byte).is_some_and(|behind| naive(behind, left)),
    }
}

#[test]
fn patterns_match_as_in_redis() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "anything", true),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*c", "acd", false),
        ("*a*b*", "xaxbx", true),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-b]llo", "hbllo", true),
        ("h[b-a]llo", "hallo", true),
        ("h[a-b]llo", "hcllo", false),
        (r"h\*llo", "h*llo", true),
        (r"h\*llo", "hxllo", false),
        (r"a\", r"a\", true),
        (r"[\]]", "]", true),
        ("[abc", "b", true),
        ("[", "a", false),
        ("[^", "a", true),
        ("[a-", "-", true),
        ("user:[0-9]*", "user:1:name", true),
        ("ABC", "abc", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }
}

#[test]
fn a_malicious_pattern_takes_no_longer_than_the_square() {
    let pattern = "a*".repeat(2000) + "b";
    let text = "a".repeat(4000);
    assert!(!matches(pattern.as_bytes(), text.as_bytes()));
}

proptest! {
    #[test]
    fn it_is_what_the_definition_says(pattern in r"[ab*?\[\]^\\-]{0,9}", text in r"[ab^\]\\-]{0,8}") {
        prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn a_text_that_is_escaped_matches_itself_only(text in ".{0,10}", other in ".{0,10}") {
        let escaped: Vec<u8> = text.bytes().flat_map(|byte| [b'\\', byte]).collect();
        prop_assert!(matches(&escaped, text.as_bytes()));
        prop_assert_eq!(matches(&escaped, other.as_bytes()), text == other);
    }
}
