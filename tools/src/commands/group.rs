//! `flumen group`: lists, describes, moves and deletes consumer groups.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use flumen_client::admin::{GroupDescription, GroupMember, Isolation, OffsetSpec, OffsetToCommit};
use flumen_client::{Admin, Client, TopicPartition};
use serde::Serialize;

use crate::cluster_flags::CommonFlags;
use crate::commands::{wall_ms, where_placed};
use crate::exit::{NotFound, Usage};
use crate::offset_place::OffsetPlace;
use crate::output::{Output, Row};

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Lists groups
    #[command(visible_alias = "ls")]
    List,
    /// Shows members, committed offsets and lag of groups
    Describe(Describe),
    /// Moves the committed offsets of a group that has no members
    #[command(after_help = "Examples:
  flumen group seek readers --to start
  flumen group seek readers --to @-1h --topic orders
  flumen group seek readers --to 1000 --topic orders --partition 0 --dry-run")]
    Seek(Seek),
    /// Deletes groups that have no members, and their offsets
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Seek {
    /// The group
    group: String,
    /// Where to: start, end, OFFSET, +N, -N, @TIME
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: OffsetPlace,
    /// Only in this topic [default: wherever the group has committed]
    #[arg(long)]
    topic: Option<String>,
    /// Only in this partition of the topic
    #[arg(short, long, requires = "topic")]
    partition: Option<i32>,
    /// Only show what would be committed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,
}

pub(crate) async fn run(command: &GroupCommand, flags: &CommonFlags) -> anyhow::Result<()> {
    let client = flags.connect().await?;
    let admin = client.admin();
    let output = flags.output();
    match command {
        GroupCommand::List => list(&admin, output).await,
        GroupCommand::Describe(arguments) => describe(&admin, arguments, output).await,
        GroupCommand::Seek(arguments) => seek(&client, arguments, output).await,
        GroupCommand::Delete(arguments) => {
            for name in &arguments.names {
                admin.delete_group(name).await.with_context(|| name.clone())?;
                output.done(&format!("{name} deleted"));
            }
            Ok(())
        }
    }
}

#[derive(Debug, Serialize)]
struct GroupSummary {
    group: String,
    state: String,
    #[serde(rename = "type")]
    group_type: String,
    protocol_type: String,
}

async fn list(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let listings = admin.list_groups().await?;
    let summaries: Vec<_> = listings
        .into_iter()
        .map(|listing| GroupSummary {
            group: listing.group,
            state: listing.state,
            group_type: listing.group_type,
            protocol_type: listing.protocol_type,
        })
        .collect();
    let row = |group: &GroupSummary| {
        vec![group.group.clone(), group.state.clone(), group.group_type.clone()]
    };
    output.list(&["GROUP", "STATE", "TYPE"], &summaries, row)?;
    Ok(())
}

#[derive(Debug, Serialize)]
struct GroupDetail {
    group: String,
    state: String,
    protocol_type: String,
    assignor: String,
    coordinator: i32,
    /// Records not consumed yet, over all partitions.
    lag: i64,
    members: Vec<MemberDetail>,
    offsets: Vec<OffsetDetail>,
}

