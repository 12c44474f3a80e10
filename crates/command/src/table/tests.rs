//! Promises of the command table.

use super::*;
use crate::spec::{Begin, Find, Flags, KeyFlags, KeySpec};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn all() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

fn error(request: &str) -> String {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    resolve(&args).expect_err(request).to_string()
}

/// The log keeps these numbers for ever. A new command takes a new one; none is changed or given out again.
#[test]
fn numbers_in_the_log_never_change() {
    let pinned = [
        (1, "get"),
        (2, "set"),
        (3, "getset"),
        (4, "getdel"),
        (5, "getex"),
        (6, "setnx"),
        (7, "setex"),
        (8, "psetex"),
        (9, "mget"),
        (10, "mset"),
        (11, "msetnx"),
        (12, "append"),
        (13, "strlen"),
        (14, "getrange"),
        (15, "substr"),
        (16, "setrange"),
        (17, "msetex"),
        (18, "delex"),
        (19, "digest"),
        (32, "incr"),
        (33, "decr"),
        (34, "incrby"),
        (35, "decrby"),
        (36, "incrbyfloat"),
        (40, "lcs"),
        (48, "setbit"),
        (49, "getbit"),
        (50, "bitcount"),
        (51, "bitpos"),
        (64, "del"),
        (65, "unlink"),
        (66, "exists"),
        (67, "type"),
        (68, "rename"),
        (69, "renamenx"),
        (70, "copy"),
        (71, "move"),
        (72, "touch"),
        (73, "dump"),
        (74, "restore"),
        (75, "object"),
        (76, "object|encoding"),
        (77, "object|idletime"),
        (78, "object|refcount"),
        (79, "object|freq"),
        (80, "object|help"),
        (128, "expire"),
        (129, "pexpire"),
        (130, "expireat"),
        (131, "pexpireat"),
        (132, "ttl"),
        (133, "pttl"),
        (134, "expiretime"),
        (135, "pexpiretime"),
        (136, "persist"),
        (192, "scan"),
        (193, "keys"),
        (194, "randomkey"),
        (195, "dbsize"),
        (196, "flushdb"),
        (197, "flushall"),
        (256, "ping"),
        (257, "echo"),
        (258, "hello"),
        (259, "auth"),
        (260, "select"),
        (261, "quit"),
        (262, "reset"),
        (263, "readonly"),
        (264, "readwrite"),
        (265, "asking"),
        (272, "client"),
        (273, "client|id"),
        (274, "client|getname"),
        (275, "client|setname"),
        (276, "client|setinfo"),
        (277, "client|info"),
        (278, "client|list"),
        (279, "client|kill"),
        (280, "client|pause"),
        (281, "client|unpause"),
        (282, "client|unblock"),
        (283, "client|reply"),
        (284, "client|no-evict"),
        (285, "client|no-touch"),
        (286, "client|tracking"),
        (287, "client|caching"),
        (288, "client|getredir"),
        (289, "client|trackinginfo"),
        (290, "client|help"),
        (384, "info"),
        (385, "time"),
        (386, "swapdb"),
        (387, "wait"),
        (388, "sync"),
        (389, "psync"),
        (390, "replconf"),
        (391, "monitor"),
        (392, "debug"),
        (393, "waitaof"),
        (400, "command"),
        (401, "command|count"),
        (402, "command|info"),
        (403, "command|docs"),
        (404, "command|list"),
        (405, "command|getkeys"),
        (406, "command|getkeysandflags"),
        (407, "command|help"),
        (416, "config"),
        (417, "config|get"),
        (418, "config|set"),
        (419, "config|resetstat"),
        (420, "config|rewrite"),
        (421, "config|help"),
        (432, "memory"),
        (433, "memory|usage"),
        (434, "memory|stats"),
        (435, "memory|doctor"),
        (436, "memory|malloc-stats"),
        (437, "memory|purge"),
        (438, "memory|help"),
        (448, "slowlog"),
        (449, "slowlog|get"),
        (450, "slowlog|len"),
        (451, "slowlog|reset"),
        (452, "slowlog|help"),
        (464, "acl"),
        (465, "acl|cat"),
        (466, "acl|deluser"),
        (467, "acl|dryrun"),
        (468, "acl|genpass"),
        (469, "acl|getuser"),
        (470, "acl|list"),
        (471, "acl|load"),
        (472, "acl|log"),
        (473, "acl|save"),
        (474, "acl|setuser"),
        (475, "acl|users"),
        (476, "acl|whoami"),
        (477, "acl|help"),
        (480, "latency"),
        (481, "latency|latest"),
        (482, "latency|history"),
        (483, "latency|reset"),
        (484, "latency|graph"),
        (485, "latency|doctor"),
        (486, "latency|histogram"),
        (487, "latency|help"),
        (496, "sihai"),
        (497, "sihai|status"),
        (498, "sihai|remove"),
        (499, "sihai|help"),
        (512, "cluster"),
        (513, "cluster|info"),
        (514, "cluster|myid"),
        (515, "cluster|nodes"),
        (516, "cluster|slots"),
        (517, "cluster|shards"),
        (518, "cluster|keyslot"),
        (519, "cluster|countkeysinslot"),
        (520, "cluster|getkeysinslot"),
        (521, "cluster|help"),
        (522, "cluster|myshardid"),
        (523, "lpush"),
        (524, "rpush"),
        (525, "lpushx"),
        (526, "rpushx"),
        (527, "lpop"),
        (528, "rpop"),
        (529, "llen"),
        (530, "lindex"),
        (531, "lset"),
        (532, "linsert"),
        (533, "lrange"),
        (534, "lrem"),
        (535, "ltrim"),
        (536, "lpos"),
        (537, "lmove"),
        (538, "rpoplpush"),
        (539, "lmpop"),
        (540, "blpop"),
        (541, "brpop"),
        (542, "blmove"),
        (543, "brpoplpush"),
        (544, "blmpop"),
        (545, "sadd"),
        (546, "srem"),
        (547, "sismember"),
        (548, "smismember"),
        (549, "smembers"),
        (550, "scard"),
        (551, "spop"),
        (552, "srandmember"),
        (553, "smove"),
        (554, "sinter"),
        (555, "sintercard"),
        (556, "sinterstore"),
        (557, "sunion"),
        (558, "sunionstore"),
        (559, "sdiff"),
        (560, "sdiffstore"),
        (561, "sscan"),
        (568, "sort"),
        (569, "sort_ro"),
        (768, "multi"),
        (769, "exec"),
        (770, "discard"),
        (771, "watch"),
        (772, "unwatch"),
        (784, "subscribe"),
        (785, "unsubscribe"),
        (786, "psubscribe"),
        (787, "punsubscribe"),
        (788, "ssubscribe"),
        (789, "sunsubscribe"),
        (790, "publish"),
        (791, "spublish"),
        (792, "pubsub"),
        (793, "pubsub|channels"),
        (794, "pubsub|numsub"),
        (795, "pubsub|numpat"),
        (796, "pubsub|shardchannels"),
        (797, "pubsub|shardnumsub"),
        (798, "pubsub|help"),
        (850, "save"),
        (851, "bgsave"),
        (852, "bgrewriteaof"),
        (853, "lastsave"),
        (854, "role"),
        (855, "replicaof"),
        (856, "slaveof"),
        (857, "failover"),
        (858, "shutdown"),
        (859, "module"),
        (860, "module|list"),
        (861, "module|load"),
        (862, "module|loadex"),
        (863, "module|unload"),
        (864, "module|help"),
        (865, "restore-asking"),
        (880, "cluster|links"),
        (881, "cluster|replicas"),
        (882, "cluster|slaves"),
        (883, "cluster|count-failure-reports"),
        (884, "cluster|addslots"),
        (885, "cluster|addslotsrange"),
        (886, "cluster|bumpepoch"),
        (887, "cluster|delslots"),
        (888, "cluster|delslotsrange"),
        (889, "cluster|failover"),
        (890, "cluster|flushslots"),
        (891, "cluster|forget"),
        (892, "cluster|meet"),
        (893, "cluster|replicate"),
        (894, "cluster|reset"),
        (895, "cluster|saveconfig"),
        (896, "cluster|set-config-epoch"),
        (897, "cluster|setslot"),
        (910, "migrate"),
        (672, "xadd"),
        (673, "xlen"),
        (674, "xrange"),
        (675, "xrevrange"),
        (676, "xdel"),
        (677, "xtrim"),
        (678, "xsetid"),
        (679, "xread"),
        (680, "xreadgroup"),
        (681, "xgroup"),
        (682, "xgroup|create"),
        (683, "xgroup|setid"),
        (684, "xgroup|destroy"),
        (685, "xgroup|createconsumer"),
        (686, "xgroup|delconsumer"),
        (687, "xgroup|help"),
        (689, "xack"),
        (690, "xclaim"),
        (691, "xautoclaim"),
        (692, "xpending"),
        (693, "xinfo"),
        (694, "xinfo|consumers"),
        (695, "xinfo|groups"),
        (696, "xinfo|stream"),
        (697, "xinfo|help"),
        (720, "pfadd"),
        (721, "pfcount"),
        (722, "pfmerge"),
        (723, "pfdebug"),
        (724, "pfselftest"),
        (576, "hset"),
        (577, "hsetnx"),
        (578, "hmset"),
        (579, "hget"),
        (580, "hmget"),
        (581, "hgetall"),
        (582, "hdel"),
        (583, "hexists"),
        (584, "hlen"),
        (585, "hkeys"),
        (586, "hvals"),
        (587, "hstrlen"),
        (588, "hincrby"),
        (589, "hincrbyfloat"),
        (590, "hrandfield"),
        (591, "hscan"),
        (592, "hexpire"),
        (593, "hpexpire"),
        (594, "hexpireat"),
        (595, "hpexpireat"),
        (596, "hpersist"),
        (597, "httl"),
        (598, "hpttl"),
        (599, "hexpiretime"),
        (600, "hpexpiretime"),
        (601, "hgetdel"),
        (602, "hgetex"),
        (603, "hsetex"),
        (608, "zadd"),
        (609, "zincrby"),
        (610, "zrem"),
        (611, "zcard"),
        (612, "zcount"),
        (613, "zlexcount"),
        (614, "zscore"),
        (615, "zmscore"),
        (616, "zrank"),
        (617, "zrevrank"),
        (618, "zrange"),
        (619, "zrangestore"),
        (620, "zrevrange"),
        (621, "zrangebyscore"),
        (622, "zrevrangebyscore"),
        (623, "zrangebylex"),
        (624, "zrevrangebylex"),
        (625, "zremrangebyrank"),
        (626, "zremrangebyscore"),
        (627, "zremrangebylex"),
        (628, "zpopmin"),
        (629, "zpopmax"),
        (630, "zmpop"),
        (631, "bzpopmin"),
        (632, "bzpopmax"),
        (633, "bzmpop"),
        (634, "zrandmember"),
        (635, "zscan"),
        (636, "zunion"),
        (637, "zinter"),
        (638, "zdiff"),
        (639, "zunionstore"),
        (640, "zinterstore"),
        (641, "zdiffstore"),
        (642, "zintercard"),
        (656, "geoadd"),
        (657, "geopos"),
        (658, "geodist"),
        (659, "geohash"),
        (660, "geosearch"),
        (661, "geosearchstore"),
        (662, "georadius"),
        (663, "georadius_ro"),
        (664, "georadiusbymember"),
        (665, "georadiusbymember_ro"),
        (736, "bitop"),
        (737, "bitfield"),
        (738, "bitfield_ro"),
        (739, "lolwut"),
        (900, "eval"),
        (901, "evalsha"),
        (902, "eval_ro"),
        (903, "evalsha_ro"),
        (904, "fcall"),
        (905, "fcall_ro"),
        (930, "script"),
        (931, "script|load"),
        (932, "script|exists"),
        (933, "script|flush"),
        (934, "script|kill"),
        (935, "script|debug"),
        (936, "script|help"),
        (940, "function"),
        (941, "function|load"),
        (942, "function|delete"),
        (943, "function|list"),
        (944, "function|stats"),
        (945, "function|dump"),
        (946, "function|restore"),
        (947, "function|flush"),
        (948, "function|kill"),
        (949, "function|help"),
    ];
    let pinned: BTreeMap<u16, &str> = pinned.into_iter().collect();
    let table: BTreeMap<u16, &str> = all().map(|spec| (spec.id.0, spec.name)).collect();
    assert_eq!(table, pinned);
}

