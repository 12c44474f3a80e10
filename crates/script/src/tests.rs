//! What scripts get, what they can't do, and that no run leaves anything to the next.

use crate::host::LogLevel;
use crate::limits::{Limits, Stop};
use crate::{Call, Engine, Host, Outcome, Sha, Unanswered};
use bytes::Bytes;
use resp::{Protocol, Writer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A host with some commands on strings.
#[derive(Debug, Default)]
struct Strings {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    said: Vec<(LogLevel, Vec<u8>)>,
    /// Keys that it doesn't hold.
    elsewhere: Vec<Vec<u8>>,
    calls: usize,
}

impl Host for Strings {
    fn call(&mut self, words: &[&[u8]], protocol: Protocol, reply: &mut Vec<u8>) -> Result<(), Unanswered> {
        self.calls += 1;
        if words[1..].iter().any(|key| self.elsewhere.iter().any(|elsewhere| elsewhere == key)) {
            return Err(Unanswered);
        }
        let mut writer = Writer::new(reply, protocol);
        match (&words[0].to_ascii_lowercase()[..], &words[1..]) {
            (b"ping", []) => writer.simple("PONG"),
            (b"echo", [text]) => writer.bulk(text),
            (b"get", [key]) => writer.bulk_or_null(self.values.get(*key).map(|value| &value[..])),
            (b"set", [key, value]) => {
                self.values.insert(key.to_vec(), value.to_vec());
                writer.ok();
            }
            (b"incr", [key]) => {
                let value = self.values.entry(key.to_vec()).or_insert_with(|| b"0".to_vec());
                match resp::number::parse_integer(value) {
                    Some(number) => {
                        *value = (number + 1).to_string().into_bytes();
                        writer.integer(number + 1);
                    }
                    None => writer.error("ERR value is not an integer or out of range"),
                }
            }
            (b"types", []) => {
                writer.array(8);
                writer.double(0.5);
                writer.bool(true);
                writer.null();
                writer.big_number("12345678901234567890");
                writer.verbatim(*b"txt", b"some text");
                writer.map(1);
                writer.text("field");
                writer.integer(1);
                writer.set(1);
                writer.text("member");
                writer.array(0);
            }
            (b"ping" | b"echo" | b"get" | b"set" | b"incr", _) => {
                writer.error("ERR Wrong number of args calling Redis command from script");
            }
            _ => writer.error("ERR Unknown Redis command called from script"),
        }
        Ok(())
    }

    fn may_call(&mut self, words: &[&[u8]]) -> Option<bool> {
        match &words[0].to_ascii_lowercase()[..] {
            b"get" | b"set" => Some(true),
            b"incr" => Some(false),
            _ => None,
        }
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.said.push((level, text.to_vec()));
    }
}

fn call() -> Call {
    let word = Bytes::from_static;
    let limits = Limits { instructions: 2_000_000, memory_bytes: 8 << 20, ..Limits::default() };
    Call { keys: vec![word(b"k1"), word(b"k2")], arguments: vec![word(b"a1")], limits, ..Call::default() }
}

fn eval(script: &str) -> Outcome {
    Engine::new().eval(script.as_bytes(), &call(), Strings::default()).0
}

fn replied(script: &str) -> String {
    match eval(script) {
        Outcome::Replied(reply) => reply.escape_ascii().to_string(),
        stopped => panic!("{script}: {stopped:?}"),
    }
}

/// What `\n`, `\\`, `\x00` in the file stand for.
fn unescaped(line: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), line.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().expect("an escape") {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                u8::from_str_radix(str::from_utf8(&digits).expect("digits"), 16).expect("digits")
            }
            other => other,
        });
    }
    bytes
}

