//! Parameters that are the whole cluster's and together make one value of type `T`: each is kept by meta under its name,
//! as text.

use crate::meta::Meta;

/// One of them.
pub(super) struct Shared<T: 'static> {
    /// Under which it is kept.
    pub key: &'static str,
    /// Another name under which it is known; empty if there is none.
    pub old: &'static str,
    /// Reads a new value, as it is kept, or says what is wrong with it.
    pub read: fn(&str) -> Result<String, String>,
    /// How a value would be kept.
    pub show: fn(&T) -> String,
    /// Takes over what is kept, which was found right before.
    pub set: fn(&mut T, &str),
}

/// Reads a new value for the parameter of this name, if there is one: under which name it is kept, and how.
pub(super) fn parse<T>(
    all: &'static [Shared<T>],
    name: &[u8],
    text: &Result<&str, String>,
) -> Option<(&'static str, Result<String, String>)> {
    let is_known = |known: &str| !known.is_empty() && name.eq_ignore_ascii_case(known.as_bytes());
    let found = all.iter().find(|shared| is_known(shared.key) || is_known(shared.old))?;
    Some((found.key, text.clone().and_then(found.read)))
}

/// All names, with the values that hold.
pub(super) fn show<T: Default>(all: &[Shared<T>], meta: &Meta) -> Vec<(&'static str, String)> {
    let defaults = T::default();
    all.iter()
        .flat_map(|shared| {
            let kept = meta.setting(shared.key).map(str::to_string);
            let value = kept.unwrap_or_else(|| (shared.show)(&defaults));
            [(shared.key, value.clone()), (shared.old, value)]
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// The value that the cluster's settings make.
pub(super) fn of<T: Default>(all: &[Shared<T>], meta: &Meta) -> T {
    let mut value = T::default();
    for shared in all {
        if let Some(kept) = meta.setting(shared.key) {
            (shared.set)(&mut value, kept);
        }
    }
    value
}
