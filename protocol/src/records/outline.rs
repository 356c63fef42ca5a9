//! The one strict parser of records: where each part lies, nothing kept.
//!
//! It reads from a `Source`, which is either a slice (an uncompressed payload) or a small buffer
//! that a decompressor refills. A record is accepted only if all its lengths agree with each
//! other: every count is checked against the bytes that are left before anything rests on it, the
//! parts must add up to the declared length, and nothing may follow the last record.

use thiserror::Error;

use super::compression::{CompressionError, Decompressor};

/// The least a header can take: two lengths.
const HEADER_SIZE_MIN: u64 = 2;

/// Why the records of a batch cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The payload ends inside a record, or before the declared count is reached.
    #[error("records end early, at byte {position}")]
    Truncated { position: u64 },
    /// A variable-length integer of more bytes than its type can need.
    #[error("overlong integer at byte {position}")]
    OverlongInteger { position: u64 },
    /// A negative length where none may be, or one below -1.
    #[error("invalid length {length} at byte {position}")]
    InvalidLength { length: i32, position: u64 },
    /// More headers than the bytes left could hold, or a negative count.
    #[error("invalid header count {count} at byte {position}")]
    InvalidHeaderCount { count: i32, position: u64 },
    /// The parts of a record do not add up to its declared length.
    #[error("record declares {declared} bytes and uses {used}")]
    LengthMismatch { declared: u64, used: u64 },
    /// Bytes follow the last record.
    #[error("bytes follow the last record, at byte {position}")]
    TrailingBytes { position: u64 },
    /// The offset or timestamp of a record leaves the range of its type.
    #[error("offset of the record overflows")]
    OffsetOverflow,
    /// The payload cannot be decompressed within its limit.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Where the parts of one record lie; positions count from the start of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOutline {
    /// Attributes of the record: unused so far, always 0.
    pub attributes: i8,
    /// Timestamp minus the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// Bytes of the key, `None` for a null key.
    pub key_size: Option<u32>,
    /// Bytes of the value, `None` for a null value (a tombstone).
    pub value_size: Option<u32>,
    /// Number of headers.
    pub header_count: u32,
    /// Bytes of the whole record, its own length prefix included.
    pub size: u64,
    pub(super) key_position: u64,
    pub(super) value_position: u64,
    pub(super) headers_position: u64,
}

/// Iterates over the outlines of a batch; ends after the first error.
#[derive(Debug)]
pub struct Outlines<'a> {
    source: AnySource<'a>,
    remaining: i32,
    finished: bool,
}

#[derive(Debug)]
enum AnySource<'a> {
    Slice(SliceSource<'a>),
    Stream(StreamSource<'a>),
}

impl<'a> Outlines<'a> {
    pub(super) fn new(
        decompressor: Option<Decompressor<'a>>,
        payload: &'a [u8],
        record_count: i32,
    ) -> Self {
        let source = match decompressor {
            Some(decompressor) => AnySource::Stream(StreamSource::new(decompressor)),
            None => AnySource::Slice(SliceSource::new(payload, 0)),
        };
        Self { source, remaining: record_count, finished: false }
    }
}

impl Iterator for Outlines<'_> {
    type Item = Result<RecordOutline, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let next = if self.remaining == 0 {
            self.finished = true;
            let end = match &mut self.source {
                AnySource::Slice(slice) => slice.expect_end(),
                AnySource::Stream(stream) => stream.expect_end(),
            };
            end.err().map(Err)
        } else {
            self.remaining -= 1;
            Some(match &mut self.source {
                AnySource::Slice(slice) => RecordOutline::read_quickly(slice),
                AnySource::Stream(stream) => RecordOutline::read_quickly(stream),
            })
        };
        self.finished |= matches!(next, Some(Err(_)));
        next
    }
}

impl RecordOutline {
    /// Reads one record, by the short way where that goes.
    #[inline]
    fn read_quickly(source: &mut impl Source) -> Result<Self, RecordError> {
        match source.plain_record() {
            Some(outline) => Ok(outline),
            None => Self::read(source),
        }
    }

