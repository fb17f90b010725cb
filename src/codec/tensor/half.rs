//! The two 16-bit floating point formats, FP16 and BF16: bit patterns to doubles, exactly, and back, correctly rounded.

use std::cmp::Ordering;

use crate::codec::json::number::{self, Decimal};

/// A 16-bit floating point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// IEEE half precision: 5 bits of exponent, 10 of mantissa.
    Fp16,
    /// The upper half of a float: 8 bits of exponent, 7 of mantissa.
    Bf16,
}

impl Half {
    /// Bits of exponent and mantissa.
    fn widths(self) -> (u32, u32) {
        match self {
            Self::Fp16 => (5, 10),
            Self::Bf16 => (8, 7),
        }
    }

    /// Value of a bit pattern.
    pub fn value(self, bits: u16) -> f64 {
        let (range, digits) = self.widths();
        let offset = (1 << (range - 1)) - 1;
        let exponent = i32::from(bits >> digits) & ((1 << range) - 1);
        let mantissa = f64::from(bits & ((1 << digits) - 1));
        let implied = f64::from(1u16 << digits);
        let size = if exponent == (1 << range) - 1 {
            if mantissa == 0.0 { f64::INFINITY } else { f64::NAN }
        } else if exponent == 0 {
            mantissa * power(1 - offset - digits as i32)
        } else {
            (implied + mantissa) * power(exponent - offset - digits as i32)
        };
        if bits >> 15 == 1 { -size } else { size }
    }

    /// Bit pattern nearest to a value, ties to even. What is too large becomes infinity.
    pub fn round(self, value: f64) -> u16 {
        let (range, digits) = self.widths();
        let offset = (1 << (range - 1)) - 1;
        let sign = u16::from(value.is_sign_negative()) << 15;
        let infinity = ((1u32 << range) - 1) << digits;
        if value.is_nan() {
            return infinity as u16 | 1 << (digits - 1);
        }
        if value.is_infinite() {
            return sign | infinity as u16;
        }
        let (scaled, exponent) = self.scaled(value);
        // A mantissa that rounds up to the next power of two carries into the exponent, as it should.
        let steps = scaled.round_ties_even() as u64;
        let pattern = (((exponent + offset) as u64) << digits) + steps - (1 << digits);
        sign | pattern.min(u64::from(infinity)) as u16
    }

    /// Size in units of the last place, and the exponent that they belong to.
    fn scaled(self, value: f64) -> (f64, i32) {
        let (range, digits) = self.widths();
        let smallest = 2 - (1 << (range - 1));
        let own = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        let exponent = own.max(smallest);
        (value.abs() * power(digits as i32 - exponent), exponent)
    }

    /// Bit pattern nearest to a JSON number; nothing when that is too large.
    pub fn read(self, text: &str) -> Option<u16> {
        if let Some(token) = number::token(text) {
            return Some(self.round(token));
        }
        let mut value = number::double(text)?;
        // Rounding twice goes wrong where the first rounding made a tie that the text is not.
        if value.abs() < f64::MAX.sqrt() && self.scaled(value).0.fract().to_bits() == 0.5f64.to_bits() {
            let (exact, written) = (Decimal::exactly(value)?, Decimal::read(text)?);
            let toward = match written.cmp_size(&exact) {
                Ordering::Greater => f64::INFINITY,
                Ordering::Less => 0.0,
                Ordering::Equal => value.abs(),
            };
            let size = value.abs();
            let moved = if toward > size {
                size.next_up()
            } else if toward < size {
                size.next_down()
            } else {
                size
            };
            value = moved.copysign(value);
        }
        let bits = self.round(value);
        self.value(bits).is_finite().then_some(bits)
    }
}

/// A power of two that a double holds.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent.clamp(-1022, 1023)) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_pattern_is_the_nearest_to_its_own_value() {
        for half in [Half::Fp16, Half::Bf16] {
            for bits in 0..=u16::MAX {
                let value = half.value(bits);
                let again = half.round(value);
                assert!(again == bits || value.is_nan() && half.value(again).is_nan(), "{half:?} {bits:#x}");
                let mut text = String::new();
                number::print_exactly(&mut text, value);
                assert_eq!(half.read(&text), Some(again), "{half:?} {bits:#x} {text}");
            }
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(Half::Fp16.value(0x3c00).total_cmp(&1.0), Ordering::Equal);
        assert_eq!(Half::Fp16.value(0x7bff).total_cmp(&65504.0), Ordering::Equal);
        assert_eq!(Half::Fp16.value(0x0001).total_cmp(&2f64.powi(-24)), Ordering::Equal);
        assert_eq!(Half::Bf16.value(0x3f80).total_cmp(&1.0), Ordering::Equal);
        assert_eq!(Half::Fp16.read("0.1"), Some(0x2e66));
        assert_eq!(Half::Fp16.read("65519.99"), Some(0x7bff));
        assert_eq!(Half::Fp16.read("65520"), None);
        assert_eq!(Half::Fp16.read("1e400"), None);
        assert_eq!(Half::Fp16.read("-Infinity"), Some(0xfc00));
        assert_eq!(Half::Fp16.read("-0.0"), Some(0x8000));
        assert_eq!(Half::Fp16.read("1e-300"), Some(0));
    }

    #[test]
    fn a_number_is_rounded_once() {
        // 1 + 2^-11 is a tie, to even; a text a little above it is none, though its double is the tie.
        assert_eq!(Half::Fp16.read("1.00048828125"), Some(0x3c00));
        assert_eq!(Half::Fp16.read("1.00048828125000000000000001"), Some(0x3c01));
        assert_eq!(Half::Fp16.read("-1.00048828125000000000000001"), Some(0xbc01));
        assert_eq!(Half::Fp16.read("1.00146484375"), Some(0x3c02));
        assert_eq!(Half::Fp16.read("1.00146484374999999999999999"), Some(0x3c01));
    }

    proptest! {
        #[test]
        fn rounding_gives_the_nearest(value in -65504.0f64..65504.0) {
            for half in [Half::Fp16, Half::Bf16] {
                let bits = half.round(value);
                let off = (half.value(bits) - value).abs();
                for other in [bits.wrapping_sub(1), bits.wrapping_add(1)] {
                    let next = (half.value(other) - value).abs();
                    prop_assert!(next.partial_cmp(&off) != Some(Ordering::Less), "{half:?} {value} {bits:#x}");
                }
            }
        }
    }
}