#[test]
fn scripts_get_the_answers_that_redis_gives() {
    let (mut engine, mut host) = (Engine::new(), Strings::default());
    let mut lines = include_str!("tests/answers.txt").lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    while let (Some(asked), Some(answer)) = (lines.next(), lines.next()) {
        let script = unescaped(asked.strip_prefix("> ").expect("a script"));
        let wanted = unescaped(answer.strip_prefix("< ").expect("a reply"));
        let protocol = if script.starts_with(b"--3") { Protocol::Resp3 } else { Protocol::Resp2 };
        let given = Call { protocol, limits: Limits::default(), ..call() };
        let (outcome, back) = engine.eval(&script, &given, host);
        host = back;
        let Outcome::Replied(reply) = outcome else { panic!("{asked}: {outcome:?}") };
        assert_eq!(reply.escape_ascii().to_string(), wanted.escape_ascii().to_string(), "{asked}");
        count += 1;
    }
    assert_eq!(count, 445);
}

#[test]
fn replies_become_values_of_lua_and_back_in_both_versions() {
    let reply = |script: &str, protocol| {
        let given = Call { protocol, ..call() };
        let (outcome, _) = Engine::new().eval(script.as_bytes(), &given, Strings::default());
        let Outcome::Replied(reply) = outcome else { panic!("{script}: {outcome:?}") };
        reply.escape_ascii().to_string()
    };
    let all = "redis.setresp(3); return redis.call('types')";
    // The null ends the array, as Lua counts.
    assert_eq!(reply(all, Protocol::Resp3), r"*2\r\n,0.5\r\n#t\r\n");
    let rest =
        "redis.setresp(3); local t = redis.call('types'); return {t[1], t[2], t[4], t[5], t[6], t[7], t[8]}";
    assert_eq!(
        reply(rest, Protocol::Resp3),
        "*7\\r\\n,0.5\\r\\n#t\\r\\n(12345678901234567890\\r\\n=13\\r\\ntxt:some text\\r\\n%1\\r\\n$5\\r\\nfield\\r\\n:1\\r\\n\
         ~1\\r\\n$6\\r\\nmember\\r\\n*0\\r\\n"
    );
    assert_eq!(
        reply(rest, Protocol::Resp2),
        "*7\\r\\n$3\\r\\n0.5\\r\\n:1\\r\\n$20\\r\\n12345678901234567890\\r\\n$9\\r\\nsome text\\r\\n*2\\r\\n$5\\r\\nfield\\r\\n\
         :1\\r\\n*1\\r\\n$6\\r\\nmember\\r\\n*0\\r\\n"
    );
    let in_two = "local t = redis.call('types'); return {type(t[1]), t[2], t[3], type(t[4]), #t[6]}";
    assert_eq!(reply(in_two, Protocol::Resp3), r"*5\r\n$6\r\nstring\r\n:1\r\n_\r\n$6\r\nstring\r\n:2\r\n");
}

#[test]
fn a_script_that_never_ends_is_stopped_whatever_it_catches() {
    for script in [
        "while true do end",
        "pcall(function() while true do end end) return 'swallowed'",
        "while true do pcall(function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end) return 'swallowed'",
        "coroutine.resume(coroutine.create(function() while true do end end)) return 'swallowed'",
        "pcall(coroutine.wrap(function() while true do end end)) return 'swallowed'",
        "while true do coroutine.wrap(function() for i = 1, 100 do end end)() end",
        "pcall(table.sort, {1, 2, 3}, function() while true do end end) return 'swallowed'",
        "pcall(tostring, setmetatable({}, {__tostring = function() while true do end end})) return 'swallowed'",
        "pcall(string.gsub, 'x', 'x', function() while true do end end) return 'swallowed'",
        "return setmetatable({}, {__index = function() while true do end end}).x",
        "pcall(string.find, string.rep('a', 50), string.rep('a*', 50) .. 'b') return 'swallowed'",
        "while true do pcall(redis.call, 'nosuch') end",
        "local a = {}; for i = 1, 100 do a = {a, a} end; pcall(cjson.encode, a) return 'swallowed'",
        "local a = {}; for i = 1, 100 do a = {a, a} end; return a",
        "local a = {}; for i = 1, 15 do a = {a, a, a, a, a} end; pcall(cmsgpack.pack, a) return 'swallowed'",
        "while true do os.clock() end",
    ] {
        assert_eq!(eval(script), Outcome::Stopped(Stop::Instructions), "{script}");
    }
}

