//! The nouns of the service as types: positions, epochs, records and headers.
//!
//! Not for behaviour: what is done with a record is decided in `kafka`, `graph` and `stream`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::settings::Transport;

/// A partition of the input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub i32);

/// Where a record stands in its partition. Never committed: see [`NextOffset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub i64);

/// The offset to read next; the only thing that is ever committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextOffset(pub i64);

impl Offset {
    /// The position after this record. The only place where one is added to an offset.
    pub fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }
}

/// One life of a ConsumerActor over one assignment. Unique in the process and increasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

macro_rules! shown_as_number {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}
shown_as_number!(Partition, Offset, NextOffset, Epoch);

/// A header of a record; a value can be absent, and need not be text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name as it was sent; matched without regard to case.
    pub name: Arc<str>,
    /// Value as it was sent.
    pub value: Option<Bytes>,
}

/// Headers in the order they were sent; names may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<Header>);

impl Headers {
    /// The first header of this name (without regard to case) that has a value.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).find_map(|h| h.value.as_ref())
    }

    /// The first header of this name whose value is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Appends a header.
    pub fn push(&mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) {
        self.0.push(Header { name: name.into(), value: Some(value.into()) });
    }

    /// Bytes of names and values.
    pub fn size(&self) -> usize {
        self.0.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len)).sum()
    }
}

/// What Kafka delivered. A null value is not an empty one.
#[derive(Clone, Debug)]
pub struct Record {
    /// Topic it was read from.
    pub topic: Arc<str>,
    /// Partition it was read from.
    pub partition: Partition,
    /// Its position there.
    pub offset: Offset,
    /// Key, by which order is kept and outputs are placed.
    pub key: Option<Bytes>,
    /// Value: the request.
    pub value: Option<Bytes>,
    /// Headers that could be read.
    pub headers: Headers,
    /// Headers whose name is no UTF-8: the client library cannot hand them over.
    pub unreadable_headers: usize,
    /// Milliseconds since 1970, if the record has a time.
    pub timestamp: Option<i64>,
}

impl Record {
    /// Bytes it holds in memory: key, value and headers.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + self.headers.size()
    }
}

/// What a node is asked to do in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// Answer a request.
    Predict,
    /// Change a request.
    TransformInput,
    /// Change an answer.
    TransformOutput,
    /// Choose a child.
    Route,
    /// Make one answer of several.
    Aggregate,
    /// Learn how good an answer was.
    SendFeedback,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Predict, Self::TransformInput, Self::TransformOutput, Self::Route, Self::Aggregate, Self::SendFeedback];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::TransformInput => "transform-input",
            Self::TransformOutput => "transform-output",
            Self::Route => "route",
            Self::Aggregate => "aggregate",
            Self::SendFeedback => "send-feedback",
        }
    }
}

/// A request or a reply, as the bytes that travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The bytes.
    pub body: Bytes,
    /// How they are to be read.
    pub form: Form,
}

/// How a message's bytes are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON text. Without a content type it is `application/json`.
    Json {
        /// What was said of it.
        content_type: Option<Bytes>,
    },
    /// V2's binary extension: JSON text of this many bytes, then the tensors' bytes.
    Binary {
        /// Bytes of the JSON text.
        json: usize,
    },
    /// A protobuf message of this full name.
    Proto(&'static str),
}

impl Message {
    /// Plain JSON.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), form: Form::Json { content_type: None } }
    }

    /// A protobuf message.
    pub fn proto(name: &'static str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), form: Form::Proto(name) }
    }

    /// How it travels.
    pub fn transport(&self) -> Transport {
        match self.form {
            Form::Json { .. } | Form::Binary { .. } => Transport::Rest,
            Form::Proto(_) => Transport::Grpc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_matched_without_regard_to_case_and_skip_absent_values() {
        let mut headers = Headers::default();
        headers.0.push(Header { name: "seldon-puid".into(), value: None });
        headers.push("SELDON-PUID", "7");
        assert_eq!(headers.text("Seldon-Puid"), Some("7"));
        assert_eq!(headers.get("content-type"), None);
    }

    #[test]
    fn only_a_next_offset_is_one_past() {
        assert_eq!(Offset(41).next(), NextOffset(42));
    }
}
