//! Reading the batches of a segment file one after another.
//!
//! Two ways with two prices: [`HeaderWalk`] reads little more than the headers and believes what
//! they say of the batch; [`verify`] reads every byte and checks every checksum. Both check the order
//! of the offsets, which no checksum covers. Neither interprets records.

use std::io;
use std::ops::Range;

use flumen_protocol::FileSource;
use flumen_protocol::records::{BATCH_OVERHEAD, BatchError, BatchHeader};
use thiserror::Error;

/// Enough for a few dozen small batches, and for what lies between two index entries.
const WINDOW_SIZE: usize = 4096;
/// Large enough that a disk reads at full speed.
const VERIFY_BUFFER_SIZE: usize = 256 * 1024;
/// Where the bytes under a batch's CRC begin.
const CRC_START: usize = 21;

/// Why a walk stopped before its end.
#[derive(Debug, Error)]
pub(crate) enum WalkError {
    #[error("read failed at position {position}")]
    Io { position: u64, source: io::Error },
    #[error("invalid batch at position {position}")]
    Invalid { position: u64, source: BatchError },
    #[error("batch at position {position} has offset {base_offset} where {expected} is due")]
    OutOfOrder { position: u64, base_offset: i64, expected: i64 },
}

/// Steps from batch header to batch header.
pub(crate) struct HeaderWalk<'a> {
    file: &'a dyn FileSource,
    position: u64,
    end: u64,
    /// Where the offsets of the batches to come may lie.
    offsets: Range<i64>,
    window: [u8; WINDOW_SIZE],
    window_range: Range<u64>,
}

impl<'a> HeaderWalk<'a> {
    /// Starts at a batch boundary and ends at another.
    ///
    /// A batch outside `offsets`, or not above the batch before, is an error.
    pub(crate) fn new(file: &'a dyn FileSource, range: Range<u64>, offsets: Range<i64>) -> Self {
        let Range { start: position, end } = range;
        Self { file, position, end, offsets, window: [0; WINDOW_SIZE], window_range: 0..0 }
    }

    /// The next batch: its position and header; `None` at the end of the range.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, BatchHeader)>, WalkError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let available = self.end - position;
        if available < BATCH_OVERHEAD as u64 {
            return Err(incomplete(position, BATCH_OVERHEAD, available));
        }
        let in_window = self.window_range.contains(&position)
            && position + BATCH_OVERHEAD as u64 <= self.window_range.end;
        if !in_window {
            let size = usize::try_from(available).unwrap_or(usize::MAX).min(WINDOW_SIZE);
            self.file
                .read_exact_at(&mut self.window[..size], position)
                .map_err(|source| WalkError::Io { position, source })?;
            self.window_range = position..position + size as u64;
        }
        let start = as_size(position - self.window_range.start);
        let header = BatchHeader::parse(&self.window[start..start + BATCH_OVERHEAD])
            .map_err(|source| WalkError::Invalid { position, source })?;
        let size = header.size_in_bytes() as u64;
        if size > available {
            return Err(incomplete(position, header.size_in_bytes(), available));
        }
        check_order(position, &header, &mut self.offsets)?;
        self.position = position + size;
        Ok(Some((position, header)))
    }
}

/// Reads every batch of the range and compares its checksum, calling `on_batch` for each good one.
///
/// The range must begin at a batch boundary. A batch that reaches past the end is an error, and so
/// is one whose offsets lie outside `offsets` or below the batch before: the base offset is not
/// under the checksum.
pub(crate) fn verify(
    file: &dyn FileSource,
    range: Range<u64>,
    mut offsets: Range<i64>,
    mut on_batch: impl FnMut(u64, &BatchHeader, &[u8]),
) -> Result<(), WalkError> {
    let mut buffer = Vec::new();
    let mut buffered = range.start..range.start;
    let mut position = range.start;
    while position < range.end {
        let available = range.end - position;
        if available < BATCH_OVERHEAD as u64 {
            return Err(incomplete(position, BATCH_OVERHEAD, available));
        }
        fill(file, &mut buffer, &mut buffered, position, range.end, BATCH_OVERHEAD)?;
        let start = as_size(position - buffered.start);
        let header = BatchHeader::parse(&buffer[start..])
            .map_err(|source| WalkError::Invalid { position, source })?;
        let size = header.size_in_bytes();
        if size as u64 > available {
            return Err(incomplete(position, size, available));
        }
        fill(file, &mut buffer, &mut buffered, position, range.end, size)?;
        let start = as_size(position - buffered.start);
        let batch = &buffer[start..start + size];
        let (stored, computed) = (header.crc, crc32c::crc32c(&batch[CRC_START..]));
        if stored != computed {
            let source = BatchError::CrcMismatch { stored, computed };
            return Err(WalkError::Invalid { position, source });
        }
        check_order(position, &header, &mut offsets)?;
        on_batch(position, &header, batch);
        position += size as u64;
    }
    Ok(())
}

/// Makes sure that a batch lies within `offsets`, and takes what it covers from the front of them.
fn check_order(
    position: u64,
    header: &BatchHeader,
    offsets: &mut Range<i64>,
) -> Result<(), WalkError> {
    let base_offset = header.base_offset;
    if !offsets.contains(&base_offset) || header.last_offset() >= offsets.end {
        return Err(WalkError::OutOfOrder { position, base_offset, expected: offsets.start });
    }
    offsets.start = header.next_offset();
    Ok(())
}

/// Makes sure that `needed` bytes from `position` on are in the buffer.
fn fill(
    file: &dyn FileSource,
    buffer: &mut Vec<u8>,
    buffered: &mut Range<u64>,
    position: u64,
    end: u64,
    needed: usize,
) -> Result<(), WalkError> {
    if position + needed as u64 <= buffered.end {
        return Ok(());
    }
    let available = usize::try_from(end - position).unwrap_or(usize::MAX);
    let size = needed.max(VERIFY_BUFFER_SIZE).min(available);
    buffer.resize(size, 0);
    file.read_exact_at(buffer, position).map_err(|source| WalkError::Io { position, source })?;
    *buffered = position..position + size as u64;
    Ok(())
}

fn incomplete(position: u64, needed: usize, available: u64) -> WalkError {
    let available = usize::try_from(available).unwrap_or(usize::MAX);
    WalkError::Invalid { position, source: BatchError::Incomplete { needed, available } }
}

/// A difference of two positions as a number of bytes in memory.
pub(crate) fn as_size(distance: u64) -> usize {
    usize::try_from(distance).expect("segments are smaller than memory can address")
}
