//! One member of a classic group.

use bytes::Bytes;

use super::timers::Deadline;
use crate::coordinator::Ticket;

/// An assignment strategy a member supports, with what it says about itself under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// The strategy's name.
    pub name: String,
    /// The member's subscription, opaque to the broker.
    pub metadata: Bytes,
}

/// A member, with the requests of it that wait for an answer.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: String,
    /// Set for static members (KIP-345).
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// In the member's order of preference.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// True until its first join is answered: till then it does not know its id, cannot send
    /// heartbeats, and is dropped after a longer time.
    pub(super) is_new: bool,
    pub(super) awaiting_join: Option<Ticket>,
    pub(super) awaiting_sync: Option<Ticket>,
    pub(super) session: Deadline,
}

impl Member {
    /// The metadata for `protocol`; empty if the member does not support it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|candidate| candidate.name == protocol)
            .map_or_else(Bytes::new, |found| found.metadata.clone())
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|candidate| candidate.name == protocol)
    }

    /// Whether silence is no reason to drop the member: while the coordinator owes it an answer,
    /// it cannot be expected to send heartbeats on the same connection.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}
