//! The cluster itself: its brokers and their disks.

use std::collections::BTreeMap;

use flumen_protocol::ApiKey;
use flumen_protocol::messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest};
use flumen_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use flumen_protocol::messages::unregister_broker::UnregisterBrokerRequest;

use super::Admin;
use crate::cluster::{Broker, TopicPartition};
use crate::connection::Owned;
use crate::error::Error;

/// A cluster and its brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: String,
    /// The broker to ask for changes, if one is known.
    pub controller_id: Option<i32>,
    /// The brokers in service.
    pub brokers: Vec<Broker>,
    /// The brokers that are registered and out of service, where brokers tell (KIP-1073).
    pub fenced: Vec<Broker>,
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
        let question = |version| {
            let include_fenced_brokers = version >= 2;
            Owned(DescribeClusterRequest { include_fenced_brokers, ..Default::default() })
        };
        let response = self.client.ask_any_with(question).await?;
        Error::check(ApiKey::DescribeCluster, response.error_code, response.error_message)?;
        let (mut brokers, mut fenced) = (Vec::new(), Vec::new());
        for described in response.brokers {
            let DescribeClusterBroker { broker_id: id, host, port, rack, is_fenced } = described;
            let listed = if is_fenced { &mut fenced } else { &mut brokers };
            listed.push(Broker { id, host, port, rack });
        }
        Ok(ClusterDescription {
            cluster_id: response.cluster_id,
            controller_id: Some(response.controller_id).filter(|id| *id >= 0),
            brokers,
            fenced,
        })
    }

    /// Removes a broker that is gone for good from the metadata. One that is still alive registers
    /// again when it starts next.
    pub async fn unregister_broker(&self, broker_id: i32) -> Result<(), Error> {
        let request = UnregisterBrokerRequest { broker_id };
        let response = self.ask_controller(&request, |response| Some(response.error_code)).await?;
        Error::check(ApiKey::UnregisterBroker, response.error_code, response.error_message)
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
