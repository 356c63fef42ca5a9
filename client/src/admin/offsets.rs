//! Offsets of partitions: where they begin and end, and what was written when.

use std::collections::BTreeMap;

use flumen_protocol::ApiKey;
use flumen_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use super::{Admin, timeout_ms};
use crate::cluster::TopicPartition;
use crate::error::Error;

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OffsetSpec {
    /// The first record there is.
    Earliest,
    /// The end: the next record that will be written.
    Latest,
    /// The record with the highest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record of this time or later, in milliseconds since the Unix epoch.
    Timestamp(i64),
}

impl OffsetSpec {
    fn timestamp(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::MaxTimestamp => -3,
            Self::Timestamp(ms) => ms,
        }
    }
}

/// Which records count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All that are committed to the log.
    #[default]
    ReadUncommitted,
    /// Of transactions only those that were committed.
    ReadCommitted,
}

impl Isolation {
    /// The level as it stands on the wire.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// A place that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` where no record matches.
    pub offset: Option<i64>,
    /// The timestamp of the record there, for lookups by time.
    pub timestamp: Option<i64>,
    /// The leader epoch of the record there, if known.
    pub leader_epoch: Option<i32>,
}

impl Admin {
    /// Looks up a place in each partition.
    pub async fn list_offsets(
        &self,
        places: BTreeMap<TopicPartition, OffsetSpec>,
        isolation: Isolation,
    ) -> BTreeMap<TopicPartition, Result<ListedOffset, Error>> {
        let timeout_ms = timeout_ms(&self.client);
        // Who leads in another epoch must not answer: it may know less than was told before (KIP-320).
        let epoch = |topic: &str, partition: i32| {
            let leader = self.client.cluster().leader(topic, partition);
            leader.map_or(-1, |leader| leader.leader_epoch)
        };
        let build = |topics: BTreeMap<String, Vec<(i32, OffsetSpec)>>| ListOffsetsRequest {
            replica_id: -1,
            isolation_level: isolation.code(),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| ListOffsetsTopic {
                    partitions: partitions
                        .into_iter()
                        .map(|(partition_index, place)| ListOffsetsPartition {
                            partition_index,
                            current_leader_epoch: epoch(&name, partition_index),
                            timestamp: place.timestamp(),
                        })
                        .collect(),
                    name,
                })
                .collect(),
            timeout_ms,
        };
        self.ask_leaders(places, build, |response| {
            let mut results = Vec::new();
            for topic in response.topics {
                for partition in topic.partitions {
                    let listed = ListedOffset {
                        offset: Some(partition.offset).filter(|offset| *offset >= 0),
                        timestamp: Some(partition.timestamp).filter(|timestamp| *timestamp >= 0),
                        leader_epoch: Some(partition.leader_epoch).filter(|epoch| *epoch >= 0),
                    };
                    let checked = Error::check(ApiKey::ListOffsets, partition.error_code, None);
                    let key = (topic.name.clone(), partition.partition_index);
                    results.push((key, checked.map(|()| listed)));
                }
            }
            results
        })
        .await
    }
}
