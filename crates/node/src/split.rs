//! Commands that their keys split: each shard carries out the words about its own keys, together with the others or not at all, and the
//! replies are merged into one. And how the replies of any command to several shards become one.

use crate::locking::Manner;
use crate::op::{Invocation, Transaction, Words};
use crate::scatter;
use base::GroupId;
use base::database::ScanPosition;
use command::Spec;
use resp::{Protocol, Writer};
use routing::SlotMap;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A command, split by its keys.
#[derive(Debug)]
pub(crate) struct Split<'a> {
    /// Each shard's words, in order of the shards.
    pub parts: BTreeMap<GroupId, Vec<Cow<'a, [u8]>>>,
    /// How their replies become one.
    pub merge: Merge,
}

/// How the replies of several shards become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// All say the same, or one says why not.
    Same,
    /// They are counts, to be added.
    Sum,
    /// They are arrays: of which shard the next element is.
    Elements(Vec<GroupId>),
    /// They are parts of a command over all shards; of SCAN, where it goes on behind the shard that was asked.
    Scattered(Option<ScanPosition>),
}

impl<'a> Split<'a> {
    /// Splits a command, if it can be, and its words are in order; one that isn't in order a shard refuses as well.
    pub fn of(spec: &Spec, words: &[&'a [u8]], slots: &SlotMap) -> Option<Self> {
        let mut split = Self { parts: BTreeMap::new(), merge: Merge::Same };
        let name = Cow::Borrowed(words[0]);
        match spec.name {
            "mset" | "msetnx" if words.len() % 2 == 1 => {
                for pair in words[1..].chunks(2) {
                    let part = split.part(slots, pair[0], || vec![name.clone()]);
                    part.extend(pair.iter().map(|word| Cow::Borrowed(*word)));
                }
            }
            "msetex" => {
                let count = resp::number::parse_integer(words[1]).and_then(|n| usize::try_from(n).ok())?;
                let end = count.checked_mul(2)?.checked_add(2).filter(|end| *end <= words.len())?;
                for pair in words[2..end].chunks(2) {
                    let part = split.part(slots, pair[0], || vec![name.clone(), Cow::Borrowed(b"")]);
                    part.extend(pair.iter().map(|word| Cow::Borrowed(*word)));
                }
                for part in split.parts.values_mut() {
                    part[1] = Cow::Owned(((part.len() - 2) / 2).to_string().into_bytes());
                    part.extend(words[end..].iter().map(|word| Cow::Borrowed(*word)));
                }
            }
            "mget" | "del" | "unlink" | "exists" | "touch" => {
                let mut places = Vec::new();
                for key in &words[1..] {
                    split.part(slots, key, || vec![name.clone()]).push(Cow::Borrowed(key));
                    places.push(slots.group_of_key(key));
                }
                split.merge = if spec.name == "mget" { Merge::Elements(places) } else { Merge::Sum };
            }
            _ => return None,
        }
        Some(split)
    }

    fn part(
        &mut self,
        slots: &SlotMap,
        key: &[u8],
        begin: impl FnOnce() -> Vec<Cow<'a, [u8]>>,
    ) -> &mut Vec<Cow<'a, [u8]>> {
        self.parts.entry(slots.group_of_key(key)).or_insert_with(begin)
    }

    /// What becomes of the whole if a shard can't do its part.
    pub fn manner(spec: &Spec) -> Manner {
        if matches!(spec.name, "msetnx" | "msetex") { Manner::AllOrNone } else { Manner::Each }
    }

    /// Whether a command of this name is split by its keys.
    pub fn splits(spec: &Spec) -> bool {
        matches!(spec.name, "mset" | "msetnx" | "msetex" | "mget" | "del" | "unlink" | "exists" | "touch")
    }

    /// Adds each shard's command to what that shard has to do.
    pub fn add_to<'b>(
        &'b self,
        invocation: &Invocation<'_>,
        transactions: &mut BTreeMap<GroupId, Transaction<'b>>,
    ) {
        for (group, words) in &self.parts {
            let words: Words<'b> = words.iter().map(|word| &**word).collect();
            let Invocation { spec, database, target, protocol, .. } = *invocation;
            let part = Invocation { spec, database, target, protocol, words };
            transactions.entry(*group).or_default().commands.push(part);
        }
    }
}

/// The replies of shards that are still to be given to commands.
#[derive(Debug)]
pub(crate) struct Replies<'a>(pub BTreeMap<GroupId, &'a [u8]>);

/// What is answered in the place of what can't be read.
const UNREADABLE: &[u8] = b"-ERR a node of another release answered something unknown\r\n";

impl<'a> Replies<'a> {
    /// The next reply of a shard.
    pub fn next(&mut self, group: GroupId) -> &'a [u8] {
        let Some(rest) = self.0.get_mut(&group) else { return UNREADABLE };
        let (reply, after) = next_reply(rest);
        *rest = after;
        reply
    }
}

/// One reply of a transaction's outcome, and what is behind it.
pub(crate) fn next_reply(outcome: &[u8]) -> (&[u8], &[u8]) {
    let split = outcome
        .split_first_chunk::<4>()
        .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
    // A shard of another release might answer less than it was asked.
    split.unwrap_or((UNREADABLE, b""))
}

