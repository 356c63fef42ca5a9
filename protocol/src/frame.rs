//! Frames on their way out: a length prefix and bytes, in segments that need not be in memory.
//!
//! A segment is either bytes or a range of a file, so that fetched record data can go from the page
//! cache to the socket. Sending is the caller's business; this file only describes what to send.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Something that can be read at any position, as a file can.
pub trait FileSource: Send + Sync + fmt::Debug {
    /// Fills the buffer from the position on, or fails.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;

    /// The descriptor to hand to `sendfile`, where there is one.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A run of bytes in a file.
#[derive(Debug, Clone)]
pub struct FileRange {
    pub source: Arc<dyn FileSource>,
    pub position: u64,
    pub size: usize,
}

impl FileRange {
    /// Reads the whole range into memory.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut buffer = BytesMut::zeroed(self.size);
        self.source.read_exact_at(&mut buffer, self.position)?;
        Ok(buffer.freeze())
    }
}

/// Ranges are equal when they name the same bytes of the same source; contents are not compared.
impl PartialEq for FileRange {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && self.position == other.position
            && self.size == other.size
    }
}

/// A part of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    Bytes(Bytes),
    File(FileRange),
}

impl Segment {
    /// The number of bytes this part adds to the frame.
    pub fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.size,
        }
    }

    /// Brings the bytes into memory; bytes that are there already are shared, not copied.
    pub fn read(&self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(range) => range.read(),
        }
    }
}

/// A finished message with its length prefix in place, ready to be sent segment by segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    segments: Vec<Segment>,
    size: usize,
}

impl Frame {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        let size = segments.iter().map(Segment::size).sum();
        Self { segments, size }
    }

    /// A frame that was encoded elsewhere, its length prefix included.
    pub fn from_encoded(bytes: Bytes) -> Self {
        Self::new(vec![Segment::Bytes(bytes)])
    }

    /// The parts in sending order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Gives up the parts in sending order.
    pub fn into_segments(self) -> Vec<Segment> {
        self.segments
    }

    /// The number of bytes to send, the length prefix included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Brings the whole frame into memory, in one piece.
    pub fn read(&self) -> io::Result<Bytes> {
        if let [Segment::Bytes(only)] = self.segments.as_slice() {
            return Ok(only.clone());
        }
        let mut whole = BytesMut::with_capacity(self.size);
        for segment in &self.segments {
            whole.extend_from_slice(&segment.read()?);
        }
        Ok(whole.freeze())
    }
}
