//! What a client has sent and nobody has taken yet: bytes in, frames out. Pure, apart from the
//! memory it holds.
//!
//! One buffer per connection is filled by reads and cut into frames. A produce request borrows its
//! frame from the buffer, so that record data is never copied on its way to the log; the buffer is
//! used again once the request is done with it. All other frames are copied out, so that a string
//! kept by a handler does not keep a large buffer alive.

use bytes::{Buf, Bytes, BytesMut};
use flumen_protocol::ApiKey;

use super::memory::{Lease, RequestMemory};

const PREFIX_SIZE: usize = 4;

/// How a Produce begins behind its length.
const PRODUCE: [u8; 2] = ApiKey::Produce.key().to_be_bytes();

/// What a connection may hold without asking: enough for most requests.
pub(super) const BASE_CAPACITY: usize = 16 * 1024;

/// The largest frame before the first valid request. It is also the first step of growth.
pub(super) const FIRST_FRAME_SIZE_MAX: usize = 64 * 1024;

/// The most memory that a byte of a request takes once it is decoded; of a Produce the records, which
/// are nearly all of it, stay as they are.
const DECODED_BYTES_MAX: usize = 64;

/// The part of all request memory that one decoded request may need. It has to be there at once, beside
/// what others hold.
const DECODED_SHARE: usize = 2;

/// A frame that nobody could mean.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {size} bytes was announced, at most {limit} are accepted")]
    TooLarge { size: i64, limit: usize },
    #[error("a frame of {size} bytes was announced")]
    Negative { size: i64 },
}

/// The receiving buffer of one connection.
#[derive(Debug)]
pub(super) struct Input {
    buffer: BytesMut,
    frame_size_max: usize,
    /// The same for what is not a Produce.
    others_size_max: usize,
    memory_limit: usize,
    lease: Lease,
}

impl Input {
    pub(super) fn new(memory: &RequestMemory) -> Self {
        let lease = memory.lease();
        Self {
            buffer: BytesMut::new(),
            frame_size_max: FIRST_FRAME_SIZE_MAX,
            others_size_max: FIRST_FRAME_SIZE_MAX,
            memory_limit: memory.limit(),
            lease,
        }
    }

    /// Lifts the limit for strangers.
    pub(super) fn trust(&mut self, frame_size_max: usize) {
        self.frame_size_max = frame_size_max;
        let decodable = self.memory_limit / DECODED_SHARE / DECODED_BYTES_MAX;
        self.others_size_max = frame_size_max.min(decodable.max(FIRST_FRAME_SIZE_MAX));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Bytes that have come of a frame that is not whole yet; none between frames.
    pub(super) fn partial_size(&self) -> Option<usize> {
        (!self.is_empty() && !self.has_frame()).then_some(self.buffer.len())
    }

    /// The size of the frame at the front with its prefix, once the prefix has arrived.
    fn front_size(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_SIZE>() else { return Ok(None) };
        let size = i32::from_be_bytes(*prefix);
        let Ok(count) = usize::try_from(size) else {
            return Err(FrameError::Negative { size: size.into() });
        };
        let limit = match self.buffer.get(PREFIX_SIZE..PREFIX_SIZE + 2) {
            Some(key) if key != PRODUCE => self.others_size_max,
            Some(_) | None => self.frame_size_max,
        };
        if count > limit {
            return Err(FrameError::TooLarge { size: size.into(), limit });
        }
        Ok(Some(PREFIX_SIZE + count))
    }

    /// Whether a whole frame has arrived.
    pub(super) fn has_frame(&self) -> bool {
        matches!(self.front_size(), Ok(Some(size)) if self.buffer.len() >= size)
    }

    /// The memory that must be at hand to decode the whole frame at the front; none for a small one.
    pub(super) fn decoded_size(&self) -> usize {
        let size = match self.front_size() {
            Ok(Some(size)) if self.buffer.len() >= size => size - PREFIX_SIZE,
            Ok(_) | Err(_) => return 0,
        };
        let is_produce = self.buffer[PREFIX_SIZE..].starts_with(&PRODUCE);
        if is_produce || size <= FIRST_FRAME_SIZE_MAX { 0 } else { size * DECODED_BYTES_MAX }
    }

    /// Takes the next whole frame, without its length prefix.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(size) = self.front_size()? else { return Ok(None) };
        if self.buffer.len() < size {
            return Ok(None);
        }
        let body = &self.buffer[PREFIX_SIZE..size];
        if body.starts_with(&PRODUCE) {
            let mut frame = self.buffer.split_to(size);
            frame.advance(PREFIX_SIZE);
            return Ok(Some(frame.freeze()));
        }
        let frame = Bytes::copy_from_slice(body);
        self.buffer.advance(size);
        Ok(Some(frame))
    }

    /// Makes room to read into and returns the buffer, or `None` while memory is short.
    ///
    /// The buffer doubles when the frame in it needs more than there is, up to what that frame
    /// announced: a client that announces much and sends little holds little.
    pub(super) fn room(&mut self) -> Option<&mut BytesMut> {
        let held = self.buffer.len();
        let frame = self.front_size().ok().flatten().unwrap_or(0);
        if frame <= BASE_CAPACITY && self.buffer.capacity() > held {
            return Some(&mut self.buffer);
        }
        if frame <= self.buffer.capacity() && self.buffer.capacity() > held {
            return Some(&mut self.buffer);
        }
        let step = if held < BASE_CAPACITY {
            BASE_CAPACITY
        } else {
            (held * 2).max(FIRST_FRAME_SIZE_MAX).min(frame.max(FIRST_FRAME_SIZE_MAX))
        };
        let capacity = step.max(self.lease.size().max(BASE_CAPACITY));
        if capacity > BASE_CAPACITY && !self.lease.grow_to(capacity) {
            return None;
        }
        self.buffer.reserve(capacity - held);
        Some(&mut self.buffer)
    }

