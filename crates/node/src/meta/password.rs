//! Passwords. The cluster keeps and replicates only a digest, in a form that can be told from a password, so that what
//! CONFIG GET shows can be given to CONFIG SET again.

use sha2::{Digest, Sha256};
use std::fmt;

const SCHEME: &str = "sha256:";

/// The SHA-256 of a password, as Redis's ACLs keep it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordDigest([u8; 32]);

impl PasswordDigest {
    /// The digest of `password`.
    pub fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// Reads what [`PasswordDigest`]'s `Display` writes: `sha256:` and 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(SCHEME)?.as_bytes();
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let mut digest = [0; 32];
        if pairs.len() != digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = (high? * 16 + low?) as u8;
        }
        Some(Self(digest))
    }

    /// Whether `password` is the one. Takes as long for a wrong one as for the right one.
    pub fn matches(&self, password: &[u8]) -> bool {
        let given = Self::of(password);
        self.0.iter().zip(given.0).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }
}

impl fmt::Display for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PasswordDigest {
    /// Says nothing of the digest: it may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::PasswordDigest;

    #[test]
    fn a_password_is_known_by_its_digest_alone() {
        let digest = PasswordDigest::of(b"abc");
        let text = digest.to_string();
        // The example of FIPS 180-2, appendix B.1.
        assert_eq!(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(digest.matches(b"abc"));
        assert!(!digest.matches(b"abd"));
        assert!(!digest.matches(text.as_bytes()));
        assert_eq!(PasswordDigest::parse(&text), Some(digest));
        assert!(!format!("{digest:?}").contains("ba78"));
    }

    #[test]
    fn other_texts_are_no_digests() {
        let text = PasswordDigest::of(b"abc").to_string();
        for bad in ["", "abc", "sha256:", &text[..70], &format!("{text}0"), &text.replace('b', "g")] {
            assert_eq!(PasswordDigest::parse(bad), None, "{bad}");
        }
    }
}
