//! Opening a log: what is on disk becomes a consistent log again.
//!
//! After a clean shutdown the files are believed. Otherwise every segment that reaches past the
//! recovery point is read and checked. The log ends before the first invalid batch, and that is no
//! loss: nothing above the recovery point was ever promised, or a sync would have moved the point.
//! An invalid batch below it is damage, which is reported and never cut off.
//!
//! Every step can be repeated: a crash during recovery leaves what the next recovery repairs.

use std::collections::BTreeMap;

use crate::batch_walk::{HeaderWalk, verify};
use crate::config::LogConfig;
use crate::epoch_cache::EpochCache;
use crate::error::{CorruptBatch, DiskError, OpenError, ReadError, Stopped};
use crate::file_names::{
    LEADER_EPOCHS, LOG, LOG_STATE, SNAPSHOT, parse_segment_file, segment_file,
};
use crate::log::OpenContext;
use crate::log::cleaning::resolve_leftovers;
use crate::log::rebuild::{producer_state_at, read_error, rebuild_index};
use crate::log::retention::remove_unreachable;
use crate::log_state::{LogState, decode_leader_epochs, encode_leader_epochs};
use crate::partition_dir::{PartitionDir, list_snapshots};
use crate::producer_state::ProducerState;
use crate::replay::{end_marker, replay};
use crate::segment::Segment;
use crate::segment_index::SegmentIndex;

/// A consistent log.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: BTreeMap<i64, Segment>,
    pub(crate) log_start_offset: i64,
    pub(crate) log_end_offset: i64,
    pub(crate) epochs: EpochCache,
    pub(crate) producers: ProducerState,
}

/// Makes the log in `dir` consistent.
pub(crate) fn recover(
    dir: &PartitionDir,
    config: &LogConfig,
    context: OpenContext,
) -> Result<Recovered, OpenError> {
    resolve_leftovers(dir)?;
    let stored = dir.read(LOG_STATE)?.as_deref().and_then(LogState::decode);
    let mut segments = list_segments(dir)?;
    let first = segments.first_key_value().map_or(0, |(&base_offset, _)| base_offset);
    let log_start_offset = stored.as_ref().map_or(first, |state| state.log_start_offset.max(first));
    let is_new = segments.is_empty();
    if is_new {
        restart(dir, &mut segments, log_start_offset)?;
    }

    let mut recovery = Recovery {
        dir,
        config,
        recovery_point: context.recovery_point,
        segments,
        epochs: EpochCache::default(),
        producers: ProducerState::default(),
    };
    // A log that was being emptied may hold batches of epochs that its state has forgotten.
    let stored_epochs = stored.map(|state| state.epochs);
    let known_epochs = stored_epochs.filter(|epochs| {
        epochs.latest().is_some() || recovery.segments.values().all(|segment| segment.size() == 0)
    });
    let had_epochs = known_epochs.is_some();
    recovery.epochs = match known_epochs {
        Some(epochs) => epochs,
        None => recovery.rebuild_epochs(context.clean_shutdown)?,
    };
    if context.clean_shutdown || is_new {
        recovery.trust()?;
    } else {
        recovery.scan()?;
    }
    // A crash may have cut a deletion short.
    recovery.remove_unreachable(log_start_offset)?;
    let Recovery { mut segments, mut epochs, mut producers, .. } = recovery;

    let active = segments.last_key_value().expect("recovery leaves a segment").1;
    let mut log_end_offset =
        active.loaded_index().expect("recovery loads the active index").end_offset;
    if log_end_offset < log_start_offset {
        tracing::warn!(dir = %dir.path().display(), log_start_offset, log_end_offset,
            "the log ends before its start, and begins anew there");
        restart(dir, &mut segments, log_start_offset)?;
        log_end_offset = log_start_offset;
        producers = ProducerState::default();
    }
    let early_epochs = epochs.truncate_from_start(log_start_offset);
    let lost_epochs = epochs.truncate_from_end(log_end_offset) || early_epochs;
    remove_stray_snapshots(dir, &segments, log_end_offset)?;
    if !context.clean_shutdown && !is_new {
        // Names that a killed process made may not be durable yet.
        dir.sync()?;
    }
    if lost_epochs || !had_epochs && log_end_offset > 0 {
        let state = LogState { log_start_offset, epochs: epochs.clone() };
        dir.write_durably(LOG_STATE, &state.encode())?;
        dir.write(LEADER_EPOCHS, &encode_leader_epochs(&epochs))?;
    }
    Ok(Recovered { segments, log_start_offset, log_end_offset, epochs, producers })
}

