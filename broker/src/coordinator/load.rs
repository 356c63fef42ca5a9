//! Reading a coordinator's log from its start, after leadership came or records were lost.

use bytes::Bytes;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::records::{BatchError, Batches, RecordError, compression::CompressionError};

use super::decision::{CoordinatorRecord, ReplayError, Shard};
use super::log::{CoordinatorLog, LogError};

/// How much of the log is read at a time.
const LOAD_BYTES: usize = 1 << 20;
/// The most bytes one batch may unpack to.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Why a shard could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a batch of the log is damaged: {0}")]
    Batch(#[from] BatchError),
    #[error("a batch of the log cannot be unpacked: {0}")]
    Compression(#[from] CompressionError),
    #[error("a record of the log is damaged: {0}")]
    Record(#[from] RecordError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// What a load found.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The offset after the last record.
    pub(super) next_offset: i64,
    pub(super) record_count: u64,
}

/// Replays the whole log into `shard`.
pub(super) async fn replay_log<S: Shard>(
    log: &dyn CoordinatorLog,
    shard: &mut S,
) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded { next_offset: log.log_start_offset(), record_count: 0 };
    loop {
        let chunk = log.read(loaded.next_offset, LOAD_BYTES).await?;
        if chunk.is_empty() {
            return Ok(loaded);
        }
        replay_chunk(shard, chunk, &mut loaded)?;
    }
}

/// Replays the records of whole batches. The first batch may begin below where loading goes on.
fn replay_chunk<S: Shard>(
    shard: &mut S,
    chunk: Bytes,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let first_offset = loaded.next_offset;
    let mut batches = Batches::new(chunk).peekable();
    while let Some(batch) = batches.next() {
        let batch = batch?;
        loaded.next_offset = batch.header().next_offset();
        if batch.header().is_control() {
            continue;
        }
        if is_planted(Bug::LastGroupBatchIsNotLoaded) && batches.peek().is_none() {
            continue;
        }
        for record in batch.records(DECOMPRESSED_BYTES_MAX)? {
            let record = record?;
            let is_new = record.offset >= first_offset;
            let Some(key) = record.key.filter(|_| is_new) else { continue };
            shard.replay(record.offset, &CoordinatorRecord { key, value: record.value })?;
            loaded.record_count += 1;
        }
    }
    Ok(())
}
