//! Numbers as Lua and C write and read them: `%.14g`, and the longest beginning of a text that is a number.

/// As `%.<digits>g` writes it.
pub(crate) fn general(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_string();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_string();
    }
    // Most are small integers, which every precision above writes alike.
    if value.fract() == 0.0
        && value.abs() < 1e9
        && digits >= 10
        && !(value == 0.0 && value.is_sign_negative())
    {
        return (value as i64).to_string();
    }
    let digits = digits.max(1);
    let written = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_string()
}

/// Without the zeros that end a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The number with which `text` begins, as `strtod` reads it (white space in front, decimal, hexadecimal, `inf`, `nan`), and how many
/// bytes it takes; nothing if it doesn't begin with one.
pub(crate) fn leading(text: &[u8]) -> Option<(f64, usize)> {
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
    let mut at = blank;
    let negative = match text.get(at) {
        Some(b'-') => {
            at += 1;
            true
        }
        Some(b'+') => {
            at += 1;
            false
        }
        _ => false,
    };
    let rest = &text[at..];
    let (value, taken) = unsigned(rest)?;
    Some((if negative { -value } else { value }, at + taken))
}

fn unsigned(text: &[u8]) -> Option<(f64, usize)> {
    let is = |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    if is(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if is(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if is(b"nan") {
        return Some((f64::NAN, 3));
    }
    if is(b"0x")
        && let Some(read) = hexadecimal(&text[2..])
    {
        return Some((read.0, read.1 + 2));
    }
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    let mut fraction = 0;
    if text.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = text
            .get(end + 1 + signed..)
            .map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    let read = str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((read, end))
}

/// Hexadecimal digits, perhaps with a point and a binary exponent.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut value, mut at, mut scale) = (0.0f64, 0, 0i32);
    while let Some(next) = digit(at) {
        value = value * 16.0 + f64::from(next);
        at += 1;
    }
    let whole = at;
    if text.get(at) == Some(&b'.') && (whole > 0 || digit(at + 1).is_some()) {
        at += 1;
        while let Some(next) = digit(at) {
            value = value * 16.0 + f64::from(next);
            scale -= 4;
            at += 1;
        }
    }
    if at == 0 {
        return None;
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let signed = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let from = at + 1 + signed;
        let length =
            text.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        if length > 0 {
            let exponent: i32 =
                str::from_utf8(&text[from..from + length]).ok()?.parse().unwrap_or(i32::MAX / 2);
            let exponent = if text[at + 1] == b'-' { -exponent } else { exponent };
            scale = scale.saturating_add(exponent);
            at = from + length;
        }
    }
    Some((value * 2f64.powi(scale), at))
}

/// The number that a whole text is, as Lua turns a string into one; nothing if it isn't.
pub(crate) fn whole(text: &[u8]) -> Option<f64> {
    let (value, taken) = leading(text)?;
    text[taken..].iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x0b).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (value, digits, expected) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.0, 14, "1"),
            (0.1, 14, "0.1"),
            (100.0, 14, "100"),
            (1e15, 14, "1e+15"),
            (123456789012345.0, 14, "1.2345678901234e+14"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (2.5, 1, "2"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1.0 / 3.0, 17, "0.33333333333333331"),
            (1e300, 17, "1.0000000000000001e+300"),
            (9007199254740993.0, 17, "9007199254740992"),
            (f64::INFINITY, 14, "inf"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ] {
            assert_eq!(general(value, digits), expected);
        }
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, expected) in [
            ("12", Some((12.0, 2))),
            ("-1.5e2x", Some((-150.0, 6))),
            ("+.5", Some((0.5, 3))),
            ("5.", Some((5.0, 2))),
            ("1e", Some((1.0, 1))),
            ("1e+", Some((1.0, 1))),
            ("0x10", Some((16.0, 4))),
            ("0x.8p1", Some((1.0, 6))),
            ("0x", Some((0.0, 1))),
            (" 7", Some((7.0, 2))),
            ("inf", Some((f64::INFINITY, 3))),
            (".", None),
            ("-", None),
            ("e5", None),
            ("", None),
        ] {
            assert_eq!(leading(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(whole(b" 10 "), Some(10.0));
        assert_eq!(whole(b"10x"), None);
    }
}
