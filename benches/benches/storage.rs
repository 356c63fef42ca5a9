//! The partition log on a real disk: append, sync, look up and plan a read.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen_benches::{NOW_MS, batch, open_log};
use flumen_protocol::records::TimestampType;
use flumen_protocol::records::compression::Compression;
use flumen_storage::vfs::{RealDisk, Vfs};
use flumen_storage::{AppendOrigin, LogConfig, PartitionLog, TimestampQuery};

/// Small segments, so that a benchmark that runs for seconds does not fill the disk.
fn small_log(dir: &std::path::Path) -> PartitionLog {
    let mut log = open_log(dir);
    log.set_config(Arc::new(LogConfig {
        segment_bytes: 64 << 20,
        retention_bytes: Some(128 << 20),
        ..LogConfig::default()
    }));
    log
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (count, size) in [(1, 100), (150, 100), (16, 1000), (1000, 1000)] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = small_log(dir.path());
        let records = batch(count, size, Compression::None);
        group.throughput(Throughput::Bytes(records.len() as u64));
        let name = format!("{count} x {size} B");
        let mut appended = 0_u64;
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_batched(
                || bytes::BytesMut::from(&records[..]).freeze(),
                |records| {
                    appended += 1;
                    if appended.is_multiple_of(1000) {
                        let end = log.log_end_offset();
                        log.delete_expired(NOW_MS, end).expect("the disk works");
                    }
                    log.append_as_leader(records, 0, AppendOrigin::Client, NOW_MS)
                        .expect("the batch is sound")
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn append_and_sync(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = small_log(dir.path());
    let records = batch(1, 100, Compression::None);
    c.bench_function("append 1 x 100 B and sync", |b| {
        b.iter(|| {
            let copy = bytes::BytesMut::from(&records[..]).freeze();
            log.append_as_leader(copy, 0, AppendOrigin::Client, NOW_MS).expect("it is sound");
            log.flush().expect("the disk works")
        });
    });

    let mut group = c.benchmark_group("one round of group commit");
    for files in [2, 3, 4, 16, 128] {
        let dir = tempfile::tempdir().expect("a directory");
        let file_system = RealDisk.file_system(dir.path()).expect("the directory exists");
        let mut logs: Vec<_> =
            (0..files).map(|index| small_log(&dir.path().join(index.to_string()))).collect();
        for together in [false, true] {
            let name = if together { "together" } else { "one by one" };
            group.bench_function(BenchmarkId::new(name, files), |b| {
                b.iter(|| {
                    for log in &mut logs {
                        let copy = bytes::BytesMut::from(&records[..]).freeze();
                        log.append_as_leader(copy, 0, AppendOrigin::Client, NOW_MS)
                            .expect("it is sound");
                    }
                    if together {
                        file_system.sync().expect("the disk works");
                    }
                    for log in &mut logs {
                        let plan = log.flush_progress().plan().expect("it is dirty");
                        if !together {
                            plan.file.sync_data().expect("the disk works");
                        }
                        log.flush_progress().mark_flushed(&plan);
                    }
                });
            });
        }
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = open_log(dir.path());
    // The batch is the same every time; the log gives each its own time.
    let timestamp_type = TimestampType::LogAppendTime;
    log.set_config(Arc::new(LogConfig { timestamp_type, ..LogConfig::default() }));
    let records = batch(16, 1000, Compression::None);
    for step in 0..20_000 {
        let copy = bytes::BytesMut::from(&records[..]).freeze();
        log.append_as_leader(copy, 0, AppendOrigin::Client, NOW_MS + step).expect("it is sound");
    }
    let end = log.log_end_offset();
    let mut offset = 0;
    let mut next = || {
        offset = (offset + 7_919) % end;
        offset
    };
    c.bench_function("plan a read of 1 MiB in 320 MB", |b| {
        b.iter(|| black_box(log.read(next(), 1 << 20, true, end).expect("within the log")));
    });
    c.bench_function("plan a read of the last batch", |b| {
        b.iter(|| black_box(log.read(end - 1, 1 << 20, true, end).expect("within the log")));
    });
    c.bench_function("look up a timestamp in 320 MB", |b| {
        b.iter(|| {
            let query = TimestampQuery::from_timestamp(NOW_MS + next() / 16).expect("a time");
            black_box(log.offset_for(query, end).expect("the log can be read"))
        });
    });
}

criterion_group!(benches, append, append_and_sync, read);
criterion_main!(benches);
