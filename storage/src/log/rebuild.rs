//! Indexes and producer state on demand: from their files where these are sound, from the log
//! where not.

use std::collections::BTreeMap;

use super::PartitionLog;
use crate::batch_walk::{HeaderWalk, WalkError};
use crate::error::{ReadError, Stopped};
use crate::file_names::{LOG, segment_file};
use crate::partition_dir::{PartitionDir, list_snapshots};
use crate::producer_snapshot;
use crate::producer_state::ProducerState;
use crate::replay::{end_marker, replay_producer};
use crate::segment::Segment;
use crate::segment_index::SegmentIndex;

impl PartitionLog {
    /// The index of a segment, loaded or rebuilt at the first use.
    pub(super) fn index<'a>(&self, segment: &'a Segment) -> Result<&'a SegmentIndex, ReadError> {
        if let Some(index) = segment.loaded_index() {
            return Ok(index);
        }
        let index = match segment.load_index(&self.dir)? {
            Some(index) => index,
            None => {
                rebuild_index(&self.dir, &self.segments, segment, self.config.index_interval_bytes)?
            }
        };
        Ok(segment.provide_index(index))
    }
}

/// Builds the index of a segment from the headers in its log file.
pub(crate) fn rebuild_index(
    dir: &PartitionDir,
    segments: &BTreeMap<i64, Segment>,
    segment: &Segment,
    interval_bytes: u32,
) -> Result<SegmentIndex, ReadError> {
    let base_offset = segment.base_offset();
    tracing::info!(dir = %dir.path().display(), base_offset, "rebuilding the indexes of a segment");
    let mut index = SegmentIndex::new(base_offset);
    let mut has_control = false;
    let file = segment.file(dir)?;
    let mut walk = HeaderWalk::new(&**file, 0..segment.size(), segment.offsets());
    while let Some((position, header)) =
        walk.next().map_err(|error| read_error(dir, segment, error))?
    {
        index.add(position, &header, interval_bytes);
        has_control |= header.is_control();
    }
    index.index_newest();
    if has_control {
        // Only the producer state tells which transactions a marker ends, and where they began.
        let mut producers = producer_state_at(dir, segments, base_offset)?;
        replay_segment(dir, segment, base_offset, i64::MAX, &mut producers, |transaction| {
            index.aborted.append(transaction);
        })?;
    }
    Ok(index)
}

/// The producer state before `offset`: the newest sound snapshot, and what the log adds to it.
pub(crate) fn producer_state_at(
    dir: &PartitionDir,
    segments: &BTreeMap<i64, Segment>,
    offset: i64,
) -> Result<ProducerState, ReadError> {
    let (mut state, from) = newest_snapshot(dir, offset)?;
    let first = segments.range(..=from).next_back().map_or(from, |(&base_offset, _)| base_offset);
    for segment in segments.range(first..offset).map(|(_, segment)| segment) {
        replay_segment(dir, segment, from, offset, &mut state, |_| {})?;
    }
    Ok(state)
}

/// The newest sound snapshot at or below `offset`, and its offset.
fn newest_snapshot(dir: &PartitionDir, offset: i64) -> Result<(ProducerState, i64), ReadError> {
    for (at, name) in list_snapshots(dir)?.into_iter().rev() {
        if at > offset {
            continue;
        }
        if let Some(state) = dir.read(&name)?.as_deref().and_then(producer_snapshot::decode) {
            return Ok((state, at));
        }
        tracing::warn!(dir = %dir.path().display(), name, "damaged producer snapshot ignored");
    }
    Ok((ProducerState::default(), 0))
}

/// Folds the batches of a segment within `from..to` into the producer state.
fn replay_segment(
    dir: &PartitionDir,
    segment: &Segment,
    from: i64,
    to: i64,
    producers: &mut ProducerState,
    mut on_aborted: impl FnMut(crate::aborted_index::AbortedTransaction),
) -> Result<(), ReadError> {
    let file = segment.file(dir)?;
    // Indexes are not used here: they may be what is being rebuilt.
    let mut walk = HeaderWalk::new(&**file, 0..segment.size(), segment.offsets());
    while let Some((position, header)) =
        walk.next().map_err(|error| read_error(dir, segment, error))?
    {
        if header.base_offset >= to {
            break;
        }
        if header.base_offset < from || !header.has_producer_id() {
            continue;
        }
        let marker = if header.is_control() {
            let mut batch = vec![0; header.size_in_bytes()];
            file.read_exact_at(&mut batch, position)
                .map_err(|source| segment.error(dir, "read", source))?;
            end_marker(&header, &[&batch])
        } else {
            None
        };
        replay_producer(producers, &header, marker).into_iter().for_each(&mut on_aborted);
    }
    Ok(())
}

pub(crate) fn read_error(dir: &PartitionDir, segment: &Segment, error: WalkError) -> ReadError {
    let path = dir.file_path(&segment_file(segment.base_offset(), LOG));
    Stopped::of(error, &path).into_read_error(segment.base_offset())
}
