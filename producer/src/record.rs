//! Records on their way in.

use bytes::Bytes;

pub use flumen_protocol::records::RecordHeader;
use flumen_protocol::records::record_size_bound;

/// A record to produce.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The topic it goes to.
    pub topic: String,
    /// The partition it goes to; `None` leaves that to the partitioner.
    pub partition: Option<i32>,
    /// Its time in milliseconds since the Unix epoch; `None` stands for now.
    pub timestamp: Option<i64>,
    /// Records of the same key go to the same partition.
    pub key: Option<Bytes>,
    /// The value; `None` deletes the key of a compacted topic.
    pub value: Option<Bytes>,
    /// Further particulars, in order; names may repeat.
    pub headers: Vec<RecordHeader>,
}

impl Record {
    /// A record with a value only.
    pub fn new(topic: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), value: Some(value.into()), ..Self::default() }
    }

    /// Gives the record a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sends the record to this partition, whatever its key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Gives the record a time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push(RecordHeader { key: name.into(), value: Some(value.into()) });
        self
    }

    /// The most bytes it can take in a batch, before compression.
    pub(crate) fn size_max(&self) -> usize {
        record_size_bound(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

/// A record in a batch, its partition being decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<RecordHeader>,
}

impl Entry {
    /// The most bytes it can take in a batch, before compression.
    pub(crate) fn size_max(&self) -> usize {
        record_size_bound(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}
