//! `flumen cluster quorum`: where the metadata quorum stands, and who votes in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use clap::Subcommand;
use flumen_client::admin::{PartitionReplicas, QuorumReplica};
use flumen_client::{Admin, TopicPartition};
use serde::Serialize;

use crate::exit::{NotFound, Usage};
use crate::output::{Output, Row};
use crate::record_format::date;

#[derive(Debug, Subcommand)]
pub(crate) enum QuorumChange {
    /// Lets a broker vote that follows the metadata log already
    Add {
        /// The broker
        id: i32,
    },
    /// Takes the vote from a broker; it goes on to follow the metadata log
    Remove {
        /// The broker
        id: i32,
        /// Remove the broker from the cluster as well: it is out of service and does not come back
        #[arg(long)]
        forget: bool,
    },
}

pub(super) async fn change(
    admin: &Admin,
    change: &QuorumChange,
    output: Output,
) -> anyhow::Result<()> {
    match *change {
        QuorumChange::Add { id } => add(admin, id, output).await,
        QuorumChange::Remove { id, forget: false } => remove(admin, id, output).await,
        QuorumChange::Remove { id, forget: true } => forget(admin, id, output).await,
    }
}

/// Whoever was removed a moment ago or has just started becomes known to the leader within a second or two.
const ADD_TRIES: u32 = 40;
const ADD_PAUSE: Duration = Duration::from_millis(250);

/// So many topics are named in a message.
const NAMED_MAX: usize = 10;

async fn add(admin: &Admin, id: i32, output: Output) -> anyhow::Result<()> {
    for tries_left in (0..ADD_TRIES).rev() {
        let quorum = admin.describe_quorum().await?;
        if find(&quorum.voters, id).is_some() {
            return Err(Usage(format!("broker {id} votes already")).into());
        }
        let observer = find(&quorum.observers, id).ok_or_else(|| {
            NotFound(format!("broker {id} does not follow the metadata log: start it first"))
        })?;
        match admin.add_voter(id, observer.directory_id, None).await {
            Err(error) if error.is_retriable() && tries_left > 0 => {
                tokio::time::sleep(ADD_PAUSE).await;
            }
            added => {
                added?;
                break;
            }
        }
    }
    output.done(&format!("broker {id} votes"));
    Ok(())
}

async fn remove(admin: &Admin, id: i32, output: Output) -> anyhow::Result<()> {
    let quorum = admin.describe_quorum().await?;
    let voter =
        find(&quorum.voters, id).ok_or_else(|| NotFound(format!("broker {id} does not vote")))?;
    admin.remove_voter(id, voter.directory_id).await?;
    output.done(&format!("broker {id} votes no more"));
    Ok(())
}

/// Removes a broker from the quorum and from the cluster.
async fn forget(admin: &Admin, id: i32, output: Output) -> anyhow::Result<()> {
    let cluster = admin.describe_cluster().await?;
    if cluster.brokers.iter().any(|broker| broker.id == id) {
        return Err(Usage(format!("broker {id} is in service: stop it first")).into());
    }
    let partitions = admin.describe_replicas(&[]).await?;
    let held = held_by(id, &partitions);
    ensure!(
        held.is_empty(),
        "broker {id} holds replicas of {}: `flumen topic alter TOPIC --brokers ...` moves them",
        named(&held)
    );
    if find(&admin.describe_quorum().await?.voters, id).is_some() {
        remove(admin, id, output).await?;
    }
    admin.unregister_broker(id).await?;
    output.done(&format!("broker {id} is forgotten"));
    Ok(())
}

fn find(replicas: &[QuorumReplica], id: i32) -> Option<&QuorumReplica> {
    replicas.iter().find(|replica| replica.id == id)
}

/// The topics of which a broker holds replicas.
fn held_by(id: i32, partitions: &BTreeMap<TopicPartition, PartitionReplicas>) -> BTreeSet<&str> {
    let held = partitions.iter().filter(|(_, partition)| partition.replicas.contains(&id));
    held.map(|(place, _)| &*place.topic).collect()
}

/// Topics in words: the first few, and how many more there are.
fn named(topics: &BTreeSet<&str>) -> String {
    let first: Vec<_> = topics.iter().copied().take(NAMED_MAX).collect();
    match topics.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more topics", first.join(", ")),
    }
}

#[derive(Debug, Serialize)]
struct QuorumInfo {
    leader_id: Option<i32>,
    leader_epoch: i32,
    high_watermark: i64,
    replicas: Vec<ReplicaInfo>,
}

#[derive(Debug, Serialize)]
struct ReplicaInfo {
    id: i32,
    role: &'static str,
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    last_fetch_timestamp: Option<i64>,
    last_caught_up_timestamp: Option<i64>,
}

pub(super) async fn show(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let quorum = admin.describe_quorum().await?;
    let replicas = |role, replicas: &[QuorumReplica]| {
        replicas
            .iter()
            .map(|replica| {
                // Where it ends is the leader's knowledge, and that leader may not have heard of it.
                let log_end_offset = Some(replica.log_end_offset).filter(|end| *end >= 0);
                ReplicaInfo {
                    id: replica.id,
                    role,
                    log_end_offset,
                    lag: log_end_offset.map(|end| (quorum.high_watermark - end).max(0)),
                    last_fetch_timestamp: replica.last_fetch_timestamp,
                    last_caught_up_timestamp: replica.last_caught_up_timestamp,
                }
            })
            .collect::<Vec<_>>()
    };
    let mut all = replicas("voter", &quorum.voters);
    all.extend(replicas("observer", &quorum.observers));
    let info = QuorumInfo {
        leader_id: Some(quorum.leader_id).filter(|id| *id >= 0),
        leader_epoch: quorum.leader_epoch,
        high_watermark: quorum.high_watermark,
        replicas: all,
    };
    output.thing(
        &info,
        &[
            ("leader", info.leader_id.map_or("-".to_owned(), |id| id.to_string())),
            ("epoch", info.leader_epoch.to_string()),
            ("high watermark", info.high_watermark.to_string()),
        ],
    )?;
    if !output.is_json() {
        println!();
        let columns = ["NODE", "ROLE", "LOG END", "LAG", "CAUGHT UP"];
        output.list(&columns, &info.replicas, replica_row)?;
    }
    Ok(())
}

fn replica_row(replica: &ReplicaInfo) -> Row {
    vec![
        replica.id.to_string(),
        replica.role.to_owned(),
        number(replica.log_end_offset),
        number(replica.lag),
        replica.last_caught_up_timestamp.map_or("-".to_owned(), date),
    ]
}

fn number(number: Option<i64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_hold_a_broker_are_named_once() {
        let replicas = |replicas: &[i32]| PartitionReplicas {
            leader: None,
            replicas: replicas.to_vec(),
            in_sync: Vec::new(),
            eligible: Vec::new(),
            last_known_leader: None,
            offline: Vec::new(),
        };
        let mut partitions = BTreeMap::new();
        for (topic, index, on) in [("a", 0, [1, 2]), ("b", 0, [2, 3]), ("b", 1, [4, 2])] {
            partitions.insert(TopicPartition::new(topic, index), replicas(&on));
        }
        assert_eq!(named(&held_by(2, &partitions)), "a, b");
        assert_eq!(named(&held_by(4, &partitions)), "b");
        assert!(held_by(5, &partitions).is_empty());
        let many: Vec<_> = (10..22).map(|number| number.to_string()).collect();
        let many = named(&many.iter().map(String::as_str).collect());
        assert!(many.ends_with("18, 19 and 2 more topics"), "{many}");
    }
}
