//! What compaction needs of a log: the segments it may read, and the exchange of old segments for a
//! compacted one. What is kept of them is decided in `compaction`.
//!
//! The exchange is decided by one rename. In order, each step durable before the next:
//!
//! 1. `<base>.log.cleaned` is whole
//! 2. `<base>.swap` says which segments it replaces
//! 3. it is renamed `<base>.log.swap`: from here on the exchange will be finished, before here undone
//! 4. the other old segments are removed
//! 5. it is renamed `<base>.log`, in place of the first old segment
//! 6. `<base>.swap` is removed

use std::ops::Range;
use std::sync::Arc;

use flumen_protocol::{FileRange, FileSource};

use super::PartitionLog;
use super::rebuild::rebuild_index;
use crate::batch_walk::as_size;
use crate::error::{DiskError, MaintenanceError, ReadError};
use crate::file_names::{
    ABORTED_INDEX, CLEANED, DELETED, LOG, OFFSET_INDEX, SEAL, SNAPSHOT, SWAP, TIME_INDEX,
    parse_segment_file, segment_file,
};
use crate::partition_dir::PartitionDir;
use crate::segment::Segment;
use crate::vfs::{OpenOptions, VfsFile};

/// A sealed segment, as compaction sees it.
#[derive(Debug, Clone)]
pub struct CleanableSegment {
    /// Offset that the segment is named after.
    pub base_offset: i64,
    /// The base offset of the next segment.
    pub end_offset: i64,
    /// All its batches.
    pub range: FileRange,
    /// Newest timestamp of its records.
    pub newest_timestamp: Option<i64>,
}

/// A compacted segment being written, beside the log and without its lock.
#[derive(Debug)]
pub struct CleanedSegment {
    dir: PartitionDir,
    base_offset: i64,
    file: Arc<dyn VfsFile>,
    size: u64,
}

