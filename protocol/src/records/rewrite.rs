//! Changes to finished batches: what a broker assigns at append, and what the cleaner leaves.
//!
//! The patching functions take the bytes of a batch that was parsed before; a slice shorter than
//! a header is a mistake of the caller. A broker that holds header and payload apart changes the
//! [`BatchHeader`] instead and copies nothing.

use bytes::Bytes;

use super::batch::RecordBatch;
use super::builder::size_i32;
use super::compression::{Codec, Compression, CompressionError, compress, decompress};
use super::header::{
    BASE_OFFSET, BATCH_LENGTH, BATCH_OVERHEAD, BatchHeader, CODEC_MASK, LEADER_EPOCH, LOG_OVERHEAD,
    MAGIC_POSITION,
};

/// Puts the batch at `base_offset`. The checksum does not cover it.
pub fn patch_base_offset(batch: &mut [u8], base_offset: i64) {
    batch[BASE_OFFSET..BATCH_LENGTH].copy_from_slice(&base_offset.to_be_bytes());
}

/// Notes the epoch of the leader that appends the batch. The checksum does not cover it.
pub fn patch_leader_epoch(batch: &mut [u8], partition_leader_epoch: i32) {
    batch[LEADER_EPOCH..MAGIC_POSITION].copy_from_slice(&partition_leader_epoch.to_be_bytes());
}

/// The same batch in another codec, as header and payload: the records' bytes and all else stay.
///
/// The records' bytes may be at most `limit`, compressed before or not: whoever reads the batch will
/// have to decompress them.
pub fn recompress(
    batch: &RecordBatch,
    codec: Codec,
    limit: usize,
) -> Result<(BatchHeader, Bytes), CompressionError> {
    let mut header = *batch.header();
    let records = decompress(header.compression(), batch.payload(), limit)?;
    if records.len() > limit {
        return Err(CompressionError::OutputLimit { codec: codec.compression, limit });
    }
    let payload = compress(codec, records);
    set_payload(&mut header, codec.compression, &payload);
    Ok((header, payload))
}

/// What stays of a batch whose records are all gone: its offsets and its producer's sequence.
///
/// The cleaner keeps it for the producer state of an idempotent producer.
#[must_use]
pub fn empty_batch(header: &BatchHeader) -> Bytes {
    let mut header = BatchHeader { record_count: 0, ..*header };
    set_payload(&mut header, Compression::None, &[]);
    Bytes::copy_from_slice(&header.to_bytes())
}

fn set_payload(header: &mut BatchHeader, compression: Compression, payload: &[u8]) {
    header.attributes = header.attributes & !CODEC_MASK | compression.id();
    header.batch_length = size_i32(BATCH_OVERHEAD - LOG_OVERHEAD + payload.len());
    header.seal(payload);
}
