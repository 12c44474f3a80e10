//! A broken invariant inside a node is a panic: it is caught, with its words and its place, and becomes a finding. Other
//! threads' panics go where they always go.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`; a panic in it becomes its words.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                WORDS.set(info.to_string());
            } else {
                usual(info);
            }
        }));
    });
    CATCHING.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(false);
    result.map_err(|_| WORDS.take())
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn a_panic_becomes_its_words_and_its_place() {
        let words = catch(|| panic!("broken invariant: one leader a term")).unwrap_err();
        assert!(words.contains("one leader a term") && words.contains("panics.rs"), "{words}");
        assert_eq!(catch(|| 7), Ok(7));
    }
}
