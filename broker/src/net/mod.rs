//! The client listener: accepts connections, cuts them into frames and answers in order.
//!
//! [`listener`] admits connections within the limits of `admission`; each is one task that runs
//! `connection`, which reads through `input`, starts requests by the table in [`crate::api`] and
//! sends through `output`, for as long as `patience` lasts. Nothing here knows what a request means.
//!
//! **Invariant:** whatever one client sends, only its own connection is closed.
//! **Invariant:** buffers grow with bytes that arrived, never with a length that was announced.

mod admission;
mod collector;
mod connection;
mod input;
mod listener;
mod memory;
mod output;
mod patience;

pub(crate) use admission::Admission;
pub(crate) use listener::{Acceptor, PanicGuard};
pub(crate) use memory::RequestMemory;
pub(crate) use output::Output;
