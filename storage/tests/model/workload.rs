//! What is done to the log, and to the model alike.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches};
use flumen_storage::vfs::simulated::Unsynced;
use flumen_storage::vfs::{SimulatedDisk, Vfs};
use flumen_storage::{
    AppendError, AppendOrigin, LogConfig, MaintenanceError, OpenContext, OpenError, PartitionLog,
};

use crate::random::Random;
use crate::reference::{Model, Stored};

const START_MS: i64 = 1_700_000_000_000;
const PLAIN: i64 = -1;
const IDEMPOTENT: [i64; 3] = [100, 101, 102];
const TRANSACTIONAL: [i64; 2] = [200, 201];

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Append { records: Bytes, origin: AppendOrigin, leader_epoch: i32 },
    Retry { records: Bytes, first_offset: i64 },
    Gap { records: Bytes },
    AppendToFullDisk { records: Bytes, room: u64 },
    Flush,
    Checkpoint,
    Read { offset: i64, max_bytes: usize, upper_bound: i64 },
    Lookup { timestamp: i64 },
    Roll,
    AdvanceStart { offset: i64 },
    Retain,
    Truncate { offset: i64 },
    Compact { first: usize, count: usize, seed: u64 },
    Reopen { damage: Option<u64> },
}

/// How an operation went.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// The disk has failed, as it was told to.
    Failed(#[expect(dead_code, reason = "shown by Debug")] String),
    /// The log has done something else than it should.
    Wrong(String),
}

/// What remains of a machine after a crash, besides its disk.
#[derive(Debug)]
pub(crate) struct Survivor {
    model: Model,
    pending: Option<Operation>,
    recovery_point: i64,
    leader_epoch: i32,
    random_seed: u64,
    clock_ms: i64,
    retained_up_to: i64,
    compacting: Range<i64>,
}

/// A log on a disk, and the model beside it.
pub(crate) struct Machine {
    disk: SimulatedDisk,
    log: Option<PartitionLog>,
    model: Model,
    pending: Option<Operation>,
    random: Random,
    /// What a broker's recovery point checkpoint would say.
    recovery_point: i64,
    leader_epoch: i32,
    clock_ms: i64,
    /// Retention was allowed to go this far.
    retained_up_to: i64,
    /// What the compaction that was cut short was to replace.
    compacting: Range<i64>,
}

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 200,
        retention_ms: None,
        retention_bytes: Some(6000),
        ..LogConfig::default()
    })
}

fn dir() -> PathBuf {
    Path::new("/data/topic-0").to_owned()
}

fn open(
    disk: &SimulatedDisk,
    clean_shutdown: bool,
    recovery_point: i64,
) -> Result<PartitionLog, OpenError> {
    let context = OpenContext { clean_shutdown, recovery_point, now_ms: START_MS };
    PartitionLog::open(Arc::new(disk.clone()), &dir(), config(), context)
}

impl Machine {
    pub(crate) fn boot(disk: &SimulatedDisk, seed: u64) -> Self {
        let machine = Self::boot_unchecked(disk, seed);
        assert!(machine.log.is_some(), "an empty disk can be opened");
        machine
    }

    /// What whoever owns the disk does before there is any log.
    pub(crate) fn prepare(disk: &SimulatedDisk) {
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
    }

