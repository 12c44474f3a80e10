//! What a run is named by: a number, or the hash of a commit, so that every commit brings a seed of its own.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// A seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// It is neither a number nor a commit's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSeed;

/// A hash is given with at least so many digits; what is shorter and decimal is a number.
const HASH_DIGITS_MIN: usize = 21;

impl Seed {
    /// One that nobody has run before, probably.
    #[expect(clippy::disallowed_methods, reason = "which worlds are visited next may differ from run to run")]
    pub fn of_this_moment() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as u64)
    }
}

impl FromStr for Seed {
    type Err = NoSeed;

    fn from_str(text: &str) -> Result<Self, NoSeed> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        let hexadecimal = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let decimal = text.bytes().all(|byte| byte.is_ascii_digit());
        if !hexadecimal || (decimal && text.len() < HASH_DIGITS_MIN) {
            return Err(NoSeed);
        }
        // FNV-1a, 64 bits.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Ok(Self(text.to_ascii_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325, mix)))
    }
}

impl fmt::Display for NoSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a seed is a number below 2^64 or at least 7 digits of a commit's hash")
    }
}

impl std::error::Error for NoSeed {}

#[cfg(test)]
mod tests {
    use super::{NoSeed, Seed};

    #[test]
    fn numbers_and_commits_are_seeds() {
        assert_eq!("42".parse(), Ok(Seed(42)));
        let commit: Seed = "495b67b0d1c2e3f405162738495a6b7c8d9e0f11".parse().expect("a hash is a seed");
        assert_eq!("495B67B0D1C2E3F405162738495A6B7C8D9E0F11".parse(), Ok(commit));
        assert_eq!("soon".parse::<Seed>(), Err(NoSeed));
        assert_eq!("-1".parse::<Seed>(), Err(NoSeed));
    }
}
