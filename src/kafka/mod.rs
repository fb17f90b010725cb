//! The broker's side: clients, assignment, positions, acknowledgements, outputs.

pub mod offsets;
pub mod order;
pub mod partition;
