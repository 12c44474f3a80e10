//! The system's randomness: seeds, nonces, ids. Everything else draws from generators that were seeded with it.

/// As many random bytes as are asked for.
///
/// # Panics
/// If the system has none to give: no secret could be kept then.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A random number.
pub fn u64() -> u64 {
    u64::from_le_bytes(bytes())
}

/// A random id that nobody else has.
pub fn u128() -> u128 {
    u128::from_le_bytes(bytes())
}
