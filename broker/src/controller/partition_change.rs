//! The rules by which a partition changes: every decision about leaders, in-sync sets and replicas
//! ends here.
//!
//! - Who is not in service leaves the in-sync set while somebody in it is; the last ones stay, for
//!   they have what was acknowledged (R13).
//! - Who leaves while fewer than `min.insync.replicas` remain becomes eligible: nothing is committed
//!   below that number, so it keeps having everything. It is forgotten when there are enough again.
//! - A leader is in the in-sync set and in service. A new one comes from that set, else from the
//!   eligible, in the order of the replicas; else from any replica where the topic allows it (R12): the
//!   last that led, and those whose disk was replaced last.
//! - A reassignment is done once all replicas that it adds are in sync, and enough remain, or nobody goes who
//!   has everything (R16). Whenever a replica goes, the leader epoch is another.

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;

use super::image::{PartitionImage, TopicImage};
use super::records::{Assignment, MetadataRecord, NewLeader, PartitionChangeRecord};
use super::standing::{Rules, Standing};

/// A change of one partition that is being put together.
pub(super) struct PartitionChange<'a> {
    standing: &'a Standing<'a>,
    topic: &'a TopicImage,
    index: i32,
    partition: &'a PartitionImage,
    rules: Rules,
    in_sync: Vec<i32>,
    eligible: Vec<i32>,
    assignment: Assignment,
    /// Who has lost what it had, and must not be kept as eligible.
    excluded: Option<i32>,
    must_elect: bool,
    begins_epoch: bool,
    allows_unclean: bool,
}

/// The records of all partitions in which `concerns` begins a change, and the change comes to something.
pub(super) fn changes<'a>(
    standing: &'a Standing<'a>,
    concerns: impl Fn(&PartitionImage, Rules, PartitionChange<'a>) -> Option<PartitionChange<'a>>,
) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for topic in standing.image.topics() {
        let rules = standing.rules(topic);
        for (index, partition) in topic.indexed_partitions() {
            let change = PartitionChange::new(standing, topic, index, partition, rules);
            let change = concerns(partition, rules, change);
            records.extend(change.and_then(PartitionChange::build).map(MetadataRecord::from));
        }
    }
    records
}

impl<'a> PartitionChange<'a> {
    pub(super) fn new(
        standing: &'a Standing<'a>,
        topic: &'a TopicImage,
        index: i32,
        partition: &'a PartitionImage,
        rules: Rules,
    ) -> Self {
        Self {
            standing,
            topic,
            index,
            partition,
            rules,
            in_sync: partition.in_sync.clone(),
            eligible: partition.eligible.clone(),
            assignment: Assignment {
                replicas: partition.replicas.clone(),
                directories: partition.directories.clone(),
                adding: partition.adding.clone(),
                removing: partition.removing.clone(),
            },
            excluded: None,
            must_elect: false,
            begins_epoch: false,
            allows_unclean: rules.allows_unclean || is_planted(Bug::UncleanIsAllowed),
        }
    }

    /// Proposes an in-sync set.
    pub(super) fn in_sync(mut self, in_sync: Vec<i32>) -> Self {
        self.in_sync = in_sync;
        self
    }

    /// Moves the replicas.
    pub(super) fn assign(mut self, assignment: Assignment) -> Self {
        self.in_sync.retain(|id| assignment.replicas.contains(id));
        self.eligible.retain(|id| assignment.replicas.contains(id));
        self.assignment = assignment;
        self
    }

    /// Takes a replica out of every set, were it the last: it has lost what it had (R11).
    pub(super) fn exclude(mut self, broker_id: i32) -> Self {
        self.in_sync.retain(|id| *id != broker_id);
        self.eligible.retain(|id| *id != broker_id);
        self.excluded = Some(broker_id);
        self
    }

    /// Has the leader elected anew though it may go on.
    pub(super) fn elect(mut self) -> Self {
        self.must_elect = true;
        self
    }

    /// Has the leader go on in a new epoch, in which everybody fetches anew.
    pub(super) fn begin_epoch(mut self) -> Self {
        self.begins_epoch = true;
        self
    }

    /// Lets any replica lead when no better is there, whatever the topic says.
    pub(super) fn allow_unclean(mut self) -> Self {
        self.allows_unclean = true;
        self
    }

    /// The record, if there is anything to change.
    pub(super) fn build(mut self) -> Option<PartitionChangeRecord> {
        self.drop_void_eligible();
        self.drop_absent();
        self.complete_reassignment();
        let (leader, is_unclean) = self.choose_leader();
        self.choose_eligible(is_unclean);
        let unless = |is_same: bool, value: Vec<i32>| (!is_same).then_some(value);
        let before = self.partition;
        let record = PartitionChangeRecord {
            topic_id: self.topic.id,
            partition_index: self.index,
            leader,
            in_sync: unless(self.in_sync == before.in_sync, self.in_sync),
            eligible: unless(self.eligible == before.eligible, self.eligible),
            assignment: (self.assignment.replicas != before.replicas
                || self.assignment.adding != before.adding
                || self.assignment.removing != before.removing)
                .then_some(self.assignment),
        };
        let is_change = record != PartitionChangeRecord::of(self.topic.id, self.index);
        is_change.then_some(record)
    }

    /// While there were enough in sync, more may have been committed: who is eligible all the same, because
    /// the rules have changed since, need not have it.
    fn drop_void_eligible(&mut self) {
        let replicas = self.partition.replicas.len();
        if self.partition.in_sync.len() >= self.rules.min_in_sync(replicas) {
            self.eligible.clear();
        }
    }

