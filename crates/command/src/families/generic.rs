//! Keys, whatever they hold.

use crate::error::Error;
use crate::execute::Context;
use crate::spec::{self, Categories, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};
use crate::words::{database_index, integer, is};
use base::database::{EventClass, Expiry, KeyUsage};
use base::{DatabaseIndex, UnixMillis};

const MULTI_SHARD_SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

const fn generic(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Generic, Place::Keys).category(Categories::KEYSPACE)
}

/// Every word is a key.
const fn all_keys(flags: &[K]) -> KeySpec {
    spec::at(1, -1, 1, flags)
}

const SECOND_KEY_LOOKED_AT: &[KeySpec] = &[spec::at(2, 0, 1, &[K::RO])];

const fn object(id: u16, name: &'static str) -> Spec {
    generic(id, name, 3)
        .flags(&[F::READONLY])
        .keys_at(SECOND_KEY_LOOKED_AT)
        .tips(&["nondeterministic_output"])
}

/// The family's part of the table, except what concerns the whole database.
pub(crate) const SPECS: &[Spec] = &[
    generic(64, "del", -2)
        .flags(&[F::WRITE])
        .keys_at(&[all_keys(&[K::RM, K::DELETE])])
        .docs("1.0.0", "O(N) for N keys and what they hold", "Deletes keys.")
        .tips(MULTI_SHARD_SUM)
        .does(del),
    generic(65, "unlink", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(&[all_keys(&[K::RM, K::DELETE])])
        .docs("4.0.0", "O(N) for N keys", "Deletes keys.")
        .tips(MULTI_SHARD_SUM)
        .does(del),
    generic(66, "exists", -2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(&[all_keys(&[K::RO])])
        .docs("1.0.0", "O(N) for N keys", "Counts which of the keys are there.")
        .tips(MULTI_SHARD_SUM)
        .does(exists),
    generic(67, "type", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("1.0.0", "O(1)", "Answers what type of value a key holds.")
        .does(kind),
    generic(68, "rename", 3)
        .flags(&[F::WRITE])
        .keys_at(&[spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::DELETE]), spec::at(2, 0, 1, &[K::OW, K::UPDATE])])
        .docs("1.0.0", "O(1)", "Gives a value another key, whatever that held.")
        .does(rename),
    generic(69, "renamenx", 3)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(&[spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::DELETE]), spec::at(2, 0, 1, &[K::OW, K::INSERT])])
        .docs("1.0.0", "O(1)", "Gives a value another key, if that holds nothing.")
        .does(renamenx),
    generic(70, "copy", -3)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[spec::at(1, 0, 1, &[K::RO, K::ACCESS]), spec::at(2, 0, 1, &[K::OW, K::UPDATE])])
        .docs("6.2.0", "O(N) for a value of size N", "Copies a value to another key or database.")
        .does(copy),
    generic(71, "move", 3)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("1.0.0", "O(1)", "Moves a key to another database, if it isn't there.")
        .does(move_key),
    generic(72, "touch", -2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(&[all_keys(&[K::RO])])
        .docs("3.2.1", "O(N) for N keys", "Notes that keys were used, and counts those that are there.")
        .tips(MULTI_SHARD_SUM)
        .does(touch),
    generic(73, "dump", 2)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("2.6.0", "O(N) for a value of size N", "Answers a value in a form that RESTORE takes.")
        .tips(&["nondeterministic_output"])
        .does(dump),
    generic(74, "restore", -4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_REPLACED)
        .category(Categories::DANGEROUS)
        .docs("2.6.0", "O(N) for a value of size N", "Makes a key hold what DUMP answered.")
        .does(restore),
    generic(865, "restore-asking", -4)
        .flags(&[F::WRITE, F::DENYOOM, F::ASKING])
        .keys_at(spec::KEY_REPLACED)
        .category(Categories::DANGEROUS)
        .docs("3.0.0", "O(N) for a value of size N", "RESTORE, as servers of a cluster send it.")
        .does(restore),
    Spec::new(75, "object", -2, Group::Generic, Place::Node)
        .docs("2.2.3", "Depends on the subcommand.", "Answers what is known of a key beside its value.")
        .has(&[
            object(76, "object|encoding")
                .docs("2.2.3", "O(1)", "Answers how a value is kept in memory.")
                .does(object_encoding),
            object(77, "object|idletime")
                .docs("2.2.3", "O(1)", "Answers for how many seconds a key was not used.")
                .does(object_idletime),
            object(78, "object|refcount")
                .docs("2.2.3", "O(1)", "Answers how many keys share the value: always one.")
                .does(object_refcount),
            object(79, "object|freq")
                .docs("4.0.0", "O(1)", "Answers how often a key is used, where that is counted.")
                .does(object_freq),
            Spec::new(80, "object|help", 2, Group::Generic, Place::Node)
                .category(Categories::KEYSPACE)
                .flags(&[F::LOADING, F::STALE])
                .docs("6.2.0", "O(1)", "Explains the subcommands."),
        ]),
];

