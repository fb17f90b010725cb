//! JSON's numbers: text to a value that is known to be the same, and back in the shortest text that reads as the value.

use std::cmp::Ordering;
use std::fmt::Write;

/// A finite number as decimal digits: 0.DIGITS times ten to the power of `point`.
#[derive(Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Neither the first nor the last is zero; none for zero.
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// Reads a JSON number. Nothing for the tokens NaN and Infinity.
    pub fn read(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // An exponent out of range is as good as one far beyond any double's.
        let sign = if exponent.starts_with('-') { -1 } else { 1 };
        let exponent = exponent.parse().unwrap_or(sign * i64::from(i32::MAX));
        let all = whole.bytes().chain(fraction.bytes());
        let zeros = all.clone().take_while(|&byte| byte == b'0').count();
        let mut digits: Vec<u8> = all.skip(zeros).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { exponent.saturating_add(whole.len() as i64 - zeros as i64) };
        Some(Self { negative, digits, point })
    }

    /// The exact value of a finite double.
    pub fn exactly(value: f64) -> Option<Self> {
        // A digit for each bit behind the point, and enough for the bits before it: no more are needed, and asking for
        // many is slow.
        let (bits, exponent) = (value.to_bits(), (value.to_bits() >> 52 & 0x7ff) as i32 - 1023);
        let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
        let behind = (52 - mantissa.trailing_zeros() as i32 - exponent).max(0);
        let digits = (behind + exponent.max(0) / 3 + 1) as usize;
        Self::read(&format!("{value:.digits$e}"))
    }

    /// Compares without regard to sign.
    pub fn cmp_size(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (false, false) => self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits)),
            (left, right) => right.cmp(&left),
        }
    }

    fn integer(&self) -> Option<i128> {
        let zeros = usize::try_from(self.point).ok()?.checked_sub(self.digits.len())?;
        if self.point > 38 {
            return None;
        }
        let text = [&self.digits[..], &b"0".repeat(zeros)].concat();
        let size: i128 = if text.is_empty() { 0 } else { std::str::from_utf8(&text).ok()?.parse().ok()? };
        Some(if self.negative { -size } else { size })
    }

    /// Its digits, all of them.
    fn print(&self, out: &mut String) {
        let sign = if self.negative { "-" } else { "" };
        let digits = std::str::from_utf8(&self.digits).unwrap_or_default();
        match digits.split_at_checked(1) {
            None => push(out, format_args!("{sign}0.0")),
            Some((first, "")) => push(out, format_args!("{sign}{first}e{}", self.point - 1)),
            Some((first, rest)) => push(out, format_args!("{sign}{first}.{rest}e{}", self.point - 1)),
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes any text");
}

/// The value of a number that is an integer, however it is written: `1`, `1.0`, `1e2`.
pub fn integer(text: &str) -> Option<i128> {
    text.parse().ok().or_else(|| Decimal::read(text)?.integer())
}

/// The nearest double, the tokens NaN and Infinity included. Nothing for a number beyond the largest double.
pub fn double(text: &str) -> Option<f64> {
    if let Some(token) = token(text) {
        return Some(token);
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The nearest float; as [`double`].
pub fn float(text: &str) -> Option<f32> {
    if let Some(token) = token(text) {
        return Some(token as f32);
    }
    text.parse().ok().filter(|value: &f32| value.is_finite())
}

/// The values that JSON has no number for, as model servers write them.
pub fn token(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The double that stands for this text without loss: an integer must be one exactly, and of a decimal the 17 digits
/// that tell one double from the next; with more it must be the double's exact value.
pub fn kept(text: &str) -> Option<f64> {
    const TELLING: usize = 17;
    let value = double(text)?;
    if !value.is_finite() {
        return Some(value);
    }
    let plain = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    if plain && text.len() <= 15 {
        return Some(value);
    }
    if !plain && text.len() <= TELLING && value != 0.0 {
        return Some(value);
    }
    let decimal = Decimal::read(text)?;
    let lost_in_zero = value == 0.0 && !decimal.digits.is_empty();
    let exact = || Decimal::exactly(value).is_some_and(|exact| exact == decimal);
    let same = if plain || decimal.digits.len() > TELLING { exact() } else { !lost_in_zero };
    same.then_some(value)
}

/// Appends a double: the shortest text that reads as it, always with a point or an exponent; NaN and Infinity as tokens.
pub fn print(out: &mut String, value: f64) {
    match value {
        _ if value.is_nan() => out.push_str("NaN"),
        _ if value.is_infinite() => out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        _ => push(out, format_args!("{value:?}")),
    }
}

/// Appends a float, as [`print()`] does a double.
pub fn print_float(out: &mut String, value: f32) {
    if value.is_finite() { push(out, format_args!("{value:?}")) } else { print(out, f64::from(value)) }
}

/// Appends the exact decimal value of a double.
pub fn print_exactly(out: &mut String, value: f64) {
    let mut short = String::new();
    print(&mut short, value);
    match (Decimal::read(&short), Decimal::exactly(value)) {
        (Some(printed), Some(exact)) if printed != exact => exact.print(out),
        _ => out.push_str(&short),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_read_by_value() {
        for (text, value) in
            [("0", 0), ("-0", 0), ("1.0", 1), ("1e2", 100), ("-12.50e1", -125), ("0.0", 0), ("1e-0", 1)]
        {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        assert_eq!(integer("18446744073709551615"), Some(i128::from(u64::MAX)));
        for text in ["1.5", "1e-1", "NaN", "1e39", "1e99999999999999999999", "-Infinity"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_no_double_stands_for_is_refused() {
        for text in
            ["1", "1.0", "0.1", "9007199254740992", "0.30000000000000004", "1.7976931348623157e308", "1e23", "5e-324"]
        {
            assert!(kept(text).is_some(), "{text}");
        }
        // Exactly the double, in more digits than are needed.
        assert!(kept("0.1000000000000000055511151231257827021181583404541015625").is_some());
        assert!(kept("0.10000000000000001").is_some() && kept("NaN").is_some_and(f64::is_nan));
        for text in ["9007199254740993", "0.1234567890123456789", "1e400", "1e-400", "100000000000000000000000"] {
            assert_eq!(kept(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_printed_as_what_they_are() {
        let printed = |value| {
            let mut out = String::new();
            print(&mut out, value);
            out
        };
        assert_eq!([1.0, 0.1, -0.0, 1e16, 1e-7].map(printed), ["1.0", "0.1", "-0.0", "1e16", "1e-7"]);
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(printed), ["NaN", "Infinity", "-Infinity"]);
        let mut out = String::new();
        print_exactly(&mut out, 2f64.powi(-24));
        assert_eq!(out, "5.9604644775390625e-8");
        // The way that asks for all the digits that any double has.
        let all = |value: f64| Decimal::read(&format!("{value:.766e}"));
        for value in [5e-324, f64::MAX, f64::MIN_POSITIVE, 1.0, 0.0, 0.1, 1e23, -2.5e-300, 2f64.powi(-133)] {
            assert_eq!(Decimal::exactly(value), all(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(value: f64, small: f32) {
            let (mut out, mut exact, mut single) = (String::new(), String::new(), String::new());
            print(&mut out, value);
            print_exactly(&mut exact, value);
            print_float(&mut single, small);
            prop_assert_eq!(kept(&out).unwrap().to_bits(), if value.is_nan() { f64::NAN } else { value }.to_bits());
            let all = Decimal::read(&format!("{value:.766e}"));
            prop_assert_eq!(Decimal::exactly(value), all);
            prop_assert_eq!(kept(&exact).map(f64::to_bits), kept(&out).map(f64::to_bits));
            prop_assert!(float(&single).unwrap().to_bits() == small.to_bits() || small.is_nan());
            prop_assert!(!value.is_finite() || out.contains(['.', 'e']));
        }

        #[test]
        fn decimals_compare_as_numbers(left in -1_000_000i64..1_000_000, right in -1_000_000i64..1_000_000, shift in 0usize..4) {
            let text = |value: i64| format!("{value}{}e-{shift}", "0".repeat(shift));
            let (a, b) = (Decimal::read(&text(left)).unwrap(), Decimal::read(&right.to_string()).unwrap());
            prop_assert_eq!(a.cmp_size(&b), left.abs().cmp(&right.abs()));
        }
    }
}
