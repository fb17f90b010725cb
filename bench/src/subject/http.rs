//! The hand-written loop's connections over HTTP/1.1: the one that was used last is used next.

use std::cell::RefCell;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Result;

/// Bytes that are read at a time. The client would else make a buffer of 8 KiB for each of these small answers.
const READ: usize = 1024;

type Connection = SendRequest<Full<Bytes>>;

/// The idle connections of one thread.
pub(super) struct Pool {
    endpoint: String,
    host: HeaderValue,
    uri: Uri,
    idle: RefCell<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(endpoint: &str, path: &str) -> Result<Self> {
        let (host, uri) = (HeaderValue::from_str(endpoint)?, path.parse()?);
        Ok(Self { endpoint: endpoint.to_owned(), host, uri, idle: RefCell::default() })
    }

    /// Posts a body and returns that of the answer.
    pub(super) async fn call(&self, body: Bytes) -> Result<Bytes> {
        let mut connection = self.connection().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = connection.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        self.idle.borrow_mut().push(connection);
        if status == StatusCode::OK { Ok(answer) } else { Err(format!("the model answers {status}").into()) }
    }

    async fn connection(&self) -> Result<Connection> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut connection) = idle else { return self.connect().await };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.endpoint).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::Builder::new().writev(false).read_buf_exact_size(Some(READ)).handshake(TokioIo::new(stream)).await?;
        // A connection that fails is seen by the call that uses it.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(sender)
    }
}
