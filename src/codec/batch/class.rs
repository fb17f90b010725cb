//! Classes of the values in an array. Servers make one array of all rows, and its type is that of the widest value in
//! it: only requests of the same classes are answered together as each is alone.

use crate::codec::json::tape::{Kind, Value};

/// The classes that values are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes(u8);

const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const TEXT: u8 = 4;
const TRUTH: u8 = 8;
const BASE64: u8 = 16;

impl Classes {
    /// Of floats only.
    pub(super) const FLOATS: Self = Self(FLOAT);
    /// Of texts only.
    pub(super) const TEXTS: Self = Self(TEXT);
    /// Of truth values only.
    pub(super) const TRUTHS: Self = Self(TRUTH);

    /// Adds a value's class; nothing for null, other objects, and integers that 64 bits do not hold: their class depends
    /// on their neighbours.
    pub(super) fn add(&mut self, value: Value<'_>) -> Option<()> {
        self.0 |= match value.kind() {
            Kind::Number => number(value.raw())?,
            Kind::Text => TEXT,
            Kind::True | Kind::False => TRUTH,
            Kind::Object if is_base64(value) => BASE64,
            Kind::Object | Kind::Array | Kind::Null => return None,
        };
        Some(())
    }

    /// Adds the classes of other values.
    pub(super) fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// A number that tells these classes from others. Integers among floats are floats, but not once all become text.
    pub(super) fn code(self) -> u64 {
        let blended = self.0 & FLOAT != 0 && self.0 & TEXT == 0;
        u64::from(if blended { self.0 & !INTEGER } else { self.0 })
    }

    /// Whether there is a value at all.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether bytes in base64 stand among other values.
    pub(super) fn is_odd(self) -> bool {
        self.0 & BASE64 != 0 && self.0 != BASE64
    }
}

fn number(text: &str) -> Option<u8> {
    if text.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'-') {
        return Some(FLOAT);
    }
    (text.len() <= 18 || text.parse::<i64>().is_ok()).then_some(INTEGER)
}

/// TensorFlow's way of writing bytes.
fn is_base64(value: Value<'_>) -> bool {
    let mut members = value.members();
    let only = members.next().filter(|_| members.next().is_none());
    only.is_some_and(|(name, text)| text.kind() == Kind::Text && name.string().is_some_and(|name| name == "b64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::tape::Tape;

    fn code(array: &str) -> Option<u64> {
        let tape = Tape::parse(array.as_bytes()).unwrap();
        let mut classes = Classes::default();
        tape.root().items().try_for_each(|item| classes.add(item))?;
        Some(classes.code())
    }

    #[test]
    fn a_class_is_told_from_the_others() {
        let codes = ["[1]", "[1.0]", "[\"1\"]", "[true]", "[{\"b64\":\"\"}]", "[1,\"1\"]", "[1.0,\"1\"]", "[1,true]"];
        let codes: std::collections::BTreeSet<_> = codes.map(|array| code(array).unwrap()).into();
        assert_eq!(codes.len(), 8);
        assert_eq!(code("[1,2.5]"), code("[1e2]"));
        assert_eq!(code("[NaN,-Infinity]"), code("[1.0]"));
        assert_ne!(code("[1,2.5,\"a\"]"), code("[2.5,\"a\"]"));
        assert_eq!(code("[9223372036854775807,-9223372036854775808,-0]"), code("[1]"));
        for odd in ["[null]", "[{}]", "[[]]", "[9223372036854775808]", "[{\"b64\":1}]", "[{\"b64\":\"\",\"c\":\"\"}]"] {
            assert_eq!(code(odd), None, "{odd}");
        }
    }
}
