//! The rounds of a rebalance: when members have to rejoin, and when a generation begins.

use std::collections::BTreeMap;

use tracing::info;

use super::classic::{Group, GroupState, InitialDelay};
use super::effects::Turn;
use super::error::GroupError;
use super::timers::Timer;

impl Group {
    /// Asks all members to rejoin, or, if that is under way, goes on if the last one has.
    pub(super) fn rebalance_or_complete(&mut self, reason: &str, turn: &mut Turn<'_>) {
        if self.state == GroupState::PreparingRebalance {
            self.maybe_complete_join(turn);
        } else {
            self.prepare_rebalance(reason, turn);
        }
    }

    /// Starts a rebalance.
    ///
    /// A group that was empty first waits a little for more members: services are often started
    /// many at a time, and each would otherwise cost a rebalance of its own.
    pub(super) fn prepare_rebalance(&mut self, reason: &str, turn: &mut Turn<'_>) {
        if self.state == GroupState::CompletingRebalance {
            self.cancel_syncs(&GroupError::RebalanceInProgress, turn);
        }
        self.sync_deadline.clear();
        self.is_storing_assignment = false;
        let was_empty = self.state == GroupState::Empty;
        self.transition(GroupState::PreparingRebalance, turn);
        info!(group = %self.id, generation = self.generation, reason, "group prepares to rebalance");
        if was_empty {
            let delay_ms = i64::from(turn.config.initial_rebalance_delay_ms);
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.wait_initially(InitialDelay { delay_ms, remaining_ms }, turn);
        } else if self.has_all_joined() {
            self.complete_join(turn);
        } else {
            self.wait_for_joins(turn);
        }
    }

    /// Begins the next generation if everybody is there and no initial wait is under way.
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn<'_>) {
        let is_waiting = self.initial_delay.is_some();
        if self.state == GroupState::PreparingRebalance && !is_waiting && self.has_all_joined() {
            self.complete_join(turn);
        }
    }

    /// The time to join is over.
    pub(super) fn on_join_deadline(&mut self, turn: &mut Turn<'_>) {
        match self.initial_delay.take() {
            Some(InitialDelay { delay_ms, remaining_ms })
                if self.new_member_added && remaining_ms > 0 =>
            {
                self.new_member_added = false;
                let initial_ms = i64::from(turn.config.initial_rebalance_delay_ms);
                let next = InitialDelay {
                    delay_ms: initial_ms.min(remaining_ms),
                    remaining_ms: (remaining_ms - delay_ms).max(0),
                };
                self.wait_initially(next, turn);
            }
            Some(_) | None => self.complete_join(turn),
        }
    }

    fn wait_initially(&mut self, delay: InitialDelay, turn: &mut Turn<'_>) {
        self.initial_delay = Some(delay);
        self.set_join_deadline(delay.delay_ms, turn);
    }

    fn wait_for_joins(&mut self, turn: &mut Turn<'_>) {
        self.set_join_deadline(self.rebalance_timeout_ms(), turn);
    }

    fn set_join_deadline(&mut self, delay_ms: i64, turn: &mut Turn<'_>) {
        let at_ms = turn.now.monotonic_ms + delay_ms;
        let group_id = &self.id;
        self.join_deadline.set(at_ms, turn.timers, || Timer::Join { group_id: group_id.clone() });
    }

    /// Begins the next generation with those who are there.
    ///
    /// Dynamic members that did not rejoin in time are dropped. Static ones stay: their session
    /// timeout decides, so that a restart within it moves no partition.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_deadline.clear();
        self.initial_delay = None;
        self.new_member_added = false;
        for member_id in self.member_ids() {
            let member = &self.members[&member_id];
            if member.awaiting_join.is_none() && member.instance_id.is_none() {
                info!(group = %self.id, member = %member_id, "member did not rejoin in time");
                self.remove_member(&member_id, turn);
            }
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only static members are left, none of which is there: wait for one to come back,
            // or for their sessions to end.
            self.wait_for_joins(turn);
            return;
        }
        self.begin_generation(turn);
    }

    /// Makes sure that the leader is one that waits in a join. Says whether there is any.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined =
            |id: &String| self.members.get(id).is_some_and(|member| member.awaiting_join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        match self.members.keys().find(|id| has_joined(id)).cloned() {
            Some(elected) => {
                self.leader = Some(elected);
                true
            }
            None => false,
        }
    }

    fn begin_generation(&mut self, turn: &mut Turn<'_>) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.leader = None;
            self.protocol_name = None;
            self.subscribed_topics = self.compute_subscribed_topics();
            self.transition(GroupState::Empty, turn);
            info!(group = %self.id, generation = self.generation, "group is empty");
            self.store(&BTreeMap::new(), turn);
            return;
        }
        self.protocol_name = self.elect_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        self.transition(GroupState::CompletingRebalance, turn);
        info!(
            group = %self.id,
            generation = self.generation,
            members = self.members.len(),
            "group begins a generation"
        );
        self.answer_joins(turn);
        self.pending_sync.extend(self.members.keys().cloned());
        let at_ms = turn.now.monotonic_ms + self.rebalance_timeout_ms();
        let group_id = &self.id;
        self.sync_deadline.set(at_ms, turn.timers, || Timer::Sync { group_id: group_id.clone() });
    }
}
