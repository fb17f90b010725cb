//! Checks a JSON document and finds the members of its top-level object, in one pass and without building anything.
//!
//! Not a parser: no value is read, so no number's text can change. Besides JSON it accepts the bare tokens `NaN`,
//! `Infinity` and `-Infinity`, which model servers emit and accept. Nesting is bounded and followed without recursion,
//! because a stack overflow is not survivable.

use std::ops::Range;

/// Deepest nesting of objects and arrays that is accepted.
pub const MAX_DEPTH: usize = 128;

/// Where and why a document is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct SyntaxError {
    /// Index of the offending byte; the document's length if it ends too early.
    pub at: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing but white space.
    #[error("no JSON value, the document is empty")]
    Empty,
    /// The bytes are not text.
    #[error("invalid UTF-8")]
    Utf8,
    /// The document stops in the middle.
    #[error("unexpected end")]
    End,
    /// A value should start here.
    #[error("expected a value")]
    Value,
    /// A member's name should start here.
    #[error("expected a member name in double quotes")]
    Key,
    /// The colon after a member's name is missing.
    #[error("expected ':' after a member name")]
    Colon,
    /// An array or object goes on or ends here.
    #[error("expected ',' or the closing bracket")]
    Separator,
    /// A number that JSON's grammar does not allow.
    #[error("malformed number")]
    Number,
    /// A backslash followed by what is no escape.
    #[error("malformed escape sequence")]
    Escape,
    /// A control character inside a string.
    #[error("unescaped control character in a string")]
    Control,
    /// More than one value.
    #[error("unexpected data after the value")]
    Trailing,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

/// Kind of the outermost value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// A string, number, `true`, `false` or `null`.
    Scalar,
}

/// Where a member of the top-level object stands in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name with its quotes.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// Checks a whole document and shows each member of its top-level object to `visit`, in order.
///
/// Members may have been shown before a fault is found.
pub fn scan(body: &[u8], mut visit: impl FnMut(Member)) -> Result<Root, SyntaxError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(SyntaxError { at: error.valid_up_to(), fault: Fault::Utf8 });
    }
    let mut cursor = Cursor { body, at: 0 };
    // Bit d is set if the container at depth d + 1 is an object.
    let mut objects: u128 = 0;
    let mut depth = 0;
    let mut member = Member { key: 0..0, value: 0..0 };
    cursor.skip_space();
    let root = match cursor.peek() {
        None => return Err(cursor.fault(Fault::Empty)),
        Some(b'{') => Root::Object,
        Some(b'[') => Root::Array,
        Some(_) => Root::Scalar,
    };

    loop {
        // A value starts here.
        if depth == 1 {
            member.value.start = cursor.at;
        }
        let opened = match cursor.peek() {
            Some(b'{') => Some(true),
            Some(b'[') => Some(false),
            _ => None,
        };
        if let Some(object) = opened {
            if depth == MAX_DEPTH {
                return Err(cursor.fault(Fault::Depth));
            }
            objects = if object { objects | 1 << depth } else { objects & !(1 << depth) };
            depth += 1;
            cursor.at += 1;
            cursor.skip_space();
            let close = if object { b'}' } else { b']' };
            if cursor.peek() == Some(close) {
                depth -= 1;
                cursor.at += 1;
            } else {
                if object {
                    let key = cursor.member_name()?;
                    if depth == 1 {
                        member.key = key;
                    }
                }
                continue;
            }
        } else {
            cursor.scalar()?;
        }

        // A value ended here.
        loop {
            if depth == 0 {
                cursor.skip_space();
                return if cursor.at == body.len() { Ok(root) } else { Err(cursor.fault(Fault::Trailing)) };
            }
            let object = objects >> (depth - 1) & 1 == 1;
            if object && depth == 1 {
                visit(Member { key: member.key.clone(), value: member.value.start..cursor.at });
            }
            cursor.skip_space();
            match (cursor.peek(), object) {
                (Some(b','), true) => {
                    cursor.at += 1;
                    cursor.skip_space();
                    let key = cursor.member_name()?;
                    if depth == 1 {
                        member.key = key;
                    }
                    break;
                }
                (Some(b','), false) => {
                    cursor.at += 1;
                    cursor.skip_space();
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    depth -= 1;
                    cursor.at += 1;
                }
                _ => return Err(cursor.fault(Fault::Separator)),
            }
        }
    }
}

/// The last member of each of these names, if the document is an object. A name may be written with escapes.
pub fn members<const N: usize>(body: &[u8], names: [&str; N]) -> Result<(Root, [Option<Member>; N]), SyntaxError> {
    let mut found = [const { None }; N];
    let root = scan(body, |member| {
        let key = &body[member.key.start + 1..member.key.end - 1];
        if let Some(index) = names.iter().position(|name| is_name(key, name)) {
            found[index] = Some(member);
        }
    })?;
    Ok((root, found))
}

fn is_name(key: &[u8], name: &str) -> bool {
    if key.contains(&b'\\') { unescape(key).is_some_and(|key| key == name) } else { key == name.as_bytes() }
}

/// A name as it was meant; rare enough to leave to a real parser.
fn unescape(key: &[u8]) -> Option<String> {
    serde_json::from_str(&format!("\"{}\"", std::str::from_utf8(key).ok()?)).ok()
}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// A fault at this place; at the end of the document it is the end that is wrong.
    fn fault(&self, fault: Fault) -> SyntaxError {
        let fault = if self.at >= self.body.len() && fault != Fault::Empty { Fault::End } else { fault };
        SyntaxError { at: self.at, fault }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// A name, the colon and the space after it.
    fn member_name(&mut self) -> Result<Range<usize>, SyntaxError> {
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

    fn scalar(&mut self) -> Result<(), SyntaxError> {
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

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
