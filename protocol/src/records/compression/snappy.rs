//! Snappy blocks in the stream framing of xerial's snappy-java, which Apache Kafka writes.
//!
//! ```text
//! 0x82 "SNAPPY" 0x00 | version i32 = 1 | compatible version i32 = 1 | blocks: size i32, snappy block
//! ```
//!
//! Some producers send one bare block without this framing; the first bytes tell them apart.

use super::{Compression, CompressionError};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_SIZE: usize = 16;
/// Bytes that go into one block, as in snappy-java.
const BLOCK_SIZE: usize = 32 * 1024;
/// A copy element of three bytes yields 64: no block expands further.
const EXPANSION_MAX: usize = 22;

const MALFORMED: CompressionError = CompressionError::Malformed { codec: Compression::Snappy };

/// Compresses `data` into framed blocks.
pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(HEADER_SIZE + data.len() / 2);
    output.extend_from_slice(&MAGIC);
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&1_i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_SIZE)];
    for chunk in data.chunks(BLOCK_SIZE) {
        let size = encoder.compress(chunk, &mut block).expect("the block has room for the worst");
        let prefix = u32::try_from(size).expect("a block is small");
        output.extend_from_slice(&prefix.to_be_bytes());
        output.extend_from_slice(&block[..size]);
    }
    output
}

/// Decompresses block by block.
#[derive(Debug)]
pub(super) struct SnappyReader<'a> {
    rest: &'a [u8],
    is_framed: bool,
    block: Vec<u8>,
    position: usize,
}

impl<'a> SnappyReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        let is_framed = data.len() >= HEADER_SIZE && data.starts_with(&MAGIC);
        let rest = if is_framed { &data[HEADER_SIZE..] } else { data };
        Self { rest, is_framed, block: Vec::new(), position: 0 }
    }

    /// Fills the front of `output`; 0 only at the end. `allowed` bounds the size of a block.
    pub(super) fn fill(
        &mut self,
        output: &mut [u8],
        allowed: usize,
    ) -> Result<usize, CompressionError> {
        while self.position == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block(allowed)?;
        }
        let size = output.len().min(self.block.len() - self.position);
        output[..size].copy_from_slice(&self.block[self.position..self.position + size]);
        self.position += size;
        Ok(size)
    }

    fn next_block(&mut self, allowed: usize) -> Result<(), CompressionError> {
        let compressed = if self.is_framed { self.split_block()? } else { self.rest };
        if !self.is_framed {
            self.rest = &[];
        }
        let size = snap::raw::decompress_len(compressed).map_err(|_malformed| MALFORMED)?;
        // The size is a claim: nothing is allocated for one that cannot be true.
        if size > compressed.len().saturating_mul(EXPANSION_MAX) {
            return Err(MALFORMED);
        }
        if size > allowed {
            let limit = allowed;
            return Err(CompressionError::OutputLimit { codec: Compression::Snappy, limit });
        }
        self.block.resize(size, 0);
        self.position = 0;
        let written = snap::raw::Decoder::new()
            .decompress(compressed, &mut self.block)
            .map_err(|_malformed| MALFORMED)?;
        self.block.truncate(written);
        Ok(())
    }

    fn split_block(&mut self) -> Result<&'a [u8], CompressionError> {
        let (prefix, rest) = self.rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
        let size = usize::try_from(i32::from_be_bytes(*prefix)).map_err(|_negative| MALFORMED)?;
        let (block, rest) = rest.split_at_checked(size).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(block)
    }
}
