//! Decides whether record batches may enter a log, and gives them their place in it.
//!
//! The rules are those of Apache Kafka's `LogValidator`, `UnifiedLog` and record decoder, made
//! stricter in two points: the offset deltas of a batch must be 0, 1, 2 …, and a batch may not
//! name a delete horizon, which is the cleaner's to set. Whoever reads the log may rely on every
//! batch in it having passed; replicated batches have passed on their leader.
//!
//! A valid batch is not copied: its header is written anew, its payload goes on as it came, unless
//! the topic wants another codec. A compressed payload streams through a small window, at most
//! [`ValidationRules::decompressed_bytes_max`] of it. Sequence numbers are not looked at here: the
//! producer state judges them.

use std::io::IoSlice;

use bytes::Bytes;
use flumen_protocol::records::compression::{Codec, Compression, CompressionError};
use flumen_protocol::records::{
    BATCH_OVERHEAD, BatchError, BatchFrame, BatchHeader, Batches, NO_TIMESTAMP, RecordBatch,
    RecordError, RecordOutline, TimestampType, recompress,
};
use thiserror::Error;

/// The most rejected records that are told of; a batch of a megabyte could hold 150,000.
const REJECTED_RECORDS_MAX: usize = 1_000;

/// What a log demands of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidationRules {
    /// The batches come from a client, who may write less than the broker itself.
    pub is_from_client: bool,
    /// Every record needs a key (`cleanup.policy` contains `compact`).
    pub is_compacted: bool,
    /// The codec of the log (`compression.type`); `None` keeps what the producer chose.
    pub codec: Option<Codec>,
    /// Who chooses the timestamps (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// How far a timestamp may lie in the past (`message.timestamp.before.max.ms`).
    pub timestamp_before_max_ms: i64,
    /// How far a timestamp may lie in the future (`message.timestamp.after.max.ms`).
    pub timestamp_after_max_ms: i64,
    /// The largest batch, as it came and as it is written (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// The most that is decompressed to look at one batch.
    pub decompressed_bytes_max: usize,
}

/// Where the first batch goes, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Offset of its first record.
    pub next_offset: i64,
    /// Epoch of the leader that appends.
    pub leader_epoch: i32,
    /// Time of the append.
    pub now_ms: i64,
}

/// A batch that may be written: header and payload, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedBatch {
    header: BatchHeader,
    header_bytes: [u8; BATCH_OVERHEAD],
    payload: Bytes,
}

impl ValidatedBatch {
    fn new(header: BatchHeader, payload: Bytes) -> Self {
        Self { header, header_bytes: header.to_bytes(), payload }
    }

    /// The header with offset, epoch and timestamps assigned.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records, compressed or not.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The two parts of the batch, for one vectored write.
    #[must_use]
    pub fn parts(&self) -> [IoSlice<'_>; 2] {
        [IoSlice::new(&self.header_bytes), IoSlice::new(&self.payload)]
    }

    /// Bytes of the batch.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        BATCH_OVERHEAD + self.payload.len()
    }
}

/// Why a batch may not enter the log. Nothing of the append is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValidationError {
    /// The bytes are no batch, or not the ones the checksum was made of.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records cannot be read.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// No batch at all.
    #[error("the append holds no batch")]
    NoBatch,
    /// More than one batch from a client.
    #[error("a client may append one batch to a partition at a time")]
    SeveralBatches,
    /// The batch is larger than the topic allows, before or after recompression.
    #[error("batch of {size} bytes is above the limit of {limit}")]
    BatchTooLarge { size: usize, limit: usize },
    /// A client named a base offset.
    #[error("base offset is {base_offset} and must be 0")]
    BaseOffset { base_offset: i64 },
    /// The counts of the batch contradict each other, or say that it is empty.
    #[error("{record_count} records do not fit a last offset delta of {last_offset_delta}")]
    RecordCount { record_count: i32, last_offset_delta: i32 },
    /// A record does not lie at the next offset.
    #[error("record {index} has the offset delta {offset_delta}")]
    OffsetDelta { index: i32, offset_delta: i32 },
    /// A client wrote a control batch.
    #[error("a client may not append control records")]
    ControlBatch,
    /// A client set the cleaner's flag.
    #[error("a client may not set a delete horizon")]
    DeleteHorizon,
    /// An idempotent batch without a sequence number.
    #[error("batch of producer {producer_id} has the base sequence {base_sequence}")]
    BaseSequence { producer_id: i64, base_sequence: i32 },
    /// A transactional batch that no producer owns.
    #[error("transactional batch without a producer id")]
    NoProducerId,
    /// Records break a rule of the topic.
    #[error("{count} records were rejected")]
    RejectedRecords {
        /// How many.
        count: usize,
        /// The first of them.
        records: Vec<RejectedRecord>,
    },
    /// The log has no offsets left.
    #[error("no offsets are left after {next_offset}")]
    OffsetsExhausted { next_offset: i64 },
}

