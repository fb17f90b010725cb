//! Shapes in JSON texts.

use crate::codec::json::tape::{Kind, Value};

/// Sizes of dimensions; nothing for what is no array of whole numbers.
pub(super) fn sizes(shape: Value<'_>) -> Option<Vec<usize>> {
    let size = |size: Value<'_>| match size.kind() {
        Kind::Number => size.raw().parse().ok(),
        _ => None,
    };
    if shape.kind() == Kind::Array { shape.items().map(size).collect() } else { None }
}

/// Appends a shape with another first size.
pub(super) fn put_shape(rows: usize, shape: &[usize], out: &mut Vec<u8>) {
    out.push(b'[');
    put_number(rows, out);
    for size in shape.iter().skip(1) {
        out.push(b',');
        put_number(*size, out);
    }
    out.push(b']');
}

pub(super) fn put_number(number: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(number.to_string().as_bytes());
}
