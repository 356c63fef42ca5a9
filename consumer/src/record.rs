//! Records on their way out.

use bytes::Bytes;
use flumen_client::TopicPartition;

pub use flumen_protocol::records::RecordHeader;

/// A record that was consumed. Key, value and headers share the memory of the fetched batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it was.
    pub partition: TopicPartition,
    /// Its number in the partition.
    pub offset: i64,
    /// The epoch of the leader that wrote it; -1 if not known.
    pub leader_epoch: i32,
    /// Its time in milliseconds since the Unix epoch; -1 if it has none.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` deletes the key of a compacted topic.
    pub value: Option<Bytes>,
    /// Further particulars, in order; names may repeat.
    pub headers: Vec<RecordHeader>,
}

/// A place in a partition to read from, or to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next record.
    pub offset: i64,
    /// The epoch of the leader that wrote the record before it, if known: with it a broker notices
    /// that records were lost in between.
    pub leader_epoch: Option<i32>,
}

impl Position {
    /// A place of which nothing else is known.
    #[must_use]
    pub fn at(offset: i64) -> Self {
        Self { offset, leader_epoch: None }
    }
}
