//! Stories of real processes and sockets: brokers that are started, stopped and killed, and what
//! clients see of it. One file per story.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::unwrap_in_result, reason = "what is not the answer of a broker ends the test")]
#![expect(clippy::let_underscore_must_use, reason = "cleaning up after a test may fail")]

mod broker_process;
mod cli;
mod cluster;
mod crash;
#[allow(dead_code, reason = "shared with the wire tests of the protocol, which use more of it")]
#[path = "../../../protocol/tests/wire/encoder.rs"]
mod encoder;
mod hostile;
mod limits;
mod mutated;
mod mutation;
#[path = "../chaos/ports.rs"]
mod ports;
mod start;
mod stranger;
mod tour;
mod undisturbed;