    /// Gives a large buffer back when nothing is in it.
    pub(super) fn shrink(&mut self) {
        if self.buffer.is_empty() && self.lease.size() > 0 {
            self.buffer = BytesMut::new();
            self.lease.release();
        }
    }

    /// Whether [`shrink`](Self::shrink) would give anything back.
    pub(super) fn is_grown(&self) -> bool {
        self.lease.size() > 0
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn input() -> Input {
        Input::new(&RequestMemory::new(1 << 30))
    }

    fn feed(input: &mut Input, bytes: &[u8]) {
        for piece in bytes.chunks(1000) {
            let room = input.room().unwrap();
            assert!(room.capacity() > room.len());
            room.put_slice(piece);
        }
    }

    fn frame(key: i16, size: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(size).unwrap().to_be_bytes().to_vec();
        bytes.extend(key.to_be_bytes());
        bytes.resize(4 + size, 7);
        bytes
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut input = input();
        let sizes = [(0, 100), (3, 2), (0, 60_000), (18, 20_000), (0, 5)];
        for (key, size) in sizes {
            feed(&mut input, &frame(key, size));
        }
        for (key, size) in sizes {
            assert!(input.has_frame());
            assert_eq!(input.next_frame().unwrap().unwrap(), frame(key, size)[4..]);
        }
        assert_eq!(input.next_frame(), Ok(None));
        assert!(input.is_empty());
    }

    #[test]
    fn a_length_costs_nothing_until_bytes_arrive() {
        let mut input = input();
        input.trust(100 << 20);
        feed(&mut input, &(100u32 << 20).to_be_bytes());
        feed(&mut input, &[0; 30_000]);
        assert!(input.buffer.capacity() <= 2 * FIRST_FRAME_SIZE_MAX);
        assert_eq!(input.next_frame(), Ok(None));
    }

    #[test]
    fn strangers_have_a_smaller_limit() {
        let mut input = input();
        let size = i64::try_from(FIRST_FRAME_SIZE_MAX).unwrap() + 1;
        feed(&mut input, &u32::try_from(size).unwrap().to_be_bytes());
        let limit = FIRST_FRAME_SIZE_MAX;
        assert_eq!(input.next_frame(), Err(FrameError::TooLarge { size, limit }));
        input.trust(1 << 20);
        assert_eq!(input.next_frame(), Ok(None));
    }

    #[test]
    fn requests_may_be_as_large_as_memory_to_decode_them_allows() {
        let (size, limit) = ((1 << 20) + 1, 1 << 20);
        for key in [0, 14] {
            let mut input = input();
            input.trust(limit);
            feed(&mut input, &frame(key, limit));
            assert!(input.next_frame().unwrap().is_some());
            feed(&mut input, &frame(key, limit + 1)[..6]);
            assert_eq!(input.next_frame(), Err(FrameError::TooLarge { size, limit }));
        }
        let (size, limit) = ((1 << 18) + 1, 1 << 18);
        let mut input = Input::new(&RequestMemory::new(limit * 2 * 64));
        input.trust(1 << 20);
        feed(&mut input, &frame(0, 1 << 20));
        assert!(input.next_frame().unwrap().is_some());
        feed(&mut input, &frame(14, limit + 1)[..6]);
        assert_eq!(input.next_frame(), Err(FrameError::TooLarge { size, limit }));
    }

    #[test]
    fn a_large_request_says_what_decoding_it_may_take() {
        let mut input = input();
        input.trust(1 << 20);
        let mut decoded_size = |bytes: &[u8]| {
            feed(&mut input, bytes);
            let size = input.decoded_size();
            input.next_frame().unwrap();
            size
        };
        assert_eq!(decoded_size(&frame(14, FIRST_FRAME_SIZE_MAX)), 0);
        assert_eq!(decoded_size(&frame(0, 100_000)), 0);
        assert_eq!(decoded_size(&frame(14, 100_000)), 6_400_000);
        assert_eq!(decoded_size(&frame(14, 100_000)[..99_999]), 0);
    }

    #[test]
    fn a_negative_length_is_refused() {
        let mut input = input();
        feed(&mut input, &[0xff; 4]);
        assert_eq!(input.next_frame(), Err(FrameError::Negative { size: -1 }));
    }

    #[test]
    fn the_buffer_is_used_again_and_given_back() {
        let memory = RequestMemory::new(1 << 20);
        let mut input = Input::new(&memory);
        input.trust(1 << 20);
        for _ in 0..20 {
            feed(&mut input, &frame(0, 200_000));
            drop(input.next_frame().unwrap().unwrap());
        }
        assert!(input.buffer.capacity() <= 1 << 19, "{}", input.buffer.capacity());
        assert!(memory.used() > 0);
        input.shrink();
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn memory_that_is_short_stops_reading_and_nothing_else() {
        let memory = RequestMemory::new(100_000);
        let mut first = Input::new(&memory);
        first.trust(1 << 20);
        let bytes = frame(0, 90_000);
        feed(&mut first, &bytes[..20_000]);
        let mut second = Input::new(&memory);
        second.trust(1 << 20);
        second.room().unwrap().put_slice(&frame(0, 80_000)[..BASE_CAPACITY]);
        while second.buffer.capacity() > second.buffer.len() {
            second.buffer.put_u8(0);
        }
        assert!(second.room().is_none());
        drop(first);
        assert!(second.room().is_some());
    }
}
