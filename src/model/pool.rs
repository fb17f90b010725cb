//! Connections of one gRPC client, on all addresses of its endpoint.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::addresses::{Addresses, Place};
use super::connection::Connection;
use super::error::CallError;
use super::resolver::Resolver;
use super::wire::literal;
use crate::config::settings::Endpoint;

/// The connections.
pub(super) struct Pool {
    addresses: Rc<RefCell<Addresses<Rc<Connection>>>>,
    /// A host that is an address needs none.
    resolver: Option<Resolver>,
    began: Instant,
    connect: Duration,
}

/// A call on its connection. Dropped, it has ended.
pub(super) struct Run<'a> {
    pool: &'a Pool,
    /// Where it runs.
    pub(super) place: Place,
    /// On what.
    pub(super) connection: Rc<Connection>,
}

impl Pool {
    /// Without connections. `connect` is the time for making one.
    pub(super) fn new(endpoint: &Endpoint, connect: Duration) -> Self {
        let addresses = Rc::new(RefCell::new(Addresses::new()));
        let resolver = if let Some(address) = literal(&endpoint.host, endpoint.port) {
            addresses.borrow_mut().replace(&[address]);
            None
        } else {
            let known = Rc::downgrade(&addresses);
            Some(Resolver::start(endpoint.host.clone(), endpoint.port, move |found| {
                if let Some(known) = known.upgrade() {
                    known.borrow_mut().replace(found);
                }
            }))
        };
        Self { addresses, resolver, began: Instant::now(), connect }
    }

    /// Starts a call, on an address that it has not tried; nothing if it has tried all.
    pub(super) async fn choose(&self, tried: &[SocketAddr]) -> Result<Option<Run<'_>>, CallError> {
        self.known().await?;
        let chosen =
            self.addresses.borrow_mut().choose(self.now(), tried, |at| Rc::new(Connection::new(at, self.connect)));
        Ok(chosen.map(|(place, connection)| Run { pool: self, place, connection }))
    }

    /// Whether a new connection can be made, to any address.
    pub(super) async fn reach(&self) -> Result<(), CallError> {
        self.known().await?;
        let all = self.addresses.borrow().all();
        let mut result = Ok(());
        for address in all {
            result = Connection::new(address, self.connect).made().await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Time by which connections are judged.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A call that began then had no answer in time.
    pub(super) fn silent(&self, place: Place, began: Duration) {
        self.addresses.borrow_mut().silent(place, began);
    }

    /// Waits until an address is known.
    async fn known(&self) -> Result<(), CallError> {
        match &self.resolver {
            Some(resolver) if self.addresses.borrow().is_empty() => resolver.next(self.connect).await,
            _ => Ok(()),
        }
    }

    fn trouble(&self) {
        if let Some(resolver) = &self.resolver {
            resolver.trouble();
        }
    }

    /// Takes these addresses for those of the endpoint.
    #[cfg(test)]
    pub(super) fn set(&self, addresses: &[SocketAddr]) {
        self.addresses.borrow_mut().replace(addresses);
    }

    /// Whether anything still holds what is known of the addresses.
    #[cfg(test)]
    pub(super) fn watched(&self) -> std::rc::Weak<RefCell<Addresses<Rc<Connection>>>> {
        Rc::downgrade(&self.addresses)
    }
}

impl Run<'_> {
    /// Its connection is made.
    pub(super) fn reached(&self) {
        self.pool.addresses.borrow_mut().reached(self.place);
    }

    /// Its connection could not be made.
    pub(super) fn unreachable(&self) {
        self.pool.addresses.borrow_mut().unreachable(self.place, self.pool.now());
        self.pool.trouble();
    }

    /// The server answered.
    pub(super) fn heard(&self) {
        self.pool.addresses.borrow_mut().heard(self.place, self.pool.now());
    }

    /// Its connection broke.
    pub(super) fn broken(&self) {
        self.pool.addresses.borrow_mut().close(self.place);
        self.pool.trouble();
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.pool.addresses.borrow_mut().ended(self.place);
    }
}
