//! What a broker answers about partitions that another one leads.

use anyhow::Result;
use flumen_protocol::Records;
use flumen_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest,
};
use flumen_protocol::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use flumen_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use flumen_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use flumen_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use flumen_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen_protocol::records::{BatchBuilder, BatchOptions};

use super::Clusters;
use super::scene::{SINGLE, SPREAD, TIMEOUT_MS};

/// Asks the first broker about a partition that the second leads and it follows, and about one that
/// it has nothing of.
pub(super) fn ask_those_that_follow(clusters: &mut Clusters) -> Result<()> {
    for (topic, index) in [(SPREAD, 0), (SPREAD, 1), (SINGLE, 0)] {
        clusters.ask(9, &produce(topic, index, -1), mask_produced)?;
        clusters.ask(9, &produce(topic, index, 1), mask_produced)?;
        clusters.ask(10, &fetch(topic, index), |_| ())?;
        clusters.ask(7, &list_offsets(topic, index), |response| {
            for topic in &mut response.topics {
                topic.partitions.iter_mut().for_each(|partition| partition.leader_epoch = 0);
            }
        })?;
        clusters.ask(4, &epoch_end(topic, index), |_| ())?;
        let request = DescribeProducersRequest {
            topics: vec![TopicRequest { name: topic.to_owned(), partition_indexes: vec![index] }],
        };
        clusters.ask(0, &request, |response| {
            for topic in &mut response.topics {
                topic.partitions.iter_mut().for_each(|partition| {
                    partition.active_producers.clear();
                });
            }
        })?;
        let request = DescribeLogDirsRequest {
            topics: Some(vec![DescribableLogDirTopic {
                topic: topic.to_owned(),
                partitions: vec![index],
            }]),
        };
        clusters.ask(4, &request, |response| {
            for dir in &mut response.results {
                dir.log_dir.clear();
                (dir.total_bytes, dir.usable_bytes) = (0, 0);
                for partition in dir.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    // A follower has what it has copied so far.
                    (partition.partition_size, partition.offset_lag) = (0, 0);
                }
            }
        })?;
    }
    Ok(())
}

fn mask_produced(response: &mut flumen_protocol::messages::produce::ProduceResponse) {
    for topic in &mut response.responses {
        for partition in &mut topic.partition_responses {
            partition.log_append_time_ms = -1;
        }
    }
}

pub(super) fn produce(topic: &str, index: i32, acks: i16) -> ProduceRequest {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(1_700_000_000_000, None, Some(b"value"), &[]);
    let records = Some(Records::from(batch.build()));
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData { index, records }],
            ..Default::default()
        }],
    }
}

/// Of a version whose clients do not read from followers.
fn fetch(topic: &str, partition: i32) -> FetchRequest {
    FetchRequest {
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                // Beyond what is there: what a broker says of records is compared elsewhere.
                fetch_offset: 100,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn list_offsets(topic: &str, partition_index: i32) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                timestamp: -2,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

fn epoch_end(topic: &str, partition: i32) -> OffsetForLeaderEpochRequest {
    OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: topic.to_owned(),
            partitions: vec![OffsetForLeaderPartition {
                partition,
                leader_epoch: 0,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}
