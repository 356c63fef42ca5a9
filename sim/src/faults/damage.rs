//! Damages logs as a disk does that goes bad, and only what a cluster has to cope without.
//!
//! - A machine that is down and known to be: anything of the replicas that nobody counts on.
//! - Else what a replica's own checkpoint says is on its disk, while others are in sync: damage to
//!   what is younger looks like a torn write after the next crash, and nobody could tell it from one.
//! - Each partition on one machine only.
//!
//! A whole disk is lost under the same terms, while everything else runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flumen_broker::api::Context;
use flumen_broker::controller::{MetadataImage, PartitionImage};
use flumen_client::connection::Rng;
use flumen_protocol::records::Batches;
use flumen_storage::checkpoint::{PartitionOffsets, read_offsets};
use flumen_storage::log_dir::Checkpoint;
use flumen_storage::vfs::{Vfs, read_file};

use super::Voteless;
use crate::cluster::Cluster;
use crate::machine::Machine;
use crate::rng::SeededRng;

/// Where a machine keeps its data.
const DATA: &str = "/data";
/// Logs that are damaged at once, at most.
const LOGS_MAX: u64 = 3;
/// Bytes that are damaged in one place, at most.
const BYTES_MAX: u64 = 512;

/// What was damaged in a run.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// The broker that each partition was damaged on.
    pub(super) damaged: BTreeMap<(String, i32), i32>,
    /// The version of the metadata that a machine had when it was stopped to be damaged.
    known: BTreeMap<usize, i64>,
    /// Whose disks were replaced.
    pub(super) replaced: BTreeSet<i32>,
    /// Whom of these an operator has not seen to.
    pub(super) voteless: Voteless,
}

impl Damage {
    /// A machine is about to be stopped.
    pub(super) fn before_stop(&mut self, cluster: &Cluster, broker: usize) {
        let context = cluster.machines[broker].context();
        let version = context.map(|(_, context)| context.controller.image().version());
        self.known.insert(broker, version.unwrap_or(i64::MAX));
    }

    /// Whether the cluster can do without what is on a machine's disk; then it is about to be lost.
    pub(super) fn replace(&mut self, cluster: &Cluster, broker: usize) -> bool {
        let node_id = i32::try_from(broker + 1).expect("few brokers");
        let contexts = cluster.machines.iter().map(Machine::context);
        let Some(contexts) = contexts.collect::<Option<Vec<_>>>() else { return false };
        let images = contexts.iter().map(|(_, context)| context.controller.image());
        let Some(image) = images.max_by_key(|image| image.version()) else { return false };
        let replicated: Vec<_> = image
            .topics()
            .flat_map(|topic| topic.indexed_partitions().map(move |(index, p)| (topic, index, p)))
            .filter(|(_, _, partition)| partition.replicas.contains(&node_id))
            .map(|(topic, index, partition)| ((topic.name.to_string(), index), partition))
            .collect();
        let is_held = replicated.iter().all(|(key, partition)| {
            self.damaged.get(key).is_none_or(|damaged| *damaged == node_id)
                && partition.in_sync.iter().any(|id| *id != node_id)
        });
        let can_lose = is_held && do_others_decide(&contexts, node_id);
        if can_lose {
            self.damaged.extend(replicated.into_iter().map(|(key, _)| (key, node_id)));
            self.replaced.insert(node_id);
            self.voteless.borrow_mut().insert(node_id);
        }
        can_lose
    }

    /// Damages some logs of a machine, and says which.
    pub(super) fn strike(
        &mut self,
        cluster: &Cluster,
        broker: usize,
        rng: &SeededRng,
    ) -> Vec<String> {
        let Some(image) = decided(cluster) else { return Vec::new() };
        let machine = &cluster.machines[broker];
        let node_id = i32::try_from(broker + 1).expect("few brokers");
        let is_missed = cluster.is_down(broker)
            && image.broker(node_id).is_some_and(|broker| broker.fenced)
            && self.known.get(&broker).is_some_and(|known| image.version() > *known);
        let durable = durable(machine);
        let mut logs = Vec::new();
        for (key, dir, partition) in partitions(machine, &image, node_id) {
            if *self.damaged.get(&key).unwrap_or(&node_id) != node_id {
                continue;
            }
            let counts =
                partition.in_sync.contains(&node_id) || partition.eligible.contains(&node_id);
            let others = partition.in_sync.iter().any(|id| *id != node_id);
            let damageable = match others {
                true if is_missed && !counts => everything(machine, &dir),
                true => below(machine, &dir, durable.get(&key).copied().unwrap_or(0)),
                false => Vec::new(),
            };
            if !damageable.is_empty() {
                logs.push((key, damageable));
            }
        }
        let mut notes = Vec::new();
        for _ in 0..rng.below(LOGS_MAX) + 1 {
            if logs.is_empty() {
                break;
            }
            let (key, files) = logs.swap_remove(below_len(rng, logs.len()));
            let (path, size) = &files[below_len(rng, files.len())];
            notes.push(flip(machine, path, *size, rng));
            self.damaged.insert(key, node_id);
        }
        notes
    }
}