fn del(c: &mut Context<'_>) -> Result<(), Error> {
    let mut gone = 0;
    for key in &c.args[1..] {
        if c.db.remove(key) {
            c.db.notify(EventClass::Generic, "del", key);
            gone += 1;
        }
    }
    c.reply.integer(gone);
    Ok(())
}

fn exists(c: &mut Context<'_>) -> Result<(), Error> {
    let there = c.args[1..].iter().filter(|key| c.db.kind(key).is_some()).count();
    c.reply.count(there as u64);
    Ok(())
}

fn kind(c: &mut Context<'_>) -> Result<(), Error> {
    c.reply.simple(c.db.kind(c.args[1]).map_or("none", |kind| kind.name()));
    Ok(())
}

fn rename(c: &mut Context<'_>) -> Result<(), Error> {
    let (from, to) = (c.args[1], c.args[2]);
    if c.db.kind(from).is_none() {
        return Err(Error::NoSuchKey);
    }
    if from != to {
        rename_and_tell(c, from, to);
    }
    c.reply.ok();
    Ok(())
}

fn renamenx(c: &mut Context<'_>) -> Result<(), Error> {
    let (from, to) = (c.args[1], c.args[2]);
    if c.db.kind(from).is_none() {
        return Err(Error::NoSuchKey);
    }
    let free = c.db.kind(to).is_none();
    if free {
        rename_and_tell(c, from, to);
    }
    c.reply.integer(i64::from(free));
    Ok(())
}

fn rename_and_tell(c: &mut Context<'_>, from: &[u8], to: &[u8]) {
    c.db.rename(from, to);
    c.db.notify(EventClass::Generic, "rename_from", from);
    c.db.notify(EventClass::Generic, "rename_to", to);
}

/// The options of COPY.
pub(crate) struct CopyOptions {
    /// DB.
    pub(crate) database: Option<DatabaseIndex>,
    replace: bool,
}

/// Reads the options of COPY.
pub(crate) fn copy_options(args: &[&[u8]]) -> Result<CopyOptions, Error> {
    let mut options = CopyOptions { database: None, replace: false };
    let mut rest = &args[3..];
    loop {
        rest = match rest {
            [] => return Ok(options),
            [word, tail @ ..] if is(word, "replace") => {
                options.replace = true;
                tail
            }
            [word, index, tail @ ..] if is(word, "db") => {
                options.database = Some(database_index(index)?);
                tail
            }
            _ => return Err(Error::Syntax),
        };
    }
}

fn copy(c: &mut Context<'_>) -> Result<(), Error> {
    let (from, to) = (c.args[1], c.args[2]);
    let options = copy_options(c.args)?;
    let elsewhere = c.target.filter(|target| *target != c.database);
    if elsewhere.is_none() && from == to {
        return Err(Error::SameObject);
    }
    let taken = match elsewhere {
        Some(database) => c.db.exists_in(database, to),
        None => c.db.kind(to).is_some(),
    };
    let into = elsewhere.unwrap_or(c.database);
    let does = (options.replace || !taken) && c.db.copy(from, into, to);
    if does {
        c.db.notify_in(into, EventClass::Generic, "copy_to", to);
    }
    c.reply.integer(i64::from(does));
    Ok(())
}

fn move_key(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let Some(database) = c.target.filter(|target| *target != c.database) else {
        return Err(Error::SameObject);
    };
    let does = !c.db.exists_in(database, key) && c.db.copy(key, database, key);
    if does {
        c.db.remove(key);
        c.db.notify(EventClass::Generic, "move_from", key);
        c.db.notify_in(database, EventClass::Generic, "move_to", key);
    }
    c.reply.integer(i64::from(does));
    Ok(())
}

fn touch(c: &mut Context<'_>) -> Result<(), Error> {
    let mut there = 0;
    for key in &c.args[1..] {
        there += i64::from(c.db.touch(key));
    }
    c.reply.integer(there);
    Ok(())
}

fn dump(c: &mut Context<'_>) -> Result<(), Error> {
    c.reply.bulk_or_null(c.db.dump(c.args[1]).as_deref());
    Ok(())
}

