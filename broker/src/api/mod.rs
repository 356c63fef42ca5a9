//! The APIs this broker serves: one table, from which dispatch, the ApiVersions answer and the
//! documentation follow.
//!
//! To serve an API, add its file with `handle` and a row here. What has no row is neither served
//! nor advertised. A row says the versions that are decoded; `staged` marks Produce and Fetch,
//! whose first stage runs in the order of the connection while the second may wait; `decided` marks
//! what the leader of the metadata quorum answers, to which `forward` passes it on.
//!
//! **Invariant:** a handler returns a response, never an error: a failure that a client can be told
//! is an error code inside it. Only bytes that cannot be decoded close a connection.

mod add_raft_voter;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod authorized_operations;
mod context;
mod create_partitions;
mod create_topics;
mod decided;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
pub(crate) mod error;
pub(crate) mod fetch;
mod find_coordinator;
pub(crate) mod forward;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod produced_batch;
mod remove_raft_voter;
mod repetitions;
pub(crate) mod replica_fetch;
mod sync_group;
mod unregister_broker;
mod voters;

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use flumen_client::connection::BoxFuture;
use flumen_protocol::header::ResponseHeader;
use flumen_protocol::{ApiKey, DecodeError, EncodeError, Frame, FrameWriter, Message, Reader};

pub use context::{Call, Context};

/// What became of a request after its first stage.
pub(crate) enum Reply {
    /// The answer is ready to be sent.
    Ready(Frame),
    /// The answer needs time; it is polled when all earlier answers of the connection are gone.
    Waiting {
        /// Gives the answer.
        answer: BoxFuture<'static, Result<Frame, Refusal>>,
        /// Whether later requests of this connection may start before it is there.
        lets_others_start: bool,
    },
    /// The client asked for no answer.
    Nothing,
}