impl CleanedSegment {
    /// Adds whole batches, offsets as they are.
    pub fn append(&mut self, batches: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(batches, self.size).map_err(|source| self.error("write", source))?;
        self.size += batches.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives the segment up.
    pub fn discard(self) -> Result<(), DiskError> {
        self.dir.remove(&cleaned_file(self.base_offset))
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> DiskError {
        DiskError::new(action, &self.dir.file_path(&cleaned_file(self.base_offset)), source)
    }
}

impl PartitionLog {
    /// The sealed segments whose records all lie below `limit`, oldest first.
    pub fn cleanable_segments(&self, limit: i64) -> Result<Vec<CleanableSegment>, ReadError> {
        let sealed = self.segments.values().take(self.segments.len() - 1);
        let below = sealed.take_while(|segment| self.segment_end(segment) <= limit);
        below
            .map(|segment| {
                let source: Arc<dyn FileSource> = Arc::clone(segment.file(&self.dir)?) as _;
                let size = as_size(segment.size());
                Ok(CleanableSegment {
                    base_offset: segment.base_offset(),
                    end_offset: self.segment_end(segment),
                    range: FileRange { source, position: 0, size },
                    newest_timestamp: self.index(segment)?.newest.map(|newest| newest.timestamp),
                })
            })
            .collect()
    }

    /// Begins the segment that is to replace the one with this base offset and some that follow.
    pub fn begin_cleaned(&self, base_offset: i64) -> Result<CleanedSegment, DiskError> {
        let dir = self.dir.clone();
        let file = dir.open(&cleaned_file(base_offset), OpenOptions::REPLACE)?;
        Ok(CleanedSegment { dir, base_offset, file, size: 0 })
    }

    /// Puts a compacted segment in the place of the segments it was made from.
    ///
    /// `replaced` begins with the segment's base offset and ends where the first segment begins
    /// that stays. Readers that hold ranges of the old files go on reading them.
    pub fn replace_segments(
        &mut self,
        cleaned: CleanedSegment,
        replaced: Range<i64>,
    ) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        assert_eq!(cleaned.base_offset, replaced.start, "the first old segment gives its name");
        assert!(replaced.end <= self.active().base_offset(), "the active segment is not compacted");
        cleaned.file.sync_data().map_err(|source| cleaned.error("sync", source))?;
        // Up to here a failure leaves the old segments; from here on the disk is ahead of memory.
        let exchanged = self.exchange(&cleaned, &replaced);
        exchanged.inspect_err(|error| self.go_offline(error))
    }

    fn exchange(
        &mut self,
        cleaned: &CleanedSegment,
        replaced: &Range<i64>,
    ) -> Result<(), MaintenanceError> {
        let base_offset = replaced.start;
        self.dir.write_durably(&swap_file(base_offset), &encode_swap(replaced.end))?;
        self.dir.rename(&cleaned_file(base_offset), &swapping_file(base_offset))?;
        self.dir.sync()?;
        finish_swap(&self.dir, replaced.clone())?;
        let bases: Vec<i64> =
            self.segments.range(replaced.clone()).map(|(&base, _)| base).collect();
        for base in bases {
            self.segments.remove(&base);
        }
        let mut segment = Segment::existing(base_offset, cleaned.size);
        let interval_bytes = self.config.index_interval_bytes;
        let index = rebuild_index(&self.dir, &self.segments, &segment, interval_bytes)?;
        segment.replace_index(index);
        segment.write_index(&self.dir)?;
        segment.unload_index();
        self.segments.insert(base_offset, segment);
        Ok(())
    }
}

/// Removes or finishes what a crash has left of rolls, deletions and exchanges.
pub(crate) fn resolve_leftovers(dir: &PartitionDir) -> Result<(), DiskError> {
    let names: Vec<String> = dir.list()?.into_iter().map(|entry| entry.name).collect();
    for name in &names {
        let Some((base_offset, suffix)) = parse_segment_file(name) else { continue };
        if suffix != SWAP {
            continue;
        }
        let end_offset = dir.read(name)?.as_deref().and_then(decode_swap);
        match end_offset {
            Some(end_offset) if names.contains(&swapping_file(base_offset)) => {
                finish_swap(dir, base_offset..end_offset)?;
            }
            Some(_) | None => dir.remove(name)?,
        }
    }
    for name in names {
        let suffix = name.rsplit('.').next().unwrap_or_default();
        if [CLEANED, DELETED, SWAP, "tmp"].contains(&suffix) {
            dir.remove(&name)?;
        }
    }
    Ok(())
}

/// Steps 4 to 6; each may have been done already.
fn finish_swap(dir: &PartitionDir, replaced: Range<i64>) -> Result<(), DiskError> {
    let base_offset = replaced.start;
    for entry in dir.list()? {
        let Some((base, suffix)) = parse_segment_file(&entry.name) else { continue };
        let is_old = match suffix {
            SEAL | ABORTED_INDEX | TIME_INDEX | OFFSET_INDEX => replaced.contains(&base),
            // The state before the first old segment is still needed.
            LOG | SNAPSHOT => replaced.contains(&base) && base != base_offset,
            _ => false,
        };
        if is_old {
            dir.remove(&entry.name)?;
        }
    }
    dir.sync()?;
    dir.rename(&swapping_file(base_offset), &segment_file(base_offset, LOG))?;
    dir.sync()?;
    dir.remove(&swap_file(base_offset))
}

fn cleaned_file(base_offset: i64) -> String {
    format!("{}.{CLEANED}", segment_file(base_offset, LOG))
}

fn swapping_file(base_offset: i64) -> String {
    format!("{}.{SWAP}", segment_file(base_offset, LOG))
}

fn swap_file(base_offset: i64) -> String {
    segment_file(base_offset, SWAP)
}

/// The end of the replaced range, and its checksum.
fn encode_swap(end_offset: i64) -> Vec<u8> {
    let number = end_offset.to_be_bytes();
    [&number[..], &crc32c::crc32c(&number).to_be_bytes()].concat()
}

fn decode_swap(bytes: &[u8]) -> Option<i64> {
    let (number, crc) = bytes.split_first_chunk::<8>()?;
    (crc == crc32c::crc32c(number).to_be_bytes()).then(|| i64::from_be_bytes(*number))
}
