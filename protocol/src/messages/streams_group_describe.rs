//! StreamsGroupDescribe (key 89), v0–v1: state, topology, members and tasks of streams groups
//! (KIP-1071).
//! v1 the description of the topology (KIP-1331) and the assignor (KIP-1357).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = StreamsGroupDescribe,
    response = StreamsGroupDescribeResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct StreamsGroupDescribeRequest {
    pub group_ids: Vec<String>,
    pub include_authorized_operations: bool,
    #[wire(versions = "1+")]
    pub include_topology_description: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct StreamsGroupDescribeResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribedGroup {
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub topology: Option<Topology>,
    pub members: Vec<Member>,
    #[wire(default = -2_147_483_648)]
    pub authorized_operations: i32,
    #[wire(versions = "1+", nullable = "1+", default = null)]
    pub topology_description: Option<TopologyDescription>,
    #[wire(versions = "1+")]
    pub topology_description_status: i8,
    #[wire(versions = "1+", nullable = "1+", default = null, ignorable)]
    pub assignor_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Topology {
    pub epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub subtopologies: Option<Vec<Subtopology>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Subtopology {
    pub subtopology_id: String,
    pub source_topics: Vec<String>,
    pub repartition_sink_topics: Vec<String>,
    pub state_changelog_topics: Vec<TopicInfo>,
    pub repartition_source_topics: Vec<TopicInfo>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Member {
    pub member_id: String,
    pub member_epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub instance_id: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub topology_epoch: i32,
    pub process_id: String,
    #[wire(nullable = "0+", default = null)]
    pub user_endpoint: Option<Endpoint>,
    pub client_tags: Vec<KeyValue>,
    pub task_offsets: Vec<TaskOffset>,
    pub task_end_offsets: Vec<TaskOffset>,
    pub assignment: Assignment,
    pub target_assignment: Assignment,
    pub is_classic: bool,
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
pub struct Assignment {
    pub active_tasks: Vec<TaskIds>,
    pub standby_tasks: Vec<TaskIds>,
    pub warmup_tasks: Vec<TaskIds>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TaskIds {
    pub subtopology_id: String,
    pub partitions: Vec<i32>,
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
pub struct TopologyDescription {
    #[wire(versions = "1+")]
    pub subtopologies: Vec<TopologyDescriptionSubtopology>,
    #[wire(versions = "1+")]
    pub global_stores: Vec<TopologyDescriptionGlobalStore>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescriptionSubtopology {
    #[wire(versions = "1+")]
    pub subtopology_id: String,
    #[wire(versions = "1+")]
    pub nodes: Vec<TopologyDescriptionNode>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescriptionNode {
    #[wire(versions = "1+")]
    pub name: String,
    #[wire(versions = "1+")]
    pub node_type: i8,
    #[wire(versions = "1+")]
    pub source_topics: Vec<String>,
    #[wire(versions = "1+", nullable = "1+", default = null)]
    pub sink_topic: Option<String>,
    #[wire(versions = "1+")]
    pub stores: Vec<String>,
    #[wire(versions = "1+")]
    pub successors: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescriptionGlobalStore {
    #[wire(versions = "1+")]
    pub source: TopologyDescriptionNode,
    #[wire(versions = "1+")]
    pub processor: TopologyDescriptionNode,
}
