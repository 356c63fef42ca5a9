//! One whole batch as a view over shared bytes, and the splitting of a buffer into batches.

use bytes::Bytes;

use super::compression::{CompressionError, Decompressor, decompress};
use super::header::{ATTRIBUTES, BATCH_OVERHEAD, BatchError, BatchHeader, LOG_OVERHEAD};
use super::outline::{Outlines, RecordError};
use super::record::Records;

/// A complete record batch: its header decoded, its records not.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordBatch {
    bytes: Bytes,
    header: BatchHeader,
}

impl RecordBatch {
    /// Takes `bytes` as exactly one batch.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        let (needed, available) = (header.size_in_bytes(), bytes.len());
        if available < needed {
            return Err(BatchError::Incomplete { needed, available });
        }
        if available > needed {
            return Err(BatchError::TrailingBytes { extra: available - needed });
        }
        Ok(Self { bytes, header })
    }

    /// The decoded header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch as on the wire.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Gives up the view for its bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The records as they lie in the batch, compressed or not.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(BATCH_OVERHEAD..)
    }

    /// Compares the checksum with the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.bytes[ATTRIBUTES..]);
        let stored = self.header.crc;
        if computed == stored { Ok(()) } else { Err(BatchError::CrcMismatch { stored, computed }) }
    }

    /// Iterates over the records; keys and values are slices, not copies.
    ///
    /// A compressed payload is decompressed first and must not exceed `limit` bytes.
    pub fn records(&self, limit: usize) -> Result<Records, CompressionError> {
        let payload = decompress(self.header.compression(), self.payload(), limit)?;
        Ok(Records::new(payload, &self.header))
    }

    /// Walks over the records without keeping them, in a window of bounded size.
    ///
    /// This is how a broker checks a batch: a compressed payload streams through, at most `limit`
    /// bytes of it.
    pub fn outlines(&self, limit: usize) -> Result<Outlines<'_>, RecordError> {
        let payload = &self.bytes[BATCH_OVERHEAD..];
        let decompressor = Decompressor::new(self.header.compression(), payload, limit)?;
        Ok(Outlines::new(decompressor, payload, self.header.record_count))
    }
}

/// Splits a buffer into its whole batches.
///
/// A partial batch at the end ends the iteration without an error, because fetched data is cut at
/// a byte limit; [`Batches::rest`] tells what is left. Bytes that cannot be a batch give one
/// error, and then the end: there is no way to find the next batch.
#[derive(Debug, Clone)]
pub struct Batches {
    rest: Bytes,
    failed: bool,
}

impl Batches {
    /// Starts at the front of `buffer`.
    #[must_use]
    pub fn new(buffer: Bytes) -> Self {
        Self { rest: buffer, failed: false }
    }

    /// What has not been split off yet.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.len() < LOG_OVERHEAD {
            return None;
        }
        let header = match BatchHeader::parse(&self.rest) {
            Ok(header) => header,
            Err(BatchError::Incomplete { .. }) => return None,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        if header.size_in_bytes() > self.rest.len() {
            return None;
        }
        let bytes = self.rest.split_to(header.size_in_bytes());
        Some(Ok(RecordBatch { bytes, header }))
    }
}
