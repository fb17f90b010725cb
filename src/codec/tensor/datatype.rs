//! V2's datatypes, and one element of a tensor of any of them: read from JSON, from raw bytes or from a typed list, and
//! written to each.

use bytes::Bytes;
use millrace_proto::inference::InferTensorContents;

use super::half::Half;
use crate::codec::json::tape::{Kind, Value};
use crate::codec::json::{edit, number};

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    /// `BOOL`
    Bool,
    /// `INT8` to `INT64`, by their bytes.
    Int(usize),
    /// `UINT8` to `UINT64`, by their bytes.
    Uint(usize),
    /// `FP16` or `BF16`
    Half(Half),
    /// `FP32`
    Fp32,
    /// `FP64`
    Fp64,
    /// `BYTES`
    Bytes,
}

/// Names as the protocol writes them.
const NAMES: [(&str, Datatype); 14] = [
    ("BOOL", Datatype::Bool),
    ("INT8", Datatype::Int(1)),
    ("INT16", Datatype::Int(2)),
    ("INT32", Datatype::Int(4)),
    ("INT64", Datatype::Int(8)),
    ("UINT8", Datatype::Uint(1)),
    ("UINT16", Datatype::Uint(2)),
    ("UINT32", Datatype::Uint(4)),
    ("UINT64", Datatype::Uint(8)),
    ("FP16", Datatype::Half(Half::Fp16)),
    ("BF16", Datatype::Half(Half::Bf16)),
    ("FP32", Datatype::Fp32),
    ("FP64", Datatype::Fp64),
    ("BYTES", Datatype::Bytes),
];

impl Datatype {
    /// The datatype of this name.
    pub fn read(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, datatype)| *datatype);
        found.ok_or_else(|| format!("'{name}' is no datatype of the protocol"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, datatype)| *datatype == self).map_or("", |(name, _)| name)
    }

    /// Bytes of a raw element; `BYTES` has no fixed number.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int(size) | Self::Uint(size) => Some(size),
            Self::Half(_) => Some(2),
            Self::Fp32 => Some(4),
            Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// The datatype of a mean of such elements; nothing where there is none.
    pub fn mean(self) -> Option<Self> {
        match self {
            Self::Int(_) | Self::Uint(_) => Some(Self::Fp64),
            Self::Half(_) | Self::Fp32 | Self::Fp64 => Some(self),
            Self::Bool | Self::Bytes => None,
        }
    }
}

/// An element of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// Of `BOOL`.
    Bool(bool),
    /// Of a signed integer.
    Int(i64),
    /// Of an unsigned integer.
    Uint(u64),
    /// Bit pattern of a 16-bit float.
    Half(u16, Half),
    /// Of `FP32`.
    Fp32(f32),
    /// Of `FP64`.
    Fp64(f64),
    /// Of `BYTES`.
    Bytes(Bytes),
}

impl Element {
    /// An element in JSON. The error names the value.
    pub fn of_json(datatype: Datatype, value: Value<'_>) -> Result<Self, String> {
        let unfit = || format!("{} is no value of {}", value.shown(), datatype.name());
        let number = || (value.kind() == Kind::Number).then(|| value.raw()).ok_or_else(unfit);
        let integer = || number::integer(number()?).ok_or_else(unfit);
        match datatype {
            Datatype::Bool => match value.kind() {
                Kind::True => Ok(Self::Bool(true)),
                Kind::False => Ok(Self::Bool(false)),
                _ => Err(unfit()),
            },
            Datatype::Int(size) => {
                let value = i64::try_from(integer()?).ok().filter(|value| fits(*value, size));
                value.map(Self::Int).ok_or_else(unfit)
            }
            Datatype::Uint(size) => {
                let value = u64::try_from(integer()?).ok().filter(|value| size == 8 || value >> (8 * size) == 0);
                value.map(Self::Uint).ok_or_else(unfit)
            }
            Datatype::Half(half) => half.read(number()?).map(|bits| Self::Half(bits, half)).ok_or_else(unfit),
            Datatype::Fp32 => number::float(number()?).map(Self::Fp32).ok_or_else(unfit),
            Datatype::Fp64 => number::double(number()?).map(Self::Fp64).ok_or_else(unfit),
            Datatype::Bytes => {
                let text = value.string().ok_or_else(unfit)?;
                Ok(Self::Bytes(Bytes::copy_from_slice(text.as_bytes())))
            }
        }
    }

    /// The element nearest to a number, for the datatypes that a mean can have.
    pub fn of_number(datatype: Datatype, value: f64) -> Self {
        match datatype {
            Datatype::Half(half) => Self::Half(half.round(value), half),
            Datatype::Fp32 => Self::Fp32(value as f32),
            _ => Self::Fp64(value),
        }
    }

