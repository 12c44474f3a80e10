//! Reading what LZF compressed, as Redis does with strings in dumps. Nothing here writes it.
//!
//! The format is a series of runs. A control byte below 32 announces that many bytes and one more as they are. Any
//! other is a repetition: its upper three bits are the length less two, seven meaning that another byte adds to
//! it; its lower five and the next byte are the distance back, less one.

/// The bytes that `compressed` stands for; `None` if it doesn't stand for exactly `length` bytes.
pub fn decompress(compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    // A repetition turns three bytes into at most 264: an announcement beyond that is a lie, and isn't paid for.
    if length / 264 > compressed.len() / 3 + 1 {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = compressed;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if control < 32 {
            let (literal, after) = rest.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literal);
            rest = after;
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count == 9 {
                let (&more, after) = rest.split_first()?;
                count += usize::from(more);
                rest = after;
            }
            let (&low, after) = rest.split_first()?;
            rest = after;
            let distance = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            let start = out.len().checked_sub(distance)?;
            // A repetition may reach into what it writes.
            for index in start..start + count {
                out.push(out[index]);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn literals_and_repetitions_are_read() {
        assert_eq!(decompress(&[2, b'a', b'b', b'c'], 3).as_deref(), Some(&b"abc"[..]));
        // "a", then nine more from one byte back: the short form ends at eight.
        assert_eq!(decompress(&[0, b'a', 0xe0, 0, 0], 10), Some(vec![b'a'; 10]));
        assert_eq!(decompress(&[0, b'a', 0xc0, 0], 9), Some(vec![b'a'; 9]));
        assert_eq!(decompress(&[1, b'a', b'b', 0x20, 1], 5).as_deref(), Some(&b"ababa"[..]));
        assert_eq!(decompress(&[0, b'a', 0xe0, 255, 0], 265), Some(vec![b'a'; 265]));
        assert_eq!(decompress(&[], 0), Some(vec![]));
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        assert_eq!(decompress(&[2, b'a', b'b'], 3), None, "a literal run that is cut");
        assert_eq!(decompress(&[0, b'a', 0x20], 4), None, "a repetition without its distance");
        assert_eq!(decompress(&[0, b'a', 0xe0], 4), None, "a repetition without its length");
        assert_eq!(decompress(&[0, b'a', 0x20, 1], 4), None, "a repetition from before the start");
        assert_eq!(decompress(&[0, b'a'], 2), None, "too short");
        assert_eq!(decompress(&[1, b'a', b'b'], 1), None, "too long");
        assert_eq!(decompress(&[0, b'a'], usize::MAX), None, "a length that can't be");
    }
}