/// Removes all segments and begins with an empty one at `base_offset`.
pub(crate) fn restart(
    dir: &PartitionDir,
    segments: &mut BTreeMap<i64, Segment>,
    base_offset: i64,
) -> Result<(), DiskError> {
    let state = LogState { log_start_offset: base_offset, epochs: EpochCache::default() };
    if base_offset > 0 || !segments.is_empty() {
        dir.write_durably(LOG_STATE, &state.encode())?;
    }
    // From the end, so that whatever a crash leaves is a prefix.
    while let Some(entry) = segments.last_entry() {
        entry.get().remove(dir)?;
        entry.remove();
        dir.sync()?;
    }
    for entry in dir.list()? {
        if parse_segment_file(&entry.name).is_some_and(|(_, suffix)| suffix == SNAPSHOT) {
            dir.remove(&entry.name)?;
        }
    }
    segments.insert(base_offset, Segment::create(dir, base_offset)?);
    dir.sync()
}

/// Finds the segments, and removes index files whose log file is gone.
fn list_segments(dir: &PartitionDir) -> Result<BTreeMap<i64, Segment>, DiskError> {
    let entries = dir.list()?;
    let mut segments = BTreeMap::new();
    for entry in &entries {
        if let Some((base_offset, LOG)) = parse_segment_file(&entry.name) {
            segments.insert(base_offset, Segment::existing(base_offset, entry.size));
        }
    }
    for entry in entries {
        if let Some((base_offset, suffix)) = parse_segment_file(&entry.name)
            && suffix != SNAPSHOT
            && !segments.contains_key(&base_offset)
        {
            dir.remove(&entry.name)?;
        }
    }
    Ok(segments)
}

/// Removes the snapshots that nothing will ask for: those above the log end tell of records that
/// are lost, and of the others only the newest and those at segment boundaries are of use.
fn remove_stray_snapshots(
    dir: &PartitionDir,
    segments: &BTreeMap<i64, Segment>,
    log_end_offset: i64,
) -> Result<(), DiskError> {
    let mut snapshots = list_snapshots(dir)?;
    let above = snapshots.split_off(snapshots.partition_point(|&(at, _)| at <= log_end_offset));
    snapshots.pop();
    snapshots.retain(|(offset, _)| !segments.contains_key(offset));
    for (_, name) in snapshots.into_iter().chain(above) {
        dir.remove(&name)?;
    }
    Ok(())
}

struct Recovery<'a> {
    dir: &'a PartitionDir,
    config: &'a LogConfig,
    recovery_point: i64,
    segments: BTreeMap<i64, Segment>,
    epochs: EpochCache,
    producers: ProducerState,
}

