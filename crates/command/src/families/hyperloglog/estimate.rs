//! From registers to a number of elements, by the estimator that needs no corrections at either end of its range: Otmar Ertl, "New
//! cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284), algorithm 6.

use super::encoding::{HASH_BITS, REGISTERS, Registers};

/// The constant of the estimator for any number of registers: 1/(2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

pub(super) fn cardinality(registers: &Registers) -> u64 {
    // The values of registers take six bits.
    let mut histogram = [0u32; 64];
    for value in registers {
        histogram[usize::from(value & 63)] += 1;
    }
    let all = REGISTERS as f64;
    let mut z = all * tau((all - f64::from(histogram[HASH_BITS + 1])) / all);
    for count in histogram[1..=HASH_BITS].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += all * sigma(f64::from(histogram[0]) / all);
    // Halves round away from zero; infinitely many registers at zero give zero.
    (ALPHA * all * all / z).round() as u64
}

/// What registers that are still zero contribute.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// What registers that can't grow any more contribute.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
