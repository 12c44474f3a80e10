//! What rules mean, how they are told, and what they allow.

use super::log::{AccessLog, Context, Reason, Refused};
use super::*;
use base::codec::{Decode, Encode};
use base::{Rng, UnixMillis};

/// A user that was given these rules, from the state of a new one.
fn user(rules: &str) -> User {
    let mut user = User::new();
    change(&mut user, rules).expect(rules);
    user
}

fn change(user: &mut User, rules: &str) -> Result<(), String> {
    let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    user.change_all(&rules::parse_all(&words)?)
}

fn told(user: &User) -> String {
    String::from_utf8(user.describe()).expect("a text")
}

/// What a user with these rules hears of a command: nothing if it may run it.
fn denied(rules: &str, command: &str) -> Option<Denied> {
    let access = Access::new(Bytes::from_static(b"somebody"), user(rules));
    let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    access.check(command::resolve(&words).expect(command), &words).err()
}

#[track_caller]
fn allows(rules: &str, commands: &[&str]) {
    for command in commands {
        assert_eq!(denied(rules, command), None, "{rules}: {command}");
    }
}

#[track_caller]
fn denies(rules: &str, with: Denied, commands: &[&str]) {
    for command in commands {
        assert_eq!(denied(rules, command), Some(with), "{rules}: {command}");
    }
}

#[test]
fn a_new_user_may_nothing_and_the_first_default_user_everything() {
    assert_eq!(told(&User::new()), "off sanitize-payload resetchannels -@all");
    assert_eq!(told(&User::unrestricted()), "on nopass sanitize-payload ~* &* +@all");
    assert!(!User::new().accepts(b"") && User::unrestricted().accepts(b"anything"));
    let access = Access::new(Bytes::from_static(DEFAULT), User::unrestricted());
    assert!(access.is_unrestricted());
    assert!(!Access::nobody().is_unrestricted());
}

