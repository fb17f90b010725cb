//! The numbers in V2 replies: JSON, its binary extension, and protobuf with typed or raw contents.

use bytes::Bytes;
use millrace_proto::inference::InferTensorContents;
use millrace_proto::inference::infer_parameter::ParameterChoice;

use super::datatype::{Datatype, Element, raw_elements};
use super::infer::{Infer, wrong_count};
use super::{ReadError, Tensor, sizes};
use crate::codec::json::edit::{self, Edits};
use crate::codec::json::number;
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::record::{Form, Message};

/// Parameter of a tensor whose elements stand behind the JSON text: how many bytes they are.
pub const BINARY_SIZE: &str = "binary_data_size";

/// A tensor in JSON.
pub struct Described<'t> {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Sizes of its dimensions.
    pub shape: Vec<i64>,
    /// Its elements.
    pub data: Data<'t>,
    type_place: Value<'t>,
}

/// Where the elements of a tensor are.
pub enum Data<'t> {
    /// In the text.
    Inline(Value<'t>),
    /// Behind it.
    Raw {
        /// The bytes.
        bytes: Bytes,
        /// Where their number stands.
        size: Value<'t>,
    },
}

/// Reads the tensors of an array. `rest` are the bytes behind the JSON text: each raw tensor takes its own from there.
pub fn described<'t>(tensors: Value<'t>, rest: &mut Bytes) -> Result<Vec<Described<'t>>, ReadError> {
    if tensors.kind() != Kind::Array {
        return Err(ReadError::NoTensors(format!("its tensors are {}, not an array", tensors.shown())));
    }
    let described = tensors.items().enumerate().map(|(at, tensor)| {
        let name = tensor.get("name").and_then(Value::string);
        let name = name.ok_or_else(|| ReadError::NoTensors(format!("tensor {at} has no name")))?.into_owned();
        describe(name.clone(), tensor, rest).map_err(ReadError::of(name))
    });
    described.collect()
}

fn describe<'t>(name: String, tensor: Value<'t>, rest: &mut Bytes) -> Result<Described<'t>, String> {
    let type_place = tensor.get("datatype").ok_or("it has no 'datatype'")?;
    let datatype = Datatype::read(&type_place.string().ok_or("its 'datatype' is no string")?)?;
    let mut shape = Vec::new();
    for size in tensor.get("shape").filter(|shape| shape.kind() == Kind::Array).ok_or("it has no 'shape'")?.items() {
        let size = number::integer(size.raw()).and_then(|size| i64::try_from(size).ok());
        shape.push(size.ok_or("its 'shape' is not of integers")?);
    }
    let size = tensor.get("parameters").and_then(|parameters| parameters.get(BINARY_SIZE));
    let data = match (tensor.get("data"), size) {
        (Some(data), None) => Data::Inline(data),
        (None, Some(size)) => {
            let bytes = number::integer(size.raw()).and_then(|bytes| usize::try_from(bytes).ok());
            let bytes = bytes.filter(|&bytes| bytes <= rest.len());
            let bytes = bytes.ok_or_else(|| format!("its {BINARY_SIZE} {} is not there", size.shown()))?;
            Data::Raw { bytes: rest.split_to(bytes), size }
        }
        (Some(_), Some(_)) => return Err(format!("it has both 'data' and {BINARY_SIZE}")),
        (None, None) => return Err("it has no 'data'".to_owned()),
    };
    Ok(Described { name, datatype, shape, data, type_place })
}

impl Described<'_> {
    /// Shows each element to `each`; gives the shape.
    pub fn elements(&self, mut each: impl FnMut(Element)) -> Result<Vec<usize>, String> {
        let (shape, count) = sizes(&self.shape)?;
        let mut seen = 0;
        let mut count_each = |element| {
            seen += 1;
            each(element);
        };
        match &self.data {
            Data::Inline(data) => data
                .grid(|leaf| {
                    count_each(Element::of_json(self.datatype, leaf)?);
                    Ok(())
                })
                .map(|_| ())?,
            Data::Raw { bytes, .. } => raw_elements(self.datatype, bytes, count_each)?,
        }
        if seen == count { Ok(shape) } else { Err(wrong_count(seen, &self.shape)) }
    }
}

