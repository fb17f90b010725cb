//! Calls a model server over gRPC, as one client on one thread.
//!
//! Messages are bytes: what a record holds is sent as it came, fields that nobody here knows included. Not for deciding
//! about retries, but for one case: a request that no server can have seen, because its connection was not made or takes no
//! more, goes to the next address or connection within the same call.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tonic::codegen::http::uri::{Authority, PathAndQuery, Scheme};
use tonic::codegen::http::{HeaderValue, Method as Verb, Request, Uri, Version, header};
use tonic::metadata::MetadataMap;

use super::addresses::Place;
use super::call::{CallRequest, Reply};
use super::client::{Bounds, EndpointError, authority};
use super::connection::Fault;
use super::error::CallError;
use super::grpc_reply as reply;
use super::methods::{Method, method};
use super::pool::{Pool, Run};
use super::rest::{CONNECT_TIMEOUT, PROBE_TIMEOUT};
use crate::config::settings::{Node, Protocol, Transport};
use crate::record::{Form, Message};

/// Times that a request is sent anew because its connection or its server took no more.
const AGAIN: u32 = 2;
/// Heads that are kept: more than a node has methods and deadlines.
const HEADS: usize = 16;

/// A client of one node's gRPC endpoint. Made and used on one thread.
pub struct GrpcClient {
    pub(super) protocol: Protocol,
    /// The model's name, which is the node's.
    pub(super) model: String,
    authority: Authority,
    pub(super) pool: Pool,
    limit: usize,
    request_bytes: usize,
    reply_bytes: usize,
    pub(super) probe_timeout: Duration,
    /// Heads of requests without metadata, by path and deadline: the same call after call.
    heads: RefCell<Vec<(&'static str, Duration, Request<()>)>>,
}

impl GrpcClient {
    /// A client without connections, which keeps up with what the endpoint's name stands for.
    pub fn new(protocol: Protocol, node: &Node, bounds: Bounds) -> Result<Self, EndpointError> {
        let endpoint = node.endpoint(Transport::Grpc).ok_or_else(|| EndpointError::none(node, Transport::Grpc))?;
        let authority = authority(endpoint).map_err(|reason| EndpointError::new(node, endpoint, reason))?;
        // Less than the call's, so that a connection that is not made is not taken for a model that does not answer.
        let connect = CONNECT_TIMEOUT.min(node.timeout * 9 / 10);
        Ok(Self {
            protocol,
            model: node.name.clone(),
            authority,
            pool: Pool::new(endpoint, connect),
            limit: node.connections.max(1),
            // What one node answers may be what the next is asked. A length is four bytes.
            request_bytes: bounds.request_bytes.max(bounds.reply_bytes).min(u32::MAX as usize),
            reply_bytes: bounds.reply_bytes,
            probe_timeout: PROBE_TIMEOUT.min(node.timeout),
            heads: RefCell::default(),
        })
    }

    /// Calls that may run at a time. They share connections, so this bounds what one server is asked at once.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Calls the model. Dropping the call breaks it off at the server too.
    pub async fn call(&self, request: CallRequest) -> Result<Reply, CallError> {
        let started = Instant::now();
        let Form::Proto(name) = request.message.form else {
            return Err(CallError::Unsupported("JSON over gRPC, which takes protobuf".to_owned()));
        };
        let Some(Method { path, reply }) = method(self.protocol, request.kind, name) else {
            let (kind, protocol) = (request.kind, self.protocol);
            return Err(CallError::Unsupported(format!("{kind:?} of a {name} over gRPC in the protocol {protocol:?}")));
        };
        let length = request.message.body.len();
        if length > self.request_bytes {
            let most = self.request_bytes;
            return Err(CallError::Unsupported(format!("a message of {length} bytes, and at most {most} may be sent")));
        }
        let metadata = request.headers.metadata();
        let body = self.unary(path, metadata, request.message.body, request.timeout, self.reply_bytes).await?;
        Ok(Reply { message: Message::proto(reply, body), elapsed: started.elapsed() })
    }

