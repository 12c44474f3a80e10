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
        Self::from_hex(text.strip_prefix(SCHEME)?.as_bytes())
    }

    /// Reads 64 hex digits, in small letters.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let mut digest = [0; 32];
        if pairs.len() != digest.len() || digits.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = (high? * 16 + low?) as u8;
        }
        Some(Self(digest))
    }

    /// The digest whose bytes these are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hex digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is the same. Takes as long for another one as for the same.
    pub fn equals(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }
}

impl fmt::Display for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        f.write_str(&self.hex())
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
        assert!(digest.equals(&PasswordDigest::of(b"abc")));
        assert!(!digest.equals(&PasswordDigest::of(b"abd")));
        assert!(!digest.equals(&PasswordDigest::of(text.as_bytes())));
        assert_eq!(PasswordDigest::from_bytes(*digest.bytes()), digest);
        assert_eq!(PasswordDigest::parse(&text), Some(digest));
        assert!(!format!("{digest:?}").contains("ba78"));
    }

    #[test]
    fn other_texts_are_no_digests() {
        let text = PasswordDigest::of(b"abc").to_string();
        for bad in [
            "",
            "abc",
            "sha256:",
            &text[..70],
            &format!("{text}0"),
            &text.replace('b', "g"),
            &text.replace('b', "B"),
        ] {
            assert_eq!(PasswordDigest::parse(bad), None, "{bad}");
        }
    }
}
