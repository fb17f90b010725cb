//! Calls a model server over HTTP, as one client on one thread.
//!
//! Every limit of the library is set here on purpose, because its defaults are traps: 100 connections over all hosts,
//! replies of 2 MiB, redirects followed, and idle connections kept longer than servers do. Not for deciding about retries.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use awc::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use awc::http::uri::Uri;
use awc::http::{Method, header};
use awc::{Client, FrozenClientRequest, SendClientRequest};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::call::{CallRequest, Reply};
use super::client::{EndpointError, authority};
use super::error::CallError;
use super::headers::INFERENCE_HEADER;
use super::paths::{Paths, Readiness, readiness};
use super::reply;
use super::wire::{self, Connect, Ended};
use crate::config::settings::{Endpoint, Node, Protocol, Transport};
use crate::record::{CallKind, Form};

/// Time for a connection, name resolution included, unless the call has less.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle connections are closed before servers close them (Seldon's wrapper after 2 s, uvicorn after 5 s): a request on a
/// connection that its server just closed fails.
pub const KEEP_ALIVE: Duration = Duration::from_millis(1_500);
/// A connection is replaced after this, so that servers that are added behind a name get their share.
pub const LIFETIME: Duration = Duration::from_secs(75);
/// Time for a readiness probe, if the node's own is not shorter.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const PROBE_BODY: usize = 64 * 1024;

/// A client of one node's endpoint. Made and used on one thread.
pub struct RestClient {
    protocol: Protocol,
    calls: BTreeMap<CallKind, FrozenClientRequest>,
    ready: Vec<FrozenClientRequest>,
    ended: Ended,
    connect_timeout: Duration,
    limit: usize,
    reply_bytes: usize,
    probe_timeout: Duration,
}

impl RestClient {
    /// A client without connections. Replies longer than `reply_bytes` are refused.
    pub fn new(protocol: Protocol, node: &Node, reply_bytes: usize) -> Result<Self, EndpointError> {
        let ended = Ended::default();
        let limit = node.connections.max(1);
        // Less than the call's, so that a connection that is not made is not taken for a model that does not answer.
        let connect_timeout = CONNECT_TIMEOUT.min(node.timeout * 9 / 10);
        let client = client(Connect::new(ended.clone()), limit, connect_timeout);
        let paths = Paths::new(protocol, &node.name);
        let endpoint = node.endpoint(Transport::Rest).ok_or_else(|| EndpointError::none(node, Transport::Rest))?;
        let request = |method: Method, path: &str| {
            frozen(&client, endpoint, method, path).map_err(|reason| EndpointError::new(node, endpoint, reason))
        };
        Ok(Self {
            protocol,
            calls: paths
                .calls
                .iter()
                .map(|(kind, path)| Ok((*kind, request(Method::POST, path)?)))
                .collect::<Result<_, _>>()?,
            ready: paths.ready.iter().map(|path| request(Method::GET, path)).collect::<Result<_, _>>()?,
            ended,
            connect_timeout,
            limit,
            reply_bytes,
            probe_timeout: PROBE_TIMEOUT.min(node.timeout),
        })
    }

