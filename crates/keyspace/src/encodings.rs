//! How long a collection may be, and its elements, to be called by the name of one of Redis's compact encodings. Ours are
//! stored in one way each, so these limits change what OBJECT ENCODING answers and nothing else.

/// Limits that count, as they come out of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings {
    /// Lists that are a `listpack`: at most so many elements, or, from -1 to -5, at most 4 kB, 8, 16, 32 or 64.
    pub list_listpack_size: i32,
    /// Members of a set of integers that is an `intset`.
    pub set_intset_entries: usize,
    /// Sets that are a `listpack`.
    pub set: Compact,
    /// Hashes that are a `listpack`.
    pub hash: Compact,
    /// Sorted sets that are a `listpack`.
    pub sorted_set: Compact,
}

/// What is small enough for a `listpack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compact {
    /// So many members or fields at most.
    pub entries: usize,
    /// Each member, field and value so long at most, in bytes.
    pub value_bytes: usize,
}

impl Default for Encodings {
    /// Redis's defaults.
    fn default() -> Self {
        let compact = Compact { entries: 128, value_bytes: 64 };
        Self {
            list_listpack_size: -2,
            set_intset_entries: 512,
            set: compact,
            hash: Compact { entries: 512, value_bytes: 64 },
            sorted_set: compact,
        }
    }
}

impl Encodings {
    /// How many elements and bytes a list that is a `listpack` may have.
    pub(crate) fn list_bounds(&self) -> (usize, usize) {
        match self.list_listpack_size {
            size @ -5..=-1 => (usize::MAX, 2048 << -size),
            size => (usize::try_from(size.max(1)).unwrap_or(1), SAFE_BYTES),
        }
    }
}

/// However few elements a listpack has, it is no longer than this.
const SAFE_BYTES: usize = 8 << 10;

impl Compact {
    /// Whether `count` members or fields with these bytes fit.
    pub(crate) fn fits<'a>(&self, count: usize, mut bytes: impl Iterator<Item = &'a [u8]>) -> bool {
        count <= self.entries && bytes.all(|bytes| bytes.len() <= self.value_bytes)
    }
}