impl From<CompressionError> for ValidationError {
    fn from(error: CompressionError) -> Self {
        Self::Records(RecordError::Compression(error))
    }
}

/// A record that breaks a rule of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// The rule it breaks.
    pub reason: RejectReason,
}

/// A rule of a topic that a single record can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RejectReason {
    /// The topic is compacted, and compaction goes by key.
    #[error("a compacted topic needs a key in every record")]
    MissingKey,
    /// The timestamp is too far from the broker's clock.
    #[error("timestamp {timestamp} is not within [{earliest}, {latest}]")]
    TimestampOutOfRange { timestamp: i64, earliest: i64, latest: i64 },
}

/// Checks `records` against the rules and assigns offsets, epoch and timestamps.
///
/// One batch from a client, one or more from the broker itself; all pass or none.
pub fn validate(
    records: Bytes,
    rules: &ValidationRules,
    assignment: Assignment,
) -> Result<Vec<ValidatedBatch>, ValidationError> {
    let mut validated = Vec::with_capacity(1);
    let mut assignment = assignment;
    let mut batches = Batches::new(records);
    while let Some(batch) = batches.next() {
        let batch = batch.map_err(|error| first_fault(batches.rest(), error, rules))?;
        if rules.is_from_client && !(validated.is_empty() && batches.rest().is_empty()) {
            return Err(several_or_partial(batches.rest()));
        }
        let batch = validate_batch(&batch, rules, assignment)?;
        assignment.next_offset = batch.header.next_offset();
        validated.push(batch);
    }
    if !batches.rest().is_empty() {
        return Err(several_or_partial(batches.rest()));
    }
    if validated.is_empty() { Err(ValidationError::NoBatch) } else { Ok(validated) }
}

/// What is told of the batch at the front of `rest`, whose header cannot be parsed for `error`.
///
/// Of a header that contradicts itself, as in Kafka, place, size and checksum are told first. The
/// last matters most: damage is worth another attempt, a mistake of the client's is not.
fn first_fault(rest: &Bytes, error: BatchError, rules: &ValidationRules) -> ValidationError {
    let frame = match error {
        BatchError::UnknownCompression { .. }
        | BatchError::InvalidCount { .. }
        | BatchError::OffsetOverflow { .. } => BatchFrame::first(rest),
        BatchError::Incomplete { .. }
        | BatchError::TrailingBytes { .. }
        | BatchError::InvalidLength { .. }
        | BatchError::UnsupportedMagic { .. }
        | BatchError::CrcMismatch { .. } => None,
    };
    let checked = frame.map_or(Ok(()), |frame| check_frame(&frame, rules));
    checked.err().unwrap_or(ValidationError::Batch(error))
}

/// Tells what follows a batch that should have been the last one.
fn several_or_partial(rest: &Bytes) -> ValidationError {
    match RecordBatch::parse(rest.clone()) {
        Ok(_) | Err(BatchError::TrailingBytes { .. }) => ValidationError::SeveralBatches,
        Err(error) => ValidationError::Batch(error),
    }
}

fn validate_batch(
    batch: &RecordBatch,
    rules: &ValidationRules,
    assignment: Assignment,
) -> Result<ValidatedBatch, ValidationError> {
    check_frame(&batch.frame(), rules)?;
    check_header(batch.header(), rules.is_from_client)?;
    let max_timestamp = check_records(batch, rules, assignment.now_ms)?;

    let (mut header, payload) = match target_codec(batch.header(), rules) {
        Some(codec) => recompress(batch, codec, rules.decompressed_bytes_max)?,
        None => (*batch.header(), batch.payload()),
    };
    check_size(BATCH_OVERHEAD + payload.len(), rules)?;

    let next_offset = assignment.next_offset;
    if next_offset.checked_add(i64::from(header.last_offset_delta) + 1).is_none() {
        return Err(ValidationError::OffsetsExhausted { next_offset });
    }
    header.base_offset = next_offset;
    header.partition_leader_epoch = assignment.leader_epoch;
    let max_timestamp = match rules.timestamp_type {
        TimestampType::CreateTime => max_timestamp,
        TimestampType::LogAppendTime => assignment.now_ms,
    };
    // Only these two lie under the checksum; a batch that has them right is not summed again.
    if (header.timestamp_type(), header.max_timestamp) != (rules.timestamp_type, max_timestamp) {
        header.set_timestamps(rules.timestamp_type, max_timestamp);
        header.seal(&payload);
    }
    Ok(ValidatedBatch::new(header, payload))
}

