//! Folding batches that are in the log already into producer state and leader epochs.

use bytes::Bytes;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchHeader, RecordBatch};

use crate::aborted_index::AbortedTransaction;
use crate::epoch_cache::EpochCache;
use crate::producer_state::{AppendOrigin, ProducerState, StagedProducers};

/// A control record is a few dozen bytes; a compressed batch that claims more is none.
const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// The marker in a batch; `None` in data, in other control batches, and in what cannot be read.
pub(crate) fn end_marker(header: &BatchHeader, batch: &[&[u8]]) -> Option<EndTransactionMarker> {
    if !header.is_control() {
        return None;
    }
    let batch = RecordBatch::parse(Bytes::from(batch.concat())).ok()?;
    let record = batch.records(CONTROL_BYTES_MAX).ok()?.next()?.ok()?;
    EndTransactionMarker::from_record(&record).ok()?
}

/// Folds one batch in; returns the transactions it aborts.
pub(crate) fn replay(
    producers: &mut ProducerState,
    epochs: &mut EpochCache,
    header: &BatchHeader,
    marker: Option<EndTransactionMarker>,
) -> Vec<AbortedTransaction> {
    epochs.assign(header.partition_leader_epoch, header.base_offset);
    replay_producer(producers, header, marker)
}

/// Folds one batch into the producer state alone.
pub(crate) fn replay_producer(
    producers: &mut ProducerState,
    header: &BatchHeader,
    marker: Option<EndTransactionMarker>,
) -> Vec<AbortedTransaction> {
    let mut staged = StagedProducers::default();
    producers
        .stage(&mut staged, header, marker, AppendOrigin::Replication)
        .expect("what is in the log is not checked again");
    producers.commit(staged)
}
