//! Builds a batch record by record; compression comes last, over all of them.

use bytes::{BufMut, Bytes, BytesMut};

use super::compression::{Codec, Compression, compress};
use super::header::{
    BATCH_OVERHEAD, BatchHeader, CONTROL_BIT, DELETE_HORIZON_BIT, LOG_OVERHEAD, MAGIC,
    NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, TIMESTAMP_TYPE_BIT,
    TRANSACTIONAL_BIT, TimestampType,
};
use super::record::RecordHeader;

/// What a batch says about all its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Offset of the first record; producers leave 0.
    pub base_offset: i64,
    /// Epoch of the leader; producers leave -1.
    pub partition_leader_epoch: i32,
    /// How the records are compressed.
    pub codec: Codec,
    /// Who chose the timestamps.
    pub timestamp_type: TimestampType,
    /// Id of the idempotent producer.
    pub producer_id: i64,
    /// Epoch of that producer.
    pub producer_epoch: i16,
    /// Sequence number of the first record.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
    /// Whether the batch holds a control record.
    pub is_control: bool,
    /// When tombstones and markers may go; for the cleaner only.
    pub delete_horizon: Option<i64>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            base_offset: 0,
            partition_leader_epoch: -1,
            codec: Codec::default(),
            timestamp_type: TimestampType::CreateTime,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            is_transactional: false,
            is_control: false,
            delete_horizon: None,
        }
    }
}

impl BatchOptions {
    pub(super) fn attributes(&self) -> i16 {
        let mut attributes = self.codec.compression.id();
        for (bit, is_set) in [
            (TIMESTAMP_TYPE_BIT, self.timestamp_type == TimestampType::LogAppendTime),
            (TRANSACTIONAL_BIT, self.is_transactional),
            (CONTROL_BIT, self.is_control),
            (DELETE_HORIZON_BIT, self.delete_horizon.is_some()),
        ] {
            if is_set {
                attributes |= bit;
            }
        }
        attributes
    }
}

