//! The request that `millrace predict` sends: a file's bytes with the headers that say how to read them.

use std::io::Read;

use bytes::Bytes;

use crate::cli::args::PredictArgs;
use crate::codec;
use crate::config::settings::{Protocol, Settings, Transport};
use crate::record::{Headers, Message};

/// A request and what goes with it.
pub(in crate::cli) struct Given {
    pub(in crate::cli) message: Message,
    pub(in crate::cli) headers: Headers,
    pub(in crate::cli) puid: String,
}

/// Reads it, and checks it as a record's value is checked.
pub(super) fn read(arguments: &PredictArgs, settings: &Settings) -> Result<Given, String> {
    let file = &arguments.request;
    let body = if file.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::stdin().lock().read_to_end(&mut body).map(|_| body)
    } else {
        std::fs::read(file)
    };
    let body = Bytes::from(body.map_err(|error| format!("{}: {error}", file.display()))?);
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let headers = headers(arguments, extension, settings)?;
    let puid = headers.text("Seldon-Puid").map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let limit = settings.limits.request_bytes;
    let message = codec::decode(settings.protocol, settings.transport, &headers, Some(&body), limit);
    let message = message.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Given { message, headers, puid })
}

/// Those that were given, and where they say nothing of the encoding, what the file's name says.
fn headers(arguments: &PredictArgs, extension: &str, settings: &Settings) -> Result<Headers, String> {
    let mut headers = Headers::default();
    for text in &arguments.headers {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("--header {text:?} has no `=`"))?;
        headers.push(name, value.to_owned());
    }
    let is_binary = headers.get("Inference-Header-Content-Length").is_some();
    let grpc = match extension {
        "pb" | "bin" if !is_binary => true,
        "json" => false,
        _ => settings.transport == Transport::Grpc && headers.get("Content-Type").is_none() && !is_binary,
    };
    if grpc && headers.get("proto-name").is_none() {
        headers.push("proto-name", usual(settings.protocol));
    } else if !grpc && headers.get("proto-name").is_none() && headers.get("Content-Type").is_none() {
        headers.push("Content-Type", "application/json");
    }
    Ok(headers)
}

/// The request that is meant where a protobuf file says nothing.
fn usual(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Seldon => "seldon.protos.SeldonMessage",
        Protocol::Tensorflow => "tensorflow.serving.PredictRequest",
        Protocol::V2 => "inference.ModelInferRequest",
    }
}
