//! The controller: what the cluster consists of, and who decides changes to it.
//!
//! [`records`] is what the metadata log holds and `image` what it adds up to. Decisions are pure
//! functions of an image, one file per request: they say what to append and what to answer. `runtime`
//! makes them one after the other and `quorum` keeps them. [`Controller`] is what others see.

mod alter_partitions;
mod assignment;
mod balance;
mod brokers;
mod collector;
mod configs;
mod control;
mod create_partitions;
mod create_topics;
mod decision;
mod delete_topics;
mod elections;
mod handle;
mod heartbeats;
mod image;
mod leaderships;
mod lost_replicas;
mod partition_change;
mod placement;
mod producer_ids;
mod quorum;
mod reassignments;
pub mod records;
mod runtime;
mod service;
mod sessions;
mod standing;
mod topic_name;
mod uuid_bytes;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use assignment::AssignmentError;
pub use brokers::{BrokerRegistration, RegisterBrokerError, UnregisterBrokerError};
pub(crate) use collector::ControllerCollector;
pub use configs::{AlterConfigError, Alteration, ResourceName, Step, TopicConfigError};
pub use control::{
    AllocateProducerIdsError, AlterPartitionError, AlterPartitions, BrokerHeartbeat, Control,
    ControlRequest, ControlResponse, HeartbeatAnswer, InSyncAnswer, InSyncChange, LostReplica,
    LostReplicas, PartitionState, StaleBroker, Wants,
};
pub use create_partitions::CreatePartitionsError;
pub use create_topics::{CLUSTER_METADATA, CreateTopicError, CreatedTopic};
pub use delete_topics::{DeleteTopicError, TopicReference};
pub use elections::{ElectionError, ElectionType, TopicElections};
pub use handle::{Controller, OpenController, ProducerIdError};
pub use image::{
    BrokerImage, CONSUMER_OFFSETS, Configs, MetadataImage, PartitionImage, ReplayError, TopicImage,
    is_internal_topic,
};
pub use placement::TooFewBrokers;
pub use producer_ids::{NoProducerIds, ProducerIdBlock};
#[cfg(fuzzing)]
pub use quorum::fuzzing;
pub use quorum::{
    ChangeVotersError, MemberStatus, NotAMessage, NotLeader, QUORUM_LOG_FILTER, QuorumAddress,
    QuorumError, QuorumLane, QuorumPeers, QuorumService, QuorumStatus, QuorumTransport,
    TransportError,
};
pub use reassignments::{ReassignError, Reassignment};
pub use records::{BrokerEndpoint, ConfigResource, MetadataRecord};
pub use topic_name::{TopicNameError, check_topic_name};
