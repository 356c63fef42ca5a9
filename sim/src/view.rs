//! What the brokers of a cluster hold at one moment, as plain data that invariants are held against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flumen_broker::api::Context;
use flumen_broker::controller::MetadataImage;
use flumen_broker::partition::{Isolation, Partition};
use flumen_protocol::Uuid;
use flumen_protocol::records::Batches;

use crate::machine::Machine;

/// A partition of a topic that existed once.
pub type PartitionKey = (Uuid, i32);

/// Bytes of a log that are read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// All brokers that run.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// When it was taken.
    pub at: Duration,
    /// The brokers, by node id.
    pub brokers: Vec<BrokerView>,
    /// The newest metadata that earlier views had: whoever knows it may be down.
    pub known: Option<Arc<MetadataImage>>,
    /// The broker whose disk has damaged its copy of a partition once, by topic and index.
    pub damaged: BTreeMap<(String, i32), i32>,
    /// The brokers that have lost their disks once.
    pub replaced: BTreeSet<i32>,
}

/// One broker.
#[derive(Debug, Clone)]
pub struct BrokerView {
    /// Its node id.
    pub node_id: i32,
    /// Which start of its process this is.
    pub boot: u32,
    /// The metadata that it knows.
    pub image: Arc<MetadataImage>,
    /// The term of the metadata quorum that it is in, and who leads it.
    pub term: i32,
    /// The leader of that term, if it knows one.
    pub controller: Option<i32>,
    /// Who votes on metadata, as far as it knows, and with which directory.
    pub voters: Vec<(i32, Option<Uuid>)>,
    /// The directory that it votes with itself.
    pub directory: Uuid,
    /// The logs that it has open.
    pub replicas: Vec<ReplicaView>,
}

/// One copy of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaView {
    /// The partition.
    pub partition: PartitionKey,
    /// Whether the broker leads it, as far as it knows.
    pub is_leader: bool,
    /// The epoch of the leader, as far as the broker knows.
    pub leader_epoch: i32,
    /// Where the log starts.
    pub log_start_offset: i64,
    /// Up to where consumers may read here.
    pub high_watermark: i64,
    /// Where the log ends.
    pub log_end_offset: i64,
    /// The batches below the high watermark that were not in an earlier view of this start.
    pub committed: Vec<BatchView>,
}

/// One batch of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchView {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The offset of its last record.
    pub last_offset: i64,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: i32,
    /// Its checksum.
    pub crc: u32,
}

impl View {
    /// The newest metadata that any broker knows or has known.
    #[must_use]
    pub fn newest_image(&self) -> Option<&Arc<MetadataImage>> {
        let known = self.brokers.iter().map(|broker| &broker.image);
        known.chain(&self.known).max_by_key(|image| image.version())
    }

    /// Whether the disk of a broker may have lost what it had of a partition.
    #[must_use]
    pub fn may_have_lost(&self, topic: &str, index: i32, broker: i32) -> bool {
        self.replaced.contains(&broker)
            || self.damaged.get(&(topic.to_owned(), index)) == Some(&broker)
    }

    /// One broker.
    #[must_use]
    pub fn broker(&self, node_id: i32) -> Option<&BrokerView> {
        self.brokers.iter().find(|broker| broker.node_id == node_id)
    }
}

impl BrokerView {
    /// Its copy of a partition.
    #[must_use]
    pub fn replica(&self, partition: PartitionKey) -> Option<&ReplicaView> {
        self.replicas.iter().find(|replica| replica.partition == partition)
    }
}

/// Takes views, and remembers which batches it has shown.
#[derive(Debug, Default)]
pub struct Viewer {
    /// Where the next batches begin, by node and partition, for one start of the node.
    shown: BTreeMap<(i32, PartitionKey), (u32, i64)>,
    /// The newest metadata that was seen.
    known: Option<Arc<MetadataImage>>,
}

impl Viewer {
    /// Looks at all machines.
    pub fn look(&mut self, at: Duration, machines: &[Machine]) -> View {
        let running = machines.iter().filter_map(Machine::context);
        let brokers = running.map(|(boot, context)| self.look_at(boot, &context)).collect();
        let view = View { at, brokers, known: self.known.take(), ..View::default() };
        self.known = view.newest_image().cloned();
        view
    }

    fn look_at(&mut self, boot: u32, context: &Context) -> BrokerView {
        let node_id = context.config.node_id;
        let status = context.controller.quorum_status();
        let partitions = context.partitions.all();
        let replicas =
            partitions.iter().map(|partition| self.look_at_replica(node_id, boot, partition));
        BrokerView {
            node_id,
            boot,
            image: context.controller.image(),
            term: status.term,
            controller: context.controller.leader(),
            voters: status
                .voters
                .iter()
                .map(|voter| (voter.node_id, voter.directory.map(Uuid::from_bytes)))
                .collect(),
            directory: context.controller.directory_id(),
            replicas: replicas.collect(),
        }
    }

    fn look_at_replica(&mut self, node_id: i32, boot: u32, partition: &Partition) -> ReplicaView {
        let key = (partition.topic_id(), partition.index());
        let (shown_boot, next) = self.shown.entry((node_id, key)).or_insert((boot, 0));
        if *shown_boot != boot {
            (*shown_boot, *next) = (boot, 0);
        }
        // The internal topics are compacted, by each broker on its own.
        let is_compared = !partition.topic().starts_with("__");
        let committed = if is_compared { committed_from(partition, next) } else { Vec::new() };
        ReplicaView {
            partition: key,
            is_leader: partition.is_leading(),
            leader_epoch: partition.leader_epoch(),
            log_start_offset: partition.log_start_offset(),
            high_watermark: partition.high_watermark(),
            log_end_offset: partition.log_end_offset(),
            committed,
        }
    }
}

/// Reads the batches from `next` to the high watermark, and moves `next` there.
fn committed_from(partition: &Partition, next: &mut i64) -> Vec<BatchView> {
    let mut batches = Vec::new();
    *next = partition.log_start_offset().max(*next);
    while *next < partition.high_watermark() {
        let read = partition.read(*next, READ_BYTES_MAX, true, Isolation::ReadUncommitted);
        // A log that is offline or was cut off: the rest is for another view.
        let Ok(read) = read else { break };
        let mut bytes = vec![0; read.plan.size];
        let mut filled = 0;
        for range in &read.plan.segments {
            let piece = &mut bytes[filled..filled + range.size];
            if range.source.read_exact_at(piece, range.position).is_err() {
                return batches;
            }
            filled += range.size;
        }
        batches.extend(Batches::new(bytes.into()).map_while(Result::ok).map(|batch| {
            let header = batch.header();
            BatchView {
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                leader_epoch: header.partition_leader_epoch,
                crc: header.crc,
            }
        }));
        if read.plan.next_offset <= *next {
            break;
        }
        *next = read.plan.next_offset;
    }
    batches
}
