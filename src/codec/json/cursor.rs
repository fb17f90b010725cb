//! A place in a JSON document, and what may stand there: white space, names, scalars.

use std::ops::Range;

use super::{Fault, SyntaxError};

pub(super) struct Cursor<'a> {
    body: &'a [u8],
    /// Index of the next byte.
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// A fault at this place; at the end of the document it is the end that is wrong.
    pub(super) fn fault(&self, fault: Fault) -> SyntaxError {
        let fault = if self.at >= self.body.len() && fault != Fault::Empty { Fault::End } else { fault };
        SyntaxError { at: self.at, fault }
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// A name, the colon and the space after it.
    pub(super) fn member_name(&mut self) -> Result<Range<usize>, SyntaxError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.fault(Fault::Key));
        }
        self.string()?;
        let key = start..self.at;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.fault(Fault::Colon));
        }
        self.at += 1;
        self.skip_space();
        Ok(key)
    }

    pub(super) fn scalar(&mut self) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'N') => self.word("NaN"),
            Some(b'I') => self.word("Infinity"),
            _ => Err(self.fault(Fault::Value)),
        }
    }

    /// The numbers that follow a value of an array, each right behind its comma or a space after that; if the array is `nested`,
    /// one in another, also those of arrays that follow it. What else follows is not looked at.
    pub(super) fn further_numbers(&mut self, nested: bool) -> Result<(), SyntaxError> {
        loop {
            let (between, rest) = match &self.body[self.at..] {
                [b',', rest @ ..] => (1, rest),
                [b']', b',', b'[', rest @ ..] if nested => (3, rest),
                _ => return Ok(()),
            };
            // Most are so: a digit, the point, digits.
            if let [b'0'..=b'9', b'.', fraction @ ..] = rest {
                let digits = leading_digits(fraction);
                if digits > 0 && !matches!(fraction.get(digits), Some(b'e' | b'E')) {
                    self.at += between + 2 + digits;
                    continue;
                }
            }
            let space = match rest {
                [b'-' | b'0'..=b'9', ..] => 0,
                [b' ', b'-' | b'0'..=b'9', ..] => 1,
                _ => return Ok(()),
            };
            self.at += between + space;
            self.number()?;
        }
    }

    fn word(&mut self, word: &str) -> Result<(), SyntaxError> {
        let rest = &self.body[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        if word.as_bytes().starts_with(rest) {
            self.at = self.body.len();
        }
        Err(self.fault(Fault::Value))
    }

    #[inline]
    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
            if self.peek() == Some(b'I') {
                return self.word("Infinity");
            }
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if let Some(b'0'..=b'9') = self.peek() {
                return Err(self.fault(Fault::Number));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), SyntaxError> {
        let digits = leading_digits(&self.body[self.at..]);
        self.at += digits;
        if digits == 0 { Err(self.fault(Fault::Number)) } else { Ok(()) }
    }

    /// A string, from its opening quote past its closing one. That it is UTF-8 is known.
    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            self.at += plain_prefix(&self.body[self.at..]);
            match self.peek() {
                None => return Err(self.fault(Fault::End)),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.fault(Fault::Control)),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.fault(Fault::Escape));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.fault(Fault::Escape)),
        }
        Ok(())
    }
}

/// A one in each byte of a word.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each byte.
const TOPS: u64 = ONES << 7;

/// How many digits the bytes begin with. Tensors are digits for the most part, so they are looked at two words at a time.
#[inline]
fn leading_digits(bytes: &[u8]) -> usize {
    let mut count = 0;
    // A double has up to 17 of them, so that the two words tell most numbers without another turn.
    while let Some((two, rest)) = bytes[count..].split_first_chunk::<16>() {
        let [first, second] = [&two[..8], &two[8..]].map(|word| {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            // 0 to 9 in the bytes that are digits; adding 0x76 sets the highest bit of all others. What is carried on from a
            // byte that is none changes only those behind it.
            let values = word ^ (ONES * u64::from(b'0'));
            (values.wrapping_add(ONES * 0x76) | values) & TOPS
        });
        if first != 0 {
            return count + first.trailing_zeros() as usize / 8;
        }
        if second != 0 {
            return count + 8 + second.trailing_zeros() as usize / 8;
        }
        count += 16;
        if rest.first().is_none_or(|byte| !byte.is_ascii_digit()) {
            return count;
        }
    }
    count + bytes[count..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// How many bytes, in steps of eight, surely hold no quote, backslash or control character.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let special = zero(word ^ (ONES * u64::from(b'"')))
            | zero(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if special & TOPS != 0 {
            return index * 8;
        }
    }
    words.len() * 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_counted_as_one_by_one(
            digits in "[0-9]{0,30}", other in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let bytes = [digits.as_bytes(), &[other], &rest].concat();
            let expected = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            prop_assert_eq!(leading_digits(&bytes), expected);
        }
    }
}