    /// Boots on a disk that may fail right away.
    pub(crate) fn boot_unchecked(disk: &SimulatedDisk, seed: u64) -> Self {
        Self {
            disk: disk.clone(),
            log: open(disk, false, 0).ok(),
            model: Model::default(),
            pending: None,
            random: Random::new(seed),
            recovery_point: 0,
            leader_epoch: 0,
            clock_ms: START_MS,
            retained_up_to: 0,
            compacting: 0..0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.log.as_ref().map_or(Ok(()), |log| self.model.check(log))
    }

    pub(crate) fn disk_usage(&self) -> u64 {
        self.disk.list(&dir()).unwrap().iter().map(|entry| entry.size).sum()
    }

    /// Runs operations until the disk fails; the one that was cut short is pending then.
    pub(crate) fn run_until_failure(&mut self, count: usize) {
        for _ in 0..count {
            if self.log.is_none() {
                return;
            }
            let operation = self.choose();
            match self.run(&operation) {
                Outcome::Done => {}
                Outcome::Failed(_) => {
                    self.pending = Some(operation);
                    return;
                }
                Outcome::Wrong(_) if self.disk.list(&dir()).is_err() => return,
                Outcome::Wrong(difference) => panic!("{operation:?}: {difference}"),
            }
        }
    }

    pub(crate) fn into_survivor(mut self) -> Survivor {
        Survivor {
            model: self.model,
            pending: self.pending,
            recovery_point: self.recovery_point,
            leader_epoch: self.leader_epoch,
            random_seed: self.random.next(),
            clock_ms: self.clock_ms,
            retained_up_to: self.retained_up_to,
            compacting: self.compacting,
        }
    }

    pub(crate) fn crash_and_reboot(mut self, unsynced: Unsynced) -> Result<Self, String> {
        let disk = self.disk.clone();
        self.log = None;
        disk.crash(unsynced);
        self.into_survivor().reboot(&disk)
    }

    pub(crate) fn choose(&mut self) -> Operation {
        match self.random.below(100) {
            0..40 => self.choose_append(),
            40..46 => self.choose_retry(),
            46..49 => self.choose_gap(),
            49..52 => {
                let records = self.batch(PLAIN);
                let room = self.random.below(records.len() as u64);
                Operation::AppendToFullDisk { records, room }
            }
            52..62 => Operation::Flush,
            62..65 => Operation::Checkpoint,
            65..74 => Operation::Read {
                offset: self.random.between(self.model.log_start, self.model.log_end),
                max_bytes: 1 + self.random.index(4000),
                upper_bound: self.boundary(),
            },
            74..79 => Operation::Lookup {
                timestamp: self.random.between(START_MS - 2000, self.clock_ms + 2000),
            },
            79..83 => Operation::Roll,
            83..86 => Operation::AdvanceStart {
                offset: self
                    .random
                    .between(self.model.log_start, self.model.flushed.max(self.model.log_start)),
            },
            86..89 => Operation::Retain,
            89..91 => Operation::Truncate {
                offset: self.random.between(self.model.log_start, self.model.log_end),
            },
            91..95 => Operation::Compact {
                first: self.random.index(3),
                count: 1 + self.random.index(3),
                seed: self.random.next(),
            },
            _ => {
                let damage = self.random.once_in(2).then(|| self.random.next());
                Operation::Reopen { damage }
            }
        }
    }

    fn choose_append(&mut self) -> Operation {
        if self.random.once_in(12) {
            self.leader_epoch += 1;
        }
        let leader_epoch = self.leader_epoch;
        let producer_id = match self.random.below(10) {
            0..4 => PLAIN,
            4..7 => IDEMPOTENT[self.random.index(IDEMPOTENT.len())],
            _ => TRANSACTIONAL[self.random.index(TRANSACTIONAL.len())],
        };
        let producer = self.model.producers().get(&producer_id).cloned().unwrap_or_default();
        if producer.transaction_start.is_some() && self.random.once_in(2) {
            let is_commit = self.random.once_in(2);
            let marker = EndTransactionMarker { is_commit, coordinator_epoch: 1 };
            self.clock_ms += 10;
            let records = marker.to_batch(self.clock_ms, producer_id, producer.epoch);
            return Operation::Append { records, origin: AppendOrigin::Coordinator, leader_epoch };
        }
        let records = self.batch(producer_id);
        Operation::Append { records, origin: AppendOrigin::Client, leader_epoch }
    }

    /// The next batch of a producer.
    fn batch(&mut self, producer_id: i64) -> Bytes {
        let producer = self.model.producers().get(&producer_id).cloned().unwrap_or_default();
        let mut options = BatchOptions { producer_id, ..BatchOptions::default() };
        if producer_id != PLAIN {
            options.producer_epoch = producer.epoch;
            options.base_sequence = producer.next_sequence();
            options.is_transactional = TRANSACTIONAL.contains(&producer_id);
            if producer.transaction_start.is_none() && self.random.once_in(10) {
                options.producer_epoch += 1;
                options.base_sequence = 0;
            }
        }
        let mut builder = BatchBuilder::new(options);
        for _ in 0..=self.random.below(6) {
            self.clock_ms += self.random.between(-300, 400);
            let value = vec![b'v'; self.random.index(60)];
            builder.append(self.clock_ms, Some(b"key"), Some(&value), &[]);
        }
        builder.build()
    }

    /// A batch that one of the producers has in its memory.
    fn choose_retry(&mut self) -> Operation {
        let producer_id = IDEMPOTENT[self.random.index(IDEMPOTENT.len())];
        let producer = self.model.producers().get(&producer_id).cloned().unwrap_or_default();
        if producer.batches.is_empty() {
            return self.choose_append();
        }
        let header = producer.batches[self.random.index(producer.batches.len())];
        let stored =
            self.model.batches.iter().find(|batch| batch.header.base_offset == header.base_offset);
        let sent = Stored::new(&stored.unwrap().bytes, 0, -1);
        Operation::Retry { records: sent.bytes, first_offset: header.base_offset }
    }

    fn choose_gap(&mut self) -> Operation {
        let producer_id = IDEMPOTENT[self.random.index(IDEMPOTENT.len())];
        let producer = self.model.producers().get(&producer_id).cloned().unwrap_or_default();
        if producer.batches.is_empty() {
            return self.choose_append();
        }
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id,
            producer_epoch: producer.epoch,
            base_sequence: producer.next_sequence() + 1,
            ..BatchOptions::default()
        });
        builder.append(self.clock_ms, None, None, &[]);
        Operation::Gap { records: builder.build() }
    }

    /// A batch boundary at or behind the log start, as a high watermark is.
    fn boundary(&mut self) -> i64 {
        let ends: Vec<i64> = self
            .model
            .batches
            .iter()
            .map(|batch| batch.header.next_offset())
            .filter(|&end| end >= self.model.log_start)
            .collect();
        if ends.is_empty() { self.model.log_end } else { ends[self.random.index(ends.len())] }
    }

    pub(crate) fn run(&mut self, operation: &Operation) -> Outcome {
        let log = self.log.as_mut().expect("the log is open between operations");
        match operation {
            Operation::Append { records, origin, leader_epoch } => {
                let stored = Stored::new(records, self.model.log_end, *leader_epoch);
                let appended =
                    log.append_as_leader(records.clone(), *leader_epoch, *origin, START_MS);
                match appended {
                    Ok(info) if info.first_offset == self.model.log_end && !info.duplicate => {
                        self.model.push(stored);
                        Outcome::Done
                    }
                    Ok(info) => Outcome::Wrong(format!("{info:?}")),
                    Err(error) => failed(&error),
                }
            }
            Operation::Retry { records, first_offset } => {
                let retried = log.append_as_leader(
                    records.clone(),
                    self.leader_epoch,
                    AppendOrigin::Client,
                    START_MS,
                );
                match retried {
                    Ok(info) if info.duplicate && info.first_offset == *first_offset => {
                        Outcome::Done
                    }
                    other => Outcome::Wrong(format!("{other:?}")),
                }
            }
            Operation::Gap { records } => {
                let appended = log.append_as_leader(
                    records.clone(),
                    self.leader_epoch,
                    AppendOrigin::Client,
                    START_MS,
                );
                match appended {
                    Err(AppendError::Producer(_)) => Outcome::Done,
                    other => Outcome::Wrong(format!("{other:?}")),
                }
            }
            Operation::AppendToFullDisk { records, room } => {
                self.append_to_full_disk(records, *room)
            }
            Operation::Flush => match log.flush() {
                Ok(flushed) if flushed == self.model.log_end => {
                    self.model.flushed = flushed;
                    Outcome::Done
                }
                Ok(flushed) => {
                    Outcome::Wrong(format!("flushed {flushed} of {}", self.model.log_end))
                }
                Err(error) => failed(&error),
            },
            Operation::Checkpoint => {
                self.recovery_point = log.flushed_end_offset();
                Outcome::Done
            }
            Operation::Read { offset, max_bytes, upper_bound } => {
                verdict(self.model.check_read(log, *offset, *max_bytes, *upper_bound))
            }
            Operation::Lookup { timestamp } => verdict(self.model.check_lookup(log, *timestamp)),
            Operation::Roll => done(log.roll(START_MS)),
            Operation::AdvanceStart { offset } => {
                let outcome = done(log.advance_log_start_offset(*offset));
                if matches!(outcome, Outcome::Done) {
                    self.model.log_start = *offset;
                }
                outcome
            }
            Operation::Retain => {
                self.retained_up_to = self.model.flushed;
                let outcome = done(log.delete_expired(START_MS, self.model.flushed).map(|_| ()));
                if log.log_start_offset() < self.model.log_start
                    || log.log_start_offset() > self.model.flushed.max(self.model.log_start)
                {
                    return Outcome::Wrong(format!("log starts at {}", log.log_start_offset()));
                }
                if matches!(outcome, Outcome::Done) {
                    self.model.log_start = log.log_start_offset();
                }
                outcome
            }
            Operation::Truncate { offset } => {
                self.recovery_point = self.recovery_point.min(*offset);
                let outcome = done(log.truncate_to(*offset, START_MS));
                if matches!(outcome, Outcome::Done) {
                    self.model.truncate_compacted(*offset, log);
                    self.recovery_point = self.recovery_point.min(self.model.log_end);
                }
                outcome
            }
            Operation::Compact { first, count, seed } => self.compact(*first, *count, *seed),
            Operation::Reopen { damage } => self.reopen(*damage),
        }
    }

    fn append_to_full_disk(&mut self, records: &Bytes, room: u64) -> Outcome {
        let log = self.log.as_mut().expect("the log is open between operations");
        let used: u64 = self.disk.list(&dir()).unwrap_or_default().iter().map(|e| e.size).sum();
        self.disk.set_capacity(Some(used + room));
        let leader_epoch = self.leader_epoch;
        let appended =
            log.append_as_leader(records.clone(), leader_epoch, AppendOrigin::Client, START_MS);
        self.disk.set_capacity(None);
        match appended {
            Err(AppendError::DiskFull(_)) => verdict(self.model.check(log)),
            Err(error) => failed(&error),
            Ok(info) => Outcome::Wrong(format!("{info:?}")),
        }
    }

    /// Removes some batches without a producer from sealed segments.
    fn compact(&mut self, first: usize, count: usize, seed: u64) -> Outcome {
        let log = self.log.as_mut().expect("the log is open between operations");
        let segments = match log.cleanable_segments(self.model.flushed) {
            Ok(segments) => segments,
            Err(error) => return failed(&error),
        };
        let Some(chosen) = segments.get(first..(first + count).min(segments.len())) else {
            return Outcome::Done;
        };
        let (Some(first), Some(last)) = (chosen.first(), chosen.last()) else {
            return Outcome::Done;
        };
        let replaced = first.base_offset..last.end_offset;
        let mut cleaned = match log.begin_cleaned(first.base_offset) {
            Ok(cleaned) => cleaned,
            Err(error) => return failed(&error),
        };
        for segment in chosen {
            let Ok(bytes) = segment.range.read() else {
                return Outcome::Failed("read".to_owned());
            };
            for batch in Batches::new(bytes) {
                let batch = batch.unwrap();
                if !is_compacted_away(batch.header().base_offset, batch.header().producer_id, seed)
                    && let Err(error) = cleaned.append(batch.bytes())
                {
                    return failed(&error);
                }
            }
        }
        let outcome = done(log.replace_segments(cleaned, replaced.clone()));
        if matches!(outcome, Outcome::Done) {
            mark_compacted(&mut self.model, &replaced, seed);
        } else {
            // Where the exchange was cut short, the check needs to know its extent.
            self.compacting = replaced;
        }
        outcome
    }

    /// Closes the log cleanly, perhaps damages what can be rebuilt, and opens it again.
    fn reopen(&mut self, damage: Option<u64>) -> Outcome {
        let mut log = self.log.take().expect("the log is open between operations");
        if let Err(error) = log.close() {
            return failed(&error);
        }
        self.model.flushed = self.model.log_end;
        self.recovery_point = self.model.log_end;
        let mut clean_shutdown = true;
        if let Some(seed) = damage {
            let mut random = Random::new(seed);
            clean_shutdown = random.once_in(2);
            self.damage(&mut random);
        }
        match open(&self.disk, clean_shutdown, self.recovery_point) {
            Ok(log) => {
                self.log = Some(log);
                Outcome::Done
            }
            Err(error) => failed(&error),
        }
    }

    /// Removes or flips a bit in some files that can be rebuilt.
    fn damage(&self, random: &mut Random) {
        let nothing_deleted = self.model.log_start == 0;
        for entry in self.disk.list(&dir()).unwrap_or_default() {
            let suffix = entry.name.rsplit('.').next().unwrap_or_default();
            let can_be_rebuilt = match suffix {
                "index" | "timeindex" | "txnindex" | "seal" | "leader-epoch-checkpoint" => true,
                // The only witness of deleted records is not to be lost.
                "snapshot" => nothing_deleted,
                _ => false,
            };
            if !can_be_rebuilt || random.once_in(2) {
                continue;
            }
            let path = dir().join(&entry.name);
            if entry.size > 0 && random.once_in(2) {
                let bit = 1 << random.below(8);
                self.disk.flip_bits(&path, random.below(entry.size), bit).unwrap();
            } else if self.disk.remove_file(&path).is_err() {
                return;
            }
        }
    }
}

