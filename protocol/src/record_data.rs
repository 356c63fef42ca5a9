//! The record data of one partition inside a request or response, held but never looked into.
//!
//! Decoding borrows it from the frame; encoding hands it on segment by segment. What the bytes mean
//! is told by the record batch code.

use std::io;

use bytes::{Bytes, BytesMut};

use crate::frame::{FileRange, Segment};

/// Record batches as they travel: one run of bytes, or several parts in memory and in files.
#[derive(Debug, Clone, PartialEq)]
pub enum Records {
    Bytes(Bytes),
    Segments(Vec<Segment>),
}

impl Records {
    /// No records; not the same as null on the wire.
    pub const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// The number of bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Segments(segments) => segments.iter().map(Segment::size).sum(),
        }
    }

    /// Says whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// The bytes, when they are in memory in one run, as they are after decoding.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Segments(segments) => match segments.as_slice() {
                [Segment::Bytes(bytes)] => Some(bytes),
                _ => None,
            },
        }
    }

    /// Brings the bytes into memory in one run; copies only when there are several parts.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        let segments = match self {
            Self::Bytes(bytes) => return Ok(bytes),
            Self::Segments(segments) => segments,
        };
        if let [only] = segments.as_slice() {
            return only.read();
        }
        let mut whole = BytesMut::with_capacity(segments.iter().map(Segment::size).sum());
        for segment in &segments {
            whole.extend_from_slice(&segment.read()?);
        }
        Ok(whole.freeze())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<Segment>> for Records {
    fn from(segments: Vec<Segment>) -> Self {
        Self::Segments(segments)
    }
}

impl From<Vec<FileRange>> for Records {
    fn from(ranges: Vec<FileRange>) -> Self {
        Self::Segments(ranges.into_iter().map(Segment::File).collect())
    }
}
