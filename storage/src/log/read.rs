//! Planning a read: which bytes of which files hold the batches asked for.
//!
//! A plan consists of whole batches. At the tail it is made from memory; elsewhere it costs an index
//! lookup and a small read at either end.

use std::io;
use std::sync::Arc;

use flumen_protocol::{FileRange, FileSource};

use super::PartitionLog;
use super::rebuild::read_error;
use crate::aborted_index::AbortedTransaction;
use crate::batch_walk::{self, HeaderWalk, WalkError, as_size};
use crate::error::{CorruptBatch, ReadError};
use crate::recent_batches::RecentBatch;
use crate::segment::Segment;
use crate::vfs::VfsFile;

/// Whole batches, as ranges of segment files.
#[derive(Debug, Clone)]
pub struct ReadResult {
    /// The bytes, in order; usually one range.
    pub segments: Vec<FileRange>,
    /// Bytes of all ranges.
    pub size: usize,
    /// Base offset of the first batch, which may lie before the offset asked for.
    pub first_offset: i64,
    /// The offset after the last batch: where the next read continues.
    pub next_offset: i64,
    /// The files of the ranges.
    files: Vec<Arc<dyn VfsFile>>,
    /// The whole range was appended a moment ago.
    is_recent: bool,
}

impl ReadResult {
    fn empty(offset: i64) -> Self {
        Self {
            segments: Vec::new(),
            size: 0,
            first_offset: offset,
            next_offset: offset,
            files: Vec::new(),
            is_recent: false,
        }
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Whether the bytes can be sent without waiting for the disk, as far as that can be told.
    ///
    /// What is not resident is brought in by [`ReadResult::warm`], where blocking is allowed.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        self.is_recent
            || self.segments.iter().zip(&self.files).all(|(range, file)| {
                file.is_resident(range.position..range.position + range.size as u64)
            })
    }

    /// Reads all ranges and checks the checksum of every batch, see [`verify_range`].
    pub fn warm(&self) -> Result<(), VerifyError> {
        self.segments.iter().try_for_each(verify_range)
    }
}

/// A batch boundary: the batch with this offset begins at this position.
#[derive(Debug, Clone, Copy)]
struct Boundary {
    offset: i64,
    position: u64,
}

impl From<RecentBatch> for Boundary {
    fn from(batch: RecentBatch) -> Self {
        Self { offset: batch.base_offset, position: batch.position }
    }
}

