//! What brokers ask of the controller, and what it answers.
//!
//! These are the messages; they travel as MessagePack between brokers of one version. Who may change
//! what is decided in `brokers`, `heartbeats`, `alter_partitions`, `lost_replicas` and `producer_ids`.

use std::fmt;

use flumen_client::connection::BoxFuture;
use flumen_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::brokers::{BrokerRegistration, RegisterBrokerError};
use super::producer_ids::{NoProducerIds, ProducerIdBlock};
use super::quorum::NotLeader;
use super::uuid_bytes::one as uuid;

/// The way to whoever leads the metadata quorum.
pub trait Control: Send + Sync + fmt::Debug {
    /// Asks the leader, wherever it is.
    fn ask(&self, request: ControlRequest) -> BoxFuture<'_, Result<ControlResponse, NotLeader>>;
}

/// A question of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlRequest {
    /// It starts.
    Register(BrokerRegistration),
    /// It is alive.
    Heartbeat(BrokerHeartbeat),
    /// It leads partitions whose in-sync sets are to change.
    AlterPartitions(AlterPartitions),
    /// It runs, and cannot use some of its logs.
    LoseReplicas(LostReplicas),
    /// It needs producer ids.
    AllocateProducerIds {
        /// The broker.
        broker_id: i32,
        /// Which start of it.
        broker_epoch: i64,
    },
}

/// The answer to the question of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlResponse {
    /// The epoch of this start.
    Registered(Result<i64, RegisterBrokerError>),
    /// How it stands.
    Heartbeat(Result<HeartbeatAnswer, StaleBroker>),
    /// One answer for each partition asked for, in the same order.
    AlteredPartitions(Result<Vec<InSyncAnswer>, StaleBroker>),
    /// Where others can, they take its place.
    LostReplicas(Result<(), StaleBroker>),
    /// The block.
    ProducerIds(Result<ProducerIdBlock, AllocateProducerIdsError>),
}

/// The question comes from a start of the broker that is not the registered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("this start of the broker is not the one that is registered")]
pub struct StaleBroker;

/// Why a broker gets no producer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AllocateProducerIdsError {
    /// Another start asks.
    #[error(transparent)]
    Stale(#[from] StaleBroker),
    /// There are none left.
    #[error(transparent)]
    Exhausted(#[from] NoProducerIds),
}

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerHeartbeat {
    /// The broker.
    pub broker_id: i32,
    /// Which start of it.
    pub epoch: i64,
    /// The version of the image it has.
    pub metadata_version: i64,
    /// What it wants to do.
    pub wants: Wants,
}

/// What a broker wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wants {
    /// Lead and follow: its logs are open, and its own registration is in its image.
    Service,
    /// Be out of service: it is not ready yet, or its disk has stopped.
    Fence,
    /// Hand over what it leads, and stop.
    Leave,
}

/// How a broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// It is out of service.
    pub is_fenced: bool,
    /// It asked to leave and has nothing more to hand over.
    pub may_stop: bool,
}

/// Proposals of a broker for partitions it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterPartitions {
    /// The broker.
    pub broker_id: i32,
    /// Which start of it.
    pub broker_epoch: i64,
    /// What it proposes.
    pub partitions: Vec<InSyncChange>,
}

/// Partitions whose logs a broker cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostReplicas {
    /// The broker.
    pub broker_id: i32,
    /// Which start of it.
    pub broker_epoch: i64,
    /// Which.
    pub partitions: Vec<LostReplica>,
}

/// A partition whose log a broker cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LostReplica {
    /// The topic.
    #[serde(with = "uuid")]
    pub topic_id: Uuid,
    /// The partition.
    pub partition_index: i32,
}

/// The proposal of an in-sync set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InSyncChange {
    /// The topic.
    #[serde(with = "uuid")]
    pub topic_id: Uuid,
    /// The partition.
    pub partition_index: i32,
    /// The epoch in which the broker leads it.
    pub leader_epoch: i32,
    /// The epoch of the partition that the proposal rests on.
    pub partition_epoch: i32,
    /// The replicas that are to be in sync, each with the epoch of the start that caught up.
    pub in_sync: Vec<(i32, i64)>,
}

/// What became of a proposal.
pub type InSyncAnswer = Result<PartitionState, AlterPartitionError>;

/// A partition after a proposal was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The leader, if there is one.
    pub leader: Option<i32>,
    /// Its epoch.
    pub leader_epoch: i32,
    /// The replicas in sync.
    pub in_sync: Vec<i32>,
    /// The epoch of the partition.
    pub partition_epoch: i32,
}

/// Why a proposal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AlterPartitionError {
    /// No such topic.
    #[error("there is no such topic")]
    UnknownTopic,
    /// No such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// The proposal has epochs that the controller has not given yet: it is not, or no longer, the
    /// one that decides.
    #[error("the proposal is newer than the controller's metadata")]
    FromTheFuture,
    /// Another leader was elected since.
    #[error("a newer leader was elected")]
    FencedLeaderEpoch,
    /// The broker does not lead the partition.
    #[error("the broker does not lead the partition")]
    NotThisLeader,
    /// The partition has changed since.
    #[error("the partition has changed since")]
    FencedPartitionEpoch,
    /// The set has a broker that is no replica, has one twice, or lacks the leader.
    #[error("the set is none of replicas with their leader")]
    InvalidInSync,
    /// A replica is out of service, about to leave, or another start of its broker.
    #[error("broker {broker_id} cannot be in sync now")]
    IneligibleReplica {
        /// The replica.
        broker_id: i32,
    },
}
