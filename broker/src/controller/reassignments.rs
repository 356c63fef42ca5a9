//! Decides on requests to move partitions to other brokers (KIP-455).
//!
//! A partition that is moved has its old and its new replicas until all new ones are in sync; the rule
//! for that stands in `partition_change`. Until then it can be moved elsewhere, or be left where it was.

use std::collections::BTreeSet;

use flumen_protocol::Uuid;

use super::assignment::{AssignmentError, check_replicas};
use super::decision::Decision;
use super::image::PartitionImage;
use super::partition_change::PartitionChange;
use super::records::{Assignment, MetadataRecord};
use super::standing::{Rules, Standing};

/// Where one partition is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its new replicas, the preferred leader first; `None` ends a move that is under way.
    pub replicas: Option<Vec<i32>>,
}

/// Why a partition is not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    /// No such topic.
    #[error("Unable to find a topic named {topic}.")]
    UnknownTopic {
        /// The name.
        topic: String,
    },
    /// No such partition.
    #[error("Unable to find partition {topic}:{partition}.")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The request names it twice.
    #[error("The request names {topic}-{partition} more than once.")]
    Twice {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// There is no move to end.
    #[error("No partition reassignment is in progress.")]
    NotInProgress,
    /// The places cannot be taken.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The number of replicas would change, and the request does not allow that.
    #[error("The replication factor is changed from {from} to {to}")]
    ReplicationFactor {
        /// The replicas there are.
        from: usize,
        /// The replicas there would be.
        to: usize,
    },
    /// None of the old replicas is in sync any more.
    #[error(
        "Unable to revert partition assignment for {topic}-{partition} because it would require an \
         unclean leader election."
    )]
    NoneInSync {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

/// Decides on moves, each for itself; the answers are in the order of the request.
pub(super) fn alter_reassignments(
    standing: &Standing<'_>,
    reassignments: &[Reassignment],
    allows_factor_change: bool,
) -> Decision<Vec<Result<(), ReassignError>>> {
    let mut decision = Decision::answer(Vec::new());
    let mut seen = BTreeSet::new();
    for asked in reassignments {
        let (topic, partition) = (asked.topic.clone(), asked.partition);
        let moved = if seen.insert((&asked.topic, partition)) {
            reassign(standing, asked, allows_factor_change)
        } else {
            Err(ReassignError::Twice { topic, partition })
        };
        decision.answer.push(moved.map(|record| decision.records.extend(record)));
    }
    decision
}

fn reassign(
    standing: &Standing<'_>,
    asked: &Reassignment,
    allows_factor_change: bool,
) -> Result<Option<MetadataRecord>, ReassignError> {
    let (name, index) = (|| asked.topic.clone(), asked.partition);
    let topic = standing.image.topic(&asked.topic);
    let topic = topic.ok_or_else(|| ReassignError::UnknownTopic { topic: name() })?;
    let unknown = || ReassignError::UnknownPartition { topic: name(), partition: index };
    let partition = topic.partition(index).ok_or_else(unknown)?;
    let rules = standing.rules(topic);
    let change = PartitionChange::new(standing, topic, index, partition, rules);
    let assignment = match &asked.replicas {
        Some(replicas) => {
            let replicas = check_replicas(standing.image, replicas)?;
            let (from, to) = (partition.replicas.len() - partition.adding.len(), replicas.len());
            if from != to && !allows_factor_change {
                return Err(ReassignError::ReplicationFactor { from, to });
            }
            moved(standing, partition, rules, replicas)
        }
        None if !partition.is_reassigning() => return Err(ReassignError::NotInProgress),
        None => {
            let assignment = reverted(partition);
            let stays = |id: &i32| assignment.replicas.contains(id);
            if !partition.in_sync.iter().any(stays) && !rules.allows_unclean {
                return Err(ReassignError::NoneInSync { topic: name(), partition: index });
            }
            assignment
        }
    };
    Ok(change.assign(assignment).build().map(MetadataRecord::from))
}

/// The replicas while a partition moves to `target`: the new ones first, as preferred leaders.
fn moved(
    standing: &Standing<'_>,
    partition: &PartitionImage,
    rules: Rules,
    target: Vec<i32>,
) -> Assignment {
    let is_old = |id: &i32| partition.replicas.contains(id) && !partition.adding.contains(id);
    let adding = target.iter().copied().filter(|id| !is_old(id)).collect();
    // What a move before this one has added, and this one does not want, goes at once where it is not
    // needed: ending the move is to lead back to where the first began.
    let is_wanted = |id: &i32| is_old(id) || target.contains(id);
    let wanted: Vec<i32> = partition.in_sync.iter().copied().filter(is_wanted).collect();
    let is_enough = wanted.len() >= rules.min_in_sync(target.len())
        && wanted.iter().any(|id| standing.is_active(*id));
    let goes = |id: &i32| !target.contains(id) && (is_old(id) || !is_enough);
    let removing: Vec<i32> = partition.replicas.iter().copied().filter(goes).collect();
    let replicas: Vec<i32> = target.iter().chain(&removing).copied().collect();
    let directory = |id: &i32| -> Uuid {
        let at = partition.replicas.iter().position(|known| known == id);
        at.and_then(|at| partition.directories.get(at).copied())
            .or_else(|| standing.image.broker(*id)?.directories.first().copied())
            .unwrap_or_default()
    };
    let directories = replicas.iter().map(directory).collect();
    Assignment { replicas, directories, adding, removing }
}

/// The replicas there were before the move.
fn reverted(partition: &PartitionImage) -> Assignment {
    let (replicas, directories) = partition
        .replicas
        .iter()
        .copied()
        .zip(partition.directories.iter().copied())
        .filter(|(id, _)| !partition.adding.contains(id))
        .unzip();
    Assignment { replicas, directories, adding: Vec::new(), removing: Vec::new() }
}
