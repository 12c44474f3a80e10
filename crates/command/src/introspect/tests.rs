//! Promises of what the table says of itself. The shapes are those of a Redis server of release 7.0.

use super::*;
use resp::{Frame, Protocol};

fn answer(protocol: Protocol, request: &str) -> Frame {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    let mut reply = Writer::new(&mut out, protocol);
    let result = table::resolve(&args).and_then(|spec| command(spec, &args, &mut reply));
    if let Err(error) = result {
        reply.error(error);
    }
    let (frame, used) = Frame::parse(&out).expect("well formed").expect("whole");
    assert_eq!(used, out.len(), "{request}: one reply, no more");
    frame
}

/// A frame as a line of text.
fn shown(frame: &Frame) -> String {
    let all = |frames: &[Frame]| frames.iter().map(shown).collect::<Vec<_>>().join(" ");
    match frame {
        Frame::Simple(bytes) | Frame::Bulk(bytes) | Frame::Error(bytes) => {
            String::from_utf8_lossy(bytes).into()
        }
        Frame::Integer(value) => value.to_string(),
        Frame::Array(frames) => format!("[{}]", all(frames)),
        Frame::Set(frames) => format!("~[{}]", all(frames)),
        Frame::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Frame::Null => "null".into(),
        other => format!("{other:?}"),
    }
}

fn says(request: &str) -> String {
    shown(&answer(Protocol::Resp2, request))
}

#[test]
fn info_has_the_shape_that_clients_know() {
    assert_eq!(
        says("COMMAND INFO get nope"),
        "[[get 2 [readonly fast] 1 1 1 [@read @string @fast] [] [[flags [RO access] begin_search [type index spec \
         [index 1]] find_keys [type range spec [lastkey 0 keystep 1 limit 0]]]] []] null]"
    );
    assert_eq!(
        shown(&answer(Protocol::Resp3, "COMMAND INFO mget")),
        "[[mget -2 ~[readonly fast] 1 -1 1 ~[@read @string @fast] ~[request_policy:multi_shard] ~[{flags: ~[RO \
         access], begin_search: {type: index, spec: {index: 1}}, find_keys: {type: range, spec: {lastkey: -1, keystep: \
         1, limit: 0}}}] ~[]]]"
    );
}

#[test]
fn old_clients_get_the_first_key_the_last_and_the_step() {
    for (name, positions) in [
        ("get", (1, 1, 1)),
        ("mget", (1, -1, 1)),
        ("mset", (1, -1, 2)),
        ("rename", (1, 2, 1)),
        ("lcs", (1, 2, 1)),
        ("object|encoding", (2, 2, 1)),
        ("ping", (0, 0, 0)),
    ] {
        let spec = table::lookup_full(name.as_bytes()).expect(name);
        assert_eq!(super::positions(spec), positions, "{name}");
    }
}

#[test]
fn categories_follow_from_flags_and_group() {
    for (name, expected) in [
        ("set", "@write @string @slow"),
        ("del", "@keyspace @write @slow"),
        ("bitpos", "@read @bitmap @slow"),
        ("client|kill", "@admin @slow @dangerous @connection"),
        ("hello", "@fast @connection"),
        ("flushall", "@keyspace @write @slow @dangerous"),
    ] {
        let spec = table::lookup_full(name.as_bytes()).expect(name);
        assert_eq!(categories(spec).join(" "), expected, "{name}");
    }
}

#[test]
fn every_command_is_described() {
    let count = COMMANDS.len();
    assert_eq!(says("COMMAND COUNT"), count.to_string());
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let length = |request| answer(protocol, request).elements().map(<[Frame]>::len);
        for request in ["COMMAND", "COMMAND INFO"] {
            assert_eq!(length(request), Some(count), "{request}");
        }
        let subcommands: usize = COMMANDS.iter().map(|spec| spec.subcommands.len()).sum();
        assert_eq!(length("COMMAND LIST"), Some(count + subcommands));
    }
    let Frame::Map(docs) = answer(Protocol::Resp3, "COMMAND DOCS") else { panic!("a map") };
    assert_eq!(docs.len(), count);
}

