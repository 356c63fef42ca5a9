//! `flumen topic alter`, as far as it moves replicas to other brokers.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;
use flumen_client::cluster::Broker;
use flumen_client::{Admin, TopicPartition};
use serde::Serialize;

use super::spread::{NotEnoughBrokers, Place, spread};
use crate::exit::{NotFound, Usage};
use crate::output::Output;

/// Where replicas are to go.
#[derive(Debug, Args)]
pub(crate) struct Moves {
    /// Spread the replicas evenly over these brokers, moving as few as that takes
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    brokers: Vec<i32>,
    /// The number of copies that each partition shall have
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    replication_factor: Option<u16>,
    /// The very brokers of a partition, the preferred leader first; may be given several times
    #[arg(
        long = "assign",
        value_name = "PARTITION=ID,ID",
        value_parser = assignment,
        conflicts_with_all = ["brokers", "replication_factor"]
    )]
    assignments: Vec<(i32, Vec<i32>)>,
    /// End moves that are under way: the replicas stay where they were
    #[arg(long, conflicts_with_all = ["brokers", "replication_factor", "assignments"])]
    stop_moves: bool,
}

impl Moves {
    pub(super) fn is_asked_for(&self) -> bool {
        let Self { brokers, replication_factor, assignments, stop_moves } = self;
        !brokers.is_empty()
            || replication_factor.is_some()
            || !assignments.is_empty()
            || *stop_moves
    }
}

fn assignment(text: &str) -> Result<(i32, Vec<i32>), String> {
    let parsed = text.split_once('=').and_then(|(partition, brokers)| {
        let brokers = brokers.split(',').map(|id| id.trim().parse().ok());
        Some((partition.trim().parse().ok()?, brokers.collect::<Option<Vec<i32>>>()?))
    });
    parsed.ok_or_else(|| "expected PARTITION=ID,ID".to_owned())
}

#[derive(Debug, Serialize)]
struct Move {
    partition: i32,
    from: Vec<i32>,
    /// Absent where a move is ended.
    to: Option<Vec<i32>>,
}

pub(super) async fn move_them(
    admin: &Admin,
    topic: &str,
    moves: &Moves,
    is_dry_run: bool,
    output: Output,
) -> anyhow::Result<()> {
    let planned = plan(admin, topic, moves).await?;
    if !is_dry_run && !planned.is_empty() {
        let asked: BTreeMap<_, _> = planned
            .iter()
            .map(|moved| (TopicPartition::new(topic, moved.partition), moved.to.clone()))
            .collect();
        for (partition, outcome) in admin.alter_reassignments(&asked).await? {
            outcome.with_context(|| partition.to_string())?;
        }
    }
    let row = |moved: &Move| {
        let to = moved.to.as_deref().map_or("-".to_owned(), ids);
        vec![moved.partition.to_string(), ids(&moved.from), to]
    };
    output.list(&["PARTITION", "FROM", "TO"], &planned, row)?;
    output.done(match (planned.is_empty(), is_dry_run) {
        (true, _) => "nothing has to move",
        (false, true) => "these would move",
        (false, false) => "these move now; `flumen topic describe` shows how far they are",
    });
    Ok(())
}

/// The partitions whose replicas change.
async fn plan(admin: &Admin, topic: &str, moves: &Moves) -> anyhow::Result<Vec<Move>> {
    let described = admin.describe_topic(topic).await?;
    let indexes = described.partitions.iter().map(|partition| partition.index);
    let all: Vec<_> = indexes.map(|index| TopicPartition::new(topic, index)).collect();
    let under_way = admin.list_reassignments(Some(&all)).await?;
    let current: BTreeMap<i32, Vec<i32>> = described
        .partitions
        .iter()
        .map(|partition| (partition.index, partition.replicas.clone()))
        .collect();
    if moves.stop_moves {
        let stopped = under_way.into_iter().map(|(place, moved)| Move {
            partition: place.partition,
            from: moved.replicas,
            to: None,
        });
        return Ok(stopped.collect());
    }
    if let Some((place, _)) = under_way.first_key_value()
        && moves.assignments.is_empty()
    {
        let advice = "wait until it has moved, or use --stop-moves";
        return Err(Usage(format!("{place} is being moved: {advice}")).into());
    }
    let wanted = match moves.assignments.as_slice() {
        [] => evenly(admin, &current, moves).await?,
        assignments => assignments.iter().cloned().collect(),
    };
    let mut planned = Vec::new();
    for (partition, to) in wanted {
        let from = current
            .get(&partition)
            .ok_or_else(|| NotFound(format!("{topic} has no partition {partition}")))?;
        if *from != to {
            planned.push(Move { partition, from: from.clone(), to: Some(to) });
        }
    }
    Ok(planned)
}

async fn evenly(
    admin: &Admin,
    current: &BTreeMap<i32, Vec<i32>>,
    moves: &Moves,
) -> anyhow::Result<BTreeMap<i32, Vec<i32>>> {
    let cluster = admin.describe_cluster().await?;
    let is_chosen =
        |broker: &&Broker| moves.brokers.is_empty() || moves.brokers.contains(&broker.id);
    let places: Vec<Place> = cluster
        .brokers
        .iter()
        .filter(is_chosen)
        .map(|broker| Place { id: broker.id, rack: broker.rack.clone() })
        .collect();
    let in_service = |id: &&i32| !places.iter().any(|place| place.id == **id);
    if let Some(absent) = moves.brokers.iter().find(in_service) {
        return Err(NotFound(format!("broker {absent} is not in service")).into());
    }
    let factor = match moves.replication_factor {
        Some(factor) => usize::from(factor),
        None => current.values().map(Vec::len).max().unwrap_or(1),
    };
    let replicas: Vec<Vec<i32>> = current.values().cloned().collect();
    let spread =
        spread(&replicas, &places, factor).map_err(|NotEnoughBrokers { needed, found }| {
            Usage(format!("{needed} replicas need as many brokers, and there are {found}"))
        })?;
    Ok(current.keys().copied().zip(spread).collect())
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_name_a_partition_and_its_brokers() {
        assert_eq!(assignment("0=2,3,1"), Ok((0, vec![2, 3, 1])));
        assert_eq!(assignment("12 = 4"), Ok((12, vec![4])));
        for wrong in ["", "0", "0=", "a=1", "0=1,", "0=1;2"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
