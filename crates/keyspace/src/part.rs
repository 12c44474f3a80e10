//! Parts of collections: a snapshot writes a long one as several values of its type, each with some of the elements.

/// Where in a value its writing goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    /// A stream's part: 0 for its entries, n for its n-th group.
    pub(crate) group: usize,
    /// The rank within it; for a string, the byte.
    pub(crate) rank: usize,
}

/// What an element takes in a part beside its bytes, about.
const ELEMENT_BYTES: usize = 8;

/// How much a part may still take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    left: usize,
    is_untouched: bool,
}

impl Budget {
    /// About this much, but one element at least.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self { left: budget_bytes, is_untouched: true }
    }

    /// Whether an element of this length still has a place.
    pub(crate) fn take(&mut self, element_bytes: usize) -> bool {
        if self.left == 0 && !self.is_untouched {
            return false;
        }
        self.left = self.left.saturating_sub(element_bytes + ELEMENT_BYTES);
        self.is_untouched = false;
        true
    }
}
