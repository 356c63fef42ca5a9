//! Reads the batches of a sealed segment one after another, each with its checksum compared.
//!
//! A damaged batch ends the run: compaction must not turn it into a valid one, or drop it.

use std::io;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use flumen_protocol::records::{BatchError, Batches, RecordBatch};

use crate::file_names::{LOG, segment_file};
use crate::{CleanableSegment, DiskError, ReadError};

/// Read at a time; more where a batch is larger.
const CHUNK_SIZE: usize = 256 * 1024;

/// Steps through a segment.
#[derive(Debug)]
pub(super) struct SegmentReader<'a> {
    segment: &'a CleanableSegment,
    /// Bytes of the segment in front of what is buffered.
    position: usize,
    buffered: Batches,
    chunk_size: usize,
}

impl<'a> SegmentReader<'a> {
    pub(super) fn new(segment: &'a CleanableSegment) -> Self {
        Self { segment, position: 0, buffered: Batches::new(Bytes::new()), chunk_size: CHUNK_SIZE }
    }

    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        loop {
            if let Some(batch) = self.buffered.next() {
                let batch = batch.map_err(|error| self.corrupt(error))?;
                batch.verify_crc().map_err(|error| self.corrupt(error))?;
                self.position += batch.bytes().len();
                self.chunk_size = CHUNK_SIZE;
                return Ok(Some(batch));
            }
            let available = self.segment.range.size - self.position;
            if available == 0 {
                return Ok(None);
            }
            if self.buffered.rest().len() == available {
                let needed = available + 1;
                return Err(self.corrupt(BatchError::Incomplete { needed, available }));
            }
            self.read(available)?;
        }
    }

    /// Replaces the buffer by one that begins with the next batch and is larger than before, if
    /// that batch did not fit.
    fn read(&mut self, available: usize) -> Result<(), ReadError> {
        let mut chunk = BytesMut::zeroed(self.chunk_size.min(available));
        let range = &self.segment.range;
        range
            .source
            .read_exact_at(&mut chunk, range.position + self.position as u64)
            .map_err(|source| disk_error(self.segment.base_offset, source))?;
        self.buffered = Batches::new(chunk.freeze());
        self.chunk_size = self.chunk_size.saturating_mul(2);
        Ok(())
    }

    fn corrupt(&self, source: BatchError) -> ReadError {
        let position = self.segment.range.position + self.position as u64;
        ReadError::Corrupt {
            base_offset: self.segment.base_offset,
            position,
            source: source.into(),
        }
    }
}

pub(super) fn disk_error(base_offset: i64, source: io::Error) -> ReadError {
    let path = PathBuf::from(segment_file(base_offset, LOG));
    ReadError::Disk(DiskError::new("read", &path, source))
}
