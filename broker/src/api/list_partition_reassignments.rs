//! ListPartitionReassignments (key 46), v0. Shows which partitions are being moved, from where and to
//! where (KIP-455).
//! Differs from Kafka: every broker answers from its own metadata, where Kafka asks the controller.

use flumen_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};

use super::{Call, Context};
use crate::controller::{MetadataImage, PartitionImage, TopicImage};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = ctx.controller.image();
    let topics = match request.topics {
        None => {
            image.topics().filter_map(|topic| moves(topic, topic.indexed_partitions())).collect()
        }
        Some(asked) => asked
            .into_iter()
            .filter_map(|asked| named_moves(&image, &asked.name, &asked.partition_indexes))
            .collect(),
    };
    ListPartitionReassignmentsResponse { topics, error_message: None, ..Default::default() }
}

/// The moves of the partitions that are asked for; as in Kafka, what does not exist does not move.
fn named_moves(
    image: &MetadataImage,
    name: &str,
    indexes: &[i32],
) -> Option<OngoingTopicReassignment> {
    let topic = image.topic(name)?;
    moves(topic, indexes.iter().filter_map(|index| Some((*index, topic.partition(*index)?))))
}

/// The moves among `partitions`, if there is one.
fn moves<'a>(
    topic: &TopicImage,
    partitions: impl Iterator<Item = (i32, &'a PartitionImage)>,
) -> Option<OngoingTopicReassignment> {
    let moving = partitions.filter(|(_, partition)| partition.is_reassigning());
    let partitions: Vec<_> = moving
        .map(|(partition_index, partition)| OngoingPartitionReassignment {
            partition_index,
            replicas: partition.replicas.clone(),
            adding_replicas: partition.adding.clone(),
            removing_replicas: partition.removing.clone(),
        })
        .collect();
    let name = topic.name.to_string();
    (!partitions.is_empty()).then_some(OngoingTopicReassignment { name, partitions })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flumen_protocol::Uuid;

    use super::*;

    fn partition(adding: &[i32], removing: &[i32]) -> PartitionImage {
        PartitionImage {
            replicas: vec![1, 2, 3],
            directories: vec![Uuid::ZERO; 3],
            in_sync: vec![1, 2],
            eligible: Vec::new(),
            leader: Some(1),
            leader_epoch: 0,
            partition_epoch: 0,
            adding: adding.to_vec(),
            removing: removing.to_vec(),
            last_known_leader: None,
        }
    }

    #[test]
    fn only_what_moves_is_listed() {
        let topic = TopicImage {
            name: Arc::from("t"),
            id: Uuid::ZERO,
            partitions: vec![partition(&[], &[]), partition(&[3], &[]), partition(&[], &[2])],
            configs: Arc::default(),
        };
        let listed = |indexes: &[i32]| -> Vec<i32> {
            let asked = topic.indexed_partitions().filter(|(index, _)| indexes.contains(index));
            let found = moves(&topic, asked).map(|topic| topic.partitions).unwrap_or_default();
            found.iter().map(|partition| partition.partition_index).collect()
        };
        assert_eq!(listed(&[0, 1, 2]), [1, 2]);
        assert_eq!(listed(&[2]), [2]);
        assert_eq!(moves(&topic, topic.indexed_partitions().take(1)), None);
    }

    #[test]
    fn what_does_not_exist_does_not_move() {
        assert_eq!(named_moves(&MetadataImage::default(), "nope", &[0]), None);
    }
}
