//! Record batches, right and wrong, and how fetched ones are compared.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use flumen_protocol::records::compression::{Codec, Compression};
use flumen_protocol::records::{
    BATCH_OVERHEAD, BatchBuilder, BatchHeader, BatchOptions, Batches, RecordBatch, RecordHeader,
    TimestampType,
};

use crate::random::Random;

/// A time that both brokers accept, the same in every run.
pub(super) const BASE_TIMESTAMP: i64 = 1_700_000_000_000;

/// Times from here on are a broker's own.
const RUN_TIMESTAMP: i64 = 1_760_000_000_000;

/// What a batch unpacks to at most.
const UNPACKED_MAX: usize = 1 << 20;

pub(super) fn good_batch(random: &mut Random, options: BatchOptions) -> Bytes {
    let compression = random.choose(&[
        Compression::None,
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ]);
    let codec = Codec { compression, ..Codec::default() };
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..options });
    let header = |key: &'static [u8], value: Option<&'static [u8]>| RecordHeader {
        key: Bytes::from_static(key),
        value: value.map(Bytes::from_static),
    };
    for index in 0..random.choose(&[1, 2, 5]) {
        let step = i64::try_from(random.next() % 1000).expect("small");
        let key = [b'k', index];
        let value = vec![b'v'; usize::from(random.choose(&[0u8, 10, 200]))];
        let value = (!random.one_in(8)).then_some(&value[..]);
        let headers = random.choose(&[
            vec![],
            vec![],
            vec![header(b"h", Some(b"1"))],
            vec![header(b"h", None), header(b"", Some(b"")), header(b"h", Some(b"again"))],
        ]);
        builder.append(BASE_TIMESTAMP + step, Some(&key), value, &headers);
    }
    builder.build()
}

/// A batch without keys, which a compacted topic refuses.
pub(super) fn keyless_batch() -> Bytes {
    let mut keyless = BatchBuilder::new(BatchOptions::default());
    keyless.append(BASE_TIMESTAMP, None, Some(b"keyless"), &[]);
    keyless.build()
}

/// One small record under these options.
pub(super) fn single(options: BatchOptions) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    builder.append(BASE_TIMESTAMP, Some(b"k"), Some(b"v"), &[]);
    builder.build()
}

/// A batch that some rule of validation refuses, or no bytes at all.
pub(super) fn bad_records(random: &mut Random) -> Bytes {
    const MAGIC: usize = 16;
    const CRC: usize = 17;
    const LENGTH: usize = 8;
    let good = good_batch(random, BatchOptions::default());
    let changed = |position: usize, value: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[position] = value;
        bytes.freeze()
    };
    match random.choose(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 12, 12]) {
        0 => changed(CRC, good[CRC].wrapping_add(1)),
        1 => changed(MAGIC, 1),
        2 => changed(MAGIC, 3),
        3 => changed(LENGTH, 0x7f),
        4 => good.slice(..good.len() - 1),
        // Null records are not asked: Kafka never answers such a request.
        5 => Bytes::new(),
        6 => good.slice(..random.choose(&[1, 11, 12, 16, 60])),
        7 => [&good[..], &good[..]].concat().into(),
        8 => single(BatchOptions { is_control: true, ..Default::default() }),
        9 => single(BatchOptions { base_offset: 7, ..Default::default() }),
        10 => single(BatchOptions { is_transactional: true, ..Default::default() }),
        11 => changed(MAGIC, 0),
        _ => resealed(&good, random),
    }
}

/// The batch with one thing in it that does not fit the rest, under a checksum that does. The delete
/// horizon is not among them: it is the cleaner's, and Kafka takes it from a client where Flumen
/// refuses it.
fn resealed(batch: &Bytes, random: &mut Random) -> Bytes {
    const CODEC_MASK: i16 = 7;
    const CODECS: i16 = 5;
    let mut header = BatchHeader::parse(batch).expect("it was just built");
    let another_codec = ((header.attributes & CODEC_MASK) + 1) % CODECS;
    let mut payload = batch[BATCH_OVERHEAD..].to_vec();
    match random.choose(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]) {
        0 => header.record_count += 1,
        1 => header.record_count -= 1,
        2 => header.record_count = -1,
        3 => header.last_offset_delta += 1,
        4 => header.last_offset_delta = -1,
        // One that exists: over others Kafka trips, and answers UNKNOWN_SERVER_ERROR.
        5 => header.attributes = (header.attributes & !CODEC_MASK) | another_codec,
        6 => header.attributes |= 0x08,
        7 => header.max_timestamp += 5,
        8 => header.producer_epoch = 3,
        9 => header.producer_id = 3,
        10 => header.partition_leader_epoch = 9,
        11 => (header.producer_id, header.producer_epoch) = (3, 0),
        12 => header.base_timestamp = i64::MAX,
        13 => payload[0] = 0xff,
        _ => payload.truncate(1),
    }
    header.batch_length =
        i32::try_from(BATCH_OVERHEAD - 12 + payload.len()).expect("a batch is small");
    header.seal(&payload);
    [&header.to_bytes()[..], &payload].concat().into()
}

/// What the records are, as text: every batch with what its header says, and every record. Kafka
/// fills up to the limit with a piece of the next batch, which no client can use and Flumen does not
/// send; where that is all, it counts how much came.
pub(super) fn rendered(bytes: &Bytes) -> Bytes {
    let mut text = String::new();
    let mut batches = Batches::new(bytes.clone());
    for batch in batches.by_ref() {
        match batch {
            Ok(batch) => render(&batch, &mut text),
            Err(error) if text.is_empty() => {
                write!(text, "{} bytes: {error}", bytes.len()).expect("a string takes all");
            }
            Err(_) => break,
        }
    }
    Bytes::from(text)
}

fn render(batch: &RecordBatch, text: &mut String) {
    let mut header = *batch.header();
    // Each side has its own producer ids, clock, and compressors; what they say is compared.
    (header.crc, header.batch_length) = (u32::from(batch.verify_crc().is_err()), 0);
    header.producer_id = header.producer_id.min(0);
    let own_time = header.timestamp_type() == TimestampType::LogAppendTime;
    let mask = |timestamp: i64| if own_time { mask_time(timestamp) } else { timestamp };
    header.base_timestamp = mask(header.base_timestamp);
    header.max_timestamp = mask(header.max_timestamp);
    writeln!(text, "{header:?}").expect("a string takes all");
    match batch.records(UNPACKED_MAX) {
        Ok(records) => {
            for record in records {
                let record = record.map(|mut record| {
                    record.timestamp = mask(record.timestamp);
                    record
                });
                writeln!(text, "{record:?}").expect("a string takes all");
            }
        }
        Err(error) => writeln!(text, "{error}").expect("a string takes all"),
    }
}

/// Blanks a time that a broker read from its clock.
pub(super) fn mask_time(timestamp: i64) -> i64 {
    if timestamp >= RUN_TIMESTAMP { RUN_TIMESTAMP } else { timestamp }
}