    /// Calls that may run at a time. One more would wait for a connection, and its wait would count as the model's time:
    /// the caller must not start it.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Calls the model. Dropping the call closes its connection.
    pub async fn call(&self, request: CallRequest) -> Result<Reply, CallError> {
        let started = Instant::now();
        let Some(call) = self.calls.get(&request.kind) else {
            let (kind, protocol) = (request.kind, self.protocol);
            return Err(CallError::Unsupported(format!("{kind:?} over REST in the protocol {protocol:?}")));
        };
        let fields = request.headers.fields();
        let mut headers = HeaderMap::with_capacity(fields.len() + 2);
        for (name, value) in fields {
            headers.append(name.clone(), value.clone());
        }
        let content_type = match request.message.form {
            Form::Json { content_type } => content_type.and_then(|text| HeaderValue::from_maybe_shared(text).ok()),
            Form::Binary { json } => {
                headers.insert(INFERENCE_HEADER, json.into());
                Some(HeaderValue::from_static("application/octet-stream"))
            }
            Form::Proto(name) => return Err(CallError::Unsupported(format!("{name} over REST, which takes JSON"))),
        };
        headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/json")));
        let sent = call.extra_headers(headers).send_body(request.message.body);
        let read = async {
            let response = sent.await.map_err(|error| self.failure(error))?;
            let form = |headers: &HeaderMap| {
                reply::form(self.protocol, headers.get(INFERENCE_HEADER), headers.get(header::CONTENT_TYPE))
            };
            let form = form(response.headers());
            reply::message(reply::body(response, self.reply_bytes, &self.ended).await?, form?)
        };
        let message = timeout(request.timeout, read).await.map_err(|_| CallError::Timeout(request.timeout))??;
        Ok(Reply { message, elapsed: started.elapsed() })
    }

    /// Asks whether the endpoint is ready. A server that knows none of the protocol's readiness paths is.
    pub async fn probe(&self) -> Result<(), CallError> {
        for request in &self.ready {
            let asked = timeout(self.probe_timeout, self.ask(request.send())).await;
            if asked.map_err(|_| CallError::Timeout(self.probe_timeout))?? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the server knows the path.
    async fn ask(&self, sent: SendClientRequest) -> Result<bool, CallError> {
        let response = sent.await.map_err(|error| self.failure(error))?;
        let code = response.status().as_u16();
        let (body, error) = match reply::body(response, PROBE_BODY, &self.ended).await {
            Ok(body) => (body.clone(), CallError::Status { code, body, retry_after: None }),
            // The body of what is no 200, or cannot be read to its end, does not matter.
            Err(error) => (Bytes::new(), error),
        };
        match readiness(self.protocol, code, &body) {
            Readiness::Ready => Ok(true),
            Readiness::Unknown => Ok(false),
            Readiness::NotReady => Err(error),
        }
    }

    /// The library's error as ours. It calls a connection that ends before the reply's head a failure to connect.
    fn failure(&self, error: SendRequestError) -> CallError {
        match error {
            SendRequestError::Connect(ConnectError::Timeout) => CallError::ConnectTimeout(self.connect_timeout),
            SendRequestError::Connect(ConnectError::Disconnected) => {
                CallError::Reset("the server closed it without an answer".into())
            }
            SendRequestError::Connect(error) => CallError::Refused(error.to_string()),
            SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => {
                CallError::Reset(error.to_string())
            }
            error => CallError::BadReply(error.to_string()),
        }
    }
}

fn client(connect: Connect, limit: usize, connect_timeout: Duration) -> Client {
    let connector = awc::Connector::new()
        .connector(connect)
        // One for a probe.
        .limit(limit + 1)
        .timeout(connect_timeout)
        .conn_keep_alive(KEEP_ALIVE)
        .conn_lifetime(LIFETIME);
    Client::builder().connector(connector).disable_redirects().disable_timeout().finish()
}

/// A request that needs only a body and further headers to be sent.
fn frozen(client: &Client, endpoint: &Endpoint, method: Method, path: &str) -> Result<FrozenClientRequest, String> {
    let text = authority(endpoint)?.to_string();
    let uri: Uri = format!("http://{text}{path}").parse().map_err(|error| format!("{error}"))?;
    let address = wire::literal(&endpoint.host, endpoint.port);
    let mut request = client
        .request(method, uri)
        .insert_header((HOST, text))
        .insert_header((USER_AGENT, concat!("millrace/", env!("CARGO_PKG_VERSION"))))
        // Bytes are passed on as they come.
        .no_decompress();
    if let Some(address) = address {
        request = request.address(address);
    }
    request.freeze().map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rest_form_tests.rs"]
mod form_tests;
