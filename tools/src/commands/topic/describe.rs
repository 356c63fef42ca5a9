//! `flumen topic describe`: partitions, where they are, and settings.

use std::collections::BTreeMap;

use flumen_client::admin::{ConfigEntry, ConfigResource, Isolation, OffsetSpec, Reassignment};
use flumen_client::cluster::Topic;
use flumen_client::{Admin, Error, TopicPartition};
use serde::Serialize;

use super::{Describe, TopicSummary};
use crate::output::{Output, Row};

#[derive(Debug, Serialize)]
struct TopicDetail {
    #[serde(flatten)]
    summary: TopicSummary,
    partition_details: Vec<PartitionDetail>,
    /// Settings that differ from the defaults, or all.
    configs: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Serialize)]
struct PartitionDetail {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync_replicas: Vec<i32>,
    /// Out of the in-sync set, and yet complete (KIP-966).
    eligible_replicas: Vec<i32>,
    /// The replicas that a move adds, and those that it takes away.
    adding_replicas: Vec<i32>,
    removing_replicas: Vec<i32>,
    log_start_offset: Option<i64>,
    high_watermark: Option<i64>,
}

pub(super) async fn run(admin: &Admin, arguments: &Describe, output: Output) -> anyhow::Result<()> {
    let mut details = Vec::new();
    for name in &arguments.names {
        details.push(detail(admin, name, arguments.all_configs).await?);
    }
    output.documents(&details, |detail| print_detail(detail, output))
}

async fn detail(admin: &Admin, name: &str, all_configs: bool) -> anyhow::Result<TopicDetail> {
    let topic = admin.describe_topic(name).await?;
    let mut replicas = admin.describe_replicas(&[name]).await?;
    let mut moves = moves(admin, &topic).await?;
    let configs = admin.describe_configs(&ConfigResource::Topic(name.to_owned())).await?;
    let starts = bounds(admin, &topic, OffsetSpec::Earliest).await;
    let ends = bounds(admin, &topic, OffsetSpec::Latest).await;
    let partition_details = topic.partitions.iter().map(|partition| {
        let place = TopicPartition::new(name, partition.index);
        let moved = moves.remove(&place);
        let (adding_replicas, removing_replicas) =
            moved.map(|moved| (moved.adding, moved.removing)).unwrap_or_default();
        PartitionDetail {
            partition: partition.index,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replicas.clone(),
            in_sync_replicas: partition.in_sync.clone(),
            eligible_replicas: replicas.remove(&place).map(|of| of.eligible).unwrap_or_default(),
            adding_replicas,
            removing_replicas,
            log_start_offset: starts.get(&partition.index).copied(),
            high_watermark: ends.get(&partition.index).copied(),
        }
    });
    let shown = |entry: &ConfigEntry| all_configs || !entry.is_default;
    Ok(TopicDetail {
        summary: TopicSummary::new(&topic),
        partition_details: partition_details.collect(),
        configs: configs
            .into_iter()
            .filter(|(_, entry)| shown(entry))
            .map(|(name, entry)| (name, entry.value))
            .collect(),
    })
}

/// The moves of the topic's partitions that are under way.
async fn moves(
    admin: &Admin,
    topic: &Topic,
) -> Result<BTreeMap<TopicPartition, Reassignment>, Error> {
    let partitions = topic.partitions.iter();
    let partitions: Vec<_> =
        partitions.map(|of| TopicPartition::new(topic.name.clone(), of.index)).collect();
    admin.list_reassignments(Some(&partitions)).await
}

/// An end of each partition's log; what cannot be told is left out.
async fn bounds(admin: &Admin, topic: &Topic, which: OffsetSpec) -> BTreeMap<i32, i64> {
    let partitions = topic.partitions.iter();
    let places = partitions
        .filter(|partition| partition.leader.is_some())
        .map(|partition| (TopicPartition::new(topic.name.clone(), partition.index), which));
    let listed = admin.list_offsets(places.collect(), Isolation::default()).await;
    listed
        .into_iter()
        .filter_map(|(partition, outcome)| Some((partition.partition, outcome.ok()?.offset?)))
        .collect()
}

fn print_detail(detail: &TopicDetail, output: Output) -> anyhow::Result<()> {
    let summary = &detail.summary;
    output.thing(
        summary,
        &[
            ("topic", summary.name.clone()),
            ("id", summary.id.clone()),
            ("partitions", summary.partitions.to_string()),
            ("replicas", summary.replication_factor.to_string()),
        ],
    )?;
    let optional = |number: Option<i64>| number.map_or("-".to_owned(), |found| found.to_string());
    let rows = detail.partition_details.iter().map(|partition| {
        vec![
            partition.partition.to_string(),
            optional(partition.leader.map(i64::from)),
            partition.leader_epoch.to_string(),
            joined(&partition.replicas),
            joined(&partition.in_sync_replicas),
            joined(&partition.eligible_replicas),
            change(partition),
            optional(partition.log_start_offset),
            optional(partition.high_watermark),
        ]
    });
    println!();
    let columns: &[&str] = &[
        "PARTITION",
        "LEADER",
        "EPOCH",
        "REPLICAS",
        "IN SYNC",
        "ELIGIBLE",
        "MOVING",
        "LOG START",
        "HIGH WATERMARK",
    ];
    let mut parts = vec![(columns, rows.collect::<Vec<Row>>())];
    if !detail.configs.is_empty() {
        let settings = detail.configs.iter();
        let rows = settings
            .map(|(name, value)| vec![name.clone(), value.clone().unwrap_or_else(|| "-".into())]);
        parts.push((&["SETTING", "VALUE"], rows.collect()));
    }
    output.document(detail, &parts)?;
    Ok(())
}

/// Who comes and who goes, as `+4 -1`.
fn change(partition: &PartitionDetail) -> String {
    let adding = partition.adding_replicas.iter().map(|id| format!("+{id}"));
    let removing = partition.removing_replicas.iter().map(|id| format!("-{id}"));
    let words: Vec<String> = adding.chain(removing).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

fn joined(ids: &[i32]) -> String {
    if ids.is_empty() {
        return "-".to_owned();
    }
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
