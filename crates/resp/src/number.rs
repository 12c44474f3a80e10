//! Integers and doubles as Redis reads and writes them: strict on the way in (one spelling a number), shortest that
//! reads back on the way out. Nothing here allocates, except by growing the buffer that it appends to.

use alloc::vec::Vec;
use core::fmt::Write;

/// The longest an `i64` gets in decimal, sign included.
pub const INTEGER_CHARS_MAX: usize = 20;

/// Reads a decimal integer in its one canonical spelling: no sign but `-`, no leading zeros, no spaces, no `-0`.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [] | [b'0', ..] => return None,
        _ if digits.len() > INTEGER_CHARS_MAX - 1 => return None,
        _ => {}
    }
    // 19 digits fit u64, so only the last comparison can find an overflow.
    let mut magnitude: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        (magnitude <= i64::MIN.unsigned_abs()).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// An integer's decimal digits on the stack.
#[derive(Clone, Copy, Debug)]
pub struct IntegerText {
    bytes: [u8; INTEGER_CHARS_MAX],
    start: u8,
}

impl IntegerText {
    /// Writes `value` down.
    #[inline]
    pub fn new(value: i64) -> Self {
        let mut text = Self::unsigned(value.unsigned_abs());
        if value < 0 {
            text.start -= 1;
            text.bytes[usize::from(text.start)] = b'-';
        }
        text
    }

    /// Writes `value` down.
    #[inline]
    pub fn unsigned(mut value: u64) -> Self {
        let mut bytes = [0; INTEGER_CHARS_MAX];
        let mut start = bytes.len();
        loop {
            start -= 1;
            bytes[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        Self { bytes, start: start as u8 }
    }

    /// The digits.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("digits are ASCII")
    }
}

/// Appends `value` in decimal.
#[inline]
pub fn push_integer(to: &mut Vec<u8>, value: i64) {
    // Lengths and counters are mostly one digit.
    if let 0..=9 = value {
        to.push(b'0' + value as u8);
    } else {
        to.extend_from_slice(IntegerText::new(value).as_bytes());
    }
}

/// Appends `value` with the fewest digits that read back as the same double, in the notation that Redis 7.2 chooses:
/// whole numbers below 2^52 plainly, an exponent only where the plain form would be long.
pub fn push_double(to: &mut Vec<u8>, value: f64) {
    const WHOLE_MAX: f64 = 4_503_599_627_370_496.0;
    if value.is_nan() {
        to.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        to.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        to.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() < WHOLE_MAX && (value as i64) as f64 == value {
        push_integer(to, value as i64);
    } else {
        push_fraction(to, value);
    }
}

/// The part of [`push_double`] for finite numbers that aren't plain integers.
fn push_fraction(to: &mut Vec<u8>, value: f64) {
    let mut text = Scientific::default();
    write!(text, "{:e}", value.abs()).expect("a double's shortest digits fit");
    let (digits, exponent) = text.parts();
    let count = digits.len() as i32;
    // value = digits * 10^scale
    let scale = exponent - (count - 1);
    if value < 0.0 {
        to.push(b'-');
    }
    if scale >= 0 && exponent < count + 7 {
        to.extend_from_slice(digits);
        to.resize(to.len() + scale as usize, b'0');
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let whole = count + scale;
        if whole <= 0 {
            to.extend_from_slice(b"0.");
            to.resize(to.len() + whole.unsigned_abs() as usize, b'0');
            to.extend_from_slice(digits);
        } else {
            to.extend_from_slice(&digits[..whole as usize]);
            to.push(b'.');
            to.extend_from_slice(&digits[whole as usize..]);
        }
    } else {
        to.push(digits[0]);
        if count > 1 {
            to.push(b'.');
            to.extend_from_slice(&digits[1..]);
        }
        to.push(b'e');
        to.push(if exponent < 0 { b'-' } else { b'+' });
        push_integer(to, i64::from(exponent.abs()));
    }
}

/// Catches what `{:e}` writes: up to 17 digits, a point and an exponent.
#[derive(Default)]
struct Scientific {
    digits: [u8; 20],
    count: usize,
    exponent: i32,
    negative: bool,
    in_exponent: bool,
}

impl Scientific {
    fn parts(&self) -> (&[u8], i32) {
        (&self.digits[..self.count], if self.negative { -self.exponent } else { self.exponent })
    }
}

impl Write for Scientific {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'e' => self.in_exponent = true,
                b'-' => self.negative = true,
                b'0'..=b'9' if self.in_exponent => {
                    self.exponent = self.exponent * 10 + i32::from(byte - b'0');
                }
                b'0'..=b'9' => {
                    *self.digits.get_mut(self.count).ok_or(core::fmt::Error)? = byte;
                    self.count += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn double(value: f64) -> String {
        let mut to = Vec::new();
        push_double(&mut to, value);
        String::from_utf8(to).expect("ASCII")
    }

    #[test]
    fn integers_have_one_spelling() {
        for good in ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_integer(good.as_bytes()), good.parse().ok(), "{good}");
        }
        for bad in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "00",
            " 1",
            "1 ",
            "1a",
            "a",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999999",
        ] {
            assert_eq!(parse_integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn doubles_are_written_as_redis_7_2_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (0.1, "0.1"),
            (3.5, "3.5"),
            (1e-5, "0.00001"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (123_456.789, "123456.789"),
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (1e21, "1e+21"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    proptest! {
        #[test]
        fn integers_read_back(value: i64) {
            let text = IntegerText::new(value);
            prop_assert_eq!(text.as_str(), alloc::format!("{value}"));
            prop_assert_eq!(parse_integer(text.as_bytes()), Some(value));
        }

        #[test]
        fn doubles_read_back(value: f64) {
            prop_assume!(!value.is_nan());
            prop_assert_eq!(double(value).parse::<f64>().expect("a number"), value);
        }
    }
}
