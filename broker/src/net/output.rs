//! What a connection still has to send: segments of frames, in order.
//!
//! Bytes leave by vectored writes, ranges of files by `sendfile` where the transport can, and
//! otherwise by reading and writing. A file that ends before its range does is an error, because
//! the frame's length has been sent already: the connection cannot go on.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use flumen_client::connection::WriteHalf;
use flumen_protocol::{FileRange, Frame, Segment};

/// Slices given to one vectored write.
const SLICES_MAX: usize = 32;

/// A range of a file up to this size is read and sent with its neighbours: one system call and one
/// packet for many small partitions.
const COPIED_RANGE_SIZE_MAX: usize = 8 * 1024;

/// How much of a file is read at once where it cannot be sent directly.
const CHUNK_SIZE: usize = 256 * 1024;

/// The sending queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Output {
    segments: VecDeque<Segment>,
    bytes_in_memory: usize,
    /// Set once the transport has refused to send files by itself.
    copies_files: bool,
}

impl Output {
    pub(crate) fn push(&mut self, frame: Frame) {
        for segment in frame.into_segments() {
            if let Segment::Bytes(bytes) = &segment {
                self.bytes_in_memory += bytes.len();
            }
            if segment.size() > 0 {
                self.segments.push_back(segment);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes that wait in memory; ranges of files cost none.
    pub(super) fn bytes_in_memory(&self) -> usize {
        self.bytes_in_memory
    }

    /// Sends until everything has left or the peer takes no more. Returns the bytes sent.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        write: &mut dyn WriteHalf,
    ) -> Poll<io::Result<usize>> {
        let mut total = 0;
        while let Some(front) = self.segments.front() {
            let sent = match front {
                Segment::File(range) if !self.must_copy(range) => poll_send_file(cx, write, range),
                Segment::File(_) => {
                    self.load_front()?;
                    continue;
                }
                Segment::Bytes(_) => {
                    self.load_small_ranges()?;
                    self.poll_send_bytes(cx, write)
                }
            };
            match sent {
                Poll::Ready(Ok(sent)) => {
                    total += sent;
                    self.advance(sent);
                }
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::Unsupported => {
                    self.copies_files = true;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending if total > 0 => return Poll::Ready(Ok(total)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(total))
    }

    fn must_copy(&self, range: &FileRange) -> bool {
        self.copies_files || range.size <= COPIED_RANGE_SIZE_MAX || range.source.as_fd().is_none()
    }

    fn poll_send_bytes(
        &self,
        cx: &mut Context<'_>,
        write: &mut dyn WriteHalf,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let Segment::Bytes(bytes) = segment else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        let sent = ready!(Pin::new(write).poll_write_vectored(cx, &slices[..count]))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(sent))
    }

    /// Reads the small ranges among the next segments, so that one write takes them all.
    fn load_small_ranges(&mut self) -> io::Result<()> {
        for segment in self.segments.iter_mut().take(SLICES_MAX) {
            let Segment::File(range) = segment else { continue };
            if range.size > COPIED_RANGE_SIZE_MAX {
                break;
            }
            self.bytes_in_memory += range.size;
            *segment = Segment::Bytes(range.read()?);
        }
        Ok(())
    }

    /// Puts the first bytes of the file range in front into memory.
    fn load_front(&mut self) -> io::Result<()> {
        let Some(Segment::File(range)) = self.segments.front_mut() else { return Ok(()) };
        let size = range.size.min(CHUNK_SIZE);
        let bytes = read(range, size)?;
        skip(range, size);
        if range.size == 0 {
            self.segments.pop_front();
        }
        self.bytes_in_memory += size;
        self.segments.push_front(Segment::Bytes(bytes));
        Ok(())
    }

    fn advance(&mut self, mut sent: usize) {
        while sent > 0 {
            let Some(front) = self.segments.front_mut() else { return };
            let taken = sent.min(front.size());
            sent -= taken;
            match front {
                Segment::Bytes(bytes) => {
                    bytes.advance(taken);
                    self.bytes_in_memory -= taken;
                }
                Segment::File(range) => skip(range, taken),
            }
            if front.size() == 0 {
                self.segments.pop_front();
            }
        }
    }
}

/// Bytes of a frame that are in memory.
pub(super) fn size_in_memory(frame: &Frame) -> usize {
    let in_memory = |segment: &Segment| matches!(segment, Segment::Bytes(_));
    frame.segments().iter().filter(|segment| in_memory(segment)).map(Segment::size).sum()
}

fn poll_send_file(
    cx: &mut Context<'_>,
    write: &mut dyn WriteHalf,
    range: &FileRange,
) -> Poll<io::Result<usize>> {
    let Some(file) = range.source.as_fd() else {
        return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
    };
    let sent = ready!(Pin::new(write).poll_send_file(cx, file, range.position, range.size))?;
    if sent == 0 {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    Poll::Ready(Ok(sent))
}

/// Takes bytes off the front of a range.
fn skip(range: &mut FileRange, size: usize) {
    range.position += u64::try_from(size).expect("a size fits in 64 bits");
    range.size -= size;
}

fn read(range: &FileRange, size: usize) -> io::Result<Bytes> {
    let mut buffer = BytesMut::zeroed(size);
    range.source.read_exact_at(&mut buffer, range.position)?;
    Ok(buffer.freeze())
}
