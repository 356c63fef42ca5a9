//! Who should be in sync, and what has been proposed to the controller, which alone decides it.
//!
//! One proposal is out at a time. An answer that did not come leaves open whether the proposal
//! was accepted, and it may still be, for as long as the partition epoch it names is current.
//! Therefore whoever was proposed under the current partition epoch counts as a member (the
//! *maximal* set) until a later one is known; only what was refused for certain is forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use flumen_planted::{Bug, is_planted};

use super::{Leader, Leadership};

/// After an answer that did not come.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// After a refusal: what it was refused for takes a change of metadata to go away, and whoever flaps
/// must not have the controller write a record for each time.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A new in-sync set, to be sent to the controller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InSyncProposal {
    pub(crate) leader_epoch: i32,
    /// It is accepted only while this is current.
    pub(crate) partition_epoch: i32,
    /// Every member with the epoch of its broker. Of one who joins it is the epoch it has fetched
    /// with, so that the controller notices if another start of it has registered meanwhile.
    pub(crate) in_sync: Vec<(i32, i64)>,
    number: u32,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProposalOutcome {
    /// The partition as it is now.
    Accepted { leader_epoch: i32, partition_epoch: i32, in_sync: Vec<i32> },
    /// It was looked at under the epochs it names, and refused.
    Refused,
    /// The controller knows other epochs; the metadata will tell.
    Outdated,
    /// Nobody knows.
    Unknown,
}

/// What was proposed under the current partition epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Proposals {
    proposed: BTreeSet<i32>,
    /// The number of the one that is out.
    out: Option<u32>,
    next_number: u32,
    /// An earlier one may still be accepted.
    is_open: bool,
    /// The controller has taken members out, and the metadata has not told yet. It may have gone by a
    /// `min.insync.replicas` that this leader will only hear of with it: who left is eligible then,
    /// and nothing may be committed without it.
    is_shrink_untold: bool,
    not_before: Duration,
}

impl Proposals {
    pub(super) fn proposed(&self) -> &BTreeSet<i32> {
        &self.proposed
    }

    /// Whether nothing may be committed before the metadata has come.
    pub(super) fn awaits_metadata(&self) -> bool {
        self.is_shrink_untold
    }

    /// The metadata has come up to the partition epoch that is known.
    pub(super) fn on_told(&mut self) {
        self.is_shrink_untold = false;
    }

    /// A later partition epoch is known: nothing that was proposed before can be accepted any more.
    pub(super) fn on_settled(&mut self) {
        *self = Self { not_before: self.not_before, ..Self::default() };
    }
}

impl Leader {
    /// The in-sync set that should be, if it is not what the controller has, and may be proposed now.
    ///
    /// `in_service` gives the epoch of a broker that is in service and means to stay. Called again
    /// and again, at least a few times in `lag_max`. The high watermark may move.
    pub(crate) fn propose(
        &mut self,
        now: Duration,
        lag_max: Duration,
        in_service: impl Fn(i32) -> Option<i64>,
    ) -> Option<InSyncProposal> {
        self.await_joiners(now, lag_max, &in_service);
        if self.proposals.out.is_some() || now < self.proposals.not_before {
            return None;
        }
        let in_sync = self.wanted(now, lag_max, &in_service)?;
        let is_the_same = in_sync.len() == self.leadership.in_sync.len()
            && in_sync.iter().all(|(id, _)| self.leadership.in_sync.contains(id));
        if is_the_same && !self.proposals.is_open {
            return None;
        }
        let proposals = &mut self.proposals;
        let number = proposals.next_number;
        proposals.next_number += 1;
        proposals.out = Some(number);
        proposals.proposed.extend(in_sync.iter().map(|(id, _)| *id));
        let (leader_epoch, partition_epoch) =
            (self.leadership.leader_epoch, self.leadership.partition_epoch);
        if is_planted(Bug::ProposalsCountAtOnce) {
            self.leadership.in_sync = in_sync.iter().map(|(id, _)| *id).collect();
            self.proposals.proposed.clear();
        }
        Some(InSyncProposal { leader_epoch, partition_epoch, in_sync, number })
    }

