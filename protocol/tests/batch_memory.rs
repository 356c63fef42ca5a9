//! Counts what reading record batches allocates: nothing where nothing is compressed, and never more
//! than agreed where a few bytes expand to many.
//!
//! Alone in its process: the allocator counts for all threads. What zstd allocates in C it does not
//! see, the address space of the process shows that.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flumen_protocol::records::compression::{Compression, CompressionError, decompress};
use flumen_protocol::records::{
    BatchBuilder, BatchHeader, BatchOptions, RecordBatch, RecordError, RecordHeader,
};

const MEGABYTE: usize = 1 << 20;
/// What the codecs themselves may take: their tables, and blocks of the size we write.
const CODEC_SIZE_MAX: usize = MEGABYTE;

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its nature; this one passes everything on"
)]
// SAFETY: both methods hand their arguments to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let alive = ALIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(alive, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Gives the number of allocations and the most bytes alive at once, beyond those before.
fn measure(work: impl FnOnce()) -> (usize, usize) {
    let (count, alive) = (COUNT.load(Ordering::Relaxed), ALIVE.load(Ordering::Relaxed));
    PEAK.store(alive, Ordering::Relaxed);
    work();
    (COUNT.load(Ordering::Relaxed) - count, PEAK.load(Ordering::Relaxed) - alive)
}

fn uncompressed() -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let headers = [RecordHeader { key: Bytes::from("key"), value: Some(Bytes::from("value")) }];
    for timestamp in 0..1_000 {
        builder.append(timestamp, Some(b"key"), Some(&[0; 100]), &headers);
    }
    RecordBatch::parse(builder.build()).unwrap()
}

fn bomb(codec: Compression, size: usize) -> RecordBatch {
    let mut builder =
        BatchBuilder::new(BatchOptions { codec: codec.into(), ..BatchOptions::default() });
    builder.append(0, None, Some(&vec![0; size]), &[]);
    RecordBatch::parse(builder.build()).unwrap()
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn allocations_are_bounded() {
    looking_at_an_uncompressed_batch_allocates_nothing();
    records_of_an_uncompressed_batch_are_slices();
    for codec in &Compression::ALL[1..] {
        a_bomb_stays_within_its_limit(*codec);
        outlines_stream_through_a_window(*codec);
    }
    a_zstd_window_costs_no_more_than_can_come_out();
}

fn looking_at_an_uncompressed_batch_allocates_nothing() {
    let batch = uncompressed();
    let (count, _) = measure(|| {
        BatchHeader::parse(batch.bytes()).unwrap();
        batch.verify_crc().unwrap();
        assert_eq!(batch.outlines(0).unwrap().map(Result::unwrap).count(), 1_000);
    });
    assert_eq!(count, 0);
}

fn records_of_an_uncompressed_batch_are_slices() {
    let batch = uncompressed();
    let (count, peak) = measure(|| {
        assert_eq!(batch.records(0).unwrap().map(Result::unwrap).count(), 1_000);
    });
    // One vector of headers per record, and what makes the bytes shared at the first slice.
    assert!(count <= 1_001 && peak < 1_000, "{count} allocations, {peak} bytes");
}

fn a_bomb_stays_within_its_limit(codec: Compression) {
    let batch = bomb(codec, 4 * MEGABYTE);
    let limit = MEGABYTE;
    let (_, peak) = measure(|| {
        let error = batch.records(limit).map(drop);
        assert_eq!(error, Err(CompressionError::OutputLimit { codec, limit }));
    });
    // Twice, because a vector that grows exists in two places for a moment.
    assert!(peak <= 2 * limit + CODEC_SIZE_MAX, "{codec}: {peak} bytes");
}

fn outlines_stream_through_a_window(codec: Compression) {
    let batch = bomb(codec, 4 * MEGABYTE);
    let (_, peak) = measure(|| {
        let outlines = batch.outlines(8 * MEGABYTE).unwrap().map(Result::unwrap);
        assert_eq!(outlines.count(), 1);
        let error = batch.outlines(MEGABYTE).unwrap().find_map(Result::err);
        let expected = CompressionError::OutputLimit { codec, limit: MEGABYTE };
        assert_eq!(error, Some(RecordError::Compression(expected)));
    });
    assert!(peak <= CODEC_SIZE_MAX, "{codec}: {peak} bytes");
}

/// Nine bytes that ask for a window of 128 MiB, with one empty block.
fn a_zstd_window_costs_no_more_than_can_come_out() {
    let frame = Bytes::from_static(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0, 0]);
    // The first allocation in C makes the system set space aside for this thread.
    decompress(Compression::Zstd, frame.clone(), 1).unwrap();
    let before = address_space_peak();
    let output = decompress(Compression::Zstd, frame, 1 << 30).unwrap();
    assert!(output.is_empty());
    let grown = address_space_peak() - before;
    assert!(grown < 16 * MEGABYTE, "{grown} bytes");
}

fn address_space_peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
