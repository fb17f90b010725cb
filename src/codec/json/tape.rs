//! A JSON document as a flat list of its values: what is needed to read values, and the place of each in the text.
//!
//! It accepts what the scanner accepts. Numbers stay text, so none changes; nothing here recurses, and a document is
//! dropped as one list. It costs some forty bytes a value: for messages whose values are wanted, not for passing them on.

use std::borrow::Cow;
use std::ops::Range;

use super::cursor::Cursor;
use super::{Fault, MAX_DEPTH, SyntaxError, unescape};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number, or one of the tokens `NaN`, `Infinity` and `-Infinity`.
    Number,
    /// A string.
    Text,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

struct Node {
    kind: Kind,
    /// Where its text stands.
    start: usize,
    end: usize,
    /// The node after it and all that is in it.
    next: usize,
    /// Items or members.
    len: usize,
}

/// A document that was read.
pub struct Tape<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Tape<'a> {
    /// Reads a whole document.
    pub fn parse(body: &'a [u8]) -> Result<Self, SyntaxError> {
        let text =
            std::str::from_utf8(body).map_err(|error| SyntaxError { at: error.valid_up_to(), fault: Fault::Utf8 })?;
        let mut cursor = Cursor::new(body);
        let mut nodes: Vec<Node> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        cursor.skip_space();
        if cursor.peek().is_none() {
            return Err(cursor.fault(Fault::Empty));
        }
        loop {
            // A value starts here.
            let (start, kind) = (cursor.at, kind_at(&cursor));
            let at = nodes.len();
            nodes.push(Node { kind, start, end: start, next: at + 1, len: 0 });
            if let Kind::Array | Kind::Object = kind {
                if open.len() == MAX_DEPTH {
                    return Err(cursor.fault(Fault::Depth));
                }
                cursor.at += 1;
                cursor.skip_space();
                if cursor.peek() != Some(closing(kind)) {
                    open.push(at);
                    if kind == Kind::Object {
                        name(&mut cursor, &mut nodes)?;
                    }
                    continue;
                }
                cursor.at += 1;
            } else {
                cursor.scalar()?;
            }
            nodes[at].end = cursor.at;

            // A value ended here.
            loop {
                cursor.skip_space();
                let Some(&top) = open.last() else {
                    let done = cursor.at == body.len();
                    return if done { Ok(Self { text, nodes }) } else { Err(cursor.fault(Fault::Trailing)) };
                };
                nodes[top].len += 1;
                match cursor.peek() {
                    Some(b',') => {
                        cursor.at += 1;
                        cursor.skip_space();
                        if nodes[top].kind == Kind::Object {
                            name(&mut cursor, &mut nodes)?;
                        }
                        break;
                    }
                    Some(byte) if byte == closing(nodes[top].kind) => {
                        cursor.at += 1;
                        (nodes[top].end, nodes[top].next) = (cursor.at, nodes.len());
                        open.pop();
                    }
                    _ => return Err(cursor.fault(Fault::Separator)),
                }
            }
        }
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { tape: self, index: 0 }
    }
}

fn kind_at(cursor: &Cursor<'_>) -> Kind {
    match cursor.peek() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::Text,
        Some(b't') => Kind::True,
        Some(b'f') => Kind::False,
        Some(b'n') => Kind::Null,
        // What is no value at all is found by whoever reads it.
        _ => Kind::Number,
    }
}

fn closing(kind: Kind) -> u8 {
    if kind == Kind::Object { b'}' } else { b']' }
}

fn name(cursor: &mut Cursor<'_>, nodes: &mut Vec<Node>) -> Result<(), SyntaxError> {
    let key = cursor.member_name()?;
    nodes.push(Node { kind: Kind::Text, start: key.start, end: key.end, next: nodes.len() + 1, len: 0 });
    Ok(())
}

/// A value of a document.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    tape: &'t Tape<'t>,
    index: usize,
}

impl<'t> Value<'t> {
    fn node(self) -> &'t Node {
        &self.tape.nodes[self.index]
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Where its text stands in the document, in bytes.
    pub fn span(self) -> Range<usize> {
        self.node().start..self.node().end
    }

    /// Its text.
    pub fn raw(self) -> &'t str {
        &self.tape.text[self.span()]
    }

    /// Items of an array or members of an object; 0 for others.
    pub fn len(self) -> usize {
        self.node().len
    }

    /// Whether it has no item and no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A string as it was meant. Nothing for what is no string, or not Unicode.
    pub fn string(self) -> Option<Cow<'t, str>> {
        if self.kind() != Kind::Text {
            return None;
        }
        let raw = self.raw();
        let inner = &raw[1..raw.len() - 1];
        if inner.contains('\\') { unescape(inner.as_bytes()).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
    }

    /// The items of an array; none for others.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> {
        let end = if self.kind() == Kind::Array { self.node().next } else { self.index };
        let mut at = self.index + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let item = Value { tape: self.tape, index: at };
                at = item.node().next;
                item
            })
        })
    }

    /// Names and values of an object's members in order; none for others.
    pub fn members(self) -> impl Iterator<Item = (Value<'t>, Value<'t>)> {
        let end = if self.kind() == Kind::Object { self.node().next } else { self.index };
        let mut at = self.index + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let (name, value) = (Value { tape: self.tape, index: at }, Value { tape: self.tape, index: at + 1 });
                at = value.node().next;
                (name, value)
            })
        })
    }

    /// The last member of a name, unless it is null.
    pub fn get(self, name: &str) -> Option<Value<'t>> {
        let found = self.members().filter(|(key, _)| key.string().is_some_and(|key| key == name)).last();
        found.map(|(_, value)| value).filter(|value| value.kind() != Kind::Null)
    }

    /// What it is, for people; scalars are quoted, long ones shortened.
    pub fn shown(self) -> String {
        match self.kind() {
            Kind::Array => "an array".to_owned(),
            Kind::Object => "an object".to_owned(),
            _ => shortened(self.raw()),
        }
    }

    /// Follows nested arrays to the values in them, row by row, and gives their shape; a value that is no array has
    /// the shape of a scalar. Rows of different lengths or depths are refused.
    pub fn grid(self, mut leaf: impl FnMut(Value<'t>) -> Result<(), String>) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        let mut first = self;
        while first.kind() == Kind::Array {
            shape.push(first.len());
            match first.items().next() {
                Some(item) => first = item,
                None => break,
            }
        }
        let nodes = &self.tape.nodes;
        let mut open: Vec<usize> = Vec::new();
        let (mut at, end) = (self.index, self.node().next);
        while at < end {
            while open.last().is_some_and(|&index| nodes[index].next <= at) {
                open.pop();
            }
            let value = Value { tape: self.tape, index: at };
            if value.kind() == Kind::Array {
                if shape.get(open.len()) != Some(&value.len()) {
                    return Err("its rows differ in length or depth".to_owned());
                }
                open.push(at);
                at += 1;
            } else {
                if open.len() != shape.len() {
                    return Err("its rows differ in length or depth".to_owned());
                }
                leaf(value)?;
                at = value.node().next;
            }
        }
        Ok(shape)
    }
}

/// A text that may be long, as an error names it.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
