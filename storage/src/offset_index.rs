//! The offset index of a segment: where in the log file the batch with an offset lies.
//!
//! File format, Kafka's: entries of 8 bytes, `relative offset i32 | position i32`, big-endian, both
//! increasing. The offset is that of the *last* record of the batch at that position, relative to
//! the base offset of the segment. The index is sparse (`index.interval.bytes`): it tells where to
//! start looking, the batch headers tell the rest. It can be rebuilt from the log at any time.

use bytes::Bytes;

use crate::entry_table::EntryTable;

const ENTRY_SIZE: usize = 8;

/// A place in a segment: the batch at `position` ends with `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetPosition {
    pub(crate) offset: i64,
    pub(crate) position: u64,
}

/// Sparse map from offsets to positions in the log file.
#[derive(Debug, Clone)]
pub(crate) struct OffsetIndex {
    base_offset: i64,
    entries: EntryTable<ENTRY_SIZE>,
}

impl OffsetIndex {
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

    /// Adds a batch; offset and position must both lie behind the last entry's.
    pub(crate) fn append(&mut self, entry: OffsetPosition) {
        if let Some(last) = self.last() {
            assert!(last.offset < entry.offset, "index offsets increase");
            assert!(last.position < entry.position, "index positions increase");
        }
        let relative = u32::try_from(entry.offset - self.base_offset)
            .expect("a segment is rolled before relative offsets overflow");
        let position =
            u32::try_from(entry.position).expect("a segment is rolled before 2^31 bytes");
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(bytes);
    }

    /// The last entry at or before `offset`.
    pub(crate) fn floor(&self, offset: i64) -> Option<OffsetPosition> {
        let count = self.entries.partition_point(|entry| self.decode(entry).offset <= offset);
        self.nth_before(count)
    }

    /// The last entry at or before a byte position.
    pub(crate) fn floor_position(&self, position: u64) -> Option<OffsetPosition> {
        let count = self.entries.partition_point(|entry| self.decode(entry).position <= position);
        self.nth_before(count)
    }

    fn last(&self) -> Option<OffsetPosition> {
        self.entries.last().map(|entry| self.decode(entry))
    }

    fn nth_before(&self, count: usize) -> Option<OffsetPosition> {
        count.checked_sub(1).map(|index| self.decode(self.entries.entry(index)))
    }

    fn decode(&self, entry: &[u8; ENTRY_SIZE]) -> OffsetPosition {
        let relative = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let position = u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]]);
        OffsetPosition {
            offset: self.base_offset + i64::from(relative),
            position: u64::from(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> OffsetIndex {
        let mut index = OffsetIndex::new(100);
        for (offset, position) in [(109, 4200), (120, 9000), (131, 14000)] {
            index.append(OffsetPosition { offset, position });
        }
        index
    }

    #[test]
    fn floor_is_the_last_entry_not_behind_the_target() {
        let check = |offset, position: Option<u64>| {
            assert_eq!(index().floor(offset).map(|entry| entry.position), position, "{offset}");
        };
        check(100, None);
        check(108, None);
        check(109, Some(4200));
        check(130, Some(9000));
        check(1 << 40, Some(14000));
        assert_eq!(index().floor_position(8999).map(|entry| entry.offset), Some(109));
        assert_eq!(index().floor_position(9000).map(|entry| entry.offset), Some(120));
    }

    #[test]
    fn bytes_are_kafkas_and_read_back() {
        let bytes = Bytes::copy_from_slice(index().as_bytes());
        assert_eq!(bytes[..8], [0, 0, 0, 9, 0, 0, 0x10, 0x68]);
        let mut sealed = OffsetIndex::sealed(100, bytes);
        assert_eq!(sealed.floor(125).map(|entry| entry.position), Some(9000));
        sealed.append(OffsetPosition { offset: 140, position: 20_000 });
        assert_eq!(sealed.floor(150).map(|entry| entry.offset), Some(140));
    }
}
