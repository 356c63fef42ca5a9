//! Joining a group: who is let in, who gets an id first, and who has to be rebalanced for.

use std::mem;

use bytes::Bytes;

use super::classic::{Group, GroupState, members_max};
use super::effects::{GroupReply, JoinRequest, Joined, JoinedMember, Turn};
use super::error::GroupError;
use super::member::Member;
use super::timers::{Deadline, Timer};
use crate::coordinator::Ticket;

/// How long a member that does not know its id yet may wait in a join. It sends no heartbeats, and
/// a lost connection is not noticed while a request waits: without an end, retries would pile up
/// as members that nobody is.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 300_000;

impl Group {
    /// Handles a join. The answer may wait for the other members.
    pub(super) fn join(&mut self, ticket: Ticket, request: JoinRequest, turn: &mut Turn<'_>) {
        let members_max = members_max(turn.config);
        if !self.has_room_for(&request.member_id, members_max) {
            self.pending_members.remove(&request.member_id);
            turn.refuse_join(ticket, GroupError::GroupFull { members_max }, String::new());
        } else if !self.accepts_protocols(&request.protocol_type, &request.protocols) {
            turn.refuse_join(ticket, GroupError::InconsistentProtocol, request.member_id);
        } else if request.member_id.is_empty() {
            self.join_new(ticket, request, turn);
        } else if self.pending_members.remove(&request.member_id).is_some() {
            let member_id = request.member_id.clone();
            self.admit(ticket, member_id, request, turn);
        } else {
            self.join_known(ticket, request, turn);
        }
    }

