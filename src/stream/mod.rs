//! The actors that carry a record from input to output, and the tree that supervises them.

pub mod service;
