//! Frames and batches: what every request costs before it reaches a log.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen_benches::batch;
use flumen_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use flumen_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen_protocol::records::RecordBatch;
use flumen_protocol::records::compression::Compression;
use flumen_protocol::{FrameWriter, Message, Records};

fn produce_request(partitions: i32) -> ProduceRequest {
    let records = batch(1, 100, Compression::None);
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: "a-topic-of-usual-length".to_owned(),
            partition_data: (0..partitions)
                .map(|index| PartitionProduceData {
                    index,
                    records: Some(Records::Bytes(records.clone())),
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode produce request v9");
    for partitions in [1, 128] {
        let bytes = produce_request(partitions).to_bytes(9).expect("it can be encoded");
        group.bench_with_input(BenchmarkId::from_parameter(partitions), &bytes, |b, bytes| {
            b.iter(|| ProduceRequest::from_bytes(bytes.clone(), 9).expect("it was encoded here"));
        });
    }
    group.finish();

    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: "a-topic-of-usual-length".to_owned(),
            partitions: vec![PartitionData {
                records: Some(Records::Bytes(batch(1000, 1000, Compression::None))),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    c.bench_function("encode fetch response v12 with 1 MB of records", |b| {
        b.iter(|| {
            let mut writer = FrameWriter::new();
            response.encode(&mut writer, 12).expect("it can be encoded");
            black_box(writer.finish().expect("it is no larger than a frame"))
        });
    });
}

fn batches(c: &mut Criterion) {
    let mut crc = c.benchmark_group("batch crc");
    for (count, size) in [(1, 100), (16, 1000), (1000, 1000)] {
        let batch = RecordBatch::parse(batch(count, size, Compression::None)).expect("a batch");
        crc.throughput(Throughput::Bytes(batch.bytes().len() as u64));
        crc.bench_with_input(
            BenchmarkId::from_parameter(batch.bytes().len()),
            &batch,
            |b, batch| {
                b.iter(|| batch.verify_crc().expect("it is whole"));
            },
        );
    }
    crc.finish();

    let mut outlines = c.benchmark_group("walk over 1,000 records of 100 B");
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let batch = RecordBatch::parse(batch(1000, 100, compression)).expect("a batch");
        let name = format!("{compression:?}");
        outlines.bench_with_input(BenchmarkId::from_parameter(name), &batch, |b, batch| {
            b.iter(|| batch.outlines(1 << 24).expect("within the limit").count());
        });
    }
    outlines.finish();
}

criterion_group!(benches, requests, batches);
criterion_main!(benches);
