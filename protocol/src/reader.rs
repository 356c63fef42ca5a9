//! The decoder's view of a frame: reads forward, never past the end, and never allocates on trust.
//!
//! Every count is checked against the bytes that are left, at the smallest size its elements can
//! have, before memory is reserved. Bytes already promised to the remaining elements of enclosing
//! arrays do not count as left, so nested counts cannot promise the same bytes twice: what decoding
//! keeps alive stays proportional to the input.

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::uuid::Uuid;

/// What was wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeErrorKind {
    #[error("{needed} bytes needed, {remaining} left")]
    UnexpectedEnd { needed: usize, remaining: usize },
    #[error("{remaining} bytes left over after the message")]
    TrailingBytes { remaining: usize },
    #[error("{count} elements of at least {element_size} bytes cannot fit in {available} bytes")]
    CountTooLarge { count: usize, element_size: usize, available: usize },
    #[error("{count} tagged fields cannot fit in {available} bytes")]
    TooManyTaggedFields { count: usize, available: usize },
    #[error("length {length} is not valid")]
    InvalidLength { length: i32 },
    #[error("a text of {length} bytes is longer than {MAX_TEXT_SIZE}")]
    TextTooLong { length: usize },
    #[error("null where a value is required")]
    UnexpectedNull,
    #[error("text is not UTF-8 after byte {valid_up_to}")]
    InvalidUtf8 { valid_up_to: usize },
    #[error("variable-length number does not fit its type")]
    VarintTooLong,
    #[error("byte {marker} says neither null (-1) nor present (1)")]
    InvalidNullMarker { marker: i8 },
    #[error("tagged field {tag} says {declared} bytes and has {actual}")]
    TaggedFieldSize { tag: u32, declared: usize, actual: usize },
    #[error("version {version} is not one of {min} to {max}")]
    UnsupportedVersion { version: i16, min: i16, max: i16 },
}

/// A step on the way from the message to the field that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Field(&'static str),
    Index(usize),
}

/// A frame that is not what its version says it should be: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(Box<DecodeFailure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct DecodeFailure {
    kind: DecodeErrorKind,
    message: Option<&'static str>,
    position: usize,
    /// Innermost step first, as the error is built on the way out.
    path: Vec<Step>,
}

impl DecodeError {
    /// Reports a failure found at a byte of the frame.
    #[cold]
    pub fn new(kind: DecodeErrorKind, position: usize) -> Self {
        Self(Box::new(DecodeFailure { kind, message: None, position, path: Vec::new() }))
    }

    /// What was wrong.
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// The byte of the frame at which it was noticed.
    pub fn position(&self) -> usize {
        self.0.position
    }

    /// Notes the field that was being read.
    #[cold]
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.0.path.push(Step::Field(name));
        self
    }

    /// Notes the array element that was being read.
    #[cold]
    #[must_use]
    pub fn at_index(mut self, index: usize) -> Self {
        self.0.path.push(Step::Index(index));
        self
    }

    /// Notes the message that was being read.
    #[cold]
    #[must_use]
    pub fn in_message(mut self, name: &'static str) -> Self {
        self.0.message = Some(name);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.message.unwrap_or("frame"))?;
        for step in self.0.path.iter().rev() {
            match step {
                Step::Field(name) => write!(formatter, ".{name}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        write!(formatter, ": {} (byte {})", self.0.kind, self.0.position)
    }
}

impl std::error::Error for DecodeError {}

/// Reads one frame from front to back.
#[derive(Debug, Clone)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    /// Bytes that the elements still to come of enclosing arrays need at the least.
    promised: usize,
}

impl Reader {
    /// Starts at the first byte.
    pub fn new(frame: Bytes) -> Self {
        Self { frame, position: 0, promised: 0 }
    }

