//! The messages and gRPC services of the three prediction protocols, as Rust types.
//!
//! - [`tensorflow`] and [`tensorflow_serving`]: TensorFlow Serving's tensors, and its calls;
//! - [`seldon`]: Seldon Core v1;
//! - [`inference`]: V2, the open inference protocol.
//!
//! Everything here is made at build time from the files in `protos/`. Byte fields are [`Bytes`](bytes::Bytes): decode
//! from a `Bytes`, and tensor data is a slice of the message it came in. Maps are ordered, so that equal messages have
//! equal encodings. Fields that the files do not name are dropped by decoding, as prost does.
//!
//! Clients and servers are generic over the transport; this crate opens no connection. It knows nothing of Kafka, of
//! graphs or of JSON: reading and changing messages is the business of who uses them.

#![forbid(unsafe_code)]

mod names;

pub use names::{CALLS, Call, ProtoName, reply_of};

// Generated code is not ours to polish.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    rustdoc::all,
    reason = "generated code"
)]
mod generated {
    pub mod tensorflow {
        include!(concat!(env!("OUT_DIR"), "/tensorflow.rs"));
        pub mod serving {
            include!(concat!(env!("OUT_DIR"), "/tensorflow.serving.rs"));
        }
    }
    pub mod seldon {
        pub mod protos {
            include!(concat!(env!("OUT_DIR"), "/seldon.protos.rs"));
        }
    }
    pub mod inference {
        include!(concat!(env!("OUT_DIR"), "/inference.rs"));
    }
}

pub use generated::{inference, seldon::protos as seldon, tensorflow, tensorflow::serving as tensorflow_serving};
/// The protobuf library's own types (`Value`, `ListValue`, `Any`) that messages here contain.
pub use prost_types as well_known;
