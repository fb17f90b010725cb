//! TensorFlow's tensors as protobuf: their numbers, from raw content or from the list of their type, and back.

use bytes::Bytes;
use millrace_proto::tensorflow::{DataType, TensorProto};

use super::half::Half;
use super::{MAX_REPEATED, sizes};

/// Shape and values, row by row.
pub fn read(tensor: &TensorProto) -> Result<(Vec<usize>, Vec<f64>), String> {
    let (shape, count) = shape(tensor)?;
    let dtype = tensor.dtype();
    let mut values = if tensor.tensor_content.is_empty() { listed(tensor, dtype)? } else { content(tensor, dtype)? };
    if values.len() > count || values.len() < count && !tensor.tensor_content.is_empty() {
        return Err(format!("it has {} values, its shape {shape:?} takes {count}", values.len()));
    }
    if values.len() < count {
        if count > MAX_REPEATED {
            return Err(format!("it repeats a value {count} times, which is more than {MAX_REPEATED}"));
        }
        // A list may leave out repetitions of its last value; one that has none stands for zeros.
        let last = values.last().copied().unwrap_or(0.0);
        values.resize(count, last);
    }
    Ok((shape, values))
}

/// Puts other values in, as many as its shape takes. They stand where the old ones stood.
pub fn replace(tensor: &mut TensorProto, values: &[f64]) {
    let raw = !tensor.tensor_content.is_empty();
    let dtype = match tensor.dtype() {
        same @ (DataType::DtFloat | DataType::DtHalf | DataType::DtBfloat16) => same,
        _ => DataType::DtDouble,
    };
    *tensor = TensorProto {
        tensor_shape: tensor.tensor_shape.take(),
        version_number: tensor.version_number,
        ..TensorProto::default()
    };
    tensor.set_dtype(dtype);
    let half = |half: Half| values.iter().map(move |value| half.round(*value));
    let halves: Option<Vec<u16>> = match dtype {
        DataType::DtHalf => Some(half(Half::Fp16).collect()),
        DataType::DtBfloat16 => Some(half(Half::Bf16).collect()),
        _ => None,
    };
    let floats = values.iter().map(|value| *value as f32);
    match (raw, dtype, halves) {
        (true, _, Some(halves)) => tensor.tensor_content = bytes(halves.into_iter().map(u16::to_le_bytes)),
        (true, DataType::DtFloat, _) => tensor.tensor_content = bytes(floats.map(f32::to_le_bytes)),
        (true, ..) => tensor.tensor_content = bytes(values.iter().map(|value| value.to_le_bytes())),
        (false, _, Some(halves)) => tensor.half_val = halves.into_iter().map(i32::from).collect(),
        (false, DataType::DtFloat, _) => tensor.float_val = floats.collect(),
        (false, ..) => tensor.double_val = values.to_vec(),
    }
}

fn bytes<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Bytes {
    values.flatten().collect::<Vec<u8>>().into()
}

fn shape(tensor: &TensorProto) -> Result<(Vec<usize>, usize), String> {
    let shape = tensor.tensor_shape.as_ref();
    if shape.is_some_and(|shape| shape.unknown_rank) {
        return Err("its shape is not known".to_owned());
    }
    let dims: Vec<i64> = shape.map(|shape| shape.dim.iter().map(|dim| dim.size).collect()).unwrap_or_default();
    sizes(&dims)
}

fn no_number(tensor: &TensorProto, dtype: DataType) -> String {
    if DataType::try_from(tensor.dtype).is_err() {
        return format!("its type {} is not known", tensor.dtype);
    }
    format!("its type {} is not that of numbers", dtype.as_str_name())
}

fn listed(tensor: &TensorProto, dtype: DataType) -> Result<Vec<f64>, String> {
    let halves = |half: Half| tensor.half_val.iter().map(|&bits| half.value(bits as u16)).collect();
    Ok(match dtype {
        DataType::DtFloat => tensor.float_val.iter().copied().map(f64::from).collect(),
        DataType::DtDouble => tensor.double_val.clone(),
        DataType::DtHalf => halves(Half::Fp16),
        DataType::DtBfloat16 => halves(Half::Bf16),
        DataType::DtInt8 | DataType::DtInt16 | DataType::DtInt32 | DataType::DtUint8 | DataType::DtUint16 => {
            tensor.int_val.iter().copied().map(f64::from).collect()
        }
        DataType::DtInt64 => tensor.int64_val.iter().map(|&value| value as f64).collect(),
        DataType::DtUint32 => tensor.uint32_val.iter().copied().map(f64::from).collect(),
        DataType::DtUint64 => tensor.uint64_val.iter().map(|&value| value as f64).collect(),
        _ => return Err(no_number(tensor, dtype)),
    })
}

fn content(tensor: &TensorProto, dtype: DataType) -> Result<Vec<f64>, String> {
    let raw = &tensor.tensor_content;
    match dtype {
        DataType::DtFloat => chunks(raw, |bytes| f64::from(f32::from_le_bytes(bytes))),
        DataType::DtDouble => chunks(raw, f64::from_le_bytes),
        DataType::DtHalf => chunks(raw, |bytes| Half::Fp16.value(u16::from_le_bytes(bytes))),
        DataType::DtBfloat16 => chunks(raw, |bytes| Half::Bf16.value(u16::from_le_bytes(bytes))),
        DataType::DtInt8 => chunks(raw, |bytes| f64::from(i8::from_le_bytes(bytes))),
        DataType::DtUint8 => chunks(raw, |bytes| f64::from(u8::from_le_bytes(bytes))),
        DataType::DtInt16 => chunks(raw, |bytes| f64::from(i16::from_le_bytes(bytes))),
        DataType::DtUint16 => chunks(raw, |bytes| f64::from(u16::from_le_bytes(bytes))),
        DataType::DtInt32 => chunks(raw, |bytes| f64::from(i32::from_le_bytes(bytes))),
        DataType::DtUint32 => chunks(raw, |bytes| f64::from(u32::from_le_bytes(bytes))),
        DataType::DtInt64 => chunks(raw, |bytes| i64::from_le_bytes(bytes) as f64),
        DataType::DtUint64 => chunks(raw, |bytes| u64::from_le_bytes(bytes) as f64),
        _ => Err(no_number(tensor, dtype)),
    }
}

fn chunks<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> f64) -> Result<Vec<f64>, String> {
    match raw.as_chunks::<N>() {
        (chunks, []) => Ok(chunks.iter().map(|bytes| value(*bytes)).collect()),
        _ => Err(format!("its {} bytes of content are no whole number of elements", raw.len())),
    }
}
