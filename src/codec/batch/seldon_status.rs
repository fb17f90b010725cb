//! Whether a reply of Seldon's says in its status that the call has failed. Such a reply is about the call, not about its
//! rows, and is not split.

use std::ops::Range;

use super::members::known;
use super::proto::{fields, number_once};
use crate::codec::json::tape::{Kind, Value};

/// Field numbers of `Status`.
const CODE: u32 = 1;
const FLAG: u32 = 4;

/// Without a code, or with one of HTTP's that means success.
fn is_good(code: i64) -> bool {
    code == 0 || (200..300).contains(&code)
}

/// Whether a status in JSON says that all is well; what cannot be read does not.
pub(super) fn is_success_json(status: Value<'_>) -> bool {
    if status.kind() == Kind::Null {
        return true;
    }
    let Some([code, flag, _, _]) = known(status, ["code", "status", "info", "reason"]) else { return false };
    let code = code.is_none_or(|code| match code.kind() {
        Kind::Null => true,
        Kind::Number => code.raw().parse().is_ok_and(is_good),
        _ => false,
    });
    code && flag.is_none_or(|flag| matches!(flag.raw(), "\"SUCCESS\"" | "0" | "null"))
}

/// The same for protobuf.
pub(super) fn is_success_proto(body: &[u8], status: &Range<usize>) -> bool {
    let (mut code, mut flag) = (None, None);
    let Ok(fields) = fields(body, status) else { return false };
    let read = fields.iter().try_for_each(|field| match field.number {
        CODE => number_once(&mut code, body, field),
        FLAG => number_once(&mut flag, body, field),
        _ => Some(()),
    });
    // The number of 32 bits stands in 64, a negative one with all its upper bits.
    read.is_some() && is_good(i64::from(code.unwrap_or(0) as i32)) && flag.unwrap_or(0) == 0
}