#[test]
fn rules_are_told_as_they_take_effect() {
    let digest = PasswordDigest::of(b"pw").hex();
    for (rules, expected) in [
        ("on >pw", format!("on sanitize-payload #{digest} resetchannels -@all")),
        (&format!("ON #{digest} >pw"), format!("on sanitize-payload #{digest} resetchannels -@all")),
        ("nopass >pw resetpass", "off sanitize-payload resetchannels -@all".to_string()),
        ("skip-sanitize-payload nopass", "off nopass skip-sanitize-payload resetchannels -@all".to_string()),
        (">pw nopass", "off nopass sanitize-payload resetchannels -@all".to_string()),
        (">pw <pw", "off sanitize-payload resetchannels -@all".to_string()),
        (&format!(">pw !{digest}"), "off sanitize-payload resetchannels -@all".to_string()),
        ("allkeys allchannels allcommands", "off sanitize-payload ~* &* +@all".to_string()),
        ("~* &* +@all reset", "off sanitize-payload resetchannels -@all".to_string()),
        (
            "~* resetkeys ~a %R~b %w~c %Wr~d ~a",
            "off sanitize-payload ~a %R~b %W~c ~d resetchannels -@all".to_string(),
        ),
        ("%R~a %W~a", "off sanitize-payload ~a resetchannels -@all".to_string()),
        ("&* resetchannels &a &b &a", "off sanitize-payload resetchannels &a &b -@all".to_string()),
        (
            "+get ~a (+set ~b) ( +del &c ) ()",
            "off sanitize-payload ~a resetchannels -@all +get (~b resetchannels -@all +set) \
             (resetchannels &c -@all +del) (resetchannels -@all)"
                .to_string(),
        ),
        ("(+get) (+set) clearselectors", "off sanitize-payload resetchannels -@all".to_string()),
        // A later rule about the same takes an earlier one's place, and one about the whole that of its parts.
        ("+GET -get +Get", "off sanitize-payload resetchannels -@all +get".to_string()),
        (
            "+@hash +@slow +@set +@hash",
            "off sanitize-payload resetchannels -@all +@slow +@set +@hash".to_string(),
        ),
        (
            "+client|list +config|get +config",
            "off sanitize-payload resetchannels -@all +client|list +config".to_string(),
        ),
        ("+config|get -config|set -config", "off sanitize-payload resetchannels -@all -config".to_string()),
        ("+select|0 +select|1 +select", "off sanitize-payload resetchannels -@all +select".to_string()),
        ("+get +@all +client|id", "off sanitize-payload resetchannels +@all +client|id".to_string()),
        ("+@all nocommands -@dangerous", "off sanitize-payload resetchannels -@all -@dangerous".to_string()),
    ] {
        assert_eq!(told(&user(rules)), expected, "{rules}");
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_said_in_redis_s_words() {
    let keys = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
                'resetkeys' to start with an empty list of patterns";
    let channels = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                    effect. Try 'resetchannels' to start with an empty list of channels";
    let unknown = "Unknown command or category name in ACL";
    let digest =
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    for (rule, why) in [
        ("x", "Syntax error"),
        (")", "Syntax error"),
        ("%~x", "Syntax error"),
        ("%Z~x", "Syntax error"),
        ("%RR~x", "Syntax error"),
        ("%R", "Syntax error"),
        ("~a\tb", "Syntax error"),
        ("&a\nb", "Syntax error"),
        ("+get|", "Syntax error"),
        ("(on)", "Syntax error"),
        ("(>pw)", "Syntax error"),
        ("((+get))", "Syntax error"),
        ("+", unknown),
        ("-", unknown),
        ("+@", unknown),
        ("+nope", unknown),
        ("-@nope", unknown),
        ("+get|a|b", unknown),
        ("-get|a", unknown),
        ("+config|nope", unknown),
        ("-config|nope", unknown),
        ("+config|get|a", "Allowing first-arg of a subcommand is not supported"),
        ("#ab", digest),
        ("!ab", digest),
        ("(&* &x)", channels),
    ] {
        let mut user = User::new();
        assert_eq!(
            change(&mut user, rule),
            Err(format!("Error in ACL SETUSER modifier '{rule}': {why}")),
            "{rule}"
        );
    }
    for (before, rule, why) in [("allkeys", "~x", keys), ("&*", "&x", channels)] {
        let mut user = user(before);
        assert_eq!(change(&mut user, rule), Err(format!("Error in ACL SETUSER modifier '{rule}': {why}")));
    }
    for open in ["(", "(+get", "on (+ping (+select (+del"] {
        let from = open.split(' ').find(|word| word.starts_with('(')).expect("one");
        let error = format!("Unmatched parenthesis in acl selector starting at '{from}'.");
        assert_eq!(change(&mut User::new(), open), Err(error));
    }
}

#[test]
fn a_refused_change_changes_nothing_and_repeats_no_password() {
    let mut somebody = user("on >one ~a +get");
    let before = somebody.clone();
    let error = change(&mut somebody, ">two +set <secret").expect_err("there is no such password");
    assert_eq!(somebody, before);
    assert!(error.ends_with("The password you are trying to remove from the user does not exist"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn passwords_are_right_only_while_the_user_is_on() {
    let somebody = user("on >one >two");
    assert!(somebody.accepts(b"one") && somebody.accepts(b"two") && !somebody.accepts(b"three"));
    assert!(!user("off >one").accepts(b"one"));
    assert!(user("on nopass").accepts(b"whatever") && !user("off nopass").accepts(b"whatever"));
    assert!(!user("on").accepts(b""));
}

#[test]
fn commands_are_allowed_one_by_one_by_category_and_by_subcommand() {
    let no = Denied::Command;
    allows("~* +get +config|get", &["GET k", "config get x"]);
    denies("~* +get +config|get", no, &["SET k v", "CONFIG SET a b", "PING"]);
    allows("~* +@all -config|set", &["CONFIG GET x", "SET k v"]);
    denies("~* +@all -config|set", no, &["CONFIG SET a b"]);
    allows("~* +@all -client +client|id", &["CLIENT ID"]);
    denies("~* +@all -client +client|id", no, &["CLIENT LIST"]);
    allows("~* +@read +@connection", &["GET k", "PING", "CLIENT ID"]);
    denies("~* +@read +@connection", no, &["SET k v"]);
    denies("~* +@all -@dangerous", no, &["FLUSHALL", "KEYS *", "CLIENT KILL x", "ACL LIST"]);
    allows("~* +@all -@dangerous", &["SET k v", "ACL WHOAMI"]);
    // Who may not say it must be able to say who it is.
    allows("-@all", &["AUTH a b", "HELLO 3", "RESET", "QUIT"]);
    allows("+select|0 +select|1", &["SELECT 0", "select 1"]);
    denies("+select|0 +select|1", no, &["SELECT 2"]);
    denies("+select|0 -select", no, &["SELECT 0"]);
    denies("+select|0 +@all -@connection", no, &["SELECT 0"]);
    // Commands that only Redis has mean nothing.
    allows("+@all -debug +debug|object -module|load -cluster|reset", &["PING"]);
    denies("+debug -module", no, &["PING"]);
}

#[test]
fn keys_are_allowed_by_pattern_and_by_what_is_done_to_them() {
    let rules = "+@all %R~r* %W~w* %RW~b*";
    allows(
        rules,
        &["GET r1", "GET b", "SET w v", "SET b v", "LPUSH w 1", "SET b v GET", "COPY r w", "EXISTS r w b"],
    );
    denies(
        rules,
        Denied::Key(1),
        &["GET w", "SET r v", "GET x", "SET w v GET", "INCR x", "GETDEL w", "EXISTS x"],
    );
    denies(rules, Denied::Key(2), &["COPY r r", "RENAME b r", "MGET r w"]);
    allows(rules, &["BITFIELD r GET u4 0", "BITFIELD b SET u4 0 1", "SORT r STORE w", "LMPOP 1 b LEFT"]);
    denies(rules, Denied::Key(1), &["BITFIELD r SET u4 0 1", "BITFIELD w GET u4 0"]);
    denies(rules, Denied::Key(3), &["SORT r STORE r"]);
    denies(rules, Denied::Key(3), &["ZDIFF 2 r x"]);
    denies(rules, Denied::Key(2), &["SINTERCARD 2 w r"]);
    // Whether a key is there may be asked by whoever may do anything with it.
    allows(rules, &["TYPE w", "STRLEN w", "EXISTS r"]);
    denies("+@all", Denied::Key(1), &["GET x"]);
    allows("+@all", &["PING", "DBSIZE"]);
}

#[test]
fn sort_reads_other_keys_only_for_who_may_read_all() {
    let by = Denied::Option("BY");
    denies("+@all ~l", by, &["SORT l BY x*", "SORT l BY x* GET #"]);
    denies(
        "+@all ~l",
        Denied::Option("GET"),
        &["SORT l GET #", "SORT l BY nosort GET x", "SORT_RO l GET x*"],
    );
    allows("+@all ~l", &["SORT l", "SORT l BY nosort LIMIT 0 1 DESC"]);
    allows("+@all %R~* %W~w", &["SORT l BY x* GET y*", "SORT l BY x* STORE w"]);
    denies("+@all ~l (+get ~*)", by, &["SORT l BY x*"]);
    allows("+@all ~l (+sort ~*)", &["SORT l BY x*"]);
}

#[test]
fn channels_are_allowed_by_pattern_and_patterns_by_their_text() {
    let rules = "+@all &a* &news:?";
    allows(
        rules,
        &["PUBLISH a x", "SPUBLISH ab x", "SUBSCRIBE a1 news:1", "SSUBSCRIBE a", "PSUBSCRIBE a* news:?"],
    );
    denies(rules, Denied::Channel(1), &["PUBLISH b x", "SPUBLISH b x", "PSUBSCRIBE ab*", "PSUBSCRIBE *"]);
    denies(rules, Denied::Channel(2), &["SUBSCRIBE a b", "SSUBSCRIBE a b"]);
    allows(rules, &["UNSUBSCRIBE b", "PUNSUBSCRIBE b*", "PUBSUB CHANNELS"]);
    denies("+@all", Denied::Channel(1), &["PUBLISH a x"]);
    allows("+@all &*", &["PSUBSCRIBE *"]);
}

#[test]
fn one_selector_must_allow_all_of_a_command_and_the_furthest_refusal_is_told() {
    let rules = "+mget ~key (+mget ~key ~other) (+set ~w)";
    allows(rules, &["MGET key other", "SET w v"]);
    denies(rules, Denied::Command, &["GET key"]);
    denies(rules, Denied::Key(2), &["MGET other some"]);
    denies(rules, Denied::Key(3), &["MGET key other some"]);
    denies("(%R~r +@all) (%W~w +@all)", Denied::Key(2), &["COPY r w"]);
}

#[test]
fn without_bounds_is_only_who_may_do_whatever_there_will_be() {
    for (rules, expected) in [
        ("~* &* +@all", true),
        ("~* &* +@all -get +get", true),
        ("(~* &* +@all)", true),
        ("~* &* +@all -@scripting", false),
        ("~* &* +@all -get", false),
        ("~* +@all", false),
        ("&* +@all ~a*", false),
        ("~* &* +@read +@write +@fast +@slow", false),
    ] {
        assert_eq!(Access::new(Bytes::new(), user(rules)).is_unrestricted(), expected, "{rules}");
    }
}

/// A rule out of all that there are.
fn any_rule(rng: &mut Rng, inside: bool) -> String {
    let name = |rng: &mut Rng| {
        let all =
            command::table::COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        let names: Vec<&str> = all.map(|spec| spec.name).collect();
        (*rng.pick(&names).expect("a command")).to_string()
    };
    let text = |rng: &mut Rng| -> String {
        (0..rng.below(4))
            .map(|_| *rng.pick(&['a', 'B', '*', '?', ':', '~', '&', '|', '%']).expect("one"))
            .collect()
    };
    let category = *rng.pick(&command::categories::NAMES).expect("a category");
    match rng.below(if inside { 11 } else { 19 }) {
        0 => format!("+{}", name(rng)),
        1 => format!("-{}", name(rng)),
        2 => format!("+@{category}"),
        3 => format!("-@{category}"),
        4 => (*rng.pick(&["+@all", "-@all", "allcommands", "NoCommands"]).expect("one")).to_string(),
        5 => (*rng.pick(&["allkeys", "resetkeys", "~*", "%RW~*"]).expect("one")).to_string(),
        6 => (*rng.pick(&["allchannels", "resetchannels", "&*"]).expect("one")).to_string(),
        7 => format!("~{}", text(rng)),
        8 => format!("%{}~{}", rng.pick(&["R", "W", "RW", "wr"]).expect("one"), text(rng)),
        9 => format!("&{}", text(rng)),
        10 => format!("+{}|{}", rng.pick(&["select", "get", "config", "client"]).expect("one"), text(rng)),
        11 => (*rng.pick(&["on", "off", "nopass", "resetpass"]).expect("one")).to_string(),
        12 | 13 => format!("{}{}", rng.pick(&['>', '<']).expect("one"), text(rng)),
        14 => format!("#{}", PasswordDigest::of(text(rng).as_bytes()).hex()),
        15 => (*rng.pick(&["sanitize-payload", "skip-sanitize-payload"]).expect("one")).to_string(),
        16 => (*rng.pick(&["clearselectors", "reset", "nope", "+nope"]).expect("one")).to_string(),
        _ => {
            let rules: Vec<String> = (0..rng.below(4)).map(|_| any_rule(rng, true)).collect();
            format!("({})", rules.join(" "))
        }
    }
}

#[test]
fn what_is_told_of_a_user_makes_the_same_user_and_so_do_its_bytes() {
    let mut changed = 0;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut somebody = User::new();
        for _ in 0..20 {
            let before = somebody.clone();
            let rule = any_rule(&mut rng, false);
            match change(&mut somebody, &rule) {
                Ok(()) => changed += 1,
                Err(_) => assert_eq!(somebody, before, "{rule}"),
            }
            let text = told(&somebody);
            assert_eq!(user(&text), somebody, "seed {seed}: {text}");
            assert_eq!(User::from_bytes(somebody.to_bytes()).as_ref(), Ok(&somebody));
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            for rule in rules::parse_all(&words).expect("it was read before") {
                assert_eq!(Rule::from_bytes(rule.to_bytes()), Ok(rule));
            }
        }
    }
    assert!(changed > 4000, "only {changed} rules were rules");
}

#[test]
fn the_bytes_of_rules_and_users_are_pinned() {
    let hex = |bytes: Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (rule, expected) in [
        ("on", "01".to_string()),
        ("off", "02".to_string()),
        ("nopass", "03".to_string()),
        ("resetpass", "04".to_string()),
        ("skip-sanitize-payload", "0500".to_string()),
        (">abc", format!("06{digest}")),
        ("<abc", format!("07{digest}")),
        ("(~a)", "08000000000001000000010101000000610000 0000".replace(' ', "")),
        ("clearselectors", "09".to_string()),
        ("reset", "0a".to_string()),
        ("+@all", "0b".to_string()),
        ("-@all", "0c".to_string()),
        ("+get", "0d0103000000676574".to_string()),
        ("allkeys", "0e".to_string()),
        ("resetkeys", "0f".to_string()),
        ("%W~a", "1000010100000061".to_string()),
        ("&*", "11".to_string()),
        ("resetchannels", "12".to_string()),
        ("&a", "130100000061".to_string()),
    ] {
        let rule = Rule::parse(rule.as_bytes()).expect(rule);
        assert_eq!(hex(rule.to_bytes()), expected, "{rule}");
        assert_eq!(Rule::from_bytes(rule.to_bytes()), Ok(rule));
    }
    let expected = format!("0501000000{digest}020100000000030000006765740000000000000000 00000000");
    assert_eq!(hex(user("on >abc ~* -get").to_bytes()), expected.replace(' ', ""));
    for bad in [&[0u8][..], &[20], &[13, 2], &[6, 1]] {
        assert!(Rule::from_bytes(Bytes::copy_from_slice(bad)).is_err());
    }
    assert!(User::from_bytes(Bytes::from_static(&[8])).is_err());
}

#[test]
fn the_same_refused_again_within_a_minute_is_counted_and_the_latest_are_kept() {
    let refused = |object: &str| Refused {
        reason: Reason::Key,
        context: Context::Toplevel,
        object: object.as_bytes().to_vec(),
        user: b"u".to_vec(),
    };
    let mut log = AccessLog::default();
    let note = |log: &mut AccessLog, object: &str, at: u64| {
        log.note(refused(object), format!("client at {at}"), UnixMillis(at), 3);
    };
    note(&mut log, "a", 1000);
    note(&mut log, "b", 2000);
    note(&mut log, "a", 61_000);
    let entry = log.entries().next().expect("an entry");
    assert_eq!(
        (entry.id, entry.count, entry.created, entry.updated),
        (0, 2, UnixMillis(1000), UnixMillis(61_000))
    );
    assert_eq!(entry.client, "client at 61000");
    assert_eq!(log.entries().len(), 2);
    // More than a minute later it is something new.
    note(&mut log, "b", 62_001);
    assert_eq!(
        log.entries().map(|entry| (entry.id, entry.count)).collect::<Vec<_>>(),
        [(2, 1), (0, 2), (1, 1)]
    );
    note(&mut log, "c", 62_002);
    assert_eq!(log.entries().map(|entry| entry.id).collect::<Vec<_>>(), [3, 2, 0]);
    assert_eq!(log.counts(), [0, 0, 5, 0]);
    log.clear();
    assert_eq!((log.entries().len(), log.counts()), (0, [0, 0, 5, 0]));
}
