//! Promises of the reply writer.

use super::*;
use alloc::string::String;

fn written(protocol: Protocol, write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut bytes = Vec::new();
    write(&mut Writer::new(&mut bytes, protocol));
    String::from_utf8(bytes).expect("these tests write text")
}

/// A value, and what it becomes in versions 2 and 3.
type Case = (fn(&mut Writer<'_>), &'static str, &'static str);

#[test]
fn each_version_gets_its_own_form() {
    let cases: &[Case] = &[
        (|w| w.ok(), "+OK\r\n", "+OK\r\n"),
        (|w| w.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
        (|w| w.error("ERR no"), "-ERR no\r\n", "-ERR no\r\n"),
        (|w| w.integer(-12), ":-12\r\n", ":-12\r\n"),
        (|w| w.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        (|w| w.count(u64::MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n"),
        (|w| w.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (|w| w.bulk_or_null(Some(b"a\r\nb")), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"),
        (|w| w.bulk_or_null(None), "$-1\r\n", "_\r\n"),
        (|w| w.null_array(), "*-1\r\n", "_\r\n"),
        (|w| w.array(12), "*12\r\n", "*12\r\n"),
        (|w| w.map(3), "*6\r\n", "%3\r\n"),
        (|w| w.set(3), "*3\r\n", "~3\r\n"),
        (|w| w.push(3), "*3\r\n", ">3\r\n"),
        (|w| w.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
        (
            |w| w.double(-1.234_567_890_123e-300),
            "$20\r\n-1.234567890123e-300\r\n",
            ",-1.234567890123e-300\r\n",
        ),
        (|w| w.double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n"),
        (|w| w.bool(true), ":1\r\n", "#t\r\n"),
        (|w| w.bool(false), ":0\r\n", "#f\r\n"),
        (|w| w.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
        (|w| w.verbatim(*b"txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        (|w| w.raw(b":1\r\n"), ":1\r\n", ":1\r\n"),
    ];
    for (write, second, third) in cases {
        assert_eq!(written(Protocol::Resp2, write), *second);
        assert_eq!(written(Protocol::Resp3, write), *third);
    }
}

#[test]
fn a_double_in_version_2_leaves_what_stands_before_it() {
    let text = written(Protocol::Resp2, |w| {
        w.ok();
        w.double(0.1);
        w.double(123_456.75);
    });
    assert_eq!(text, "+OK\r\n$3\r\n0.1\r\n$9\r\n123456.75\r\n");
}

#[test]
fn an_error_stays_on_its_line() {
    let text = written(Protocol::Resp2, |w| w.error("ERR unknown command 'a\r\n+OK\r\n'"));
    assert_eq!(text, "-ERR unknown command 'a  +OK  '\r\n");
}

#[test]
fn what_was_begun_can_be_taken_back() {
    let text = written(Protocol::Resp2, |w| {
        w.ok();
        let start = w.position();
        w.array(2);
        w.integer(1);
        w.truncate(start);
        w.reborrow().error("ERR no");
    });
    assert_eq!(text, "+OK\r\n-ERR no\r\n");
}
