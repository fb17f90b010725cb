//! How outcomes are written: each at once, or in transactions with the offsets.

use std::sync::Arc;

use super::sink::Sink;
use super::transactor::Transactor;

/// The way to the brokers, by the guarantee that holds.
#[derive(Clone)]
pub enum Writer {
    /// At least once.
    AtOnce(Arc<Sink>),
    /// Exactly once.
    InTransactions(Arc<Transactor>),
}

impl Writer {
    /// The transactions, if outcomes are written in such.
    pub fn transactor(&self) -> Option<&Arc<Transactor>> {
        match self {
            Self::AtOnce(_) => None,
            Self::InTransactions(transactor) => Some(transactor),
        }
    }

    /// Topics are there; no batch of several records may be larger than `batch_bytes`, which the broker would refuse whole.
    pub fn begin(&self, batch_bytes: Option<u64>) {
        match (self, batch_bytes) {
            (Self::AtOnce(sink), Some(bytes)) => sink.batches_within(bytes),
            (Self::AtOnce(_), None) => {}
            (Self::InTransactions(transactor), bytes) => transactor.begin(bytes),
        }
    }

    /// Outcomes that are not settled.
    pub fn unsettled(&self) -> usize {
        match self {
            Self::AtOnce(sink) => sink.unsettled(),
            Self::InTransactions(transactor) => transactor.held(),
        }
    }

    /// Whether outcomes can be written, and in words.
    pub fn state(&self) -> (bool, &'static str) {
        match self {
            Self::AtOnce(_) => (true, "ready to write"),
            Self::InTransactions(transactor) if transactor.is_ready() => (true, "ready for transactions"),
            Self::InTransactions(_) => (false, "the brokers have not let it begin transactions yet"),
        }
    }

    /// Whether nothing will be written any more.
    pub fn has_failed(&self) -> bool {
        self.transactor().is_some_and(|transactor| transactor.has_failed())
    }

    /// Ends its thread.
    pub fn stop(&self) {
        match self {
            Self::AtOnce(sink) => sink.stop(),
            Self::InTransactions(transactor) => transactor.stop(),
        }
    }
}
