//! One segment: a log file, and the indexes that make it searchable.
//!
//! A segment is found by listing the directory and costs next to nothing until it is read: the file
//! is opened and the indexes are mapped at the first use. The segment trusts index files only where
//! a seal vouches for them; rebuilding them needs producer state and is the log's business.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use flumen_protocol::FileSource;
use flumen_protocol::records::BatchHeader;

use crate::aborted_index::AbortedIndex;
use crate::batch_walk::{HeaderWalk, WalkError};
use crate::error::DiskError;
use crate::file_names::{
    ABORTED_INDEX, LOG, OFFSET_INDEX, SEAL, SNAPSHOT, TIME_INDEX, segment_file,
};
use crate::offset_index::OffsetIndex;
use crate::partition_dir::PartitionDir;
use crate::seal::{IndexSum, Seal};
use crate::segment_index::SegmentIndex;
use crate::time_index::TimeIndex;
use crate::vfs::{OpenOptions, VfsFile};

/// Number of offsets that a segment can span.
const OFFSETS_MAX: i64 = 1 << 31;

/// Blocks are set aside this much ahead of the end of an active segment, at the least and at most;
/// between the two as much as the segment has already, so that small partitions stay small.
///
/// On ext4 a page written into blocks set aside costs a third less processor time than one whose
/// blocks are found at the write, and a sync of a few bytes is a quarter faster.
const RESERVED_MIN: u64 = 64 * 1024;
const RESERVED_MAX: u64 = 16 * 1024 * 1024;

/// A segment of a partition log.
#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: i64,
    size: u64,
    /// Up to where blocks have been set aside; 0 where this is not known.
    reserved_end: u64,
    file: OnceLock<Arc<dyn VfsFile>>,
    index: OnceLock<SegmentIndex>,
}

impl Segment {
    /// Creates an empty segment; whatever the file held before is dropped.
    pub(crate) fn create(dir: &PartitionDir, base_offset: i64) -> Result<Self, DiskError> {
        let file = dir.open(&segment_file(base_offset, LOG), OpenOptions::REPLACE)?;
        Ok(Self {
            base_offset,
            size: 0,
            reserved_end: 0,
            file: OnceLock::from(file),
            index: OnceLock::from(SegmentIndex::new(base_offset)),
        })
    }

    /// A segment whose file exists and has this size.
    pub(crate) fn existing(base_offset: i64, size: u64) -> Self {
        Self { base_offset, size, reserved_end: 0, file: OnceLock::new(), index: OnceLock::new() }
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// The end of the offsets that the indexes can say, which they do relative to the base offset.
    pub(crate) fn offset_limit(&self) -> i64 {
        self.base_offset.saturating_add(OFFSETS_MAX)
    }

    /// Where its offsets may lie.
    pub(crate) fn offsets(&self) -> Range<i64> {
        self.base_offset..self.offset_limit()
    }

    /// Bytes of the log file that hold batches.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The log file, opened at the first call.
    pub(crate) fn file(&self, dir: &PartitionDir) -> Result<&Arc<dyn VfsFile>, DiskError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = dir.open(&segment_file(self.base_offset, LOG), OpenOptions::WRITE)?;
        Ok(self.file.get_or_init(|| file))
    }

    /// The index, if it is loaded.
    pub(crate) fn loaded_index(&self) -> Option<&SegmentIndex> {
        self.index.get()
    }

    /// The index of a segment that is written to.
    pub(crate) fn index_mut(&mut self) -> &mut SegmentIndex {
        self.index.get_mut().expect("the active segment's index is loaded when it becomes active")
    }

    /// Takes over a loaded or rebuilt index; the first one stays.
    pub(crate) fn provide_index(&self, index: SegmentIndex) -> &SegmentIndex {
        self.index.get_or_init(|| index)
    }

    /// Replaces the index after recovery or truncation.
    pub(crate) fn replace_index(&mut self, index: SegmentIndex) {
        self.index = OnceLock::from(index);
    }

    /// Notes that `size` bytes have been written behind the others.
    pub(crate) fn grow(&mut self, size: usize) {
        self.size += size as u64;
    }

    /// Sets blocks aside for `size` more bytes and some that will follow them, but none beyond
    /// `limit`, the largest size of a segment.
    pub(crate) fn reserve(
        &mut self,
        dir: &PartitionDir,
        size: usize,
        limit: u64,
    ) -> Result<(), DiskError> {
        let end = self.size + size as u64;
        if end <= self.reserved_end {
            return Ok(());
        }
        let ahead = self.size.clamp(RESERVED_MIN, RESERVED_MAX);
        let reserved_end = (end + ahead).min(limit).max(end);
        self.file(dir)?.reserve(self.reserved_end.max(self.size)..reserved_end);
        self.reserved_end = reserved_end;
        Ok(())
    }

    /// Gives back what was set aside and will not be used.
    pub(crate) fn give_back_reserved(&mut self, dir: &PartitionDir) -> Result<(), DiskError> {
        if self.reserved_end > self.size {
            let truncated = self.file(dir)?.truncate(self.size);
            truncated.map_err(|source| self.error(dir, "truncate", source))?;
        }
        self.reserved_end = 0;
        Ok(())
    }

