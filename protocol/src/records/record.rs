//! One record, and the iterator that yields the records of a batch as slices of its payload.

use bytes::Bytes;

use super::header::{BatchHeader, TimestampType};
use super::outline::{RecordError, RecordOutline, SliceSource};

/// A header of a record: a name and a value, in the order they were given; names may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// The name, UTF-8 by convention.
    pub key: Bytes,
    /// The value, which may be null.
    pub value: Option<Bytes>,
}

/// One record with its absolute offset and timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the partition.
    pub offset: i64,
    /// Milliseconds since the Unix epoch, or -1.
    pub timestamp: i64,
    /// Attributes of the record: unused so far, always 0.
    pub attributes: i8,
    /// The key, which may be null.
    pub key: Option<Bytes>,
    /// The value; null marks the key as deleted in a compacted topic.
    pub value: Option<Bytes>,
    /// Headers in their order.
    pub headers: Vec<RecordHeader>,
}

/// Iterates over the records of a batch; ends after the first error.
#[derive(Debug)]
pub struct Records {
    payload: Bytes,
    position: u64,
    remaining: i32,
    finished: bool,
    base_offset: i64,
    base_timestamp: i64,
    /// The timestamp of every record, where the broker chose it.
    log_append_time: Option<i64>,
}

impl Records {
    pub(super) fn new(payload: Bytes, header: &BatchHeader) -> Self {
        let by_broker = header.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            payload,
            position: 0,
            remaining: header.record_count,
            finished: false,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time: by_broker.then_some(header.max_timestamp),
        }
    }

    fn read(&mut self) -> Result<Record, RecordError> {
        let mut source = SliceSource::new(&self.payload, self.position);
        let outline = RecordOutline::read(&mut source)?;
        self.position += outline.size;
        let offset = self
            .base_offset
            .checked_add(i64::from(outline.offset_delta))
            .ok_or(RecordError::OffsetOverflow)?;
        // Deltas wrap around as they do in Java, where both sides use plain arithmetic.
        let timestamp = self
            .log_append_time
            .unwrap_or_else(|| self.base_timestamp.wrapping_add(outline.timestamp_delta));
        Ok(Record {
            offset,
            timestamp,
            attributes: outline.attributes,
            key: self.part(outline.key_size, outline.key_position),
            value: self.part(outline.value_size, outline.value_position),
            headers: self.headers(&outline)?,
        })
    }

    fn headers(&self, outline: &RecordOutline) -> Result<Vec<RecordHeader>, RecordError> {
        let mut source = SliceSource::new(&self.payload, outline.headers_position);
        // The outline has checked the count against the bytes of the record.
        let mut headers = Vec::with_capacity(outline.header_count as usize);
        for _ in 0..outline.header_count {
            let (key_size, key_position) = source.checked_part()?;
            let (value_size, value_position) = source.checked_part()?;
            headers.push(RecordHeader {
                key: self.part(key_size, key_position).unwrap_or_default(),
                value: self.part(value_size, value_position),
            });
        }
        Ok(headers)
    }

    fn part(&self, size: Option<u32>, position: u64) -> Option<Bytes> {
        let start = usize::try_from(position).expect("positions lie within the payload");
        size.map(|size| self.payload.slice(start..start + size as usize))
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let next = if self.remaining == 0 {
            self.finished = true;
            let at_end = self.position == self.payload.len() as u64;
            (!at_end).then(|| Err(RecordError::TrailingBytes { position: self.position }))
        } else {
            self.remaining -= 1;
            Some(self.read())
        };
        self.finished |= matches!(next, Some(Err(_)));
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is the sender's claim: it may bound the iteration, not an allocation.
        (0, usize::try_from(self.remaining).ok().map(|count| count.saturating_add(1)))
    }
}
