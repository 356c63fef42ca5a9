//! The encoder's side of a frame: small values go inline, record data is only pointed to.
//!
//! All inline bytes go to one buffer. A segment remembers at which inline byte it stands, and the
//! pieces are cut apart at the end, when the length prefix is known: nothing is encoded twice, and
//! no size is computed ahead.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::frame::{Frame, Segment};
use crate::reader::MAX_TEXT_SIZE;
use crate::record_data::Records;
use crate::uuid::Uuid;

const PREFIX_SIZE: usize = 4;

/// Why a message has no encoding in a version. Always a mistake of the program, never of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}, only {min} to {max}")]
    UnsupportedVersion { message: &'static str, version: i16, min: i16, max: i16 },
    #[error("{message}.{field} has a value that version {version} cannot carry")]
    UnsupportedField { message: &'static str, field: &'static str, version: i16 },
    #[error("{message}.{field} must not be null in version {version}")]
    UnexpectedNull { message: &'static str, field: &'static str, version: i16 },
    #[error("a value of {size} bytes or elements is longer than the {limit} its length can say")]
    TooLong { size: usize, limit: usize },
    #[error("record data stands in a file and cannot become bytes here")]
    RecordsInFile,
}

/// Collects one message.
#[derive(Debug)]
pub struct FrameWriter {
    inline: BytesMut,
    /// Segments with the number of inline bytes in front of each.
    pieces: Vec<(usize, Segment)>,
    pieces_size: usize,
}

impl Default for FrameWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameWriter {
    /// Starts a frame; the length prefix is filled in at the end.
    pub fn new() -> Self {
        Self::with_capacity(256)
    }

    /// Starts a frame that is expected to have about that many bytes beside its record data.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut inline = BytesMut::with_capacity(capacity.max(PREFIX_SIZE));
        inline.put_u32(0);
        Self { inline, pieces: Vec::new(), pieces_size: 0 }
    }

    /// The number of bytes so far, without the length prefix.
    pub fn size(&self) -> usize {
        self.inline.len() - PREFIX_SIZE + self.pieces_size
    }

    /// Fills in the length prefix and cuts the frame into its segments.
    pub fn finish(mut self) -> Result<Frame, EncodeError> {
        let size = self.size();
        let prefix =
            i32::try_from(size).ok().ok_or(EncodeError::TooLong { size, limit: MAX_SIZE })?;
        self.inline[..PREFIX_SIZE].copy_from_slice(&prefix.to_be_bytes());
        Ok(Frame::new(cut(self.inline.freeze(), 0, self.pieces)))
    }

    /// Gives the message as one run of bytes without a length prefix, for use inside another one.
    pub fn into_bytes(self) -> Result<Bytes, EncodeError> {
        let whole = self.inline.freeze();
        if self.pieces.is_empty() {
            return Ok(whole.slice(PREFIX_SIZE..));
        }
        let mut joined = BytesMut::with_capacity(whole.len() - PREFIX_SIZE + self.pieces_size);
        for segment in cut(whole, PREFIX_SIZE, self.pieces) {
            match segment {
                Segment::Bytes(bytes) => joined.extend_from_slice(&bytes),
                Segment::File(_) => return Err(EncodeError::RecordsInFile),
            }
        }
        Ok(joined.freeze())
    }

    #[inline]
    pub fn put_i8(&mut self, value: i8) {
        self.inline.put_i8(value);
    }

    #[inline]
    pub fn put_i16(&mut self, value: i16) {
        self.inline.put_i16(value);
    }

    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.inline.put_u16(value);
    }

    #[inline]
    pub fn put_i32(&mut self, value: i32) {
        self.inline.put_i32(value);
    }

    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.inline.put_u32(value);
    }

    #[inline]
    pub fn put_i64(&mut self, value: i64) {
        self.inline.put_i64(value);
    }

    #[inline]
    pub fn put_f64(&mut self, value: f64) {
        self.inline.put_f64(value);
    }

    #[inline]
    pub fn put_uuid(&mut self, value: Uuid) {
        self.inline.put_slice(value.as_bytes());
    }

    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.inline.put_slice(bytes);
    }

    /// Writes an unsigned number of seven bits per byte, lowest first.
    #[inline]
    pub fn put_unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.inline.put_u8((value & 0x7f).to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.inline.put_u8(value.to_le_bytes()[0]);
    }

    /// Writes a length, or null, as [`read_length`](crate::Reader::read_length) reads it.
    #[inline]
    pub fn put_length(&mut self, size: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        let length = match size {
            Some(size) => match i32::try_from(size) {
                Ok(length) if length < i32::MAX => length,
                _ => return Err(EncodeError::TooLong { size, limit: MAX_SIZE - 1 }),
            },
            None => -1,
        };
        if flexible {
            self.put_unsigned_varint((length + 1).unsigned_abs());
        } else {
            self.put_i32(length);
        }
        Ok(())
    }

    /// Writes a text with its length, or null.
    #[inline]
    pub fn put_text(&mut self, text: Option<&str>, flexible: bool) -> Result<(), EncodeError> {
        let Some(text) = text else {
            if flexible {
                self.put_unsigned_varint(0);
            } else {
                self.put_i16(-1);
            }
            return Ok(());
        };
        let Ok(length) = i16::try_from(text.len()) else {
            return Err(EncodeError::TooLong { size: text.len(), limit: MAX_TEXT_SIZE });
        };
        if flexible {
            self.put_unsigned_varint((i32::from(length) + 1).unsigned_abs());
        } else {
            self.put_i16(length);
        }
        self.put_slice(text.as_bytes());
        Ok(())
    }

    /// Points to record data; only its length is written inline.
    #[inline]
    pub fn put_records(
        &mut self,
        records: Option<&Records>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.put_length(records.map(Records::size), flexible)?;
        match records {
            Some(Records::Bytes(bytes)) => self.put_segment(Segment::Bytes(bytes.clone())),
            Some(Records::Segments(segments)) => {
                for segment in segments {
                    self.put_segment(segment.clone());
                }
            }
            None => {}
        }
        Ok(())
    }

    fn put_segment(&mut self, segment: Segment) {
        let size = segment.size();
        if size > 0 {
            self.pieces_size += size;
            self.pieces.push((self.inline.len(), segment));
        }
    }

    /// Starts a tagged field whose size is not known yet.
    #[inline]
    pub fn begin_tagged_field(&mut self, tag: u32) -> TaggedFieldStart {
        self.put_unsigned_varint(tag);
        // Nearly all tagged fields are shorter than 128 bytes: one byte is kept for the size.
        self.inline.put_u8(0);
        TaggedFieldStart(self.inline.len())
    }

    /// Fills in the size of a tagged field, and makes room if it takes more than one byte.
    #[inline]
    pub fn end_tagged_field(&mut self, start: TaggedFieldStart) -> Result<(), EncodeError> {
        let size = self.inline.len() - start.0;
        if let Ok(size @ 0..0x80) = u8::try_from(size) {
            self.inline[start.0 - 1] = size;
            return Ok(());
        }
        self.end_long_tagged_field(start.0, size)
    }

    fn end_long_tagged_field(&mut self, start: usize, size: usize) -> Result<(), EncodeError> {
        let length = u32::try_from(size).ok().filter(|length| *length < 1 << 31);
        let length = length.ok_or(EncodeError::TooLong { size, limit: MAX_SIZE })?;
        let content = self.inline.split_off(start);
        self.inline.truncate(start - 1);
        self.put_unsigned_varint(length);
        self.inline.extend_from_slice(&content);
        Ok(())
    }
}

