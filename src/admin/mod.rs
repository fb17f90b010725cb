//! What an operator sees: health, metrics, actors, on a port of its own.
//!
//! | path | answer |
//! |---|---|
//! | `/live`, `/v2/health/live` | 200 unless a critical part makes no progress |
//! | `/ready`, `/v2/health/ready` | 200 if every check holds, else 503; the checks as JSON |
//! | `/startupz` | 200 once settings are read and the graph stands |
//! | `/metrics`, `/prometheus` | metrics in Prometheus' text format |
//! | `/api/actors` | every actor's state as JSON |
//! | `POST /api/actors/NAME/crash` | panics an actor, if `admin.allow_crash` is set |
//!
//! Probes answer from memory. The server has threads of its own, so that it answers while work is stuck.

pub mod health;
mod routes;
mod server;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use prometheus::proto::MetricFamily;

pub use health::{Check, Health};
pub use server::{AdminHandle, start};

/// What the server shows.
#[derive(Clone)]
pub struct State {
    /// Answers of the probes.
    pub health: Health,
    /// Where metrics are gathered from.
    pub registries: Vec<Registry>,
    /// The supervised actors.
    pub actors: Arc<dyn Actors>,
}

impl State {
    /// Metrics of all registries. A family that several have is one.
    fn gather(&self) -> Vec<MetricFamily> {
        let mut families: Vec<MetricFamily> = Vec::new();
        for mut family in self.registries.iter().flat_map(Registry::gather) {
            match families.iter_mut().find(|known| known.name() == family.name()) {
                Some(known) => known.mut_metric().append(family.mut_metric()),
                None => families.push(family),
            }
        }
        families
    }
}

/// The supervised actors, as far as an operator deals with them.
pub trait Actors: Send + Sync + 'static {
    /// A JSON array with every actor's state. An actor that does not answer within `timeout` is in it as such.
    fn snapshot(&self, timeout: Duration) -> Pin<Box<dyn Future<Output = serde_json::Value>>>;

    /// Makes an actor panic; false if there is none of this name.
    fn crash(&self, name: &str) -> bool;
}

/// Why the admin server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("admin port: cannot listen on {address}: {}", hint(source))]
    Bind {
        /// What was tried.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system gave no thread or socket.
    #[error("admin port: cannot start its server: {0}")]
    Start(#[source] io::Error),
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there; stop it, or choose another port with --http_port or admin.port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "no permission; choose a port above 1023 with --http_port or admin.port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "the address is not one of this host; set admin.host to 0.0.0.0 or one of its addresses".to_owned()
        }
        _ => format!("{error}; check admin.host and admin.port"),
    }
}

#[cfg(test)]
mod tests;