    /// Takes in what became of a proposal; returns the high watermark if it moved.
    pub(crate) fn on_proposed(
        &mut self,
        proposal: &InSyncProposal,
        outcome: ProposalOutcome,
        now: Duration,
    ) -> Option<i64> {
        let is_current = proposal.leader_epoch == self.leadership.leader_epoch
            && proposal.partition_epoch == self.leadership.partition_epoch
            && self.proposals.out == Some(proposal.number);
        if !is_current {
            return None;
        }
        self.proposals.out = None;
        match outcome {
            ProposalOutcome::Accepted { leader_epoch, partition_epoch, in_sync }
                if leader_epoch == self.leadership.leader_epoch
                    && partition_epoch > self.leadership.partition_epoch =>
            {
                let has_shrunk = self.leadership.in_sync.iter().any(|id| !in_sync.contains(id));
                self.leadership.partition_epoch = partition_epoch;
                self.leadership.in_sync = in_sync;
                self.proposals.on_settled();
                self.proposals.is_shrink_untold = has_shrunk;
            }
            ProposalOutcome::Refused => {
                self.proposals.not_before = now + PROPOSE_AGAIN_AFTER;
                if !self.proposals.is_open {
                    self.proposals.proposed.clear();
                }
            }
            ProposalOutcome::Accepted { .. } | ProposalOutcome::Outdated => {
                self.proposals.not_before = now + PROPOSE_AGAIN_AFTER;
                self.proposals.is_open = true;
            }
            ProposalOutcome::Unknown => {
                self.proposals.not_before = now + RETRY_AFTER;
                self.proposals.is_open = true;
            }
        }
        self.advance_high_watermark()
    }

    /// Whether a fetch of that replica makes it worth asking [`Leader::propose`] at once.
    pub(crate) fn may_join(&self, replica_id: i32) -> bool {
        !self.leadership.in_sync.contains(&replica_id)
            && !self.proposals.proposed.contains(&replica_id)
            && self.has_caught_up(replica_id)
    }

    fn wanted(
        &self,
        now: Duration,
        lag_max: Duration,
        in_service: &impl Fn(i32) -> Option<i64>,
    ) -> Option<Vec<(i32, i64)>> {
        let in_sync = &self.leadership.in_sync;
        let staying = in_sync.iter().filter(|id| !self.is_lagging(**id, now, lag_max));
        // One who is out of service is about to leave by the controller's doing.
        let staying = staying.map(|id| Some((*id, in_service(*id)?)));
        let mut wanted = staying.collect::<Option<Vec<_>>>()?;
        let joining = self.followers.iter().filter(|(id, follower)| {
            !in_sync.contains(id)
                && self.has_caught_up(**id)
                && (is_planted(Bug::LaggardsJoin) || !self.is_lagging(**id, now, lag_max))
                && in_service(**id) == Some(follower.broker_epoch)
        });
        wanted.extend(joining.map(|(id, follower)| (*id, follower.broker_epoch)));
        Some(wanted)
    }

    /// R9: it has, in this epoch, all that may be committed.
    ///
    /// While the high watermark is below the start of the epoch, earlier leaders may have committed
    /// more than it says, so nobody joins (R14). With too few in sync it would stay there until
    /// somebody does: then the start of the epoch, up to which everything committed lies, is enough.
    fn has_caught_up(&self, replica_id: i32) -> bool {
        let Some(follower) = self.followers.get(&replica_id) else { return false };
        if is_planted(Bug::LaggardsJoin) {
            return true;
        }
        let Leadership { in_sync, min_in_sync, .. } = &self.leadership;
        (self.is_settled() || in_sync.len() < *min_in_sync)
            && follower.fetch_offset >= self.high_watermark
            && follower.fetch_offset >= self.epoch_start_offset
    }

    /// Whether a member has not had all that there is for too long.
    fn is_lagging(&self, replica_id: i32, now: Duration, lag_max: Duration) -> bool {
        if replica_id == self.node_id {
            return false;
        }
        let behind_since = match self.followers.get(&replica_id) {
            Some(follower) => follower.behind_since,
            None => Some(self.leading_since),
        };
        behind_since.is_some_and(|since| now.saturating_sub(since) > lag_max)
    }

    /// Has the high watermark wait for those who would join if it did, and no longer for others.
    fn await_joiners(
        &mut self,
        now: Duration,
        lag_max: Duration,
        in_service: &impl Fn(i32) -> Option<i64>,
    ) {
        let in_sync = &self.leadership.in_sync;
        for (id, follower) in &mut self.followers {
            let is_near =
                follower.behind_since.is_none_or(|since| now.saturating_sub(since) <= lag_max);
            follower.is_awaited =
                !in_sync.contains(id) && is_near && in_service(*id) == Some(follower.broker_epoch);
        }
        self.advance_high_watermark();
    }
}
