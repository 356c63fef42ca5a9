//! A classic group: its members, their votes, and what of it is written down.
//!
//! The life of a group is spread over sibling modules that each add methods to [`Group`]:
//! [`join`](super::join), [`rebalance`](super::rebalance), [`sync`](super::sync) and
//! [`session`](super::session). This one holds the state they share and the questions they ask it.
//!
//! Two kinds of state live here. `stored` is durable: it changes only when a record is replayed.
//! Everything else is session state, rebuilt from `stored` after a load. A change of session
//! state that must outlive a crash is written as a record before anyone is told about it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flumen_protocol::messages::consumer_protocol::ConsumerProtocolSubscription;
use flumen_protocol::messages::group_records::GroupMetadataValue;

use super::effects::Turn;
use super::error::GroupError;
use super::member::{Member, Protocol};
use super::records;
use super::timers::{Deadline, Timer};
use crate::config::GroupConfig;

/// The protocol type of consumers; others (Kafka Connect, for one) are opaque to the broker.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Where a group is in its life. A group that is gone is simply not there (Kafka's `Dead`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// No members; maybe committed offsets.
    Empty,
    /// Waiting for the members to (re)join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl GroupState {
    /// Kafka's name of the state, as list and describe give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// How much longer a rebalance that started from an empty group waits for more members.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    /// The wait under way.
    pub(super) delay_ms: i64,
    /// What may be waited beyond it, so that a trickle of members cannot put it off for ever.
    pub(super) remaining_ms: i64,
}

/// One classic group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    /// How many records the shard had replayed when the group came to be.
    pub(super) made_after: u64,
    /// The last record replayed; none for a group that only commits offsets.
    pub(super) stored: Option<GroupMetadataValue>,
    /// A record was decided on in this turn and will be replayed at its end.
    is_being_stored: bool,

    pub(super) state: GroupState,
    /// When the state was entered, by the wall clock: an empty group's offsets expire from there.
    pub(super) state_since_ms: Option<i64>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Group instance id to member id.
    pub(super) static_members: BTreeMap<String, String>,
    /// Ids given out by a first join and not come back yet (KIP-394).
    pub(super) pending_members: BTreeMap<String, Deadline>,
    /// Members that have not asked for their assignment in this generation.
    pub(super) pending_sync: BTreeSet<String>,
    /// What the members read, where that can be told: only for consumers whose metadata parses.
    pub(super) subscribed_topics: Option<BTreeSet<String>>,
    pub(super) initial_delay: Option<InitialDelay>,
    pub(super) new_member_added: bool,
    /// The leader's assignment is appended and not committed yet.
    pub(super) is_storing_assignment: bool,
    pub(super) join_deadline: Deadline,
    pub(super) sync_deadline: Deadline,
}

impl Group {
    pub(super) fn new(id: String, made_after: u64) -> Self {
        Self {
            id,
            made_after,
            stored: None,
            is_being_stored: false,
            state: GroupState::Empty,
            state_since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
            initial_delay: None,
            new_member_added: false,
            is_storing_assignment: false,
            join_deadline: Deadline::default(),
            sync_deadline: Deadline::default(),
        }
    }

    /// Rebuilds the session state from the stored record, after a load.
    ///
    /// Members keep their assignment and get a whole session timeout to show up in.
    pub(super) fn restore(&mut self, turn: &mut Turn<'_>) {
        let Some(stored) = &mut self.stored else { return };
        // Out of the large piece of log that they were read in, which they would keep in memory.
        for member in &mut stored.members {
            member.subscription = Bytes::copy_from_slice(&member.subscription);
            member.assignment = Bytes::copy_from_slice(&member.assignment);
        }
        let stored = stored.clone();
        self.generation = stored.generation;
        self.protocol_type = Some(stored.protocol_type).filter(|name| !name.is_empty());
        self.protocol_name = stored.protocol;
        self.leader = stored.leader;
        self.state_since_ms = Some(stored.current_state_timestamp).filter(|&at_ms| at_ms >= 0);
        let protocol_name = self.protocol_name.clone().unwrap_or_default();
        for stored_member in stored.members {
            let rebalance_timeout_ms = match stored_member.rebalance_timeout {
                ..0 => stored_member.session_timeout,
                timeout_ms => timeout_ms,
            };
            let protocol =
                Protocol { name: protocol_name.clone(), metadata: stored_member.subscription };
            let member = Member {
                id: stored_member.member_id.clone(),
                instance_id: stored_member.group_instance_id,
                client_id: stored_member.client_id,
                client_host: stored_member.client_host,
                session_timeout_ms: stored_member.session_timeout,
                rebalance_timeout_ms,
                protocols: vec![protocol],
                assignment: stored_member.assignment,
                is_new: false,
                awaiting_join: None,
                awaiting_sync: None,
                session: Deadline::default(),
            };
            if let Some(instance_id) = &member.instance_id {
                self.static_members.insert(instance_id.clone(), member.id.clone());
            }
            self.members.insert(member.id.clone(), member);
        }
        let leads = |id: &String| self.members.contains_key(id);
        if !self.leader.as_ref().is_some_and(leads) {
            self.leader = self.members.keys().next().cloned();
        }
        self.state = if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        self.subscribed_topics = self.compute_subscribed_topics();
        for member_id in self.member_ids() {
            self.extend_session(&member_id, turn);
        }
        if self.members.len() > members_max(turn.config) {
            self.prepare_rebalance("the group was loaded with more members than allowed", turn);
        }
    }