impl Survivor {
    pub(crate) fn pending(&self) -> Option<&Operation> {
        self.pending.as_ref()
    }

    pub(crate) fn try_open(&self, disk: &SimulatedDisk) -> Result<PartitionLog, OpenError> {
        open(disk, false, self.recovery_point)
    }

    /// Opens the log again, and finds out in which of the states that are allowed it is.
    pub(crate) fn reboot(self, disk: &SimulatedDisk) -> Result<Machine, String> {
        let log = self.try_open(disk).map_err(|error| format!("{error:?}"))?;
        let mut differences = Vec::new();
        for mut model in self.candidates(&log) {
            let (start, end) = (log.log_start_offset(), log.log_end_offset());
            if end < model.flushed {
                differences.push(format!("{end} is below the flushed end {}", model.flushed));
                continue;
            }
            model.truncate(end);
            // Whole segments may be gone already, as far as retention was allowed to go.
            if matches!(self.pending, Some(Operation::Retain))
                && (model.log_start..=self.retained_up_to).contains(&start)
            {
                model.log_start = start;
            }
            match model.check(&log) {
                Ok(()) => {
                    model.flushed = end;
                    return Ok(Machine {
                        disk: disk.clone(),
                        log: Some(log),
                        model,
                        pending: None,
                        random: Random::new(self.random_seed),
                        recovery_point: self.recovery_point.min(end),
                        leader_epoch: self.leader_epoch,
                        clock_ms: self.clock_ms,
                        retained_up_to: 0,
                        compacting: 0..0,
                    });
                }
                Err(difference) => differences.push(difference),
            }
        }
        Err(differences.join("\nor "))
    }