impl Recovery<'_> {
    /// After a clean shutdown: loads what was written then, and rebuilds what is missing.
    fn trust(&mut self) -> Result<(), OpenError> {
        let (&base_offset, active) = self.segments.last_key_value().expect("never empty");
        let index = match active.load_index(self.dir)? {
            Some(index) => index.detach(),
            None if active.size() == 0 => SegmentIndex::new(base_offset),
            None => {
                let interval_bytes = self.config.index_interval_bytes;
                rebuild_index(self.dir, &self.segments, active, interval_bytes)
                    .map_err(|error| self.open_error(error))?
            }
        };
        // It will grow, and then the seal would no longer tell the truth.
        active.remove_seal(self.dir)?;
        let end_offset = index.end_offset;
        active.provide_index(index);
        self.producers = producer_state_at(self.dir, &self.segments, end_offset)
            .map_err(|error| self.open_error(error))?;
        Ok(())
    }

    /// After a crash: reads every segment that reaches past the recovery point.
    fn scan(&mut self) -> Result<(), OpenError> {
        let reaching = self.segments.range(..=self.recovery_point).next_back();
        let first = reaching.map_or(i64::MIN, |(&base_offset, _)| base_offset);
        let mut bases: Vec<i64> = self.segments.range(first..).map(|(&base, _)| base).collect();
        self.producers = producer_state_at(self.dir, &self.segments, bases[0])
            .map_err(|error| self.open_error(error))?;
        bases.reverse();
        while let Some(base_offset) = bases.pop() {
            if self.scan_segment(base_offset)? {
                continue;
            }
            // The log ends here. Later segments go from the end, so that a crash leaves a prefix.
            for later in bases.drain(..) {
                let segment = self.segments.remove(&later).expect("it was listed");
                tracing::warn!(dir = %self.dir.path().display(), base_offset = later,
                    "removing a segment behind the end of the log");
                segment.remove(self.dir)?;
                self.dir.sync()?;
            }
        }
        self.finish_scan(first)
    }

    /// Reads one segment; returns whether it is whole. A torn tail is cut off.
    fn scan_segment(&mut self, base_offset: i64) -> Result<bool, OpenError> {
        let next_base = self.segments.range(base_offset + 1..).next().map(|(&next, _)| next);
        let segment = self.segments.get_mut(&base_offset).expect("it was listed");
        let mut offsets = segment.offsets();
        offsets.end = next_base.map_or(offsets.end, |next| next.min(offsets.end));
        let mut index = SegmentIndex::new(base_offset);
        let file = segment.file(self.dir)?;
        let (epochs, producers) = (&mut self.epochs, &mut self.producers);
        let interval_bytes = self.config.index_interval_bytes;
        let outcome = verify(&**file, 0..segment.size(), offsets, |position, header, batch| {
            index.add(position, header, interval_bytes);
            let marker = end_marker(header, &[batch]);
            for transaction in replay(producers, epochs, header, marker) {
                index.aborted.append(transaction);
            }
        });
        let end_offset = index.end_offset;
        segment.replace_index(index);
        let Err(error) = outcome else { return Ok(true) };

        let path = self.dir.file_path(&segment_file(base_offset, LOG));
        match Stopped::of(error, &path) {
            Stopped::Disk(error) => Err(error.into()),
            Stopped::Corrupt { position, source } if end_offset < self.recovery_point => {
                Err(self.corrupt(base_offset, position, end_offset, source))
            }
            Stopped::Corrupt { position, source } => {
                tracing::warn!(path = %path.display(), position, end_offset, %source,
                    "cutting off the torn tail of the log");
                segment.truncate(self.dir, position)?;
                Ok(false)
            }
        }
    }

    /// Makes the outcome of a scan durable.
    fn finish_scan(&mut self, first: i64) -> Result<(), OpenError> {
        let active = *self.segments.last_key_value().expect("never empty").0;
        for (&base_offset, segment) in self.segments.range_mut(first..) {
            if base_offset == active {
                // What a killed process wrote may still wait in the page cache.
                segment.sync(self.dir)?;
                segment.remove_seal(self.dir)?;
            } else {
                segment.write_index(self.dir)?;
                segment.unload_index();
            }
        }
        let end_offset = self.segments[&active].loaded_index().expect("just scanned").end_offset;
        if end_offset < self.recovery_point {
            // Nothing is left to repair it from, and refusing to open would not bring it back.
            tracing::error!(dir = %self.dir.path().display(), end_offset,
                recovery_point = self.recovery_point, "records that had been flushed are missing");
        }
        Ok(())
    }

    /// The leader epochs, where the file that keeps them is lost: from the log as far as it
    /// reaches, and from Kafka's checkpoint for what lies before.
    fn rebuild_epochs(&self, clean_shutdown: bool) -> Result<EpochCache, OpenError> {
        let (&first, _) = self.segments.first_key_value().expect("never empty");
        let checkpoint = self.dir.read(LEADER_EPOCHS)?;
        let mut epochs = checkpoint.as_deref().and_then(decode_leader_epochs).unwrap_or_default();
        epochs.truncate_from_end(first);
        for segment in self.segments.values() {
            let file = segment.file(self.dir)?;
            let mut walk = HeaderWalk::new(&**file, 0..segment.size(), segment.offsets());
            loop {
                match walk.next() {
                    Ok(Some((_, header))) => {
                        epochs.assign(header.partition_leader_epoch, header.base_offset);
                    }
                    Ok(None) => break,
                    // The scan that follows judges what this is, and where the log ends.
                    Err(_) if !clean_shutdown => return Ok(epochs),
                    Err(error) => {
                        return Err(self.open_error(read_error(self.dir, segment, error)));
                    }
                }
            }
        }
        Ok(epochs)
    }

    fn remove_unreachable(&mut self, log_start_offset: i64) -> Result<(), OpenError> {
        let removed = remove_unreachable(self.dir, &mut self.segments, log_start_offset);
        removed.map_err(|error| self.open_error(error))
    }

    fn open_error(&self, error: ReadError) -> OpenError {
        match error {
            ReadError::Disk(error) => error.into(),
            ReadError::Corrupt { base_offset, position, source } => {
                self.corrupt(base_offset, position, base_offset, source)
            }
            ReadError::OffsetOutOfRange { .. } => {
                unreachable!("recovery reads whole segments, not offsets")
            }
        }
    }

    fn corrupt(
        &self,
        base_offset: i64,
        position: u64,
        offset: i64,
        source: CorruptBatch,
    ) -> OpenError {
        let path = self.dir.file_path(&segment_file(base_offset, LOG));
        let recovery_point = self.recovery_point;
        OpenError::Corrupt { path, position, offset, recovery_point, source }
    }
}
