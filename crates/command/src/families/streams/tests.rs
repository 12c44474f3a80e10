//! Promises of streams. The answers are Redis's own, asked of a server of release 7.0, except where 7.2 makes a consumer before it
//! has something for it, and knows when it was active.

use crate::model::Model;
use base::UnixMillis;
use base::database::Database;
use resp::Protocol;

const INVALID: &str = "-ERR Invalid stream ID specified as stream command argument";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "-ERR syntax error";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";

fn model() -> Model {
    let mut model = Model::new();
    model.now = UnixMillis(1000);
    model.put_list(b"list");
    model
}

/// A stream `s` with entries 1-0 to 5-0 and a group `g` that was handed nothing.
fn with_group() -> Model {
    let mut model = model();
    for ms in 1..=5 {
        model.ask(&format!("XADD s {ms}-0 f v{ms}"));
    }
    model.says(&[("XGROUP CREATE s g 0", "+OK")]);
    model.events.clear();
    model
}

/// One value of what XINFO GROUPS says of the only group.
fn of_group(model: &mut Model, name: &str) -> String {
    let answer = model.ask("XINFO GROUPS s");
    let mut words = answer.split(' ').skip_while(|word| *word != name).skip(1);
    let value = words.next().expect("a value");
    let value = if value == "$-1" { "unknown" } else { value };
    value.trim_start_matches(':').to_owned()
}

