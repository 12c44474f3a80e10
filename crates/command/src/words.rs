//! Options and numbers among a command's words.

use crate::error::Error;
use base::DatabaseIndex;
use resp::number::parse_integer;

/// An integer in its one canonical spelling.
#[inline]
pub fn integer(word: &[u8]) -> Result<i64, Error> {
    parse_integer(word).ok_or(Error::NotAnInteger)
}

/// The number of a database. Whether there is such a database is the cluster's to say.
pub fn database_index(word: &[u8]) -> Result<DatabaseIndex, Error> {
    let number = i32::try_from(integer(word)?).map_err(|_| Error::OutOfRange)?;
    u32::try_from(number).map(DatabaseIndex).map_err(|_| Error::DatabaseIndex)
}

/// Whether a word is this option, in any case.
#[inline]
pub fn is(word: &[u8], option: &str) -> bool {
    word.eq_ignore_ascii_case(option.as_bytes())
}
