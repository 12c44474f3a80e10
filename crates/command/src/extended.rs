//! The arithmetic of INCRBYFLOAT: Redis adds in the 80-bit format of the x87 ("long double": 64 bits of precision,
//! rounded to nearest, ties to even) and shows 17 decimals without trailing zeros. Both are done here in integers, so
//! that 0.1 and 0.2 make 0.3 as they do there, and every replica gets the same digits on every machine.

/// Bits of precision.
const PRECISION: u32 = 64;
/// A number has at most so many binary digits before its point.
const WHOLE_BITS_MAX: i32 = 16_384;
/// What has fewer is nothing: it ends so many binary digits behind its point.
const WHOLE_BITS_MIN: i32 = -16_445;
/// Digits after the point that are shown.
const DECIMALS: usize = 17;
/// 10 to the power of [`DECIMALS`].
const DECIMAL_UNIT: u128 = 100_000_000_000_000_000;
/// Powers of ten beyond which nothing is read: the format ends at 4932, and below there is nothing but zero.
const POWER_MAX: i64 = 4_960;
/// The longest text that is read.
const CHARS_MAX: usize = 5 * 1024;

/// A number of the format, or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `mantissa * 2^exponent`; the mantissa's highest bit is set, unless it is zero.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
    Infinite,
}

impl Extended {
    /// Nothing.
    pub const ZERO: Self =
        Self { negative: false, magnitude: Magnitude::Finite { mantissa: 0, exponent: 0 } };

    /// Reads a decimal number, with or without sign, point and exponent, or an infinity. Nothing else is a number,
    /// and neither is what the format can't hold.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= CHARS_MAX {
            return None;
        }
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, magnitude: Magnitude::Infinite });
        }
        let (digits, text) = take_digits(text);
        let (decimals, text) = match text {
            [b'.', rest @ ..] => take_digits(rest),
            rest => (&[][..], rest),
        };
        if digits.is_empty() && decimals.is_empty() {
            return None;
        }
        let power = match text {
            [] => 0,
            [b'e' | b'E', rest @ ..] => parse_power(rest)?,
            _ => return None,
        };
        Self::of_decimal(negative, digits, decimals, power)
    }

    /// `digits.decimals * 10^power`.
    fn of_decimal(negative: bool, digits: &[u8], decimals: &[u8], power: i64) -> Option<Self> {
        let mut number = Big::default();
        let mut significant = 0i64;
        for digit in digits.iter().chain(decimals) {
            if significant > 0 || *digit != b'0' {
                significant += 1;
            }
            number.multiply_add(10, u32::from(digit - b'0'));
        }
        if significant == 0 {
            return Some(Self { negative, ..Self::ZERO });
        }
        let power = power - decimals.len() as i64;
        if !(-POWER_MAX..=POWER_MAX).contains(&(power + significant)) {
            return None;
        }
        let mut divisor = Big::of(1);
        let scaled = if power < 0 { &mut divisor } else { &mut number };
        for _ in 0..power.unsigned_abs() {
            scaled.multiply_add(10, 0);
        }
        let value = Self::of_ratio(negative, number, divisor);
        match value.magnitude {
            Magnitude::Finite { exponent, .. } if exponent + PRECISION as i32 >= WHOLE_BITS_MIN => {
                Some(value)
            }
            _ => None,
        }
    }

    /// `number / divisor`, neither of them zero.
    fn of_ratio(negative: bool, mut number: Big, mut divisor: Big) -> Self {
        let shift = number.bits() as i32 - divisor.bits() as i32;
        if shift >= 0 {
            divisor.shift_left(shift.unsigned_abs());
        } else {
            number.shift_left(shift.unsigned_abs());
        }
        // The ratio is now between 1/2 and 2: two bits more than the precision, at least one of them spare.
        let mut quotient: u128 = 0;
        for _ in 0..PRECISION + 2 {
            let bit = number.subtract_if_not_less(&divisor);
            quotient = quotient << 1 | u128::from(bit);
            number.shift_left(1);
        }
        Self::rounded(negative, quotient, shift - PRECISION as i32 - 1, !number.is_zero())
    }

    /// `bits * 2^exponent` and, if `more`, a little above; rounded to the precision.
    fn rounded(negative: bool, bits: u128, exponent: i32, more: bool) -> Self {
        if bits == 0 {
            return Self::ZERO;
        }
        let spare = (u128::BITS - bits.leading_zeros()) as i32 - PRECISION as i32;
        let (mut mantissa, mut exponent) = if spare <= 0 {
            (bits << -spare, exponent + spare)
        } else {
            let (kept, rest, half) = (bits >> spare, bits & ((1 << spare) - 1), 1 << (spare - 1));
            let up = rest > half || rest == half && (more || kept & 1 == 1);
            (kept + u128::from(up), exponent + spare)
        };
        if mantissa >> PRECISION != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
        let magnitude = if exponent + PRECISION as i32 > WHOLE_BITS_MAX {
            Magnitude::Infinite
        } else {
            Magnitude::Finite { mantissa: mantissa as u64, exponent }
        };
        Self { negative, magnitude }
    }

    /// Whether it is no infinity.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }

    /// The sum, rounded; nothing if opposite infinities meet.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b) = match (self.magnitude, other.magnitude) {
            (Magnitude::Infinite, Magnitude::Infinite) => {
                return (self.negative == other.negative).then_some(self);
            }
            (Magnitude::Infinite, _) | (_, Magnitude::Finite { mantissa: 0, .. }) => return Some(self),
            (_, Magnitude::Infinite) | (Magnitude::Finite { mantissa: 0, .. }, _) => return Some(other),
            (Magnitude::Finite { mantissa, exponent }, Magnitude::Finite { mantissa: m, exponent: e }) => {
                ((exponent, mantissa, self.negative), (e, m, other.negative))
            }
        };
        // Mantissas are normalized, so this is the order of the magnitudes.
        let (large, small) = if (a.0, a.1) >= (b.0, b.1) { (a, b) } else { (b, a) };
        const ROOM: u32 = 62;
        let sum = u128::from(large.1) << ROOM;
        let part = u128::from(small.1) << ROOM;
        let shift = (large.0 - small.0).unsigned_abs();
        let shifted = part.checked_shr(shift).unwrap_or(0);
        let more = shifted.checked_shl(shift).unwrap_or(0) != part;
        let exponent = large.0 - ROOM as i32;
        Some(if large.2 == small.2 {
            Self::rounded(large.2, sum + shifted, exponent, more)
        } else {
            // What was cut off makes the difference a little less than one bit smaller.
            Self::rounded(large.2, sum - shifted - u128::from(more), exponent, more)
        })
    }

    /// Its decimal digits: 17 of them after the point, without zeros at the end, never with an exponent.
    pub fn to_text(self) -> String {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else {
            return if self.negative { "-inf" } else { "inf" }.into();
        };
        let mut text = if exponent >= 0 {
            let mut number = Big::of(mantissa);
            number.shift_left(exponent.unsigned_abs());
            number.to_decimal()
        } else {
            let units = divide_by_power_of_two(u128::from(mantissa) * DECIMAL_UNIT, exponent.unsigned_abs());
            let mut text =
                format!("{}.{:0width$}", units / DECIMAL_UNIT, units % DECIMAL_UNIT, width = DECIMALS);
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
            text
        };
        if self.negative && text != "0" {
            text.insert(0, '-');
        }
        text
    }
}

