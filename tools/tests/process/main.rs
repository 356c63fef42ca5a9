//! Stories of real processes and sockets: brokers that are started, stopped and killed, and what
//! clients see of it. One file per story.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::let_underscore_must_use, reason = "cleaning up after a test may fail")]

mod broker_process;
mod cli;
mod crash;
mod hostile;
mod start;
mod tour;