/// Checks what does not need the header, in Kafka's order.
fn check_frame(frame: &BatchFrame<'_>, rules: &ValidationRules) -> Result<(), ValidationError> {
    let base_offset = frame.base_offset();
    if rules.is_from_client && base_offset != 0 {
        return Err(ValidationError::BaseOffset { base_offset });
    }
    check_size(frame.size_in_bytes(), rules)?;
    Ok(frame.verify_crc()?)
}

fn check_size(size: usize, rules: &ValidationRules) -> Result<(), ValidationError> {
    let limit = rules.batch_bytes_max;
    if size > limit { Err(ValidationError::BatchTooLarge { size, limit }) } else { Ok(()) }
}

fn check_header(header: &BatchHeader, is_from_client: bool) -> Result<(), ValidationError> {
    let &BatchHeader { producer_id, base_sequence, .. } = header;
    let &BatchHeader { record_count, last_offset_delta, .. } = header;
    // Parsing has refused negative numbers, so the delta is never the highest integer plus one.
    if record_count == 0 || record_count - 1 != last_offset_delta {
        return Err(ValidationError::RecordCount { record_count, last_offset_delta });
    }
    if header.is_transactional() && !header.has_producer_id() {
        return Err(ValidationError::NoProducerId);
    }
    if !is_from_client {
        return Ok(());
    }
    if header.is_control() {
        return Err(ValidationError::ControlBatch);
    }
    if header.delete_horizon().is_some() {
        return Err(ValidationError::DeleteHorizon);
    }
    if header.has_producer_id() && base_sequence < 0 {
        return Err(ValidationError::BaseSequence { producer_id, base_sequence });
    }
    Ok(())
}

/// Walks over all records and returns the highest timestamp.
fn check_records(
    batch: &RecordBatch,
    rules: &ValidationRules,
    now_ms: i64,
) -> Result<i64, ValidationError> {
    let base_timestamp = batch.header().base_timestamp;
    let mut max_timestamp = NO_TIMESTAMP;
    let mut rejected = Rejected::default();
    for (index, outline) in (0..).zip(batch.outlines(rules.decompressed_bytes_max)?) {
        let outline = outline?;
        let offset_delta = outline.offset_delta;
        if offset_delta != index {
            return Err(ValidationError::OffsetDelta { index, offset_delta });
        }
        let timestamp = base_timestamp.wrapping_add(outline.timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        if let Some(reason) = reject(&outline, timestamp, rules, now_ms) {
            rejected.note(RejectedRecord { index, reason });
        }
    }
    rejected.into_result()?;
    Ok(max_timestamp)
}

fn reject(
    outline: &RecordOutline,
    timestamp: i64,
    rules: &ValidationRules,
    now_ms: i64,
) -> Option<RejectReason> {
    if rules.is_compacted && outline.key_size.is_none() {
        return Some(RejectReason::MissingKey);
    }
    // Where the broker chooses the timestamps, those of the producer do not matter.
    if rules.timestamp_type == TimestampType::LogAppendTime || timestamp == NO_TIMESTAMP {
        return None;
    }
    let earliest = now_ms.saturating_sub(rules.timestamp_before_max_ms);
    let latest = now_ms.saturating_add(rules.timestamp_after_max_ms);
    let is_within = (earliest..=latest).contains(&timestamp);
    (!is_within).then_some(RejectReason::TimestampOutOfRange { timestamp, earliest, latest })
}

#[derive(Debug, Default)]
struct Rejected {
    count: usize,
    records: Vec<RejectedRecord>,
}

impl Rejected {
    fn note(&mut self, record: RejectedRecord) {
        self.count += 1;
        if self.records.len() < REJECTED_RECORDS_MAX {
            self.records.push(record);
        }
    }

    fn into_result(self) -> Result<(), ValidationError> {
        let Self { count, records } = self;
        if count == 0 { Ok(()) } else { Err(ValidationError::RejectedRecords { count, records }) }
    }
}

/// The codec a batch must be brought to, `None` if it has it already.
///
/// As in Kafka a level alone is no reason, and a control batch stays as small as it is.
fn target_codec(header: &BatchHeader, rules: &ValidationRules) -> Option<Codec> {
    let source = header.compression();
    rules
        .codec
        .filter(|target| target.compression != source)
        .filter(|_| !(header.is_control() && source == Compression::None))
}

#[cfg(test)]
mod tests;
