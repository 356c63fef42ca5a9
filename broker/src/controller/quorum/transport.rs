//! What the quorum needs of the network: to ask another broker and hear its answer.

use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::BoxFuture;

/// Where the quorum of a broker is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumAddress {
    /// Who must answer there.
    pub node_id: i32,
    /// The peer listener, `host:port`.
    pub addr: String,
}

/// What a call is for. Answers leave a connection in order, so each purpose has its own: a vote must
/// not wait until entries are on disk, and a heartbeat neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuorumLane {
    /// Elections, and what ends a leadership.
    Vote,
    /// That the leader lives, and how far the log is committed.
    Heartbeat,
    /// Entries of the log.
    Append,
    /// Pieces of a snapshot.
    Snapshot,
    /// Whether anybody listens, who is new, who wants to join.
    Question,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The machine answers and nobody listens there: the process that did is gone.
    #[error("nobody listens there")]
    Refused,
    /// No connection, a broken one, or somebody else answers.
    #[error("it cannot be reached")]
    Unreachable,
    /// It may have heard the call or not.
    #[error("it did not answer in time")]
    TimedOut,
}

/// Carries calls to [`QuorumService::handle`](super::QuorumService::handle) of other brokers.
pub trait QuorumTransport: Send + Sync {
    /// Asks and waits for the answer, at most for `timeout`.
    fn call(
        &self,
        to: &QuorumAddress,
        lane: QuorumLane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>>;
}

/// The transport of a cluster of one.
#[derive(Debug)]
pub(super) struct Alone;

impl QuorumTransport for Alone {
    fn call(
        &self,
        _to: &QuorumAddress,
        _lane: QuorumLane,
        _body: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        Box::pin(async { Err(TransportError::Unreachable) })
    }
}
