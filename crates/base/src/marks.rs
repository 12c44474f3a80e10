//! Coverage marks (an idea of rust-analyzer's `cov_mark`): a subtle branch says `mark!`, and the test
//! that is there for that branch checks with `marks::count` that it was reached. Without the feature `marks`, which
//! only tests switch on, a mark is nothing at all.

/// Notes that this branch was taken; its name is unique in the workspace.
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        #[cfg(feature = "marks")]
        $crate::marks::hit($name);
    };
}

#[cfg(feature = "marks")]
mod counted {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    std::thread_local! {
        static COUNTS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// Counts one passage, in this thread.
    pub fn hit(name: &'static str) {
        COUNTS.with_borrow_mut(|counts| *counts.entry(name).or_default() += 1);
    }

    /// How often this thread passed the mark.
    pub fn count(name: &str) -> u64 {
        COUNTS.with_borrow(|counts| counts.get(name).copied().unwrap_or(0))
    }
}

#[cfg(feature = "marks")]
pub use counted::{count, hit};
