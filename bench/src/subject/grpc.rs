//! The hand-written loop's channel: one HTTP/2 connection of a thread. Messages go through as they are.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use hyper::{Method, Request, Uri};
use tokio::net::TcpStream;

use crate::Result;

const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

pub(super) struct Channel {
    sender: SendRequest<Bytes>,
    uri: Uri,
}

impl Channel {
    pub(super) async fn open(endpoint: &str, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, connection) = builder.handshake(stream).await?;
        // A connection that fails is seen by the calls that use it.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Self { sender, uri: format!("http://{endpoint}{path}").parse()? })
    }

    /// Sends a message and returns the answer's.
    pub(super) async fn call(&self, message: &[u8]) -> Result<Bytes> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let mut framed = BytesMut::with_capacity(5 + message.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len())?);
        framed.put_slice(message);

        let (response, mut stream) = self.sender.clone().ready().await?.send_request(request, false)?;
        stream.send_data(framed.freeze(), true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut answer: Option<Bytes> = None;
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            answer = Some(match answer {
                None => chunk,
                Some(before) => [before, chunk].concat().into(),
            });
        }
        let trailers = body.trailers().await?;
        let status = trailers.as_ref().unwrap_or(&head.headers).get(STATUS);
        if status.is_none_or(|status| status != "0") {
            return Err(format!("the model answers {status:?}").into());
        }
        let answer =
            answer.filter(|answer| answer.len() >= 5 && answer[0] == 0).ok_or("an answer without a message")?;
        Ok(answer.slice(5..))
    }
}
