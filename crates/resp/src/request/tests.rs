//! Promises of the request reader.

use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use proptest::prelude::*;

type Words = Vec<Vec<u8>>;

/// What a connection says: its commands, and how it ended.
#[derive(Debug, PartialEq)]
struct Heard {
    commands: Vec<Words>,
    left: usize,
    error: Option<ProtocolError>,
}

/// Reads `input` as it arrives in pieces of these sizes, the last of them again and again.
fn hear(limits: Limits, input: &[u8], pieces: &[usize]) -> Heard {
    let mut reader = Reader::new(limits);
    let mut pieces = pieces.iter().chain(core::iter::repeat(pieces.last().unwrap_or(&1)));
    let (mut start, mut end) = (0, 0);
    let mut commands = Vec::new();
    loop {
        match reader.next(&input[start..end]) {
            Ok(Progress::Command { consumed }) => {
                let words: Words = reader.args(&input[start..end]).map(<[u8]>::to_vec).collect();
                assert_eq!(words.len(), reader.len());
                assert!(!words.is_empty());
                assert_eq!(reader.arg(&input[start..end], 0), words[0]);
                commands.push(words);
                start += consumed;
            }
            Ok(Progress::Empty { consumed }) => {
                assert!(consumed > 0);
                start += consumed;
            }
            Ok(Progress::Incomplete { needed }) => {
                assert!(needed > 0);
                if end == input.len() {
                    return Heard { commands, left: end - start, error: None };
                }
                end = (end + pieces.next().map_or(1, |size| (*size).max(1))).min(input.len());
            }
            Err(error) => return Heard { commands, left: 0, error: Some(error) },
        }
    }
}