/// The metadata of whoever leads the quorum.
fn decided(cluster: &Cluster) -> Option<Arc<MetadataImage>> {
    let contexts = cluster.machines.iter().filter_map(Machine::context);
    let leaders = contexts.filter(|(_, context)| context.controller.is_leader());
    let images = leaders.map(|(_, context)| context.controller.image());
    images.max_by_key(|image| image.version())
}

/// Whether those who vote on metadata are a majority without a broker, each with the disk that it votes with.
fn do_others_decide(contexts: &[(u32, Arc<Context>)], node_id: i32) -> bool {
    let leaders = contexts.iter().filter(|(_, context)| context.controller.is_leader());
    let statuses = leaders.map(|(_, context)| context.controller.quorum_status());
    let Some(status) = statuses.max_by_key(|status| status.term) else { return false };
    let voters = status.voters.iter();
    let others = voters.filter(|voter| {
        let mut brokers = contexts.iter().map(|(_, context)| context);
        let broker = brokers.find(|context| context.config.node_id == voter.node_id);
        let directory = broker.map(|context| *context.controller.directory_id().as_bytes());
        voter.node_id != node_id && directory.is_some() && voter.directory == directory
    });
    others.count() * 2 > status.voters.len()
}

/// What was committed and on the disk when that was last written down.
fn durable(machine: &Machine) -> PartitionOffsets {
    let path = Path::new(DATA).join(Checkpoint::HighWatermarks.file_name());
    read_offsets(&machine.disk, &path).ok().flatten().unwrap_or_default()
}

/// The partitions that a machine has a directory of and is a replica of.
fn partitions(
    machine: &Machine,
    image: &MetadataImage,
    node_id: i32,
) -> Vec<((String, i32), PathBuf, PartitionImage)> {
    let entries = machine.disk.list(Path::new(DATA)).unwrap_or_default();
    let known = entries.into_iter().filter_map(|entry| {
        let (topic, index) = entry.name.rsplit_once('-')?;
        let index = index.parse().ok()?;
        let partition = image.topic(topic)?.partition(index)?;
        let dir = Path::new(DATA).join(&entry.name);
        let is_replica = partition.replicas.contains(&node_id);
        is_replica.then(|| ((topic.to_owned(), index), dir, partition.clone()))
    });
    known.collect()
}

/// All files of a directory that have bytes, and how many.
fn everything(machine: &Machine, dir: &Path) -> Vec<(PathBuf, u64)> {
    let entries = machine.disk.list(dir).unwrap_or_default().into_iter();
    let filled = entries.filter(|entry| entry.size > 0);
    filled.map(|entry| (dir.join(entry.name), entry.size)).collect()
}

/// The segments in a directory, each with the bytes of its batches that end below an offset.
fn below(machine: &Machine, dir: &Path, offset: i64) -> Vec<(PathBuf, u64)> {
    let files = everything(machine, dir);
    let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
    let segments = files.into_iter().filter(|(path, _)| is_segment(path));
    let bounded = segments.filter_map(|(path, _)| {
        let bytes = Bytes::from(read_file(&machine.disk, &path).ok()?);
        let whole = Batches::new(bytes).map_while(Result::ok);
        let below = whole.take_while(|batch| batch.header().last_offset() < offset);
        let size = below.map(|batch| batch.header().size_in_bytes() as u64).sum();
        (size > 0).then_some((path, size))
    });
    bounded.collect()
}

/// Damages some bytes in a row among the first `size` of a file.
fn flip(machine: &Machine, path: &Path, size: u64, rng: &SeededRng) -> String {
    let begin = rng.below(size);
    let length = (rng.below(BYTES_MAX) + 1).min(size - begin);
    for position in begin..begin + length {
        let mask = u8::try_from(rng.below(255) + 1).expect("a byte");
        machine.disk.flip_bits(path, position, mask).expect("the file was there a moment ago");
    }
    format!("{length} bytes at {begin} of {} on {} are damaged", path.display(), machine.host)
}

fn below_len(rng: &SeededRng, length: usize) -> usize {
    usize::try_from(rng.next_u64() % length as u64).expect("below a usize")
}