/// The options of RESTORE.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    idle: Option<i64>,
    frequency: Option<i64>,
}

fn restore_options(args: &[&[u8]]) -> Result<RestoreOptions, Error> {
    let mut options = RestoreOptions::default();
    let mut rest = &args[4..];
    loop {
        rest = match rest {
            [] => return Ok(options),
            [word, tail @ ..] if is(word, "replace") => {
                options.replace = true;
                tail
            }
            [word, tail @ ..] if is(word, "absttl") => {
                options.absolute = true;
                tail
            }
            [word, value, tail @ ..] if is(word, "idletime") && options.frequency.is_none() => {
                let idle = integer(value)?;
                if idle < 0 {
                    return Err(Error::Other("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle = Some(idle);
                tail
            }
            [word, value, tail @ ..] if is(word, "freq") && options.idle.is_none() => {
                let frequency = integer(value)?;
                if !(0..=255).contains(&frequency) {
                    return Err(Error::Other("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                options.frequency = Some(frequency);
                tail
            }
            _ => return Err(Error::Syntax),
        };
    }
}

fn restore(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, dump) = (c.args[1], c.args[3]);
    let options = restore_options(c.args)?;
    let taken = c.db.kind(key).is_some();
    if taken && !options.replace {
        return Err(Error::BusyKey);
    }
    let life = u64::try_from(integer(c.args[2])?)
        .map_err(|_| Error::Other("ERR Invalid TTL value, must be >= 0"))?;
    let now = c.db.now();
    let until = match (life, options.absolute) {
        (0, _) => None,
        (_, true) => Some(UnixMillis(life)),
        (_, false) => Some(now.plus(life)),
    };
    let expiry = match until {
        Some(at) if at > now => Expiry::At(at),
        _ => Expiry::Clear,
    };
    // What the key holds goes first, and comes back should the new bytes be no value.
    let before = if taken { c.db.dump(key).map(|dump| (dump, c.db.expires_at(key).flatten())) } else { None };
    c.db.remove(key);
    if c.db.restore(key, dump, expiry).is_err() {
        if let Some((dump, until)) = before {
            let back = c.db.restore(key, &dump, until.map_or(Expiry::Clear, Expiry::At));
            base::invariant!("a dump can be restored", back.is_ok());
        }
        return Err(Error::BadDump);
    }
    if until.is_some_and(|at| at <= now) {
        c.db.remove(key);
        if taken {
            c.db.notify(EventClass::Generic, "del", key);
        }
    } else {
        let idle_ms = options.idle.map(|seconds| (seconds as u64).saturating_mul(1000));
        c.db.set_usage(key, idle_ms, options.frequency.map(|frequency| frequency as u8));
        c.db.notify(EventClass::Generic, "restore", key);
    }
    c.reply.ok();
    Ok(())
}

fn object_encoding(c: &mut Context<'_>) -> Result<(), Error> {
    let facts = c.db.facts(c.args[2]);
    c.reply.bulk_or_null(facts.map(|facts| facts.encoding.as_bytes()));
    Ok(())
}

fn object_idletime(c: &mut Context<'_>) -> Result<(), Error> {
    let Some(facts) = c.db.facts(c.args[2]) else {
        c.reply.null();
        return Ok(());
    };
    match facts.usage {
        Some(KeyUsage { idle_ms, frequency: None }) => {
            c.reply.count(idle_ms / 1000);
            Ok(())
        }
        Some(KeyUsage { frequency: Some(_), .. }) => Err(Error::Other(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
             policies at runtime LRU and LFU data will take some time to adjust.",
        )),
        None => Err(UNTOLD),
    }
}

/// How a key is used is each copy's own knowledge, and what a log's entry answers must be the same on all.
const UNTOLD: Error = Error::Other(
    "ERR how a key is used is known to each copy by itself: ask outside of a transaction that writes",
);

fn object_refcount(c: &mut Context<'_>) -> Result<(), Error> {
    match c.db.kind(c.args[2]) {
        Some(_) => c.reply.integer(1),
        None => c.reply.null(),
    }
    Ok(())
}

fn object_freq(c: &mut Context<'_>) -> Result<(), Error> {
    let Some(facts) = c.db.facts(c.args[2]) else {
        c.reply.null();
        return Ok(());
    };
    match facts.usage {
        Some(KeyUsage { frequency: Some(frequency), .. }) => {
            c.reply.count(frequency.into());
            Ok(())
        }
        Some(KeyUsage { frequency: None, .. }) => Err(Error::Other(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        )),
        None => Err(UNTOLD),
    }
}

#[cfg(test)]
mod tests;
