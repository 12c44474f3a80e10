//! Promises of the frame reader, and that it reads what the writer writes.

use super::*;
use crate::reply::{Protocol, Writer};
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

fn parsed(input: &str) -> Result<Option<(Frame, usize)>, FrameError> {
    Frame::parse(input.as_bytes())
}

#[test]
fn every_form_is_read() {
    let bulk = |text: &str| Frame::Bulk(text.into());
    for (input, frame) in [
        ("+OK\r\n", Frame::Simple("OK".into())),
        ("-ERR no\r\n", Frame::Error("ERR no".into())),
        ("!6\r\nERR no\r\n", Frame::Error("ERR no".into())),
        (":-7\r\n", Frame::Integer(-7)),
        (":+7\r\n", Frame::Integer(7)),
        ("$0\r\n\r\n", bulk("")),
        ("$4\r\na\r\nb\r\n", bulk("a\r\nb")),
        ("$-1\r\n", Frame::Null),
        ("_\r\n", Frame::Null),
        ("*-1\r\n", Frame::NullArray),
        ("*0\r\n", Frame::Array(vec![])),
        (
            "*2\r\n:1\r\n*1\r\n:2\r\n",
            Frame::Array(vec![Frame::Integer(1), Frame::Array(vec![Frame::Integer(2)])]),
        ),
        ("%1\r\n+a\r\n:1\r\n", Frame::Map(vec![(Frame::Simple("a".into()), Frame::Integer(1))])),
        ("~1\r\n:1\r\n", Frame::Set(vec![Frame::Integer(1)])),
        (">1\r\n:1\r\n", Frame::Push(vec![Frame::Integer(1)])),
        ("|1\r\n+ttl\r\n:1\r\n:5\r\n", Frame::Integer(5)),
        (",1.5\r\n", Frame::Double(1.5)),
        (",-inf\r\n", Frame::Double(f64::NEG_INFINITY)),
        ("#t\r\n", Frame::Bool(true)),
        ("(12345678901234567890\r\n", Frame::BigNumber("12345678901234567890".into())),
        ("=6\r\ntxt:hi\r\n", Frame::Verbatim { format: *b"txt", text: "hi".into() }),
    ] {
        assert_eq!(parsed(input), Ok(Some((frame, input.len()))), "{input:?}");
        for end in 0..input.len() {
            assert_eq!(parsed(&input[..end]), Ok(None), "{:?}", &input[..end]);
        }
        // What follows is left alone.
        assert_eq!(
            parsed(&alloc::format!("{input}+x")).map(|found| found.map(|(_, used)| used)),
            Ok(Some(input.len()))
        );
    }
}

#[test]
fn nonsense_is_refused() {
    for input in [
        "x",
        "\r\n",
        ":\r\n",
        ":a\r\n",
        "$-2\r\n",
        "$1\r\nab\r\n",
        "*-2\r\n",
        "#x\r\n",
        ",x\r\n",
        "=1\r\nx\r\n",
        "+a\rb",
    ] {
        assert!(parsed(input).is_err(), "{input:?}");
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |depth| [vec!["*1\r\n"; depth].concat().as_str(), ":1\r\n"].concat();
    assert!(parsed(&deep(DEPTH_MAX - 1)).is_ok_and(|found| found.is_some()));
    assert!(parsed(&deep(DEPTH_MAX)).is_err());
    assert!(parsed(&deep(100_000)).is_err());
}

#[test]
fn an_announced_length_reserves_nothing() {
    assert_eq!(parsed("*9223372036854775807\r\n"), Ok(None));
    assert_eq!(parsed("$9223372036854775807\r\n"), Ok(None));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    "[ -~]{0,12}".prop_map(String::into_bytes)
}

/// Frames that version 3 can write in the form in which they are read.
fn frames() -> impl Strategy<Value = Frame> {
    let leaf = prop_oneof![
        text().prop_map(Frame::Simple),
        text().prop_map(Frame::Error),
        any::<i64>().prop_map(Frame::Integer),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Frame::Bulk),
        Just(Frame::Null),
        any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()).prop_map(Frame::Double),
        any::<bool>().prop_map(Frame::Bool),
        any::<u128>().prop_map(|value| Frame::BigNumber(alloc::format!("{value}").into_bytes())),
        text().prop_map(|text| Frame::Verbatim { format: *b"txt", text }),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let many = || proptest::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            many().prop_map(Frame::Array),
            many().prop_map(Frame::Set),
            many().prop_map(Frame::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Frame::Map),
        ]
    })
}

fn write(frame: &Frame, w: &mut Writer<'_>) {
    let str = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = |frames: &[Frame], w: &mut Writer<'_>| frames.iter().for_each(|frame| write(frame, w));
    match frame {
        Frame::Simple(text) => w.simple(&str(text)),
        Frame::Error(text) => w.error(str(text)),
        Frame::Integer(value) => w.integer(*value),
        Frame::Bulk(bytes) => w.bulk(bytes),
        Frame::Null => w.null(),
        Frame::NullArray => w.null_array(),
        Frame::Double(value) => w.double(*value),
        Frame::Bool(value) => w.bool(*value),
        Frame::BigNumber(digits) => w.big_number(&str(digits)),
        Frame::Verbatim { format, text } => w.verbatim(*format, text),
        Frame::Array(frames) => {
            w.array(frames.len());
            all(frames, w);
        }
        Frame::Set(frames) => {
            w.set(frames.len());
            all(frames, w);
        }
        Frame::Push(frames) => {
            w.push(frames.len());
            all(frames, w);
        }
        Frame::Map(pairs) => {
            w.map(pairs.len());
            for (key, value) in pairs {
                write(key, w);
                write(value, w);
            }
        }
    }
}

/// What version 2 makes of a frame.
fn flattened(frame: Frame) -> Frame {
    let all = |frames: Vec<Frame>| Frame::Array(frames.into_iter().map(flattened).collect());
    match frame {
        Frame::Array(frames) | Frame::Set(frames) | Frame::Push(frames) => all(frames),
        Frame::Map(pairs) => all(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        Frame::Bool(value) => Frame::Integer(i64::from(value)),
        Frame::BigNumber(bytes) | Frame::Verbatim { text: bytes, .. } => Frame::Bulk(bytes),
        Frame::Double(value) => {
            let mut digits = Vec::new();
            crate::number::push_double(&mut digits, value);
            Frame::Bulk(digits)
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(frame in frames()) {
        let mut bytes = Vec::new();
        write(&frame, &mut Writer::new(&mut bytes, Protocol::Resp3));
        prop_assert_eq!(Frame::parse(&bytes), Ok(Some((frame.clone(), bytes.len()))));
        for end in 0..bytes.len() {
            prop_assert_eq!(Frame::parse(&bytes[..end]), Ok(None));
        }
        bytes.clear();
        write(&frame, &mut Writer::new(&mut bytes, Protocol::Resp2));
        prop_assert_eq!(Frame::parse(&bytes), Ok(Some((flattened(frame), bytes.len()))));
    }

    #[test]
    fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Frame::parse(&input);
    }

    #[test]
    fn garbage_that_looks_like_frames_does_not_either(input in "([*$%~>|=!:+,#_(-]|[0-9]|\r\n|a){0,30}") {
        if let Ok(Some((_, used))) = Frame::parse(input.as_bytes()) {
            prop_assert!(used <= input.len());
        }
    }
}
