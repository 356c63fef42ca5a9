//! Keys and values of the records in `__consumer_offsets` that classic groups need: committed
//! offsets, and the group with its members.
//!
//! A key begins with two bytes that Kafka calls a version but that tell the kinds of records apart:
//! 0 and 1 for an offset, 2 for a group. A value begins with its version.

use bytes::Bytes;

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0", flexible = "none")]
pub struct OffsetCommitKey {
    #[wire(versions = "0")]
    pub group: String,
    #[wire(versions = "0")]
    pub topic: String,
    #[wire(versions = "0")]
    pub partition: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0-4", flexible = "4+")]
pub struct OffsetCommitValue {
    pub offset: i64,
    #[wire(versions = "3+", default = -1, ignorable)]
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp: i64,
    #[wire(versions = "1", default = -1, ignorable)]
    pub expire_timestamp: i64,
    #[wire(versions = "4+", tag = 0, ignorable)]
    pub topic_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0", flexible = "none")]
pub struct LegacyOffsetCommitKey {
    #[wire(versions = "0")]
    pub group: String,
    #[wire(versions = "0")]
    pub topic: String,
    #[wire(versions = "0")]
    pub partition: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0", flexible = "none")]
pub struct LegacyOffsetCommitValue {
    #[wire(versions = "0")]
    pub offset: i64,
    #[wire(versions = "0")]
    pub metadata: String,
    #[wire(versions = "0")]
    pub commit_timestamp: i64,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0", flexible = "none")]
pub struct GroupMetadataKey {
    #[wire(versions = "0")]
    pub group: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0-4", flexible = "4+")]
pub struct GroupMetadataValue {
    pub protocol_type: String,
    pub generation: i32,
    #[wire(nullable = "0+")]
    pub protocol: Option<String>,
    #[wire(nullable = "0+")]
    pub leader: Option<String>,
    #[wire(versions = "2+", default = -1, ignorable)]
    pub current_state_timestamp: i64,
    pub members: Vec<MemberMetadata>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MemberMetadata {
    pub member_id: String,
    #[wire(versions = "3+", nullable = "3+", default = null, ignorable)]
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    #[wire(versions = "1+", default = -1, ignorable)]
    pub rebalance_timeout: i32,
    pub session_timeout: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}
