//! One call to one endpoint: transport, errors, retries, health. Never names the graph.
//!
//! `client` makes calls, over REST (`rest`) or gRPC (`grpc`); what decides about them is pure: `error` (what a failure
//! means), `retry` and `clock` (what a record may cost), `availability` (unavailable is not failed), `breaker` (too many
//! fail), `limiter` and `shares` (how many run), `batch` (who goes in one call), `suspects` (who kills its server), `headers`, `paths` and
//! `methods` (what a call says and where), `addresses` (which of an endpoint's servers takes it).

mod addresses;
pub mod availability;
pub mod batch;
pub mod breaker;
pub mod call;
pub mod client;
pub mod clock;
mod connection;
pub mod error;
pub mod grpc;
mod grpc_ready;
mod grpc_reply;
#[cfg(test)]
mod grpc_stub;
mod gzip;
pub mod headers;
pub mod health;
pub mod limiter;
pub mod methods;
pub mod paths;
mod pool;
mod reply;
mod resolver;
pub mod rest;
pub mod retry;
pub mod shares;
#[cfg(test)]
mod stub;
pub mod suspects;
mod wire;

pub use error::{CallError, Class};
