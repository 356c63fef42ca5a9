//! Decompression as a stream whose output is counted against a limit.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe;

use super::snappy::SnappyReader;
use super::zstd_frames::ZstdFrames;
use super::{Compression, CompressionError};

const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// The bit of an LZ4 frame's flags that says its blocks do not refer to each other.
const LZ4_INDEPENDENT_BLOCKS: u8 = 1 << 5;
/// The bit that says a checksum of the content follows the end mark.
const LZ4_CONTENT_CHECKSUM: u8 = 1 << 2;
const LZ4_END_MARK: [u8; 4] = [0; 4];
/// The window every zstd decoder must support; also what level 19 uses. 8 MiB.
const ZSTD_WINDOW_SIZE_FREE: u64 = 8 << 20;
/// The largest window that decoders accept unasked, Java's included. 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How zstd names the error of an output that does not fit.
const ZSTD_NO_ROOM: &str = "Destination buffer is too small";

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
    Whole(Whole<'a>),
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
            Compression::Zstd => {
                let frames = ZstdFrames::parse(data)?;
                let source = zstd(data, &frames, limit)?;
                let declared = frames.declared_size;
                return Ok(Some(Self { codec, source, limit, produced: 0, declared }));
            }
        };
        Ok(Some(Self { codec, source, limit, produced: 0, declared: None }))
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
            Source::Whole(whole) => whole.fill(output)?,
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

/// Decompresses with a window, or in one piece where that takes less memory: a frame may ask for a
/// large window and fill next to nothing of it, as compressors do that were not told the size.
fn zstd<'a>(
    data: &'a [u8],
    frames: &ZstdFrames,
    limit: usize,
) -> Result<Source<'a>, CompressionError> {
    if frames.window_size > 1 << ZSTD_WINDOW_LOG_MAX {
        return Err(CompressionError::Malformed { codec: Compression::Zstd });
    }
    let output_size_max = usize::try_from(frames.output_size_max).unwrap_or(usize::MAX);
    let room = output_size_max.min(limit) as u64;
    if frames.window_size > room.max(ZSTD_WINDOW_SIZE_FREE) {
        return Ok(Source::Whole(Whole { data, output_size_max, limit, output: None, taken: 0 }));
    }
    let malformed = |_error| CompressionError::Malformed { codec: Compression::Zstd };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(malformed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
    Ok(Source::Reader(Box::new(decoder)))
}

/// A zstd payload that is decompressed in one piece when its first byte is wanted.
struct Whole<'a> {
    data: &'a [u8],
    output_size_max: usize,
    limit: usize,
    output: Option<Vec<u8>>,
    taken: usize,
}

impl Whole<'_> {
    fn fill(&mut self, output: &mut [u8]) -> Result<usize, CompressionError> {
        let whole = match self.output.take() {
            Some(whole) => whole,
            None => self.decompress()?,
        };
        let rest = &whole[self.taken..];
        let size = output.len().min(rest.len());
        output[..size].copy_from_slice(&rest[..size]);
        self.taken += size;
        self.output = Some(whole);
        Ok(size)
    }

    fn decompress(&self) -> Result<Vec<u8>, CompressionError> {
        let (codec, limit) = (Compression::Zstd, self.limit);
        let mut whole = Vec::with_capacity(self.output_size_max.min(limit));
        let done = zstd_safe::DCtx::create().decompress(&mut whole, self.data);
        done.map_err(|code| match zstd_safe::get_error_name(code) {
            ZSTD_NO_ROOM if self.output_size_max > limit => {
                CompressionError::OutputLimit { codec, limit }
            }
            _ => CompressionError::Malformed { codec },
        })?;
        Ok(whole)
    }
}