#[test]
fn a_script_that_allocates_without_end_is_stopped_whatever_it_catches() {
    for script in [
        "local t = {} while true do t[#t + 1] = string.rep('x', 10000) .. #t end",
        "pcall(function() local t = {} while true do t[#t + 1] = string.rep('x', 10000) .. #t end end) return 'swallowed'",
        "pcall(coroutine.wrap(function() local t = {} while true do t[#t + 1] = string.rep('x', 10000) .. #t end end)) \
         return 'swallowed'",
        "pcall(string.rep, 'x', 2 ^ 31 - 1) return 'swallowed'",
        "local s = 'x' for i = 1, 100 do s = s .. s end",
        "local s = string.rep('x', 1000000) local t = {} for i = 1, 200 do t[i] = s end return t",
        "local s = string.rep('x', 1000000) local t = {} for i = 1, 200 do t[i] = s end pcall(cjson.encode, t) return 1",
        "local s = string.rep('x', 1000000) local t = {} for i = 1, 200 do t[i] = s end pcall(table.concat, t) return 1",
        "local s = string.rep('x', 1000000) pcall(string.gsub, s, '.', s) return 'swallowed'",
    ] {
        assert_eq!(eval(script), Outcome::Stopped(Stop::Memory), "{script}");
    }
}

#[test]
fn a_script_that_somebody_wants_to_end_ends() {
    let killed = Arc::new(AtomicBool::new(true));
    let limits = Limits { killed: Arc::clone(&killed), ..Limits::default() };
    let given = Call { limits, ..call() };
    let mut engine = Engine::new();
    let (outcome, host) = engine.eval(b"pcall(function() while true do end end)", &given, Strings::default());
    assert_eq!(outcome, Outcome::Stopped(Stop::Killed));
    killed.store(false, Ordering::Relaxed);
    let (outcome, _) = engine.eval(b"return 1", &given, host);
    assert_eq!(outcome, Outcome::Replied(b":1\r\n".to_vec()));
}

#[test]
fn a_host_that_cannot_answer_ends_the_run_unseen() {
    for script in [
        "redis.call('set', 'a', 1) return redis.call('get', 'far')",
        "pcall(redis.call, 'get', 'far') return 'swallowed'",
        "local r = redis.pcall('get', 'far') return 'swallowed'",
        "coroutine.wrap(function() redis.pcall('get', 'far') end)() return 'swallowed'",
        "pcall(string.gsub, 'far', '.*', function(key) redis.call('get', key) end) return 'swallowed'",
        "xpcall(function() redis.call('get', 'far') end, function() return 'seen' end) return 'swallowed'",
    ] {
        let host = Strings { elsewhere: vec![b"far".to_vec()], ..Strings::default() };
        let (outcome, host) = Engine::new().eval(script.as_bytes(), &call(), host);
        assert_eq!(outcome, Outcome::Stopped(Stop::Unanswered), "{script}");
        assert!(host.calls > 0);
    }
}

