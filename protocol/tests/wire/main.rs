//! The wire format of every message, checked from outside: against bytes of Apache Kafka's own
//! encoder, against an unrelated crate, and against bytes that nobody should send.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod differential;
mod dispatch;
mod encoder;
mod golden;
mod hostile;
mod tables;
