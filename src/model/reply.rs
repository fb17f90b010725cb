//! Reading a reply: its body within bounds and to its true end, and what an error answer says.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use actix_web::error::PayloadError;
use awc::ClientResponse;
use awc::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, HttpDate, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use awc::http::{StatusCode, Version};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use super::error::{BODY_KEPT, CallError};
use super::gzip::gunzip;
use super::headers::INFERENCE_HEADER;
use super::wire::Ended;
use crate::config::settings::Protocol;
use crate::record::{Form, Message};

/// Bytes of an error answer that are read to keep its connection; a longer one costs the connection.
const ERROR_BODY_READ: usize = 64 * 1024;
/// Most memory that is reserved on a server's word alone.
const RESERVED: usize = 1024 * 1024;

/// The body of a reply with status 200; anything else is an error.
pub(super) async fn body<S>(response: ClientResponse<S>, limit: usize, ended: &Ended) -> Result<Bytes, CallError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    if response.status() != StatusCode::OK {
        return Err(status(response, ended).await);
    }
    let encoding =
        response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some(b"identity") => read(response, limit, ended).await,
        // Nobody asked for it, but what is told can be undone.
        Some(b"gzip" | b"x-gzip") => gunzip(&read(response, limit, ended).await?, limit),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(CallError::BadReply(format!("encoded as '{other}', which was not asked for")))
        }
    }
}

/// How a whole reply is to be read. Only V2 has a binary form, which its header tells of.
pub(super) fn form(
    protocol: Protocol,
    binary: Option<&HeaderValue>,
    content_type: Option<&HeaderValue>,
) -> Result<Form, CallError> {
    match binary.filter(|_| protocol == Protocol::V2) {
        Some(value) => match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
            Some(json) => Ok(Form::Binary { json }),
            None => Err(CallError::BadReply(format!("{INFERENCE_HEADER} is {value:?}, which is no number of bytes"))),
        },
        None => Ok(Form::Json { content_type: content_type.map(|value| Bytes::copy_from_slice(value.as_bytes())) }),
    }
}

/// A reply of this form and body, if the form can be true of it.
pub(super) fn message(body: Bytes, form: Form) -> Result<Message, CallError> {
    match form {
        Form::Binary { json } if json > body.len() => Err(CallError::BadReply(format!(
            "{INFERENCE_HEADER} is {json}, and the whole reply has {} bytes",
            body.len()
        ))),
        form => Ok(Message { body, form }),
    }
}

async fn read<S>(mut response: ClientResponse<S>, limit: usize, ended: &Ended) -> Result<Bytes, CallError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let length = number::<usize>(response.headers(), &CONTENT_LENGTH);
    let chunked = response.headers().contains_key(TRANSFER_ENCODING);
    if length.is_some_and(|length| length > limit) {
        return Err(CallError::ReplyTooLarge { limit });
    }
    if length.is_none() && !chunked && response.version() == Version::HTTP_11 {
        // The client takes such a body for none; an answer would be lost.
        return Err(CallError::BadReply("neither Content-Length nor chunked encoding, its end cannot be known".into()));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = next(&mut response, ended).await? {
        if chunk.len() > limit - body.len() {
            return Err(CallError::ReplyTooLarge { limit });
        }
        if length == Some(chunk.len()) {
            // The whole body at once, the usual case: taken as it is. What follows is only the end.
            return match next(&mut response, ended).await? {
                None => Ok(chunk),
                Some(_) => Err(CallError::BadReply("more bytes than its Content-Length".into())),
            };
        }
        if body.is_empty() {
            body.reserve(length.unwrap_or(0).min(RESERVED));
        }
        body.extend_from_slice(&chunk);
    }
    let cut = length.map_or(chunked && ended.seen(), |length| body.len() < length);
    if cut {
        Err(CallError::Reset(format!("it ended after {} bytes of the reply", body.len())))
    } else {
        Ok(body.freeze())
    }
}

/// An answer that is no success, with as much of its body as is kept. What is wrong with the body does not matter.
async fn status<S>(mut response: ClientResponse<S>, ended: &Ended) -> CallError
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let mut kept = BytesMut::new();
    let mut read = 0;
    while let Ok(Some(chunk)) = next(&mut response, ended).await {
        read += chunk.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(BODY_KEPT - kept.len())]);
        if read > ERROR_BODY_READ {
            break;
        }
    }
    let retry_after = retry_after(response.headers());
    CallError::Status { code: response.status().as_u16(), body: kept.freeze(), retry_after }
}

async fn next<S>(response: &mut ClientResponse<S>, ended: &Ended) -> Result<Option<Bytes>, CallError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let polled = poll_fn(|cx| {
        // Whether the connection ended is asked of the poll in which the body did.
        ended.clear();
        Pin::new(&mut *response).poll_next(cx)
    });
    match polled.await {
        None => Ok(None),
        Some(Ok(chunk)) => Ok(Some(chunk)),
        Some(Err(error @ (PayloadError::Io(_) | PayloadError::Incomplete(_)))) => {
            Err(CallError::Reset(error.to_string()))
        }
        Some(Err(error)) => Err(CallError::BadReply(error.to_string())),
    }
}

/// How long the server asks to be left alone: in seconds, or until a date. A date is held against the server's own clock if
/// it tells the time.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, &RETRY_AFTER) {
        return Some(Duration::from_secs(seconds));
    }
    let date = |name| number::<HttpDate>(headers, name).map(SystemTime::from);
    let now = date(&DATE).unwrap_or_else(SystemTime::now);
    date(&RETRY_AFTER).map(|until| until.duration_since(now).unwrap_or_default())
}

fn number<N: std::str::FromStr>(headers: &HeaderMap, name: &HeaderName) -> Option<N> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
