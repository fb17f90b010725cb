//! Reading a gRPC reply: one message within bounds, and the status that follows it.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use tonic::Code;
use tonic::codegen::http::{HeaderMap, Response, StatusCode};

use super::connection::{PREFIX, failure};
use super::error::{BODY_KEPT, CallError, NEVER};
use super::gzip::gunzip;

/// Most memory that is reserved on a server's word alone.
const RESERVED: usize = 1024 * 1024;

/// The message of a reply with status OK; anything else is an error.
pub(super) async fn read(response: Response<RecvStream>, limit: usize) -> Result<Bytes, CallError> {
    let (head, mut body) = response.into_parts();
    if head.headers.contains_key("grpc-status") {
        // A reply that is a status and nothing else.
        return Err(status(&head.headers).err().unwrap_or_else(|| bad("OK, but no message")));
    }
    if head.status != StatusCode::OK {
        return Err(no_grpc(head.status, &mut body).await);
    }
    let content_type = head.headers.get("content-type").map_or(&b"nothing"[..], |value| value.as_bytes());
    if !content_type.starts_with(b"application/grpc") {
        return Err(bad(&format!("it is {} and no gRPC", String::from_utf8_lossy(content_type).escape_debug())));
    }
    let gzip = head.headers.get("grpc-encoding").is_some_and(|value| value.as_bytes() == b"gzip");
    let mut message = Assembly::new(limit);
    while let Some(chunk) = next(&mut body).await? {
        message.take(chunk)?;
    }
    let trailers = body.trailers().await.map_err(|error| failure(&error))?;
    // Whoever breaks a stream off on purpose ends it like a whole one, but for the status.
    status(&trailers.ok_or_else(|| bad("it ended without a status"))?)?;
    match message.finish()? {
        (false, message) => Ok(message),
        (true, message) if gzip => gunzip(&message, limit),
        (true, _) => Err(bad("packed in a way that was not asked for")),
    }
}

/// The next bytes of a body, which the server may replace by further ones.
async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, CallError> {
    match body.data().await {
        None => Ok(None),
        Some(Ok(chunk)) => {
            body.flow_control().release_capacity(chunk.len()).map_err(|error| failure(&error))?;
            Ok(Some(chunk))
        }
        Some(Err(error)) => Err(failure(&error)),
    }
}

/// An answer of something that is no gRPC server, such as a gateway before one.
async fn no_grpc(code: StatusCode, body: &mut RecvStream) -> CallError {
    let mut kept = BytesMut::new();
    while let Ok(Some(chunk)) = next(body).await {
        kept.extend_from_slice(&chunk[..chunk.len().min(BODY_KEPT - kept.len())]);
        if kept.len() == BODY_KEPT {
            break;
        }
    }
    CallError::Status { code: code.as_u16(), body: kept.freeze(), retry_after: None }
}

fn bad(why: &str) -> CallError {
    CallError::BadReply(why.to_owned())
}

/// What the headers at the end of a call say.
fn status(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(code) = text("grpc-status") else { return Err(bad("it ended without a status")) };
    // A number that nobody has heard of is an unknown code, as the protocol wants it.
    match code.trim().parse().map_or(Code::Unknown, Code::from_i32) {
        Code::Ok => Ok(()),
        code => {
            let message = unescape(headers.get("grpc-message").map_or(&b""[..], |value| value.as_bytes()));
            // A negative number, or none, asks for no further call.
            let pushback =
                text("grpc-retry-pushback-ms").map(|millis| millis.trim().parse().map_or(NEVER, Duration::from_millis));
            Err(CallError::Grpc { code, message, retry_after: pushback })
        }
    }
}

/// The text of an error, where other bytes than printable ones stand as `%` and two digits, cut to what is kept.
fn unescape(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len().min(BODY_KEPT));
    let mut rest = text;
    while let [first, tail @ ..] = rest
        && bytes.len() < BODY_KEPT
    {
        let digit = |at: usize| tail.get(at).and_then(|byte| (*byte as char).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((16 * high + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One message, put together of the pieces in which it comes.
struct Assembly {
    limit: usize,
    prefix: BytesMut,
    length: Option<usize>,
    /// The whole message, if it came in one piece. Then it is not copied.
    whole: Option<Bytes>,
    pieces: BytesMut,
}

impl Assembly {
    fn new(limit: usize) -> Self {
        Self { limit, prefix: BytesMut::new(), length: None, whole: None, pieces: BytesMut::new() }
    }

    fn take(&mut self, mut chunk: Bytes) -> Result<(), CallError> {
        let Some(length) = self.length(&mut chunk)? else { return Ok(()) };
        let have = self.whole.as_ref().map_or(self.pieces.len(), Bytes::len);
        if chunk.len() > length - have {
            return Err(bad("more than one message"));
        }
        if chunk.is_empty() {
            return Ok(());
        }
        if have == 0 && chunk.len() == length {
            self.whole = Some(chunk);
            return Ok(());
        }
        if have == 0 {
            self.pieces.reserve(length.min(RESERVED));
        }
        self.pieces.extend_from_slice(&chunk);
        Ok(())
    }

    /// The message's length, once what stands before it is there; that is taken off the chunk.
    fn length(&mut self, chunk: &mut Bytes) -> Result<Option<usize>, CallError> {
        if self.length.is_none() {
            let missing = chunk.split_to(chunk.len().min(PREFIX - self.prefix.len()));
            self.prefix.extend_from_slice(&missing);
            let Some(mut length) = self.prefix.get(1..PREFIX) else { return Ok(None) };
            let length = length.get_u32() as usize;
            if length > self.limit {
                return Err(CallError::ReplyTooLarge { limit: self.limit });
            }
            self.length = Some(length);
        }
        Ok(self.length)
    }

    /// Whether the message is packed, and the message.
    fn finish(self) -> Result<(bool, Bytes), CallError> {
        let Some(length) = self.length else { return Err(bad("OK, but no message")) };
        let message = self.whole.unwrap_or_else(|| self.pieces.freeze());
        match self.prefix[0] {
            _ if message.len() < length => Err(bad("OK, but half a message")),
            packed @ 0..=1 => Ok((packed == 1, message)),
            other => Err(bad(&format!("a message of kind {other}, which nobody knows"))),
        }
    }
}
