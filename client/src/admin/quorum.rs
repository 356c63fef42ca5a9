//! The metadata quorum: where it stands, and who votes in it.

use std::collections::BTreeMap;

use flumen_protocol::messages::add_raft_voter::{AddRaftVoterRequest, Listener};
use flumen_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, PartitionData, ReplicaState, TopicData,
};
use flumen_protocol::messages::remove_raft_voter::RemoveRaftVoterRequest;
use flumen_protocol::{ApiKey, Uuid};

use super::{Admin, incomplete, timeout_ms};
use crate::error::Error;

/// The topic under which the quorum's log is described.
const METADATA_TOPIC: &str = "__cluster_metadata";

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
    /// Where the voters listen for each other, as far as it is told.
    pub listeners: BTreeMap<i32, Vec<VoterListener>>,
}

/// An address at which a voter listens for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterListener {
    /// The name of the listener.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A copy of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumReplica {
    /// The node that has it.
    pub id: i32,
    /// The id of its directory; zero where brokers tell none.
    pub directory_id: Uuid,
    /// Where it ends.
    pub log_end_offset: i64,
    /// When it last asked for more, in milliseconds since the Unix epoch, if known.
    pub last_fetch_timestamp: Option<i64>,
    /// When it last had everything, in milliseconds since the Unix epoch, if known.
    pub last_caught_up_timestamp: Option<i64>,
}

impl Admin {
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
        let listeners = response.nodes.into_iter().map(|node| {
            let listeners = node.listeners.into_iter().map(|listener| VoterListener {
                name: listener.name,
                host: listener.host,
                port: listener.port,
            });
            (node.node_id, listeners.collect())
        });
        Ok(Quorum {
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            voters: partition.current_voters.iter().map(replica_from).collect(),
            observers: partition.observers.iter().map(replica_from).collect(),
            listeners: listeners.collect(),
        })
    }

    /// Lets a broker vote that follows the metadata log already.
    ///
    /// It must have the directory of this id: another disk lacks what this one has acknowledged.
    /// Where it listens for the other voters is to be given where brokers do not know it already, as
    /// Apache Kafka's do not.
    pub async fn add_voter(
        &self,
        id: i32,
        directory_id: Uuid,
        listener: Option<VoterListener>,
    ) -> Result<(), Error> {
        let listener =
            listener.map(|VoterListener { name, host, port }| Listener { name, host, port });
        let request = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: timeout_ms(&self.client),
            voter_id: id,
            voter_directory_id: directory_id,
            listeners: listener.into_iter().collect(),
            ack_when_committed: true,
        };
        let response = self.ask_controller(&request, |response| Some(response.error_code)).await?;
        Error::check(ApiKey::AddRaftVoter, response.error_code, response.error_message)
    }

    /// Takes the vote from a broker; it goes on to follow the metadata log.
    pub async fn remove_voter(&self, id: i32, directory_id: Uuid) -> Result<(), Error> {
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: id,
            voter_directory_id: directory_id,
        };
        let response = self.ask_controller(&request, |response| Some(response.error_code)).await?;
        Error::check(ApiKey::RemoveRaftVoter, response.error_code, response.error_message)
    }
}

fn replica_from(replica: &ReplicaState) -> QuorumReplica {
    QuorumReplica {
        id: replica.replica_id,
        directory_id: replica.replica_directory_id,
        log_end_offset: replica.log_end_offset,
        last_fetch_timestamp: Some(replica.last_fetch_timestamp).filter(|ms| *ms >= 0),
        last_caught_up_timestamp: Some(replica.last_caught_up_timestamp).filter(|ms| *ms >= 0),
    }
}
