//! Commands as bytes, and replies as what they say: the client's half of the protocol.

use crate::history::{Action, Condition, KeyIndex, Lifetime, Outcome, QUEUES, QueueIndex, Reply};
use base::Rng;
use node::resp::Frame;

/// The name of one key of a family. The braces make all of them share a slot.
pub fn family_key(family: usize, key: KeyIndex) -> Vec<u8> {
    format!("{{f{family}}}{}", char::from(b'a' + key)).into_bytes()
}

/// The name of a key of the ledger.
pub fn ledger_key(number: u32) -> Vec<u8> {
    format!("l:{number}").into_bytes()
}

/// The name of a key with a time to live.
pub fn mortal_key(number: usize) -> Vec<u8> {
    format!("m:{number}").into_bytes()
}

/// The name of a queue. The braces make all of them share a slot.
pub fn queue_key(queue: QueueIndex, apart: bool) -> Vec<u8> {
    if apart { format!("q{queue}") } else { format!("{{q}}{queue}") }.into_bytes()
}

/// The names of two accounts, which share a slot.
pub fn account_keys(pair: usize) -> [Vec<u8>; 2] {
    ["a", "b"].map(|name| format!("{{t{pair}}}{name}").into_bytes())
}

/// The name of a list that grows. Each has a slot of its own.
pub fn list_key(list: usize) -> Vec<u8> {
    format!("g:{list}").into_bytes()
}

/// The names of two accounts that lie on two shards, however many there are.
pub fn spread_keys(pair: usize) -> [Vec<u8>; 2] {
    let key = |salt: u32| format!("s{pair}.{salt}").into_bytes();
    let first = base::slot_of(&key(0)).number();
    // No shard has more than half of the slots.
    let is_far = |salt: &u32| base::slot_of(&key(*salt)).number().abs_diff(first) >= base::Slot::COUNT / 2;
    let other = (1..10_000).find(is_far).unwrap_or(1);
    [key(0), key(other)]
}

/// The queue of this name.
pub fn queue_of(key: &[u8]) -> Option<QueueIndex> {
    (0..QUEUES as QueueIndex).find(|&queue| [true, false].iter().any(|apart| queue_key(queue, *apart) == key))
}

/// The counter that all clients share.
pub const COUNTER: &[u8] = b"counter";
/// The key to which all clients append.
pub const PIECES: &[u8] = b"pieces";

/// What a key's name says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// A key of this family.
    Family(usize),
    /// The ledger's key of this number.
    Ledger(u32),
    /// The mortal key of this number.
    Mortal(usize),
    /// One of this pair of accounts.
    Account(usize),
    /// The list of this number.
    List(usize),
    /// One of this pair of accounts on two shards.
    Spread(usize),
    /// One of the two shared by all, or a queue.
    Shared,
    /// Nobody writes such keys.
    Stranger,
}

/// Reads a key's name.
pub fn recognize(key: &[u8]) -> Known {
    if key == COUNTER || key == PIECES || queue_of(key).is_some() {
        return Known::Shared;
    }
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    match key {
        [b'l', b':', digits @ ..] => number(digits).map_or(Known::Stranger, Known::Ledger),
        [b'm', b':', digits @ ..] => {
            number(digits).map_or(Known::Stranger, |number: u32| Known::Mortal(number as usize))
        }
        [b'g', b':', digits @ ..] => {
            number(digits).map_or(Known::Stranger, |list: u32| Known::List(list as usize))
        }
        [b'{', b't', digits @ .., b'}', b'a'..=b'b'] => {
            number(digits).map_or(Known::Stranger, |pair: u32| Known::Account(pair as usize))
        }
        [b's', rest @ ..] => {
            let digits = rest.split(|byte| *byte == b'.').next().unwrap_or_default();
            number(digits).map_or(Known::Stranger, |pair: u32| Known::Spread(pair as usize))
        }
        [b'{', b'f', digits @ .., b'}', b'a'..=b'c'] => {
            number(digits).map_or(Known::Stranger, |family: u32| Known::Family(family as usize))
        }
        _ => Known::Stranger,
    }
}

/// Appends a command.
pub fn put(to: &mut Vec<u8>, words: &[&[u8]]) {
    to.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        to.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        to.extend_from_slice(word);
        to.extend_from_slice(b"\r\n");
    }
}

/// Appends a command on a family. Where Redis has several ways to say it, `rng` takes one.
pub fn put_action(to: &mut Vec<u8>, family: usize, action: &Action, rng: &mut Rng) {
    let words = words(family, action, rng);
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    put(to, &words);
}

