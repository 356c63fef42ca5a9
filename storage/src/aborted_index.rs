//! The index of aborted transactions of a segment, which readers of committed data filter by.
//!
//! File format, Kafka's `.txnindex`: entries of 34 bytes, `version i16 (0) | producer id i64 | first
//! offset i64 | last offset i64 | last stable offset i64`, big-endian. An entry stands in the
//! segment that holds the abort marker (its last offset). It can be rebuilt from the log.

/// Bytes of one entry.
const ENTRY_SIZE: usize = 34;
const VERSION: i16 = 0;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who wrote it.
    pub producer_id: i64,
    /// Offset of its first record in this partition.
    pub first_offset: i64,
    /// Offset of its abort marker.
    pub last_offset: i64,
    /// The last stable offset once it was aborted: whoever reads below need not look further.
    pub last_stable_offset: i64,
}

/// The aborted transactions whose markers lie in one segment, in the order of the markers.
#[derive(Debug, Clone, Default)]
pub(crate) struct AbortedIndex {
    entries: Vec<AbortedTransaction>,
}

impl AbortedIndex {
    /// Reads the bytes of an index file.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_SIZE>();
        let number = |entry: &[u8; ENTRY_SIZE], at: usize| {
            i64::from_be_bytes(entry[at..at + 8].try_into().expect("eight bytes"))
        };
        let entries = entries
            .iter()
            .map(|entry| {
                (entry[..2] == VERSION.to_be_bytes()).then(|| AbortedTransaction {
                    producer_id: number(entry, 2),
                    first_offset: number(entry, 10),
                    last_offset: number(entry, 18),
                    last_stable_offset: number(entry, 26),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(Self { entries })
    }

    /// The bytes of the index file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_SIZE);
        for entry in &self.entries {
            bytes.extend_from_slice(&VERSION.to_be_bytes());
            bytes.extend_from_slice(&entry.producer_id.to_be_bytes());
            bytes.extend_from_slice(&entry.first_offset.to_be_bytes());
            bytes.extend_from_slice(&entry.last_offset.to_be_bytes());
            bytes.extend_from_slice(&entry.last_stable_offset.to_be_bytes());
        }
        bytes
    }

    pub(crate) fn append(&mut self, transaction: AbortedTransaction) {
        self.entries.push(transaction);
    }

    /// Forgets the transactions whose marker lies at or behind `offset`.
    pub(crate) fn truncate_to(&mut self, offset: i64) {
        self.entries.retain(|entry| entry.last_offset < offset);
    }

    /// Adds to `found` the transactions that reach into `from..to`.
    ///
    /// Returns whether the search is complete: an entry whose last stable offset is `to` or later
    /// says that every transaction below has been seen.
    pub(crate) fn collect(&self, from: i64, to: i64, found: &mut Vec<AbortedTransaction>) -> bool {
        for entry in &self.entries {
            if entry.last_offset >= from && entry.first_offset < to {
                found.push(*entry);
            }
            if entry.last_stable_offset >= to {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(first_offset: i64, last_offset: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id: 7, first_offset, last_offset, last_stable_offset: stable }
    }

    #[test]
    fn collects_what_overlaps_and_stops_at_the_stable_offset() {
        let mut index = AbortedIndex::default();
        index.append(transaction(10, 20, 21));
        index.append(transaction(15, 30, 25));
        index.append(transaction(40, 50, 51));
        let check = |from, to, expected: &[i64], complete: bool| {
            let mut found = Vec::new();
            assert_eq!(index.collect(from, to, &mut found), complete, "{from}..{to}");
            let firsts: Vec<i64> = found.iter().map(|entry| entry.first_offset).collect();
            assert_eq!(firsts, expected, "{from}..{to}");
        };
        check(0, 12, &[10], true);
        check(21, 25, &[15], true);
        check(31, 60, &[40], false);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let mut index = AbortedIndex::default();
        index.append(transaction(10, 20, 21));
        let mut bytes = index.encode();
        assert_eq!(bytes.len(), ENTRY_SIZE);
        assert_eq!(AbortedIndex::decode(&bytes).unwrap().entries, index.entries);
        assert!(AbortedIndex::decode(&bytes[..33]).is_none());
        bytes[1] = 1;
        assert!(AbortedIndex::decode(&bytes).is_none());
    }
}
