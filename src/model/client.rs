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
