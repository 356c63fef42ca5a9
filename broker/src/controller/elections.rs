//! Decides on requests to elect leaders.

use super::decision::Decision;
use super::image::{MetadataImage, PartitionImage};
use super::records::{MetadataRecord, NewLeader, PartitionChangeRecord};

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

/// The answers of one topic.
pub type TopicElections = (String, Vec<(i32, Result<(), ElectionError>)>);

/// Decides on elections in `topics`, or in all of them; then what needs none is left out.
pub(super) fn elect_leaders(
    image: &MetadataImage,
    election: ElectionType,
    topics: Option<&[(String, Vec<i32>)]>,
) -> Decision<Vec<TopicElections>> {
    let mut decision = Decision::answer(Vec::new());
    let Some(topics) = topics else {
        for topic in image.topics() {
            let mut answers = Vec::new();
            for (index, _) in topic.indexed_partitions() {
                let elected = elect(image, election, &topic.name, index, &mut decision.records);
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
            .map(|index| (*index, elect(image, election, topic, *index, &mut decision.records)))
            .collect();
        decision.answer.push((topic.clone(), answers));
    }
    decision
}

fn elect(
    image: &MetadataImage,
    election: ElectionType,
    topic_name: &str,
    partition_index: i32,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ElectionError> {
    let topic = image
        .topic(topic_name)
        .ok_or_else(|| ElectionError::UnknownTopic { topic: topic_name.to_owned() })?;
    let partition = topic.partition(partition_index).ok_or_else(|| {
        let (topic, partition) = (topic_name.to_owned(), partition_index);
        ElectionError::UnknownPartition { topic, partition }
    })?;
    let leader = match election {
        ElectionType::Preferred => preferred(image, partition)?,
        ElectionType::Unclean => unclean(image, partition)?,
    };
    let in_sync = (!partition.in_sync.contains(&leader)).then(|| vec![leader]);
    let change = PartitionChangeRecord {
        topic_id: topic.id,
        partition_index,
        leader: NewLeader::Broker(leader),
        in_sync,
        eligible: None,
    };
    // A partition named twice is elected once.
    if !records.contains(&change.clone().into()) {
        records.push(change.into());
    }
    Ok(())
}

fn preferred(image: &MetadataImage, partition: &PartitionImage) -> Result<i32, ElectionError> {
    let first = partition.replicas.first().copied().ok_or(ElectionError::PreferredNotAvailable)?;
    if partition.leader == Some(first) {
        Err(ElectionError::NotNeeded)
    } else if partition.in_sync.contains(&first) && image.is_live(first) {
        Ok(first)
    } else {
        Err(ElectionError::PreferredNotAvailable)
    }
}

/// The best replica in service: in sync, else eligible (nothing is lost by either), else any.
fn unclean(image: &MetadataImage, partition: &PartitionImage) -> Result<i32, ElectionError> {
    if partition.leader.is_some() {
        return Err(ElectionError::NotNeeded);
    }
    [&partition.in_sync, &partition.eligible, &partition.replicas]
        .into_iter()
        .flatten()
        .copied()
        .find(|id| image.is_live(*id))
        .ok_or(ElectionError::NobodyAvailable)
}