    fn drop_absent(&mut self) {
        let standing = self.standing;
        if is_planted(Bug::FencedMembersStay) {
            return;
        }
        let must_keep = !is_planted(Bug::LastMembersAreDropped);
        if !must_keep || self.in_sync.iter().any(|id| standing.is_present(*id)) {
            self.in_sync.retain(|id| standing.is_active(*id));
        }
    }

    fn min_in_sync(&self) -> usize {
        self.rules.min_in_sync(self.assignment.replicas.len())
    }

    /// Takes the old replicas away once the new ones are in sync, and enough are without those that have
    /// everything. A crash makes no fewer enough: who is eligible then may be the only other to have it.
    fn complete_reassignment(&mut self) {
        let Assignment { replicas, directories, adding, removing } = &self.assignment;
        if adding.is_empty() && removing.is_empty() {
            return;
        }
        let stays = |id: &i32| !removing.contains(id);
        let kept: Vec<i32> = self.in_sync.iter().copied().filter(stays).collect();
        let (replicas, directories): (Vec<i32>, Vec<_>) =
            replicas.iter().zip(directories).filter(|(id, _)| stays(id)).unzip();
        let PartitionImage { in_sync, eligible, .. } = self.partition;
        let takes_from_few = kept.len() < self.rules.min_in_sync(replicas.len())
            && in_sync.iter().chain(eligible).any(|id| !stays(id));
        let have_joined = adding.iter().all(|id| kept.contains(id)) && !takes_from_few;
        let is_done = (have_joined || is_planted(Bug::MovesEndEarly))
            && !is_planted(Bug::MovesNeverEnd)
            && kept.iter().any(|id| self.standing.is_active(*id));
        if is_done {
            self.in_sync = kept;
            self.eligible.retain(|id| replicas.contains(id));
            let (adding, removing) = (Vec::new(), Vec::new());
            self.assignment = Assignment { replicas, directories, adding, removing };
        }
    }

    fn choose_leader(&mut self) -> (NewLeader, bool) {
        let standing = self.standing;
        let may_lead = |id: &i32| standing.is_active(*id);
        let now = self.partition.leader;
        let goes_on = now.is_some_and(|id| self.in_sync.contains(&id) && may_lead(&id));
        if let Some(leader) = now.filter(|_| goes_on && !self.must_elect) {
            let goes_on = if self.begins_epoch || self.takes_replicas_away() {
                NewLeader::Broker(leader)
            } else {
                NewLeader::Same
            };
            return (goes_on, false);
        }
        let may_be_elected = |id: &i32| may_lead(id) || is_planted(Bug::FencedAreElected);
        let first_of = |set: &[i32]| {
            let mut replicas = self.assignment.replicas.iter().copied();
            replicas.find(|id| set.contains(id) && may_be_elected(id))
        };
        if is_planted(Bug::AnyReplicaMayLead)
            && let Some(leader) = first_of(&self.assignment.replicas)
        {
            self.in_sync = vec![leader];
            return (NewLeader::Broker(leader), false);
        }
        if let Some(leader) = first_of(&self.in_sync) {
            return (NewLeader::Broker(leader), false);
        }
        if let Some(leader) = first_of(&self.eligible) {
            self.in_sync = vec![leader];
            return (NewLeader::Broker(leader), false);
        }
        if self.allows_unclean {
            let replicas = &self.assignment.replicas;
            let last = self.partition.last_known_leader.or(now);
            let last = last.filter(|id| replicas.contains(id) && may_lead(id));
            // On a disk that was replaced there may be nothing.
            let with_disk: Vec<i32> =
                replicas.iter().copied().filter(|id| self.has_its_disk(*id)).collect();
            let best = last.filter(|id| with_disk.contains(id)).or_else(|| first_of(&with_disk));
            if let Some(leader) = best.or(last).or_else(|| first_of(replicas)) {
                self.in_sync = vec![leader];
                return (NewLeader::Broker(leader), true);
            }
        }
        (if now.is_some() { NewLeader::Nobody } else { NewLeader::Same }, false)
    }

    /// Whether a replica goes. It may be given to the same broker again before the leader hears of either:
    /// what that broker had and has deleted would count for what it has now. So the leader goes
    /// on in a new epoch, in which everybody fetches anew, as in Kafka.
    fn takes_replicas_away(&self) -> bool {
        self.partition.replicas.iter().any(|id| !self.assignment.replicas.contains(id))
    }

    /// Whether the broker still has the directory in which it was given the replica.
    fn has_its_disk(&self, broker_id: i32) -> bool {
        let Assignment { replicas, directories, .. } = &self.assignment;
        let at = replicas.iter().position(|id| *id == broker_id);
        let given = at.and_then(|at| directories.get(at)).filter(|given| **given != Uuid::ZERO);
        let broker = self.standing.image.broker(broker_id);
        given.is_none_or(|given| broker.is_some_and(|broker| broker.directories.contains(given)))
    }

    fn choose_eligible(&mut self, is_unclean: bool) {
        let is_enough = self.in_sync.len() >= self.min_in_sync();
        if is_unclean || is_enough || is_planted(Bug::EligibleAreForgotten) {
            self.eligible.clear();
            return;
        }
        for id in &self.partition.in_sync {
            if !self.eligible.contains(id) && self.excluded != Some(*id) {
                self.eligible.push(*id);
            }
        }
        let Self { in_sync, assignment, eligible, .. } = self;
        eligible.retain(|id| !in_sync.contains(id) && assignment.replicas.contains(id));
    }
}
