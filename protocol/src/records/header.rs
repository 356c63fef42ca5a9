//! The fixed 61 bytes at the start of every record batch.
//!
//! Parsing checks what the header alone can tell: the format version, the declared length, the
//! codec and the counts. It neither reads the records nor the CRC.

use bytes::BufMut;
use thiserror::Error;

use super::compression::Compression;

/// Bytes before the part that `batch_length` counts: the base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes of a batch before its first record.
pub const BATCH_OVERHEAD: usize = 61;
/// The producer id of a batch that is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// The producer epoch of a batch that is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The base sequence of a batch that is not idempotent, and of control batches.
pub const NO_SEQUENCE: i32 = -1;
/// Stands for an absent timestamp.
pub const NO_TIMESTAMP: i64 = -1;

/// `batch_length` of a batch without records.
const BATCH_LENGTH_MIN: i32 = 49;
const _: () = assert!(BATCH_LENGTH_MIN as usize == BATCH_OVERHEAD - LOG_OVERHEAD);

pub(super) const MAGIC: i8 = 2;
pub(super) const BASE_OFFSET: usize = 0;
pub(super) const BATCH_LENGTH: usize = 8;
pub(super) const LEADER_EPOCH: usize = 12;
pub(super) const MAGIC_POSITION: usize = 16;
pub(super) const CRC: usize = 17;
/// Where the bytes under the CRC begin.
pub(super) const ATTRIBUTES: usize = 21;
pub(super) const LAST_OFFSET_DELTA: usize = 23;
pub(super) const BASE_TIMESTAMP: usize = 27;
pub(super) const MAX_TIMESTAMP: usize = 35;
pub(super) const PRODUCER_ID: usize = 43;
pub(super) const PRODUCER_EPOCH: usize = 51;
pub(super) const BASE_SEQUENCE: usize = 53;
pub(super) const RECORD_COUNT: usize = 57;

pub(super) const CODEC_MASK: i16 = 0b0111;
pub(super) const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
pub(super) const TRANSACTIONAL_BIT: i16 = 1 << 4;
pub(super) const CONTROL_BIT: i16 = 1 << 5;
pub(super) const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// Who chose the timestamps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TimestampType {
    /// The producer; every record has its own.
    #[default]
    CreateTime,
    /// The broker at append; all records share the batch's maximum.
    LogAppendTime,
}

/// Why bytes are not a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than a header, or than the header declares.
    #[error("batch needs {needed} bytes, {available} are there")]
    Incomplete { needed: usize, available: usize },
    /// More bytes than the header declares.
    #[error("{extra} bytes follow the batch")]
    TrailingBytes { extra: usize },
    /// The declared length cannot hold a header.
    #[error("batch length {batch_length} is below the size of its header")]
    InvalidLength { batch_length: i32 },
    /// A record format other than version 2.
    #[error("record format {magic} is not supported, only 2 is")]
    UnsupportedMagic { magic: i8 },
    /// The attributes name a codec that does not exist.
    #[error("unknown compression codec {codec}")]
    UnknownCompression { codec: i16 },
    /// A negative record count or last offset delta.
    #[error("record count {record_count} with last offset delta {last_offset_delta}")]
    InvalidCount { record_count: i32, last_offset_delta: i32 },
    /// The offsets of the batch leave the range of an offset.
    #[error("base offset {base_offset} with last offset delta {last_offset_delta} overflows")]
    OffsetOverflow { base_offset: i64, last_offset_delta: i32 },
    /// The bytes are not those the checksum was made of.
    #[error("batch checksum is {computed:#010x}, its header says {stored:#010x}")]
    CrcMismatch { stored: u32, computed: u32 },
}

