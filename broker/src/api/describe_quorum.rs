//! DescribeQuorum (key 55), v0–v2. Shows where the quorum of the metadata log stands.
//! v1 when a replica was last heard of · v2 directory ids, listeners and messages (KIP-853).
//! Differs from Kafka: a replica's times are those of its last answer to the leader; the listener
//! named is the peer listener; while nobody leads, the answer comes all the same and names no leader.

use flumen_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};
use flumen_protocol::{ErrorCode, Uuid};

use super::{Call, Context};
use crate::config::Endpoint;
use crate::controller::{CLUSTER_METADATA, MemberStatus, QuorumStatus};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let status = ctx.controller.quorum_status();
    let mut is_found = false;
    let topics = request
        .topics
        .into_iter()
        .map(|topic| ResponseTopicData {
            partitions: topic
                .partitions
                .iter()
                .map(|partition| {
                    let index = partition.partition_index;
                    if topic.topic_name == CLUSTER_METADATA && index == 0 {
                        is_found = true;
                        described(ctx, call.version, &status)
                    } else {
                        unknown(call.version, index)
                    }
                })
                .collect(),
            topic_name: topic.topic_name,
        })
        .collect();
    let has_nodes = call.version >= 2 && is_found;
    DescribeQuorumResponse {
        error_message: message(call.version, ""),
        topics,
        nodes: if has_nodes { nodes(ctx, &status) } else { Vec::new() },
        ..Default::default()
    }
}

/// Messages came with version 2.
fn message(version: i16, text: &str) -> Option<String> {
    (version >= 2).then(|| text.to_owned())
}

fn described(ctx: &Context, version: i16, status: &QuorumStatus) -> ResponsePartitionData {
    let now_ms = ctx.seams.clock.wall_ms();
    let state = |member: &MemberStatus| {
        let heard = member.heard.filter(|_| version >= 1);
        let heard_ms = heard.and_then(|heard| i64::try_from(heard.as_millis()).ok());
        let heard_ms = heard_ms.map_or(-1, |ago| now_ms.saturating_sub(ago));
        let directory = member.directory.filter(|_| version >= 2);
        ReplicaState {
            replica_id: member.node_id,
            replica_directory_id: directory.map_or(Uuid::ZERO, Uuid::from_bytes),
            log_end_offset: member.end.unwrap_or(-1),
            last_fetch_timestamp: heard_ms,
            last_caught_up_timestamp: heard_ms,
        }
    };
    ResponsePartitionData {
        error_message: message(version, ""),
        // Had anybody led, the question would have been passed on.
        leader_id: status.leader.filter(|_| ctx.controller.is_leader()).unwrap_or(-1),
        leader_epoch: status.term,
        high_watermark: status.high_watermark,
        current_voters: status.voters.iter().map(state).collect(),
        observers: status.observers.iter().map(state).collect(),
        ..Default::default()
    }
}

fn unknown(version: i16, partition_index: i32) -> ResponsePartitionData {
    let error = ErrorCode::UnknownTopicOrPartition;
    ResponsePartitionData {
        partition_index,
        error_code: error.code(),
        error_message: message(version, error.message()),
        ..Default::default()
    }
}

/// Where the voters are.
fn nodes(ctx: &Context, status: &QuorumStatus) -> Vec<Node> {
    let own = ctx.config.listener.peer.as_ref();
    let peer = |member: &MemberStatus| {
        let is_me = member.node_id == ctx.config.node_id;
        Endpoint::parse(&member.addr).or_else(|| own.filter(|_| is_me).cloned())
    };
    status
        .voters
        .iter()
        .map(|member| Node {
            node_id: member.node_id,
            listeners: peer(member)
                .map(|Endpoint { host, port }| Listener { name: "PEER".to_owned(), host, port })
                .into_iter()
                .collect(),
        })
        .collect()
}
