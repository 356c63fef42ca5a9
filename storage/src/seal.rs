//! The seal of a segment: what makes its index files trustworthy.
//!
//! Kafka's index formats carry no checksum, so a flipped bit or a lost file could hide records or
//! show aborted ones. When a segment is rolled or its log closed, a seal is written beside it with
//! the sizes and checksums of the index files and what else a reader would have to scan for. An
//! index is used only with a seal that fits both it and the log file; otherwise the indexes are
//! rebuilt from the log. So a seal needs no sync: a lost one costs time, nothing else.
//!
//! ```text
//! magic u32 | log size u64 | end offset i64 | first timestamp i64 | newest timestamp i64 |
//! its offset i64 | three times: size u32, crc u32 (offset, time, aborted index) | crc u32
//! ```

use std::ops::Range;

use crate::time_index::TimestampMark;

const MAGIC: u32 = 0x464c_5331;
const SIZE: usize = 4 + 5 * 8 + 3 * 8 + 4;

/// Size and CRC-32C of an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexSum {
    pub(crate) size: u32,
    pub(crate) crc: u32,
}

impl IndexSum {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let size = u32::try_from(bytes.len()).expect("an index is bounded by segment.index.bytes");
        Self { size, crc: crc32c::crc32c(bytes) }
    }
}

/// The content of a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) log_size: u64,
    /// The offset after the last batch.
    pub(crate) end_offset: i64,
    /// Newest timestamp of the first batch.
    pub(crate) first_timestamp: Option<i64>,
    /// Newest timestamp of the segment.
    pub(crate) newest: Option<TimestampMark>,
    pub(crate) offset_index: IndexSum,
    pub(crate) time_index: IndexSum,
    pub(crate) aborted_index: IndexSum,
}

impl Seal {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(&MAGIC.to_be_bytes());
        bytes.extend_from_slice(&self.log_size.to_be_bytes());
        let newest = self.newest.unwrap_or(TimestampMark { timestamp: -1, offset: -1 });
        let first_timestamp = self.first_timestamp.unwrap_or(-1);
        for number in [self.end_offset, first_timestamp, newest.timestamp, newest.offset] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for sum in [self.offset_index, self.time_index, self.aborted_index] {
            bytes.extend_from_slice(&sum.size.to_be_bytes());
            bytes.extend_from_slice(&sum.crc.to_be_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// Whether it can be the seal of a segment with these offsets: a file that was copied under
    /// another name has a good checksum too.
    pub(crate) fn is_within(&self, offsets: &Range<i64>) -> bool {
        let ends_within = (offsets.start..=offsets.end).contains(&self.end_offset);
        let batches = offsets.start..self.end_offset;
        ends_within && self.newest.is_none_or(|newest| batches.contains(&newest.offset))
    }

    /// Reads a seal; `None` where the bytes are damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let number = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let sum = |at: usize| IndexSum { size: word(at), crc: word(at + 4) };
        if word(0) != MAGIC || word(SIZE - 4) != crc32c::crc32c(&bytes[..SIZE - 4]) {
            return None;
        }
        let known = |timestamp: i64| (timestamp >= 0).then_some(timestamp);
        Some(Self {
            log_size: u64::try_from(number(4)).ok()?,
            end_offset: number(12),
            first_timestamp: known(number(20)),
            newest: known(number(28))
                .map(|timestamp| TimestampMark { timestamp, offset: number(36) }),
            offset_index: sum(44),
            time_index: sum(52),
            aborted_index: sum(60),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_of_another_segment_is_told_apart() {
        let newest = Some(TimestampMark { timestamp: 5, offset: 98 });
        let index = IndexSum::of(b"");
        let seal = Seal {
            log_size: 123_456,
            end_offset: 99,
            first_timestamp: None,
            newest,
            offset_index: index,
            time_index: index,
            aborted_index: index,
        };
        assert!(seal.is_within(&(0..99)));
        assert!(seal.is_within(&(98..1 << 31)));
        for other in [0..98, 99..1 << 31, 1000..1 << 31] {
            assert!(!seal.is_within(&other), "{other:?}");
        }
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let seal = Seal {
            log_size: 123_456,
            end_offset: 99,
            first_timestamp: None,
            newest: Some(TimestampMark { timestamp: 5, offset: 98 }),
            offset_index: IndexSum::of(b"offsets"),
            time_index: IndexSum::of(b"times"),
            aborted_index: IndexSum::of(b""),
        };
        let bytes = seal.encode();
        assert_eq!(Seal::decode(&bytes), Some(seal));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::decode(&damaged), None, "bit {bit}");
        }
    }
}
