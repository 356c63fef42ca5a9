//! The commands, one file per noun, and the little that several of them need.

pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod cluster;
pub(crate) mod consume;
pub(crate) mod dev;
pub(crate) mod group;
pub(crate) mod log;
pub(crate) mod produce;
pub(crate) mod topic;

use std::collections::BTreeMap;

use anyhow::Context as _;
use flumen_client::admin::{Isolation, OffsetSpec};
use flumen_client::{Admin, Client, TopicPartition};

use crate::offset_place::OffsetPlace;

/// Parses `NAME=VALUE`.
pub(crate) fn name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// The current time, in milliseconds since the Unix epoch.
pub(crate) fn wall_ms(client: &Client) -> i64 {
    client.seams().clock.wall_ms()
}

/// The offsets that a place means in these partitions.
///
/// # Errors
/// A partition's offsets cannot be told.
pub(crate) async fn where_placed(
    admin: &Admin,
    partitions: &[TopicPartition],
    place: OffsetPlace,
    now_ms: i64,
) -> anyhow::Result<BTreeMap<TopicPartition, i64>> {
    let starts = offsets(admin, partitions, OffsetSpec::Earliest).await?;
    let ends = offsets(admin, partitions, OffsetSpec::Latest).await?;
    let at_time = match place.timestamp(now_ms) {
        Some(time) => offsets(admin, partitions, OffsetSpec::Timestamp(time)).await?,
        None => BTreeMap::new(),
    };
    let placed = partitions.iter().map(|partition| {
        let bound = |bounds: &BTreeMap<_, Option<i64>>| bounds.get(partition).copied().flatten();
        let (start, end) = (bound(&starts).unwrap_or(0), bound(&ends).unwrap_or(0));
        // No record is that young: what comes next is.
        let offset = place.resolve(start, end).unwrap_or_else(|| bound(&at_time).unwrap_or(end));
        (partition.clone(), offset)
    });
    Ok(placed.collect())
}

async fn offsets(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> anyhow::Result<BTreeMap<TopicPartition, Option<i64>>> {
    let places = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let listed = admin.list_offsets(places, Isolation::default()).await;
    let checked = listed.into_iter().map(|(partition, outcome)| {
        let offset = outcome.with_context(|| partition.to_string())?.offset;
        Ok((partition, offset))
    });
    checked.collect()
}
