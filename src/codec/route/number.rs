//! Numbers in all the ways in which an answer can hold them, and which of them are routes.

use std::fmt;

use super::super::error::{RouteError, shown};

/// A number as it was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Uint(u64),
    Float(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Uint(value) => value.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

impl Number {
    /// The route that it is.
    pub(super) fn route(self) -> Result<i32, RouteError> {
        let whole = match self {
            Self::Int(value) => i32::try_from(value).ok(),
            Self::Uint(value) => i32::try_from(value).ok(),
            // Between these bounds the conversion is exact.
            Self::Float(value) if value.fract() == 0.0 && (-2.0..=f64::from(i32::MAX)).contains(&value) => {
                Some(value as i32)
            }
            Self::Float(_) => None,
        };
        whole.filter(|route| *route >= -2).ok_or_else(|| RouteError::NotRoute(self.to_string()))
    }

    /// The first element of a tensor's little-endian bytes, if the datatype is one of numbers and there is one.
    pub(super) fn first(datatype: &str, bytes: &[u8]) -> Option<Self> {
        Some(match datatype {
            "INT8" => Self::Int(i8::from_le_bytes(*bytes.first_chunk()?).into()),
            "INT16" => Self::Int(i16::from_le_bytes(*bytes.first_chunk()?).into()),
            "INT32" => Self::Int(i32::from_le_bytes(*bytes.first_chunk()?).into()),
            "INT64" => Self::Int(i64::from_le_bytes(*bytes.first_chunk()?)),
            "UINT8" => Self::Uint(u8::from_le_bytes(*bytes.first_chunk()?).into()),
            "UINT16" => Self::Uint(u16::from_le_bytes(*bytes.first_chunk()?).into()),
            "UINT32" => Self::Uint(u32::from_le_bytes(*bytes.first_chunk()?).into()),
            "UINT64" => Self::Uint(u64::from_le_bytes(*bytes.first_chunk()?)),
            "FP16" => Self::Float(half(u16::from_le_bytes(*bytes.first_chunk()?))),
            "BF16" => Self::Float(f32::from_bits(u32::from(u16::from_le_bytes(*bytes.first_chunk()?)) << 16).into()),
            "FP32" => Self::Float(f32::from_le_bytes(*bytes.first_chunk()?).into()),
            "FP64" => Self::Float(f64::from_le_bytes(*bytes.first_chunk()?)),
            _ => return None,
        })
    }
}

/// The value of a 16-bit float.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The route that a JSON value is.
pub(in crate::codec) fn of_text(value: &[u8]) -> Result<i32, RouteError> {
    let refused = || RouteError::NotRoute(shown(value));
    // Rust reads as numbers what JSON does not: words, and a plus.
    if !value.first().is_some_and(|byte| matches!(byte, b'-' | b'0'..=b'9')) {
        return Err(refused());
    }
    let text = std::str::from_utf8(value).map_err(|_| refused())?;
    let number = match text.parse() {
        Ok(value) => Number::Int(value),
        Err(_) => Number::Float(text.parse().map_err(|_| refused())?),
    };
    number.route().map_err(|_| refused())
}

/// The route that an integer is.
pub(in crate::codec) fn of_int(value: i64) -> Result<i32, RouteError> {
    Number::Int(value).route()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_from_minus_two_are_routes_however_they_are_written() {
        for (text, route) in
            [("0", 0), ("-0", 0), ("-0.0", 0), ("1.0", 1), ("10e-1", 1), ("-2", -2), ("2147483647", i32::MAX)]
        {
            assert_eq!(of_text(text.as_bytes()), Ok(route), "{text}");
        }
        let others = [
            "1.5",
            "-3",
            "-2.5",
            "2147483648",
            "1e300",
            "NaN",
            "Infinity",
            "-Infinity",
            "true",
            "\"1\"",
            "null",
            "",
            "{}",
        ];
        for text in others {
            assert_eq!(of_text(text.as_bytes()), Err(RouteError::NotRoute(text.to_owned())), "{text}");
        }
        let long = format!("\"{}\"", "é".repeat(100));
        let Err(RouteError::NotRoute(found)) = of_text(long.as_bytes()) else { panic!("text is no route") };
        assert_eq!(found, format!("\"{}…", "é".repeat(39)));
    }

    #[test]
    fn elements_are_read_in_their_type() {
        assert_eq!(Number::first("INT8", &[0xff]), Some(Number::Int(-1)));
        assert_eq!(Number::first("INT64", &[1, 0, 0, 0, 0, 0, 0, 0, 9]), Some(Number::Int(1)));
        assert_eq!(Number::first("UINT64", &[0xff; 8]), Some(Number::Uint(u64::MAX)));
        assert_eq!(Number::first("FP16", &[0x00, 0x40]), Some(Number::Float(2.0)));
        assert_eq!(Number::first("FP16", &[0x01, 0x80]), Some(Number::Float(-(2f64.powi(-24)))));
        assert_eq!(Number::first("FP16", &[0x00, 0xfc]), Some(Number::Float(f64::NEG_INFINITY)));
        assert_eq!(Number::first("BF16", &[0x80, 0x3f]), Some(Number::Float(1.0)));
        assert_eq!(Number::first("FP32", &[0, 0, 0x80, 0x3f]), Some(Number::Float(1.0)));
        assert_eq!(Number::first("FP32", &[0, 0, 0x80]), None);
        assert_eq!(Number::first("BOOL", &[1]), None);
        assert_eq!(Number::first("", &[]), None);
    }
}
