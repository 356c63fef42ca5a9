//! Appending: validation, offsets, producers, the write, and then what follows from it.
//!
//! Everything that can fail comes before or is the write itself; what follows the write changes
//! memory only. So a failed append leaves the log as it was.

use std::io::IoSlice;

use bytes::Bytes;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::records::{
    BATCH_OVERHEAD, BatchError, BatchHeader, Batches, RecordBatch, TimestampType,
};

use super::PartitionLog;
use crate::error::{AppendError, DiskError};
use crate::file_names::{LEADER_EPOCHS, LOG_STATE};
use crate::log_state::{LogState, encode_leader_epochs};
use crate::producer_state::{AppendOrigin, ProducedBatch, Staged, StagedProducers};
use crate::recent_batches::RecentBatch;
use crate::replay::end_marker;
use crate::validate::{Assignment, ValidatedBatch, ValidationError, ValidationRules, validate};

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record; of the original one if this is a duplicate.
    pub first_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The timestamp all records got, where the topic uses the time of the append; of a duplicate
    /// always the newest in the original, as Kafka has it.
    pub log_append_time: Option<i64>,
    /// Where the log starts.
    pub log_start_offset: i64,
    /// The batch was in the log already, and nothing has been written.
    pub duplicate: bool,
    /// Bytes written.
    pub size: usize,
}

impl PartitionLog {
    /// Appends batches whose offsets this log assigns.
    ///
    /// Either all of them are appended or none. A batch that an idempotent producer has sent before
    /// is not written again; the answer names the offsets it got then.
    pub fn append_as_leader(
        &mut self,
        records: Bytes,
        leader_epoch: i32,
        origin: AppendOrigin,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        if self.is_offline {
            return Err(AppendError::Offline);
        }
        let assignment = Assignment { next_offset: self.log_end_offset, leader_epoch, now_ms };
        let batches = validate(records, &self.rules(origin), assignment)?;
        let mut staged = StagedProducers::default();
        for batch in &batches {
            let header = batch.header();
            let [front, payload] = batch.parts();
            let marker = end_marker(header, &[&front, &payload]);
            match self.producers.stage(&mut staged, header, marker, origin)? {
                Staged::Accepted => {}
                Staged::Duplicate(batch) => return Ok(self.duplicate(batch)),
            }
        }
        let parts: Vec<IoSlice<'_>> = batches.iter().flat_map(ValidatedBatch::parts).collect();
        let headers = batches.iter().map(ValidatedBatch::header);
        self.write(&parts, headers, staged, now_ms)
    }

    /// Appends batches as another replica has them, offsets and epochs included.
    ///
    /// Offsets may leave gaps (the leader's log may be compacted) but never go back.
    pub fn append_as_follower(
        &mut self,
        records: Bytes,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        if self.is_offline {
            return Err(AppendError::Offline);
        }
        let batches = split_replicated(records)?;
        let mut log_end_offset = self.log_end_offset;
        let mut staged = StagedProducers::default();
        for batch in &batches {
            let header = batch.header();
            let base_offset = header.base_offset;
            // What one append spans has to fit into one segment.
            let span = header.last_offset().saturating_sub(batches[0].header().base_offset);
            if base_offset < log_end_offset || span > i64::from(i32::MAX) {
                return Err(AppendError::OffsetOutOfOrder { base_offset, log_end_offset });
            }
            log_end_offset = header.next_offset();
            if is_planted(Bug::FollowersIgnoreProducers) {
                continue;
            }
            let marker = end_marker(header, &[batch.bytes()]);
            self.producers.stage(&mut staged, header, marker, AppendOrigin::Replication)?;
        }
        let parts: Vec<IoSlice<'_>> =
            batches.iter().map(|batch| IoSlice::new(batch.bytes())).collect();
        self.write(&parts, batches.iter().map(RecordBatch::header), staged, now_ms)
    }

    /// The answer to a batch that is in the log already.
    fn duplicate(&self, batch: ProducedBatch) -> AppendInfo {
        AppendInfo {
            first_offset: batch.first_offset(),
            last_offset: batch.last_offset,
            log_append_time: Some(batch.timestamp),
            log_start_offset: self.log_start_offset,
            duplicate: true,
            size: 0,
        }
    }

    fn rules(&self, origin: AppendOrigin) -> ValidationRules {
        let config = &self.config;
        ValidationRules {
            is_from_client: origin == AppendOrigin::Client,
            is_compacted: config.compact,
            codec: config.codec,
            timestamp_type: config.timestamp_type,
            timestamp_before_max_ms: config.timestamp_before_max_ms,
            timestamp_after_max_ms: config.timestamp_after_max_ms,
            batch_bytes_max: config.max_message_bytes as usize,
            decompressed_bytes_max: config.decompressed_bytes_max,
        }
    }

