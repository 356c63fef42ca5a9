//! What clients of a cluster did and were told, in the order in which they did it: the evidence
//! that [`anomalies`](crate::anomalies) are looked for in.

use std::collections::{BTreeMap, BTreeSet};

use flumen_protocol::Uuid;

use crate::history::{PartitionIndex, Value, Written};

/// One record that a producer was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Which producer.
    pub producer: u32,
    /// The batch of work it belongs to; what is sent later has a larger number.
    pub operation: u64,
    /// Where to.
    pub partition: PartitionIndex,
    /// What: unique in the run.
    pub value: Value,
    /// How it ended.
    pub written: Written,
}

/// One record as a consumer was given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Where from.
    pub partition: PartitionIndex,
    /// The offset it was given with.
    pub offset: i64,
    /// What it holds.
    pub value: Value,
}

/// What one call for records gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Which consumer.
    pub consumer: u32,
    /// Counts how often its partitions changed: between two placings positions may go back or skip.
    pub placing: u64,
    /// The records, in the order in which they were given.
    pub records: Vec<Polled>,
}

/// Something about the place of a group in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// After its partitions changed, a member was given its first record of a partition.
    Began {
        /// The member.
        member: u32,
        /// The generation in which it was given the partition, as the coordinator counts.
        generation: i32,
        /// Where it is.
        partition: PartitionIndex,
        /// What it was given.
        offset: i64,
    },
    /// A member heard that its commit is done.
    Committed {
        /// The member.
        member: u32,
        /// The generation in which it committed.
        generation: i32,
        /// Where it is.
        partition: PartitionIndex,
        /// The offset of the record to be read next.
        offset: i64,
    },
    /// After everything the group's offset was looked up.
    Found {
        /// Where it is.
        partition: PartitionIndex,
        /// The offset; 0 where there is none.
        offset: i64,
    },
}

/// The partitions that a member was given in a generation of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The member.
    pub member: u32,
    /// The generation, as the coordinator counts.
    pub generation: i32,
    /// What it is to read.
    pub partitions: Vec<PartitionIndex>,
}

/// The end of a partition, as its leader told a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldEnd {
    /// Where it is.
    pub partition: PartitionIndex,
    /// The offset of the next record.
    pub offset: i64,
}

/// Something about the partition of which the beginning is deleted, by its one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// A value was acknowledged.
    Written {
        /// Where.
        offset: i64,
        /// What.
        value: Value,
    },
    /// Everything below an offset was to be deleted.
    Asked(i64),
    /// Everything below an offset was deleted, as was acknowledged.
    Deleted(i64),
    /// Where the partition starts, as its leader told.
    Starts(i64),
    /// A value that is there in the end.
    Found {
        /// Where.
        offset: i64,
        /// What.
        value: Value,
    },
}

/// Where a partition was to be moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// Every place that was asked for: the replicas, the preferred leader first.
    pub asked: Vec<Vec<i32>>,
    /// At least one of these requests was acknowledged.
    pub is_acknowledged: bool,
    /// The replicas in the end.
    pub found: Vec<i32>,
}

/// What became of a topic that is created once, and perhaps deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicLife {
    /// The creation was acknowledged.
    pub is_created: bool,
    /// The id it was created with, if that is known.
    pub id: Option<Uuid>,
    /// A deletion was tried.
    pub was_deletion_tried: bool,
    /// A deletion was acknowledged.
    pub is_deleted: bool,
    /// The id of the topic of that name that was there in the end.
    pub found: Option<Uuid>,
}

/// What became of a setting that is changed again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingLife {
    /// Every value that was asked for, in order.
    pub asked: Vec<String>,
    /// The changes that were acknowledged, by their place in `asked`.
    pub acknowledged: BTreeSet<usize>,
    /// The value in the end, if it has one.
    pub found: Option<String>,
}

