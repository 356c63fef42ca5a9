//! Why a group request is refused.

use crate::coordinator::CoordinatorError;

/// A group operation that was refused. The API layer alone knows the wire code of each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group id is empty where a group needs a name.
    #[error("the group id is empty")]
    InvalidGroupId,
    /// No such group.
    #[error("group {group_id} not found")]
    GroupNotFound {
        /// The id asked for.
        group_id: String,
    },
    /// The member is not (or no longer) one of the group's.
    #[error("the member is not known in this group")]
    UnknownMember,
    /// Another process has taken this static member's place.
    #[error("another member took over the group instance id")]
    FencedInstance,
    /// The member speaks of another generation than the current one.
    #[error("generation {given} is not the current generation {current}")]
    IllegalGeneration {
        /// The generation in the request.
        given: i32,
        /// The group's generation.
        current: i32,
    },
    /// The group is rebalancing: the member has to rejoin.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The member's protocols do not fit those of the others.
    #[error("the member shares no protocol with the rest of the group")]
    InconsistentProtocol,
    /// A first join is answered with an id to join with (KIP-394).
    #[error("the member has to join again with the id it was given")]
    MemberIdRequired,
    /// The group has as many members as it may have.
    #[error("the group already has {members_max} members")]
    GroupFull {
        /// The limit.
        members_max: usize,
    },
    /// The session timeout is outside of what the broker allows.
    #[error("session timeout {given_ms} ms is not between {min_ms} and {max_ms} ms")]
    InvalidSessionTimeout {
        /// The timeout asked for.
        given_ms: i32,
        /// The shortest allowed.
        min_ms: i32,
        /// The longest allowed.
        max_ms: i32,
    },
    /// The group has members and so cannot be deleted.
    #[error("the group is not empty")]
    NotEmpty,
    /// Offsets of a topic that the group reads cannot be deleted.
    #[error("the group is subscribed to the topic")]
    SubscribedToTopic,
    /// The text to keep with an offset is too long.
    #[error("offset metadata of {size} bytes exceeds {size_max}")]
    OffsetMetadataTooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// The offsets of one commit exceed the largest batch.
    #[error("the commit is too large to be stored")]
    CommitTooLarge,
    /// The coordinator itself cannot answer.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
}
