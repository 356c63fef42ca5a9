//! Decides on requests to elect leaders.

use super::decision::Decision;
use super::image::{MetadataImage, PartitionImage, TopicImage};
use super::partition_change::PartitionChange;
use super::records::{MetadataRecord, NewLeader, PartitionChangeRecord};
use super::standing::Standing;

/// Who may become leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica of the partition, when it is in sync.
    Preferred,
    /// Any replica, in sync or not, when nobody leads: records may be lost.
    Unclean,
}

impl ElectionType {
    /// The type that Kafka numbers `code`.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Preferred),
            1 => Some(Self::Unclean),
            _ => None,
        }
    }
}

/// Why no leader was elected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// No such topic.
    #[error("No such topic as {topic}")]
    UnknownTopic {
        /// The name.
        topic: String,
    },
    /// No such partition.
    #[error("No such partition as {topic}-{partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The right replica leads already.
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    /// The preferred replica is not in sync or not in service.
    #[error("The preferred leader was not available.")]
    PreferredNotAvailable,
    /// No replica is in service.
    #[error("Eligible topic partition leaders are not available.")]
    NobodyAvailable,
}

/// Whether `record` makes a replica leader that need not have every acknowledged record; `image` is what
/// it is replayed on.
pub(super) fn is_unclean(image: &MetadataImage, record: &PartitionChangeRecord) -> bool {
    let NewLeader::Broker(leader) = record.leader else { return false };
    let topic = image.topic_by_id(record.topic_id);
    topic.and_then(|topic| topic.partition(record.partition_index)).is_some_and(|partition| {
        // One that was added leads only at the end of the move, when its leader has found it in sync.
        let was_moved = partition.adding.contains(&leader)
            && record.assignment.as_ref().is_some_and(|now| now.adding.is_empty());
        !partition.in_sync.contains(&leader) && !partition.eligible.contains(&leader) && !was_moved
    })
}

/// The answers of one topic.
pub type TopicElections = (String, Vec<(i32, Result<(), ElectionError>)>);

/// Decides on elections in `topics`, or in all of them; then what needs none is left out.
pub(super) fn elect_leaders(
    standing: &Standing<'_>,
    election: ElectionType,
    topics: Option<&[(String, Vec<i32>)]>,
) -> Decision<Vec<TopicElections>> {
    let mut decision = Decision::answer(Vec::new());
    let Some(topics) = topics else {
        for topic in standing.image.topics() {
            let mut answers = Vec::new();
            for (index, _) in topic.indexed_partitions() {
                let elected = elect(standing, election, &topic.name, index, &mut decision.records);
                if elected != Err(ElectionError::NotNeeded) {
                    answers.push((index, elected));
                }
            }
            decision.answer.push((topic.name.to_string(), answers));
        }
        return decision;
    };
    for (topic, partitions) in topics {
        let answers = partitions
            .iter()
            .map(|index| (*index, elect(standing, election, topic, *index, &mut decision.records)))
            .collect();
        decision.answer.push((topic.clone(), answers));
    }
    decision
}

fn elect(
    standing: &Standing<'_>,
    election: ElectionType,
    topic_name: &str,
    index: i32,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ElectionError> {
    let topic = standing
        .image
        .topic(topic_name)
        .ok_or_else(|| ElectionError::UnknownTopic { topic: topic_name.to_owned() })?;
    let partition = topic.partition(index).ok_or_else(|| {
        let (topic, partition) = (topic_name.to_owned(), index);
        ElectionError::UnknownPartition { topic, partition }
    })?;
    let change = change(standing, election, topic, index, partition)?;
    let record = change.build().ok_or(ElectionError::NobodyAvailable)?.into();
    // A partition named twice is elected once.
    if !records.contains(&record) {
        records.push(record);
    }
    Ok(())
}

fn change<'a>(
    standing: &'a Standing<'a>,
    election: ElectionType,
    topic: &'a TopicImage,
    index: i32,
    partition: &'a PartitionImage,
) -> Result<PartitionChange<'a>, ElectionError> {
    let change = PartitionChange::new(standing, topic, index, partition, standing.rules(topic));
    match election {
        ElectionType::Preferred => match partition.replicas.first() {
            Some(first) if partition.leader == Some(*first) => Err(ElectionError::NotNeeded),
            Some(first) if partition.in_sync.contains(first) && standing.is_active(*first) => {
                Ok(change.elect())
            }
            _ => Err(ElectionError::PreferredNotAvailable),
        },
        ElectionType::Unclean if partition.leader.is_some() => Err(ElectionError::NotNeeded),
        ElectionType::Unclean => Ok(change.allow_unclean()),
    }
}
