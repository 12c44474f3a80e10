//! MIGRATE: what its words say. A node carries it out, as a client of the server to which it moves keys.

use crate::error::Error;
use crate::spec::{self, Categories, Find, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};
use crate::words::{integer, is};
use base::Duration;
use std::ops::Range;

/// For how long the other server is waited for if no sensible time is said.
const TIMEOUT_MS: u64 = 1000;

const FIRST_KEY: KeySpec = spec::at(3, 0, 1, &[K::RW, K::ACCESS, K::DELETE]);

/// The keys behind KEYS; [`keys`] finds them by the command's own rules.
const FURTHER_KEYS: KeySpec = KeySpec {
    flags: K::RW.with(K::ACCESS).with(K::DELETE).with(K::INCOMPLETE),
    begin: spec::Begin::Keyword { keyword: "KEYS", from: 6 },
    find: Find::Range { last: -1, step: 1, limit: 0 },
};

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[Spec::new(910, "migrate", -6, Group::Generic, Place::Node)
    .flags(&[F::WRITE, F::MOVABLEKEYS])
    .keys_at(&[FIRST_KEY, FURTHER_KEYS])
    .category(Categories::KEYSPACE.with(Categories::DANGEROUS))
    .docs(
        "2.6.0",
        "O(N) for N keys and what they hold, on both servers",
        "Moves keys to another server, or copies them there.",
    )
    .tips(&["nondeterministic_output"])];

/// What MIGRATE is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrate<'a> {
    /// The other server.
    pub host: &'a [u8],
    /// Its port.
    pub port: &'a [u8],
    /// The number of the database there.
    pub database: &'a [u8],
    /// How long each word with it may take.
    pub timeout: Duration,
    /// COPY: the keys stay here, too.
    pub copies: bool,
    /// REPLACE: what the keys hold there goes.
    pub replaces: bool,
    /// AUTH, AUTH2: who one is there, and the password.
    pub credentials: Option<(Option<&'a [u8]>, &'a [u8])>,
    /// Which words are its keys.
    pub keys: Range<usize>,
}

impl<'a> Migrate<'a> {
    /// Reads the command's words.
    pub fn parse(args: &[&'a [u8]]) -> Result<Self, Error> {
        let [_, host, port, first, database, timeout, ..] = *args else { return Err(Error::Syntax) };
        let mut migrate = Migrate {
            host,
            port,
            database,
            timeout: Duration::ZERO,
            copies: false,
            replaces: false,
            credentials: None,
            keys: 3..4,
        };
        let mut at = 6;
        while let Some(&word) = args.get(at) {
            let more = args.len() - at - 1;
            if is(word, "copy") {
                migrate.copies = true;
            } else if is(word, "replace") {
                migrate.replaces = true;
            } else if is(word, "auth") && more >= 1 {
                migrate.credentials = Some((None, args[at + 1]));
                at += 1;
            } else if is(word, "auth2") && more >= 2 {
                migrate.credentials = Some((Some(args[at + 1]), args[at + 2]));
                at += 2;
            } else if is(word, "keys") {
                if !first.is_empty() {
                    return Err(Error::Other(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                migrate.keys = at + 1..args.len();
                at = args.len();
            } else {
                return Err(Error::Syntax);
            }
            at += 1;
        }
        let millis = integer(timeout)?;
        integer(database)?;
        let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0).unwrap_or(TIMEOUT_MS);
        migrate.timeout = Duration::from_millis(millis);
        Ok(migrate)
    }
}

/// Which words are keys; none where they make no sense.
pub(crate) fn keys(args: &[&[u8]]) -> Range<usize> {
    Migrate::parse(args).map_or(0..0, |migrate| migrate.keys)
}

/// Which words are secrets, also where the others make no sense.
pub fn secrets(args: &[&[u8]]) -> Range<usize> {
    for (at, word) in args.iter().enumerate().skip(6) {
        if is(word, "keys") {
            break;
        }
        let words = if is(word, "auth") {
            1
        } else if is(word, "auth2") {
            2
        } else {
            continue;
        };
        return at + 1..args.len().min(at + 1 + words);
    }
    0..0
}

#[cfg(test)]
mod tests;
