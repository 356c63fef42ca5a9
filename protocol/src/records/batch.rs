//! One whole batch as a view over shared bytes, what can be said of it before its header is
//! believed, and the splitting of a buffer into batches.

use bytes::Bytes;

use super::compression::{CompressionError, Decompressor, decompress};
use super::header::{
    ATTRIBUTES, BASE_OFFSET, BATCH_LENGTH, BATCH_OVERHEAD, BatchError, BatchHeader, CRC,
    LOG_OVERHEAD,
};
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

    /// What can be said of the batch without its header.
    #[must_use]
    pub fn frame(&self) -> BatchFrame<'_> {
        BatchFrame(&self.bytes)
    }

    /// Compares the checksum with the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        self.frame().verify_crc()
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

/// The bytes of one whole batch in which only the length is believed.
///
/// A header that contradicts itself does not parse. Whether it lies or was damaged on the way, the
/// checksum still tells.
#[derive(Debug, Clone, Copy)]
pub struct BatchFrame<'a>(&'a [u8]);

impl<'a> BatchFrame<'a> {
    /// The one at the front of `bytes`, if it is whole.
    #[must_use]
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let length = i32::from_be_bytes(field(bytes, BATCH_LENGTH)?);
        let size = LOG_OVERHEAD + usize::try_from(length).ok()?;
        bytes.get(..size).filter(|bytes| bytes.len() >= BATCH_OVERHEAD).map(Self)
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        self.0.len()
    }

    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(field(self.0, BASE_OFFSET).expect("a frame holds a header"))
    }

    /// Compares the checksum with the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.0[ATTRIBUTES..]);
        let stored = u32::from_be_bytes(field(self.0, CRC).expect("a frame holds a header"));
        if computed == stored { Ok(()) } else { Err(BatchError::CrcMismatch { stored, computed }) }
    }
}

fn field<const N: usize>(bytes: &[u8], position: usize) -> Option<[u8; N]> {
    bytes.get(position..)?.first_chunk().copied()
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
