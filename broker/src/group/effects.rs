//! What a group's rules are given in each turn, and what they give back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::GroupError;
use super::member::Protocol;
use super::timers::Timers;
use crate::config::GroupConfig;
use crate::coordinator::{Effects, Now, Ticket};

/// A member's wish to join or rejoin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// Empty at the first join.
    pub member_id: String,
    /// Set for static members.
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where the client is, for people who look at the group.
    pub client_host: String,
    /// Silence for longer than this ends the membership.
    pub session_timeout_ms: i32,
    /// How long the group waits for the member in a rebalance.
    pub rebalance_timeout_ms: i32,
    /// What kind of group this is, `consumer` for consumers.
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// Why the client joins, in its words.
    pub reason: Option<String>,
    /// The client understands a first join answered with an id only (KIP-394, v4).
    pub requires_known_member_id: bool,
    /// The client understands to be leader without having to assign (KIP-814, v9).
    pub supports_skipping_assignment: bool,
    /// An id nobody else has, in case the member needs one.
    pub fresh_id: String,
}

/// The answer to a join that ended in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The generation joined.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol chosen.
    pub protocol_name: Option<String>,
    /// The member id of the leader.
    pub leader: String,
    /// The member that is answered.
    pub member_id: String,
    /// All members with their metadata, for the leader only.
    pub members: Vec<JoinedMember>,
    /// The leader keeps the assignment as it is.
    pub skip_assignment: bool,
}

/// A member, as the leader gets to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// Its instance id, if it is static.
    pub instance_id: Option<String>,
    /// Its metadata under the chosen protocol.
    pub metadata: Bytes,
}

/// A join that was refused, with the id the member should use from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefusal {
    /// Why.
    pub error: GroupError,
    /// Empty if the member has none (any more).
    pub member_id: String,
}

/// A member's request for its assignment; the leader's carries everyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The group.
    pub group_id: String,
    /// The generation the member joined.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// Set for static members.
    pub instance_id: Option<String>,
    /// Checked when given.
    pub protocol_type: Option<String>,
    /// Checked when given.
    pub protocol_name: Option<String>,
    /// Member id to assignment, from the leader.
    pub assignments: BTreeMap<String, Bytes>,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol chosen.
    pub protocol_name: Option<String>,
    /// Opaque to the broker.
    pub assignment: Bytes,
}

/// An answer that may come long after its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupReply {
    /// To a join.
    Join(Result<Joined, JoinRefusal>),
    /// To a sync.
    Sync(Result<Synced, GroupError>),
}

/// What the coordinator goes on with once a group's record is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupCommitted {
    /// The leader's assignment is safe: the members may have it.
    AssignmentStored {
        /// The group.
        group_id: String,
        /// The generation it was made for.
        generation: i32,
    },
}

/// The effects of group rules.
pub type GroupEffects = Effects<GroupReply, GroupCommitted>;

/// One turn of the rules: the time, the configuration, and where effects go.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) config: &'a GroupConfig,
    pub(super) timers: &'a mut Timers,
    pub(super) effects: &'a mut GroupEffects,
}

impl Turn<'_> {
    pub(super) fn answer_join(&mut self, ticket: Ticket, joined: Joined) {
        self.effects.replies.push((ticket, GroupReply::Join(Ok(joined))));
    }

    pub(super) fn refuse_join(&mut self, ticket: Ticket, error: GroupError, member_id: String) {
        let refusal = JoinRefusal { error, member_id };
        self.effects.replies.push((ticket, GroupReply::Join(Err(refusal))));
    }

    pub(super) fn answer_sync(&mut self, ticket: Ticket, synced: Synced) {
        self.effects.replies.push((ticket, GroupReply::Sync(Ok(synced))));
    }

    pub(super) fn refuse_sync(&mut self, ticket: Ticket, error: GroupError) {
        self.effects.replies.push((ticket, GroupReply::Sync(Err(error))));
    }
}
