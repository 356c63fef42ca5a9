//! The shape of a coordinator's rules: a [`Shard`] that is told what happened and answers with
//! [`Effects`]. It does no I/O, knows no clock and never waits.

use std::fmt::Debug;

use bytes::Bytes;

/// The time of an event, passed into every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some fixed point; never goes back. All deadlines are on this scale, so
    /// that a corrected wall clock expires nobody.
    pub monotonic_ms: i64,
    /// Milliseconds since the Unix epoch, for what is written down.
    pub wall_ms: i64,
}

/// Names a request whose answer is given later, perhaps by another request's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A record for the coordinator's log; no value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// What the record is about; the cleaner keeps the last record of each key.
    pub key: Bytes,
    /// The new state, or nothing if it is gone.
    pub value: Option<Bytes>,
}

/// What a decision asks of the runtime.
#[derive(Debug)]
pub struct Effects<R, C> {
    /// Answers that promise nothing durable, released at once.
    pub replies: Vec<(Ticket, R)>,
    /// Records to append as one batch and to replay.
    pub records: Vec<CoordinatorRecord>,
    /// Answers released once the records are committed.
    pub committed_replies: Vec<(Ticket, R)>,
    /// Events to feed back into the shard once the records are committed.
    pub on_committed: Vec<C>,
}

impl<R, C> Default for Effects<R, C> {
    fn default() -> Self {
        Self {
            replies: Vec::new(),
            records: Vec::new(),
            committed_replies: Vec::new(),
            on_committed: Vec::new(),
        }
    }
}

/// A record of the log that the shard cannot understand. A newer version is such a case: going on
/// without it would lose what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("coordinator record at offset {offset} cannot be read: {source}")]
pub struct ReplayError {
    /// Where in the log.
    pub offset: i64,
    /// What is wrong with it.
    pub source: flumen_protocol::DecodeError,
}

/// The rules and the state of one coordinator partition.
///
/// Durable state changes only in [`Shard::replay`], live and at load alike. State that no record
/// holds starts in [`Shard::on_loaded`] and changes by the shard's own events.
pub trait Shard: Debug + Send + 'static {
    /// An answer to a ticket.
    type Reply: Debug + Send;
    /// What the shard wants to be told once its records are committed.
    type Committed: Debug + Send;

    /// Applies one record.
    fn replay(&mut self, offset: i64, record: &CoordinatorRecord) -> Result<(), ReplayError>;

    /// Starts the state that no record holds, after the last record of the log was replayed.
    fn on_loaded(&mut self, now: Now, effects: &mut Effects<Self::Reply, Self::Committed>);

    /// Does what is due at `now`.
    fn on_tick(&mut self, now: Now, effects: &mut Effects<Self::Reply, Self::Committed>);

    /// Goes on after the records that came with `event` were committed.
    fn on_committed(
        &mut self,
        now: Now,
        event: Self::Committed,
        effects: &mut Effects<Self::Reply, Self::Committed>,
    );

    /// Goes on after the records that came with `event` could not be appended.
    fn on_refused(
        &mut self,
        now: Now,
        event: Self::Committed,
        effects: &mut Effects<Self::Reply, Self::Committed>,
    );

    /// When [`Shard::on_tick`] is next needed, on the monotonic scale.
    fn next_deadline_ms(&self) -> Option<i64>;
}
