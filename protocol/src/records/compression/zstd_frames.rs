//! What Zstandard frames say about themselves, before anything is decompressed (RFC 8878).
//!
//! A few bytes of input may ask for a large window and for much output. Each block says how much it
//! can become, so that the most that can come out is known from the headers alone.

use super::{Compression, CompressionError};

const MAGIC: u32 = 0xfd2f_b528;
/// The magic of frames to be passed over; its low four bits are free.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;

/// The largest block, whatever the window.
const BLOCK_SIZE_MAX: u64 = 128 * 1024;

const BLOCK_HEADER_SIZE: usize = 3;
const CHECKSUM_SIZE: usize = 4;

const MALFORMED: CompressionError = CompressionError::Malformed { codec: Compression::Zstd };

/// The frames of a payload, taken together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ZstdFrames {
    /// The largest window that one of them asks for.
    pub(super) window_size: u64,
    /// The most that can come out.
    pub(super) output_size_max: u64,
    /// What they declare to come out; `None` if one does not say.
    ///
    /// Decoders that are given the whole frame hold it to its word, and streaming ones do not if an
    /// empty block ends it: a batch that only some consumers can read must not get into a log.
    pub(super) declared_size: Option<u64>,
}

impl ZstdFrames {
    /// Walks over the headers of all frames and blocks.
    pub(super) fn parse(data: &[u8]) -> Result<Self, CompressionError> {
        let mut frames = Self { window_size: 0, output_size_max: 0, declared_size: Some(0) };
        let mut rest = Rest(data);
        while !rest.0.is_empty() {
            let magic = rest.number(4)?;
            if magic & !0xf == u64::from(SKIPPABLE_MAGIC) {
                let size = rest.number(4)?;
                rest.take(usize::try_from(size).map_err(|_too_large| MALFORMED)?)?;
            } else if magic == u64::from(MAGIC) {
                frames.frame(&mut rest)?;
            } else {
                return Err(MALFORMED);
            }
        }
        Ok(frames)
    }

    fn frame(&mut self, rest: &mut Rest<'_>) -> Result<(), CompressionError> {
        let descriptor = rest.number(1)?;
        let is_single_segment = descriptor & 1 << 5 != 0;
        let window = if is_single_segment { None } else { Some(rest.number(1)?) };
        rest.take(match descriptor & 3 {
            3 => 4,
            2 => 2,
            1 => 1,
            _ => 0,
        })?;
        let declared = match (descriptor >> 6, is_single_segment) {
            (0, false) => None,
            (0, true) => Some(rest.number(1)?),
            (1, _) => Some(rest.number(2)? + 256),
            (2, _) => Some(rest.number(4)?),
            _ => Some(rest.number(8)?),
        };
        let window_size = match window {
            Some(window) => {
                let base = 1_u64 << (10 + (window >> 3));
                base + base / 8 * (window & 7)
            }
            None => declared.unwrap_or_default(),
        };
        self.window_size = self.window_size.max(window_size);
        let total = self.declared_size.zip(declared);
        self.declared_size = total.and_then(|(total, declared)| total.checked_add(declared));
        self.blocks(rest, BLOCK_SIZE_MAX.min(window_size))?;
        if descriptor & 1 << 2 != 0 {
            rest.take(CHECKSUM_SIZE)?;
        }
        Ok(())
    }

    fn blocks(&mut self, rest: &mut Rest<'_>, size_max: u64) -> Result<(), CompressionError> {
        loop {
            let header = rest.number(BLOCK_HEADER_SIZE)?;
            let size = header >> 3;
            let (stored, output) = match header >> 1 & 3 {
                0 => (size, size),
                1 => (1, size),
                2 => (size, size_max),
                _ => return Err(MALFORMED),
            };
            rest.take(usize::try_from(stored).map_err(|_too_large| MALFORMED)?)?;
            self.output_size_max = self.output_size_max.saturating_add(output);
            if header & 1 != 0 {
                return Ok(());
            }
        }
    }
}

/// What has not been looked at.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], CompressionError> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of up to eight bytes, the lowest first.
    fn number(&mut self, size: usize) -> Result<u64, CompressionError> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A frame with everything in its header, as a compressor with these settings writes it.
    fn frame(content: &[u8], level: i32, declares: bool) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
        encoder.include_checksum(true).unwrap();
        if declares {
            encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
        }
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn headers_are_read_as_the_codec_means_them() {
        for size in [0, 1, 255, 256, 70_000, 400_000] {
            let content: Vec<u8> =
                (0..size).map(|i: u32| u8::try_from(i / 7 % 250).unwrap()).collect();
            for level in [1, 3, 19] {
                for declares in [true, false] {
                    let bytes = frame(&content, level, declares);
                    let frames = ZstdFrames::parse(&bytes).unwrap();
                    // That nothing will come the compressor sees by itself.
                    let is_known = declares || size == 0;
                    assert_eq!(frames.declared_size, is_known.then_some(u64::from(size)));
                    assert!(frames.output_size_max >= u64::from(size), "{frames:?} of {size}");
                    // High levels split blocks where the content changes.
                    let most = 4 * u64::from(size) + BLOCK_SIZE_MAX;
                    assert!(frames.output_size_max <= most, "{frames:?} of {size}");
                    let cut = ZstdFrames::parse(&bytes[..bytes.len() - 1]);
                    assert_eq!(cut, Err(MALFORMED));
                }
            }
        }
    }

    #[test]
    fn frames_add_up_and_others_are_passed_over() {
        let (first, second) = (frame(&[1; 1000], 3, true), frame(&[2; 50], 3, true));
        let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let bytes = [&first[..], &skippable, &second].concat();
        let frames = ZstdFrames::parse(&bytes).unwrap();
        assert_eq!(frames.declared_size, Some(1050));
        assert_eq!(ZstdFrames::parse(&bytes[1..]), Err(MALFORMED));
        assert_eq!(ZstdFrames::parse(&skippable[..10]), Err(MALFORMED));
    }
}
