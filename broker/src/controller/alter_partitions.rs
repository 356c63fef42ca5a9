//! Decides on in-sync sets that leaders propose (KIP-497, 841, 903).

use std::collections::BTreeSet;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;

use super::control::{
    AlterPartitionError, AlterPartitions, InSyncAnswer, InSyncChange, PartitionState, StaleBroker,
};
use super::decision::Decision;
use super::image::{MetadataImage, PartitionImage, TopicImage};
use super::partition_change::PartitionChange;
use super::records::{NewLeader, PartitionChangeRecord};
use super::standing::Standing;

/// Decides on the proposals of one leader, each for itself.
pub(super) fn alter_partitions(
    standing: Standing<'_>,
    request: &AlterPartitions,
) -> Decision<Result<Vec<InSyncAnswer>, StaleBroker>> {
    let image = standing.image;
    let broker_id = request.broker_id;
    let registered = image.broker(broker_id).filter(|broker| broker.epoch == request.broker_epoch);
    if registered.is_none() {
        return Decision::answer(Err(StaleBroker));
    }
    let is_active = image.is_active(broker_id);
    let standing = standing.with(broker_id, is_active);
    let mut records = Vec::new();
    let mut changed: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    let mut decide = |proposal: &InSyncChange| {
        let (topic, partition) = check(image, broker_id, proposal)?;
        let key = (proposal.topic_id, proposal.partition_index);
        if changed.contains(&key) {
            return Err(AlterPartitionError::FencedPartitionEpoch);
        }
        let in_sync = proposal.in_sync.iter().map(|(id, _)| *id).collect();
        let rules = standing.rules(topic);
        let change =
            PartitionChange::new(&standing, topic, proposal.partition_index, partition, rules);
        // Where nothing changes the epoch counts on all the same, unlike in Kafka: what its leader has
        // proposed before without an answer could be taken later, and is now settled.
        let record = change.in_sync(in_sync).build();
        let record = record.unwrap_or_else(|| PartitionChangeRecord::of(key.0, key.1));
        changed.insert(key);
        let state = state(partition, &record);
        records.push(record.into());
        Ok(state)
    };
    let answers = request.partitions.iter().map(&mut decide).collect();
    Decision { records, answer: Ok(answers) }
}

/// In Kafka's order, which decides what a proposal hears that is wrong in more than one way.
fn check<'a>(
    image: &'a MetadataImage,
    broker_id: i32,
    proposal: &InSyncChange,
) -> Result<(&'a TopicImage, &'a PartitionImage), AlterPartitionError> {
    use AlterPartitionError as Error;
    let topic = image.topic_by_id(proposal.topic_id).ok_or(Error::UnknownTopic)?;
    let partition = topic.partition(proposal.partition_index).ok_or(Error::UnknownPartition)?;
    if proposal.leader_epoch > partition.leader_epoch
        || proposal.partition_epoch > partition.partition_epoch
    {
        return Err(Error::FromTheFuture);
    }
    let is_anybody_heard = is_planted(Bug::OldLeadersPropose);
    if proposal.leader_epoch < partition.leader_epoch && !is_anybody_heard {
        return Err(Error::FencedLeaderEpoch);
    }
    if partition.leader != Some(broker_id) && !is_anybody_heard {
        return Err(Error::NotThisLeader);
    }
    let is_checked = !is_planted(Bug::StaleProposalsAreTaken) && !is_anybody_heard;
    if is_checked && proposal.partition_epoch < partition.partition_epoch {
        return Err(Error::FencedPartitionEpoch);
    }
    let members: BTreeSet<i32> = proposal.in_sync.iter().map(|(id, _)| *id).collect();
    let is_valid = members.len() == proposal.in_sync.len()
        && members.iter().all(|id| partition.replicas.contains(id))
        && members.contains(&broker_id);
    if !is_valid {
        return Err(Error::InvalidInSync);
    }
    let may_be_in_sync = |id: i32, epoch: i64| {
        image.is_active(id) && image.broker(id).is_some_and(|broker| broker.epoch == epoch)
    };
    match proposal.in_sync.iter().find(|(id, epoch)| !may_be_in_sync(*id, *epoch)) {
        Some(&(broker_id, _)) => Err(Error::IneligibleReplica { broker_id }),
        None => Ok((topic, partition)),
    }
}

/// The partition as it is after the change.
fn state(partition: &PartitionImage, change: &PartitionChangeRecord) -> PartitionState {
    let mut state = PartitionState {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        in_sync: partition.in_sync.clone(),
        partition_epoch: partition.partition_epoch + 1,
    };
    if let Some(in_sync) = &change.in_sync {
        state.in_sync.clone_from(in_sync);
    }
    match change.leader {
        NewLeader::Same => {}
        NewLeader::Nobody => (state.leader, state.leader_epoch) = (None, state.leader_epoch + 1),
        NewLeader::Broker(leader) => {
            (state.leader, state.leader_epoch) = (Some(leader), state.leader_epoch + 1);
        }
    }
    state
}