#[test]
fn ids_are_given_out_by_the_time_and_only_grow() {
    const SMALLER: &str = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";
    let mut model = model();
    model.says(&[
        ("XADD s * f v", "$6 1000-0"),
        ("XADD s * f v", "$6 1000-1"),
        ("XADD s 1000-* f v", "$6 1000-2"),
        ("XADD s 1001-* f v", "$6 1001-0"),
        // The clock may lie behind.
        ("XADD s * f v", "$6 1001-1"),
        ("XADD s 1001-1 f v", SMALLER),
        ("XADD s 1000-* f v", SMALLER),
        ("XADD s 007 f v", SMALLER),
        ("XADD new 0-* f v", "$3 0-1"),
        ("XADD new 7 f v", "$3 7-0"),
        ("XADD s 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("XADD s 1-x f v", INVALID),
        ("XADD s - f v", INVALID),
        ("XADD s + f v", INVALID),
        ("XADD s 1-2-3 f v", INVALID),
        ("XADD s 18446744073709551616 f v", INVALID),
        ("XADD s * f", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD s * f v f", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD s MAXLEN 5 *", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD s NOMKSTREAM MAXLEN 5", "-ERR wrong number of arguments for 'xadd' command"),
        ("XADD none NOMKSTREAM * f v", "$-1"),
        ("EXISTS none", ":0"),
        ("XADD list * f v", WRONG_TYPE),
        ("XLEN s", ":5"),
        ("XLEN none", ":0"),
        ("XLEN list", WRONG_TYPE),
        (
            "XADD s 18446744073709551615-18446744073709551614 f v",
            "$41 18446744073709551615-18446744073709551614",
        ),
        ("XADD s * f v", "$41 18446744073709551615-18446744073709551615"),
        ("XADD s * f v", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
    ]);
    assert!(model.events.iter().all(|(event, _)| *event == "xadd"));
}

#[test]
fn entries_are_read_between_two_ids() {
    with_group().says(&[
        ("XRANGE s - + COUNT 1", "*1 *2 $3 1-0 *2 $1 f $2 v1"),
        ("XRANGE s 4 +", "*2 *2 $3 4-0 *2 $1 f $2 v4 *2 $3 5-0 *2 $1 f $2 v5"),
        ("XRANGE s (4 +", "*1 *2 $3 5-0 *2 $1 f $2 v5"),
        ("XRANGE s 2 (3-0", "*1 *2 $3 2-0 *2 $1 f $2 v2"),
        // The whole millisecond of an end that names no more.
        ("XRANGE s 3 3", "*1 *2 $3 3-0 *2 $1 f $2 v3"),
        ("XREVRANGE s + - COUNT 2", "*2 *2 $3 5-0 *2 $1 f $2 v5 *2 $3 4-0 *2 $1 f $2 v4"),
        ("XREVRANGE s (2 -", "*2 *2 $3 2-0 *2 $1 f $2 v2 *2 $3 1-0 *2 $1 f $2 v1"),
        ("XREVRANGE s (2-0 -", "*1 *2 $3 1-0 *2 $1 f $2 v1"),
        ("XRANGE s 4 2", "*0"),
        ("XRANGE s + -", "*0"),
        ("XRANGE s - + COUNT 0", "*-1"),
        ("XRANGE s - + COUNT -3", "*-1"),
        ("XRANGE none - + COUNT 0", "*0"),
        ("XRANGE s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"),
        ("XRANGE s - (0-0", "-ERR invalid end ID for the interval"),
        ("XRANGE s (- +", INVALID),
        ("XRANGE s ( +", INVALID),
        ("XRANGE s - + COUNT", SYNTAX),
        ("XRANGE s - + LIMIT 1", SYNTAX),
        ("XRANGE s - + COUNT x", NOT_AN_INTEGER),
        ("XRANGE list - +", WRONG_TYPE),
    ]);
}

#[test]
fn trimming_keeps_the_newest() {
    let mut model = with_group();
    model.says(&[
        ("XTRIM s MAXLEN 4", ":1"),
        ("XTRIM s MAXLEN = 4", ":0"),
        ("XTRIM s MINID 3", ":1"),
        ("XADD s MAXLEN 2 6 f v6", "$3 6-0"),
        ("XRANGE s - +", "*2 *2 $3 5-0 *2 $1 f $2 v5 *2 $3 6-0 *2 $1 f $2 v6"),
        ("XADD s MINID 6 7 f v7", "$3 7-0"),
        ("XLEN s", ":2"),
        ("XTRIM s MAXLEN 0", ":2"),
        ("XLEN s", ":0"),
        ("EXISTS s", ":1"),
        ("XTRIM none MAXLEN 0", ":0"),
        ("XTRIM list MAXLEN 0", WRONG_TYPE),
        ("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
        ("XTRIM s MAXLEN ~ 1 LIMIT -1", "-ERR The LIMIT argument must be >= 0."),
        ("XTRIM s MAXLEN x", NOT_AN_INTEGER),
        ("XTRIM s MINID x", INVALID),
        ("XTRIM s LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy"),
        ("XTRIM s LIMIT 1", "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
        ("XTRIM s MAXLEN 1 LIMIT 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
        (
            "XTRIM s MAXLEN 1 MINID 1",
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
        ),
        ("XTRIM s FOO 1", SYNTAX),
    ]);
    let told: Vec<_> = model.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["xtrim", "xtrim", "xadd", "xtrim", "xadd", "xtrim", "xtrim"]);
}

#[test]
fn approximate_trimming_takes_whole_hundreds_or_all() {
    let mut model = model();
    for _ in 0..350 {
        model.ask("XADD s * f v");
    }
    model.says(&[
        ("XTRIM s MAXLEN ~ 300", ":0"),
        ("XTRIM s MAXLEN ~ 120 LIMIT 150", ":100"),
        ("XTRIM s MAXLEN ~ 20 LIMIT 0", ":200"),
        ("XTRIM s MAXLEN ~ 0 LIMIT 10", ":0"),
        ("XTRIM s MINID ~ 1001", ":50"),
        ("XADD s MAXLEN ~ 0 * f v", "$8 1000-350"),
        ("XLEN s", ":0"),
    ]);
}

#[test]
fn entries_are_deleted_by_their_ids() {
    let mut model = with_group();
    model.says(&[
        ("XDEL s 2 4-0 2-0 9", ":2"),
        ("XDEL s 2 x", INVALID),
        ("XDEL none x", ":0"),
        ("XDEL list 1", WRONG_TYPE),
        ("XLEN s", ":3"),
        ("XDEL s 1 3 5", ":3"),
        // A stream stays when it is empty, and remembers its ids.
        ("EXISTS s", ":1"),
        (
            "XADD s 5-0 f v",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
    ]);
    assert_eq!(model.events, [("xdel", b"s".to_vec()), ("xdel", b"s".to_vec())]);
}

#[test]
fn what_a_stream_knows_can_be_set() {
    with_group().says(&[
        ("XSETID s 9-1", "+OK"),
        ("XADD s 9-* f v", "$3 9-2"),
        ("XSETID s 9-1", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
        (
            "XSETID s 9-2 ENTRIESADDED 5",
            "-ERR The entries_added specified in XSETID is smaller than the target stream length",
        ),
        ("XSETID s 9-2 ENTRIESADDED -1", "-ERR entries_added must be positive"),
        (
            "XSETID s 9-2 ENTRIESADDED 6 MAXDELETEDID 9-3",
            "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        ),
        ("XSETID s 10 ENTRIESADDED 100 MAXDELETEDID 9-9", "+OK"),
        ("XSETID s 9-8", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"),
        ("XSETID s 10 FOO 1", SYNTAX),
        ("XSETID s 10 ENTRIESADDED", SYNTAX),
        ("XSETID s $", INVALID),
        ("XSETID none 1", "-ERR no such key"),
        ("XSETID list 1", WRONG_TYPE),
    ]);
}

#[test]
fn reading_goes_on_behind_an_id() {
    let mut model = with_group();
    model.says(&[
        ("XADD t 3-0 g w", "$3 3-0"),
        ("XREAD COUNT 1 STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $2 v1"),
        ("XREAD STREAMS s t 4 2", "*2 *2 $1 s *1 *2 $3 5-0 *2 $1 f $2 v5 *2 $1 t *1 *2 $3 3-0 *2 $1 g $1 w"),
        ("XREAD STREAMS s t 5 2", "*1 *2 $1 t *1 *2 $3 3-0 *2 $1 g $1 w"),
        ("XREAD STREAMS s t + $", "*1 *2 $1 s *1 *2 $3 5-0 *2 $1 f $2 v5"),
        ("XREAD STREAMS s $", "*-1"),
        ("XREAD STREAMS none none 0 +", "*-1"),
        ("XREAD BLOCK 10 STREAMS s $", "*-1"),
        ("XREAD STREAMS s >", "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."),
        ("XREAD STREAMS s -", INVALID),
        ("XREAD STREAMS list 0", WRONG_TYPE),
        ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
        ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
        ("XREAD BLOCK 9223372036854775807 STREAMS s 0", "-ERR timeout is out of range"),
        ("XREAD COUNT 1 BLOCK 1", SYNTAX),
        (
            "XREAD NOACK STREAMS s 0",
            "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "XREAD GROUP g c STREAMS s 0",
            "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "XREAD STREAMS s s 0",
            "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
        ),
    ]);
    let answer = model.request(Protocol::Resp3, &[b"XREAD", b"STREAMS", b"t", b"0"]);
    assert_eq!(answer, b"%1\r\n$1\r\nt\r\n*1\r\n*2\r\n$3\r\n3-0\r\n*2\r\n$1\r\ng\r\n$1\r\nw\r\n");
}

fn words(request: &str) -> Vec<&[u8]> {
    request.split(' ').map(str::as_bytes).collect()
}

#[test]
fn who_waits_for_what_is_newer_than_now_waits_for_what_is_newer_than_then() {
    let mut model = with_group();
    let asked = words("XREAD COUNT 2 BLOCK 0 STREAMS s none s $ $ 3");
    let spec = crate::resolve(&asked).expect("a command");
    let kept = spec.blocking_words(&model, &asked).expect("words of its own");
    let kept: Vec<&[u8]> = kept.iter().map(Vec::as_slice).collect();
    assert_eq!(kept, words("XREAD COUNT 2 BLOCK 0 STREAMS s none s 5-0 0-0 3"));
    model.says(&[("XADD s 6 f v6", "$3 6-0"), ("XADD s 7 f v7", "$3 7-0")]);
    let answer = String::from_utf8(model.request(Protocol::Resp2, &kept)).expect("text");
    assert!(answer.contains("6-0") && answer.contains("7-0"), "{answer}");

    for unchanged in ["XREAD BLOCK 0 STREAMS s 5", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "GET s"] {
        let asked = words(unchanged);
        let spec = crate::resolve(&asked).expect("a command");
        assert_eq!(spec.blocking_words(&model, &asked), None, "{unchanged}");
    }
}

#[test]
fn a_group_shares_entries_among_its_consumers() {
    let mut model = with_group();
    model.says(&[
        (
            "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
            "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 f $2 v1 *2 $3 2-0 *2 $1 f $2 v2",
        ),
        ("XREADGROUP GROUP g b COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 f $2 v3"),
        ("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >", "*1 *2 $1 s *1 *2 $3 4-0 *2 $1 f $2 v4"),
        ("XPENDING s g", "*4 :3 $3 1-0 $3 3-0 *2 *2 $1 a $1 2 *2 $1 b $1 1"),
        // What it owes, as often as it asks.
        ("XREADGROUP GROUP g a STREAMS s 1", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $2 v2"),
        ("XREADGROUP GROUP g c STREAMS s 0", "*1 *2 $1 s *0"),
        ("XPENDING s g - + 10 a", "*2 *4 $3 1-0 $1 a :0 :1 *4 $3 2-0 $1 a :0 :2"),
        ("XDEL s 1", ":1"),
        ("XREADGROUP GROUP g a COUNT 1 STREAMS s 0", "*1 *2 $1 s *1 *2 $3 1-0 *-1"),
        ("XACK s g 1 1 3 9", ":2"),
        ("XACK s g x", INVALID),
        ("XACK s other x", ":0"),
        ("XACK none g x", ":0"),
        ("XACK list g 1", WRONG_TYPE),
        ("XREADGROUP GROUP g a STREAMS s >", "*1 *2 $1 s *1 *2 $3 5-0 *2 $1 f $2 v5"),
        ("XREADGROUP GROUP g a STREAMS s >", "*-1"),
        ("XREADGROUP GROUP g a BLOCK 1 STREAMS s >", "*-1"),
        ("XPENDING s g", "*4 :2 $3 2-0 $3 5-0 *1 *2 $1 a $1 2"),
    ]);
    let made = model.events.iter().filter(|(event, _)| *event == "xgroup-createconsumer").count();
    assert_eq!(made, 3);
}

#[test]
fn reading_for_a_group_needs_the_group() {
    const NO_GROUP: &str = "-NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option";
    let mut model = with_group();
    let before = model.clone();
    model.says(&[
        ("XREADGROUP GROUP x c STREAMS s >", NO_GROUP),
        (
            "XREADGROUP GROUP g c STREAMS s none > >",
            "-NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
        ("XREADGROUP GROUP g c STREAMS list >", WRONG_TYPE),
        ("XREADGROUP GROUP g c STREAMS s x", INVALID),
        ("XREADGROUP NOACK COUNT 1 STREAMS s >", "-ERR Missing GROUP option for XREADGROUP"),
        ("XREADGROUP GROUP g c COUNT 1 s >", SYNTAX),
        (
            "XREADGROUP GROUP g c STREAMS s s >",
            "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
        ),
    ]);
    for id in ["$", "+"] {
        let answer = model.ask(&format!("XREADGROUP GROUP g c STREAMS s {id}"));
        assert!(answer.starts_with(&format!("-ERR The {id} ID is meaningless in the context of XREADGROUP")));
    }
    assert_eq!(model.ask("XINFO STREAM s FULL"), before.clone().ask("XINFO STREAM s FULL"));
}

#[test]
fn a_consumer_that_waits_is_one_already() {
    let mut model = with_group();
    model.says(&[
        ("XGROUP SETID s g $", "+OK"),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "*-1"),
        ("XINFO CONSUMERS s g", "*1 *8 $4 name $1 c $7 pending :0 $4 idle :0 $8 inactive :-1"),
    ]);
    model.now = UnixMillis(1500);
    model.says(&[("XADD s * f v", "$6 1500-0")]);
    model.ask("XREADGROUP GROUP g c STREAMS s >");
    model.now = UnixMillis(1700);
    model.says(&[
        ("XREADGROUP GROUP g c STREAMS s >", "*-1"),
        ("XINFO CONSUMERS s g", "*1 *8 $4 name $1 c $7 pending :1 $4 idle :0 $8 inactive :200"),
    ]);
}

#[test]
fn groups_are_made_set_and_deleted() {
    const NO_KEY: &str = "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
                          MKSTREAM option to create an empty stream automatically.";
    let mut model = with_group();
    model.says(&[
        ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists"),
        ("XGROUP CREATE none g 0", NO_KEY),
        ("XGROUP CREATE none g x MKSTREAM", INVALID),
        ("EXISTS none", ":0"),
        ("XGROUP CREATE none g $ MKSTREAM ENTRIESREAD 0", "+OK"),
        ("XLEN none", ":0"),
        ("XGROUP CREATE s h 0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1"),
        ("XGROUP CREATE s h 0 ENTRIESREAD x", NOT_AN_INTEGER),
        (
            "XGROUP Create s h 0 FOO",
            "-ERR unknown subcommand or wrong number of arguments for 'Create'. Try XGROUP HELP.",
        ),
        (
            "XGROUP SETID s g 0 MKSTREAM",
            "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.",
        ),
        ("XGROUP CREATE list g 0", WRONG_TYPE),
        ("XGROUP SETID s x 0", "-NOGROUP No such consumer group 'x' for key name 's'"),
        ("XGROUP SETID none2 x 0", NO_KEY),
        ("XGROUP SETID s g - ENTRIESREAD 7", "+OK"),
        ("XGROUP CREATECONSUMER s g c", ":1"),
        ("XGROUP CREATECONSUMER s g c", ":0"),
        ("XGROUP CREATECONSUMER s x c", "-NOGROUP No such consumer group 'x' for key name 's'"),
        ("XGROUP DELCONSUMER s g c", ":0"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $2 v1"),
        ("XGROUP DELCONSUMER s g c", ":1"),
        ("XPENDING s g", "*4 :0 $-1 $-1 *-1"),
        ("XGROUP DESTROY s g", ":1"),
        ("XGROUP DESTROY s g", ":0"),
        ("XGROUP DESTROY none2 g", NO_KEY),
    ]);
    let told: Vec<_> = model.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(
        told,
        [
            "xgroup-create",
            "xgroup-setid",
            "xgroup-createconsumer",
            "xgroup-delconsumer",
            "xgroup-createconsumer",
            "xgroup-delconsumer",
            "xgroup-destroy"
        ]
    );
}

#[test]
fn entries_are_claimed_from_who_owes_them() {
    const NO_GROUP: &str = "-NOGROUP No such key 's' or consumer group 'x'";
    let mut model = with_group();
    model.ask("XREADGROUP GROUP g a COUNT 3 STREAMS s >");
    model.now = UnixMillis(3000);
    model.says(&[
        ("XCLAIM s g b 5000 1 2", "*0"),
        ("XCLAIM s g b 1000 1 1", "*1 *2 $3 1-0 *2 $1 f $2 v1"),
        ("XCLAIM s g b 0 2 JUSTID", "*1 $3 2-0"),
        ("XPENDING s g - + 10", "*3 *4 $3 1-0 $1 b :0 :2 *4 $3 2-0 $1 b :0 :1 *4 $3 3-0 $1 a :2000 :1"),
        ("XPENDING s g IDLE 1 - + 10", "*1 *4 $3 3-0 $1 a :2000 :1"),
        ("XCLAIM s g b 0 3 IDLE 500 RETRYCOUNT 9", "*1 *2 $3 3-0 *2 $1 f $2 v3"),
        ("XCLAIM s g b 1000 4", "*0"),
        ("XCLAIM s g b 1000 4 FORCE JUSTID TIME 2900", "*1 $3 4-0"),
        ("XPENDING s g (2 + 10 b", "*2 *4 $3 3-0 $1 b :500 :9 *4 $3 4-0 $1 b :100 :1"),
        ("XCLAIM s g b 0 5 FORCE LASTID 5", "*1 *2 $3 5-0 *2 $1 f $2 v5"),
        ("XREADGROUP GROUP g a STREAMS s >", "*-1"),
        // What was deleted can't be claimed, and is owed no more.
        ("XDEL s 1", ":1"),
        ("XCLAIM s g a 0 1", "*0"),
        ("XPENDING s g - 1 10", "*0"),
        ("XCLAIM s x b 0 1", NO_GROUP),
        ("XCLAIM none x b x 1", "-NOGROUP No such key 'none' or consumer group 'x'"),
        ("XCLAIM s g b x 1", "-ERR Invalid min-idle-time argument for XCLAIM"),
        ("XCLAIM s g b 0 1 FOO", "-ERR Unrecognized XCLAIM option 'FOO'"),
        ("XCLAIM s g b 0 1 IDLE", "-ERR Unrecognized XCLAIM option 'IDLE'"),
        ("XCLAIM s g b 0 1 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
        ("XCLAIM s g b 0 1 TIME x", "-ERR Invalid TIME option argument for XCLAIM"),
        ("XCLAIM s g b 0 1 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM"),
        ("XCLAIM s g b 0 1 LASTID x", INVALID),
        ("XCLAIM list g b 0 1", WRONG_TYPE),
    ]);
}

#[test]
fn what_was_owed_for_long_is_claimed_in_passes() {
    let mut model = with_group();
    model.ask("XREADGROUP GROUP g a STREAMS s >");
    model.now = UnixMillis(3000);
    model.says(&[
        ("XCLAIM s g b 0 2 JUSTID", "*1 $3 2-0"),
        ("XDEL s 3", ":1"),
        ("XAUTOCLAIM s g c 1000 0 COUNT 2", "*3 $3 4-0 *1 *2 $3 1-0 *2 $1 f $2 v1 *1 $3 3-0"),
        ("XAUTOCLAIM s g c 1000 4 JUSTID", "*3 $3 0-0 *2 $3 4-0 $3 5-0 *0"),
        ("XAUTOCLAIM s g c 0 (5 JUSTID", "*3 $3 0-0 *0 *0"),
        ("XPENDING s g", "*4 :4 $3 1-0 $3 5-0 *2 *2 $1 b $1 1 *2 $1 c $1 3"),
        ("XAUTOCLAIM s g c x 0", "-ERR Invalid min-idle-time argument for XAUTOCLAIM"),
        ("XAUTOCLAIM s g c 0 x", INVALID),
        ("XAUTOCLAIM s g c 0 0 COUNT 0", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g c 0 0 COUNT x", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM s g c 0 0 COUNT", SYNTAX),
        ("XAUTOCLAIM s x c 0 0", "-NOGROUP No such key 's' or consumer group 'x'"),
        ("XAUTOCLAIM list x c 0 0", WRONG_TYPE),
        ("XPENDING s g - +", SYNTAX),
        ("XPENDING s g IDLE 5 - +", SYNTAX),
        ("XPENDING s g - + x", NOT_AN_INTEGER),
        ("XPENDING s g - + 10 nobody", "*0"),
        ("XPENDING s x", "-NOGROUP No such key 's' or consumer group 'x'"),
        ("XPENDING list g", WRONG_TYPE),
    ]);
}

#[test]
fn a_count_beyond_all_bounds_costs_nothing() {
    with_group().says(&[
        ("XRANGE s 5 + COUNT 9223372036854775807", "*1 *2 $3 5-0 *2 $1 f $2 v5"),
        ("XREADGROUP GROUP g a COUNT 9223372036854775807 STREAMS s 0", "*1 *2 $1 s *0"),
        ("XPENDING s g - + 9223372036854775807", "*0"),
        ("XAUTOCLAIM s g c 0 0 COUNT 576460752303423487", "*3 $3 0-0 *0 *0"),
        ("XTRIM s MAXLEN 9223372036854775807", ":0"),
    ]);
}

#[test]
fn a_group_s_lag_is_known_as_long_as_nothing_hides_it() {
    let mut model = with_group();
    let mut expect = |request: &str, read: &str, lag: &str| {
        let answer = model.ask(request);
        assert!(!answer.starts_with('-'), "{request}: {answer}");
        assert_eq!(of_group(&mut model, "entries-read"), read, "{request}");
        assert_eq!(of_group(&mut model, "lag"), lag, "{request}");
    };
    // A group that begins before the first entry lacks them all, however many it has read.
    expect("XLEN s", "unknown", "5");
    expect("XREADGROUP GROUP g a COUNT 1 STREAMS s >", "1", "4");
    expect("XREADGROUP GROUP g a COUNT 1 STREAMS s >", "2", "3");
    expect("XDEL s 4", "2", "unknown");
    expect("XREADGROUP GROUP g a COUNT 1 STREAMS s >", "unknown", "unknown");
    expect("XREADGROUP GROUP g a COUNT 1 STREAMS s >", "5", "0");
    expect("XADD s 6 f v", "5", "1");
    expect("XGROUP SETID s g 3", "unknown", "unknown");
    expect("XTRIM s MINID 5", "unknown", "2");
    expect("XGROUP SETID s g 5", "unknown", "1");
    expect("XGROUP SETID s g 5 ENTRIESREAD 100", "100", "-94");
    expect("XTRIM s MAXLEN 0", "100", "-94");
    expect("XGROUP SETID s g 3", "unknown", "0");
}

#[test]
fn a_stream_describes_itself() {
    let mut model = with_group();
    model.says(&[
        ("XDEL s 2", ":1"),
        ("XREADGROUP GROUP g a COUNT 1 STREAMS s >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $2 v1"),
        (
            "XINFO STREAM s",
            "*20 $6 length :4 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 5-0 \
             $20 max-deleted-entry-id $3 2-0 $13 entries-added :5 $23 recorded-first-entry-id $3 1-0 $6 groups :1 \
             $11 first-entry *2 $3 1-0 *2 $1 f $2 v1 $10 last-entry *2 $3 5-0 *2 $1 f $2 v5",
        ),
        (
            "XINFO STREAM s FULL COUNT 1",
            "*18 $6 length :4 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 5-0 \
             $20 max-deleted-entry-id $3 2-0 $13 entries-added :5 $23 recorded-first-entry-id $3 1-0 \
             $7 entries *1 *2 $3 1-0 *2 $1 f $2 v1 $6 groups *1 *14 $4 name $1 g $17 last-delivered-id $3 1-0 \
             $12 entries-read $-1 $3 lag $-1 $9 pel-count :1 $7 pending *1 *4 $3 1-0 $1 a :1000 :1 \
             $9 consumers *1 *10 $4 name $1 a $9 seen-time :1000 $11 active-time :1000 $9 pel-count :1 \
             $7 pending *1 *3 $3 1-0 :1000 :1",
        ),
        (
            "XINFO GROUPS s",
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-0 $12 entries-read $-1 \
             $3 lag $-1",
        ),
        ("XTRIM s MAXLEN 0", ":4"),
        (
            "XINFO STREAM s",
            "*20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 $17 last-generated-id $3 5-0 \
             $20 max-deleted-entry-id $3 2-0 $13 entries-added :5 $23 recorded-first-entry-id $3 0-0 $6 groups :1 \
             $11 first-entry $-1 $10 last-entry $-1",
        ),
        ("XINFO STREAM none", "-ERR no such key"),
        ("XINFO GROUPS none", "-ERR no such key"),
        ("XINFO CONSUMERS none g", "-ERR no such key"),
        ("XINFO CONSUMERS s x", "-NOGROUP No such consumer group 'x' for key name 's'"),
        ("XINFO STREAM list", WRONG_TYPE),
        ("XINFO STREAM s FULL COUNT", "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP."),
        ("XINFO STREAM s ALL", "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP."),
        ("XINFO STREAM s FULL COUNT x", NOT_AN_INTEGER),
    ]);
    assert_eq!(model.len(), 2);
}
