//! Dead letters, read and written back: what a letter says, which were replayed, and the transactions that replay them.
//!
//! Not for an operator's words and pictures: `cli::dlq` has them. Blocks on the broker, for a thread that may wait.

pub mod browse;
pub mod letter;
pub mod marks;
pub mod restore;
pub mod writer;