/// Why a request cannot be answered at all, so that its connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the request cannot be decoded: {0}")]
    Malformed(#[from] DecodeError),
    #[error("api key {key} version {version} is not served")]
    NotServed { key: i16, version: i16 },
    #[error("a produce request without acknowledgement failed")]
    UnacknowledgedFailure,
    #[error("the response has no encoding: {0}")]
    Encoding(#[from] EncodeError),
    /// Of a request that another broker passed on, which goes on elsewhere.
    #[error("nobody here decides any more")]
    Undecided,
}

/// The first stage's outcome of an API whose answer may come later.
pub(crate) enum Staged<R> {
    /// The response is there.
    Done(R),
    /// The response follows; later requests of the connection may start meanwhile.
    Waiting(BoxFuture<'static, R>),
    /// No response is wanted, and all went well.
    Nothing,
    /// No response is wanted; closing the connection is the only way to tell of the failure.
    Close,
}

macro_rules! served_apis {
    ($($api:ident = $key:literal, $versions:expr, $module:ident $($staged:ident)?;)+) => {
        /// Every API that is served, by ascending key.
        pub(crate) const SERVED: &[ApiKey] = &[$(ApiKey::$api),+];

        // The table repeats key and versions for its readers; a slip does not compile.
        $(const _: () = {
            assert!(ApiKey::$api.key() == $key);
            assert!(*ApiKey::$api.advertised_versions().end() == *$versions.end());
            assert!(*ApiKey::$api.versions().start() == *$versions.start());
        };)+

        /// Decodes a request and runs its first stage.
        ///
        /// Bytes that follow the request in its frame are passed over, as Kafka does: librdkafka
        /// leaves some behind when it asks for the metadata of all topics.
        pub(crate) fn start(
            ctx: &Arc<Context>,
            call: Call,
            reader: &mut Reader,
            cx: &mut TaskContext<'_>,
        ) -> Result<Reply, Refusal> {
            match call.api {
                $(ApiKey::$api if ($versions).contains(&call.version) => {
                    served_apis!(@start $module $($staged)?, ctx, call, reader, cx)
                })+
                ApiKey::ApiVersions => {
                    encode(&call, 0, &api_versions::unsupported()).map(Reply::Ready)
                }
                api => Err(Refusal::NotServed { key: api.key(), version: call.version }),
            }
        }

        /// Whether the leader of the metadata quorum has to answer.
        pub(crate) fn is_decided_by_leader(api: ApiKey) -> bool {
            match api {
                $(ApiKey::$api => served_apis!(@decided $($staged)?),)+
                _ => false,
            }
        }
    };
    (@decided decided) => { true };
    (@decided $($other:ident)?) => { false };
    (@start $module:ident, $ctx:ident, $call:ident, $reader:ident, $cx:ident) => {{
        let request = Message::decode($reader, $call.version)?;
        let ctx = Arc::clone($ctx);
        let answer = Box::pin(async move {
            let response = $module::handle(&ctx, &$call, request).await;
            encode(&$call, $call.version, &response)
        });
        first_poll(answer, $cx)
    }};
    (@start $module:ident decided, $ctx:ident, $call:ident, $reader:ident, $cx:ident) => {{
        let body = $reader.clone();
        let request = Message::decode($reader, $call.version)?;
        let ctx = Arc::clone($ctx);
        let answer = Box::pin(async move {
            loop {
                if let Some(frame) = forward::forward(&ctx, &$call, body.clone()).await {
                    return Ok(frame);
                }
                let response = $module::handle(&ctx, &$call, Clone::clone(&request)).await;
                if !forward::is_to_be_repeated(&ctx, &$call).await? {
                    return encode(&$call, $call.version, &response);
                }
            }
        });
        first_poll(answer, $cx)
    }};
    (@start $module:ident staged, $ctx:ident, $call:ident, $reader:ident, $cx:ident) => {{
        let request = Message::decode($reader, $call.version)?;
        let staged = $module::start($ctx, &$call, request);
        second_stage($call, staged)
    }};
}

served_apis! {
    Produce = 0, 3..=13, produce staged;
    Fetch = 1, 4..=18, fetch staged;
    ListOffsets = 2, 1..=11, list_offsets;
    Metadata = 3, 0..=13, metadata;
    OffsetCommit = 8, 2..=10, offset_commit;
    OffsetFetch = 9, 1..=10, offset_fetch;
    FindCoordinator = 10, 0..=6, find_coordinator;
    JoinGroup = 11, 0..=9, join_group;
    Heartbeat = 12, 0..=4, heartbeat;
    LeaveGroup = 13, 0..=5, leave_group;
    SyncGroup = 14, 0..=5, sync_group;
    DescribeGroups = 15, 0..=6, describe_groups;
    ListGroups = 16, 0..=5, list_groups;
    ApiVersions = 18, 0..=5, api_versions;
    CreateTopics = 19, 2..=7, create_topics decided;
    DeleteTopics = 20, 1..=6, delete_topics decided;
    DeleteRecords = 21, 0..=2, delete_records;
    InitProducerId = 22, 0..=5, init_producer_id;
    OffsetForLeaderEpoch = 23, 2..=4, offset_for_leader_epoch;
    DescribeConfigs = 32, 1..=4, describe_configs;
    AlterConfigs = 33, 0..=2, alter_configs decided;
    AlterReplicaLogDirs = 34, 1..=2, alter_replica_log_dirs;
    DescribeLogDirs = 35, 1..=5, describe_log_dirs;
    CreatePartitions = 37, 0..=3, create_partitions decided;
    DeleteGroups = 42, 0..=3, delete_groups;
    ElectLeaders = 43, 0..=2, elect_leaders decided;
    IncrementalAlterConfigs = 44, 0..=1, incremental_alter_configs decided;
    AlterPartitionReassignments = 45, 0..=1, alter_partition_reassignments decided;
    ListPartitionReassignments = 46, 0..=0, list_partition_reassignments;
    OffsetDelete = 47, 0..=0, offset_delete;
    DescribeQuorum = 55, 0..=2, describe_quorum decided;
    DescribeCluster = 60, 0..=2, describe_cluster;
    DescribeProducers = 61, 0..=0, describe_producers;
    UnregisterBroker = 64, 0..=0, unregister_broker decided;
    ListConfigResources = 74, 0..=1, list_config_resources;
    DescribeTopicPartitions = 75, 0..=0, describe_topic_partitions;
    AddRaftVoter = 80, 0..=1, add_raft_voter decided;
    RemoveRaftVoter = 81, 0..=0, remove_raft_voter decided;
}

/// Polls an answer once, so that what need not wait is never queued.
fn first_poll(
    mut answer: BoxFuture<'static, Result<Frame, Refusal>>,
    cx: &mut TaskContext<'_>,
) -> Result<Reply, Refusal> {
    match answer.as_mut().poll(cx) {
        Poll::Ready(frame) => frame.map(Reply::Ready),
        Poll::Pending => Ok(Reply::Waiting { answer, lets_others_start: false }),
    }
}

fn second_stage<R: Message + Send + 'static>(
    call: Call,
    staged: Staged<R>,
) -> Result<Reply, Refusal> {
    match staged {
        Staged::Done(response) => encode(&call, call.version, &response).map(Reply::Ready),
        Staged::Waiting(response) => {
            let answer = Box::pin(async move {
                let response = response.await;
                encode(&call, call.version, &response)
            });
            Ok(Reply::Waiting { answer, lets_others_start: true })
        }
        Staged::Nothing => Ok(Reply::Nothing),
        Staged::Close => Err(Refusal::UnacknowledgedFailure),
    }
}

fn encode<R: Message>(call: &Call, version: i16, response: &R) -> Result<Frame, Refusal> {
    let mut writer = FrameWriter::new();
    let header = ResponseHeader { correlation_id: call.correlation_id };
    header.encode(&mut writer, call.api.key(), version);
    response.encode(&mut writer, version)?;
    Ok(writer.finish()?)
}

/// The table of APIs for ARCHITECTURE.md; a test compares it with the page.
#[must_use]
pub fn documentation() -> String {
    let mut table = String::from("| key | API | versions |\n|---|---|---|\n");
    for api in SERVED {
        let versions = api.versions();
        let (first, last) = (*versions.start(), *api.advertised_versions().end());
        table.push_str(&format!("| {} | {api} | {first}-{last} |\n", api.key()));
    }
    table
}