const MAX_SIZE: usize = 0x7fff_ffff;

/// Where the content of a tagged field begins.
#[derive(Debug)]
#[must_use = "a tagged field needs its size"]
pub struct TaggedFieldStart(usize);

/// Interleaves the inline bytes from `from` on with the segments that stand between them.
fn cut(inline: Bytes, from: usize, pieces: Vec<(usize, Segment)>) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(2 * pieces.len() + 1);
    let mut start = from;
    for (at, segment) in pieces {
        if at > start {
            segments.push(Segment::Bytes(inline.slice(start..at)));
            start = at;
        }
        segments.push(segment);
    }
    if inline.len() > start {
        segments.push(Segment::Bytes(inline.slice(start..)));
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_data_is_not_copied_into_the_frame() {
        let records = Records::from(Bytes::from(vec![7; 100]));
        let mut writer = FrameWriter::new();
        writer.put_i16(1);
        writer.put_records(Some(&records), false).unwrap();
        writer.put_i16(2);
        let frame = writer.finish().unwrap();

        let [Segment::Bytes(head), Segment::Bytes(middle), Segment::Bytes(tail)] = frame.segments()
        else {
            panic!("three segments, not {frame:?}");
        };
        assert_eq!(head[..], [0, 0, 0, 108, 0, 1, 0, 0, 0, 100]);
        assert_eq!(middle.as_ptr(), records.as_bytes().unwrap().as_ptr());
        assert_eq!(tail[..], [0, 2]);
        assert_eq!(frame.size(), 112);
        assert_eq!(frame.read().unwrap().len(), 112);
    }

    #[test]
    fn tagged_fields_of_any_size_get_their_size() {
        for size in [0, 1, 127, 128, 20_000] {
            let mut writer = FrameWriter::new();
            let start = writer.begin_tagged_field(5);
            writer.put_slice(&vec![9; size]);
            writer.end_tagged_field(start).unwrap();
            writer.put_i8(3);
            let mut reader = crate::Reader::new(writer.into_bytes().unwrap());
            let field = reader.read_tagged_field_start().unwrap();
            assert_eq!((field.tag, field.size), (5, size));
            assert_eq!(reader.read_slice(size).unwrap(), vec![9; size]);
            reader.finish_tagged_field(field).unwrap();
            assert_eq!(reader.read_i8().unwrap(), 3);
        }
    }

    #[test]
    fn texts_longer_than_a_16_bit_length_are_refused() {
        let text = "x".repeat(MAX_TEXT_SIZE + 1);
        for flexible in [false, true] {
            let result = FrameWriter::new().put_text(Some(&text), flexible);
            let too_long = EncodeError::TooLong { size: text.len(), limit: MAX_TEXT_SIZE };
            assert_eq!(result, Err(too_long));
        }
    }
}
