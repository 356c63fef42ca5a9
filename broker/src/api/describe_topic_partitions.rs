//! DescribeTopicPartitions (key 75), v0. Shows partitions page by page, for topics too many or too
//! large for one Metadata answer, with eligible leader replicas (KIP-966).
//! Differs from Kafka: an empty topic name is INVALID_TOPIC_EXCEPTION for that topic alone, where
//! Kafka fails the whole request with an unexpected server error.

use std::collections::BTreeSet;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::authorized_operations::{NOT_ASKED, TOPIC};
use super::error::WireError;
use super::{Call, Context};
use crate::controller::{
    MetadataImage, PartitionImage, TopicImage, check_topic_name, is_internal_topic,
};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let limit =
        request.response_partition_limit.min(ctx.config.limits.described_partitions_max).max(1);
    let limit = usize::try_from(limit).expect("at least one");
    let asked: Vec<String> = request.topics.into_iter().map(|topic| topic.name).collect();
    page(&ctx.controller.image(), asked, limit, request.cursor)
}

/// One page: from the cursor on, as many partitions as the limit allows.
fn page(
    image: &MetadataImage,
    asked: Vec<String>,
    limit: usize,
    cursor: Option<Cursor>,
) -> DescribeTopicPartitionsResponse {
    if let Some(cursor) = &cursor
        && (cursor.partition_index < 0 || !asked.is_empty() && !asked.contains(&cursor.topic_name))
    {
        let refusal = |name| topic_answer(name, ErrorCode::InvalidRequest, NOT_ASKED);
        let topics = asked.into_iter().map(refusal).collect();
        return DescribeTopicPartitionsResponse { topics, ..Default::default() };
    }
    let (from_topic, from_partition) = match &cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let names: BTreeSet<String> = if asked.is_empty() {
        image.topics_from(from_topic).map(|topic| topic.name.to_string()).collect()
    } else {
        asked.into_iter().filter(|name| name.as_str() >= from_topic).collect()
    };

    let mut response = DescribeTopicPartitionsResponse::default();
    let mut room = limit;
    for name in names {
        let first = if name == from_topic { from_partition } else { 0 };
        if room == 0 {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: 0 });
            break;
        }
        let Some(topic) = image.topic(&name) else {
            let error = check_topic_name(&name)
                .map_or_else(|error| error.code(), |()| ErrorCode::UnknownTopicOrPartition);
            response.topics.push(topic_answer(name, error, TOPIC));
            continue;
        };
        let answer = found(image, topic, first, room);
        room -= answer.partitions.len();
        let next = answer.partitions.last().map_or(first, |last| last.partition_index + 1);
        let has_more = topic.partition(next).is_some();
        response.topics.push(answer);
        if has_more {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: next });
            break;
        }
    }
    response
}

