//! Checks a JSON document and finds the members of its top-level object, in one pass and without building anything.
//!
//! Not a parser: no value is read, so no number's text can change. Besides JSON it accepts the bare tokens `NaN`,
//! `Infinity` and `-Infinity`, which model servers emit and accept. Nesting is bounded and followed without recursion,
//! because a stack overflow is not survivable.

mod cursor;
pub mod edit;
pub mod fields;
mod lookup;
pub mod number;
pub mod tape;

use std::ops::Range;

use self::cursor::Cursor;
pub use self::lookup::{first, items, path};

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
    walk(body, |member, object| {
        if object {
            visit(member);
        }
    })
}

/// Shows what stands directly below the top to `visit`, and whether it is a member of an object; an element of an array
/// has no name.
fn walk(body: &[u8], mut visit: impl FnMut(Member, bool)) -> Result<Root, SyntaxError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(SyntaxError { at: error.valid_up_to(), fault: Fault::Utf8 });
    }
    let mut cursor = Cursor::new(body);
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
            // Tensors, for the most part: no need to come by here for each of their numbers.
            if depth > 1 && objects >> (depth - 1) & 1 == 0 {
                // Nothing that is shown ends with an array below the third level.
                cursor.further_numbers(depth > 2 && objects >> (depth - 2) & 1 == 0)?;
            }
        }

        // A value ended here.
        loop {
            if depth == 0 {
                cursor.skip_space();
                return if cursor.at == body.len() { Ok(root) } else { Err(cursor.fault(Fault::Trailing)) };
            }
            let object = objects >> (depth - 1) & 1 == 1;
            if depth == 1 {
                visit(Member { key: member.key.clone(), value: member.value.start..cursor.at }, object);
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

/// The same of the value that a document begins with; what follows it is not looked at, but must be text.
pub fn first_members<const N: usize>(
    body: &[u8],
    names: [&str; N],
) -> Result<(Root, [Option<Member>; N]), SyntaxError> {
    match members(body, names) {
        Err(SyntaxError { at, fault: Fault::Trailing }) => members(&body[..at], names),
        found => found,
    }
}

fn is_name(key: &[u8], name: &str) -> bool {
    if key.contains(&b'\\') { unescape(key).is_some_and(|key| key == name) } else { key == name.as_bytes() }
}

/// A name as it was meant; rare enough to leave to a real parser.
fn unescape(key: &[u8]) -> Option<String> {
    serde_json::from_str(&format!("\"{}\"", std::str::from_utf8(key).ok()?)).ok()
}

#[cfg(test)]
mod lookup_tests;
#[cfg(test)]
mod tests;