/// The header of a record batch, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record, as assigned by the leader.
    pub base_offset: i64,
    /// Bytes after this field: [`LOG_OVERHEAD`] less than the batch.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// Format version: always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags; read them through the methods.
    pub attributes: i16,
    /// Last offset minus base offset; survives compaction even when its record does not.
    pub last_offset_delta: i32,
    /// What the timestamp deltas count from, or the delete horizon where that flag is set.
    pub base_timestamp: i64,
    /// Highest timestamp of the batch.
    pub max_timestamp: i64,
    /// Id of the idempotent producer, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Epoch of that producer, or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// Sequence number of the first record, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Records that are left in the batch: compaction lowers it, to 0 even.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which need not hold the whole batch.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let available = bytes.len();
        let Some(bytes) = bytes.first_chunk::<BATCH_OVERHEAD>() else {
            // An old or mangled batch may be shorter than a header: its own complaint is clearer.
            if let Some(&magic) = bytes.get(MAGIC_POSITION) {
                check_magic(magic.cast_signed())?;
            }
            return Err(BatchError::Incomplete { needed: BATCH_OVERHEAD, available });
        };
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, BASE_OFFSET)),
            batch_length: i32::from_be_bytes(field(bytes, BATCH_LENGTH)),
            partition_leader_epoch: i32::from_be_bytes(field(bytes, LEADER_EPOCH)),
            magic: bytes[MAGIC_POSITION].cast_signed(),
            crc: u32::from_be_bytes(field(bytes, CRC)),
            attributes: i16::from_be_bytes(field(bytes, ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(field(bytes, LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(field(bytes, BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(field(bytes, MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(field(bytes, PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(bytes, PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(bytes, BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(field(bytes, RECORD_COUNT)),
        };
        header.check()?;
        Ok(header)
    }

    /// The header as it lies in a batch, checksum included.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BATCH_OVERHEAD] {
        let mut bytes = [0; BATCH_OVERHEAD];
        let mut rest = &mut bytes[..];
        rest.put_i64(self.base_offset);
        rest.put_i32(self.batch_length);
        rest.put_i32(self.partition_leader_epoch);
        rest.put_i8(self.magic);
        rest.put_u32(self.crc);
        rest.put_i16(self.attributes);
        rest.put_i32(self.last_offset_delta);
        rest.put_i64(self.base_timestamp);
        rest.put_i64(self.max_timestamp);
        rest.put_i64(self.producer_id);
        rest.put_i16(self.producer_epoch);
        rest.put_i32(self.base_sequence);
        rest.put_i32(self.record_count);
        bytes
    }

    /// Computes the checksum of the header together with the `payload` that follows it.
    pub fn seal(&mut self, payload: &[u8]) {
        let of_header = crc32c::crc32c(&self.to_bytes()[ATTRIBUTES..]);
        self.crc = crc32c::crc32c_append(of_header, payload);
    }

    /// Sets who chose the timestamps and the highest one. The batch must be sealed afterwards.
    pub fn set_timestamps(&mut self, timestamp_type: TimestampType, max_timestamp: i64) {
        match timestamp_type {
            TimestampType::CreateTime => self.attributes &= !TIMESTAMP_TYPE_BIT,
            TimestampType::LogAppendTime => self.attributes |= TIMESTAMP_TYPE_BIT,
        }
        self.max_timestamp = max_timestamp;
    }

    fn check(&self) -> Result<(), BatchError> {
        check_magic(self.magic)?;
        if self.batch_length < BATCH_LENGTH_MIN {
            return Err(BatchError::InvalidLength { batch_length: self.batch_length });
        }
        let codec = self.attributes & CODEC_MASK;
        if Compression::from_id(codec).is_none() {
            return Err(BatchError::UnknownCompression { codec });
        }
        let (record_count, last_offset_delta) = (self.record_count, self.last_offset_delta);
        if record_count < 0 || last_offset_delta < 0 {
            return Err(BatchError::InvalidCount { record_count, last_offset_delta });
        }
        // One more than the last offset must exist too: it is where the next batch begins.
        let base_offset = self.base_offset;
        if base_offset.checked_add(i64::from(last_offset_delta) + 1).is_none() {
            return Err(BatchError::OffsetOverflow { base_offset, last_offset_delta });
        }
        Ok(())
    }

    /// Offset of the last record the batch was made with.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).expect("parse refuses negative lengths")
    }

    /// How the records are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        Compression::from_id(self.attributes & CODEC_MASK).expect("parse refuses unknown codecs")
    }

    /// Who chose the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds a control record instead of data.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether an idempotent producer wrote the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence number of the last record, or [`NO_SEQUENCE`].
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            NO_SEQUENCE
        } else {
            next_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    /// When tombstones and markers of the batch may go, once the cleaner has set it.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }
}

/// The sequence number `increment` records after `sequence`: it wraps from `i32::MAX` to 0.
#[must_use]
pub fn next_sequence(sequence: i32, increment: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(increment);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).expect("the remainder is below 2^31")
}

fn check_magic(magic: i8) -> Result<(), BatchError> {
    if magic == MAGIC { Ok(()) } else { Err(BatchError::UnsupportedMagic { magic }) }
}

fn field<const N: usize>(bytes: &[u8; BATCH_OVERHEAD], position: usize) -> [u8; N] {
    bytes[position..position + N].try_into().expect("the slice has N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(next_sequence(0, 4), 4);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn an_old_format_is_named_even_when_short() {
        let mut bytes = [0; 34];
        bytes[MAGIC_POSITION] = 1;
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::UnsupportedMagic { magic: 1 }));
    }
}
