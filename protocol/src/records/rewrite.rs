//! Changes to finished batches: what a broker assigns at append, and what the cleaner leaves.
//!
//! The patching functions take the bytes of a batch that was parsed before; a slice shorter than
//! a header is a mistake of the caller.

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::RecordBatch;
use super::builder::{BatchBuilder, BatchOptions, seal, size_i32};
use super::compression::{Codec, CompressionError, compress, decompress};
use super::header::{
    ATTRIBUTES, BASE_OFFSET, BATCH_LENGTH, BATCH_OVERHEAD, BatchHeader, CODEC_MASK,
    LAST_OFFSET_DELTA, LEADER_EPOCH, LOG_OVERHEAD, MAGIC_POSITION, MAX_TIMESTAMP, PRODUCER_ID,
    TIMESTAMP_TYPE_BIT, TimestampType,
};

/// Puts the batch at `base_offset`. The checksum does not cover it.
pub fn patch_base_offset(batch: &mut [u8], base_offset: i64) {
    batch[BASE_OFFSET..BATCH_LENGTH].copy_from_slice(&base_offset.to_be_bytes());
}

/// Notes the epoch of the leader that appends the batch. The checksum does not cover it.
pub fn patch_leader_epoch(batch: &mut [u8], partition_leader_epoch: i32) {
    batch[LEADER_EPOCH..MAGIC_POSITION].copy_from_slice(&partition_leader_epoch.to_be_bytes());
}

/// Sets who chose the timestamps and the highest one, and computes the checksum anew.
pub fn patch_timestamps(batch: &mut [u8], timestamp_type: TimestampType, max_timestamp: i64) {
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES], batch[ATTRIBUTES + 1]]);
    let attributes = match timestamp_type {
        TimestampType::CreateTime => attributes & !TIMESTAMP_TYPE_BIT,
        TimestampType::LogAppendTime => attributes | TIMESTAMP_TYPE_BIT,
    };
    batch[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&max_timestamp.to_be_bytes());
    seal(batch);
}

/// The same batch in another codec: the records' bytes and all else stay as they are.
///
/// At most `limit` bytes are decompressed.
pub fn recompress(
    batch: &RecordBatch,
    codec: Codec,
    limit: usize,
) -> Result<Bytes, CompressionError> {
    let header = batch.header();
    let payload = compress(codec, decompress(header.compression(), batch.payload(), limit)?);
    let mut bytes = BytesMut::with_capacity(BATCH_OVERHEAD + payload.len());
    bytes.put_slice(&batch.bytes()[..BATCH_OVERHEAD]);
    bytes.put_slice(&payload);
    let length = size_i32(bytes.len() - LOG_OVERHEAD);
    bytes[BATCH_LENGTH..LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    let attributes = header.attributes & !CODEC_MASK | codec.compression.id();
    bytes[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&attributes.to_be_bytes());
    seal(&mut bytes);
    Ok(bytes.freeze())
}

/// What stays of a batch whose records are all gone: its offsets and its producer's sequence.
///
/// The cleaner keeps it for the producer state of an idempotent producer.
#[must_use]
pub fn empty_batch(header: &BatchHeader) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        partition_leader_epoch: header.partition_leader_epoch,
        timestamp_type: header.timestamp_type(),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        is_transactional: header.is_transactional(),
        is_control: header.is_control(),
        delete_horizon: header.delete_horizon(),
        ..BatchOptions::default()
    });
    builder.extend_to(header.last_offset());
    let mut bytes = BytesMut::from(&builder.build()[..]);
    patch_timestamps(&mut bytes, header.timestamp_type(), header.max_timestamp);
    bytes.freeze()
}
