//! DescribeQuorum (key 55), v0–v2. Shows where the quorum of the metadata log stands.
//! v1 when a replica was last heard of · v2 directory ids, listeners and messages (KIP-853).
//! Differs from Kafka: replicas other than the leader have no times, for Raft here does not measure
//! them; the listener named is the peer listener.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};

use super::{Call, Context};
use crate::controller::{CLUSTER_METADATA, QuorumStatus};

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
    let state = |(replica_id, end): &(i32, Option<i64>)| {
        let is_heard = version >= 1 && status.leader == Some(*replica_id);
        let heard_ms = if is_heard { now_ms } else { -1 };
        ReplicaState {
            replica_id: *replica_id,
            log_end_offset: end.unwrap_or(-1),
            last_fetch_timestamp: heard_ms,
            last_caught_up_timestamp: heard_ms,
            ..Default::default()
        }
    };
    ResponsePartitionData {
        error_message: message(version, ""),
        leader_id: status.leader.unwrap_or(-1),
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

/// Where the voters are, as far as this broker was told.
fn nodes(ctx: &Context, status: &QuorumStatus) -> Vec<Node> {
    let voters = &ctx.config.replication.voters;
    let peer = |id: i32| {
        let named = voters.iter().find(|voter| voter.node_id == id).map(|voter| &voter.endpoint);
        named.or(ctx.config.listener.peer.as_ref().filter(|_| id == ctx.config.node_id))
    };
    status
        .voters
        .iter()
        .map(|(id, _)| Node {
            node_id: *id,
            listeners: peer(*id)
                .map(|endpoint| Listener {
                    name: "PEER".to_owned(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                })
                .into_iter()
                .collect(),
        })
        .collect()
}
