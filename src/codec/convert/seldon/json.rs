//! Seldon's protobuf to JSON.

use bytes::Bytes;
use millrace_proto::ProtoName;
use millrace_proto::seldon::default_data::DataOneof as Numbers;
use millrace_proto::seldon::metric::MetricType;
use millrace_proto::seldon::seldon_message::DataOneof;
use millrace_proto::seldon::status::StatusFlag;
use millrace_proto::seldon::{DefaultData, Feedback, Meta, Metric, SeldonMessage, SeldonMessageList, Status, Tensor};

use super::super::ConvertError;
use super::dynamic;
use crate::codec::json::edit::quote;
use crate::codec::json::fields::{self, Object};
use crate::codec::json::number;
use crate::codec::tensor::tfjson;
use crate::record::Message;

/// A message, a list of them as an array, or a feedback.
pub(in super::super) fn to_json(name: &'static str, body: &Bytes) -> Result<Message, ConvertError> {
    let mut out = String::with_capacity(body.len());
    if name == SeldonMessage::PROTO_NAME {
        message(&mut out, &decoded(body)?)
    } else if name == SeldonMessageList::PROTO_NAME {
        let list: SeldonMessageList = decoded(body)?;
        items(&mut out, &list.seldon_messages, message)
    } else if name == Feedback::PROTO_NAME {
        feedback(&mut out, &decoded(body)?)
    } else {
        return Err(ConvertError::Unknown(name));
    }
    .map_err(ConvertError::to_json)?;
    Ok(Message::json(out))
}

fn decoded<M: ProtoName>(body: &Bytes) -> Result<M, ConvertError> {
    let broken = |error: prost::DecodeError| ConvertError::NotProto { name: M::PROTO_NAME, reason: error.to_string() };
    M::decode(body.clone()).map_err(broken)
}

type Printed = Result<(), String>;

fn items<T>(out: &mut String, items: &[T], mut print: impl FnMut(&mut String, &T) -> Printed) -> Printed {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        print(out, item).map_err(|what| format!("item {at}: {what}"))?;
    }
    out.push(']');
    Ok(())
}

fn map<'m, V: 'm>(
    out: &mut String,
    members: impl IntoIterator<Item = (&'m String, &'m V)>,
    mut print: impl FnMut(&mut String, &V) -> Printed,
) -> Printed {
    let mut object = Object::open(out);
    for (key, value) in members {
        print(object.key(key), value).map_err(|what| format!("{key}: {what}"))?;
    }
    object.close();
    Ok(())
}

fn feedback(out: &mut String, feedback: &Feedback) -> Printed {
    let mut object = Object::open(out);
    for (key, part) in [("request", &feedback.request), ("response", &feedback.response), ("truth", &feedback.truth)] {
        if let Some(part) = part {
            message(object.key(key), part).map_err(|what| format!("{key}: {what}"))?;
        }
    }
    // Always there, so that a feedback is told from a message.
    number::print_float(object.key("reward"), feedback.reward);
    object.close();
    Ok(())
}

fn message(out: &mut String, message: &SeldonMessage) -> Printed {
    let mut object = Object::open(out);
    if let Some(it) = &message.status {
        status(object.key("status"), it);
    }
    if let Some(it) = &message.meta {
        meta(object.key("meta"), it).map_err(|what| format!("meta: {what}"))?;
    }
    match &message.data_oneof {
        None => {}
        Some(DataOneof::Data(it)) => data(object.key("data"), it).map_err(|what| format!("data: {what}"))?,
        Some(DataOneof::BinData(bytes)) => fields::print_bytes(object.key("binData"), bytes),
        Some(DataOneof::StrData(text)) => quote(object.key("strData"), text),
        Some(DataOneof::JsonData(value)) => {
            dynamic::print(object.key("jsonData"), value).map_err(|what| format!("jsonData: {what}"))?;
        }
        Some(DataOneof::CustomData(any)) => {
            return Err(format!("customData: its type, {}, is known to its users only", any.type_url));
        }
    }
    object.close();
    Ok(())
}

fn data(out: &mut String, data: &DefaultData) -> Printed {
    let mut object = Object::open(out);
    if !data.names.is_empty() {
        items(object.key("names"), &data.names, |out, it| {
            quote(out, it);
            Ok(())
        })?;
    }
    match &data.data_oneof {
        None => {}
        Some(Numbers::Tensor(it)) => tensor(object.key("tensor"), it)?,
        Some(Numbers::Ndarray(list)) => dynamic::print_list(object.key("ndarray"), list)?,
        Some(Numbers::Tftensor(it)) => tfjson::print(object.key("tftensor"), it)?,
    }
    object.close();
    Ok(())
}

fn tensor(out: &mut String, tensor: &Tensor) -> Printed {
    let mut object = Object::open(out);
    items(object.key("shape"), &tensor.shape, |out, size| {
        out.push_str(&size.to_string());
        Ok(())
    })?;
    items(object.key("values"), &tensor.values, |out, value| {
        number::print(out, *value);
        Ok(())
    })?;
    object.close();
    Ok(())
}

fn meta(out: &mut String, meta: &Meta) -> Printed {
    let mut object = Object::open(out);
    if !meta.puid.is_empty() {
        quote(object.key("puid"), &meta.puid);
    }
    if !meta.tags.is_empty() {
        map(object.key("tags"), &meta.tags, dynamic::print).map_err(|what| format!("tags: {what}"))?;
    }
    if !meta.routing.is_empty() {
        map(object.key("routing"), &meta.routing, |out, route| {
            out.push_str(&route.to_string());
            Ok(())
        })?;
    }
    if !meta.request_path.is_empty() {
        map(object.key("requestPath"), &meta.request_path, |out, it| {
            quote(out, it);
            Ok(())
        })?;
    }
    if !meta.metrics.is_empty() {
        items(object.key("metrics"), &meta.metrics, metric)?;
    }
    object.close();
    Ok(())
}

fn metric(out: &mut String, metric: &Metric) -> Printed {
    let mut object = Object::open(out);
    quote(object.key("key"), &metric.key);
    named(object.key("type"), MetricType::try_from(metric.r#type).ok().map(|kind| kind.as_str_name()), metric.r#type);
    number::print_float(object.key("value"), metric.value);
    if !metric.tags.is_empty() {
        map(object.key("tags"), &metric.tags, |out, it| {
            quote(out, it);
            Ok(())
        })?;
    }
    object.close();
    Ok(())
}

fn status(out: &mut String, status: &Status) {
    let mut object = Object::open(out);
    if status.code != 0 {
        object.key("code").push_str(&status.code.to_string());
    }
    for (key, text) in [("info", &status.info), ("reason", &status.reason)] {
        if !text.is_empty() {
            quote(object.key(key), text);
        }
    }
    named(object.key("status"), StatusFlag::try_from(status.status).ok().map(|flag| flag.as_str_name()), status.status);
    object.close();
}

/// An enum's name, or its number if it has none.
fn named(out: &mut String, name: Option<&str>, number: i32) {
    match name {
        Some(name) => quote(out, name),
        None => out.push_str(&number.to_string()),
    }
}
