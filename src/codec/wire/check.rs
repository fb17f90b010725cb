//! Whether bytes are a well-formed message of a type.

use super::reader::{Fault, MAX_DEPTH, Reader, Wire, WireError};
use super::schema::{Kind, Schema};

/// Checks a whole message: tags, lengths, encodings of known fields, and that text is text.
///
/// Fields that the schema does not name must be well formed and are otherwise ignored. Nesting is followed without
/// recursion; memory is a few bytes for each of at most [`MAX_DEPTH`] open levels.
pub fn check(schema: &'static Schema, message: &[u8]) -> Result<(), WireError> {
    let mut reader = Reader::new(message);
    let mut schema = schema;
    // What is open around the message at hand, and where each ends.
    let mut around = Vec::new();
    loop {
        while reader.at == reader.end {
            let Some((outer, end)) = around.pop() else { return Ok(()) };
            (schema, reader.end) = (outer, end);
        }
        let start = reader.at;
        let (number, wire) = reader.tag()?;
        match (schema.kind(number), wire) {
            (None, _) => reader.skip(number, wire, around.len())?,
            (Some(Kind::Message(inner)), Wire::Bytes) => {
                if around.len() == MAX_DEPTH {
                    return Err(reader.fault(Fault::Depth));
                }
                let length = reader.bytes()?.len();
                around.push((schema, reader.end));
                (schema, reader.end) = (inner, reader.at);
                reader.at -= length;
            }
            (Some(Kind::Text), Wire::Bytes) => {
                if std::str::from_utf8(reader.bytes()?).is_err() {
                    return Err(WireError { at: start, fault: Fault::Utf8 { message: schema.name(), number } });
                }
            }
            (Some(Kind::Bytes), Wire::Bytes) => drop(reader.bytes()?),
            (Some(Kind::Varint | Kind::Varints), Wire::Varint) => drop(reader.varint()?),
            (Some(Kind::Fixed32 | Kind::Fixed32s), Wire::Fixed32) => drop(reader.take(4)?),
            (Some(Kind::Fixed64 | Kind::Fixed64s), Wire::Fixed64) => drop(reader.take(8)?),
            (Some(Kind::Varints), Wire::Bytes) => packed_varints(&mut reader)?,
            (Some(Kind::Fixed32s), Wire::Bytes) => packed(&mut reader, 4)?,
            (Some(Kind::Fixed64s), Wire::Bytes) => packed(&mut reader, 8)?,
            (Some(_), _) => {
                return Err(WireError { at: start, fault: Fault::WireType { message: schema.name(), number } });
            }
        }
    }
}

fn packed(reader: &mut Reader<'_>, size: usize) -> Result<(), WireError> {
    if reader.bytes()?.len() % size == 0 { Ok(()) } else { Err(reader.fault(Fault::End)) }
}

fn packed_varints(reader: &mut Reader<'_>) -> Result<(), WireError> {
    let length = reader.bytes()?.len();
    let outer = std::mem::replace(&mut reader.end, reader.at);
    reader.at -= length;
    while reader.at < reader.end {
        reader.varint()?;
    }
    reader.end = outer;
    Ok(())
}
