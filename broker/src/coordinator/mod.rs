//! What every coordinator on an internal topic shares: decide, append, replay, release.
//!
//! A coordinator keeps its durable state in one partition of an internal topic (groups in
//! `__consumer_offsets`). Its rules are a synchronous [`Shard`]; this module drives one:
//!
//! 1. the shard decides, and says what to append and whom to answer ([`Effects`]),
//! 2. the records are appended as one batch, so that all of them last or none,
//! 3. they are replayed at once, so that the next decision builds on them,
//! 4. replies that promise something durable leave once the high watermark has passed the batch.
//!
//! When an append is refused, nothing was replayed, and those who wait for it are told. When one is
//! lost later, what was replayed never happened: the shard is dropped
//! and read again from the log, and everyone who waited is sent away to try again. There is no
//! rollback code.
//!
//! **Invariant:** nothing here knows what the records mean. **Absent on purpose:** routing of keys
//! to partitions, which differs per coordinator.

mod decision;
mod load;
mod log;
mod runtime;
#[cfg(test)]
pub(crate) mod tests;

pub use decision::{CoordinatorRecord, Effects, Now, ReplayError, Shard, Ticket};
pub use log::{CoordinatorLog, LogError};
pub use runtime::{CoordinatorError, ShardRuntime, Wait};
