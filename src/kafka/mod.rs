//! The broker's side: clients, assignment, positions, acknowledgements, outputs.

pub mod assignment;
pub mod client;
pub mod cluster;
pub mod consumer;
pub mod dead_letter;
pub mod holdings;
pub mod offsets;
pub mod order;
pub mod outcome;
pub mod output;
pub mod partition;
pub mod permits;
pub mod replay;
pub mod sink;
pub mod source;
pub mod start;
pub mod status;
pub mod suspects;
pub mod topics;
pub mod transaction;
mod transaction_call;
pub mod transactor;
pub mod writer;