/// A command on a family, as a person would type it.
pub fn text(family: usize, action: &Action) -> String {
    let words = words(family, action, &mut Rng::new(0));
    words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

fn words(family: usize, action: &Action, rng: &mut Rng) -> Vec<Vec<u8>> {
    let key = |key: &KeyIndex| family_key(family, *key);
    let word = |text: &str| text.as_bytes().to_vec();
    let number = |number: u64| number.to_string().into_bytes();
    let keys = |name: &str, keys: &[KeyIndex]| {
        std::iter::once(word(name)).chain(keys.iter().map(|&key| family_key(family, key))).collect()
    };
    let pairs = |name: &str, pairs: &[(KeyIndex, Vec<u8>)]| {
        let pairs = pairs.iter().flat_map(|(key, value)| [family_key(family, *key), value.clone()]);
        std::iter::once(word(name)).chain(pairs).collect()
    };
    match action {
        Action::Get(k) => vec![word("GET"), key(k)],
        Action::Set { key, value, condition, get, lifetime } => {
            set_words(family_key(family, *key), value, *condition, *get, *lifetime, rng)
        }
        Action::Append(k, piece) => vec![word("APPEND"), key(k), piece.clone()],
        Action::Length(k) => vec![word("STRLEN"), key(k)],
        Action::Increase(k, 1) if rng.chance(1, 2) => vec![word("INCR"), key(k)],
        Action::Increase(k, by) if *by < 0 => vec![word("DECRBY"), key(k), number(by.unsigned_abs())],
        Action::Increase(k, by) => vec![word("INCRBY"), key(k), number(by.unsigned_abs())],
        Action::Delete(which) => keys(if rng.chance(1, 2) { "DEL" } else { "UNLINK" }, which),
        Action::Exists(which) => keys(if rng.chance(1, 2) { "EXISTS" } else { "TOUCH" }, which),
        Action::GetDelete(k) => vec![word("GETDEL"), key(k)],
        Action::GetExpire(k, None) => vec![word("GETEX"), key(k), word("PERSIST")],
        Action::GetExpire(k, Some(millis)) => vec![word("GETEX"), key(k), word("PX"), number(*millis)],
        Action::GetMany(which) => keys("MGET", which),
        Action::SetMany(values) => pairs("MSET", values),
        Action::SetManyAbsent(values) => pairs("MSETNX", values),
        Action::Rename(from, to) => vec![word("RENAME"), key(from), key(to)],
        Action::Copy(from, to, false) => vec![word("COPY"), key(from), key(to)],
        Action::Copy(from, to, true) => vec![word("COPY"), key(from), key(to), word("REPLACE")],
        Action::Expire(k, millis) => vec![word("PEXPIRE"), key(k), number(*millis)],
        Action::Persist(k) => vec![word("PERSIST"), key(k)],
        Action::TimeToLive(k) => vec![word("PTTL"), key(k)],
    }
}

fn set_words(
    key: Vec<u8>,
    value: &[u8],
    condition: Condition,
    get: bool,
    lifetime: Lifetime,
    rng: &mut Rng,
) -> Vec<Vec<u8>> {
    let plain = condition == Condition::Always && lifetime == Lifetime::Forever;
    if plain && get && rng.chance(1, 2) {
        return vec![b"GETSET".to_vec(), key, value.to_vec()];
    }
    let mut words = vec![b"SET".to_vec(), key, value.to_vec()];
    match condition {
        Condition::Always => {}
        Condition::Absent => words.push(b"NX".to_vec()),
        Condition::Present => words.push(b"XX".to_vec()),
    }
    if get {
        words.push(b"GET".to_vec());
    }
    match lifetime {
        Lifetime::Forever => {}
        Lifetime::Keep => words.push(b"KEEPTTL".to_vec()),
        Lifetime::Millis(millis) => words.extend([b"PX".to_vec(), millis.to_string().into_bytes()]),
    }
    words
}

/// What a reply says about its command; an error's first word tells what may have happened (DESIGN.md, section 1).
pub fn outcome_of(frame: Frame) -> Outcome {
    match frame {
        Frame::Error(text) => {
            let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
            match word {
                b"NOQUORUM" | b"TRYAGAIN" | b"LOADING" => Outcome::Refused,
                b"UNKNOWN" => Outcome::Unknown,
                _ => Outcome::Done(Reply::Error(String::from_utf8_lossy(&text).into_owned())),
            }
        }
        other => Outcome::Done(reply_of(other)),
    }
}

fn reply_of(frame: Frame) -> Reply {
    match frame {
        Frame::Simple(text) if text == b"OK" => Reply::Ok,
        Frame::Simple(value) | Frame::Bulk(value) => Reply::Value(value),
        Frame::Integer(number) => Reply::Integer(number),
        Frame::Null | Frame::NullArray => Reply::Nil,
        Frame::Array(frames) if frames.iter().all(|frame| matches!(frame, Frame::Bulk(_) | Frame::Null)) => {
            let value = |frame| if let Frame::Bulk(value) = frame { Some(value) } else { None };
            Reply::Values(frames.into_iter().map(value).collect())
        }
        other => Reply::Error(format!("a reply that fits no command here: {other:?}")),
    }
}

/// A reply to SCAN: the cursor and the keys.
pub fn scan_reply(frame: &Frame) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let [cursor, keys] = frame.elements()? else { return None };
    Some((cursor.as_bytes()?.to_vec(), keys_reply(keys)?))
}

/// A reply to KEYS.
pub fn keys_reply(frame: &Frame) -> Option<Vec<Vec<u8>>> {
    frame.elements()?.iter().map(|key| key.as_bytes().map(<[u8]>::to_vec)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Known, family_key, ledger_key, outcome_of, recognize};
    use crate::history::{Outcome, Reply};
    use node::resp::Frame;

    #[test]
    fn keys_are_known_by_their_names() {
        assert_eq!(recognize(&family_key(12, 2)), Known::Family(12));
        assert_eq!(recognize(&ledger_key(7)), Known::Ledger(7));
        assert_eq!(recognize(&super::list_key(3)), Known::List(3));
        assert_eq!(recognize(super::COUNTER), Known::Shared);
        assert_eq!(recognize(b"l:x"), Known::Stranger);
        assert_eq!(recognize(b"{f1}z"), Known::Stranger);
    }

    #[test]
    fn the_first_word_of_an_error_says_what_may_have_happened() {
        let error = |text: &str| outcome_of(Frame::Error(text.into()));
        assert_eq!(error("NOQUORUM shard 1 has no majority here"), Outcome::Refused);
        assert_eq!(error("LOADING"), Outcome::Refused);
        assert_eq!(error("UNKNOWN the leader was lost"), Outcome::Unknown);
        assert_eq!(error("ERR no such key"), Outcome::Done(Reply::Error("ERR no such key".into())));
    }
}
