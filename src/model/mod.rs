//! One call to one endpoint: transport, errors, retries, health. Never names the graph.
//!
//! `rest` makes calls; everything else decides about them and is pure: `error` (what a failure means), `retry` and `clock`
//! (what a record may cost), `availability` (unavailable is not failed), `headers` and `paths` (what a call says and where).

pub mod availability;
pub mod call;
pub mod client;
pub mod clock;
pub mod error;
mod gzip;
pub mod headers;
pub mod health;
pub mod paths;
mod reply;
pub mod rest;
pub mod retry;
#[cfg(test)]
mod stub;
mod wire;

pub use error::{CallError, Class};