    /// The model before the pending operation, and after it.
    fn candidates(&self, log: &PartitionLog) -> Vec<Model> {
        let mut after = self.model.clone();
        match &self.pending {
            Some(Operation::Append { records, leader_epoch, .. }) => {
                after.push(Stored::new(records, self.model.log_end, *leader_epoch));
            }
            Some(Operation::AdvanceStart { offset }) => after.log_start = *offset,
            Some(Operation::Truncate { offset }) => {
                // It cuts from the end, and where it stopped is the end.
                after.flushed = after.flushed.min(*offset);
                let end = log.log_end_offset();
                after.truncate_compacted(end.max(*offset), log);
                after.flushed = after.flushed.min(end);
            }
            Some(Operation::Compact { seed, .. }) => {
                mark_compacted(&mut after, &self.compacting, *seed);
            }
            _ => {}
        }
        vec![self.model.clone(), after]
    }
}

fn is_compacted_away(base_offset: i64, producer_id: i64, seed: u64) -> bool {
    let mut random = Random::new(seed ^ u64::try_from(base_offset).unwrap());
    producer_id == PLAIN && random.once_in(2)
}

fn mark_compacted(model: &mut Model, replaced: &Range<i64>, seed: u64) {
    for batch in &mut model.batches {
        let header = &batch.header;
        if replaced.contains(&header.base_offset) {
            batch.removed |= is_compacted_away(header.base_offset, header.producer_id, seed);
        }
    }
}

fn done(result: Result<(), MaintenanceError>) -> Outcome {
    result.map_or_else(|error| failed(&error), |()| Outcome::Done)
}

fn verdict(result: Result<(), String>) -> Outcome {
    result.map_or_else(Outcome::Wrong, |()| Outcome::Done)
}

fn failed(error: &dyn std::error::Error) -> Outcome {
    Outcome::Failed(format!("{error} ({:?})", error.source()))
}
