//! Writes the few bytes that a changed message needs between those that are copied.

use bytes::{BufMut, BytesMut};

use super::reader::Wire;

/// A number.
pub(in crate::codec) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The tag of a field.
pub(in crate::codec) fn put_tag(out: &mut BytesMut, number: u32, wire: Wire) {
    put_varint(out, u64::from(number) << 3 | wire as u64);
}

/// The tag of a field of bytes, and its length.
pub(in crate::codec) fn put_head(out: &mut BytesMut, number: u32, length: usize) {
    put_tag(out, number, Wire::Bytes);
    put_varint(out, length as u64);
}

/// A field of bytes.
pub(in crate::codec) fn put_bytes(out: &mut BytesMut, number: u32, value: &[u8]) {
    put_head(out, number, value.len());
    out.put_slice(value);
}