#[test]
fn every_command_is_found_by_name_and_number_in_any_case() {
    for spec in all() {
        assert_eq!(by_id(spec.id).map(|found| found.name), Some(spec.name));
        for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
            assert_eq!(lookup_full(name.as_bytes()).map(|found| found.name), Some(spec.name));
        }
    }
    for spec in &COMMANDS {
        assert_eq!(lookup(spec.name.to_uppercase().as_bytes()).map(|found| found.id), Some(spec.id));
    }
    for name in ["", "nope", "ge", "gett", "client|nope", "client|", "get|x", "|", "object|encoding|x"] {
        assert!(lookup_full(name.as_bytes()).is_none(), "{name}");
    }
    assert!(lookup(&[b'x'; 10_000]).is_none());
    assert!(by_id(CommandId(0)).is_none() && by_id(CommandId(u16::MAX)).is_none());
}

#[test]
fn every_command_is_documented_and_answered_somewhere() {
    for spec in all() {
        assert!(spec.arity != 0, "{}", spec.name);
        assert!(spec.summary.ends_with('.'), "{}", spec.name);
        assert!(!spec.complexity.is_empty() && !spec.since.is_empty(), "{}", spec.name);
        assert!(!(spec.is_write() && spec.is_readonly()), "{}", spec.name);
        let at_a_shard = spec.place == Place::Keys || spec.is_write() && spec.place == Place::Cluster;
        assert_eq!(spec.execute.is_some(), at_a_shard, "{}", spec.name);
        // WATCH names keys that EXEC asks about later, MIGRATE such that a node moves; sharded channels are named like keys.
        let named = ["watch", "migrate", "ssubscribe", "sunsubscribe", "spublish"].contains(&spec.name);
        let has_keys = matches!(spec.place, Place::Keys | Place::Script) || named;
        assert_eq!(has_keys, !spec.keys.is_empty(), "{}", spec.name);
        if spec.place == Place::Keys {
            assert!(spec.is_write() || spec.is_readonly(), "{}", spec.name);
        }
        for child in spec.subcommands {
            assert_eq!(child.name.split_once('|').map(|(container, _)| container), Some(spec.name));
            assert!(child.subcommands.is_empty());
        }
    }
}

