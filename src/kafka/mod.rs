//! The broker's side: clients, assignment, positions, acknowledgements, outputs.

pub mod dead_letter;
pub mod outcome;
pub mod output;
pub mod topics;