/// Collects records into one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records.
    buffer: BytesMut,
    record_count: i32,
    last_offset_delta: i32,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Starts an empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        let mut buffer = BytesMut::with_capacity(1024);
        buffer.put_bytes(0, BATCH_OVERHEAD);
        Self {
            options,
            buffer,
            record_count: 0,
            last_offset_delta: -1,
            base_timestamp: options.delete_horizon,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Adds a record at the next offset, which it returns.
    ///
    /// # Panics
    /// If the batch grows beyond 2 GiB or 2³¹ records, which its format cannot say.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> i64 {
        let offset = self.options.base_offset + i64::from(self.last_offset_delta) + 1;
        self.append_at(offset, timestamp, key, value, headers);
        offset
    }

    /// Adds a record at an offset above the last one; the cleaner leaves gaps.
    ///
    /// # Panics
    /// As [`BatchBuilder::append`], and if the offset is not above the last one.
    pub fn append_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) {
        let offset_delta = i32::try_from(offset - self.options.base_offset)
            .expect("the offsets of a batch lie within 2^31");
        assert!(offset_delta > self.last_offset_delta, "offsets of a batch rise");
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);

        let length = body_size(timestamp_delta, offset_delta, key, value, headers);
        self.buffer.reserve(length + VARINT_SIZE_MAX);
        put_varint(&mut self.buffer, size_i32(length));
        self.buffer.put_i8(0);
        put_varlong(&mut self.buffer, timestamp_delta);
        put_varint(&mut self.buffer, offset_delta);
        put_nullable(&mut self.buffer, key);
        put_nullable(&mut self.buffer, value);
        put_varint(&mut self.buffer, size_i32(headers.len()));
        for header in headers {
            put_nullable(&mut self.buffer, Some(&header.key));
            put_nullable(&mut self.buffer, header.value.as_deref());
        }

        self.record_count += 1;
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// Whether nothing has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Records added so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Bytes of the batch before compression.
    #[cfg(test)]
    pub(super) fn uncompressed_size(&self) -> usize {
        self.buffer.len()
    }

    /// Makes the batch end at `offset`, although its last record lies before it.
    ///
    /// The cleaner calls it last: a batch keeps its offset range when its records go.
    ///
    /// # Panics
    /// If the offset lies below the last record, or 2³¹ above the base offset.
    pub fn extend_to(&mut self, offset: i64) {
        let delta = i32::try_from(offset - self.options.base_offset)
            .expect("the offsets of a batch lie within 2^31");
        assert!(delta >= self.last_offset_delta, "a batch does not end before its last record");
        self.last_offset_delta = delta;
    }

    /// Compresses and seals the batch.
    ///
    /// # Panics
    /// If the batch is empty and was not given an end by [`BatchBuilder::extend_to`].
    #[must_use]
    pub fn build(mut self) -> Bytes {
        assert!(self.last_offset_delta >= 0, "a batch has an offset at least");
        let codec = self.options.codec;
        if codec.compression != Compression::None {
            let payload = self.buffer.split_off(BATCH_OVERHEAD).freeze();
            self.buffer.extend_from_slice(&compress(codec, payload));
        }
        let mut header = BatchHeader {
            base_offset: self.options.base_offset,
            batch_length: size_i32(self.buffer.len() - LOG_OVERHEAD),
            partition_leader_epoch: self.options.partition_leader_epoch,
            magic: MAGIC,
            crc: 0,
            attributes: self.options.attributes(),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp.unwrap_or(NO_TIMESTAMP),
            max_timestamp: self.max_timestamp,
            producer_id: self.options.producer_id,
            producer_epoch: self.options.producer_epoch,
            base_sequence: self.options.base_sequence,
            record_count: self.record_count,
        };
        header.seal(&self.buffer[BATCH_OVERHEAD..]);
        self.buffer[..BATCH_OVERHEAD].copy_from_slice(&header.to_bytes());
        self.buffer.freeze()
    }
}

/// The most bytes a record can take in a batch, uncompressed; a batch adds [`BATCH_OVERHEAD`].
#[must_use]
pub fn record_size_bound(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) -> usize {
    VARINT_SIZE_MAX + body_size(i64::MIN, i32::MAX, key, value, headers)
}

const VARINT_SIZE_MAX: usize = 5;

fn body_size(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) -> usize {
    let headers_size: usize = headers
        .iter()
        .map(|header| nullable_size(Some(&header.key)) + nullable_size(header.value.as_deref()))
        .sum();
    1 + varlong_size(timestamp_delta)
        + varlong_size(i64::from(offset_delta))
        + nullable_size(key)
        + nullable_size(value)
        + varlong_size(i64::from(size_i32(headers.len())))
        + headers_size
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    let size = bytes.map_or(0, <[u8]>::len);
    size + varlong_size(bytes.map_or(-1, |bytes| i64::from(size_i32(bytes.len()))))
}

/// A zigzag-coded integer takes as many bytes whether it is declared with 32 or 64 bits.
fn varlong_size(value: i64) -> usize {
    let significant = 64 - zigzag(value).leading_zeros() as usize;
    significant.max(1).div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn put_varint(buffer: &mut BytesMut, value: i32) {
    put_varlong(buffer, i64::from(value));
}

fn put_varlong(buffer: &mut BytesMut, value: i64) {
    let mut rest = zigzag(value);
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            buffer.put_u8(low & 0x7f);
            return;
        }
        buffer.put_u8(low | 0x80);
    }
}

fn put_nullable(buffer: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(buffer, size_i32(bytes.len()));
            buffer.put_slice(bytes);
        }
        None => put_varint(buffer, -1),
    }
}

pub(super) fn size_i32(size: usize) -> i32 {
    i32::try_from(size).expect("a batch stays below 2 GiB")
}
