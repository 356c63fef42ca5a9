//! Kafka's wire protocol and record batches: framing, messages, error codes, compression.

pub mod records;