#[test]
fn nothing_stays_from_one_run_to_the_next() {
    let mut engine = Engine::new();
    let mut reply = |script: &str| {
        let (outcome, _) = engine.eval(script.as_bytes(), &call(), Strings::default());
        let Outcome::Replied(reply) = outcome else { panic!("{script}: {outcome:?}") };
        reply.escape_ascii().to_string()
    };
    assert_eq!(reply("cjson.encode_number_precision(3) return cjson.encode(1/3)"), r"$5\r\n0.333\r\n");
    assert_eq!(reply("return cjson.encode(1/3)"), r"$16\r\n0.33333333333333\r\n");
    assert_eq!(reply("redis.setresp(3) return true"), r":1\r\n");
    assert_eq!(reply("return math.random(1000)"), reply("return math.random(1000)"));
    assert_eq!(reply("table.insert(string, 'left behind') return 1"), r":1\r\n");
    assert_eq!(reply("return tostring(string[1])"), r"$3\r\nnil\r\n");
    assert_eq!(reply("KEYS[1] = 'changed' return KEYS[1]"), r"$7\r\nchanged\r\n");
    assert_eq!(reply("return KEYS[1]"), r"$2\r\nk1\r\n");
    assert_eq!(reply("return tostring({}) .. tostring({})"), reply("return tostring({}) .. tostring({})"));
    let forbidden = "-ERR user_script:1: Attempt to modify a readonly table";
    for script in ["getmetatable('').__index = 5", "string.rep = 5", "x = 5", "getmetatable(_G).__index = {}"]
    {
        assert!(reply(script).starts_with(forbidden), "{script}");
    }
}

#[test]
fn compiled_code_is_not_loaded() {
    assert_eq!(replied("return loadstring(string.dump(function() return 5 end))"), r"$-1\r\n");
    assert_eq!(
        replied(
            "local s = string.dump(function() return 5 end) local n = 0 return load(function() n = n + 1 if n == 1 \
                 then return s end end)"
        ),
        r"$-1\r\n"
    );
    assert!(replied("\u{1b}Lua").starts_with("-ERR Error compiling script (new function): "));
    for name in
        ["newproxy", "getfenv", "setfenv", "dofile", "loadfile", "require", "print", "io", "debug", "module"]
    {
        let said = replied(&format!("return {name}"));
        assert!(said.contains(&format!(r"access nonexistent global variable \'{name}\'")), "{said}");
    }
}

#[test]
fn functions_come_from_a_library_that_is_loaded_for_each_call() {
    let library = "#!lua name=counting\nlocal count = 0\nlocal function add(keys, args) count = count + 1 return {count, keys[1], \
                   args[1]} end\nredis.register_function('add', add)\nredis.register_function{function_name='read', \
                   description='Reads.', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}\n\
                   redis.register_function('fail', function() return redis.call('nosuch') end)";
    let mut engine = Engine::new();
    let found = engine.load(library.as_bytes()).expect("a library");
    assert_eq!(found.name, "counting");
    let named: Vec<_> = found.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(named, ["add", "read", "fail"]);
    assert_eq!(found.functions[1].description.as_deref(), Some(&b"Reads."[..]));
    assert_eq!(found.functions[1].flags, crate::Flags::NO_WRITES);
    let mut call_it = |function: &str| {
        let (outcome, _) = engine.fcall(library.as_bytes(), function, &call(), Strings::default());
        let Outcome::Replied(reply) = outcome else { panic!("{function}: {outcome:?}") };
        reply.escape_ascii().to_string()
    };
    for _ in 0..2 {
        assert_eq!(call_it("add"), r"*3\r\n:1\r\n$2\r\nk1\r\n$2\r\na1\r\n");
    }
    assert_eq!(call_it("read"), r"$-1\r\n");
    assert_eq!(
        call_it("fail"),
        r"-ERR Unknown Redis command called from script script: fail, on @user_function:6.\r\n"
    );
    assert_eq!(call_it("nosuch"), r"-ERR Function not found\r\n");
}

