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
    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(Fault::Number)) } else { Ok(()) }
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

/// How many bytes, in steps of eight, surely hold no quote, backslash or control character.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
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
