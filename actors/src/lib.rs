//! Supervised actors.