#[test]
fn a_request_that_names_no_command_is_told_so() {
    assert_eq!(error("FOO"), "ERR unknown command 'FOO', with args beginning with: ");
    assert_eq!(error("foo bar baz"), "ERR unknown command 'foo', with args beginning with: 'bar' 'baz' ");
    let long = "x".repeat(200);
    let cut = "x".repeat(128);
    assert_eq!(
        error(&format!("{long} {long} {long}")),
        format!("ERR unknown command '{cut}', with args beginning with: '{cut}' ")
    );
    assert_eq!(error("CLIENT FOO x"), "ERR unknown subcommand 'FOO'. Try CLIENT HELP.");
    assert!(resolve(&[]).is_err());
}

#[test]
fn a_request_with_too_few_or_too_many_words_is_told_so() {
    for (request, name) in [
        ("GET", "get"),
        ("GET a b", "get"),
        ("set a", "set"),
        ("client", "client"),
        ("CLIENT setname", "client|setname"),
        ("object ENCODING a b", "object|encoding"),
    ] {
        assert_eq!(error(request), format!("ERR wrong number of arguments for '{name}' command"));
    }
    for request in ["GET a", "COMMAND", "command COUNT", "CLIENT ID", "PING", "PING x", "INFO a b c"] {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        assert!(resolve(&args).is_ok(), "{request}");
    }
}

