use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::compression::{Codec, Compression, CompressionError};
use super::*;

const LIMIT: usize = 1 << 20;

type Fields = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn headers(pairs: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<RecordHeader> {
    pairs
        .iter()
        .map(|(key, value)| RecordHeader {
            key: Bytes::copy_from_slice(key),
            value: value.as_deref().map(Bytes::copy_from_slice),
        })
        .collect()
}

fn build(options: BatchOptions, records: &[Fields]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value, pairs) in records {
        let before = builder.uncompressed_size();
        let headers = headers(pairs);
        builder.append(*timestamp, key.as_deref(), value.as_deref(), &headers);
        let bound = record_size_bound(key.as_deref(), value.as_deref(), &headers);
        assert!(builder.uncompressed_size() - before <= bound, "the bound holds");
    }
    builder.build()
}

fn two_records(codec: Compression) -> Bytes {
    let headers = vec![(b"h".to_vec(), None), (b"h".to_vec(), Some(vec![1]))];
    build(
        BatchOptions { base_offset: 10, codec: codec.into(), ..BatchOptions::default() },
        &[(1_000, Some(b"k".to_vec()), Some(vec![7; 300]), headers), (999, None, None, Vec::new())],
    )
}

fn fields() -> impl Strategy<Value = Fields> {
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..200));
    let header = (vec(any::<u8>(), 0..10), bytes());
    (any::<i64>(), bytes(), bytes(), vec(header, 0..4))
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL[..])
}

