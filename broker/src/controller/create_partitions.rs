//! Decides on requests for more partitions.
//!
//! Partitions are only ever added: records of a key would change their partition in any case, but
//! taking partitions away would lose records as well.

use std::collections::BTreeSet;

use flumen_protocol::messages::create_partitions::CreatePartitionsTopic;

use super::assignment::{AssignmentError, PARTITIONS_PER_REQUEST_MAX, check_assignment, count_by};
use super::decision::Decision;
use super::image::MetadataImage;
use super::placement::{TooFewBrokers, new_partition, place};
use super::records::{MetadataRecord, PartitionRecord};

/// Why a topic gets no more partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    /// No topic has this name.
    #[error("The topic {name} does not exist.")]
    UnknownTopic {
        /// The name.
        name: String,
    },
    /// The request names it twice.
    #[error("Duplicate topic name.")]
    Twice,
    /// It has as many already.
    #[error("Topic already has {count} partition(s).")]
    Same {
        /// How many it has.
        count: usize,
    },
    /// It has more already; partitions cannot be taken away.
    #[error(
        "The topic {name} currently has {count} partition(s); {wanted} would not be an increase."
    )]
    Fewer {
        /// The name.
        name: String,
        /// How many it has.
        count: usize,
        /// How many were asked for.
        wanted: i32,
    },
    /// The request asks for too much at once.
    #[error("Excessively large number of additional partitions per request.")]
    TooMany,
    /// The cluster would have too many.
    #[error("The cluster may have {limit} partitions (max.partitions), and has {count}.")]
    Limit {
        /// How many it may have.
        limit: usize,
        /// How many it has, with those of earlier topics of the request.
        count: usize,
    },
    /// There are not so many brokers in service.
    #[error(transparent)]
    TooFewBrokers(#[from] TooFewBrokers),
    /// The places given cannot be taken.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
}

/// Decides on a request for more partitions: one answer per topic. The cluster may have `limit`.
pub(super) fn create_partitions(
    image: &MetadataImage,
    topics: &[CreatePartitionsTopic],
    validate_only: bool,
    limit: usize,
) -> Decision<Vec<(String, Result<(), CreatePartitionsError>)>> {
    let mut decision = Decision::answer(Vec::new());
    let times = count_by(topics.iter().map(|topic| topic.name.as_str()));
    let has = |topic: &CreatePartitionsTopic| {
        image.topic(&topic.name).map_or(0, |topic| topic.partitions.len())
    };
    let wanted: i64 = topics
        .iter()
        .map(|topic| i64::from(topic.count) - i64::try_from(has(topic)).unwrap_or_default())
        .filter(|added| *added > 0)
        .sum();
    let mut count = image.partition_count();
    let mut answered = BTreeSet::new();
    for topic in topics {
        if !answered.insert(topic.name.as_str()) {
            continue;
        }
        let added = if times[topic.name.as_str()] > 1 {
            Err(CreatePartitionsError::Twice)
        } else if wanted > PARTITIONS_PER_REQUEST_MAX {
            Err(CreatePartitionsError::TooMany)
        } else {
            add_partitions(image, topic)
        };
        let added = added.and_then(|records| {
            if count + records.len() > limit {
                return Err(CreatePartitionsError::Limit { limit, count });
            }
            count += records.len();
            if !validate_only {
                decision.records.extend(records.into_iter().map(MetadataRecord::from));
            }
            Ok(())
        });
        decision.answer.push((topic.name.clone(), added));
    }
    decision
}

fn add_partitions(
    image: &MetadataImage,
    request: &CreatePartitionsTopic,
) -> Result<Vec<PartitionRecord>, CreatePartitionsError> {
    let name = || request.name.clone();
    let topic = image
        .topic(&request.name)
        .ok_or_else(|| CreatePartitionsError::UnknownTopic { name: name() })?;
    let count = topic.partitions.len();
    let fewer = || CreatePartitionsError::Fewer { name: name(), count, wanted: request.count };
    let wanted = usize::try_from(request.count).map_err(|_negative| fewer())?;
    if wanted == count {
        return Err(CreatePartitionsError::Same { count });
    }
    let added = wanted.checked_sub(count).ok_or_else(fewer)?;
    let width = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let assignments = match &request.assignments {
        Some(given) if given.len() != added => {
            return Err(AssignmentError::Count { added, given: given.len() }.into());
        }
        Some(given) => (i32::try_from(count).unwrap_or(i32::MAX)..)
            .zip(given)
            .map(|(index, given)| check_assignment(image, index, &given.broker_ids, width))
            .collect::<Result<_, _>>()?,
        None => {
            // Goes on where the existing leaders end, so that the whole topic stays even.
            place(image, added, width, count)?
        }
    };
    Ok((0_i32..)
        .skip(count)
        .zip(assignments)
        .map(|(index, replicas)| new_partition(image, topic.id, index, replicas))
        .collect())
}
