//! Asks what operators ask: log directories, producers, the quorum.

use anyhow::Result;
use flumen_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest,
};
use flumen_protocol::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use flumen_protocol::messages::describe_quorum as quorum;
use flumen_protocol::{ApiKey, Uuid};

use super::{mask_text, partition_index, sound_topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;

pub(super) fn describe_log_dirs(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = DescribeLogDirsRequest {
        // Not all topics: deleted ones linger in both for a while.
        topics: Some(vec![DescribableLogDirTopic {
            topic: sound_topic_name(random).to_owned(),
            partitions: vec![partition_index(random)],
        }]),
    };
    let version = version_of(ApiKey::DescribeLogDirs, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            for dir in &mut response.results {
                "(path)".clone_into(&mut dir.log_dir);
                // Both stand on the same file system, but not at the same moment.
                dir.total_bytes = dir.total_bytes.min(0);
                dir.usable_bytes = dir.usable_bytes.min(0);
            }
        },
    )?;
    Ok(())
}

pub(super) fn describe_producers(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let topic = TopicRequest {
        name: sound_topic_name(random).to_owned(),
        partition_indexes: vec![partition_index(random); random.choose(&[1, 1, 2])],
    };
    let request = DescribeProducersRequest { topics: vec![topic; random.choose(&[1, 1, 2])] };
    pair.ask(
        0,
        |_| request.clone(),
        |response| {
            for topic in &mut response.topics {
                for partition in &mut topic.partitions {
                    mask_text(&mut partition.error_message);
                    // Ids are handed out by each side as it likes.
                    partition.active_producers.sort_by_key(|producer| producer.producer_id);
                    for producer in &mut partition.active_producers {
                        producer.producer_id = 0;
                        producer.last_timestamp = 0;
                    }
                }
            }
        },
    )?;
    Ok(())
}

pub(super) fn describe_quorum(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = quorum::DescribeQuorumRequest {
        topics: vec![quorum::TopicData {
            topic_name: random.choose(&["__cluster_metadata", "one"]).to_owned(),
            partitions: vec![quorum::PartitionData { partition_index: random.choose(&[0, 0, 1]) }],
        }],
    };
    let version = version_of(ApiKey::DescribeQuorum, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            mask_text(&mut response.error_message);
            // The controller's listeners are not Kafka's, and positions are each quorum's own.
            response.nodes.clear();
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                mask_text(&mut partition.error_message);
                partition.leader_epoch = 0;
                partition.high_watermark = 0;
                for replica in partition.current_voters.iter_mut().chain(&mut partition.observers) {
                    replica.replica_directory_id = Uuid::ZERO;
                    replica.log_end_offset = 0;
                    replica.last_fetch_timestamp = 0;
                    replica.last_caught_up_timestamp = 0;
                }
            }
        },
    )?;
    Ok(())
}