#[derive(Debug, Serialize)]
struct MemberDetail {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    partitions: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OffsetDetail {
    topic: String,
    partition: i32,
    committed_offset: Option<i64>,
    high_watermark: Option<i64>,
    lag: Option<i64>,
    member_id: Option<String>,
}

async fn describe(admin: &Admin, arguments: &Describe, output: Output) -> anyhow::Result<()> {
    let mut details = Vec::new();
    for name in &arguments.names {
        details.push(detail(admin, name).await.with_context(|| name.clone())?);
    }
    output.documents(&details, |detail| print_detail(detail, output))
}

async fn detail(admin: &Admin, name: &str) -> anyhow::Result<GroupDetail> {
    let description = admin.describe_group(name).await?;
    let offsets = offset_details(admin, &description).await?;
    // A group that does not exist is described as a dead one.
    if description.state == "Dead" && offsets.is_empty() {
        return Err(NotFound(format!("group {name} does not exist")).into());
    }
    Ok(GroupDetail {
        group: description.group,
        state: description.state,
        protocol_type: description.protocol_type,
        assignor: description.assignor,
        coordinator: description.coordinator,
        lag: offsets.iter().filter_map(|offset| offset.lag).sum(),
        members: description.members.iter().map(member_detail).collect(),
        offsets,
    })
}

fn member_detail(member: &GroupMember) -> MemberDetail {
    MemberDetail {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        partitions: member.partitions.iter().map(ToString::to_string).collect(),
    }
}

/// Every partition that the group has committed in or has assigned.
async fn offset_details(
    admin: &Admin,
    description: &GroupDescription,
) -> anyhow::Result<Vec<OffsetDetail>> {
    let committed = admin.committed_offsets(&description.group).await?;
    let mut owners: BTreeMap<TopicPartition, Option<String>> =
        committed.keys().map(|partition| (partition.clone(), None)).collect();
    for member in &description.members {
        for partition in &member.partitions {
            owners.insert(partition.clone(), Some(member.member_id.clone()));
        }
    }
    let places = owners.keys().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
    let ends = admin.list_offsets(places, Isolation::default()).await;
    let details = owners.into_iter().map(|(partition, member_id)| {
        let committed_offset = committed.get(&partition).map(|commit| commit.offset);
        let end = ends.get(&partition).and_then(|outcome| outcome.as_ref().ok());
        let high_watermark = end.and_then(|listed| listed.offset);
        OffsetDetail {
            lag: committed_offset.zip(high_watermark).map(|(at, end)| (end - at).max(0)),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            committed_offset,
            high_watermark,
            member_id,
        }
    });
    Ok(details.collect())
}

fn print_detail(detail: &GroupDetail, output: Output) -> anyhow::Result<()> {
    output.thing(
        detail,
        &[
            ("group", detail.group.clone()),
            ("state", detail.state.clone()),
            ("assignor", if detail.assignor.is_empty() { "-" } else { &detail.assignor }.into()),
            ("coordinator", detail.coordinator.to_string()),
            ("members", detail.members.len().to_string()),
            ("lag", detail.lag.to_string()),
        ],
    )?;
    let optional = |number: Option<i64>| number.map_or("-".to_owned(), |found| found.to_string());
    let rows: Vec<Row> = detail
        .offsets
        .iter()
        .map(|offset| {
            vec![
                offset.topic.clone(),
                offset.partition.to_string(),
                optional(offset.committed_offset),
                optional(offset.high_watermark),
                optional(offset.lag),
                offset.member_id.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    if !rows.is_empty() {
        println!();
        let columns: &[&str] =
            &["TOPIC", "PARTITION", "COMMITTED", "HIGH WATERMARK", "LAG", "MEMBER"];
        output.document(detail, &[(columns, rows)])?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

async fn seek(client: &Client, arguments: &Seek, output: Output) -> anyhow::Result<()> {
    let admin = client.admin();
    let committed = admin.committed_offsets(&arguments.group).await?;
    let partitions: Vec<TopicPartition> = match (&arguments.topic, arguments.partition) {
        (Some(topic), Some(partition)) => vec![TopicPartition::new(topic.as_str(), partition)],
        (Some(topic), None) => {
            let described = admin.describe_topic(topic).await?;
            let indexes = described.partitions.iter().map(|partition| partition.index);
            indexes.map(|index| TopicPartition::new(topic.as_str(), index)).collect()
        }
        (None, _) => committed.keys().cloned().collect(),
    };
    if partitions.is_empty() {
        let group = &arguments.group;
        return Err(Usage(format!("{group} has committed nothing yet: name a --topic")).into());
    }
    let targets = where_placed(&admin, &partitions, arguments.to, wall_ms(client)).await?;
    if !arguments.dry_run {
        let offsets = targets
            .iter()
            .map(|(partition, offset)| (partition.clone(), OffsetToCommit::new(*offset)));
        admin.alter_offsets(&arguments.group, &offsets.collect()).await?;
    }
    let moved: Vec<_> = targets
        .into_iter()
        .map(|(partition, to)| Moved {
            from: committed.get(&partition).map(|commit| commit.offset),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            to,
        })
        .collect();
    let row = |moved: &Moved| {
        let from = moved.from.map_or("-".to_owned(), |from| from.to_string());
        vec![moved.topic.clone(), moved.partition.to_string(), from, moved.to.to_string()]
    };
    output.list(&["TOPIC", "PARTITION", "FROM", "TO"], &moved, row)?;
    Ok(())
}