    /// One call of a method: a message there, a message back.
    pub(super) async fn unary(
        &self,
        path: &'static str,
        metadata: &MetadataMap,
        message: Bytes,
        limit: Duration,
        reply_bytes: usize,
    ) -> Result<Bytes, CallError> {
        let (began, course) = (self.pool.now(), Course::new(limit));
        let head = || self.head(path, metadata, limit);
        if let Ok(result) = timeout(limit, self.exchange(head, message, reply_bytes, &course)).await {
            return result;
        }
        if let Some(place) = course.place.get() {
            self.pool.silent(place, began);
        }
        // A model that had less than its whole time is not one that does not answer.
        Err(course.unreachable.take().unwrap_or(CallError::Timeout(limit)))
    }

    async fn exchange(
        &self,
        head: impl Fn() -> Request<()>,
        message: Bytes,
        reply_bytes: usize,
        course: &Course,
    ) -> Result<Bytes, CallError> {
        let mut tried = Vec::new();
        let mut again = 0;
        loop {
            let Some(run) = self.pool.choose(&tried).await? else {
                return Err(course.unreachable.take().unwrap_or(CallError::Refused("no address is left".to_owned())));
            };
            course.place.set(Some(run.place));
            if let Err(error) = run.connection.made().await {
                run.unreachable();
                tried.push(run.place.address);
                course.unreachable.replace(Some(error));
                continue;
            }
            run.reached();
            if tried.is_empty() {
                course.unreachable.take();
            }
            match attempt(&run, head(), message.clone(), reply_bytes).await {
                Err(Fault::NotSent(_) | Fault::Refused(_)) if again < AGAIN => again += 1,
                Err(Fault::NotSent(error) | Fault::Refused(error) | Fault::Sent(error)) => return Err(error),
                Ok(message) => return Ok(message),
            }
        }
    }

    fn head(&self, path: &'static str, metadata: &MetadataMap, limit: Duration) -> Request<()> {
        let mut heads = self.heads.borrow_mut();
        let known = heads.iter().find(|(of, within, _)| (*of, *within) == (path, limit));
        let mut head = if let Some((_, _, head)) = known {
            head.clone()
        } else {
            let head = self.plain_head(path, limit);
            if heads.len() == HEADS {
                heads.clear();
            }
            heads.push((path, limit, head.clone()));
            head
        };
        for (name, value) in metadata.as_ref() {
            head.headers_mut().append(name, value.clone());
        }
        head
    }

    /// A head without metadata.
    fn plain_head(&self, path: &'static str, limit: Duration) -> Request<()> {
        // The server is told the deadline, so that it need not go on working for nobody.
        let mut timed = tonic::Request::new(());
        timed.set_timeout(limit);
        let mut head = Request::new(());
        *head.headers_mut() = timed.into_parts().0.into_headers();
        for (name, value) in [
            (header::TE, "trailers"),
            (header::CONTENT_TYPE, "application/grpc"),
            (header::HeaderName::from_static("grpc-accept-encoding"), "gzip,identity"),
            (header::USER_AGENT, concat!("millrace/", env!("CARGO_PKG_VERSION"))),
        ] {
            head.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let mut parts = Uri::default().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static(path));
        *head.uri_mut() = Uri::from_parts(parts).expect("it has all three parts");
        *head.method_mut() = Verb::POST;
        *head.version_mut() = Version::HTTP_2;
        head
    }
}

/// Sends a request on a connection that is made, and reads what comes back.
async fn attempt(run: &Run<'_>, head: Request<()>, message: Bytes, reply_bytes: usize) -> Result<Bytes, Fault> {
    let result = match run.connection.send(head, message).await {
        Ok(response) => {
            run.heard();
            reply::read(response, reply_bytes).await.map_err(Fault::Sent)
        }
        Err(fault) => Err(fault),
    };
    match &result {
        // The server has said by now how many it takes.
        Err(Fault::Refused(_)) => run.heard(),
        Err(Fault::NotSent(_) | Fault::Sent(CallError::Reset(_))) => run.broken(),
        Ok(_) | Err(Fault::Sent(_)) => {}
    }
    result
}

/// What a call that runs out of time leaves behind.
struct Course {
    place: Cell<Option<Place>>,
    /// Why it has not had its whole time on a connection, if so.
    unreachable: RefCell<Option<CallError>>,
}

impl Course {
    fn new(limit: Duration) -> Self {
        Self { place: Cell::new(None), unreachable: RefCell::new(Some(CallError::ConnectTimeout(limit))) }
    }
}

#[cfg(test)]
#[path = "grpc_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "grpc_server_tests.rs"]
mod server_tests;

#[cfg(test)]
#[path = "grpc_trouble_tests.rs"]
mod trouble_tests;