/// The array of tensors: as everywhere, what has `inputs` is a request, and its `outputs` are only asked for.
fn tensors(root: Value<'_>) -> Result<Value<'_>, ReadError> {
    let found = root.get("inputs").or_else(|| root.get("outputs"));
    found.ok_or_else(|| ReadError::NoTensors("a v2 reply has 'outputs'".to_owned()))
}

/// Text and the bytes behind it.
fn parts(message: &Message, json: usize) -> (Bytes, Bytes) {
    let json = json.min(message.body.len());
    (message.body.slice(..json), message.body.slice(json..))
}

pub(super) fn read_json(message: &Message, json: usize) -> Result<Vec<Tensor>, ReadError> {
    let (text, mut rest) = parts(message, json);
    let tape = Tape::parse(&text)?;
    let mut read = Vec::new();
    for tensor in described(tensors(tape.root())?, &mut rest)? {
        let mut values = Vec::new();
        let shape = numbers(tensor.datatype, &mut values, |each| tensor.elements(each));
        let shape = shape.map_err(ReadError::of(tensor.name.as_str()))?;
        read.push(Tensor { name: tensor.name, columns: Vec::new(), shape, values });
    }
    Ok(read)
}

/// Collects the numbers that `show` shows.
fn numbers<T>(
    datatype: Datatype,
    values: &mut Vec<f64>,
    show: impl FnOnce(&mut dyn FnMut(Element)) -> Result<T, String>,
) -> Result<T, String> {
    datatype.mean().ok_or_else(|| format!("{} are no numbers", datatype.name()))?;
    show(&mut |element: Element| values.extend(element.number()))
}

pub(super) fn replace_json(message: &Message, json: usize, values: Vec<Vec<f64>>) -> Result<Message, ReadError> {
    let (text, mut rest) = parts(message, json);
    let tape = Tape::parse(&text)?;
    let (mut edits, mut raw) = (Edits::default(), Vec::new());
    for (tensor, values) in described(tensors(tape.root())?, &mut rest)?.into_iter().zip(values) {
        let mean = tensor.datatype.mean().unwrap_or(Datatype::Fp64);
        if mean != tensor.datatype {
            edits.put(tensor.type_place.span(), |out| edit::quote(out, mean.name()));
        }
        let elements = values.into_iter().map(|value| Element::of_number(mean, value));
        match tensor.data {
            Data::Inline(data) => {
                let mut elements = elements;
                let put = |leaf: Value<'_>| {
                    let element = elements.next().unwrap_or(Element::Fp64(f64::NAN));
                    let mut text = String::new();
                    element.print(&mut text)?;
                    edits.put(leaf.span(), |out| out.push_str(&text));
                    Ok(())
                };
                data.grid(put).map_err(ReadError::of(tensor.name))?;
            }
            Data::Raw { size, .. } => {
                let start = raw.len();
                elements.for_each(|element| element.push_raw(mean, &mut raw));
                edits.put(size.span(), |out| out.push_str(&(raw.len() - start).to_string()));
            }
        }
    }
    let mut body = edits.apply(&text);
    let form = match &message.form {
        Form::Binary { .. } => Form::Binary { json: body.len() },
        other => other.clone(),
    };
    body.extend_from_slice(&raw);
    Ok(Message { body: body.into(), form })
}

pub(super) fn read_proto(name: &'static str, message: &Message) -> Result<Vec<Tensor>, ReadError> {
    let infer = Infer::decode(name, &message.body)?;
    let mut read = Vec::new();
    for (at, tensor) in infer.tensors.iter().enumerate() {
        let mut values = Vec::new();
        let shape = Datatype::read(&tensor.datatype)
            .and_then(|datatype| numbers(datatype, &mut values, |each| infer.elements(at, each)));
        let (_, shape) = shape.map_err(ReadError::of(tensor.name.as_str()))?;
        read.push(Tensor { name: tensor.name.clone(), columns: Vec::new(), shape, values });
    }
    Ok(read)
}

pub(super) fn replace_proto(
    name: &'static str,
    message: &Message,
    values: Vec<Vec<f64>>,
) -> Result<Message, ReadError> {
    let mut infer = Infer::decode(name, &message.body)?;
    let raw = !infer.raw.is_empty();
    for (at, (tensor, values)) in infer.tensors.iter_mut().zip(values).enumerate() {
        let mean = Datatype::read(&tensor.datatype).ok().and_then(Datatype::mean).unwrap_or(Datatype::Fp64);
        mean.name().clone_into(&mut tensor.datatype);
        let elements = values.into_iter().map(|value| Element::of_number(mean, value));
        if raw {
            let mut bytes = Vec::new();
            elements.for_each(|element| element.push_raw(mean, &mut bytes));
            // KServe says here too how many bytes there are.
            let size = tensor.parameters.get_mut(BINARY_SIZE).and_then(|size| size.parameter_choice.as_mut());
            if let Some(ParameterChoice::Int64Param(size)) = size {
                *size = bytes.len() as i64;
            }
            if let Some(old) = infer.raw.get_mut(at) {
                *old = bytes.into();
            }
        } else {
            let mut contents = InferTensorContents::default();
            elements.for_each(|element| element.push_typed(mean, &mut contents));
            tensor.contents = Some(contents);
        }
    }
    let form = message.form.clone();
    Ok(Message { form, ..infer.encode() })
}
