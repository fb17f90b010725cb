//! A client of one node's endpoint, whatever its transport.

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

use super::call::{CallRequest, Reply};
use super::error::CallError;
use super::rest::RestClient;
use crate::config::settings::{Node, Protocol, Transport};

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub request_bytes: usize,
    pub reply_bytes: usize,
}
pub enum Client {
    Rest(RestClient),
}
impl Client {
    pub fn new(protocol: Protocol, node: &Node, _t: Transport, bounds: Bounds) -> Result<Self, EndpointError> {
        Ok(Self::Rest(RestClient::new(protocol, node, bounds.reply_bytes)?))
    }
    pub async fn call(&self, request: CallRequest) -> Result<Reply, CallError> {
        let Self::Rest(c) = self;
        c.call(request).await
    }
    pub async fn probe(&self) -> Result<(), CallError> {
        let Self::Rest(c) = self;
        c.probe().await
    }
}
