//! What a partition knows about idempotent and transactional producers: their last batches, so that
//! a retry is recognised and a gap refused, and their open transactions, which hold back the last
//! stable offset.
//!
//! The state is a fold over the batch headers of the log. Appending is two steps, so that a failed
//! write changes nothing: [`ProducerState::stage`] checks a batch against the state and against what
//! is staged already, [`ProducerState::commit`] makes the staged entries current. Replay of a log
//! uses the same steps without the checks. Files are not touched here (see `producer_snapshot`).

use std::collections::BTreeMap;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchHeader, NO_PRODUCER_EPOCH, NO_SEQUENCE, next_sequence};
use thiserror::Error;

use crate::aborted_index::AbortedTransaction;

/// Batches remembered per producer: as many as a client may have in flight.
pub(crate) const BATCHES_REMEMBERED: usize = 5;

/// Why a batch of an idempotent or transactional producer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProducerError {
    /// The batch does not follow the producer's last one.
    #[error(
        "producer {producer_id} epoch {epoch}: sequence {base_sequence} does not follow {last_sequence}"
    )]
    OutOfOrderSequence { producer_id: i64, epoch: i16, base_sequence: i32, last_sequence: i32 },
    /// A newer instance of the producer has taken over.
    #[error("producer {producer_id}: epoch {epoch} is older than {current_epoch}")]
    InvalidEpoch { producer_id: i64, epoch: i16, current_epoch: i16 },
    /// Plain records while a transaction of the producer is open.
    #[error("producer {producer_id}: records outside the transaction open since {first_offset}")]
    TransactionOpen { producer_id: i64, first_offset: i64 },
    /// A marker of a transaction coordinator that has been replaced.
    #[error("producer {producer_id}: coordinator epoch {epoch} is older than {current_epoch}")]
    CoordinatorFenced { producer_id: i64, epoch: i32, current_epoch: i32 },
}

/// Who hands a batch to the log; decides which checks apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's Produce request: everything is checked.
    Client,
    /// A coordinator of this broker: it may write control batches, and owns its sequences.
    Coordinator,
    /// The leader of the partition, which has checked already.
    Replication,
}

/// A batch that a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducedBatch {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Records before the last one.
    pub offset_delta: i32,
    /// Its newest timestamp.
    pub timestamp: i64,
}

impl ProducedBatch {
    /// Offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn is_retried_by(&self, header: &BatchHeader) -> bool {
        self.last_sequence == header.last_sequence()
            && self.offset_delta == header.last_offset_delta
    }
}

/// One producer: its last batches, oldest first, and its open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Id of the producer.
    pub producer_id: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// Epoch of the coordinator that wrote its last marker, or -1.
    pub coordinator_epoch: i32,
    /// Timestamp of its last batch or marker, which expiry counts from.
    pub last_timestamp: i64,
    /// Offset of the first record of its open transaction.
    pub transaction_start: Option<i64>,
    batches: [ProducedBatch; BATCHES_REMEMBERED],
    batch_count: u8,
}

impl ProducerEntry {
    pub(crate) fn new(producer_id: i64) -> Self {
        Self {
            producer_id,
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: -1,
            transaction_start: None,
            batches: [ProducedBatch::default(); BATCHES_REMEMBERED],
            batch_count: 0,
        }
    }

    /// The remembered batches of the current epoch, oldest first.
    #[must_use]
    pub fn batches(&self) -> &[ProducedBatch] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// Sequence number of the last record, or -1 where the epoch has none yet.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub(crate) fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }

