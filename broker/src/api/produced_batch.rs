//! What a Produce request's bytes must look like before any partition is asked to take them.
//!
//! Kafka looks here in two steps, and which of them refuses decides what a client hears: the first
//! batch of every partition before any topic is looked up (its refusal is the whole request's), and
//! all of a partition's bytes once its topic is known, before acks are judged. Everything else that
//! can be wrong with a batch is the log's to find.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::produce::TopicProduceData;
use flumen_protocol::records::compression::Compression;
use flumen_protocol::{Records, records::BatchHeader};

/// The first version whose clients understand zstd (KIP-110).
const ZSTD_VERSION: i16 = 7;

/// Bytes up to and with the length, which does not count them.
const LOG_OVERHEAD: usize = 12;
const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
/// A length below the smallest batch there ever was.
const LENGTH_MIN: usize = 14;
const MAGIC_MAX: u8 = 2;

/// The code of a refusal and its words.
pub(super) type Refusal = (ErrorCode, &'static str);

/// Where the first batch ends; nothing if there is no whole one.
fn first_batch(bytes: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let Some(length) = bytes.get(LENGTH_AT..).and_then(|rest| rest.first_chunk()) else {
        return Ok(None);
    };
    let length = match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) if length >= LENGTH_MIN => length,
        _ => return Err((ErrorCode::CorruptMessage, "the length of a record batch is too small")),
    };
    let Some(&magic) = bytes.get(MAGIC_AT) else { return Ok(None) };
    if magic > MAGIC_MAX {
        return Err((ErrorCode::CorruptMessage, "a record batch has an unknown magic number"));
    }
    Ok(bytes.get(..LOG_OVERHEAD + length))
}

/// Looks at the first batch of each partition.
pub(super) fn check_request(topics: &[TopicProduceData]) -> Result<(), Refusal> {
    for data in topics.iter().flat_map(|topic| &topic.partition_data) {
        let Some(Records::Bytes(bytes)) = &data.records else { continue };
        let Some(batch) = first_batch(bytes)? else { continue };
        let header = BatchHeader::parse(batch);
        if header.is_ok_and(|header| header.is_transactional()) {
            // A final error: there is no coordinator of transactions yet, so a retry would not end.
            let message = "transactions are not served";
            return Err((ErrorCode::TransactionalIdAuthorizationFailed, message));
        }
    }
    Ok(())
}

/// Checks that a partition's bytes are one batch that a request of this version may carry.
pub(super) fn check_batch(bytes: &[u8], version: i16) -> Result<(), Refusal> {
    let Some(batch) = first_batch(bytes)? else {
        return Err((ErrorCode::InvalidRecord, "the request has no whole record batch"));
    };
    if batch[MAGIC_AT] < MAGIC_MAX {
        return Err((ErrorCode::InvalidRecord, "record batches need magic number 2"));
    }
    let compression = BatchHeader::parse(batch).map(|header| header.compression());
    if version < ZSTD_VERSION && compression == Ok(Compression::Zstd) {
        let message = "records compressed with zstd need version 7 of this request";
        return Err((ErrorCode::UnsupportedCompressionType, message));
    }
    if first_batch(&bytes[batch.len()..])?.is_some() {
        let message = "a request may carry one record batch for a partition";
        return Err((ErrorCode::InvalidRecord, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use flumen_protocol::messages::produce::PartitionProduceData;
    use flumen_protocol::records::compression::Codec;
    use flumen_protocol::records::{BatchBuilder, BatchOptions};

    fn batch(options: BatchOptions) -> Bytes {
        let mut builder = BatchBuilder::new(options);
        builder.append(1, Some(b"k"), Some(b"v"), &[]);
        builder.build()
    }

    fn changed(position: usize, value: u8) -> Bytes {
        let mut bytes = BytesMut::from(&batch(BatchOptions::default())[..]);
        bytes[position] = value;
        bytes.freeze()
    }

    fn code(checked: Result<(), Refusal>) -> ErrorCode {
        checked.err().map_or(ErrorCode::None, |(code, _)| code)
    }

    /// What Apache Kafka 4.4 answers to the same bytes, for topics that exist or not.
    #[test]
    fn each_kind_of_bad_bytes_has_its_code_and_its_step() {
        use ErrorCode::{CorruptMessage, InvalidRecord, None, UnsupportedCompressionType};
        let good = batch(BatchOptions::default());
        let zstd = Codec { compression: Compression::Zstd, ..Codec::default() };
        let zstd = batch(BatchOptions { codec: zstd, ..Default::default() });
        let transactional = batch(BatchOptions { is_transactional: true, ..Default::default() });
        let check = |bytes: &[u8], version, of_request, of_batch| {
            let topic = TopicProduceData {
                partition_data: vec![PartitionProduceData {
                    index: 0,
                    records: Some(Records::Bytes(Bytes::copy_from_slice(bytes))),
                }],
                ..Default::default()
            };
            assert_eq!(code(check_request(&[topic])), of_request);
            assert_eq!(code(check_batch(bytes, version)), of_batch);
        };
        check(&good, 3, None, None);
        check(b"", 3, None, InvalidRecord);
        check(&good[..good.len() - 1], 3, None, InvalidRecord);
        check(&[&good[..], &good].concat(), 3, None, InvalidRecord);
        check(&changed(MAGIC_AT, 1), 3, None, InvalidRecord);
        check(&changed(MAGIC_AT, 3), 3, CorruptMessage, CorruptMessage);
        check(&changed(LENGTH_AT, 0x7f), 3, None, InvalidRecord);
        check(&changed(LENGTH_AT, 0xff), 3, CorruptMessage, CorruptMessage);
        check(&zstd, ZSTD_VERSION - 1, None, UnsupportedCompressionType);
        check(&zstd, ZSTD_VERSION, None, None);
        check(&[&zstd[..], &zstd].concat(), 3, None, UnsupportedCompressionType);
        check(&transactional, 3, ErrorCode::TransactionalIdAuthorizationFailed, None);
    }
}
