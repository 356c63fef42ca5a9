//! Looks positions in partitions up, and moves their start.

use anyhow::Result;
use flumen_protocol::ApiKey;
use flumen_protocol::messages::delete_records as trim;
use flumen_protocol::messages::list_offsets as list;
use flumen_protocol::messages::offset_for_leader_epoch as epochs;

use super::records::{BASE_TIMESTAMP, mask_time};
use super::{leader_epoch, partition_index, sound_topic_name, topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;

const TIMEOUT_MS: i32 = 10_000;

pub(super) fn list_offsets(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::ListOffsets, random);
    let topics = (0..random.choose(&[1, 1, 1, 2, 3]))
        .map(|_| {
            let topic = match topic_name(random) {
                // What the offsets topic holds is each coordinator's own.
                "__consumer_offsets" => "three",
                other => other,
            };
            let count = random.choose(&[1, 1, 1, 2, 3]);
            list::ListOffsetsTopic {
                name: topic.to_owned(),
                partitions: (0..count).map(|_| position(topic, random)).collect(),
            }
        })
        .collect();
    let request = list::ListOffsetsRequest {
        replica_id: random.choose(&[-1, -1, -1, -2]),
        isolation_level: if version >= 2 { random.choose(&[0, 0, 1]) } else { 0 },
        topics,
        timeout_ms: if version >= 10 { TIMEOUT_MS } else { 0 },
    };
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            // Kafka answers in the order of a hash table, and once for what was asked twice.
            response.topics.sort_by(|a, b| a.name.cmp(&b.name));
            response.topics.dedup_by(|b, a| {
                let is_same = a.name == b.name;
                if is_same {
                    a.partitions.append(&mut b.partitions);
                }
                is_same
            });
            for topic in &mut response.topics {
                topic.partitions.sort_by_key(|partition| partition.partition_index);
                topic.partitions.dedup_by_key(|partition| partition.partition_index);
                for partition in &mut topic.partitions {
                    partition.timestamp = mask_time(partition.timestamp);
                }
            }
        },
    )?;
    Ok(())
}

fn position(topic: &str, random: &mut Random) -> list::ListOffsetsPartition {
    let timestamps = [
        -1,
        -2,
        // The record with the largest timestamp: of a trimmed log Kafka may name one that is gone.
        if topic == "one" { -3 } else { -1 },
        -4,
        -5,
        -6,
        -7,
        0,
        BASE_TIMESTAMP,
        BASE_TIMESTAMP + 500,
        BASE_TIMESTAMP + 990,
        BASE_TIMESTAMP + 5000,
        i64::MAX,
        i64::MIN,
    ];
    list::ListOffsetsPartition {
        partition_index: partition_index(random),
        current_leader_epoch: leader_epoch(random),
        timestamp: random.choose(&timestamps),
    }
}

pub(super) fn offset_for_leader_epoch(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::OffsetForLeaderEpoch, random);
    let topics = (0..random.choose(&[0, 1, 1, 2]))
        .map(|_| epochs::OffsetForLeaderTopic {
            topic: sound_topic_name(random).to_owned(),
            partitions: (0..random.choose(&[1, 1, 2]))
                .map(|_| epochs::OffsetForLeaderPartition {
                    partition: partition_index(random),
                    current_leader_epoch: leader_epoch(random),
                    leader_epoch: random.choose(&[0, 0, 1, -1, 7]),
                })
                .collect(),
        })
        .collect();
    let request = epochs::OffsetForLeaderEpochRequest {
        replica_id: if version >= 3 { random.choose(&[-1, -2]) } else { -2 },
        topics,
    };
    pair.ask(
        version,
        |_| request.clone(),
        // Kafka answers in the order of a hash table.
        |response| response.topics.sort_by(|a, b| a.topic.cmp(&b.topic)),
    )?;
    Ok(())
}

pub(super) fn delete_records(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let name = random.choose(&["three", "three", "three", "compacted", "missing", ""]);
    let mut indexes = vec![partition_index(random)];
    if random.one_in(4) {
        indexes.push(random.choose(&[0, 1, 2]));
        indexes.dedup();
    }
    let request = trim::DeleteRecordsRequest {
        topics: vec![trim::DeleteRecordsTopic {
            name: name.to_owned(),
            partitions: indexes
                .into_iter()
                .map(|partition_index| trim::DeleteRecordsPartition {
                    partition_index,
                    offset: random.choose(&[0, 1, 3, -1, -2, 1_000_000]),
                })
                .collect(),
        }],
        timeout_ms: random.choose(&[TIMEOUT_MS, TIMEOUT_MS, 0]),
    };
    let version = version_of(ApiKey::DeleteRecords, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            // Kafka answers in the order of a hash table.
            for topic in &mut response.topics {
                topic.partitions.sort_by_key(|partition| partition.partition_index);
            }
        },
    )?;
    Ok(())
}
