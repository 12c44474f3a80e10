//! Commands of Redis 7.2 that Sihai doesn't have. Rules about users name them all the same (`-migrate`, `+eval`), because people bring
//! theirs along: so the names are known, and stand for nothing.

/// Their names, in order; a command leaves this list when it comes into the table.
const NAMES: &[&str] = &[
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "function",
    "function|delete",
    "function|dump",
    "function|flush",
    "function|help",
    "function|kill",
    "function|list",
    "function|load",
    "function|restore",
    "function|stats",
    "script",
    "script|debug",
    "script|exists",
    "script|flush",
    "script|help",
    "script|kill",
    "script|load",
];

/// All of them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

/// Whether Redis has a command of this name, in any case, and Sihai hasn't.
pub fn is_absent(name: &[u8]) -> bool {
    NAMES.iter().any(|absent| name.eq_ignore_ascii_case(absent.as_bytes()))
}

/// Whether an absent command has subcommands.
pub fn is_container(name: &[u8]) -> bool {
    let inside = |absent: &&str| {
        absent.split_once('|').is_some_and(|(container, _)| name.eq_ignore_ascii_case(container.as_bytes()))
    };
    is_absent(name) && NAMES.iter().any(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::lookup_full;

    #[test]
    fn what_is_absent_is_not_in_the_table() {
        assert!(NAMES.is_sorted());
        for name in NAMES {
            assert!(
                lookup_full(name.as_bytes()).is_none(),
                "{name} is in the table now: take it off this list"
            );
        }
        assert!(is_absent(b"Eval") && !is_absent(b"get") && !is_absent(b""));
        assert!(is_container(b"SCRIPT") && !is_container(b"eval") && !is_container(b"config"));
    }
}
