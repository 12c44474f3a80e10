//! Sets of integers in one string: the width of each (2, 4 or 8 bytes), how many there are, and they themselves,
//! ascending; all of it little-endian.

use super::BadValue;

const HEADER_BYTES: usize = 8;

/// The integers in `bytes`.
pub fn read(bytes: &[u8]) -> Result<Vec<i64>, BadValue> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(BadValue::Malformed("a set of integers without its header"))?;
    let [w0, w1, w2, w3, n0, n1, n2, n3] = *header;
    let count = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
    let width = match u32::from_le_bytes([w0, w1, w2, w3]) {
        width @ (2 | 4 | 8) => width as usize,
        _ => return Err(BadValue::Malformed("a set of integers of a width that doesn't exist")),
    };
    if rest.len() % width != 0 || rest.len() / width != count {
        return Err(BadValue::Malformed("a set of integers with another size than it announces"));
    }
    let integers: Vec<i64> = rest.chunks_exact(width).map(widened).collect();
    if !integers.is_sorted_by(|a, b| a < b) {
        return Err(BadValue::Malformed("a set of integers that aren't ascending"));
    }
    Ok(integers)
}

/// A set of these integers, which ascend.
pub fn write(integers: &[i64]) -> Vec<u8> {
    let fits = |low: i64, high: i64| integers.iter().all(|integer| (low..=high).contains(integer));
    let width = if fits(i64::from(i16::MIN), i64::from(i16::MAX)) {
        2
    } else if fits(i64::from(i32::MIN), i64::from(i32::MAX)) {
        4
    } else {
        8
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + integers.len() * width);
    bytes.extend_from_slice(&(width as u32).to_le_bytes());
    bytes.extend_from_slice(&(integers.len() as u32).to_le_bytes());
    for integer in integers {
        bytes.extend_from_slice(&integer.to_le_bytes()[..width]);
    }
    bytes
}

/// An integer of up to eight bytes, little-endian, with its sign.
pub fn widened(bytes: &[u8]) -> i64 {
    let sign = bytes.last().map_or(0, |top| if top & 0x80 == 0 { 0 } else { 0xff });
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(wide)
}
