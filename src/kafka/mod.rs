//! The broker's side: clients, assignment, positions, acknowledgements, outputs.