    /// Its value, if it is a number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(_) | Self::Bytes(_) => None,
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Half(bits, half) => Some(half.value(*bits)),
            Self::Fp32(value) => Some(f64::from(*value)),
            Self::Fp64(value) => Some(*value),
        }
    }

    /// Appends it as JSON; only bytes that are no text have none.
    pub fn print(&self, out: &mut String) -> Result<(), String> {
        match self {
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Uint(value) => out.push_str(&value.to_string()),
            Self::Half(bits, half) => number::print_exactly(out, half.value(*bits)),
            Self::Fp32(value) => number::print_float(out, *value),
            Self::Fp64(value) => number::print(out, *value),
            Self::Bytes(value) => match std::str::from_utf8(value) {
                Ok(text) => edit::quote(out, text),
                Err(_) => return Err("BYTES that are not UTF-8 have no place in JSON".to_owned()),
            },
        }
        Ok(())
    }

    /// Appends it as raw little-endian bytes.
    pub fn push_raw(&self, datatype: Datatype, out: &mut Vec<u8>) {
        let size = datatype.size().unwrap_or(0);
        match self {
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Int(value) => out.extend_from_slice(&value.to_le_bytes()[..size]),
            Self::Uint(value) => out.extend_from_slice(&value.to_le_bytes()[..size]),
            Self::Half(bits, _) => out.extend_from_slice(&bits.to_le_bytes()),
            Self::Fp32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Fp64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Bytes(value) => {
                // A message of 4 GiB is beyond every limit.
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
        }
    }

    /// Appends it to the typed list of its kind. A 16-bit float has none and must travel raw.
    pub fn push_typed(self, datatype: Datatype, out: &mut InferTensorContents) {
        let wide = datatype.size() == Some(8);
        match self {
            Self::Bool(value) => out.bool_contents.push(value),
            Self::Int(value) if wide => out.int64_contents.push(value),
            Self::Int(value) => out.int_contents.push(value as i32),
            Self::Uint(value) if wide => out.uint64_contents.push(value),
            Self::Uint(value) => out.uint_contents.push(value as u32),
            Self::Half(..) => {}
            Self::Fp32(value) => out.fp32_contents.push(value),
            Self::Fp64(value) => out.fp64_contents.push(value),
            Self::Bytes(value) => out.bytes_contents.push(value),
        }
    }
}

fn fits(value: i64, size: usize) -> bool {
    let spare = 64 - 8 * size as u32;
    value << spare >> spare == value
}

/// Shows each element of raw bytes to `each`.
pub fn raw_elements(datatype: Datatype, raw: &Bytes, mut each: impl FnMut(Element)) -> Result<(), String> {
    let Some(size) = datatype.size() else {
        let mut at = 0;
        while at < raw.len() {
            let cut = || format!("the raw BYTES end in the middle of an element at byte {at}");
            let length = raw.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut)?;
            let start = at + 4;
            let end = start + u32::from_le_bytes(length) as usize;
            if end > raw.len() {
                return Err(cut());
            }
            each(Element::Bytes(raw.slice(start..end)));
            at = end;
        }
        return Ok(());
    };
    if !raw.len().is_multiple_of(size) {
        return Err(format!("{} raw bytes are no whole number of {}", raw.len(), datatype.name()));
    }
    for bytes in raw.chunks_exact(size) {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(wide);
        let spare = 64 - 8 * size as u32;
        each(match datatype {
            Datatype::Bool => Element::Bool(bits != 0),
            Datatype::Int(_) => Element::Int((bits << spare) as i64 >> spare),
            Datatype::Half(half) => Element::Half(bits as u16, half),
            Datatype::Fp32 => Element::Fp32(f32::from_bits(bits as u32)),
            Datatype::Fp64 => Element::Fp64(f64::from_bits(bits)),
            Datatype::Uint(_) | Datatype::Bytes => Element::Uint(bits),
        });
    }
    Ok(())
}

/// Shows each element of typed lists to `each`. Only the list of the datatype may have any.
pub fn typed_elements(
    datatype: Datatype,
    contents: &InferTensorContents,
    mut each: impl FnMut(Element),
) -> Result<(), String> {
    let wide = datatype.size() == Some(8);
    let own = match datatype {
        Datatype::Bool => contents.bool_contents.len(),
        Datatype::Int(_) if wide => contents.int64_contents.len(),
        Datatype::Int(_) => contents.int_contents.len(),
        Datatype::Uint(_) if wide => contents.uint64_contents.len(),
        Datatype::Uint(_) => contents.uint_contents.len(),
        Datatype::Half(_) => 0,
        Datatype::Fp32 => contents.fp32_contents.len(),
        Datatype::Fp64 => contents.fp64_contents.len(),
        Datatype::Bytes => contents.bytes_contents.len(),
    };
    if own != elements(contents) {
        return Err(format!("its contents are in a list that is not that of {}", datatype.name()));
    }
    let unfit = |value: &dyn std::fmt::Display| format!("{value} is no value of {}", datatype.name());
    let size = datatype.size().unwrap_or(0);
    contents.bool_contents.iter().for_each(|value| each(Element::Bool(*value)));
    for value in &contents.int_contents {
        let value = i64::from(*value);
        each(Element::Int(fits(value, size).then_some(value).ok_or_else(|| unfit(&value))?));
    }
    contents.int64_contents.iter().for_each(|value| each(Element::Int(*value)));
    for value in &contents.uint_contents {
        let value = u64::from(*value);
        each(Element::Uint((value >> (8 * size) == 0).then_some(value).ok_or_else(|| unfit(&value))?));
    }
    contents.uint64_contents.iter().for_each(|value| each(Element::Uint(*value)));
    contents.fp32_contents.iter().for_each(|value| each(Element::Fp32(*value)));
    contents.fp64_contents.iter().for_each(|value| each(Element::Fp64(*value)));
    contents.bytes_contents.iter().for_each(|value| each(Element::Bytes(value.clone())));
    Ok(())
}

/// Elements in all lists together.
pub fn elements(contents: &InferTensorContents) -> usize {
    contents.bool_contents.len()
        + contents.int_contents.len()
        + contents.int64_contents.len()
        + contents.uint_contents.len()
        + contents.uint64_contents.len()
        + contents.fp32_contents.len()
        + contents.fp64_contents.len()
        + contents.bytes_contents.len()
}