/// A batch around a payload of our choice, checksum right.
fn batch_of(record_count: i32, payload: &[u8]) -> RecordBatch {
    let mut bytes = BytesMut::from(&two_records(Compression::None)[..BATCH_OVERHEAD]);
    bytes.extend_from_slice(payload);
    let length = i32::try_from(bytes.len() - LOG_OVERHEAD).unwrap();
    bytes[header::BATCH_LENGTH..header::LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    bytes[header::RECORD_COUNT..]
        .get_mut(..4)
        .unwrap()
        .copy_from_slice(&record_count.to_be_bytes());
    let mut header = BatchHeader::parse(&bytes).unwrap();
    header.seal(payload);
    bytes[..BATCH_OVERHEAD].copy_from_slice(&header.to_bytes());
    let batch = RecordBatch::parse(bytes.freeze()).unwrap();
    batch.verify_crc().unwrap();
    batch
}

/// Both readers must find the same fault.
fn check_fault(record_count: i32, payload: &[u8], expected: &RecordError) {
    let batch = batch_of(record_count, payload);
    let found = batch.records(LIMIT).unwrap().find_map(Result::err);
    assert_eq!(found.as_ref(), Some(expected), "{payload:?}");
    let found = batch.outlines(LIMIT).unwrap().find_map(Result::err);
    assert_eq!(found.as_ref(), Some(expected), "{payload:?}");
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(
        records in vec(fields(), 1..20),
        codec in codec(),
        base_offset in 0..i64::MAX - 100,
    ) {
        let options = BatchOptions {
            base_offset,
            codec: codec.into(),
            producer_id: 5,
            producer_epoch: 1,
            base_sequence: i32::MAX,
            is_transactional: true,
            ..BatchOptions::default()
        };
        let batch = RecordBatch::parse(build(options, &records)).unwrap();
        batch.verify_crc().unwrap();
        let header = batch.header();
        prop_assert_eq!(header.compression(), codec);
        prop_assert_eq!(usize::try_from(header.record_count).unwrap(), records.len());
        prop_assert_eq!(header.last_sequence(), next_sequence(i32::MAX, header.last_offset_delta));

        let read: Vec<Record> = batch.records(LIMIT).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), records.len());
        let outlines: Vec<_> = batch.outlines(LIMIT).unwrap().map(Result::unwrap).collect();
        for (index, (timestamp, key, value, pairs)) in records.iter().enumerate() {
            let record = &read[index];
            prop_assert_eq!(record.offset, base_offset + i64::try_from(index).unwrap());
            prop_assert_eq!(record.timestamp, *timestamp);
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
            prop_assert_eq!(&record.headers, &headers(pairs));
            let sizes = (outlines[index].key_size, outlines[index].value_size);
            let size = |bytes: &Option<Vec<u8>>| {
                bytes.as_ref().map(|bytes| u32::try_from(bytes.len()).unwrap())
            };
            prop_assert_eq!(sizes, (size(key), size(value)));
        }
    }

    #[test]
    fn mutated_batches_never_panic_and_both_readers_agree(
        records in vec(fields(), 1..5),
        codec in codec(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
        let mut bytes = build(options, &records).to_vec();
        for (index, byte) in flips {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        if let Ok(batch) = RecordBatch::parse(bytes.into()) {
            let outlines = batch.outlines(LIMIT).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let read = batch
                .records(LIMIT)
                .map_err(RecordError::from)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            match (outlines, read) {
                (Ok(outlines), Ok(read)) => prop_assert_eq!(outlines.len(), read.len()),
                // The outline leaves absolute offsets to its caller.
                (Ok(_), Err(RecordError::OffsetOverflow)) | (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => prop_assert!(false, "only the outline fails: {error}"),
                (Ok(_), Err(error)) => prop_assert!(false, "only the reader fails: {error}"),
            }
        }
    }

    #[test]
    fn recompression_keeps_the_records(records in vec(fields(), 1..8), from in codec(), to in codec()) {
        let options = BatchOptions { codec: from.into(), ..BatchOptions::default() };
        let batch = RecordBatch::parse(build(options, &records)).unwrap();
        let (header, payload) = recompress(&batch, to.into(), LIMIT).unwrap();
        let bytes = [&header.to_bytes()[..], &payload].concat();
        let other = RecordBatch::parse(bytes.into()).unwrap();
        other.verify_crc().unwrap();
        prop_assert_eq!(other.header().compression(), to);
        let read = |batch: &RecordBatch| -> Vec<Record> {
            batch.records(LIMIT).unwrap().map(Result::unwrap).collect()
        };
        prop_assert_eq!(read(&batch), read(&other));
    }
}

#[test]
fn offset_and_epoch_are_patched_outside_the_checksum() {
    let mut bytes = BytesMut::from(&two_records(Compression::Lz4)[..]);
    patch_base_offset(&mut bytes, 1 << 40);
    patch_leader_epoch(&mut bytes, 9);
    let batch = RecordBatch::parse(bytes.freeze()).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!((batch.header().base_offset, batch.header().partition_leader_epoch), (1 << 40, 9));
    let offsets: Vec<i64> =
        batch.records(LIMIT).unwrap().map(|record| record.unwrap().offset).collect();
    assert_eq!(offsets, [1 << 40, (1 << 40) + 1]);
}

#[test]
fn the_append_time_replaces_every_timestamp() {
    let batch = RecordBatch::parse(two_records(Compression::None)).unwrap();
    let mut header = *batch.header();
    header.set_timestamps(TimestampType::LogAppendTime, 5_000);
    header.seal(&batch.payload());
    let bytes = [&header.to_bytes()[..], &batch.payload()].concat();
    let batch = RecordBatch::parse(bytes.into()).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header().timestamp_type(), TimestampType::LogAppendTime);
    assert!(batch.records(LIMIT).unwrap().all(|record| record.unwrap().timestamp == 5_000));
}

#[test]
fn an_empty_batch_keeps_offsets_and_sequence() {
    let options = BatchOptions {
        base_offset: 7,
        producer_id: 3,
        producer_epoch: 2,
        base_sequence: 40,
        ..BatchOptions::default()
    };
    let full =
        RecordBatch::parse(build(options, &[(8, None, None, vec![]), (9, None, None, vec![])]));
    let empty = RecordBatch::parse(empty_batch(full.unwrap().header())).unwrap();
    empty.verify_crc().unwrap();
    let header = empty.header();
    assert_eq!((header.base_offset, header.last_offset(), header.record_count), (7, 8, 0));
    assert_eq!((header.last_sequence(), header.max_timestamp), (41, 9));
    assert_eq!(empty.records(0).unwrap().count(), 0);
}

#[test]
fn a_delete_horizon_is_the_base_of_the_timestamps() {
    let options = BatchOptions { delete_horizon: Some(50_000), ..BatchOptions::default() };
    let batch = RecordBatch::parse(build(options, &[(1_000, None, None, vec![])])).unwrap();
    assert_eq!(batch.header().delete_horizon(), Some(50_000));
    assert_eq!(batch.records(0).unwrap().next().unwrap().unwrap().timestamp, 1_000);
}

#[test]
fn a_flipped_bit_is_caught_by_the_checksum() {
    let good = two_records(Compression::None);
    for position in header::ATTRIBUTES..good.len() {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[position] ^= 0x10;
        let result = RecordBatch::parse(bytes.freeze()).and_then(|batch| batch.verify_crc());
        assert!(result.is_err(), "byte {position}");
    }
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let check = |position: usize, value: &[u8], expected: BatchError| {
        let mut bytes = BytesMut::from(&two_records(Compression::None)[..]);
        bytes[position..position + value.len()].copy_from_slice(value);
        assert_eq!(RecordBatch::parse(bytes.freeze()), Err(expected));
    };
    let size = two_records(Compression::None).len();
    check(8, &48_i32.to_be_bytes(), BatchError::InvalidLength { batch_length: 48 });
    check(8, &(-1_i32).to_be_bytes(), BatchError::InvalidLength { batch_length: -1 });
    check(8, &49_i32.to_be_bytes(), BatchError::TrailingBytes { extra: size - 61 });
    check(
        8,
        &i32::MAX.to_be_bytes(),
        BatchError::Incomplete { needed: (1 << 31) - 1 + 12, available: size },
    );
    check(16, &[1], BatchError::UnsupportedMagic { magic: 1 });
    check(16, &[3], BatchError::UnsupportedMagic { magic: 3 });
    check(22, &[5], BatchError::UnknownCompression { codec: 5 });
    let invalid = BatchError::InvalidCount { record_count: -1, last_offset_delta: 1 };
    check(57, &(-1_i32).to_be_bytes(), invalid);
    let invalid = BatchError::InvalidCount { record_count: 2, last_offset_delta: -5 };
    check(23, &(-5_i32).to_be_bytes(), invalid);
    let overflow = BatchError::OffsetOverflow { base_offset: i64::MAX, last_offset_delta: 1 };
    check(0, &i64::MAX.to_be_bytes(), overflow);
}

#[test]
fn records_whose_lengths_disagree_are_refused() {
    // A record of nothing: length 6, attributes, deltas, null key, null value, no headers.
    let good = [12, 0, 0, 0, 1, 1, 0];
    assert_eq!(batch_of(1, &good).records(0).unwrap().map(Result::unwrap).count(), 1);

    check_fault(0, &good, &RecordError::TrailingBytes { position: 0 });
    check_fault(2, &good, &RecordError::Truncated { position: 7 });
    check_fault(1, &[14, 0, 0, 0, 1, 1, 0], &RecordError::LengthMismatch { declared: 7, used: 6 });
    check_fault(1, &[10, 0, 0, 0, 1, 1, 0], &RecordError::LengthMismatch { declared: 5, used: 6 });
    check_fault(1, &[1, 0, 0, 0, 1, 1, 0], &RecordError::InvalidLength { length: -1, position: 0 });
    // A key of three bytes that would leave the record, and one of length -2.
    check_fault(1, &[12, 0, 0, 0, 6, 1, 0], &RecordError::InvalidLength { length: 3, position: 4 });
    check_fault(
        1,
        &[12, 0, 0, 0, 3, 1, 0],
        &RecordError::InvalidLength { length: -2, position: 4 },
    );
    // Header counts: negative, and more than could fit.
    check_fault(
        1,
        &[12, 0, 0, 0, 1, 1, 1],
        &RecordError::InvalidHeaderCount { count: -1, position: 6 },
    );
    check_fault(
        1,
        &[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f],
        &RecordError::InvalidHeaderCount { count: i32::MAX, position: 6 },
    );
    // A header with a null key.
    check_fault(
        1,
        &[16, 0, 0, 0, 1, 1, 2, 1, 1],
        &RecordError::InvalidLength { length: -1, position: 7 },
    );
    check_fault(1, &[0xff; 8], &RecordError::OverlongInteger { position: 5 });
}

#[test]
fn a_header_count_at_the_very_end_may_be_zero() {
    let good = [12, 0, 0, 0, 1, 1, 0];
    let both: Vec<u8> = good.iter().chain(&[12, 0, 0, 2, 1, 1, 0]).copied().collect();
    assert_eq!(batch_of(2, &both).outlines(0).unwrap().map(Result::unwrap).count(), 2);
}

#[test]
fn a_compressed_payload_is_bounded_in_both_readers() {
    let limit = 50;
    for codec in &Compression::ALL[1..] {
        let batch = RecordBatch::parse(two_records(*codec)).unwrap();
        let expected = CompressionError::OutputLimit { codec: *codec, limit };
        assert_eq!(batch.records(limit).err(), Some(expected));
        let found = batch.outlines(limit).unwrap().find_map(Result::err);
        assert_eq!(found, Some(RecordError::Compression(expected)));
    }
}

#[test]
fn a_buffer_splits_into_its_whole_batches() {
    let one = two_records(Compression::None);
    let two = two_records(Compression::Zstd);
    let whole = [&one[..], &two[..]].concat();
    for cut in 0..=whole.len() {
        let mut batches = Batches::new(Bytes::copy_from_slice(&whole[..cut]));
        let sizes: Vec<usize> =
            batches.by_ref().map(|batch| batch.unwrap().bytes().len()).collect();
        let expected = [one.len(), two.len()];
        let count = usize::from(cut >= one.len()) + usize::from(cut == whole.len());
        assert_eq!(sizes, expected[..count], "cut at {cut}");
        assert_eq!(batches.rest().len(), cut - sizes.iter().sum::<usize>());
    }
}

#[test]
fn splitting_stops_at_the_first_fault() {
    let mut bytes = [two_records(Compression::None), two_records(Compression::None)].concat();
    bytes[16] = 0;
    let results: Vec<_> = Batches::new(bytes.into()).collect();
    assert_eq!(results, [Err(BatchError::UnsupportedMagic { magic: 0 })]);
}

#[test]
fn a_level_reaches_the_codec() {
    let size = |level| {
        let text: Vec<u8> = (0..40_000_u32)
            .flat_map(|i| (i.wrapping_mul(i) % 9_973).to_string().into_bytes())
            .collect();
        let codec = Codec { compression: Compression::Zstd, level: Some(level) };
        build(BatchOptions { codec, ..BatchOptions::default() }, &[(0, None, Some(text), vec![])])
            .len()
    };
    assert!(size(19) < size(-100), "more effort gives fewer bytes");
}
