//! A batch of records of one partition, from its first record to its encoding.
//!
//! It keeps the records themselves until it is settled, because it may have to be encoded again: in
//! halves when it was too large, or with other numbers when its partition started over.

use std::time::Duration;

use bytes::Bytes;
use flumen_client::cluster::LeaderHint;
use flumen_client::{Error as ClientError, TopicPartition};
use flumen_protocol::records::compression::Codec;
use flumen_protocol::records::{BATCH_OVERHEAD, BatchBuilder, BatchOptions};

use crate::delivery::{Delivery, Settler};
use crate::record::Entry;
use crate::sequence::Sequence;

/// Records that travel together.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Batches of a producer are numbered in the order they were begun; halves share a number.
    pub(crate) number: u64,
    pub(crate) partition: TopicPartition,
    pub(crate) entries: Vec<Entry>,
    /// The most bytes the batch can take, uncompressed.
    pub(crate) size: usize,
    /// When the first record was added, on the monotonic clock.
    pub(crate) begun: Duration,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Who led the partition when it was sent last, as far as an error there may be the leader's.
    pub(crate) sent_to: Option<LeaderHint>,
    pub(crate) sequence: Option<Sequence>,
    /// Why the last try failed.
    pub(crate) last_error: Option<ClientError>,
    pub(crate) settler: Settler,
}

impl Batch {
    pub(crate) fn new(number: u64, partition: TopicPartition, begun: Duration) -> Self {
        Self {
            number,
            partition,
            entries: Vec::new(),
            size: BATCH_OVERHEAD,
            begun,
            attempts: 0,
            sent_to: None,
            sequence: None,
            last_error: None,
            settler: Settler::new(),
        }
    }

    /// Adds a record of at most `size` bytes.
    pub(crate) fn push(&mut self, entry: Entry, size: usize) -> Delivery {
        let delivery = self.settler.add(self.partition.clone(), entry.timestamp);
        self.entries.push(entry);
        self.size += size;
        delivery
    }

    pub(crate) fn record_count(&self) -> i32 {
        i32::try_from(self.entries.len()).expect("a batch is smaller than 2 GiB")
    }

    /// Its place among the batches of its partition.
    pub(crate) fn order(&self) -> (u64, u32) {
        (self.number, self.settler.first_index())
    }

    /// The bytes of buffer memory its records took.
    pub(crate) fn reserved(&self) -> usize {
        self.size - BATCH_OVERHEAD
    }

    /// Cuts off the second half. Both halves keep the numbers their records had.
    pub(crate) fn split_off_half(&mut self) -> Self {
        let middle = self.entries.len() / 2;
        let entries = self.entries.split_off(middle);
        let size_of = |entries: &[Entry]| -> usize { entries.iter().map(Entry::size_max).sum() };
        let count = u32::try_from(middle).expect("a batch is smaller than 2 GiB");
        let increment = i32::try_from(middle).expect("a batch is smaller than 2 GiB");
        let second = Self {
            number: self.number,
            partition: self.partition.clone(),
            size: BATCH_OVERHEAD + size_of(&entries),
            entries,
            begun: self.begun,
            attempts: self.attempts,
            sent_to: self.sent_to,
            sequence: self.sequence.map(|sequence| sequence.advanced(increment)),
            last_error: self.last_error.clone(),
            settler: self.settler.split_off(count),
        };
        self.size -= second.reserved();
        second
    }

    /// Encodes the batch as it goes over the wire.
    pub(crate) fn encode(&self, codec: Codec) -> Bytes {
        let mut options = BatchOptions { codec, ..BatchOptions::default() };
        if let Some(sequence) = self.sequence {
            options.producer_id = sequence.identity.producer_id;
            options.producer_epoch = sequence.identity.epoch;
            options.base_sequence = sequence.base;
        }
        let mut builder = BatchBuilder::new(options);
        for entry in &self.entries {
            let (key, value) = (entry.key.as_deref(), entry.value.as_deref());
            builder.append(entry.timestamp, key, value, &entry.headers);
        }
        builder.build()
    }
}
