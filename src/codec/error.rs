//! Why bytes are no request, why a reply goes no further, and why an answer names no route.

use super::json::{Root, SyntaxError};
use super::wire::WireError;

/// Why a record holds no request. Class `undecodable`: no retry can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Kafka's null: a tombstone.
    #[error("the record has no value (null), so there is no request in it")]
    Null,
    /// Zero bytes.
    #[error("the record's value is empty; a request must be a JSON object")]
    Empty,
    /// Not JSON.
    #[error("the record's value is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// JSON, but no object.
    #[error("the record's value is a JSON {}; a request must be an object", kind(*.0))]
    NotObject(Root),
    /// An object of another protocol, or of none.
    #[error("the record's value lacks {expected}, which a {protocol} request must have")]
    MissingKey {
        /// Protocol that was expected.
        protocol: &'static str,
        /// The key or keys that would do.
        expected: &'static str,
    },
    /// Nothing says which message it is.
    #[error(
        "the record says neither by a header proto-name which protobuf message it is, nor by its Content-Type that it is \
         JSON; accepted names are {}",
        .accepted.join(", ")
    )]
    NoProtoName {
        /// Names that would do.
        accepted: &'static [&'static str],
    },
    /// Several names.
    #[error("the record has several proto-name headers that differ; leave one")]
    ProtoNames,
    /// A message of another protocol, or a reply.
    #[error("the record's proto-name is '{found}'; accepted names are {}", .accepted.join(", "))]
    ProtoName {
        /// What the header says, cut if long.
        found: String,
        /// Names that would do.
        accepted: &'static [&'static str],
    },
    /// No message of the type that its name says.
    #[error("the record's value is no {name}: {error}")]
    NotProto {
        /// Full name of the message.
        name: &'static str,
        /// Where and why.
        error: WireError,
    },
    /// Zero bytes where the message must say something.
    #[error("the record's value is empty; a {name} must have content")]
    EmptyProto {
        /// Full name of the message.
        name: &'static str,
    },
    /// Compressed in a way that is not read here.
    #[error("the record's Content-Encoding is '{0}'; gzip and identity are read")]
    Encoding(String),
    /// Said to be gzip, and is not.
    #[error("the record's value cannot be decompressed: {0}")]
    Gzip(String),
    /// Too large when decompressed.
    #[error("the record's value has more than {limit} bytes when decompressed")]
    TooLarge {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// V2's binary extension, used wrongly.
    #[error("the record's binary tensors cannot be told apart: {0}")]
    Binary(#[from] BinaryFault),
    /// V2's tensors, in a way that servers do not accept.
    #[error("the record's tensors are ambiguous: {0}")]
    Tensors(#[from] TensorFault),
}

/// Why a node's reply cannot be the next node's request. It is an answer, so no retry can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not JSON.
    #[error("the reply cannot be passed to the next node, it is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// JSON, but no object.
    #[error("the reply cannot be passed to the next node, it is a JSON {}, not an object", kind(*.0))]
    NotObject(Root),
    /// Nothing that the protocol's chaining rule could use.
    #[error("the reply cannot be passed to the next node, it lacks {expected}, which a {protocol} reply must have")]
    MissingKey {
        /// Protocol of the graph.
        protocol: &'static str,
        /// The key or keys that would do.
        expected: &'static str,
    },
    /// No message of the type that it should be.
    #[error("the reply cannot be passed to the next node, it is no {name}: {error}")]
    NotProto {
        /// Full name of the message.
        name: &'static str,
        /// Where and why.
        error: WireError,
    },
    /// A message that no request can be made of.
    #[error("the reply cannot be passed to the next node, no {protocol} request can be made of {found}")]
    NotChainable {
        /// Protocol of the graph.
        protocol: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// V2's binary extension, used wrongly.
    #[error("the reply cannot be passed to the next node, its binary tensors cannot be told apart: {0}")]
    Binary(#[from] BinaryFault),
    /// V2's tensors, in a way that servers do not accept.
    #[error("the reply cannot be passed to the next node, its tensors are ambiguous: {0}")]
    Tensors(#[from] TensorFault),
    /// A combiner with nothing to combine.
    #[error("there is no reply to combine")]
    NoReply,
    /// A protocol without a message for several replies.
    #[error(
        "replies of protocol {protocol} over gRPC cannot be combined: it has no message for them; call the node over REST"
    )]
    NoList {
        /// Protocol of the graph.
        protocol: &'static str,
    },
    /// A child's reply that cannot stand in a JSON list.
    #[error("the replies cannot be combined, that of child {child} is not JSON: {error}")]
    ChildNotJson {
        /// Index of the child.
        child: usize,
        /// Where and why.
        error: SyntaxError,
    },
    /// A child's reply that is no message of the list.
    #[error("the replies cannot be combined, that of child {child} is no {name}: {error}")]
    ChildNotProto {
        /// Index of the child.
        child: usize,
        /// Full name of the message.
        name: &'static str,
        /// Where and why.
        error: WireError,
    },
    /// A child's reply in another form than the list's.
    #[error("the replies cannot be combined, that of child {child} is {found}, where {expected} is needed")]
    ChildForm {
        /// Index of the child.
        child: usize,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Why an answer names no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not JSON.
    #[error("no route, the answer is not JSON: {0}")]
    NotJson(#[from] SyntaxError),
    /// No message of the type that it should be.
    #[error("no route, the answer is no {name}: {error}")]
    NotProto {
        /// Full name of the message.
        name: &'static str,
        /// Where and why.
        error: WireError,
    },
    /// A message that has no place for a route.
    #[error("no route can be read from a {0}")]
    Message(&'static str),
    /// Nothing where the route should be.
    #[error("no route in the answer: expected {expected}, found {found}")]
    Missing {
        /// Where a route is looked for.
        expected: &'static str,
        /// What is there, cut if long.
        found: String,
    },
    /// Something that is no route.
    #[error("not a route, which is a whole number from -2 on: {0}")]
    NotRoute(String),
}

/// What is wrong with a body of V2's binary extension.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryFault {
    /// The header is no number.
    #[error("Inference-Header-Content-Length is '{0}', not a number of bytes")]
    Header(String),
    /// A raw body.
    #[error("Inference-Header-Content-Length is 0: a raw body does not name its input, so send its JSON text with it")]
    Raw,
    /// More JSON than body.
    #[error("the JSON text should have {json} bytes, but the body has {body}")]
    Short {
        /// Bytes of JSON that were announced.
        json: usize,
        /// Bytes that there are.
        body: usize,
    },
    /// Tensors that are no list.
    #[error("the tensors are no JSON array")]
    NotList,
    /// A size that is no number.
    #[error("a binary_data_size is {0}, not a number of bytes")]
    Size(String),
    /// Sizes that do not add up.
    #[error("the tensors' binary_data_size are {sum} bytes together, but {rest} follow the JSON text")]
    Sum {
        /// What the tensors say.
        sum: u64,
        /// Bytes that there are.
        rest: usize,
    },
}

/// What is wrong with the tensors of a V2 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorFault {
    /// Data in two places.
    #[error("there are both raw and typed contents; a message has one of them")]
    RawAndTyped,
    /// Raw entries and tensors that do not match.
    #[error("there are {raw} raw contents for {tensors} tensors; each needs one")]
    RawCount {
        /// Raw entries.
        raw: usize,
        /// Tensors.
        tensors: usize,
    },
}

fn kind(root: Root) -> &'static str {
    match root {
        Root::Object => "object",
        Root::Array => "array",
        Root::Scalar => "scalar",
    }
}

/// What was found, for an error's text: at most 80 bytes of it, and a mark where it was cut.
pub(super) fn shown(found: &[u8]) -> String {
    const MOST: usize = 80;
    let cut = &found[..found.len().min(MOST)];
    let whole = match std::str::from_utf8(cut) {
        // A character that was cut in two is left out.
        Err(error) if error.error_len().is_none() && found.len() > MOST => &cut[..error.valid_up_to()],
        _ => cut,
    };
    let mut text = String::from_utf8_lossy(whole).into_owned();
    if found.len() > MOST {
        text.push('…');
    }
    text
}