    pub(crate) fn push(&mut self, batch: ProducedBatch) {
        if usize::from(self.batch_count) == BATCHES_REMEMBERED {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[usize::from(self.batch_count)] = batch;
        self.batch_count += 1;
        self.last_timestamp = batch.timestamp;
    }

    fn check_epoch(&self, epoch: i16) -> Result<(), ProducerError> {
        let (producer_id, current_epoch) = (self.producer_id, self.epoch);
        if epoch < current_epoch {
            return Err(ProducerError::InvalidEpoch { producer_id, epoch, current_epoch });
        }
        Ok(())
    }

    fn check_sequence(&self, header: &BatchHeader) -> Result<(), ProducerError> {
        // A producer this log has never seen (or has forgotten) may begin anywhere.
        if self.epoch == NO_PRODUCER_EPOCH || is_planted(Bug::SequencesAreUnchecked) {
            return Ok(());
        }
        let last_sequence =
            if header.producer_epoch == self.epoch { self.last_sequence() } else { NO_SEQUENCE };
        let expected =
            if last_sequence == NO_SEQUENCE { 0 } else { next_sequence(last_sequence, 1) };
        if header.base_sequence == expected {
            return Ok(());
        }
        Err(ProducerError::OutOfOrderSequence {
            producer_id: self.producer_id,
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_sequence,
        })
    }
}

/// A transaction that a marker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EndedTransaction {
    producer_id: i64,
    first_offset: i64,
    last_offset: i64,
    committed: bool,
}

/// Changes that become current once their batches are in the log.
#[derive(Debug, Default)]
pub(crate) struct StagedProducers {
    entries: Vec<ProducerEntry>,
    ended: Vec<EndedTransaction>,
}

/// What staging a batch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Staged {
    /// The batch is new.
    Accepted,
    /// The batch is in the log already, there.
    Duplicate(ProducedBatch),
}

/// All producers of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProducerState {
    producers: BTreeMap<i64, ProducerEntry>,
    /// Open transactions by first offset, with their producer ids.
    open: BTreeMap<i64, i64>,
    /// Ended transactions whose markers may still lie above the high watermark: first offset to
    /// the offset of the marker. Until then a reader of committed data must not pass them.
    unreplicated: BTreeMap<i64, i64>,
}

impl ProducerState {
    /// Every known producer.
    pub(crate) fn producers(&self) -> impl Iterator<Item = &ProducerEntry> {
        self.producers.values()
    }

    /// Takes over an entry of a snapshot.
    pub(crate) fn load(&mut self, entry: ProducerEntry) {
        if let Some(first_offset) = entry.transaction_start {
            self.open.insert(first_offset, entry.producer_id);
        }
        self.producers.insert(entry.producer_id, entry);
    }

    /// Checks a batch, whose offsets are assigned, and stages what it changes.
    ///
    /// `marker` is the content of a control batch that ends a transaction.
    pub(crate) fn stage(
        &self,
        staged: &mut StagedProducers,
        header: &BatchHeader,
        marker: Option<EndTransactionMarker>,
        origin: AppendOrigin,
    ) -> Result<Staged, ProducerError> {
        if !header.has_producer_id() {
            return Ok(Staged::Accepted);
        }
        let producer_id = header.producer_id;
        let place = staged.entries.iter().position(|entry| entry.producer_id == producer_id);
        let mut entry = match place {
            Some(place) => staged.entries[place].clone(),
            None => self
                .producers
                .get(&producer_id)
                .cloned()
                .unwrap_or_else(|| ProducerEntry::new(producer_id)),
        };
        if header.is_control() {
            if let Some(marker) = marker {
                if origin != AppendOrigin::Replication {
                    check_marker(&entry, header, marker)?;
                }
                staged.ended.extend(end_transaction(&mut entry, header, marker));
            }
        } else {
            let is_checked = !is_planted(Bug::RetriesAreAppended);
            if origin == AppendOrigin::Client && is_checked {
                let known =
                    if is_planted(Bug::OneBatchIsRemembered) { 1 } else { BATCHES_REMEMBERED };
                if let Some(&batch) = entry.batches().iter().rev().take(known).find(|batch| {
                    header.producer_epoch == entry.epoch && batch.is_retried_by(header)
                }) {
                    return Ok(Staged::Duplicate(batch));
                }
                entry.check_epoch(header.producer_epoch)?;
                entry.check_sequence(header)?;
            }
            add_batch(&mut entry, header, origin)?;
        }
        match place {
            Some(place) => staged.entries[place] = entry,
            None => staged.entries.push(entry),
        }
        Ok(Staged::Accepted)
    }

