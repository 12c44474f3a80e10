//! MIGRATE's words.

use super::*;
use crate::table::lookup;

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(|word| if word == "''" { b"" } else { word.as_bytes() }).collect()
}

#[test]
fn the_words_say_what_goes_where() {
    let line = words("MIGRATE there 7000 k 3 0 replace");
    let migrate = Migrate::parse(&line).expect("it makes sense");
    assert_eq!((migrate.host, migrate.port, migrate.database), (&b"there"[..], &b"7000"[..], &b"3"[..]));
    assert_eq!((migrate.timeout, migrate.copies, migrate.replaces), (Duration::from_secs(1), false, true));
    assert_eq!((migrate.credentials, migrate.keys), (None, 3..4));
    let line = words("MIGRATE there 7000 '' 3 250 COPY AUTH2 keys auth KEYS a b");
    let migrate = Migrate::parse(&line).expect("it makes sense");
    assert_eq!((migrate.timeout, migrate.copies), (Duration::from_millis(250), true));
    assert_eq!(migrate.credentials, Some((Some(&b"keys"[..]), &b"auth"[..])));
    assert_eq!(migrate.keys, 11..13);
}

#[test]
fn the_keys_are_found_wherever_they_are() {
    let spec = lookup(b"migrate").expect("it is in the table");
    let keys = |line: &str| {
        spec.keys(&words(line))
            .iter()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("MIGRATE h 1 k 0 9 AUTH KEYS"), ["k"]);
    assert_eq!(keys("MIGRATE h 1 '' 0 9 AUTH KEYS KEYS a b"), ["a", "b"]);
    assert_eq!(keys("MIGRATE h 1 k 0 9 KEYS a"), Vec::<String>::new(), "it is refused");
}

#[test]
fn what_makes_no_sense_is_refused_and_its_secrets_are_known_all_the_same() {
    for (line, error) in [
        ("MIGRATE h 1 k 0 9 AUTH", "ERR syntax error"),
        ("MIGRATE h 1 k 0 9 AUTH2 user", "ERR syntax error"),
        ("MIGRATE h 1 k 0 9 nonsense", "ERR syntax error"),
        ("MIGRATE h 1 k zero 9", "ERR value is not an integer or out of range"),
        ("MIGRATE h 1 k 0 soon", "ERR value is not an integer or out of range"),
    ] {
        let line = words(line);
        assert_eq!(Migrate::parse(&line).expect_err("it makes no sense").text(), error);
    }
    for (line, hidden) in [
        ("MIGRATE h 1 k 0 9", 0..0),
        ("MIGRATE h 1 k 0 9 AUTH x", 7..8),
        ("MIGRATE h 1 k 0 9 COPY AUTH2 x y", 8..10),
        ("MIGRATE h 1 k 0 9 AUTH2 x", 7..8),
        ("MIGRATE h 1 '' 0 9 KEYS auth x", 0..0),
    ] {
        assert_eq!(secrets(&words(line)), hidden, "{line}");
    }
}
