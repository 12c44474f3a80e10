//! Sizes, times and names as people read them.

use std::time::Duration;

/// `1 key`, `1,000 keys`.
pub fn keys(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "key" } else { "keys" })
}

/// A number with commas.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size, for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = count as f64;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{scaled:.1} {}", UNITS[unit]) }
}

/// A time, for people.
pub fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        s @ 10..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

/// Bytes as text for people, in quotes, cut where they are long.
pub fn quoted(key: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 200;
    let shown = &key[..key.len().min(SHOWN_BYTES_MAX)];
    let more = if key.len() > shown.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(keys), ["1 key", "2 keys"]);
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(elapsed(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(quoted(b"a\"\n\xff"), r#""a\"\n\xff""#);
        assert_eq!(quoted(&[b'x'; 300]).chars().count(), 203);
    }
}