impl PartitionLog {
    /// Finds the batches from the one that holds `offset` on.
    ///
    /// They end below `upper_bound_offset` and take at most `max_bytes`, except that with
    /// `min_one_batch` the first is given whatever its size. The log end offset itself is a
    /// valid `offset` and gives nothing.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        upper_bound_offset: i64,
    ) -> Result<ReadResult, ReadError> {
        self.check_in_range(offset)?;
        let upper_bound = upper_bound_offset.min(self.log_end_offset);
        let mut result = ReadResult::empty(offset);
        if offset >= upper_bound {
            return Ok(result);
        }
        let first = self.segments.range(..=offset).next_back().map_or(offset, |(&base, _)| base);
        for segment in self.segments.range(first..upper_bound).map(|(_, segment)| segment) {
            let budget = max_bytes - result.size;
            let is_first = result.is_empty();
            let Some(start) = self.first_boundary(segment, offset)? else { continue };
            let end = self.end_boundary(segment, upper_bound)?;
            let whole = end.position.saturating_sub(start.position);
            let cut = if whole <= budget as u64 {
                end
            } else {
                let cut = self.boundary_before(segment, start, start.position + budget as u64)?;
                if cut.position == start.position && is_first && min_one_batch {
                    self.boundary_after(segment, start)?
                } else {
                    cut
                }
            };
            if cut.position > start.position {
                if is_first {
                    result.first_offset = start.offset;
                    result.is_recent =
                        self.is_active(segment) && self.recent.holding(offset).is_some();
                }
                let size = as_size(cut.position - start.position);
                let file = segment.file(&self.dir)?;
                let source: Arc<dyn FileSource> = Arc::clone(file) as _;
                result.files.push(Arc::clone(file));
                result.segments.push(FileRange { source, position: start.position, size });
                result.size += size;
                result.next_offset = cut.offset;
            }
            if cut.position < segment.size() || result.size >= max_bytes {
                break;
            }
        }
        Ok(result)
    }

    /// The transactions within `from..to` that were aborted, for a reader of committed data.
    pub fn aborted_transactions(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let mut found = Vec::new();
        let first = self.segments.range(..=from).next_back().map_or(from, |(&base, _)| base);
        for segment in self.segments.range(first..).map(|(_, segment)| segment) {
            if self.index(segment)?.aborted.collect(from, to, &mut found) {
                break;
            }
        }
        Ok(found)
    }

    pub(super) fn check_in_range(&self, offset: i64) -> Result<(), ReadError> {
        let (log_start_offset, log_end_offset) = (self.log_start_offset, self.log_end_offset);
        if (log_start_offset..=log_end_offset).contains(&offset) {
            return Ok(());
        }
        Err(ReadError::OffsetOutOfRange { offset, log_start_offset, log_end_offset })
    }

    /// Where the first batch that reaches `offset` begins; `None` if all of the segment is older.
    fn first_boundary(
        &self,
        segment: &Segment,
        offset: i64,
    ) -> Result<Option<Boundary>, ReadError> {
        if offset < self.log_end_offset
            && self.is_active(segment)
            && let Some(batch) = self.recent.holding(offset)
        {
            return Ok(Some(batch.into()));
        }
        if offset <= segment.base_offset() {
            // Later segments of a read begin with their first batch. Its offset matters only where
            // the read begins, and there compaction may have moved it.
            let offset = segment.base_offset();
            return Ok((segment.size() > 0).then_some(Boundary { offset, position: 0 }));
        }
        let start = self.index(segment)?.offsets.floor(offset).map_or(0, |entry| entry.position);
        let file = segment.file(&self.dir)?;
        let found = segment
            .find_batch(&**file, start, |header| header.last_offset() >= offset)
            .map_err(|error| read_error(&self.dir, segment, error))?;
        Ok(found.map(|(position, header)| Boundary { offset: header.base_offset, position }))
    }

    /// Where the batches that lie wholly below `upper_bound` end.
    fn end_boundary(&self, segment: &Segment, upper_bound: i64) -> Result<Boundary, ReadError> {
        if upper_bound < self.segment_end(segment)
            && let Some(boundary) = self.first_boundary(segment, upper_bound)?
        {
            return Ok(boundary);
        }
        Ok(Boundary { offset: self.segment_end(segment), position: segment.size() })
    }

    /// The last batch boundary at or before `limit`, and not before `start`.
    fn boundary_before(
        &self,
        segment: &Segment,
        start: Boundary,
        limit: u64,
    ) -> Result<Boundary, ReadError> {
        if self.is_active(segment)
            && let Some(batch) = self.recent.floor_position(limit)
        {
            return Ok(if batch.position < start.position { start } else { batch.into() });
        }
        let indexed = self.index(segment)?.offsets.floor_position(limit);
        let from = indexed.map_or(0, |entry| entry.position).max(start.position);
        let mut boundary = start;
        let file = segment.file(&self.dir)?;
        let mut walk = HeaderWalk::new(&**file, from..segment.size(), segment.offsets());
        while let Some((position, header)) =
            walk.next().map_err(|error| read_error(&self.dir, segment, error))?
        {
            if position > limit {
                break;
            }
            boundary = Boundary { offset: header.base_offset, position };
        }
        Ok(boundary)
    }

    fn boundary_after(&self, segment: &Segment, start: Boundary) -> Result<Boundary, ReadError> {
        let file = segment.file(&self.dir)?;
        let mut walk = HeaderWalk::new(&**file, start.position..segment.size(), segment.offsets());
        let header = walk.next().map_err(|error| read_error(&self.dir, segment, error))?;
        let (position, header) = header.expect("a batch begins at its boundary");
        let position = position + header.size_in_bytes() as u64;
        Ok(Boundary { offset: header.next_offset(), position })
    }

    /// The offset at which the segment after this one begins, or the log end.
    pub(super) fn segment_end(&self, segment: &Segment) -> i64 {
        self.segments
            .range(segment.base_offset() + 1..)
            .next()
            .map_or(self.log_end_offset, |(&base_offset, _)| base_offset)
    }

    pub(super) fn is_active(&self, segment: &Segment) -> bool {
        segment.base_offset() == self.active().base_offset()
    }
}

/// Reads a range that [`PartitionLog::read`] gave and checks the checksum of every batch in it.
///
/// For ranges that are not in the page cache: it brings them there, so that they can be sent without
/// waiting for the disk, and makes sure that a batch damaged on disk is not sent at all. It blocks.
pub fn verify_range(range: &FileRange) -> Result<(), VerifyError> {
    let bytes = range.position..range.position + range.size as u64;
    batch_walk::verify(&*range.source, bytes, i64::MIN..i64::MAX, |_, _, _| {}).map_err(|error| {
        match error {
            WalkError::Io { position, source } => VerifyError::Io { position, source },
            WalkError::Invalid { position, source } => {
                VerifyError::Corrupt { position, source: source.into() }
            }
            WalkError::OutOfOrder { position, base_offset, expected } => VerifyError::Corrupt {
                position,
                source: CorruptBatch::OutOfOrder { base_offset, expected },
            },
        }
    })
}

/// Why a range must not be sent.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The disk failed.
    #[error("cannot read at position {position}")]
    Io { position: u64, source: io::Error },
    /// A batch is damaged.
    #[error("damaged batch at position {position}")]
    Corrupt { position: u64, source: CorruptBatch },
}
