//! Promises of the 80-bit arithmetic. The digits are those of a Redis server on x86-64.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Extended {
    Extended::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
}

fn sum(a: &str, b: &str) -> String {
    read(a).plus(read(b)).map_or("nan".into(), Extended::to_text)
}

#[test]
fn numbers_are_shown_without_exponent_or_zeros_at_the_end() {
    for (text, shown) in [
        ("0", "0"),
        ("-0", "0"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("25e-1", "2.5"),
        ("00012.500", "12.5"),
        ("-1.10", "-1.1"),
        ("0.00000000000000001", "0.00000000000000001"),
        ("0.000000000000000005", "0"),
        ("0.000000000000000006", "0.00000000000000001"),
        ("-0.000000000000000001", "0"),
        ("3.14159265358979323846264338327950288", "3.14159265358979324"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551617", "18446744073709551616"),
        ("1e25", "10000000000000000000000000"),
        ("0e999999999999", "0"),
        ("1e-4950", "0"),
    ] {
        assert_eq!(read(text).to_text(), shown, "{text}");
    }
    assert_eq!(read("1e4932").to_text().len(), 4933);
    assert_eq!(read("-inf").to_text(), "-inf");
}

#[test]
fn what_is_no_number_is_not_read() {
    for text in [
        "",
        ".",
        "-",
        "+",
        "e5",
        "1e",
        "1e+",
        "1e5.",
        "--1",
        "+-1",
        " 1",
        "1 ",
        "1x",
        "nan",
        "0x10",
        "in",
        "1e4933",
        "-1e4933",
        "1e-4952",
        "1e-99999999999",
        "1e99999999999",
    ] {
        assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Extended::parse(&[b'1'; CHARS_MAX]), None);
}

#[test]
fn sums_round_as_the_x87_rounds() {
    for (a, b, shown) in [
        ("0.1", "0.2", "0.3"),
        ("10.5", "0.1", "10.6"),
        ("0.3", "1e5", "100000.29999999999999716"),
        ("1e5", "-100000.3", "-0.29999999999999716"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "0.5", "18446744073709551616"),
        ("1e30", "1", "1000000000000000000024696061952"),
        ("1", "-1", "0"),
        ("1e300", "-1e300", "0"),
    ] {
        assert_eq!(sum(a, b), shown, "{a} + {b}");
    }
}

#[test]
fn infinities_stay_or_cancel() {
    assert_eq!(sum("inf", "1"), "inf");
    assert_eq!(sum("1", "-inf"), "-inf");
    assert_eq!(sum("inf", "inf"), "inf");
    assert_eq!(sum("inf", "-inf"), "nan");
    assert_eq!(sum("1e4932", "1e4932"), "inf");
}

proptest! {
    #[test]
    fn integers_of_63_bits_add_exactly(a in -(1i64 << 62)..1 << 62, b in -(1i64 << 62)..1 << 62) {
        prop_assert_eq!(sum(&a.to_string(), &b.to_string()), (a + b).to_string());
    }

    #[test]
    fn addition_commutes(a in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,2})?", b in "-?[0-9]{1,20}(\\.[0-9]{1,20})?") {
        prop_assert_eq!(sum(&a, &b), sum(&b, &a));
    }

    /// Below 128, the rounding to 64 bits is smaller than half of the last decimal that is shown.
    #[test]
    fn short_decimals_are_shown_as_they_were_written(whole in 0u32..128, decimals in 0u32..1_000_000_000) {
        let text = format!("{whole}.{decimals:09}1");
        prop_assert_eq!(read(&text).to_text(), text);
    }

    /// A double is exact here, so its nearest text is that of the same number.
    #[test]
    fn doubles_are_read_at_least_as_exactly(value in -1e15f64..1e15) {
        let shown: f64 = read(&format!("{value:?}")).to_text().parse().expect("a number");
        prop_assert!((shown - value).abs() <= value.abs() * f64::EPSILON + 1e-17);
    }

    #[test]
    fn no_bytes_make_it_panic(text in "[-+0-9.eEinf]{0,12}") {
        let value = Extended::parse(text.as_bytes());
        prop_assert_eq!(value.is_some_and(Extended::is_finite), value.is_some() && !text.to_lowercase().contains('n'));
    }
}
