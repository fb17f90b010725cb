//! Just enough gRPC for model servers that can misbehave: one message there, one message or an error back, and connections
//! that can be dropped at any moment.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};

/// A call as it came in.
#[derive(Clone, Debug, Default)]
pub struct GrpcCall {
    /// As in `/inference.GRPCInferenceService/ModelInfer`.
    pub path: String,
    /// Headers as they travel: values under names that end in `-bin` are base64.
    pub metadata: HeaderMap,
    /// The message.
    pub body: Bytes,
}

impl GrpcCall {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.to_str().ok()
    }

    /// Whether the message holds these bytes.
    pub fn holds(&self, part: &[u8]) -> bool {
        part.is_empty() || self.body.windows(part.len()).any(|window| window == part)
    }
}

/// A message, or the number of a code and what to say.
pub type GrpcReply = Result<Bytes, (i32, String)>;

/// Answers the calls of one connection, until it ends. Dropped, it drops the connection with all its calls.
pub async fn serve<A, F>(socket: TcpStream, answer: A)
where
    A: Fn(GrpcCall) -> F + Send + Sync + 'static,
    F: Future<Output = GrpcReply> + Send + 'static,
{
    let mut builder = Builder::new();
    builder.max_concurrent_streams(1_000).initial_window_size(1 << 20).initial_connection_window_size(1 << 22);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    let answer = Arc::new(answer);
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(one(request, respond, Arc::clone(&answer)));
        while calls.try_join_next().is_some() {}
    }
}

/// One call. Nobody is told if its connection ends meanwhile.
async fn one<A, F>(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, answer: Arc<A>)
where
    A: Fn(GrpcCall) -> F,
    F: Future<Output = GrpcReply>,
{
    let Some(call) = read(request).await else { return };
    let reply = tokio::select! {
        biased;
        reply = answer(call) => reply,
        // The caller has given up.
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    let head = Response::builder().header("content-type", "application/grpc");
    let head = head.body(()).expect("a sound head");
    if let Ok(stream) = respond.send_response(head, false) {
        drop(write(stream, reply));
    }
}

async fn read(request: Request<RecvStream>) -> Option<GrpcCall> {
    let (head, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk.ok()?;
        incoming.flow_control().release_capacity(chunk.len()).ok()?;
        body.extend_from_slice(&chunk);
    }
    let message = body.freeze();
    let length = u32::from_be_bytes(message.get(1..5)?.try_into().ok()?) as usize;
    let body = (message[0] == 0 && message.len() == 5 + length).then(|| message.slice(5..))?;
    Some(GrpcCall { path: head.uri.path().to_owned(), metadata: head.headers, body })
}

fn write(mut stream: SendStream<Bytes>, reply: GrpcReply) -> Result<(), h2::Error> {
    let mut trailers = HeaderMap::new();
    let code = match reply {
        Ok(message) => {
            let length = u32::try_from(message.len()).expect("a test's message is not that large");
            let prefix = [&[0][..], &length.to_be_bytes()].concat();
            stream.send_data(prefix.into(), false)?;
            stream.send_data(message, false)?;
            0
        }
        Err((code, text)) => {
            trailers.insert("grpc-message", escaped(&text));
            code
        }
    };
    trailers.insert("grpc-status", code.into());
    stream.send_trailers(trailers)
}

/// A text as a header carries it.
fn escaped(text: &str) -> HeaderValue {
    let escape = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect::<String>().parse().expect("printable signs")
}