fn topic_answer(
    name: String,
    error: ErrorCode,
    operations: i32,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        // An answer that is an error says nothing else of the topic.
        is_internal: error == ErrorCode::None && is_internal_topic(&name),
        name: Some(name),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn found(
    image: &MetadataImage,
    topic: &TopicImage,
    first: i32,
    room: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = topic
        .indexed_partitions()
        .filter(|(index, _)| *index >= first)
        .take(room)
        .map(|(index, partition)| partition_answer(image, index, partition));
    DescribeTopicPartitionsResponseTopic {
        topic_id: topic.id,
        partitions: partitions.collect(),
        ..topic_answer(topic.name.to_string(), ErrorCode::None, TOPIC)
    }
}

fn partition_answer(
    image: &MetadataImage,
    partition_index: i32,
    partition: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let offline = partition.replicas.iter().copied().filter(|id| !image.is_live(*id));
    DescribeTopicPartitionsResponsePartition {
        // As in Kafka, a partition that nobody leads is no error here, as it is for Metadata.
        error_code: 0,
        partition_index,
        leader_id: partition.leader.unwrap_or(-1),
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.clone(),
        isr_nodes: partition.in_sync.clone(),
        eligible_leader_replicas: Some(partition.eligible.clone()),
        last_known_elr: Some(partition.last_known_leader.into_iter().collect()),
        offline_replicas: offline.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::MetadataRecord;
    use crate::controller::records::{PartitionRecord, TopicRecord};
    use flumen_protocol::Uuid;

    /// An image with topics of these numbers of partitions.
    fn image(topics: &[(&str, i32)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (byte, (name, partitions)) in (1_u8..).zip(topics) {
            let topic_id = Uuid::from_bytes([byte; 16]);
            let topic = TopicRecord { topic_id, name: (*name).to_owned() };
            let mut records: Vec<MetadataRecord> = vec![topic.into()];
            records.extend((0..*partitions).map(|partition_index| {
                let partition = PartitionRecord {
                    topic_id,
                    partition_index,
                    replicas: vec![1],
                    directories: vec![Uuid::ZERO],
                    in_sync: vec![1],
                    eligible: Vec::new(),
                    leader: Some(1),
                    leader_epoch: 0,
                    partition_epoch: 0,
                    adding: Vec::new(),
                    removing: Vec::new(),
                    last_known_leader: None,
                };
                partition.into()
            }));
            records.iter().for_each(|record| image.replay(record).unwrap());
        }
        image
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Broker 1 has gone; what Apache Kafka 4.4 says of such a partition.
    #[test]
    fn a_partition_that_nobody_leads_is_described_all_the_same() {
        let partition = PartitionImage {
            in_sync: Vec::new(),
            eligible: vec![1],
            leader: None,
            leader_epoch: 1,
            last_known_leader: Some(1),
            ..image(&[("a", 1)]).partition("a", 0).unwrap().clone()
        };
        let answer = partition_answer(&MetadataImage::default(), 0, &partition);
        let expected = DescribeTopicPartitionsResponsePartition {
            error_code: 0,
            partition_index: 0,
            leader_id: -1,
            leader_epoch: 1,
            replica_nodes: vec![1],
            isr_nodes: Vec::new(),
            eligible_leader_replicas: Some(vec![1]),
            last_known_elr: Some(vec![1]),
            offline_replicas: vec![1],
        };
        assert_eq!(answer, expected);
    }

    #[test]
    fn pages_together_show_every_partition_once_and_in_order() {
        let image = image(&[("a", 3), ("b", 0), ("c", 5), ("d", 1)]);
        let all: Vec<(String, i32)> = [("a", 3), ("c", 5), ("d", 1)]
            .iter()
            .flat_map(|(name, count)| (0..*count).map(|index| ((*name).to_owned(), index)))
            .collect();
        for asked in [names(&[]), names(&["d", "a", "c", "b"])] {
            for limit in 1..=10 {
                let mut seen = Vec::new();
                let mut cursor = None;
                loop {
                    let answer = page(&image, asked.clone(), limit, cursor);
                    let partitions = answer.topics.iter().flat_map(|topic| {
                        let name = topic.name.clone().unwrap();
                        topic.partitions.iter().map(move |p| (name.clone(), p.partition_index))
                    });
                    let before = seen.len();
                    seen.extend(partitions);
                    assert!(seen.len() - before <= limit);
                    cursor = answer.next_cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, all, "limit {limit}");
            }
        }
    }

    /// The answers of Apache Kafka 4.4 to the same questions.
    #[test]
    fn cursors_and_names_that_make_no_sense_are_refused() {
        let image = image(&[("a", 1)]);
        let check = |asked: &[&str], cursor: Option<(&str, i32)>, expected: &[(&str, i16)]| {
            let cursor = cursor.map(|(topic_name, partition_index)| Cursor {
                topic_name: topic_name.to_owned(),
                partition_index,
            });
            let answer = page(&image, names(asked), 10, cursor);
            let codes: Vec<_> = answer
                .topics
                .iter()
                .map(|topic| (topic.name.as_deref().unwrap(), topic.error_code))
                .collect();
            assert_eq!(codes, expected, "{asked:?}");
            assert_eq!(answer.next_cursor, None);
        };
        check(&["a", "a"], None, &[("a", 0)]);
        check(&["nope", "a", "a/b"], None, &[("a", 0), ("a/b", 17), ("nope", 3)]);
        check(&["a"], Some(("a", -1)), &[("a", 42)]);
        check(&["a"], Some(("zzz", 0)), &[("a", 42)]);
        check(&["a"], Some(("AAA", 0)), &[("a", 42)]);
        check(&["a"], Some(("a", 5)), &[("a", 0)]);
    }
}
