//! DescribeLogDirs (key 35), v1–v5. The sizes of partitions on disk, and how full the disk is.
//! v3 error code · v4 size and free space of the disk (KIP-827) · v5 cordoned directories.
//! Differs from Kafka: there is one directory, and it is never cordoned.

use std::collections::BTreeMap;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let asked: Option<BTreeMap<String, Vec<i32>>> =
        request.topics.map(|topics| topics.into_iter().map(|t| (t.topic, t.partitions)).collect());
    let is_asked = |topic: &str, index: i32| match &asked {
        None => true,
        Some(topics) => topics.get(topic).is_some_and(|partitions| partitions.contains(&index)),
    };
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for partition in ctx.partitions.all() {
        if !is_asked(partition.topic(), partition.index()) {
            continue;
        }
        let described = DescribeLogDirsPartition {
            partition_index: partition.index(),
            partition_size: i64::try_from(partition.status().size).unwrap_or(i64::MAX),
            ..Default::default()
        };
        match topics.last_mut() {
            Some(last) if *last.name == **partition.topic() => last.partitions.push(described),
            _ => topics.push(DescribeLogDirsTopic {
                name: partition.topic().to_string(),
                partitions: vec![described],
            }),
        }
    }
    let on_the_wire =
        |bytes: Option<u64>| bytes.map_or(-1, |b| i64::try_from(b).unwrap_or(i64::MAX));
    let has_failed = ctx.data_dir.has_failed();
    let error = if has_failed { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    let result = DescribeLogDirsResult {
        error_code: error.code(),
        log_dir: ctx.data_dir.path().display().to_string(),
        topics,
        usable_bytes: on_the_wire(ctx.data_dir.usable_bytes()),
        total_bytes: on_the_wire(ctx.data_dir.total_bytes()),
        is_cordoned: false,
    };
    DescribeLogDirsResponse { results: vec![result], ..Default::default() }
}
