//! Options and numbers among a command's words.

use crate::error::Error;
use base::DatabaseIndex;
use resp::number::parse_integer;

/// An integer in its one canonical spelling.
#[inline]
pub fn integer(word: &[u8]) -> Result<i64, Error> {
    parse_integer(word).ok_or(Error::NotAnInteger)
}

/// A count of at least `low`; what isn't one is refused with the whole text `refusal`.
pub fn at_least(word: &[u8], low: i64, refusal: &'static str) -> Result<usize, Error> {
    let count = parse_integer(word).filter(|count| *count >= low);
    count.and_then(|count| usize::try_from(count).ok()).ok_or(Error::Other(refusal))
}

/// A double in decimal or as `inf`, `+inf`, `-inf`, `infinity` in any case; never NaN, and never a decimal that no double is near to.
pub fn float(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    let digits = || word.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    let fits = if number.is_infinite() {
        !digits().any(u8::is_ascii_digit)
    } else {
        number != 0.0 || !digits().any(|byte| (b'1'..=b'9').contains(byte))
    };
    (fits && !number.is_nan()).then_some(number)
}

/// For how long a blocking command waits, in milliseconds, from seconds as a decimal fraction; `None`: for ever.
pub fn block_seconds(word: &[u8]) -> Result<Option<u64>, Error> {
    let seconds = float(word).filter(|seconds| seconds.is_finite());
    let seconds = seconds.ok_or(Error::Other("ERR timeout is not a float or out of range"))?;
    let millis = (seconds * 1000.0).ceil();
    if millis < 0.0 {
        return Err(Error::Other("ERR timeout is negative"));
    }
    if millis > BLOCK_MILLIS_MAX {
        return Err(Error::Other("ERR timeout is out of range"));
    }
    Ok((millis > 0.0).then_some(millis as u64))
}

/// Beyond this a deadline can't be told from never: as in Redis, what fits an `i64` of milliseconds beside the present time.
const BLOCK_MILLIS_MAX: f64 = (i64::MAX / 2) as f64;

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
