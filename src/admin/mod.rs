//! What an operator sees: health, metrics, actors.