#[test]
fn a_library_that_is_none_says_why() {
    let refused = |code: &str| {
        Engine::<Strings>::new().load(format!("#!lua name=lib\n{code}").as_bytes()).expect_err("it is none")
    };
    assert_eq!(refused("return 1"), "ERR No functions registered");
    assert_eq!(
        refused("redis.register_function('f', 1)"),
        "ERR Error registering functions: ERR second argument to redis.register_function must be a function"
    );
    assert_eq!(
        refused("redis.register_function('f-1', function() end)"),
        format!("ERR Error registering functions: ERR {}", crate::header::BAD_NAME)
    );
    let twice = "redis.register_function('f', function() end)";
    assert_eq!(
        refused(&format!("{twice} {twice}")),
        "ERR Error registering functions: ERR Function already exists in the library"
    );
    assert_eq!(
        refused("redis.call('ping')"),
        "ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'"
    );
    assert_eq!(
        refused("math.random()"),
        "ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'"
    );
    assert!(refused("return (").starts_with("ERR Error compiling function: user_function:2: "));
    assert_eq!(refused("while true do end"), "ERR FUNCTION LOAD timeout");
}

#[test]
fn what_a_script_logs_reaches_its_host() {
    let script = b"redis.log(redis.LOG_WARNING, 'one', 2, 'three')";
    let (_, host) = Engine::new().eval(script, &call(), Strings::default());
    assert_eq!(host.said, [(LogLevel::Warning, b"one 2 three".to_vec())]);
}

#[test]
fn scripts_have_the_names_that_clients_compute() {
    let sha = Sha::of(b"return 1");
    assert_eq!(sha.to_string(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_eq!(Sha::parse(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(sha));
    assert_eq!(Sha::parse(b"e0e1"), None);
    assert_eq!(Sha::parse(&[b'x'; 40]), None);
    let mut engine = Engine::<Strings>::new();
    assert_eq!(engine.check(b"return 1"), Ok(sha));
    assert!(engine.check(b"return (").is_err_and(|said| said.starts_with("ERR Error compiling script")));
}

#[test]
fn many_values_are_no_more_than_there_is_room_for() {
    for script in [
        "local t = {} for i = 1, 20000 do t[i] = 'x' .. i end return #cmsgpack.pack(t)",
        "local t = {} for i = 1, 20000 do t['x' .. i] = 'y' .. i end return #cmsgpack.pack(t)",
        "local t = {} for i = 1, 20000 do t[i] = 'x' .. i end return #cjson.encode(t)",
        "local t = {} for i = 1, 7000 do t[i] = 'x' .. i end return #redis.pcall('nosuch', unpack(t)).err",
        "local t = {} for i = 1, 7000 do t[i] = 'x' .. i end return #{cmsgpack.unpack(cmsgpack.pack(unpack(t)))}",
    ] {
        let limits = Limits::default();
        let (outcome, _) =
            Engine::new().eval(script.as_bytes(), &Call { limits, ..call() }, Strings::default());
        let Outcome::Replied(reply) = outcome else { panic!("{script}: {outcome:?}") };
        assert!(reply.starts_with(b":"), "{script}: {}", reply.escape_ascii());
    }
    let script = b"local t = {} for i = 1, 20000 do t[i] = 'x' .. i end return t";
    let (outcome, _) =
        Engine::new().eval(script, &Call { limits: Limits::default(), ..call() }, Strings::default());
    let Outcome::Replied(reply) = outcome else { panic!("{outcome:?}") };
    assert!(reply.starts_with(b"*20000\r\n$2\r\nx1\r\n"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text: Vec<u8>) {
        let (outcome, _) = Engine::new().eval(&text, &call(), Strings::default());
        proptest::prop_assert!(outcome != Outcome::Stopped(Stop::Unanswered));
    }

    #[test]
    fn any_pattern_is_answered(text in "[ab().%*+?^$-]{0,12}", pattern in "[ab().%*+?^$\\[\\]-]{0,8}") {
        let given = Call { arguments: vec![text.into(), pattern.into()], ..call() };
        let script = b"return {pcall(string.find, ARGV[1], ARGV[2]), pcall(string.gsub, ARGV[1], ARGV[2], '%1')}";
        let (outcome, _) = Engine::new().eval(script, &given, Strings::default());
        proptest::prop_assert!(matches!(outcome, Outcome::Replied(_)));
    }
}