    /// Makes staged changes current; returns the transactions that were aborted.
    pub(crate) fn commit(&mut self, staged: StagedProducers) -> Vec<AbortedTransaction> {
        let mut aborted = Vec::new();
        for entry in staged.entries {
            self.load(entry);
        }
        for ended in staged.ended {
            // A transaction may begin and end within one append: then it was never open here.
            self.open.remove(&ended.first_offset);
            self.unreplicated.insert(ended.first_offset, ended.last_offset);
            if !ended.committed {
                let oldest_open = self.open.keys().next().copied();
                aborted.push(AbortedTransaction {
                    producer_id: ended.producer_id,
                    first_offset: ended.first_offset,
                    last_offset: ended.last_offset,
                    last_stable_offset: oldest_open.unwrap_or(ended.last_offset + 1),
                });
            }
        }
        aborted
    }

    /// The first offset a reader of committed data must not reach while the high watermark is there.
    pub(crate) fn first_unstable_offset(&self, high_watermark: i64) -> Option<i64> {
        let open = self.open.keys().next().copied();
        let unreplicated = self
            .unreplicated
            .iter()
            .find(|&(_, &last_offset)| last_offset >= high_watermark)
            .map(|(&first_offset, _)| first_offset);
        open.into_iter().chain(unreplicated).min()
    }

    /// Forgets ended transactions whose markers lie below the high watermark.
    pub(crate) fn on_high_watermark(&mut self, high_watermark: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, &mut last_offset| last_offset >= high_watermark);
        }
    }

    /// Forgets producers that have been idle for `expiration_ms`, except with open transactions.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| {
            entry.transaction_start.is_some()
                || now_ms.saturating_sub(entry.last_timestamp) < expiration_ms
        });
    }
}

fn check_marker(
    entry: &ProducerEntry,
    header: &BatchHeader,
    marker: EndTransactionMarker,
) -> Result<(), ProducerError> {
    entry.check_epoch(header.producer_epoch)?;
    let (producer_id, epoch) = (entry.producer_id, marker.coordinator_epoch);
    let current_epoch = entry.coordinator_epoch;
    if epoch < current_epoch {
        return Err(ProducerError::CoordinatorFenced { producer_id, epoch, current_epoch });
    }
    Ok(())
}

fn end_transaction(
    entry: &mut ProducerEntry,
    header: &BatchHeader,
    marker: EndTransactionMarker,
) -> Option<EndedTransaction> {
    entry.set_epoch(header.producer_epoch);
    entry.coordinator_epoch = marker.coordinator_epoch;
    entry.last_timestamp = header.max_timestamp;
    // A marker without records before it ends nothing here.
    entry.transaction_start.take().map(|first_offset| EndedTransaction {
        producer_id: entry.producer_id,
        first_offset,
        last_offset: header.last_offset(),
        committed: marker.is_commit,
    })
}

fn add_batch(
    entry: &mut ProducerEntry,
    header: &BatchHeader,
    origin: AppendOrigin,
) -> Result<(), ProducerError> {
    entry.set_epoch(header.producer_epoch);
    entry.push(ProducedBatch {
        last_sequence: header.last_sequence(),
        last_offset: header.last_offset(),
        offset_delta: header.last_offset_delta,
        timestamp: header.max_timestamp,
    });
    match entry.transaction_start {
        Some(first_offset) if !header.is_transactional() && origin != AppendOrigin::Replication => {
            let producer_id = entry.producer_id;
            Err(ProducerError::TransactionOpen { producer_id, first_offset })
        }
        None if header.is_transactional() => {
            entry.transaction_start = Some(header.base_offset);
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