#[test]
fn keys_are_found_where_the_table_says() {
    for (request, keys) in [
        ("GET a", "a"),
        ("SET a b EX 10", "a"),
        ("MGET a b c", "a b c"),
        ("MSET a 1 b 2", "a b"),
        ("DEL a b", "a b"),
        ("RENAME a b", "a b"),
        ("COPY a b DB 1", "a b"),
        ("LCS a b LEN", "a b"),
        ("OBJECT ENCODING a", "a"),
        ("MEMORY USAGE a SAMPLES 5", "a"),
        ("MOVE a 1", "a"),
        ("ZRANGESTORE a b 0 1", "a b"),
        ("ZMPOP 2 a b MIN", "a b"),
        ("BZMPOP 0 1 a MIN", "a"),
        ("BZPOPMIN a b 0", "a b"),
        ("ZUNIONSTORE a 2 b c WEIGHTS 1 2", "a b c"),
        ("ZINTERCARD 2 a b LIMIT 1", "a b"),
        ("GEORADIUS a 1 2 3 km STORE b", "a b"),
        ("GEORADIUSBYMEMBER a m 3 km asc storedist b", "a b"),
        ("GEOSEARCHSTORE a b FROMMEMBER m BYRADIUS 1 km", "a b"),
        ("PING a", ""),
        ("SCAN 0", ""),
    ] {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let spec = resolve(&args).expect(request);
        let found: Vec<_> =
            spec.keys(&args).iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        assert_eq!(found.join(" "), keys, "{request}");
    }
}

