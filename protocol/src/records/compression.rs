//! The four codecs a batch can be compressed with, in the framings Apache Kafka uses.
//!
//! Decompression is a stream with a limit on what comes out, so that a small batch cannot make a
//! broker allocate more than it agreed to. What the codecs themselves need is bounded too: zstd's
//! window, an LZ4 block and a snappy block never exceed a few megabytes or the limit.

mod decompress;
mod snappy;
mod zstd_frames;

use std::cell::RefCell;
use std::fmt;
use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use thiserror::Error;

pub use decompress::{Decompressor, decompress};

/// A codec, as the low three bits of a batch's attributes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Compression {
    /// Stored as it is.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the framing of xerial's snappy-java; a bare block is read too.
    Snappy,
    /// LZ4 frames of independent blocks.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

/// Why a payload cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CompressionError {
    /// The bytes are not what the codec writes.
    #[error("malformed {codec} data")]
    Malformed { codec: Compression },
    /// More would come out than the caller allows.
    #[error("{codec} data expands to more than {limit} bytes")]
    OutputLimit { codec: Compression, limit: usize },
}

impl Compression {
    /// Every codec, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of an id, `None` where the id has none.
    #[must_use]
    pub fn from_id(id: i16) -> Option<Self> {
        usize::try_from(id).ok().and_then(|id| Self::ALL.get(id).copied())
    }

    /// The id in the attributes of a batch.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name in settings: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a name in settings.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec with the level to compress at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Codec {
    /// Which codec.
    pub compression: Compression,
    /// The codec's own level, `None` for its default. Gzip takes 1 to 9, zstd -131072 to 22, both
    /// clamped; LZ4 and snappy have one speed only here and ignore it.
    pub level: Option<i32>,
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        Self { compression, level: None }
    }
}

const GZIP_LEVEL_DEFAULT: u32 = 6;
const ZSTD_LEVEL_DEFAULT: i32 = 3;

/// Compresses `data`; with [`Compression::None`] it is given back.
#[must_use]
pub fn compress(codec: Codec, data: Bytes) -> Bytes {
    match codec.compression {
        Compression::None => data,
        Compression::Gzip => gzip(codec.level, &data).into(),
        Compression::Snappy => snappy::compress(&data).into(),
        Compression::Lz4 => lz4(&data).into(),
        Compression::Zstd => zstd(codec.level, &data).into(),
    }
}

fn gzip(level: Option<i32>, data: &[u8]) -> Vec<u8> {
    let level = level
        .and_then(|level| u32::try_from(level).ok())
        .map_or(GZIP_LEVEL_DEFAULT, |level| level.clamp(1, 9));
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("a Vec takes every byte")
}

fn lz4(data: &[u8]) -> Vec<u8> {
    // Apache Kafka's reader knows independent blocks only.
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte")
}

thread_local! {
    /// A zstd context costs more to make than a small batch to compress.
    static ZSTD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

fn zstd(level: Option<i32>, data: &[u8]) -> Vec<u8> {
    let range = zstd::compression_level_range();
    let level = level.unwrap_or(ZSTD_LEVEL_DEFAULT).clamp(*range.start(), *range.end());
    ZSTD.with_borrow_mut(|context| {
        let compressor = context.get_or_insert_with(|| {
            zstd::bulk::Compressor::new(level).expect("the level is within its range")
        });
        compressor.set_compression_level(level).expect("the level is within its range");
        compressor.compress(data).expect("the output buffer has room for the worst case")
    })
}

#[cfg(test)]
mod tests;
