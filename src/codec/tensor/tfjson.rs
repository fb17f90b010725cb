//! TensorFlow's tensors as protobuf's JSON mapping writes them (`tftensor` in Seldon's messages), to protobuf and back.

use millrace_proto::tensorflow::tensor_shape_proto::Dim;
use millrace_proto::tensorflow::{DataType, TensorProto, TensorShapeProto};

use crate::codec::json::edit::{list, quote};
use crate::codec::json::fields::{self, Object};
use crate::codec::json::number;
use crate::codec::json::tape::Value;

/// Reads a tensor. Names may be those of the file or of the mapping; the error names the key.
pub fn read(value: Value<'_>) -> Result<TensorProto, String> {
    let mut tensor = TensorProto::default();
    fields::each(value, &[], |key, value| {
        match key {
            "dtype" => {
                let dtype = |name: &str| DataType::from_str_name(name).map(|dtype| dtype as i32);
                tensor.dtype = fields::named(value, dtype)?;
            }
            "tensorShape" | "tensor_shape" => tensor.tensor_shape = Some(shape(value)?),
            "versionNumber" | "version_number" => tensor.version_number = fields::int(value)?,
            "tensorContent" | "tensor_content" => tensor.tensor_content = fields::bytes(value)?,
            "floatVal" | "float_val" => tensor.float_val = fields::list(value, fields::float)?,
            "doubleVal" | "double_val" => tensor.double_val = fields::list(value, fields::double)?,
            "intVal" | "int_val" => tensor.int_val = fields::list(value, fields::int)?,
            "stringVal" | "string_val" => tensor.string_val = fields::list(value, fields::bytes)?,
            "scomplexVal" | "scomplex_val" => tensor.scomplex_val = fields::list(value, fields::float)?,
            "int64Val" | "int64_val" => tensor.int64_val = fields::list(value, fields::int)?,
            "boolVal" | "bool_val" => tensor.bool_val = fields::list(value, fields::flag)?,
            "dcomplexVal" | "dcomplex_val" => tensor.dcomplex_val = fields::list(value, fields::double)?,
            "halfVal" | "half_val" => tensor.half_val = fields::list(value, fields::int)?,
            "uint32Val" | "uint32_val" => tensor.uint32_val = fields::list(value, fields::int)?,
            "uint64Val" | "uint64_val" => tensor.uint64_val = fields::list(value, fields::int)?,
            "float8Val" | "float8_val" => tensor.float8_val = fields::bytes(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(tensor)
}

fn shape(value: Value<'_>) -> Result<TensorShapeProto, String> {
    let mut shape = TensorShapeProto::default();
    fields::each(value, &[], |key, value| {
        match key {
            "dim" => shape.dim = fields::list(value, dim)?,
            "unknownRank" | "unknown_rank" => shape.unknown_rank = fields::flag(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(shape)
}

fn dim(value: Value<'_>) -> Result<Dim, String> {
    let mut dim = Dim::default();
    fields::each(value, &[], |key, value| {
        match key {
            "size" => dim.size = fields::int(value)?,
            "name" => dim.name = fields::text(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(dim)
}

/// Appends a tensor as JSON. Values that are messages of their own (resources, variants) have no place in it.
pub fn print(out: &mut String, tensor: &TensorProto) -> Result<(), String> {
    if !tensor.resource_handle_val.is_empty() || !tensor.variant_val.is_empty() {
        return Err("resources and variants cannot be written as JSON".to_owned());
    }
    let mut object = Object::open(out);
    match DataType::try_from(tensor.dtype) {
        Ok(dtype) => quote(object.key("dtype"), dtype.as_str_name()),
        Err(_) => object.key("dtype").push_str(&tensor.dtype.to_string()),
    }
    if let Some(shape) = &tensor.tensor_shape {
        print_shape(object.key("tensorShape"), shape);
    }
    if tensor.version_number != 0 {
        object.key("versionNumber").push_str(&tensor.version_number.to_string());
    }
    if !tensor.tensor_content.is_empty() {
        fields::print_bytes(object.key("tensorContent"), &tensor.tensor_content);
    }
    array(&mut object, "floatVal", &tensor.float_val, |out, value| number::print_float(out, *value));
    array(&mut object, "doubleVal", &tensor.double_val, |out, value| number::print(out, *value));
    array(&mut object, "intVal", &tensor.int_val, |out, value| out.push_str(&value.to_string()));
    array(&mut object, "stringVal", &tensor.string_val, |out, value| fields::print_bytes(out, value));
    array(&mut object, "scomplexVal", &tensor.scomplex_val, |out, value| number::print_float(out, *value));
    array(&mut object, "int64Val", &tensor.int64_val, |out, value| quote(out, &value.to_string()));
    array(&mut object, "boolVal", &tensor.bool_val, |out, value| out.push_str(&value.to_string()));
    array(&mut object, "dcomplexVal", &tensor.dcomplex_val, |out, value| number::print(out, *value));
    array(&mut object, "halfVal", &tensor.half_val, |out, value| out.push_str(&value.to_string()));
    array(&mut object, "uint32Val", &tensor.uint32_val, |out, value| out.push_str(&value.to_string()));
    array(&mut object, "uint64Val", &tensor.uint64_val, |out, value| quote(out, &value.to_string()));
    if !tensor.float8_val.is_empty() {
        fields::print_bytes(object.key("float8Val"), &tensor.float8_val);
    }
    object.close();
    Ok(())
}

fn array<T>(object: &mut Object<'_>, key: &str, items: &[T], write: impl Fn(&mut String, &T)) {
    if !items.is_empty() {
        let out = object.key(key);
        out.push('[');
        list(out, items, |out, item| write(out, item));
        out.push(']');
    }
}

fn print_shape(out: &mut String, shape: &TensorShapeProto) {
    let mut object = Object::open(out);
    array(&mut object, "dim", &shape.dim, |out, dim| {
        let mut object = Object::open(out);
        quote(object.key("size"), &dim.size.to_string());
        if !dim.name.is_empty() {
            quote(object.key("name"), &dim.name);
        }
        object.close();
    });
    if shape.unknown_rank {
        object.key("unknownRank").push_str("true");
    }
    object.close();
}
