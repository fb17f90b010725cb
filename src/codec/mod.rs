//! Bytes to requests and replies and back, per protocol. Pure.
