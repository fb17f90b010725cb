//! Tests of the REST client, on real sockets of this thread.
