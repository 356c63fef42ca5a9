//! StreamsGroupTopologyDescriptionUpdate (key 93), v0: hands the broker the description of a
//! streams topology that it asked for in a heartbeat (KIP-1331).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = StreamsGroupTopologyDescriptionUpdate,
    response = StreamsGroupTopologyDescriptionUpdateResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct StreamsGroupTopologyDescriptionUpdateRequest {
    pub group_id: String,
    pub member_id: String,
    pub topology_epoch: i32,
    pub topology_description: TopologyDescription,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescription {
    pub subtopologies: Vec<TopologyDescriptionSubtopology>,
    pub global_stores: Vec<TopologyDescriptionGlobalStore>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescriptionSubtopology {
    pub subtopology_id: String,
    pub nodes: Vec<TopologyDescriptionNode>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescriptionNode {
    pub name: String,
    pub node_type: i8,
    pub source_topics: Vec<String>,
    #[wire(nullable = "0+", default = null)]
    pub sink_topic: Option<String>,
    pub stores: Vec<String>,
    pub successors: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopologyDescriptionGlobalStore {
    pub source: TopologyDescriptionNode,
    pub processor: TopologyDescriptionNode,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct StreamsGroupTopologyDescriptionUpdateResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
}