    fn write<'a>(
        &mut self,
        parts: &[IoSlice<'_>],
        headers: impl Iterator<Item = &'a BatchHeader> + Clone,
        staged: StagedProducers,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let limit = self.config.segment_bytes as usize;
        if size > limit {
            return Err(AppendError::SegmentTooSmall { size, limit });
        }
        if self.must_roll_before(size, headers.clone(), now_ms) {
            self.roll_to(self.next_base(headers.clone()), now_ms).map_err(append_error)?;
        }
        self.note_epochs(headers.clone())?;
        let (dir, segment_bytes) = (self.dir.clone(), u64::from(self.config.segment_bytes));
        self.active_mut().reserve(&dir, size, segment_bytes).map_err(AppendError::Disk)?;
        let mut position = self.active().size();
        self.write_parts(parts, position)?;

        let aborted = self.producers.commit(staged);
        let interval_bytes = self.config.index_interval_bytes;
        let mut info = AppendInfo {
            first_offset: self.log_end_offset,
            last_offset: self.log_end_offset,
            log_append_time: None,
            log_start_offset: self.log_start_offset,
            duplicate: false,
            size,
        };
        for (place, header) in headers.enumerate() {
            let base_offset = header.base_offset;
            self.active_mut().index_mut().add(position, header, interval_bytes);
            self.recent.push(RecentBatch { base_offset, position });
            position += header.size_in_bytes() as u64;
            self.log_end_offset = header.next_offset();
            info.last_offset = header.last_offset();
            if place == 0 {
                info.first_offset = base_offset;
                info.log_append_time = (header.timestamp_type() == TimestampType::LogAppendTime)
                    .then_some(header.max_timestamp);
            }
        }
        let active = self.active_mut();
        active.grow(size);
        for transaction in aborted {
            active.index_mut().aborted.append(transaction);
        }
        let file = self.active().file(&self.dir).map_err(AppendError::Disk)?;
        self.flush.on_appended(file, self.active().size(), self.log_end_offset);
        Ok(info)
    }

    /// Where a segment that begins with these batches has to begin, so that it can hold them.
    fn next_base<'a>(&self, mut headers: impl Iterator<Item = &'a BatchHeader>) -> i64 {
        headers.next().map_or(self.log_end_offset, |first| first.base_offset)
    }

    fn write_parts(&mut self, parts: &[IoSlice<'_>], position: u64) -> Result<(), AppendError> {
        let active = self.active();
        let file = active.file(&self.dir).map_err(AppendError::Disk)?;
        let Err(source) = file.write_vectored_at(parts, position) else { return Ok(()) };
        // A part may have been written. It must go: the next append would leave it behind.
        let restored = file.truncate(position);
        let error = active.error(&self.dir, "append to", source);
        if restored.is_ok() && error.is_disk_full() {
            return Err(AppendError::DiskFull(error));
        }
        Err(AppendError::Disk(self.fail_for_good(error)))
    }

    /// Notes new leader epochs, durably and before their first batch: once the segments that hold
    /// it are gone, no scan could tell where an epoch began.
    fn note_epochs<'a>(
        &mut self,
        headers: impl Iterator<Item = &'a BatchHeader> + Clone,
    ) -> Result<(), AppendError> {
        let latest = self.latest_epoch().unwrap_or(-1);
        if headers.clone().all(|header| header.partition_leader_epoch <= latest) {
            return Ok(());
        }
        let mut epochs = self.epochs.clone();
        headers.for_each(|header| {
            epochs.assign(header.partition_leader_epoch, header.base_offset);
        });
        let state = LogState { log_start_offset: self.log_start_offset, epochs };
        self.write_state(&state).map_err(append_error)?;
        self.epochs = state.epochs;
        Ok(())
    }

    pub(super) fn write_state(&mut self, state: &LogState) -> Result<(), DiskError> {
        self.dir
            .write_durably(LOG_STATE, &state.encode())
            .and_then(|()| self.dir.write(LEADER_EPOCHS, &encode_leader_epochs(&state.epochs)))
            .map_err(|error| self.fail(error))
    }
}

/// Splits what another replica sent and checks what this log rests on: lengths and checksums.
fn split_replicated(records: Bytes) -> Result<Vec<RecordBatch>, ValidationError> {
    let mut batches = Batches::new(records);
    let mut whole = Vec::new();
    for batch in batches.by_ref() {
        let batch = batch?;
        batch.verify_crc()?;
        whole.push(batch);
    }
    let available = batches.rest().len();
    if available > 0 {
        return Err(BatchError::Incomplete { needed: BATCH_OVERHEAD, available }.into());
    }
    if whole.is_empty() { Err(ValidationError::NoBatch) } else { Ok(whole) }
}

fn append_error(error: DiskError) -> AppendError {
    if error.is_disk_full() { AppendError::DiskFull(error) } else { AppendError::Disk(error) }
}