    /// While a group rebalances its members are counted by who has rejoined, so that a group
    /// loaded with too many of them can shrink.
    fn has_room_for(&self, member_id: &str, members_max: usize) -> bool {
        match self.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                let has_joined = self
                    .members
                    .get(member_id)
                    .is_some_and(|member| member.awaiting_join.is_some());
                has_joined || self.joined_count() < members_max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < members_max
            }
        }
    }

    fn join_new(&mut self, ticket: Ticket, request: JoinRequest, turn: &mut Turn<'_>) {
        let prefix = request.instance_id.as_deref().unwrap_or(&request.client_id);
        let member_id = member_id(prefix, &request.fresh_id);
        let replaced =
            request.instance_id.as_ref().and_then(|id| self.static_members.get(id)).cloned();
        if let Some(old_id) = replaced {
            self.replace_static(ticket, &old_id, member_id, request, turn);
        } else if request.instance_id.is_none() && request.requires_known_member_id {
            self.give_id(ticket, member_id, &request, turn);
        } else {
            self.admit(ticket, member_id, request, turn);
        }
    }

    /// Answers a first join with an id only (KIP-394): a client that gives up before it has read
    /// its answer then leaves no member behind for the group to wait for.
    fn give_id(
        &mut self,
        ticket: Ticket,
        member_id: String,
        request: &JoinRequest,
        turn: &mut Turn<'_>,
    ) {
        let mut deadline = Deadline::default();
        let at_ms = turn.now.monotonic_ms + i64::from(request.session_timeout_ms);
        deadline.set(at_ms, turn.timers, || Timer::PendingMember {
            group_id: self.id.clone(),
            member_id: member_id.clone(),
        });
        self.pending_members.insert(member_id.clone(), deadline);
        turn.refuse_join(ticket, GroupError::MemberIdRequired, member_id);
    }

    /// Adds a new member and rebalances.
    fn admit(
        &mut self,
        ticket: Ticket,
        member_id: String,
        request: JoinRequest,
        turn: &mut Turn<'_>,
    ) {
        let mut session = Deadline::default();
        let at_ms = turn.now.monotonic_ms + NEW_MEMBER_JOIN_TIMEOUT_MS;
        session.set(at_ms, turn.timers, || Timer::Session {
            group_id: self.id.clone(),
            member_id: member_id.clone(),
        });
        let reason = rebalance_reason("a member joins", request.reason.as_deref());
        let member = Member {
            id: member_id,
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            is_new: true,
            awaiting_join: Some(ticket),
            awaiting_sync: None,
            session,
        };
        self.insert_member(member, &request.protocol_type);
        if self.initial_delay.is_some() {
            self.new_member_added = true;
        }
        self.rebalance_or_complete(&reason, turn);
    }

    fn join_known(&mut self, ticket: Ticket, request: JoinRequest, turn: &mut Turn<'_>) {
        let member_id = request.member_id.clone();
        if let Err(error) = self.check_member(&member_id, request.instance_id.as_deref()) {
            turn.refuse_join(ticket, error, member_id);
            return;
        }
        let is_unchanged = self
            .members
            .get(&member_id)
            .is_some_and(|member| member.protocols == request.protocols);
        match self.state {
            // The answer to the member's first try was lost on the way: repeat it. Rebalancing
            // for it would start a chain in which everybody times out in turn.
            GroupState::CompletingRebalance if is_unchanged => {
                let members = self.members_if_leader(&member_id);
                turn.answer_join(ticket, self.joined(member_id, members));
            }
            // A follower that comes back as it was needs nobody else. A leader that does asks
            // for a rebalance: something it watches, such as the number of partitions, changed.
            GroupState::Stable if is_unchanged && !self.is_leader(&member_id) => {
                turn.answer_join(ticket, self.joined(member_id, Vec::new()));
            }
            GroupState::PreparingRebalance
            | GroupState::CompletingRebalance
            | GroupState::Stable => {
                let reason = rebalance_reason("a member rejoins", request.reason.as_deref());
                self.update_member(ticket, &member_id, request, turn);
                self.rebalance_or_complete(&reason, turn);
            }
            GroupState::Empty => turn.refuse_join(ticket, GroupError::UnknownMember, member_id),
        }
    }

    /// Takes over what a rejoining member says, and lets it wait for the group.
    fn update_member(
        &mut self,
        ticket: Ticket,
        member_id: &str,
        request: JoinRequest,
        turn: &mut Turn<'_>,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.protocols = request.protocols;
        if let Some(superseded) = member.awaiting_join.replace(ticket) {
            let error = GroupError::RebalanceInProgress;
            turn.refuse_join(superseded, error, member_id.to_owned());
        }
    }

    /// Lets a restarted static member take the place of its former self (KIP-345).
    fn replace_static(
        &mut self,
        ticket: Ticket,
        old_id: &str,
        new_id: String,
        request: JoinRequest,
        turn: &mut Turn<'_>,
    ) {
        let former_leader = self.leader.clone().unwrap_or_default();
        let skips_assignment = request.supports_skipping_assignment;
        self.rename_member(old_id, &new_id, turn);
        self.update_member(ticket, &new_id, request, turn);
        self.extend_session(&new_id, turn);
        match self.state {
            GroupState::Stable if self.elect_protocol() == self.protocol_name => {
                self.answer_replacement(ticket, new_id, former_leader, skips_assignment, turn);
            }
            // In between, the leader may already assign to the old id: all have to start over.
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance("a static member is back under a new id", turn);
            }
            GroupState::PreparingRebalance | GroupState::Empty => self.maybe_complete_join(turn),
        }
    }

    /// Answers a static member that is back as it was: no rebalance, the assignment stands.
    ///
    /// The new id has to be on record before the member may use it, or a failover would bring
    /// the old one back. A leader that cannot skip assigning is told that its former id leads: it
    /// then acts as a follower, and nobody assigns twice in one generation.
    fn answer_replacement(
        &mut self,
        ticket: Ticket,
        member_id: String,
        former_leader: String,
        skips_assignment: bool,
        turn: &mut Turn<'_>,
    ) {
        let assignments = self
            .members
            .values()
            .map(|member| (member.id.clone(), member.assignment.clone()))
            .collect();
        self.store(&assignments, turn);
        if let Some(member) = self.members.get_mut(&member_id) {
            member.awaiting_join = None;
        }
        let answer = if skips_assignment {
            let is_leader = self.is_leader(&member_id);
            let members = self.members_if_leader(&member_id);
            Joined { skip_assignment: is_leader, ..self.joined(member_id, members) }
        } else {
            Joined { leader: former_leader, ..self.joined(member_id, Vec::new()) }
        };
        turn.effects.committed_replies.push((ticket, GroupReply::Join(Ok(answer))));
    }

    /// Gives a member another id and sends what waited under the old one away for good.
    fn rename_member(&mut self, old_id: &str, new_id: &str, turn: &mut Turn<'_>) {
        let was_leader = self.is_leader(old_id);
        let was_pending_sync = self.pending_sync.contains(old_id);
        let Some(mut member) = self.take_member(old_id) else { return };
        if let Some(ticket) = member.awaiting_join.take() {
            turn.refuse_join(ticket, GroupError::FencedInstance, old_id.to_owned());
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            turn.refuse_sync(ticket, GroupError::FencedInstance);
        }
        new_id.clone_into(&mut member.id);
        member.session = Deadline::default();
        if was_leader {
            self.leader = Some(new_id.to_owned());
        }
        if was_pending_sync {
            self.pending_sync.insert(new_id.to_owned());
        }
        let protocol_type = self.protocol_type.clone().unwrap_or_default();
        self.insert_member(member, &protocol_type);
    }

    /// The answer to a join in the current generation.
    pub(super) fn joined(&self, member_id: String, members: Vec<JoinedMember>) -> Joined {
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id,
            members,
            skip_assignment: false,
        }
    }

    /// What the leader has to know to assign; followers are told nothing.
    pub(super) fn members_if_leader(&self, member_id: &str) -> Vec<JoinedMember> {
        if !self.is_leader(member_id) {
            return Vec::new();
        }
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        self.members
            .values()
            .map(|member| JoinedMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }

    /// Answers every member that waits in a join with the generation just begun.
    pub(super) fn answer_joins(&mut self, turn: &mut Turn<'_>) {
        for member_id in self.member_ids() {
            let members = self.members_if_leader(&member_id);
            let joined = self.joined(member_id.clone(), members);
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.is_new = false;
            if let Some(ticket) = mem::take(&mut member.awaiting_join) {
                turn.answer_join(ticket, joined);
            }
            self.extend_session(&member_id, turn);
        }
    }
}

/// A name that people recognise, with an end that nobody else has. A very long name is cut: the id
/// has to fit into every text field that carries it.
fn member_id(prefix: &str, fresh_id: &str) -> String {
    const PREFIX_SIZE_MAX: usize = 1_024;
    let size = prefix.len().min(PREFIX_SIZE_MAX);
    let cut = (0..=size).rev().find(|&at| prefix.is_char_boundary(at)).unwrap_or(0);
    format!("{}-{fresh_id}", &prefix[..cut])
}

fn rebalance_reason(event: &str, client_reason: Option<&str>) -> String {
    match client_reason {
        Some(client_reason) if !client_reason.is_empty() => {
            format!("{event}; client reason: {client_reason}")
        }
        Some(_) | None => event.to_owned(),
    }
}
