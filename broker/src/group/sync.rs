//! Handing out assignments: the leader brings them, everyone else comes for theirs.

use bytes::Bytes;
use flumen_planted::{Bug, is_planted};

use super::classic::{Group, GroupState};
use super::effects::{GroupCommitted, SyncRequest, Synced, Turn};
use super::error::GroupError;
use crate::coordinator::Ticket;

impl Group {
    /// Handles a sync. A follower's waits until the leader's assignment is stored.
    pub(super) fn sync(&mut self, ticket: Ticket, request: SyncRequest, turn: &mut Turn<'_>) {
        if let Err(error) = self.check_sync(&request) {
            turn.refuse_sync(ticket, error);
            return;
        }
        let member_id = &request.member_id;
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline.clear();
        }
        if self.state == GroupState::Stable {
            turn.answer_sync(ticket, self.synced(member_id));
            return;
        }
        if let Some(member) = self.members.get_mut(member_id)
            && let Some(superseded) = member.awaiting_sync.replace(ticket)
        {
            turn.refuse_sync(superseded, GroupError::RebalanceInProgress);
        }
        if self.is_leader(member_id) && !self.is_storing_assignment {
            self.store(&request.assignments, turn);
            turn.effects.on_committed.push(GroupCommitted::AssignmentStored {
                group_id: self.id.clone(),
                generation: self.generation,
            });
            self.is_storing_assignment = true;
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        let differs =
            |given: &Option<String>, current: &Option<String>| given.is_some() && given != current;
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(GroupError::InconsistentProtocol);
        }
        match self.state {
            GroupState::Empty => Err(GroupError::UnknownMember),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// The assignment is committed: everyone who waits gets theirs.
    ///
    /// The group may have moved on while the record was written. Then the assignment belongs to
    /// a generation that nobody is in any more, and there is nothing to do.
    pub(super) fn on_assignment_stored(&mut self, generation: i32, turn: &mut Turn<'_>) {
        if self.state != GroupState::CompletingRebalance || self.generation != generation {
            return;
        }
        self.is_storing_assignment = false;
        let stored = self.stored.iter().flat_map(|stored| &stored.members);
        for stored_member in stored {
            if let Some(member) = self.members.get_mut(&stored_member.member_id) {
                member.assignment = stored_member.assignment.clone();
            }
        }
        self.transition(GroupState::Stable, turn);
        for member_id in self.member_ids() {
            let synced = self.synced(&member_id);
            let waiting = self.members.get_mut(&member_id).and_then(|m| m.awaiting_sync.take());
            if let Some(ticket) = waiting {
                turn.answer_sync(ticket, synced);
                self.extend_session(&member_id, turn);
            }
        }
    }

    /// The assignment could not be stored: the members have to try all over.
    pub(super) fn on_assignment_refused(&mut self, generation: i32, turn: &mut Turn<'_>) {
        if self.state == GroupState::CompletingRebalance && self.generation == generation {
            self.prepare_rebalance("the assignment could not be stored", turn);
        }
    }

    /// Sends everyone who waits for an assignment away.
    pub(super) fn cancel_syncs(&mut self, error: &GroupError, turn: &mut Turn<'_>) {
        for member_id in self.member_ids() {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.assignment = Bytes::new();
            if let Some(ticket) = member.awaiting_sync.take() {
                turn.refuse_sync(ticket, error.clone());
                self.extend_session(&member_id, turn);
            }
        }
    }

    /// Some members never asked for their assignment: they are gone.
    pub(super) fn on_sync_deadline(&mut self, turn: &mut Turn<'_>) {
        let is_awaited = matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable);
        if !is_awaited || self.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            self.remove_member(&member_id, turn);
        }
        self.prepare_rebalance("members did not fetch their assignment in time", turn);
    }

    fn synced(&self, member_id: &str) -> Synced {
        let first = self.members.keys().next().filter(|_| is_planted(Bug::AllAreAssignedTheSame));
        let member_id = first.map_or(member_id, |first| first);
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self
                .members
                .get(member_id)
                .map_or_else(Bytes::new, |member| member.assignment.clone()),
        }
    }
}
