//! Sines and their like out of plain arithmetic. Those of the standard library are the system's own, and differ in the last
//! bit from one machine to the next; what is stored or decided by them on one replica must be so on all.
//!
//! The series are Taylor's, cut off where a double no longer sees what follows.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The sine of an angle in radians, for angles of a few turns.
pub(crate) fn sin(angle: f64) -> f64 {
    let (quarter, rest) = reduced(angle);
    match quarter {
        0 => sin_near_zero(rest),
        1 => cos_near_zero(rest),
        2 => -sin_near_zero(rest),
        _ => -cos_near_zero(rest),
    }
}

/// The cosine of an angle in radians, for angles of a few turns.
pub(crate) fn cos(angle: f64) -> f64 {
    let (quarter, rest) = reduced(angle);
    match quarter {
        0 => cos_near_zero(rest),
        1 => -sin_near_zero(rest),
        2 => -cos_near_zero(rest),
        _ => sin_near_zero(rest),
    }
}

/// The angle whose sine this is; not above a quarter turn, whatever rounding made of the sine.
pub(crate) fn asin(sine: f64) -> f64 {
    let size = sine.abs().min(1.0);
    let angle = if size <= 0.5 {
        asin_near_zero(size)
    } else {
        FRAC_PI_2 - 2.0 * asin_near_zero(((1.0 - size) / 2.0).sqrt())
    };
    angle.copysign(sine)
}

/// The nearest quarter turn, modulo four, and what is left of the angle: at most an eighth of a turn.
fn reduced(angle: f64) -> (u8, f64) {
    // The first 33 bits of a quarter turn, which a few times stay exact, and the rest.
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let quarters = (angle * FRAC_2_PI).round();
    ((quarters as i64).rem_euclid(4) as u8, (angle - quarters * HIGH) - quarters * LOW)
}

/// `first + x * (next + x * …)`.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// One over each factorial of every other number from `from` on, with changing signs.
const fn inverse_factorials<const N: usize>(from: u32, negative: bool) -> [f64; N] {
    let mut all = [0.0; N];
    let (mut factorial, mut number, mut at) = (1.0, 1, 0);
    let mut sign = if negative { -1.0 } else { 1.0 };
    while at < N {
        while number <= from + 2 * at as u32 {
            factorial *= number as f64;
            number += 1;
        }
        all[at] = sign / factorial;
        sign = -sign;
        at += 1;
    }
    all
}

fn sin_near_zero(x: f64) -> f64 {
    const BEHIND_THE_FIRST: [f64; 9] = inverse_factorials(3, true);
    let square = x * x;
    x + x * square * polynomial(&BEHIND_THE_FIRST, square)
}

fn cos_near_zero(x: f64) -> f64 {
    const BEHIND_THE_SECOND: [f64; 9] = inverse_factorials(4, false);
    let square = x * x;
    let half = square / 2.0;
    let one_less_half = 1.0 - half;
    // What the subtraction has rounded off comes back in.
    one_less_half + ((1.0 - one_less_half - half) + square * square * polynomial(&BEHIND_THE_SECOND, square))
}

/// For sines up to one half.
fn asin_near_zero(x: f64) -> f64 {
    const TERMS: usize = 27;
    const BEHIND_THE_FIRST: [f64; TERMS] = {
        let mut all = [0.0; TERMS];
        let (mut ratio, mut at) = (1.0, 0);
        while at < TERMS {
            let n = (at + 1) as f64;
            ratio *= (2.0 * n - 1.0) / (2.0 * n);
            all[at] = ratio / (2.0 * n + 1.0);
            at += 1;
        }
        all
    };
    let square = x * x;
    x + x * square * polynomial(&BEHIND_THE_FIRST, square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(ours: f64, system: f64) -> bool {
        (ours - system).abs() <= 4.0 * f64::EPSILON * system.abs().max(1e-3)
    }

    #[test]
    fn what_everybody_knows_is_exact() {
        assert_eq!((sin(0.0), cos(0.0), asin(0.0)), (0.0, 1.0, 0.0));
        assert_eq!((sin(FRAC_PI_2), asin(1.0), asin(-1.0)), (1.0, FRAC_PI_2, -FRAC_PI_2));
        assert_eq!(asin(1.000_000_000_000_000_2), FRAC_PI_2);
    }

    proptest! {
        #[test]
        fn the_system_s_own_are_no_different_but_for_the_last_bits(angle in -8.0f64..8.0, sine in -1.0f64..1.0) {
            prop_assert!(near(sin(angle), angle.sin()), "sin {}", angle);
            prop_assert!(near(cos(angle), angle.cos()), "cos {}", angle);
            prop_assert!(near(asin(sine), sine.asin()), "asin {}", sine);
        }
    }
}