/// `value / 2^power`, rounded to nearest, ties to even; `value` is below 2^122.
fn divide_by_power_of_two(value: u128, power: u32) -> u128 {
    if power >= u128::BITS - 1 {
        return 0;
    }
    let (whole, rest, half) = (value >> power, value & ((1 << power) - 1), 1 << (power - 1));
    whole + u128::from(rest > half || rest == half && whole & 1 == 1)
}

fn take_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// The digits of an exponent. One that is too long to matter is only made too big.
fn parse_power(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let power =
        digits.iter().fold(0i64, |power, digit| (power * 10 + i64::from(digit - b'0')).min(1_000_000_000));
    Some(if negative { -power } else { power })
}

/// A natural number of any size: 32 bits a limb, the lowest first, the highest never zero.
#[derive(Clone, Debug, Default)]
struct Big {
    limbs: Vec<u32>,
}

impl Big {
    fn of(value: u64) -> Self {
        let mut number = Self { limbs: vec![value as u32, (value >> 32) as u32] };
        number.trim();
        number
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    fn bits(&self) -> u32 {
        self.limbs.last().map_or(0, |last| self.limbs.len() as u32 * 32 - last.leading_zeros())
    }

    fn multiply_add(&mut self, by: u32, plus: u32) {
        let mut carry = u64::from(plus);
        for limb in &mut self.limbs {
            carry += u64::from(*limb) * u64::from(by);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
    }

    fn shift_left(&mut self, bits: u32) {
        if self.is_zero() {
            return;
        }
        let rest = bits % 32;
        if rest > 0 {
            let mut carry = 0;
            for limb in &mut self.limbs {
                let shifted = u64::from(*limb) << rest | carry;
                *limb = shifted as u32;
                carry = shifted >> 32;
            }
            if carry > 0 {
                self.limbs.push(carry as u32);
            }
        }
        self.limbs.splice(0..0, std::iter::repeat_n(0, bits as usize / 32));
    }

    /// Subtracts `other` unless it is greater; whether it did.
    fn subtract_if_not_less(&mut self, other: &Self) -> bool {
        let order = (self.limbs.len().cmp(&other.limbs.len()))
            .then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()));
        if order.is_lt() {
            return false;
        }
        let mut borrow = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let by = other.limbs.get(at).copied().unwrap_or(0);
            let (difference, under) = limb.overflowing_sub(by);
            let (difference, under_again) = difference.overflowing_sub(u32::from(borrow));
            *limb = difference;
            borrow = under || under_again;
        }
        self.trim();
        true
    }

    fn to_decimal(&self) -> String {
        const CHUNK: u64 = 1_000_000_000;
        let mut number = self.clone();
        let mut chunks = Vec::new();
        while !number.is_zero() {
            let mut rest = 0;
            for limb in number.limbs.iter_mut().rev() {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / CHUNK) as u32;
                rest = value % CHUNK;
            }
            number.trim();
            chunks.push(rest);
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:09}"));
        }
        text
    }
}

#[cfg(test)]
mod tests;
