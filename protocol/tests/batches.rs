//! Record batches that Apache Kafka's own classes have built, read and built again by ours.
//!
//! `golden/batches.txt` is written by `interop/java/golden/GoldenBatches.java`, which also says what
//! is in the batches.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use flumen_protocol::records::compression::Compression;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{
    BatchBuilder, BatchHeader, BatchOptions, Record, RecordBatch, RecordHeader, TimestampType,
    patch_base_offset, patch_leader_epoch,
};

const LIMIT: usize = 1 << 20;
const BASE_OFFSET: i64 = 100;
const LEADER_EPOCH: i32 = 7;
const PRODUCER_ID: i64 = 4711;
const PRODUCER_EPOCH: i16 = 3;

fn golden() -> BTreeMap<&'static str, Bytes> {
    include_str!("golden/batches.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("a name and bytes"))
        .map(|(name, digits)| (name, unhex(digits)))
        .collect()
}

fn unhex(digits: &str) -> Bytes {
    let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("hex digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect()
}

fn batch(name: &str) -> RecordBatch {
    let batch = RecordBatch::parse(golden()[name].clone()).expect("a batch");
    batch.verify_crc().expect("the checksum Java made");
    batch
}

fn records(batch: &RecordBatch) -> Vec<Record> {
    let outlines = batch.outlines(LIMIT).expect("known codec").count();
    let records = batch.records(LIMIT).expect("known codec");
    let records: Vec<Record> = records.collect::<Result<_, _>>().expect("valid records");
    assert_eq!(outlines, records.len());
    records
}

/// What `appendRecords` of the Java program appends.
fn expected() -> Vec<Record> {
    let header = |key: &'static str, value: Option<&'static str>| RecordHeader {
        key: Bytes::from(key),
        value: value.map(Bytes::from),
    };
    let record = |index, timestamp, key: Option<&'static str>, value| Record {
        offset: BASE_OFFSET + index,
        timestamp,
        attributes: 0,
        key: key.map(Bytes::from),
        value,
        headers: Vec::new(),
    };
    let headers = vec![header("name", Some("one")), header("name", None), header("", Some(""))];
    vec![
        Record { headers, ..record(0, 1000, Some("key"), Some(Bytes::from("value"))) },
        record(1, 999, None, Some(Bytes::from(vec![0; 200]))),
        record(2, 1005, Some("key"), None),
    ]
}

fn large() -> Vec<u8> {
    (0..150_000).map(|index| u8::try_from(index / 1000).expect("below 150")).collect()
}

fn build(options: BatchOptions, records: &[Record]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: BASE_OFFSET,
        partition_leader_epoch: LEADER_EPOCH,
        ..options
    });
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.append_at(record.offset, record.timestamp, key, value, &record.headers);
    }
    builder.build()
}

const TRANSACTIONAL: BatchOptions = BatchOptions {
    base_offset: 0,
    partition_leader_epoch: -1,
    codec: flumen_protocol::records::compression::Codec {
        compression: Compression::None,
        level: None,
    },
    timestamp_type: TimestampType::CreateTime,
    producer_id: PRODUCER_ID,
    producer_epoch: PRODUCER_EPOCH,
    base_sequence: i32::MAX - 1,
    is_transactional: true,
    is_control: false,
    delete_horizon: None,
};

#[test]
fn every_codec_of_java_is_read() {
    for codec in Compression::ALL {
        let batch = batch(codec.name());
        assert_eq!(batch.header().compression(), codec);
        assert_eq!((batch.header().max_timestamp, batch.header().last_offset()), (1005, 102));
        assert_eq!(records(&batch), expected(), "{codec}");
    }
}

#[test]
fn payloads_of_several_blocks_are_read() {
    for codec in &Compression::ALL[1..] {
        let found = records(&batch(&format!("large_{codec}")));
        assert_eq!(found.len(), 1);
        assert!(found[0].value.as_deref() == Some(&large()[..]), "{codec}");
    }
}

#[test]
fn uncompressed_batches_are_built_byte_for_byte_as_in_java() {
    let delete_horizon = BatchOptions { delete_horizon: Some(50_000), ..BatchOptions::default() };
    for (name, options) in [
        ("none", BatchOptions::default()),
        ("transactional", TRANSACTIONAL),
        ("delete_horizon", delete_horizon),
    ] {
        assert_eq!(build(options, &expected()), golden()[name], "{name}");
    }
}

#[test]
fn snappy_blocks_are_framed_as_in_java() {
    let options = BatchOptions { codec: Compression::Snappy.into(), ..BatchOptions::default() };
    let ours = build(options, &expected());
    let java = &golden()["snappy"];
    let framing = 61..61 + 16;
    assert_eq!(ours[framing.clone()], java[framing]);
}

#[test]
fn a_transactional_batch_names_its_producer() {
    let header = *batch("transactional").header();
    assert!(header.is_transactional() && !header.is_control());
    assert_eq!((header.producer_id, header.producer_epoch), (PRODUCER_ID, PRODUCER_EPOCH));
    assert_eq!((header.base_sequence, header.last_sequence()), (i32::MAX - 1, 0));
}

#[test]
fn the_append_time_stands_for_every_record() {
    let batch = batch("log_append_time");
    assert_eq!(batch.header().timestamp_type(), TimestampType::LogAppendTime);
    assert!(records(&batch).iter().all(|record| record.timestamp == 2000));

    let mut header = BatchHeader::parse(&golden()["none"]).unwrap();
    header.set_timestamps(TimestampType::LogAppendTime, 2000);
    header.seal(&batch.payload());
    assert_eq!(header, *batch.header(), "a broker that sets it makes the same batch");
}

#[test]
fn timestamps_count_from_the_delete_horizon() {
    let batch = batch("delete_horizon");
    assert_eq!(batch.header().delete_horizon(), Some(50_000));
    assert_eq!(records(&batch), expected());
}

#[test]
fn markers_are_the_same_bytes() {
    for (name, is_commit) in [("abort", false), ("commit", true)] {
        let marker = EndTransactionMarker { is_commit, coordinator_epoch: 12 };
        let mut ours = BytesMut::from(&marker.to_batch(1000, PRODUCER_ID, PRODUCER_EPOCH)[..]);
        patch_base_offset(&mut ours, BASE_OFFSET);
        patch_leader_epoch(&mut ours, LEADER_EPOCH);
        assert_eq!(ours, golden()[name], "{name}");
        let found = records(&batch(name));
        assert_eq!(EndTransactionMarker::from_record(&found[0]), Ok(Some(marker)));
    }
}

#[test]
fn a_batch_without_records_is_read() {
    let batch = batch("empty");
    assert_eq!((batch.header().record_count, batch.header().last_offset()), (0, 102));
    assert_eq!(batch.header().last_sequence(), 11);
    assert_eq!(records(&batch), []);
}
