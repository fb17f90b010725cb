//! How a record ends, and the record that is written for it.
//!
//! Not for deciding which outcome it is: `stream` does. Pure.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::settings::Order;
use crate::record::{Headers, Message, Partition};

/// How a record ended; there is no fourth way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer, which goes to the output topic.
    Answered(Message),
    /// Without one: the record and the reason go to the dead-letter topic.
    DeadLettered(Failure),
    /// By policy, nothing is written.
    Skipped,
}

/// Why a record has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Kind of error.
    pub class: ErrorClass,
    /// What happened, for people.
    pub message: String,
    /// The node that failed, if it was one.
    pub node: Option<Arc<str>>,
    /// Status of its response, if there was one: HTTP's number or gRPC's name.
    pub status: Option<Cow<'static, str>>,
    /// Attempts that were made, of the call that failed last.
    pub attempts: u32,
    /// Body of its response, if there was one; only the first 4 KiB are written.
    pub body: Option<Bytes>,
}

impl Failure {
    /// A failure without a node: the record itself is at fault.
    pub fn of_record(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), node: None, status: None, attempts: 0, body: None }
    }
}

/// Kind of error that ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The record is no request of the protocol.
    Undecodable,
    /// A node refused the request, or failed on it in every attempt.
    ModelError,
    /// A node did not answer in time while it answered others.
    Timeout,
    /// The request, a reply or the output is larger than allowed.
    TooLarge,
    /// A node's reply cannot be the next node's request.
    Unchainable,
    /// A router's reply names no child.
    BadRoute,
    /// An actor panicked whenever it handled the record.
    Poison,
    /// The broker refused the output for good.
    RefusedByBroker,
    /// A node's endpoint was unavailable, and `when_unavailable` says not to wait for it.
    Unavailable,
    /// A node's endpoint went down whenever it was called with this record alone.
    KillsModel,
}

impl ErrorClass {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Undecodable,
        Self::ModelError,
        Self::Timeout,
        Self::TooLarge,
        Self::Unchainable,
        Self::BadRoute,
        Self::Poison,
        Self::RefusedByBroker,
        Self::Unavailable,
        Self::KillsModel,
    ];

    /// Value of the header `millrace-error-class` and of metrics' labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::ModelError => "model_error",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Unchainable => "unchainable",
            Self::BadRoute => "bad_route",
            Self::Poison => "poison",
            Self::RefusedByBroker => "refused_by_broker",
            Self::Unavailable => "unavailable",
            Self::KillsModel => "kills_model",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    /// Where to.
    pub topic: Arc<str>,
    /// The partition; without one the partitioner chooses by key.
    pub partition: Option<i32>,
    /// Key of the record it is for.
    pub key: Option<Bytes>,
    /// Answer, or the dead record's value.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Headers,
}

impl OutRecord {
    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + self.headers.size()
    }
}

/// The partition for the output of a record, where the partitioner must not choose: without a key, it would spread the
/// records of one input partition, so that order `partition` keeps the number of that partition instead.
pub fn placement(order: Order, key: Option<&Bytes>, source: Partition, partitions: i32) -> Option<i32> {
    (order == Order::Partition && key.is_none() && partitions > 0).then(|| source.0.rem_euclid(partitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keyless_outputs_of_order_partition_are_placed() {
        let key = Bytes::new();
        assert_eq!(placement(Order::Partition, None, Partition(7), 4), Some(3));
        assert_eq!(placement(Order::Partition, Some(&key), Partition(7), 4), None);
        assert_eq!(placement(Order::Key, None, Partition(7), 4), None);
        assert_eq!(placement(Order::None, None, Partition(7), 4), None);
        assert_eq!(placement(Order::Partition, None, Partition(7), 0), None);
    }
}