/// One reply out of those of several shards, in the order in which they were asked.
pub(crate) fn merge(
    merge: &Merge,
    spec: &Spec,
    protocol: Protocol,
    replies: &[(GroupId, &[u8])],
    seed: u64,
    to: &mut Vec<u8>,
) {
    let is_scattered = matches!(merge, Merge::Scattered(_));
    if let Some((_, error)) = replies.iter().find(|(_, reply)| !is_scattered && reply.first() == Some(&b'-'))
    {
        to.extend_from_slice(error);
        return;
    }
    let merged = match merge {
        Merge::Same => replies.first().map(|(_, reply)| reply.to_vec()),
        Merge::Sum => {
            let sum: Option<i64> = replies.iter().map(|(_, reply)| integer(reply)).sum();
            sum.map(|sum| format!(":{sum}\r\n").into_bytes())
        }
        Merge::Elements(places) => elements(places, replies),
        Merge::Scattered(after) => {
            let mut reply = Vec::new();
            let merged = scatter::merge_parts(spec, protocol, replies, *after, seed, &mut reply);
            merged.map(|()| reply)
        }
    };
    match merged {
        Some(reply) => to.extend_from_slice(&reply),
        None => to.extend_from_slice(UNREADABLE),
    }
}

fn integer(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    resp::number::parse_integer(digits)
}

/// Puts the elements of several arrays in the order of the keys that they belong to.
fn elements(places: &[GroupId], replies: &[(GroupId, &[u8])]) -> Option<Vec<u8>> {
    let mut rest = BTreeMap::new();
    for (group, reply) in replies {
        let (count, elements) = line(reply)?;
        count.strip_prefix(b"*")?;
        rest.insert(*group, elements);
    }
    let mut merged = Vec::new();
    Writer::new(&mut merged, Protocol::Resp2).array(places.len());
    for group in places {
        let (element, after) = element(rest.get(group)?)?;
        merged.extend_from_slice(element);
        rest.insert(*group, after);
    }
    Some(merged)
}

/// The first element, a string or null, and what is behind it.
fn element(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, _) = line(reply)?;
    let length = match head.strip_prefix(b"$").and_then(resp::number::parse_integer) {
        Some(length) if length >= 0 => head.len() + 2 + usize::try_from(length).ok()? + 2,
        _ => head.len() + 2,
    };
    reply.split_at_checked(length)
}

fn line(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = reply.windows(2).position(|bytes| bytes == b"\r\n")?;
    Some((&reply[..end], &reply[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> SlotMap {
        SlotMap::even(1, 4)
    }

    fn split(words: &[&str]) -> Option<Vec<String>> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let spec = command::resolve(&words).expect("there is such a command");
        let slots = slots();
        let split = Split::of(spec, &words, &slots)?;
        let text = |words: &Vec<Cow<'_, [u8]>>| {
            words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
        };
        Some(split.parts.values().map(text).collect())
    }

    #[test]
    fn every_shard_gets_the_words_about_its_keys() {
        let parts = split(&["MSETEX", "3", "a", "1", "b", "2", "{a}c", "3", "NX", "EX", "9"]);
        let parts = parts.expect("it is split");
        assert!(parts.contains(&"MSETEX 2 a 1 {a}c 3 NX EX 9".to_string()), "{parts:?}");
        assert!(parts.contains(&"MSETEX 1 b 2 NX EX 9".to_string()), "{parts:?}");
        assert_eq!(split(&["MSET", "a", "1", "b"]), None, "a shard refuses it");
        assert_eq!(split(&["MSETEX", "9", "a", "1"]), None);
        assert_eq!(split(&["RENAME", "a", "b"]), None);
        let parts = split(&["DEL", "a", "b", "a"]).expect("it is split");
        assert!(parts.contains(&"DEL a a".to_string()), "{parts:?}");
    }

    #[test]
    fn elements_come_in_the_order_of_the_keys() {
        let (a, b) = (GroupId(1), GroupId(2));
        let replies: [(GroupId, &[u8]); 2] =
            [(a, b"*2\r\n$4\r\n\r\n$1\r\n$-1\r\n"), (b, b"*1\r\n$0\r\n\r\n")];
        let merged = elements(&[a, b, a], &replies).expect("they can be merged");
        assert_eq!(merged, b"*3\r\n$4\r\n\r\n$1\r\n$0\r\n\r\n$-1\r\n");
        assert_eq!(elements(&[a, b, b], &replies), None, "there is one too few");
        assert_eq!(elements(&[a], &[(a, b"*1\r\n$9\r\nshort\r\n")]), None);
    }

    #[test]
    fn an_error_of_one_shard_is_the_answer() {
        let spec = command::lookup(b"del").expect("there is DEL");
        let answer = |replies: &[(GroupId, &[u8])]| {
            let mut to = Vec::new();
            merge(&Merge::Sum, spec, Protocol::Resp2, replies, 0, &mut to);
            String::from_utf8(to).expect("text")
        };
        assert_eq!(answer(&[(GroupId(1), b":2\r\n"), (GroupId(2), b":3\r\n")]), ":5\r\n");
        assert_eq!(answer(&[(GroupId(1), b":2\r\n"), (GroupId(2), b"-ERR no\r\n")]), "-ERR no\r\n");
        assert_eq!(answer(&[(GroupId(1), b"+what\r\n")]).as_bytes(), UNREADABLE, "nothing is made up");
    }
}