/// Everything that clients did.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// In the order in which the producers were given the records.
    pub sends: Vec<Send>,
    /// In the order in which the calls returned.
    pub polls: Vec<Poll>,
    /// What became of the group's places, in the order in which members heard of it.
    pub progress: Vec<Progress>,
    /// In the order in which members heard of it.
    pub assigned: Vec<Assigned>,
    /// In the order in which one client was told of them.
    pub ends: Vec<ToldEnd>,
    /// What became of the partition of which the beginning is deleted, in the order in which its client heard.
    pub trims: Vec<Trim>,
    /// Where partitions were moved.
    pub moves: BTreeMap<PartitionIndex, Moves>,
    /// What became of settings of the topic, by name.
    pub settings: BTreeMap<String, SettingLife>,
    /// What became of topics.
    pub topics: BTreeMap<String, TopicLife>,
}

/// The values that were seen at each offset of a partition, by anybody.
pub type Versions = BTreeMap<i64, Vec<Value>>;

impl Operations {
    /// The values that somebody was told of, by partition and offset: where a record was written, and
    /// where one was read.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<PartitionIndex, Versions> {
        let mut versions: BTreeMap<PartitionIndex, Versions> = BTreeMap::new();
        let mut see = |partition, offset, value| {
            let values = versions.entry(partition).or_default().entry(offset).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        };
        for send in &self.sends {
            if let Written::Acknowledged(Some(offset)) = send.written {
                see(send.partition, offset, send.value);
            }
        }
        for polled in self.polled() {
            see(polled.partition, polled.offset, polled.value);
        }
        versions
    }

    /// How many records were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let is_acknowledged = |send: &&Send| matches!(send.written, Written::Acknowledged(_));
        self.sends.iter().filter(is_acknowledged).count()
    }

    /// Every record that was read, by whomever.
    pub fn polled(&self) -> impl Iterator<Item = &Polled> {
        self.polls.iter().flat_map(|poll| &poll.records)
    }

    /// The highest offset of each partition that was read.
    #[must_use]
    pub fn polled_ends(&self) -> BTreeMap<PartitionIndex, i64> {
        let mut ends = BTreeMap::new();
        for polled in self.polled() {
            let end = ends.entry(polled.partition).or_insert(polled.offset);
            *end = polled.offset.max(*end);
        }
        ends
    }

    /// Pairs of what a consumer was given last of a partition and what it was given next, in another
    /// call and without a change of its partitions between.
    pub fn successive_polls(&self) -> impl Iterator<Item = (&Poll, Polled, Polled)> {
        let mut last: BTreeMap<(u32, PartitionIndex), (u64, Polled)> = BTreeMap::new();
        self.polls.iter().flat_map(move |poll| {
            let mut pairs = Vec::new();
            let mut newest = BTreeMap::new();
            for polled in &poll.records {
                let key = (poll.consumer, polled.partition);
                if newest.insert(key, (poll.placing, *polled)).is_none()
                    && let Some((placing, before)) = last.get(&key)
                    && *placing == poll.placing
                {
                    pairs.push((poll, *before, *polled));
                }
            }
            last.append(&mut newest);
            pairs
        })
    }

    /// Pairs of neighbouring records of a partition within one call.
    pub fn neighbours_within_polls(&self) -> impl Iterator<Item = (&Poll, Polled, Polled)> {
        self.polls.iter().flat_map(|poll| {
            let mut last: BTreeMap<PartitionIndex, Polled> = BTreeMap::new();
            let pairs = poll.records.iter().filter_map(move |polled| {
                let before = last.insert(polled.partition, *polled)?;
                Some((poll, before, *polled))
            });
            pairs.collect::<Vec<_>>()
        })
    }

    /// Pairs of records that a producer was given one after the other for one partition, and the
    /// offsets that both were acknowledged with.
    pub fn successive_sends(&self) -> impl Iterator<Item = ((&Send, i64), (&Send, i64))> {
        let mut last: BTreeMap<(u32, PartitionIndex), (&Send, i64)> = BTreeMap::new();
        self.sends.iter().filter_map(move |send| {
            let Written::Acknowledged(Some(offset)) = send.written else { return None };
            let before = last.insert((send.producer, send.partition), (send, offset))?;
            Some((before, (send, offset)))
        })
    }
}