    /// The next byte's place in the frame.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The number of bytes not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.position
    }

    /// Fails if anything is left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            remaining => Err(self.error(DecodeErrorKind::TrailingBytes { remaining })),
        }
    }

    /// Builds an error that points at the next byte.
    #[cold]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.position)
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some(bytes) = self.frame[self.position..].first_chunk::<N>() else {
            return Err(self.end(N));
        };
        let bytes = *bytes;
        self.position += N;
        Ok(bytes)
    }

    #[cold]
    fn end(&self, needed: usize) -> DecodeError {
        self.error(DecodeErrorKind::UnexpectedEnd { needed, remaining: self.remaining() })
    }

    #[inline]
    fn take_slice(&mut self, size: usize) -> Result<&[u8], DecodeError> {
        if size > self.remaining() {
            return Err(self.end(size));
        }
        let start = self.position;
        self.position += size;
        Ok(&self.frame[start..self.position])
    }

    /// Skips bytes that mean nothing to this version.
    #[inline]
    pub fn skip(&mut self, size: usize) -> Result<(), DecodeError> {
        self.take_slice(size).map(|_| ())
    }

    /// Borrows bytes from the frame: no copy, but the whole frame stays in memory with them.
    #[inline]
    pub fn read_slice(&mut self, size: usize) -> Result<Bytes, DecodeError> {
        if size > self.remaining() {
            return Err(self.end(size));
        }
        let start = self.position;
        self.position += size;
        Ok(self.frame.slice(start..self.position))
    }

    #[inline]
    pub fn read_i8(&mut self) -> Result<i8, DecodeError> {
        self.take().map(i8::from_be_bytes)
    }

    #[inline]
    pub fn read_i16(&mut self) -> Result<i16, DecodeError> {
        self.take().map(i16::from_be_bytes)
    }

    #[inline]
    pub fn read_u16(&mut self) -> Result<u16, DecodeError> {
        self.take().map(u16::from_be_bytes)
    }

    #[inline]
    pub fn read_i32(&mut self) -> Result<i32, DecodeError> {
        self.take().map(i32::from_be_bytes)
    }

    #[inline]
    pub fn read_u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    #[inline]
    pub fn read_i64(&mut self) -> Result<i64, DecodeError> {
        self.take().map(i64::from_be_bytes)
    }

    #[inline]
    pub fn read_f64(&mut self) -> Result<f64, DecodeError> {
        self.take().map(f64::from_be_bytes)
    }

    #[inline]
    pub fn read_uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.take().map(Uuid::from_bytes)
    }

    /// Reads an unsigned number of seven bits per byte, lowest first.
    #[inline]
    pub fn read_unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let first = self.take::<1>()?[0];
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        self.read_long_varint(first)
    }

    fn read_long_varint(&mut self, first: u8) -> Result<u32, DecodeError> {
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.take::<1>()?[0];
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(self.error(DecodeErrorKind::VarintTooLong));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::VarintTooLong))
    }

    /// Reads a length that may say null: plus one and variable in flexible versions, else four bytes.
    #[inline]
    pub fn read_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return Ok((self.read_unsigned_varint()? as usize).checked_sub(1));
        }
        let length = self.read_i32()?;
        self.check_length(length)
    }

    /// Reads the length of a text, which takes two bytes in versions that are not flexible.
    #[inline]
    pub fn read_text_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if !flexible {
            let length = self.read_i16()?;
            return self.check_length(i32::from(length));
        }
        let length = (self.read_unsigned_varint()? as usize).checked_sub(1);
        match length {
            Some(length) if length > MAX_TEXT_SIZE => {
                Err(self.error(DecodeErrorKind::TextTooLong { length }))
            }
            length => Ok(length),
        }
    }

    #[inline]
    fn check_length(&self, length: i32) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(self.error(DecodeErrorKind::InvalidLength { length })),
        }
    }

    /// Reads a text of a known size.
    #[inline]
    pub fn read_text(&mut self, size: usize) -> Result<String, DecodeError> {
        let start = self.position;
        let text = std::str::from_utf8(self.take_slice(size)?);
        match text {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let valid_up_to = error.valid_up_to();
                Err(DecodeError::new(DecodeErrorKind::InvalidUtf8 { valid_up_to }, start))
            }
        }
    }

    /// Reads the elements of an array whose count was read before.
    ///
    /// `element_size` is the smallest size one element can have on the wire in this version.
    #[inline]
    pub fn read_elements<T>(
        &mut self,
        count: usize,
        element_size: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        debug_assert!(element_size > 0, "an element without bytes would make counts unbounded");
        let available = self.remaining().saturating_sub(self.promised);
        if count > available / element_size {
            let kind = DecodeErrorKind::CountTooLarge { count, element_size, available };
            return Err(self.error(kind));
        }
        let mut elements = Vec::with_capacity(count);
        self.promised += count * element_size;
        for index in 0..count {
            self.promised -= element_size;
            match read(self) {
                Ok(element) => elements.push(element),
                Err(error) => return Err(error.at_index(index)),
            }
        }
        Ok(elements)
    }

    /// Reads how many tagged fields follow; each takes at least two bytes.
    #[inline]
    pub fn read_tagged_field_count(&mut self) -> Result<usize, DecodeError> {
        let count = self.read_unsigned_varint()? as usize;
        let available = self.remaining();
        if count > available / 2 {
            return Err(self.error(DecodeErrorKind::TooManyTaggedFields { count, available }));
        }
        Ok(count)
    }

    /// Reads the tag and the size of the next tagged field.
    #[inline]
    pub fn read_tagged_field_start(&mut self) -> Result<TaggedField, DecodeError> {
        let tag = self.read_unsigned_varint()?;
        let size = self.read_unsigned_varint()? as usize;
        if size > self.remaining() {
            return Err(self.end(size));
        }
        Ok(TaggedField { tag, start: self.position, size })
    }

    /// Fails unless exactly the declared size of a tagged field was read.
    #[inline]
    pub fn finish_tagged_field(&self, field: TaggedField) -> Result<(), DecodeError> {
        let actual = self.position - field.start;
        if actual == field.size {
            return Ok(());
        }
        let (tag, declared) = (field.tag, field.size);
        Err(self.error(DecodeErrorKind::TaggedFieldSize { tag, declared, actual }))
    }

    /// Skips a whole section of tagged fields of which none is known.
    #[inline]
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.read_tagged_field_count()? {
            let field = self.read_tagged_field_start()?;
            self.skip(field.size)?;
        }
        Ok(())
    }
}