/// Redis's other ways to say where keys are, which later families use.
#[test]
fn keys_may_be_counted_or_follow_a_word() {
    const COUNTED: KeySpec = KeySpec {
        flags: KeyFlags::RO,
        begin: Begin::Index(2),
        find: Find::Count { count: 0, first: 1, step: 1 },
    };
    const STREAMS: KeySpec = KeySpec {
        flags: KeyFlags::RO,
        begin: Begin::Keyword { keyword: "STREAMS", from: 1 },
        find: Find::Range { last: -1, step: 1, limit: 2 },
    };
    let keys = |keys: &'static [KeySpec], request: &str| -> String {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let spec = Spec::new(1000, "x", -1, Group::Generic, Place::Keys).keys_at(keys);
        let found: Vec<_> =
            spec.keys(&args).iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        found.join(" ")
    };
    assert_eq!(keys(&[COUNTED], "EVAL script 2 a b c"), "a b");
    assert_eq!(keys(&[COUNTED], "EVAL script 0"), "");
    for wrong in [
        "EVAL script",
        "EVAL script x a",
        "EVAL script 2 a",
        "EVAL script -1 a",
        "EVAL s 9223372036854775807 a",
    ] {
        assert_eq!(keys(&[COUNTED], wrong), "", "{wrong}");
    }
    assert_eq!(keys(&[STREAMS], "XREAD COUNT 2 streams a b 0 0"), "a b");
    assert_eq!(keys(&[STREAMS], "XREAD COUNT 2"), "");
}

#[test]
fn the_database_that_a_request_names_is_read() {
    let target = |request: &str| {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let index = resolve(&args).expect(request).target(&args);
        index.map(|index| index.map(|index| index.0)).map_err(|error| error.to_string())
    };
    assert_eq!(target("GET a"), Ok(None));
    assert_eq!(target("COPY a b REPLACE"), Ok(None));
    assert_eq!(target("COPY a b db 3 REPLACE"), Ok(Some(3)));
    assert_eq!(target("MOVE a 7"), Ok(Some(7)));
    assert_eq!(target("MOVE a -1"), Err("ERR DB index is out of range".into()));
    assert_eq!(target("MOVE a x"), Err("ERR value is not an integer or out of range".into()));
    assert_eq!(
        target("COPY a b DB 99999999999"),
        Err("ERR value is out of range, value must between -2147483648 and 2147483647".into())
    );
}

#[test]
fn flags_are_named_in_redis_s_order() {
    let all = Flags::ALLOW_BUSY.with(Flags::WRITE).with(Flags::FAST);
    assert_eq!(all.names().collect::<Vec<_>>(), ["write", "fast", "allow_busy"]);
}

proptest! {
    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..6)) {
        let mut args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let _ = resolve(&args);
        for spec in all() {
            args.insert(0, spec.name.as_bytes());
            let _ = spec.keys(&args);
            args.remove(0);
        }
    }
}
