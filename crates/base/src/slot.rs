//! Which slot a key belongs to, as Redis Cluster's specification says: CRC-16/XMODEM of the key, or of its hash tag,
//! modulo 16,384. Every client library computes the same, so this can never change.

use crate::ids::Slot;

/// The slot of `key`. If the key has a `{` and, after it, a `}` with something between them, only what lies between
/// the first `{` and the first `}` after it counts, so that related keys can share a slot.
#[inline]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot::of_hash(crc16(hash_tag(key)))
}

/// The part of `key` that decides about its slot.
#[inline]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    if !may_have_brace(key) {
        return key;
    }
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

/// Whether there is a `{`, eight bytes at a time: most keys have none, and every command asks.
#[inline]
fn may_have_brace(key: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let is_in = |eight: &[u8; 8]| {
        // A byte that equals `{` becomes zero, and only then can the lowest borrow come from it.
        let zeroed = u64::from_le_bytes(*eight) ^ (ONES * b'{' as u64);
        zeroed.wrapping_sub(ONES) & !zeroed & HIGHS != 0
    };
    // The last eight overlap with those before them.
    let Some(last) = key.last_chunk::<8>() else { return key.contains(&b'{') };
    is_in(last) || key.as_chunks::<8>().0.iter().any(is_in)
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, starting at zero. Eight bytes at a time, each looked up in the
/// table of its distance from the end of the eight.
fn crc16(bytes: &[u8]) -> u16 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut crc = 0u16;
    for eight in eights {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(eight[0] ^ high)]
            ^ TABLES[6][usize::from(eight[1] ^ low)]
            ^ TABLES[5][usize::from(eight[2])]
            ^ TABLES[4][usize::from(eight[3])]
            ^ TABLES[3][usize::from(eight[4])]
            ^ TABLES[2][usize::from(eight[5])]
            ^ TABLES[1][usize::from(eight[6])]
            ^ TABLES[0][usize::from(eight[7])];
    }
    for byte in rest {
        crc = (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// `TABLES[n][b]` is the checksum of byte `b` followed by `n` zero bytes.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut distance = 1;
    while distance < 8 {
        let mut byte = 0;
        while byte < 256 {
            let nearer = tables[distance - 1][byte];
            tables[distance][byte] = (nearer << 8) ^ tables[0][(nearer >> 8) as usize];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::{crc16, hash_tag, slot_of};
    use crate::rng::Rng;
    use alloc::vec::Vec;

    /// One bit at a time, straight from the definition.
    fn by_definition(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0u16, |crc, &byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            })
        })
    }

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo").number(), 12_182);
        assert_eq!(slot_of(b"bar").number(), 5_061);
        assert_eq!(slot_of(b"hello").number(), 866);
        assert_eq!(slot_of(b"").number(), 0);
    }

    #[test]
    fn the_first_nonempty_hash_tag_decides() {
        assert_eq!(hash_tag(b"{user1000}.following"), b"user1000");
        assert_eq!(hash_tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(hash_tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(hash_tag(b"foo{bar}{zap}"), b"bar");
        assert_eq!(hash_tag(b"}foo{bar"), b"}foo{bar");
        assert_eq!(hash_tag(b"a}{b}c"), b"b");
        assert_eq!(slot_of(b"{foo}.1"), slot_of(b"foo"));
    }

    #[test]
    fn a_hash_tag_is_found_wherever_it_stands() {
        for length in 3..40 {
            for at in 0..=length - 3 {
                let mut key: Vec<u8> = (0..length as u8).map(|index| 0x70 + index).collect();
                key.iter_mut().for_each(|byte| {
                    if matches!(byte, b'{' | b'}') {
                        *byte = b'|';
                    }
                });
                assert_eq!(hash_tag(&key), key);
                key[at..at + 3].copy_from_slice(b"{t}");
                assert_eq!(hash_tag(&key), b"t", "{length} bytes, at {at}");
            }
        }
    }

    #[test]
    fn many_bytes_at_a_time_give_what_the_definition_gives() {
        let mut rng = Rng::new(1);
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
            assert_eq!(crc16(&bytes), by_definition(&bytes), "{length} bytes");
        }
    }
}
