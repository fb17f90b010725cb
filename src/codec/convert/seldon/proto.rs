//! Seldon's JSON to protobuf.

use bytes::Bytes;
use millrace_proto::ProtoName;
use millrace_proto::seldon::default_data::DataOneof as Numbers;
use millrace_proto::seldon::metric::MetricType;
use millrace_proto::seldon::seldon_message::DataOneof;
use millrace_proto::seldon::status::StatusFlag;
use millrace_proto::seldon::{DefaultData, Feedback, Meta, Metric, SeldonMessage, SeldonMessageList, Status, Tensor};
use millrace_proto::well_known::ListValue;
use millrace_proto::well_known::value::Kind as Known;

use super::super::ConvertError;
use super::dynamic;
use crate::codec::json::fields;
use crate::codec::json::tape::{Kind, Tape, Value};
use crate::codec::tensor::tfjson;
use crate::record::Message;

/// A message; an array or `seldonMessages` as a list of them; what has a part of a feedback as one.
pub(in super::super) fn to_proto(body: &Bytes) -> Result<Message, ConvertError> {
    let tape = Tape::parse(body)?;
    let root = tape.root();
    let has = |keys: &[&str]| root.members().any(|(name, _)| name.string().is_some_and(|name| keys.contains(&&*name)));
    let converted = if root.kind() == Kind::Array {
        fields::list(root, message).map(|messages| encoded(&SeldonMessageList { seldon_messages: messages }))
    } else if has(&["seldonMessages"]) {
        list(root).map(|list| encoded(&list))
    } else if has(&["request", "response", "reward", "truth"]) {
        feedback(root).map(|feedback| encoded(&feedback))
    } else {
        message(root).map(|message| encoded(&message))
    };
    converted.map_err(ConvertError::to_proto)
}

fn encoded<M: ProtoName>(message: &M) -> Message {
    Message::proto(M::PROTO_NAME, message.encode_to_vec())
}

fn list(value: Value<'_>) -> Result<SeldonMessageList, String> {
    let mut list = SeldonMessageList::default();
    fields::each(value, &[], |key, value| {
        if key == "seldonMessages" {
            list.seldon_messages = fields::list(value, message)?;
        }
        Ok(key == "seldonMessages")
    })?;
    Ok(list)
}

fn feedback(value: Value<'_>) -> Result<Feedback, String> {
    let mut feedback = Feedback::default();
    fields::each(value, &[], |key, value| {
        match key {
            "request" => feedback.request = Some(message(value)?),
            "response" => feedback.response = Some(message(value)?),
            "reward" => feedback.reward = fields::float(value)?,
            "truth" => feedback.truth = Some(message(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(feedback)
}

fn message(value: Value<'_>) -> Result<SeldonMessage, String> {
    let mut message = SeldonMessage::default();
    // For a value of any shape null is a value.
    fields::each(value, &["jsonData"], |key, value| {
        let payload = match key {
            "status" => {
                message.status = Some(status(value)?);
                return Ok(true);
            }
            "meta" => {
                message.meta = Some(meta(value)?);
                return Ok(true);
            }
            "data" => DataOneof::Data(data(value)?),
            "binData" => DataOneof::BinData(fields::bytes(value)?),
            "strData" => DataOneof::StrData(fields::text(value)?),
            "jsonData" => DataOneof::JsonData(dynamic::read(value)?),
            "customData" => return Err("its type is known to its users only".to_owned()),
            _ => return Ok(false),
        };
        only(message.data_oneof.replace(payload).is_none())?;
        Ok(true)
    })?;
    Ok(message)
}

fn only(first: bool) -> Result<(), String> {
    if first { Ok(()) } else { Err("a protobuf message has one kind of data".to_owned()) }
}

fn data(value: Value<'_>) -> Result<DefaultData, String> {
    let mut data = DefaultData::default();
    fields::each(value, &[], |key, value| {
        let numbers = match key {
            "names" => {
                data.names = fields::list(value, fields::text)?;
                return Ok(true);
            }
            "tensor" => Numbers::Tensor(tensor(value)?),
            "ndarray" => Numbers::Ndarray(array(value)?),
            "tftensor" => Numbers::Tftensor(tfjson::read(value)?),
            _ => return Ok(false),
        };
        only(data.data_oneof.replace(numbers).is_none())?;
        Ok(true)
    })?;
    Ok(data)
}

fn array(value: Value<'_>) -> Result<ListValue, String> {
    match dynamic::read(value)?.kind {
        Some(Known::ListValue(list)) => Ok(list),
        _ => Err(format!("{} is no array", value.shown())),
    }
}

fn tensor(value: Value<'_>) -> Result<Tensor, String> {
    let mut tensor = Tensor::default();
    fields::each(value, &[], |key, value| {
        match key {
            "shape" => tensor.shape = fields::list(value, fields::int)?,
            "values" => tensor.values = fields::list(value, fields::double)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(tensor)
}

fn meta(value: Value<'_>) -> Result<Meta, String> {
    let mut meta = Meta::default();
    fields::each(value, &[], |key, value| {
        match key {
            "puid" => meta.puid = fields::text(value)?,
            "tags" => meta.tags = fields::map(value, dynamic::read)?,
            "routing" => meta.routing = fields::map(value, fields::int)?,
            "requestPath" => meta.request_path = fields::map(value, fields::text)?,
            "metrics" => meta.metrics = fields::list(value, metric)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(meta)
}

fn metric(value: Value<'_>) -> Result<Metric, String> {
    let mut metric = Metric::default();
    fields::each(value, &[], |key, value| {
        match key {
            "key" => metric.key = fields::text(value)?,
            "type" => {
                let number = |name: &str| MetricType::from_str_name(name).map(|kind| kind as i32);
                metric.r#type = fields::named(value, number)?;
            }
            "value" => metric.value = fields::float(value)?,
            "tags" => metric.tags = fields::map(value, fields::text)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(metric)
}

fn status(value: Value<'_>) -> Result<Status, String> {
    let mut status = Status::default();
    fields::each(value, &[], |key, value| {
        match key {
            "code" => status.code = fields::int(value)?,
            "info" => status.info = fields::text(value)?,
            "reason" => status.reason = fields::text(value)?,
            "status" => {
                let number = |name: &str| StatusFlag::from_str_name(name).map(|flag| flag as i32);
                status.status = fields::named(value, number)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(status)
}