fn heard(input: &[u8]) -> Heard {
    hear(Limits::default(), input, &[usize::MAX / 2])
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn error_of(input: &[u8]) -> String {
    heard(input).error.map_or(String::new(), |error| error.to_string())
}

fn encoded(commands: &[Words]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        bytes.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
        for word in command {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

#[test]
fn arrays_and_lines_are_commands() {
    let input = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n  set  k \"a b\"  \n*1\r\n$0\r\n\r\n";
    let Heard { commands, left, error } = heard(input);
    assert_eq!(commands, [words(&["GET", "k"]), words(&["PING"]), words(&["set", "k", "a b"]), words(&[""])]);
    assert_eq!((left, error), (0, None));
}

#[test]
fn empty_requests_are_skipped() {
    let Heard { commands, left, .. } = heard(b"*0\r\n*-1\r\n\r\n\n   \r\nPING\r\n");
    assert_eq!((commands, left), (vec![words(&["PING"])], 0));
}

#[test]
fn lines_are_split_as_redis_splits_them() {
    for (line, expected) in [
        (r#"a "b\n\r\t\b\a\\\"\x41\xzz" c"#, words(&["a", "b\n\r\t\u{8}\u{7}\\\"Axzz", "c"])),
        (r"a 'b\n\'' c", words(&["a", r"b\n'", "c"])),
        (r#"a"b c""#, words(&["ab c"])),
        (r#""" ''"#, words(&["", ""])),
        ("a\tb\u{b}c d", words(&["a", "b\u{b}c", "d"])),
        ("a b\0c d", words(&["a", "b"])),
        ("a \"b\"\0c d", words(&["a", "b"])),
    ] {
        let Heard { commands, error, .. } = heard(format!("{line}\r\n").as_bytes());
        assert_eq!((commands, error), (vec![expected], None), "{line}");
    }
    for line in ["\"", "'a", "\"a\"b", "'a'b", "\"a\\\"", "\"a\0\"", "a \"b\0"] {
        assert_eq!(error_of(format!("{line}\n").as_bytes()), "Protocol error: unbalanced quotes in request");
    }
}

#[test]
fn errors_are_redis_s() {
    for (input, error) in [
        ("*a\r\n", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*99999999999999999999", "invalid multibulk length"),
        ("*1\rx", "invalid multibulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$629145600\r\n", "invalid bulk length"),
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*1\r\n\r\n", "expected '$', got ' '"),
        ("*1\r\n\0", "expected '$', got '?'"),
        ("*1\r\n$1\r\nabc", "expected CRLF after bulk string"),
        ("POST / HTTP/1.1\r\n", "this is not an HTTP port"),
        ("host: x\r\n", "this is not an HTTP port"),
    ] {
        assert_eq!(error_of(input.as_bytes()), format!("Protocol error: {error}"), "{input:?}");
    }
}

#[test]
fn the_largest_that_is_allowed_is_waited_for() {
    for (input, needed) in [
        ("", 1),
        ("*1", 1),
        ("*1\r", 1),
        ("*1048576\r\n", 1),
        ("*-", 1),
        ("*1\r\n$", 1),
        ("*1\r\n$10\r\nabc", 9),
        ("*1\r\n$3\r\nabc\r", 1),
        ("*1\r\n$536870912\r\n", 536_870_914),
        ("PING", 1),
    ] {
        let got = Reader::default().next(input.as_bytes());
        assert_eq!(got, Ok(Progress::Incomplete { needed }), "{input:?}");
    }
}

#[test]
fn nothing_is_reserved_for_what_is_announced() {
    let mut reader = Reader::default();
    assert!(matches!(reader.next(b"*1048576\r\n$536870912\r\n"), Ok(Progress::Incomplete { .. })));
    assert_eq!(reader.places.capacity(), 0);
    assert_eq!(reader.unquoted.capacity(), 0);
}

#[test]
fn room_for_a_huge_command_is_given_back() {
    let huge = encoded(&[vec![b"x".to_vec(); 100_000]]);
    let mut reader = Reader::default();
    assert_eq!(reader.next(&huge), Ok(Progress::Command { consumed: huge.len() }));
    assert!(reader.places.capacity() >= 100_000);
    assert_eq!(reader.next(b"*1\r\n$4\r\nPING\r\n"), Ok(Progress::Command { consumed: 14 }));
    assert!(reader.places.capacity() <= KEPT_ARGS_MAX);
}

#[test]
fn an_endless_line_is_refused() {
    let line = vec![b'a'; INLINE_BYTES_MAX + 1];
    assert_eq!(heard(&line).error, Some(ProtocolError::TooBigInline));
    assert_eq!(hear(Limits::default(), &line, &[1000]).error, Some(ProtocolError::TooBigInline));
    let longest = [&line[1..], b"\n"].concat();
    assert_eq!(heard(&longest).commands.len(), 1);
}

#[test]
fn strangers_get_little_room() {
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    let error = |input: &[u8]| hear(limits, input, &[1]).error.map(|error| error.to_string());
    assert_eq!(error(b"*10\r\n"), None);
    assert_eq!(error(b"*11\r\n").as_deref(), Some("Protocol error: unauthenticated multibulk length"));
    assert_eq!(error(b"*1\r\n$16384\r\n"), None);
    assert_eq!(error(b"*1\r\n$16385\r\n").as_deref(), Some("Protocol error: unauthenticated bulk length"));
    // And all of it once they are known.
    let mut reader = Reader::new(limits);
    reader.set_limits(Limits::default());
    assert!(matches!(reader.next(b"*11\r\n$20000\r\n"), Ok(Progress::Incomplete { needed: 20_002 })));
}

#[test]
fn a_command_altogether_is_bounded() {
    let limits = Limits { command_bytes_max: 100, ..Limits::default() };
    let command = encoded(&[vec![vec![b'x'; 40], vec![b'x'; 60]]]);
    assert_eq!(hear(limits, &command, &[1]).error, Some(ProtocolError::TooBigCommand));
    let command = encoded(&[vec![vec![b'x'; 40], vec![b'x'; 20]]]);
    assert_eq!(hear(limits, &command, &[1]).commands.len(), 1);
}

#[test]
fn a_large_word_in_many_pieces_is_looked_at_once() {
    let body = vec![b'v'; 1 << 20];
    let input = encoded(&[vec![b"SET".to_vec(), b"k".to_vec(), body]]);
    let mut reader = Reader::default();
    let mut end = 0;
    let consumed = loop {
        match reader.next(&input[..end]).expect("well formed") {
            Progress::Incomplete { needed } => {
                // Between two pieces it stands before the word, and knows the rest of it.
                if end > 100 {
                    assert_eq!(needed, input.len() - end);
                    assert_eq!(reader.stage, Stage::Body { length: 1 << 20 });
                }
                end = (end + 64).min(input.len());
            }
            Progress::Command { consumed } => break consumed,
            Progress::Empty { .. } => unreachable!("there is a command"),
        }
    };
    assert_eq!(consumed, input.len());
}

fn some_commands() -> impl Strategy<Value = Vec<Words>> {
    let word = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        proptest::collection::vec(any::<u8>(), 90..130),
    ];
    let command = proptest::collection::vec(word, 1..6);
    proptest::collection::vec(command, 0..5)
}

/// Bytes that often look like the protocol.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "*", "$", "\r\n", "\r", "\n", "0", "1", "2", "-1", "9999", "PING", "\"", "'", "\\x4", " ", "\0",
            "*1\r\n", "*2\r\n", "$1\r\na\r\n", "$3\r\nGET\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_written_is_read(commands in some_commands(), pieces in proptest::collection::vec(1usize..50, 1..20)) {
        let input = encoded(&commands);
        let expected = Heard { commands, left: 0, error: None };
        prop_assert_eq!(&heard(&input), &expected);
        prop_assert_eq!(&hear(Limits::default(), &input, &pieces), &expected);
        prop_assert_eq!(&hear(Limits::default(), &input, &[1]), &expected);
    }

    #[test]
    fn garbage_is_judged_alike_however_it_arrives(input in garbage(), pieces in proptest::collection::vec(1usize..9, 1..9)) {
        let whole = heard(&input);
        prop_assert_eq!(&hear(Limits::default(), &input, &[1]), &whole);
        prop_assert_eq!(&hear(Limits::default(), &input, &pieces), &whole);
    }

    /// The look ahead reads the same words and ends as the reader, and stops at what isn't whole.
    #[test]
    fn keys_ahead_are_those_that_are_read(commands in some_commands(), cut in 0usize..2_000) {
        let mut expected = Vec::new();
        let mut input = Vec::new();
        for command in commands.iter().filter(|command| !command.is_empty()) {
            input.extend_from_slice(&encoded(core::slice::from_ref(command)));
            expected.push((command.get(1).cloned().unwrap_or_default(), input.len()));
        }
        let input = &input[..cut.min(input.len())];
        expected.retain(|(_, end)| *end <= input.len());
        let seen: Vec<_> = super::keys_ahead(input).map(|(key, end)| (key.to_vec(), end)).collect();
        // Without its last line end a command is already known.
        prop_assert!(seen.len() <= expected.len() + 1);
        prop_assert_eq!(&seen[..expected.len()], &expected[..]);
    }

    #[test]
    fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = heard(&input);
        let _ = super::keys_ahead(&input).count();
    }
}
