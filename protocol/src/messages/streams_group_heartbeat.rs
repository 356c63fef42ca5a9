//! StreamsGroupHeartbeat (key 88), v0–v1: membership in a streams group: topology, tasks and
//! endpoints (KIP-1071).
//! v1 the broker can ask for the description of the topology (KIP-1331).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = StreamsGroupHeartbeat,
    response = StreamsGroupHeartbeatResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct StreamsGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    pub endpoint_information_epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub instance_id: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    #[wire(default = -1)]
    pub rebalance_timeout_ms: i32,
    #[wire(nullable = "0+", default = null)]
    pub topology: Option<Topology>,
    #[wire(nullable = "0+", default = null)]
    pub active_tasks: Option<Vec<TaskIds>>,
    #[wire(nullable = "0+", default = null)]
    pub standby_tasks: Option<Vec<TaskIds>>,
    #[wire(nullable = "0+", default = null)]
    pub warmup_tasks: Option<Vec<TaskIds>>,
    #[wire(nullable = "0+", default = null)]
    pub process_id: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub user_endpoint: Option<Endpoint>,
    #[wire(nullable = "0+", default = null)]
    pub client_tags: Option<Vec<KeyValue>>,
    #[wire(nullable = "0+", default = null)]
    pub task_offsets: Option<Vec<TaskOffset>>,
    #[wire(nullable = "0+", default = null)]
    pub task_end_offsets: Option<Vec<TaskOffset>>,
    pub shutdown_application: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Topology {
    pub epoch: i32,
    pub subtopologies: Vec<Subtopology>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Subtopology {
    pub subtopology_id: String,
    pub source_topics: Vec<String>,
    pub source_topic_regex: Vec<String>,
    pub state_changelog_topics: Vec<TopicInfo>,
    pub repartition_sink_topics: Vec<String>,
    pub repartition_source_topics: Vec<TopicInfo>,
    pub copartition_groups: Vec<CopartitionGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CopartitionGroup {
    pub source_topics: Vec<i16>,
    pub source_topic_regex: Vec<i16>,
    pub repartition_source_topics: Vec<i16>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicInfo {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    pub topic_configs: Vec<KeyValue>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TaskOffset {
    pub subtopology_id: String,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TaskIds {
    pub subtopology_id: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct StreamsGroupHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    pub member_id: String,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    #[wire(versions = "0")]
    pub acceptable_recovery_lag_legacy: i32,
    pub task_offset_interval_ms: i32,
    #[wire(versions = "1+", default = -1, ignorable)]
    pub acceptable_recovery_lag: i64,
    #[wire(nullable = "0+")]
    pub status: Option<Vec<Status>>,
    #[wire(nullable = "0+", default = null)]
    pub active_tasks: Option<Vec<TaskIds>>,
    #[wire(nullable = "0+", default = null)]
    pub standby_tasks: Option<Vec<TaskIds>>,
    #[wire(nullable = "0+", default = null)]
    pub warmup_tasks: Option<Vec<TaskIds>>,
    #[wire(versions = "1+")]
    pub topology_description_required: bool,
    pub endpoint_information_epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EndpointToPartitions {
    pub user_endpoint: Endpoint,
    pub active_partitions: Vec<TopicPartition>,
    pub standby_partitions: Vec<TopicPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Status {
    pub status_code: i8,
    pub status_detail: String,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}
