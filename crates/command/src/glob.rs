//! Glob patterns, as KEYS and SCAN take them: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what is meant literally.
//!
//! Only the last `*` that was passed is ever tried again, so that a pattern takes at most pattern times text steps,
//! whoever wrote it.

/// Whether the whole `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // After a `*`: the pattern behind it, and the text from which it is tried next.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', behind @ ..] = rest {
            rest = behind;
            if rest.is_empty() {
                return true;
            }
            retry = Some((rest, left));
            continue;
        }
        let step = match (rest.is_empty(), left.split_first()) {
            (true, None) => return true,
            // A set is read whatever is left, for it may run to the pattern's end.
            (false, Some((&byte, behind))) => one(rest, byte).map(|pattern| (pattern, behind)),
            _ => None,
        };
        match (step, retry) {
            (Some(step), _) => (rest, left) = step,
            (None, Some((behind, [_, later @ ..]))) => {
                (rest, left) = (behind, later);
                retry = Some((behind, later));
            }
            (None, _) => return false,
        }
    }
}

/// Whether the pattern matches everything, so that nobody need ask.
pub fn is_all(pattern: &[u8]) -> bool {
    pattern == b"*"
}

/// Matches one byte with the front of a pattern that isn't empty, and answers the pattern behind it.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', behind @ ..] => Some(behind),
        [b'[', set @ ..] => in_set(set, byte),
        [b'\\', literal, behind @ ..] => (*literal == byte).then_some(behind),
        [literal, behind @ ..] => (*literal == byte).then_some(behind),
        [] => None,
    }
}

/// Reads a set up to its `]`, or the pattern's end, and answers the pattern behind it if `byte` is in it.
fn in_set(set: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match set {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', behind @ ..] => {
                rest = behind;
                break;
            }
            [b'\\', literal, behind @ ..] => {
                found |= *literal == byte;
                behind
            }
            [low, b'-', high, behind @ ..] => {
                let (low, high) = (low.min(high), low.max(high));
                found |= (low..=high).contains(&&byte);
                behind
            }
            [literal, behind @ ..] => {
                found |= *literal == byte;
                behind
            }
        };
    }
    (found != negated).then_some(rest)
}

#[cfg(test)]
mod tests;
