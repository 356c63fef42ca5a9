//! The cluster itself: its brokers, its quorum, its disks.

use std::collections::BTreeMap;

use flumen_protocol::ApiKey;
use flumen_protocol::messages::describe_cluster::DescribeClusterRequest;
use flumen_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use flumen_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, PartitionData, ReplicaState, TopicData,
};

use super::{Admin, incomplete};
use crate::cluster::{Broker, TopicPartition};
use crate::error::Error;

/// The topic under which the quorum's log is described.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// A cluster and its brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// The broker to ask for changes, if one is known.
    pub controller_id: Option<i32>,
    /// The brokers that are up.
    pub brokers: Vec<Broker>,
}

/// The state of the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// The voter that leads.
    pub leader_id: i32,
    /// The epoch since which it does.
    pub leader_epoch: i32,
    /// The offset up to which the log is committed.
    pub high_watermark: i64,
    /// Those who vote.
    pub voters: Vec<QuorumReplica>,
    /// Those who only listen.
    pub observers: Vec<QuorumReplica>,
}

/// A copy of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumReplica {
    /// The node that has it.
    pub id: i32,
    /// Where it ends.
    pub log_end_offset: i64,
    /// When it last asked for more, in milliseconds since the Unix epoch, if known.
    pub last_fetch_timestamp: Option<i64>,
    /// When it last had everything, in milliseconds since the Unix epoch, if known.
    pub last_caught_up_timestamp: Option<i64>,
}

/// A data directory of a broker.
#[derive(Debug, Clone)]
pub struct LogDir {
    /// Its path.
    pub path: String,
    /// Its failure, if it failed.
    pub error: Option<Error>,
    /// The size of its disk in bytes, if told.
    pub total_bytes: Option<i64>,
    /// The free bytes of its disk, if told.
    pub usable_bytes: Option<i64>,
    /// The copies of partitions in it.
    pub replicas: BTreeMap<TopicPartition, LogDirReplica>,
}

/// A copy of a partition in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDirReplica {
    /// Its size in bytes.
    pub size: i64,
    /// How many records it is behind.
    pub offset_lag: i64,
}

impl Admin {
    /// The cluster and its brokers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let response = self.client.ask_any(&DescribeClusterRequest::default()).await?;
        Error::check(ApiKey::DescribeCluster, response.error_code, response.error_message)?;
        let brokers = response.brokers.into_iter().map(|broker| Broker {
            id: broker.broker_id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
        });
        Ok(ClusterDescription {
            cluster_id: response.cluster_id,
            controller_id: Some(response.controller_id).filter(|id| *id >= 0),
            brokers: brokers.collect(),
        })
    }

    /// The metadata quorum.
    pub async fn describe_quorum(&self) -> Result<Quorum, Error> {
        let partitions = vec![PartitionData { partition_index: 0 }];
        let topic = TopicData { topic_name: METADATA_TOPIC.to_owned(), partitions };
        let request = DescribeQuorumRequest { topics: vec![topic] };
        let response = self.client.ask_any(&request).await?;
        let api = ApiKey::DescribeQuorum;
        Error::check(api, response.error_code, response.error_message)?;
        let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let partition = partition.ok_or_else(|| incomplete(api, METADATA_TOPIC))?;
        Error::check(api, partition.error_code, partition.error_message)?;
        Ok(Quorum {
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            voters: partition.current_voters.iter().map(replica_from).collect(),
            observers: partition.observers.iter().map(replica_from).collect(),
        })
    }

    /// The data directories of a broker and what they hold.
    pub async fn describe_log_dirs(&self, broker_id: i32) -> Result<Vec<LogDir>, Error> {
        // No topics stands for all of them.
        let request = DescribeLogDirsRequest { topics: None };
        let response = self.client.ask_broker(broker_id, &request).await?;
        let api = ApiKey::DescribeLogDirs;
        Error::check(api, response.error_code, None)?;
        let dirs = response.results.into_iter().map(|dir| {
            let mut replicas = BTreeMap::new();
            for topic in dir.topics {
                for p in topic.partitions {
                    let partition = TopicPartition::new(topic.name.as_str(), p.partition_index);
                    let replica =
                        LogDirReplica { size: p.partition_size, offset_lag: p.offset_lag };
                    replicas.insert(partition, replica);
                }
            }
            LogDir {
                path: dir.log_dir,
                error: Error::check(api, dir.error_code, None).err(),
                total_bytes: Some(dir.total_bytes).filter(|bytes| *bytes >= 0),
                usable_bytes: Some(dir.usable_bytes).filter(|bytes| *bytes >= 0),
                replicas,
            }
        });
        Ok(dirs.collect())
    }
}

fn replica_from(replica: &ReplicaState) -> QuorumReplica {
    QuorumReplica {
        id: replica.replica_id,
        log_end_offset: replica.log_end_offset,
        last_fetch_timestamp: Some(replica.last_fetch_timestamp).filter(|ms| *ms >= 0),
        last_caught_up_timestamp: Some(replica.last_caught_up_timestamp).filter(|ms| *ms >= 0),
    }
}