    /// Reads a record as most are, without headers and with short integers, or nothing at all.
    ///
    /// Every record that is appended goes through here. What is read is what [`Self::read`] reads;
    /// whatever is unusual or wrong is left to that, so that there is one place to judge it.
    /// The record begins at `start` in `bytes`, which begin `before` bytes into the payload.
    /// Returns where it ends in `bytes`, too.
    #[inline]
    fn read_plain(bytes: &[u8], start: usize, before: u64) -> Option<(Self, usize)> {
        let mut rest = Short { bytes, position: start };
        let declared = usize::try_from(rest.varint()?).ok()?;
        let end = rest.position + declared;
        let attributes = rest.byte()?.cast_signed();
        let timestamp_delta = rest.varint()?;
        let offset_delta = rest.varint()?;
        let (key_size, key_position) = rest.part()?;
        let (value_size, value_position) = rest.part()?;
        let header_count = rest.byte()?;
        if header_count != 0 || rest.position != end {
            return None;
        }
        let outline = Self {
            attributes,
            timestamp_delta: i64::from(timestamp_delta),
            offset_delta,
            key_size,
            value_size,
            header_count: 0,
            size: (end - start) as u64,
            key_position: before + key_position,
            value_position: before + value_position,
            headers_position: before + end as u64,
        };
        Some((outline, end))
    }

    /// Reads one record, its length prefix first.
    pub(super) fn read(source: &mut impl Source) -> Result<Self, RecordError> {
        let start = source.position();
        let length = source.varint()?;
        let body = source.position();
        let declared = u64::try_from(length)
            .map_err(|_negative| RecordError::InvalidLength { length, position: start })?;
        let end = body + declared;

        let attributes = source.byte()?.cast_signed();
        let timestamp_delta = source.varlong()?;
        let offset_delta = source.varint()?;
        let (key_size, key_position) = source.nullable(end)?;
        let (value_size, value_position) = source.nullable(end)?;

        let position = source.position();
        let count = source.varint()?;
        let headers_position = source.position();
        let left = end.saturating_sub(headers_position);
        let header_count = u32::try_from(count)
            .ok()
            .filter(|&count| u64::from(count) * HEADER_SIZE_MIN <= left)
            .ok_or(RecordError::InvalidHeaderCount { count, position })?;
        for _ in 0..header_count {
            let position = source.position();
            if source.nullable(end)?.0.is_none() {
                return Err(RecordError::InvalidLength { length: -1, position });
            }
            source.nullable(end)?;
        }

        let used = source.position() - body;
        if used != declared {
            return Err(RecordError::LengthMismatch { declared, used });
        }
        Ok(Self {
            attributes,
            timestamp_delta,
            offset_delta,
            key_size,
            value_size,
            header_count,
            size: end - start,
            key_position,
            value_position,
            headers_position,
        })
    }
}

/// The bytes under the parser: it is compiled for each kind of them.
pub(super) trait Source {
    /// Bytes consumed so far.
    fn position(&self) -> u64;

    fn byte(&mut self) -> Result<u8, RecordError>;

    fn skip(&mut self, count: u32) -> Result<(), RecordError>;

    fn is_at_end(&mut self) -> Result<bool, RecordError>;

    /// The next record, if it is a plain one that lies in memory as a whole.
    fn plain_record(&mut self) -> Option<RecordOutline>;

    /// A zigzag-coded 32-bit integer of at most five bytes.
    #[inline]
    fn varint(&mut self) -> Result<i32, RecordError> {
        let mut raw = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            raw |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(RecordError::OverlongInteger { position: self.position() })
    }

    /// A zigzag-coded 64-bit integer of at most ten bytes.
    #[inline]
    fn varlong(&mut self) -> Result<i64, RecordError> {
        let mut raw = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(RecordError::OverlongInteger { position: self.position() })
    }

    /// Passes over bytes with a length before them, where -1 stands for null.
    ///
    /// Returns their size and where they begin. They must end by `end`.
    #[inline]
    fn nullable(&mut self, end: u64) -> Result<(Option<u32>, u64), RecordError> {
        let before = self.position();
        let length = self.varint()?;
        let position = self.position();
        if length == -1 {
            return Ok((None, position));
        }
        let size = u32::try_from(length)
            .ok()
            .filter(|&size| position + u64::from(size) <= end)
            .ok_or(RecordError::InvalidLength { length, position: before })?;
        self.skip(size)?;
        Ok((Some(size), position))
    }

    fn expect_end(&mut self) -> Result<(), RecordError> {
        if self.is_at_end()? {
            Ok(())
        } else {
            Err(RecordError::TrailingBytes { position: self.position() })
        }
    }
}

/// All bytes at hand: an uncompressed payload, or a decompressed one.
#[derive(Debug)]
pub(super) struct SliceSource<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> SliceSource<'a> {
    /// Begins at `position`, which was reached before.
    pub(super) fn new(bytes: &'a [u8], position: u64) -> Self {
        let position = usize::try_from(position).expect("positions lie within the slice");
        Self { bytes, position }
    }

    /// Reads a length and passes over its bytes; for parts that were checked before.
    pub(super) fn checked_part(&mut self) -> Result<(Option<u32>, u64), RecordError> {
        self.nullable(u64::MAX)
    }
}

