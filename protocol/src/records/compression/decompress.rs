//! Decompression as a stream whose output is counted against a limit.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe;

use super::snappy::SnappyReader;
use super::{Compression, CompressionError};

const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// The bit of an LZ4 frame's flags that says its blocks do not refer to each other.
const LZ4_INDEPENDENT_BLOCKS: u8 = 1 << 5;
/// The bit that says a checksum of the content follows the end mark.
const LZ4_CONTENT_CHECKSUM: u8 = 1 << 2;
const LZ4_END_MARK: [u8; 4] = [0; 4];
/// The window every zstd decoder must support; also what level 19 uses. 8 MiB.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;
/// The largest window that decoders accept unasked, Java's included. 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Decompresses a payload piece by piece.
pub struct Decompressor<'a> {
    codec: Compression,
    source: Source<'a>,
    limit: usize,
    produced: usize,
    /// What the payload says will come out, where its codec has a way to say so.
    declared: Option<u64>,
}

enum Source<'a> {
    Reader(Box<dyn Read + Send + Sync + 'a>),
    Snappy(SnappyReader<'a>),
}

impl fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("codec", &self.codec)
            .field("limit", &self.limit)
            .field("produced", &self.produced)
            .finish_non_exhaustive()
    }
}

impl<'a> Decompressor<'a> {
    /// Starts on `data`; `None` where nothing is compressed.
    pub fn new(
        codec: Compression,
        data: &'a [u8],
        limit: usize,
    ) -> Result<Option<Self>, CompressionError> {
        let source = match codec {
            Compression::None => return Ok(None),
            Compression::Gzip => Source::Reader(Box::new(MultiGzDecoder::new(data))),
            Compression::Snappy => Source::Snappy(SnappyReader::new(data)),
            Compression::Lz4 => Source::Reader(Box::new(lz4(data)?)),
            Compression::Zstd => Source::Reader(Box::new(zstd(data, limit)?)),
        };
        let declared = if codec == Compression::Zstd { zstd_declared_size(data)? } else { None };
        Ok(Some(Self { codec, source, limit, produced: 0, declared }))
    }

    /// Fills the front of `output` and returns how much; 0 only at the end of the payload.
    pub fn fill(&mut self, output: &mut [u8]) -> Result<usize, CompressionError> {
        let (codec, limit) = (self.codec, self.limit);
        let size = match &mut self.source {
            Source::Reader(reader) => {
                reader.read(output).map_err(|_malformed| CompressionError::Malformed { codec })?
            }
            Source::Snappy(reader) => {
                reader.fill(output, limit - self.produced).map_err(|error| match error {
                    CompressionError::OutputLimit { .. } => {
                        CompressionError::OutputLimit { codec, limit }
                    }
                    CompressionError::Malformed { .. } => error,
                })?
            }
        };
        self.produced += size;
        if self.produced > limit {
            return Err(CompressionError::OutputLimit { codec, limit });
        }
        let is_short = self.declared.is_some_and(|declared| declared != self.produced as u64);
        if size == 0 && !output.is_empty() && is_short {
            return Err(CompressionError::Malformed { codec });
        }
        Ok(size)
    }
}

/// Decompresses a whole payload, to at most `limit` bytes.
///
/// The output grows as it is produced; no size that the payload claims is believed.
pub fn decompress(
    codec: Compression,
    data: Bytes,
    limit: usize,
) -> Result<Bytes, CompressionError> {
    let Some(mut decompressor) = Decompressor::new(codec, &data, limit)? else {
        return Ok(data);
    };
    let mut output = vec![0; data.len().saturating_mul(3).clamp(1024, 64 * 1024)];
    let mut size = 0;
    loop {
        if size == output.len() {
            // One byte of room above the limit lets the next read notice an excess.
            let room = limit.saturating_add(1).max(size + 1);
            let grown = (size * 2).min(room);
            // Growth by the vector's own measure could pass the limit.
            output.reserve_exact(grown - size);
            output.resize(grown, 0);
        }
        match decompressor.fill(&mut output[size..])? {
            0 => break,
            filled => size += filled,
        }
    }
    output.truncate(size);
    Ok(output.into())
}

fn lz4(data: &[u8]) -> Result<FrameDecoder<&[u8]>, CompressionError> {
    // The decoder also reads legacy frames, linked blocks and frames without an end, which Java's
    // does not: a batch that Java consumers cannot read must not get into a log.
    let flags = data.get(4).copied().unwrap_or_default();
    let checksum_size = if flags & LZ4_CONTENT_CHECKSUM == 0 { 0 } else { 4 };
    let is_ended = data
        .len()
        .checked_sub(checksum_size)
        .is_some_and(|end| data[..end].ends_with(&LZ4_END_MARK));
    if !data.starts_with(&LZ4_MAGIC) || flags & LZ4_INDEPENDENT_BLOCKS == 0 || !is_ended {
        return Err(CompressionError::Malformed { codec: Compression::Lz4 });
    }
    Ok(FrameDecoder::new(data))
}

fn zstd(
    data: &[u8],
    limit: usize,
) -> Result<zstd::stream::read::Decoder<'static, &[u8]>, CompressionError> {
    let malformed = |_error| CompressionError::Malformed { codec: Compression::Zstd };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(malformed)?;
    // No frame within the limit needs a window beyond it.
    let window_log = limit.max(2).saturating_sub(1).ilog2() + 1;
    decoder
        .window_log_max(window_log.clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX))
        .map_err(malformed)?;
    Ok(decoder)
}

/// The sizes that all frames declare, together; `None` if one does not.
///
/// Decoders that are given the whole frame hold it to its word, and streaming ones do not if an
/// empty block ends it: a batch that only some consumers can read must not get into a log.
fn zstd_declared_size(data: &[u8]) -> Result<Option<u64>, CompressionError> {
    const MALFORMED: CompressionError = CompressionError::Malformed { codec: Compression::Zstd };
    let mut total = Some(0_u64);
    let mut rest = data;
    while !rest.is_empty() {
        let declared = zstd_safe::get_frame_content_size(rest).map_err(|_malformed| MALFORMED)?;
        total = total.zip(declared).and_then(|(total, declared)| total.checked_add(declared));
        let size = zstd_safe::find_frame_compressed_size(rest).map_err(|_code| MALFORMED)?;
        rest = rest.get(size..).filter(|_| size > 0).ok_or(MALFORMED)?;
    }
    Ok(total)
}
