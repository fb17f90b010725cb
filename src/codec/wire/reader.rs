//! A place in a message, and what may stand there: varints, tags, lengths, and fields that nobody knows.

use std::ops::Range;

/// Deepest nesting of messages and groups below the outermost message; prost's own limit.
pub const MAX_DEPTH: usize = 100;

/// Where and why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct WireError {
    /// Index of the byte where reading stopped.
    pub at: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number that does not end, or does not fit in 64 bits.
    #[error("malformed varint")]
    Varint,
    /// A field number or wire type that there is not.
    #[error("malformed field tag")]
    Tag,
    /// The bytes end before the field does.
    #[error("field longer than what is left")]
    End,
    /// A known field with the encoding of another type.
    #[error("field {number} of {message} with a wire type that is not its own")]
    WireType {
        /// Full name of the message that the field belongs to.
        message: &'static str,
        /// Number of the field.
        number: u32,
    },
    /// A text field that is no text.
    #[error("field {number} of {message} is not UTF-8")]
    Utf8 {
        /// Full name of the message that the field belongs to.
        message: &'static str,
        /// Number of the field.
        number: u32,
    },
    /// The end of a group that is not open.
    #[error("end of a group that did not begin")]
    Group,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

/// How a field is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A number of one to ten bytes.
    Varint = 0,
    /// Eight bytes.
    Fixed64 = 1,
    /// A length and as many bytes.
    Bytes = 2,
    /// Fields up to the end of the group.
    GroupStart = 3,
    /// The end of a group.
    GroupEnd = 4,
    /// Four bytes.
    Fixed32 = 5,
}

/// A field as it stands in its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub number: u32,
    /// Its encoding.
    pub wire: Wire,
    /// Tag and value.
    pub whole: Range<usize>,
    /// All after the tag, a length included.
    pub tail: Range<usize>,
    /// The value; of bytes without their length.
    pub value: Range<usize>,
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Index of the next byte.
    pub(super) at: usize,
    /// Where the message at hand ends.
    pub(super) end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: bytes.len() }
    }

    pub(super) fn fault(&self, fault: Fault) -> WireError {
        WireError { at: self.at, fault }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (index, byte) in self.rest().iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(self.fault(Fault::Varint))
    }

    pub(super) fn tag(&mut self) -> Result<(u32, Wire), WireError> {
        let start = self.at;
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            3 => Wire::GroupStart,
            4 => Wire::GroupEnd,
            5 => Wire::Fixed32,
            _ => return Err(WireError { at: start, fault: Fault::Tag }),
        };
        match u32::try_from(key) {
            Ok(key) if key >> 3 != 0 => Ok((key >> 3, wire)),
            _ => Err(WireError { at: start, fault: Fault::Tag }),
        }
    }

    /// Bytes that are there, stepped over.
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let rest = self.rest();
        match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => Err(self.fault(Fault::End)),
        }
    }

    /// A length and as many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        self.take(length)
    }

    /// The rest of a field that nobody knows, at this depth. Groups are followed without recursion.
    pub(super) fn skip(&mut self, number: u32, wire: Wire, depth: usize) -> Result<(), WireError> {
        let mut groups = Vec::new();
        let (mut number, mut wire) = (number, wire);
        loop {
            if wire != Wire::GroupEnd && depth + groups.len() >= MAX_DEPTH {
                return Err(self.fault(Fault::Depth));
            }
            match wire {
                Wire::Varint => drop(self.varint()?),
                Wire::Fixed64 => drop(self.take(8)?),
                Wire::Fixed32 => drop(self.take(4)?),
                Wire::Bytes => drop(self.bytes()?),
                Wire::GroupStart => groups.push(number),
                Wire::GroupEnd => {
                    if groups.pop() != Some(number) {
                        return Err(self.fault(Fault::Group));
                    }
                }
            }
            if groups.is_empty() {
                return Ok(());
            }
            (number, wire) = self.tag()?;
        }
    }

    fn part(&mut self) -> Result<Part, WireError> {
        let start = self.at;
        let (number, wire) = self.tag()?;
        let tail = self.at;
        let value = if wire == Wire::Bytes {
            let length = self.bytes()?.len();
            self.at - length..self.at
        } else {
            self.skip(number, wire, 0)?;
            tail..self.at
        };
        Ok(Part { number, wire, whole: start..self.at, tail: tail..self.at, value })
    }
}

/// The fields of a message in the order in which they stand; ends after an error.
pub fn parts(message: &[u8]) -> impl Iterator<Item = Result<Part, WireError>> + '_ {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        (reader.at < reader.end).then(|| {
            let part = reader.part();
            if part.is_err() {
                reader.end = reader.at;
            }
            part
        })
    })
}

/// The number that stands first in these bytes.
pub fn varint(bytes: &[u8]) -> Result<u64, WireError> {
    Reader::new(bytes).varint()
}
