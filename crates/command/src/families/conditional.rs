//! Strings under conditions, as Redis 8.4 has them: several keys set at once with one life, a key deleted only if it holds
//! what is expected, and the digest by which to expect a long value.

use super::strings::{Setting, put};
use crate::error::Error;
use crate::execute::Context;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, Place, Spec};
use crate::words::{integer, is};
use base::database::EventClass;
use twox_hash::XxHash3_64;

const fn string(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::String, Place::Keys)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    string(17, "msetex", -4)
        .flags(&[F::WRITE, F::DENYOOM, F::MOVABLEKEYS])
        .keys_at(&[spec::counted(1, 2, &[K::OW, K::UPDATE])])
        .docs(
            "8.4.0",
            "O(N) for N keys",
            "Makes several keys hold strings, all at once, with one time to live.",
        )
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .does(msetex),
    string(18, "delex", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(&[spec::at(1, 0, 1, &[K::RM, K::DELETE])])
        .docs("8.4.0", "O(1), or O(N) for N bytes compared", "Deletes a key, if it holds what is expected.")
        .does(delex),
    string(19, "digest", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_READ)
        .docs("8.4.0", "O(N) for N bytes", "Answers the XXH3 digest of a string, as DELEX takes it.")
        .does(digest),
];

/// MSETEX numkeys key value … [NX | XX] [EX … | PX … | EXAT … | PXAT … | KEEPTTL].
fn msetex(c: &mut Context<'_>) -> Result<(), Error> {
    const NUMBER: Error = Error::Other("ERR invalid numkeys value");
    let count = integer(c.args[1]).map_err(|_| NUMBER)?;
    let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(NUMBER)?;
    let words = count.checked_mul(2).ok_or(NUMBER)?;
    let pairs = c.args[2..].get(..words).ok_or(Error::Arity("msetex"))?;
    let (pairs, _) = pairs.as_chunks::<2>();
    let (mut options, mut at) = (Setting::default(), 2 + words);
    while at < c.args.len() {
        at = options.take(c.args, at)?.ok_or(Error::Syntax)?;
    }
    let expiry = options.life.expiry(c.db.now(), "msetex")?;
    let does = pairs.iter().all(|[key, _]| options.condition.holds(|| c.db.kind(key).is_some()));
    if does {
        for [key, value] in pairs {
            put(c, key, value, expiry);
        }
    }
    c.reply.integer(i64::from(does));
    Ok(())
}

/// DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest].
fn delex(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let does = match &c.args[2..] {
        [] => c.db.kind(key).is_some(),
        [condition, operand] => {
            let value = c.db.string(key)?;
            let (by_digest, equal) = match () {
                () if is(condition, "ifeq") => (false, true),
                () if is(condition, "ifne") => (false, false),
                () if is(condition, "ifdeq") => (true, true),
                () if is(condition, "ifdne") => (true, false),
                () => return Err(Error::Other("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")),
            };
            if by_digest && (operand.len() != DIGEST_DIGITS || !operand.iter().all(u8::is_ascii_hexdigit)) {
                return Err(Error::Other("ERR digest must be exactly 16 hexadecimal characters"));
            }
            value.is_some_and(|value| {
                let same = if by_digest {
                    digest_of(value).eq_ignore_ascii_case(operand)
                } else {
                    value == *operand
                };
                same == equal
            })
        }
        _ => return Err(Error::Arity("delex")),
    };
    if does {
        c.db.remove(key);
        c.db.notify(EventClass::Generic, "del", key);
    }
    c.reply.integer(i64::from(does));
    Ok(())
}

fn digest(c: &mut Context<'_>) -> Result<(), Error> {
    let digest = c.db.string(c.args[1])?.map(digest_of);
    c.reply.bulk_or_null(digest.as_ref().map(|digest| &digest[..]));
    Ok(())
}

const DIGEST_DIGITS: usize = 16;

/// XXH3's 64 bits with no seed, as hexadecimal digits.
fn digest_of(value: &[u8]) -> Vec<u8> {
    format!("{:016x}", XxHash3_64::oneshot(value)).into_bytes()
}

#[cfg(test)]
mod tests {
    use crate::model::Model;

    #[test]
    fn several_keys_get_one_life() {
        let mut model = Model::new();
        model.says(&[
            ("MSETEX 2 a 1 b 2 EX 10", ":1"),
            ("MGET a b", "*2 $1 1 $1 2"),
            ("TTL a", ":10"),
            ("TTL b", ":10"),
            ("MSETEX 2 a 3 c 4 NX", ":0"),
            ("MSETEX 2 a 3 c 4 XX", ":0"),
            ("GET a", "$1 1"),
            ("MSETEX 1 a 3 XX KEEPTTL", ":1"),
            ("TTL a", ":10"),
            ("MSETEX 2 a 3 b 4 PX 5000 XX", ":1"),
            ("PTTL b", ":5000"),
            ("MSETEX 1 c 5 NX", ":1"),
            ("TTL c", ":-1"),
            ("MSETEX 0 a 1", "-ERR invalid numkeys value"),
            ("MSETEX x a 1", "-ERR invalid numkeys value"),
            ("MSETEX 9223372036854775807 a 1", "-ERR wrong number of arguments for 'msetex' command"),
            ("MSETEX 2 a 1", "-ERR wrong number of arguments for 'msetex' command"),
            ("MSETEX 1 a 1 NX XX", "-ERR syntax error"),
            ("MSETEX 1 a 1 EX 1 PX 1", "-ERR syntax error"),
            ("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command"),
        ]);
    }

    /// The digests are those of the reference implementation of XXH3.
    #[test]
    fn a_key_goes_only_if_it_holds_what_is_expected() {
        let mut model = Model::new();
        model.put_list(b"list");
        model.says(&[
            ("SET k value", "+OK"),
            ("DELEX k IFEQ other", ":0"),
            ("DELEX k IFNE value", ":0"),
            ("DELEX k IFNE other", ":1"),
            ("DELEX k IFNE other", ":0"),
            ("DELEX k", ":0"),
            ("DIGEST k", "$-1"),
            ("SET k Hello", "+OK"),
            ("DELEX k IFEQ Hello", ":1"),
            ("SET k abc", "+OK"),
            ("DIGEST k", "$16 78af5f94892f3950"),
            ("DELEX k IFDNE 78AF5F94892F3950", ":0"),
            ("DELEX k IFDEQ 0000000000000000", ":0"),
            ("DELEX k IFDEQ 78AF5F94892F3950", ":1"),
            ("DELEX k IFDEQ 78af", "-ERR digest must be exactly 16 hexadecimal characters"),
            ("DELEX k LIKE a", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
            ("DELEX k IFEQ", "-ERR wrong number of arguments for 'delex' command"),
            ("DELEX list IFEQ a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("DIGEST list", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("DELEX list", ":1"),
        ]);
    }
}
