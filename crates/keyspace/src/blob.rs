//! The bytes of an element, a member, a field or a value inside a collection: short ones in place, longer ones in an
//! allocation of their own that copies share. So a copy of any number of them costs next to nothing, which the nodes of
//! a persistent tree rest on, and most elements need no allocation at all.

use std::sync::Arc;

/// As many bytes as fit beside the length into the size of the other variant.
const INLINE_BYTES_MAX: usize = 22;

/// What an allocation costs besides its bytes (its head, and the counts of who shares it), and to what it is rounded up.
const ALLOCATION_HEAD: u64 = 24;
const ALLOCATION_STEP: u64 = 16;

/// Bytes that don't change, cheap to copy.
#[derive(Clone)]
pub(crate) enum Blob {
    /// How many of the bytes count, and they.
    Inline(u8, [u8; INLINE_BYTES_MAX]),
    /// Longer ones.
    Shared(Arc<[u8]>),
}

impl Blob {
    /// These bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE_BYTES_MAX {
            return Blob::Shared(Arc::from(bytes));
        }
        let mut inline = [0; INLINE_BYTES_MAX];
        inline[..bytes.len()].copy_from_slice(bytes);
        Blob::Inline(bytes.len() as u8, inline)
    }

    /// The bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Blob::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Blob::Shared(bytes) => bytes,
        }
    }

    /// What it takes beyond its own place. Depends on nothing but the bytes, so that replicas agree.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            Blob::Inline(..) => 0,
            Blob::Shared(bytes) => (bytes.len() as u64 + ALLOCATION_HEAD).next_multiple_of(ALLOCATION_STEP),
        }
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::{Blob, INLINE_BYTES_MAX};

    #[test]
    fn bytes_of_every_length_are_kept_and_short_ones_need_no_allocation() {
        assert_eq!(size_of::<Blob>(), INLINE_BYTES_MAX + 2);
        for length in [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 300] {
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let blob = Blob::new(&bytes);
            assert_eq!(blob.clone().bytes(), bytes);
            assert_eq!(blob.heap_bytes() == 0, length <= INLINE_BYTES_MAX);
        }
    }
}