/// Kafka's strings carry a 16-bit length even where the encoding would allow more.
pub(crate) const MAX_TEXT_SIZE: usize = 0x7fff;

/// A tagged field whose content comes next.
#[derive(Debug, Clone, Copy)]
pub struct TaggedField {
    pub tag: u32,
    pub size: usize,
    start: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn unsigned_varints_end_at_32_bits() {
        let read = |bytes| reader(bytes).read_unsigned_varint().map_err(|error| error.kind());
        assert_eq!(read(&[0x7f]), Ok(127));
        assert_eq!(read(&[0x80, 0x01]), Ok(128));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        let too_long = Err(DecodeErrorKind::VarintTooLong);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), too_long);
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), too_long);
        let end = DecodeErrorKind::UnexpectedEnd { needed: 1, remaining: 0 };
        assert_eq!(read(&[0x80]), Err(end));
    }

    #[test]
    fn lengths_below_minus_one_are_refused() {
        let read =
            |bytes, flexible| reader(bytes).read_length(flexible).map_err(|error| error.kind());
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff], false), Ok(None));
        assert_eq!(read(&[0], true), Ok(None));
        assert_eq!(read(&[1], true), Ok(Some(0)));
        let below = DecodeErrorKind::InvalidLength { length: -2 };
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xfe], false), Err(below));
    }

    #[test]
    fn counts_cannot_promise_the_same_bytes_twice() {
        // Ten outer elements of at least one byte leave one byte for the first one's inner array.
        let mut reader = reader(&[0; 10]);
        let inner_of_two = |reader: &mut Reader| reader.read_elements(2, 1, Reader::read_i8);
        let error = reader.read_elements(10, 1, inner_of_two).unwrap_err();
        let kind = DecodeErrorKind::CountTooLarge { count: 2, element_size: 1, available: 1 };
        assert_eq!(error.kind(), kind);
        assert_eq!(error.to_string(), format!("frame[0]: {kind} (byte 0)"));
    }

    #[test]
    fn tagged_fields_cannot_outnumber_the_bytes() {
        let error = reader(&[0xff, 0xff, 0xff, 0x7f, 0, 0]).skip_tagged_fields().unwrap_err();
        let kind = DecodeErrorKind::TooManyTaggedFields { count: 0x0fff_ffff, available: 2 };
        assert_eq!(error.kind(), kind);
    }

    #[test]
    fn slices_share_the_frame() {
        let frame = Bytes::from(vec![1, 2, 3, 4]);
        let slice = Reader::new(frame.clone()).read_slice(3).unwrap();
        assert_eq!(slice.as_ptr(), frame.as_ptr());
    }
}
