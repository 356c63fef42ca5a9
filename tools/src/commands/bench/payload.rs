//! Values to send: different from record to record, and as compressible as text is.

use bytes::Bytes;
use flumen_client::connection::Rng;

/// A pool of letters that values are cut from; making each value anew would cost more than sending.
#[derive(Debug)]
pub(super) struct Payload {
    pool: Bytes,
    size: usize,
    next: usize,
}

/// Sixteen letters make half a byte of information in each.
const LETTERS: &[u8; 16] = b"etaoinshrdlucmfw";

/// Larger than what codecs look back over.
const POOL_BYTES: usize = 4 << 20;

impl Payload {
    pub(super) fn new(size: usize, rng: &dyn Rng) -> Self {
        let mut pool = Vec::with_capacity(POOL_BYTES + size);
        while pool.len() < POOL_BYTES + size {
            let random = rng.next_u64().to_be_bytes();
            let halves = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            pool.extend(halves.map(|half| LETTERS[usize::from(half)]));
        }
        Self { pool: pool.into(), size, next: 0 }
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Bytes {
        let start = self.next;
        // A step that shares no factor with the pool visits every place.
        self.next = (start + 7_919) % POOL_BYTES;
        self.pool.slice(start..start + self.size)
    }
}