    /// Cuts the file off.
    pub(crate) fn truncate(&mut self, dir: &PartitionDir, size: u64) -> Result<(), DiskError> {
        let file = self.file(dir)?;
        file.truncate(size).map_err(|source| self.error(dir, "truncate", source))?;
        file.sync_data().map_err(|source| self.error(dir, "sync", source))?;
        self.size = size;
        self.reserved_end = 0;
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self, dir: &PartitionDir) -> Result<(), DiskError> {
        self.file(dir)?.sync_data().map_err(|source| self.error(dir, "sync", source))
    }

    pub(crate) fn error(
        &self,
        dir: &PartitionDir,
        action: &'static str,
        source: std::io::Error,
    ) -> DiskError {
        DiskError::new(action, &dir.file_path(&segment_file(self.base_offset, LOG)), source)
    }

    /// Writes the index files and the seal, which must already cover the whole log file.
    pub(crate) fn write_index(&mut self, dir: &PartitionDir) -> Result<(), DiskError> {
        let (base_offset, log_size) = (self.base_offset, self.size);
        let index = self.index_mut();
        index.index_newest();
        let aborted = index.aborted.encode();
        let seal = Seal {
            log_size,
            end_offset: index.end_offset,
            first_timestamp: index.first_timestamp,
            newest: index.newest,
            offset_index: IndexSum::of(index.offsets.as_bytes()),
            time_index: IndexSum::of(index.times.as_bytes()),
            aborted_index: IndexSum::of(&aborted),
        };
        dir.write(&segment_file(base_offset, OFFSET_INDEX), index.offsets.as_bytes())?;
        dir.write(&segment_file(base_offset, TIME_INDEX), index.times.as_bytes())?;
        if !aborted.is_empty() {
            dir.write(&segment_file(base_offset, ABORTED_INDEX), &aborted)?;
        }
        dir.write(&segment_file(base_offset, SEAL), &seal.encode())
    }

    /// Drops the index from memory: the next use maps the files that [`Self::write_index`] wrote.
    pub(crate) fn unload_index(&mut self) {
        self.index = OnceLock::new();
    }

    /// Loads the index from its files; `None` where no seal vouches for them.
    pub(crate) fn load_index(&self, dir: &PartitionDir) -> Result<Option<SegmentIndex>, DiskError> {
        let name = |suffix| segment_file(self.base_offset, suffix);
        let seal = dir.read(&name(SEAL))?.as_deref().and_then(Seal::decode);
        let is_ours = |seal: &Seal| seal.log_size == self.size && seal.is_within(&self.offsets());
        let Some(seal) = seal.filter(is_ours) else { return Ok(None) };
        let load = |suffix, sum: IndexSum| {
            if sum.size == 0 {
                return Ok(Some(bytes::Bytes::new()));
            }
            let path = dir.file_path(&name(suffix));
            let file = match dir.open(&name(suffix), OpenOptions::READ) {
                Ok(file) => file,
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let size = file.size().map_err(|source| DiskError::new("inspect", &path, source))?;
            if size != u64::from(sum.size) {
                return Ok(None);
            }
            let bytes = file.map(0..size).map_err(|source| DiskError::new("map", &path, source))?;
            Ok((IndexSum::of(&bytes) == sum).then_some(bytes))
        };
        let offsets = load(OFFSET_INDEX, seal.offset_index)?;
        let times = load(TIME_INDEX, seal.time_index)?;
        let aborted = load(ABORTED_INDEX, seal.aborted_index)?;
        let (Some(offsets), Some(times), Some(aborted)) = (offsets, times, aborted) else {
            return Ok(None);
        };
        let Some(aborted) = AbortedIndex::decode(&aborted) else { return Ok(None) };
        Ok(Some(SegmentIndex::sealed(
            &seal,
            OffsetIndex::sealed(self.base_offset, offsets),
            TimeIndex::sealed(self.base_offset, times),
            aborted,
        )))
    }

    /// Removes the seal of a segment that is about to grow.
    pub(crate) fn remove_seal(&self, dir: &PartitionDir) -> Result<(), DiskError> {
        dir.remove(&segment_file(self.base_offset, SEAL))
    }

    /// Removes all files of the segment, the log file last: what remains after a crash is a
    /// segment without indexes, which is a whole one.
    pub(crate) fn remove(&self, dir: &PartitionDir) -> Result<(), DiskError> {
        for suffix in [SEAL, ABORTED_INDEX, TIME_INDEX, OFFSET_INDEX, SNAPSHOT, LOG] {
            dir.remove(&segment_file(self.base_offset, suffix))?;
        }
        Ok(())
    }

    /// Finds the first batch, at or behind the position an index gave, for which `found` holds.
    pub(crate) fn find_batch(
        &self,
        file: &dyn FileSource,
        start: u64,
        mut found: impl FnMut(&BatchHeader) -> bool,
    ) -> Result<Option<(u64, BatchHeader)>, WalkError> {
        let mut walk = HeaderWalk::new(file, start..self.size, self.offsets());
        while let Some((position, header)) = walk.next()? {
            if found(&header) {
                return Ok(Some((position, header)));
            }
        }
        Ok(None)
    }
}
