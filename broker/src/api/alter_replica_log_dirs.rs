//! AlterReplicaLogDirs (key 34), v1–v2. Moves replicas to another directory of their broker.
//! v2 flexible encoding.
//! Differs from Kafka: there is one directory, so that a replica can only stay where it is.

use std::collections::BTreeMap;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use super::error::WireError;
use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let own = ctx.data_dir.path().display().to_string();
    // A replica that is sent to several directories goes to the last one.
    let mut moves: BTreeMap<String, BTreeMap<i32, bool>> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
            let is_own = topic.partitions.into_iter().map(|index| (index, dir.path == own));
            moves.entry(topic.name).or_default().extend(is_own);
        }
    }
    let results = moves.into_iter().map(|(topic_name, partitions)| {
        let result = |(partition_index, is_own): (i32, bool)| AlterReplicaLogDirPartitionResult {
            partition_index,
            error_code: check(ctx, &topic_name, partition_index, is_own).code(),
        };
        let partitions = partitions.into_iter().map(result).collect();
        AlterReplicaLogDirTopicResult { topic_name, partitions }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn check(ctx: &Context, topic: &str, partition_index: i32, is_own: bool) -> ErrorCode {
    if !is_own {
        return ErrorCode::LogDirNotFound;
    }
    match ctx.partitions.find(topic, partition_index) {
        Ok(_) => ErrorCode::None,
        Err(error) => error.code(),
    }
}