impl Source for SliceSource<'_> {
    #[inline]
    fn position(&self) -> u64 {
        self.position as u64
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = self.bytes.get(self.position);
        let byte = *byte.ok_or(RecordError::Truncated { position: self.position() })?;
        self.position += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, count: u32) -> Result<(), RecordError> {
        let end = self.position + count as usize;
        if end > self.bytes.len() {
            return Err(RecordError::Truncated { position: self.bytes.len() as u64 });
        }
        self.position = end;
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.position == self.bytes.len())
    }

    #[inline]
    fn plain_record(&mut self) -> Option<RecordOutline> {
        let (outline, end) = RecordOutline::read_plain(self.bytes, self.position, 0)?;
        self.position = end;
        Some(outline)
    }
}

/// Reads what takes few bytes, and gives up at anything else.
struct Short<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Short<'_> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    /// A zigzag-coded integer of at most three bytes.
    #[inline]
    fn varint(&mut self) -> Option<i32> {
        let mut raw = 0_u32;
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            raw |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        None
    }

    /// Passes over bytes with a length before them; that they lie within the record is left to
    /// whoever compares the end.
    #[inline]
    fn part(&mut self) -> Option<(Option<u32>, u64)> {
        let length = self.varint()?;
        let position = self.position as u64;
        if length == -1 {
            return Some((None, position));
        }
        let size = u32::try_from(length).ok()?;
        self.position += size as usize;
        Some((Some(size), position))
    }
}

/// A buffer of fixed size that a decompressor refills.
#[derive(Debug)]
struct StreamSource<'a> {
    decompressor: Decompressor<'a>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes that have left the buffer.
    consumed: u64,
}

impl<'a> StreamSource<'a> {
    const SIZE: usize = 16 * 1024;

    fn new(decompressor: Decompressor<'a>) -> Self {
        let buffer = vec![0; Self::SIZE].into_boxed_slice();
        Self { decompressor, buffer, start: 0, end: 0, consumed: 0 }
    }

    /// Refills an empty buffer; it stays empty at the end of the payload.
    fn refill(&mut self) -> Result<(), RecordError> {
        debug_assert!(self.start == self.end, "only what was used up is replaced");
        self.consumed += self.end as u64;
        self.start = 0;
        self.end = 0;
        self.end = self.decompressor.fill(&mut self.buffer)?;
        Ok(())
    }
}

impl Source for StreamSource<'_> {
    fn position(&self) -> u64 {
        self.consumed + self.start as u64
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        if self.start == self.end && self.is_at_end()? {
            return Err(RecordError::Truncated { position: self.consumed });
        }
        self.start += 1;
        Ok(self.buffer[self.start - 1])
    }

    fn skip(&mut self, count: u32) -> Result<(), RecordError> {
        let mut count = count as usize;
        while count > 0 {
            if self.is_at_end()? {
                return Err(RecordError::Truncated { position: self.consumed });
            }
            let step = count.min(self.end - self.start);
            self.start += step;
            count -= step;
        }
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        if self.start == self.end {
            self.refill()?;
        }
        Ok(self.start == self.end)
    }

    #[inline]
    fn plain_record(&mut self) -> Option<RecordOutline> {
        let window = &self.buffer[..self.end];
        let (outline, end) = RecordOutline::read_plain(window, self.start, self.consumed)?;
        self.start = end;
        Some(outline)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Small numbers, as the bytes of most records are.
    fn near_zero() -> impl Strategy<Value = u8> {
        prop_oneof![3 => 0_u8..16, 1 => any::<u8>()]
    }

    proptest! {
        #[test]
        fn the_quick_reader_reads_what_the_strict_one_reads(bytes in vec(near_zero(), 0..40)) {
            // With the right length in front, or hardly any input would be a record.
            let mut record = vec![u8::try_from(bytes.len() * 2).unwrap()];
            record.extend_from_slice(&bytes);
            record.push(7);
            let mut quick = SliceSource::new(&record, 0);
            let mut strict = SliceSource::new(&record, 0);
            let expected = RecordOutline::read(&mut strict);
            match quick.plain_record() {
                Some(outline) => {
                    prop_assert_eq!(Ok(outline), expected);
                    prop_assert_eq!(quick.position, strict.position);
                }
                None => prop_assert_eq!(quick.position, 0),
            }
        }
    }

    #[test]
    fn a_plain_record_takes_the_quick_way() {
        // Length 8, no attributes, timestamp 300, offset 5, key "k", null value, no headers.
        let record = [16, 0, 0xd8, 0x04, 10, 2, b'k', 1, 0];
        let outline = SliceSource::new(&record, 0).plain_record().unwrap();
        assert_eq!((outline.timestamp_delta, outline.offset_delta), (300, 5));
        assert_eq!((outline.key_size, outline.value_size), (Some(1), None));
    }
}
