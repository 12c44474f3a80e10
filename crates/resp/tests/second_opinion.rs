//! What this crate writes, the crate `redis-protocol` reads as the same; what it takes for a request or a reply, so
//! does the other.

use proptest::prelude::*;
use redis_protocol::{resp2, resp3};
use resp::{Frame, Progress, Protocol, Reader, Writer};

fn text() -> impl Strategy<Value = Vec<u8>> {
    "[ -~]{0,12}".prop_map(String::into_bytes)
}

/// The values of version 2.
fn plain() -> impl Strategy<Value = Frame> {
    prop_oneof![
        text().prop_map(Frame::Simple),
        text().prop_map(Frame::Error),
        any::<i64>().prop_map(Frame::Integer),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Frame::Bulk),
        Just(Frame::Null),
    ]
}

/// Those that version 3 has beside them.
fn rich() -> impl Strategy<Value = Frame> {
    prop_oneof![
        plain(),
        any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()).prop_map(Frame::Double),
        any::<bool>().prop_map(Frame::Bool),
        any::<u128>().prop_map(|value| Frame::BigNumber(value.to_string().into_bytes())),
        text().prop_map(|text| Frame::Verbatim { format: *b"txt", text }),
    ]
}

fn nested(leaf: impl Strategy<Value = Frame> + 'static) -> impl Strategy<Value = Frame> {
    leaf.prop_recursive(3, 20, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Frame::Array))
}

fn write(frame: &Frame, to: &mut Writer<'_>) {
    let str = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match frame {
        Frame::Simple(text) => to.simple(&str(text)),
        Frame::Error(text) => to.error(str(text)),
        Frame::Integer(value) => to.integer(*value),
        Frame::Bulk(bytes) => to.bulk(bytes),
        Frame::Null => to.null(),
        Frame::Double(value) => to.double(*value),
        Frame::Bool(value) => to.bool(*value),
        Frame::BigNumber(digits) => to.big_number(&str(digits)),
        Frame::Verbatim { format, text } => to.verbatim(*format, text),
        Frame::Array(frames) => {
            to.array(frames.len());
            frames.iter().for_each(|frame| write(frame, to));
        }
        other => panic!("no strategy here makes {other:?}"),
    }
}

fn written(frame: &Frame, protocol: Protocol) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(frame, &mut Writer::new(&mut bytes, protocol));
    bytes
}

/// What the other crate read in version 2, as a frame of ours.
fn from_second(frame: resp2::types::OwnedFrame) -> Frame {
    use resp2::types::OwnedFrame as Other;
    match frame {
        Other::SimpleString(text) => Frame::Simple(text),
        Other::Error(text) => Frame::Error(text.into_bytes()),
        Other::Integer(value) => Frame::Integer(value),
        Other::BulkString(bytes) => Frame::Bulk(bytes),
        Other::Array(frames) => Frame::Array(frames.into_iter().map(from_second).collect()),
        Other::Null => Frame::Null,
    }
}

/// The same for version 3.
fn from_third(frame: resp3::types::OwnedFrame) -> Frame {
    use resp3::types::OwnedFrame as Other;
    match frame {
        Other::SimpleString { data, .. } => Frame::Simple(data),
        Other::SimpleError { data, .. } => Frame::Error(data.into_bytes()),
        Other::Number { data, .. } => Frame::Integer(data),
        Other::BlobString { data, .. } => Frame::Bulk(data),
        Other::Array { data, .. } => Frame::Array(data.into_iter().map(from_third).collect()),
        Other::Null => Frame::Null,
        Other::Double { data, .. } => Frame::Double(data),
        Other::Boolean { data, .. } => Frame::Bool(data),
        Other::BigNumber { data, .. } => Frame::BigNumber(data),
        Other::VerbatimString { data, .. } => Frame::Verbatim { format: *b"txt", text: data },
        other => panic!("nothing here writes {other:?}"),
    }
}

/// Bytes that often look like the protocol.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "*", "$", "\r\n", "0", "1", "2", "-1", "+a\r\n", ":1\r\n", "$1\r\na\r\n", "$-1\r\n", "*1\r\n", "*2\r\n",
            "-ERR\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn replies_are_read_alike_in_version_2(frame in nested(plain())) {
        let bytes = written(&frame, Protocol::Resp2);
        let (other, used) = resp2::decode::decode(&bytes).expect("well formed").expect("whole");
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(&from_second(other), &frame);
        prop_assert_eq!(Frame::parse(&bytes), Ok(Some((frame, used))));
    }

    #[test]
    fn replies_are_read_alike_in_version_3(frame in nested(rich())) {
        let bytes = written(&frame, Protocol::Resp3);
        let (other, used) = resp3::decode::complete::decode(&bytes).expect("well formed").expect("whole");
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(&from_third(other), &frame);
        prop_assert_eq!(Frame::parse(&bytes), Ok(Some((frame, used))));
    }

    /// Where both take the bytes for a reply, it is the same one. (The other is laxer about what it takes.)
    #[test]
    fn what_we_take_for_a_reply_is_one(input in garbage()) {
        if let Ok(Some((frame, used))) = Frame::parse(&input)
            && let Ok(Some((other, other_used))) = resp2::decode::decode(&input)
        {
            prop_assert_eq!(used, other_used);
            let expected = if frame == Frame::NullArray { Frame::Null } else { frame };
            prop_assert_eq!(from_second(other), expected);
        }
    }

    #[test]
    fn requests_are_read_alike(input in garbage()) {
        let mut reader = Reader::default();
        if input.first() == Some(&b'*')
            && let Ok(Progress::Command { consumed }) = reader.next(&input)
        {
            let words = reader.args(&input).map(|word| Frame::Bulk(word.to_vec())).collect();
            let (other, used) = resp2::decode::decode(&input).expect("well formed").expect("whole");
            prop_assert_eq!(used, consumed);
            prop_assert_eq!(from_second(other), Frame::Array(words));
        }
    }
}
