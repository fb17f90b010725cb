//! A client of one node's endpoint, whatever its transport.

use tonic::codegen::http::uri::Authority;

use super::call::{CallRequest, Reply};
use super::error::CallError;
use super::grpc::GrpcClient;
use super::rest::RestClient;
use super::wire::literal;
use crate::config::settings::{Endpoint, Node, Protocol, Transport};

/// An endpoint that cannot be called whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node '{node}' has the endpoint '{endpoint}', which is no host and port: {reason}")]
pub struct EndpointError {
    /// The node.
    pub node: String,
    /// Its endpoint.
    pub endpoint: String,
    /// What is wrong.
    pub reason: String,
}

impl EndpointError {
    pub(super) fn new(node: &Node, endpoint: &Endpoint, reason: String) -> Self {
        Self { node: node.name.clone(), endpoint: endpoint.to_string(), reason }
    }

    /// A node without an endpoint for the transport that its calls take.
    pub(super) fn none(node: &Node, transport: Transport) -> Self {
        let (node, endpoint) = (node.name.clone(), String::new());
        Self { node, endpoint, reason: format!("none is given for {transport}") }
    }
}

/// Host and port as they stand in a request. Why not, if they are none.
pub(super) fn authority(endpoint: &Endpoint) -> Result<Authority, String> {
    let authority: Authority = endpoint.to_string().parse().map_err(|error| format!("{error}"))?;
    // What parses may still be something else: `user@host`, brackets around what is no address.
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() || host != endpoint.host || (host.contains(':') && literal(host, 0).is_none()) {
        return Err("the host is not a name or address".into());
    }
    Ok(authority)
}

/// Sizes of messages, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Largest request of a record.
    pub request_bytes: usize,
    /// Largest reply that is read.
    pub reply_bytes: usize,
}

/// A client. Made and used on one thread.
pub enum Client {
    /// JSON over HTTP.
    Rest(RestClient),
    /// Protobuf over gRPC.
    Grpc(GrpcClient),
}

impl Client {
    /// A client without connections.
    pub fn new(protocol: Protocol, node: &Node, transport: Transport, bounds: Bounds) -> Result<Self, EndpointError> {
        match transport {
            Transport::Rest => RestClient::new(protocol, node, bounds.reply_bytes).map(Self::Rest),
            Transport::Grpc => GrpcClient::new(protocol, node, bounds).map(Self::Grpc),
        }
    }

    /// Calls that may run at a time.
    pub fn limit(&self) -> usize {
        match self {
            Self::Rest(client) => client.limit(),
            Self::Grpc(client) => client.limit(),
        }
    }

    /// Calls the model. Dropping the call ends it at the server too.
    pub async fn call(&self, request: CallRequest) -> Result<Reply, CallError> {
        // Kilobytes each: made where they stay, once they are polled.
        match self {
            Self::Rest(client) => Box::pin(client.call(request)).await,
            Self::Grpc(client) => Box::pin(client.call(request)).await,
        }
    }

    /// Asks whether the endpoint is ready.
    pub async fn probe(&self) -> Result<(), CallError> {
        match self {
            Self::Rest(client) => client.probe().await,
            Self::Grpc(client) => client.probe().await,
        }
    }
}
