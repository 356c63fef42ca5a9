//! Checks replicas that were placed by hand, and what else requests about partitions share.

use std::collections::{BTreeMap, BTreeSet};

use super::image::MetadataImage;

/// One request must not fill the metadata log.
pub(super) const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;

/// What is wrong with replicas placed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// A gap.
    #[error("partitions should be a consecutive 0-based integer sequence")]
    NotConsecutive,
    /// A partition placed twice.
    #[error("Found multiple manual partition assignments for partition {partition}")]
    PartitionTwice {
        /// The partition.
        partition: i32,
    },
    /// A partition placed nowhere.
    #[error("The manual partition assignment includes an empty replica list.")]
    Empty,
    /// Two replicas in one place.
    #[error("The manual partition assignment includes the broker {broker_id} more than once.")]
    BrokerTwice {
        /// The broker.
        broker_id: i32,
    },
    /// A place that does not exist.
    #[error(
        "The manual partition assignment includes broker {broker_id}, but no such broker is \
         registered."
    )]
    UnknownBroker {
        /// The broker.
        broker_id: i32,
    },
    /// Only places that are out of service.
    #[error(
        "All brokers specified in the manual partition assignment for partition {partition} are \
         fenced or in controlled shutdown."
    )]
    NobodyActive {
        /// The partition.
        partition: i32,
    },
    /// Partitions with different numbers of replicas.
    #[error(
        "The manual partition assignment includes a partition with {count} replica(s), but this is \
         not consistent with previous partitions, which have {expected} replica(s)."
    )]
    Uneven {
        /// The replicas of this partition.
        count: usize,
        /// The replicas of the others.
        expected: usize,
    },
    /// Not as many places as new partitions.
    #[error(
        "Attempted to add {added} additional partition(s), but only {given} assignment(s) were \
         specified."
    )]
    Count {
        /// The partitions to add.
        added: usize,
        /// The places given.
        given: usize,
    },
}

/// Checks the places of a new partition: brokers that can take it, as many as for the others.
pub(super) fn check_assignment(
    image: &MetadataImage,
    partition: i32,
    brokers: &[i32],
    expected: usize,
) -> Result<Vec<i32>, AssignmentError> {
    let replicas = check_replicas(image, brokers)?;
    if replicas.len() != expected {
        return Err(AssignmentError::Uneven { count: brokers.len(), expected });
    }
    if !replicas.iter().any(|id| image.is_active(*id)) {
        return Err(AssignmentError::NobodyActive { partition });
    }
    Ok(replicas)
}

/// Checks the places of a partition: distinct brokers that exist.
pub(super) fn check_replicas(
    image: &MetadataImage,
    brokers: &[i32],
) -> Result<Vec<i32>, AssignmentError> {
    if brokers.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut seen = BTreeSet::new();
    for &broker_id in brokers {
        if image.broker(broker_id).is_none() {
            return Err(AssignmentError::UnknownBroker { broker_id });
        }
        if !seen.insert(broker_id) {
            return Err(AssignmentError::BrokerTwice { broker_id });
        }
    }
    Ok(brokers.to_vec())
}

/// How often each name stands in a request.
pub(super) fn count_by<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut times = BTreeMap::new();
    for name in names {
        *times.entry(name).or_default() += 1;
    }
    times
}
