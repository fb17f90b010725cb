//! The inference graph: what it may be (`spec`), how it is laid out (`plan`), and one request's way through it (`walk`).
//! Pure; never names Kafka.

pub mod plan;
pub mod spec;
pub mod walk;

pub use plan::{NodeId, Plan};
pub use walk::{Next, NoSuchChild, Walk};