#[test]
fn docs_say_what_a_command_is_for() {
    assert_eq!(
        shown(&answer(Protocol::Resp3, "COMMAND DOCS get nope")),
        "{get: {summary: Answers the string at a key., since: 1.0.0, group: string, complexity: O(1)}}"
    );
    let container = says("COMMAND DOCS OBJECT");
    assert!(container.contains("subcommands [object|encoding [summary"), "{container}");
    assert_eq!(says("COMMAND DOCS nope"), "[]");
}

#[test]
fn lists_are_filtered() {
    assert_eq!(says("COMMAND LIST FILTERBY PATTERN get*"), "[get getset getdel getex getrange getbit]");
    assert_eq!(says("COMMAND LIST filterby pattern client|i*"), "[client|id client|info]");
    assert_eq!(
        says("COMMAND LIST FILTERBY ACLCAT bitmap"),
        "[setbit getbit bitcount bitpos bitop bitfield bitfield_ro]"
    );
    assert_eq!(says("COMMAND LIST FILTERBY MODULE x"), "[]");
    assert_eq!(says("COMMAND LIST FILTERBY FOO x"), "ERR syntax error");
    assert_eq!(says("COMMAND LIST FOO"), "ERR syntax error");
}

#[test]
fn keys_of_a_request_are_told() {
    assert_eq!(says("COMMAND GETKEYS MSET a 1 b 2"), "[a b]");
    assert_eq!(says("COMMAND GETKEYS OBJECT ENCODING k"), "[k]");
    assert_eq!(says("COMMAND GETKEYSANDFLAGS COPY a b"), "[[a [RO access]] [b [OW update]]]");
    assert_eq!(says("COMMAND GETKEYSANDFLAGS SET a b"), "[[a [OW update]]]");
    assert_eq!(says("COMMAND GETKEYSANDFLAGS SET a b GET"), "[[a [RW access update]]]");
    assert_eq!(says("COMMAND GETKEYSANDFLAGS BITFIELD a GET u4 0 OVERFLOW WRAP"), "[[a [RO access]]]");
    assert_eq!(says("COMMAND GETKEYSANDFLAGS BITFIELD a GET u4 0 SET u4 0 1"), "[[a [RW access update]]]");
    assert_eq!(says("COMMAND GETKEYSANDFLAGS BITFIELD a nonsense"), "[[a [RW access update]]]");
    assert_eq!(says("COMMAND GETKEYS ZUNIONSTORE d 2 a b"), "[d a b]");
    for count in ["x", "0", "-1", "3"] {
        let request = format!("COMMAND GETKEYS ZUNIONSTORE d {count} a b");
        assert_eq!(says(&request), "ERR Invalid arguments specified for command");
    }
    assert_eq!(says("COMMAND GETKEYS SPUBLISH c m"), "ERR The command has no key arguments");
    assert_eq!(says("COMMAND GETKEYS PING x"), "ERR The command has no key arguments");
    assert_eq!(says("COMMAND GETKEYS GET"), "ERR Invalid number of arguments specified for command");
    assert_eq!(says("COMMAND GETKEYS NOPE x"), "ERR Invalid command specified");
    assert_eq!(says("COMMAND GETKEYS"), "ERR wrong number of arguments for 'command|getkeys' command");
}

#[test]
fn help_names_every_subcommand() {
    let text = says("COMMAND HELP");
    assert!(
        text.starts_with("[COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are: COUNT "),
        "{text}"
    );
    for container in COMMANDS.iter().filter(|spec| !spec.subcommands.is_empty()) {
        let mut out = Vec::new();
        help(container, &mut Writer::new(&mut out, Protocol::Resp2));
        let (frame, _) = Frame::parse(&out).expect("well formed").expect("whole");
        assert_eq!(frame.elements().map(<[Frame]>::len), Some(1 + 2 * container.subcommands.len()));
    }
}
