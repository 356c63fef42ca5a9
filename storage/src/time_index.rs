//! The time index of a segment: from which offset on a timestamp can occur.
//!
//! File format, Kafka's: entries of 12 bytes, `timestamp i64 | relative offset i32`, big-endian,
//! both increasing. An entry says: up to and including the batch that ends with this offset, no
//! record is newer than this timestamp, and that batch holds it. It can be rebuilt from the log.

use bytes::Bytes;

use crate::entry_table::EntryTable;

const ENTRY_SIZE: usize = 12;

/// A timestamp and the last offset of the batch that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimestampMark {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

/// Sparse map from timestamps to offsets.
#[derive(Debug, Clone)]
pub(crate) struct TimeIndex {
    base_offset: i64,
    entries: EntryTable<ENTRY_SIZE>,
}

impl TimeIndex {
    /// An empty index that can grow.
    pub(crate) fn new(base_offset: i64) -> Self {
        Self { base_offset, entries: EntryTable::new() }
    }

    /// An index over the bytes of its file.
    pub(crate) fn sealed(base_offset: i64, bytes: Bytes) -> Self {
        Self { base_offset, entries: EntryTable::Sealed(bytes) }
    }

    /// Copies the entries out of the file, which is going to be written anew.
    pub(crate) fn detach(&mut self) {
        self.entries.detach();
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.entries.as_bytes()
    }

    /// Adds the newest timestamp so far, unless the last entry is as new: then it adds nothing.
    pub(crate) fn maybe_append(&mut self, mark: TimestampMark) {
        if self.last().is_some_and(|last| mark.timestamp <= last.timestamp) {
            return;
        }
        let relative = u32::try_from(mark.offset - self.base_offset)
            .expect("a segment is rolled before relative offsets overflow");
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&mark.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(bytes);
    }

    /// The last entry older than `timestamp`: no record up to its offset is as new.
    pub(crate) fn last_before(&self, timestamp: i64) -> Option<TimestampMark> {
        let count = self.entries.partition_point(|entry| self.decode(entry).timestamp < timestamp);
        count.checked_sub(1).map(|index| self.decode(self.entries.entry(index)))
    }

    fn last(&self) -> Option<TimestampMark> {
        self.entries.last().map(|entry| self.decode(entry))
    }

    fn decode(&self, entry: &[u8; ENTRY_SIZE]) -> TimestampMark {
        let (timestamp, relative) = entry.split_at(8);
        let timestamp = i64::from_be_bytes(timestamp.try_into().expect("eight bytes"));
        let relative = u32::from_be_bytes(relative.try_into().expect("four bytes"));
        TimestampMark { timestamp, offset: self.base_offset + i64::from(relative) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_increase_and_bound_the_search() {
        let mut index = TimeIndex::new(50);
        index.maybe_append(TimestampMark { timestamp: 1000, offset: 54 });
        index.maybe_append(TimestampMark { timestamp: 1000, offset: 60 });
        index.maybe_append(TimestampMark { timestamp: 2000, offset: 70 });
        let check = |timestamp, offset: Option<i64>| {
            assert_eq!(index.last_before(timestamp).map(|mark| mark.offset), offset);
        };
        check(1000, None);
        check(1001, Some(54));
        check(2000, Some(54));
        check(2001, Some(70));
        assert_eq!(index.as_bytes().len(), 24);
        assert_eq!(index.as_bytes()[..12], [0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 4]);
    }
}