    /// The stored record was deleted. Nobody is in the group, or it would not have been.
    pub(super) fn on_tombstone(&mut self) {
        self.stored = None;
        if self.state == GroupState::Empty {
            self.generation = 0;
            self.protocol_type = None;
            self.state_since_ms = None;
            self.subscribed_topics = None;
        }
    }

    pub(super) fn transition(&mut self, state: GroupState, turn: &Turn<'_>) {
        self.state = state;
        self.state_since_ms = Some(turn.now.wall_ms);
    }

    pub(super) fn member_ids(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether offsets of the topic are in use. Where that cannot be told, a group of consumers
    /// counts as subscribed to everything: better to keep an offset too long.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Checks that a request comes from the member it names, and not from one that was replaced.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        match instance_id {
            Some(instance_id) => match self.static_members.get(instance_id) {
                None => Err(GroupError::UnknownMember),
                Some(current) if current != member_id => Err(GroupError::FencedInstance),
                Some(_) => Ok(()),
            },
            None if self.members.contains_key(member_id) => Ok(()),
            None => Err(GroupError::UnknownMember),
        }
    }

    pub(super) fn check_generation(&self, given: i32) -> Result<(), GroupError> {
        if given == self.generation {
            Ok(())
        } else {
            Err(GroupError::IllegalGeneration { given, current: self.generation })
        }
    }

    /// Whether a member with these protocols can be in the group: all must share at least one.
    pub(super) fn accepts_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.members.values().all(|member| member.supports(&protocol.name)))
    }

    /// The protocol of the next generation: each member votes for the first of its list that all
    /// support. A tie goes to the one the leader likes better.
    pub(super) fn elect_protocol(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let candidates: Vec<&str> = leader
            .protocols
            .iter()
            .map(|protocol| protocol.name.as_str())
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let mut votes = vec![0_usize; candidates.len()];
        for member in self.members.values() {
            let choice = member.protocols.iter().find_map(|protocol| {
                candidates.iter().position(|&candidate| candidate == protocol.name)
            });
            if let Some(index) = choice {
                votes[index] += 1;
            }
        }
        let most = votes.iter().copied().max()?;
        let winner = votes.iter().position(|&count| count == most)?;
        Some(candidates[winner].to_owned())
    }

    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription_topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// The longest time that any member may need to rejoin.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members
            .values()
            .map(|member| i64::from(member.rebalance_timeout_ms))
            .max()
            .unwrap_or(0)
    }

    pub(super) fn joined_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    pub(super) fn has_all_joined(&self) -> bool {
        self.pending_members.is_empty() && self.joined_count() == self.members.len()
    }

    /// Gives a member another session timeout from now.
    pub(super) fn extend_session(&mut self, member_id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let at_ms = turn.now.monotonic_ms + i64::from(member.session_timeout_ms);
        let group_id = &self.id;
        member.session.set(at_ms, turn.timers, || Timer::Session {
            group_id: group_id.clone(),
            member_id: member_id.to_owned(),
        });
    }

    /// Adds a member; the first one leads.
    pub(super) fn insert_member(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out and hands its place as leader on. Says nothing to anybody.
    pub(super) fn take_member(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        self.pending_sync.remove(member_id);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Takes a member out and tells whatever request of it still waits.
    pub(super) fn remove_member(&mut self, member_id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.take_member(member_id) else { return };
        if let Some(ticket) = member.awaiting_join {
            turn.refuse_join(ticket, GroupError::UnknownMember, String::new());
        }
        if let Some(ticket) = member.awaiting_sync {
            turn.refuse_sync(ticket, GroupError::UnknownMember);
        }
    }

    /// Stores the group as it is, with these assignments.
    pub(super) fn store(&mut self, assignments: &BTreeMap<String, Bytes>, turn: &mut Turn<'_>) {
        turn.effects.records.push(records::group_metadata(self, assignments));
        self.is_being_stored = true;
    }

    /// The group's record was replayed.
    pub(super) fn on_stored(&mut self, stored: GroupMetadataValue) {
        self.stored = Some(stored);
        self.is_being_stored = false;
    }

    /// Whether nothing at all is left of the group but its name.
    pub(super) fn is_void(&self) -> bool {
        self.state == GroupState::Empty
            && self.stored.is_none()
            && !self.is_being_stored
            && self.members.is_empty()
            && self.pending_members.is_empty()
    }
}

/// The most members a group may have.
pub(super) fn members_max(config: &GroupConfig) -> usize {
    usize::try_from(config.max_size).unwrap_or(0)
}

/// The topics in a consumer's subscription; nothing if it is no such thing.
fn subscription_topics(metadata: &Bytes) -> Option<Vec<String>> {
    ConsumerProtocolSubscription::topics_in_member_metadata(metadata.clone()).ok()
}
