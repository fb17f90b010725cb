//! The inference graph: plan and walk. Pure; never names Kafka.
