//! The controller of the model: what it may do, by the rules, to one partition and three brokers.

use super::super::leader::{InSyncProposal, ProposalOutcome};

pub(super) const NODES: i32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Broker {
    pub(super) epoch: i64,
    pub(super) is_fenced: bool,
}

/// The metadata of the partition and of the brokers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Metadata {
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: i32,
    pub(super) partition_epoch: i32,
    pub(super) in_sync: Vec<i32>,
    pub(super) eligible: Vec<i32>,
    pub(super) brokers: Vec<Broker>,
    pub(super) min_in_sync: usize,
}

impl Metadata {
    pub(super) fn new(in_sync: usize, min_in_sync: usize) -> Self {
        let broker = Broker { epoch: 1, is_fenced: false };
        Self {
            leader: Some(0),
            leader_epoch: 1,
            partition_epoch: 1,
            in_sync: (0..NODES).take(in_sync).collect(),
            eligible: Vec::new(),
            brokers: vec![broker; 3],
            min_in_sync,
        }
    }

    pub(super) fn broker(&self, id: i32) -> Broker {
        self.brokers[usize::try_from(id).unwrap()]
    }

    fn broker_mut(&mut self, id: i32) -> &mut Broker {
        &mut self.brokers[usize::try_from(id).unwrap()]
    }

    /// The epoch of a broker in service.
    pub(super) fn in_service(&self, id: i32) -> Option<i64> {
        Some(self.broker(id)).filter(|broker| !broker.is_fenced).map(|broker| broker.epoch)
    }

    /// Takes a broker out of service, and out of the in-sync set.
    pub(super) fn fence(&mut self, id: i32) {
        self.broker_mut(id).is_fenced = true;
        self.remove(id);
    }

    /// A broker starts; `is_wiped` if it comes without what it had.
    pub(super) fn register(&mut self, id: i32, is_wiped: bool) -> i64 {
        let epoch = self.brokers.iter().map(|broker| broker.epoch).max().unwrap_or(0) + 1;
        *self.broker_mut(id) = Broker { epoch, is_fenced: true };
        self.remove(id);
        if is_wiped && self.eligible.contains(&id) {
            self.eligible.retain(|other| *other != id);
            self.partition_epoch += 1;
        }
        epoch
    }

    pub(super) fn unfence(&mut self, id: i32) {
        self.broker_mut(id).is_fenced = false;
        if self.leader.is_none() && self.electable().contains(&id) {
            self.elect(Some(id));
        }
    }

    /// Who may lead: members in sync first, then those who are eligible.
    pub(super) fn electable(&self) -> Vec<i32> {
        let live = |ids: &[i32]| -> Vec<i32> {
            ids.iter().copied().filter(|id| self.in_service(*id).is_some()).collect()
        };
        match live(&self.in_sync) {
            in_sync if in_sync.is_empty() => live(&self.eligible),
            in_sync => in_sync,
        }
    }

    pub(super) fn elect(&mut self, leader: Option<i32>) {
        self.leader = leader;
        self.leader_epoch += 1;
        self.partition_epoch += 1;
        if let Some(leader) = leader
            && !self.in_sync.contains(&leader)
        {
            self.set_in_sync(vec![leader]);
        }
    }

    fn remove(&mut self, id: i32) {
        if self.in_sync.contains(&id) {
            let rest = self.in_sync.iter().copied().filter(|other| *other != id).collect();
            self.set_in_sync(rest);
            self.partition_epoch += 1;
        }
        if self.leader == Some(id) {
            let next = self.electable().first().copied();
            self.elect(next);
        }
    }

    /// Who leaves while too few remain has all that was ever committed (R13).
    fn set_in_sync(&mut self, in_sync: Vec<i32>) {
        let mut eligible = std::mem::take(&mut self.eligible);
        eligible.extend(&self.in_sync);
        eligible.retain(|id| in_sync.len() < self.min_in_sync && !in_sync.contains(id));
        eligible.sort_unstable();
        eligible.dedup();
        (self.in_sync, self.eligible) = (in_sync, eligible);
    }

    /// Decides a proposal of the leader (R10).
    pub(super) fn alter(
        &mut self,
        from: i32,
        broker_epoch: i64,
        proposal: &InSyncProposal,
    ) -> ProposalOutcome {
        let is_current = self.leader == Some(from)
            && self.broker(from).epoch == broker_epoch
            && proposal.leader_epoch == self.leader_epoch
            && proposal.partition_epoch == self.partition_epoch;
        if !is_current {
            return ProposalOutcome::Outdated;
        }
        if proposal.in_sync.iter().any(|(id, epoch)| self.in_service(*id) != Some(*epoch)) {
            return ProposalOutcome::Refused;
        }
        let mut in_sync: Vec<_> = proposal.in_sync.iter().map(|(id, _)| *id).collect();
        in_sync.sort_unstable();
        self.set_in_sync(in_sync);
        self.partition_epoch += 1;
        ProposalOutcome::Accepted {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            in_sync: self.in_sync.clone(),
        }
    }
}
