//! Counts what decoding keeps alive: never more than 64 bytes per byte of input plus 64 KiB.
//!
//! The frames are the densest valid ones (many of the smallest elements in each array in turn), and
//! made-up ones whose counts promise as much as could follow, or more. Alone in its process: the allocator counts
//! for all threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flumen_protocol::Reader;
use flumen_protocol::header::RequestHeader;
use flumen_protocol::schema::{Field, Struct, Type};

#[expect(dead_code, reason = "shared with the wire tests, which encode again")]
#[path = "../wire/dispatch.rs"]
mod dispatch;
#[path = "../wire/encoder.rs"]
mod encoder;
mod greedy;
#[path = "../wire/smallest.rs"]
mod smallest;

use dispatch::Kind;
use encoder::{ByName, Seeded, Values};

struct Counting;

/// Half of what is promised: that much headroom should not be lost unnoticed.
const LIMIT_PER_BYTE: usize = 32;

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

/// Runs the decoder and gives the most memory that was alive during it, beyond what was before.
fn growth(decode: impl FnOnce()) -> usize {
    let before = ALIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    decode();
    PEAK.load(Ordering::Relaxed) - before
}

fn check(kind: Kind, version: i16, bytes: Vec<u8>, what: &str) {
    let frame = Bytes::from(bytes);
    let size = frame.len();
    let growth = growth(|| drop(kind.decode(frame, version)));
    let limit = LIMIT_PER_BYTE * size + 64 * 1024;
    assert!(
        growth <= limit,
        "{kind:?} {version}, {what}: {growth} bytes alive for {size} on the wire"
    );
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_alive_while_decoding_is_bounded_by_the_input() {
    for kind in Kind::all() {
        let schema = kind.schema();
        for version in schema.versions.min..=schema.versions.max {
            for many in arrays(schema.root) {
                let bytes = encoder::encode(schema, version, &mut Dense { many });
                check(kind, version, bytes, many);
            }
            for target in arrays(schema.root) {
                let bytes = greedy::frame(kind.schema(), version, target);
                check(kind, version, bytes, &format!("greedy counts down to {target}"));
            }
            for bytes in lying_frames(kind, version) {
                check(kind, version, bytes, "lying counts");
            }
        }
    }
    tagged_fields_in_a_header_take_no_memory();
}

fn tagged_fields_in_a_header_take_no_memory() {
    let mut bytes = vec![0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0x80, 0x80, 0x80, 0x01];
    bytes.resize(5 << 20, 0);
    let mut reader = Reader::new(bytes.into());
    let growth = growth(|| {
        RequestHeader::decode(&mut reader).unwrap();
    });
    assert_eq!(growth, 0);
}

/// The names of all arrays in a message.
fn arrays(part: &Struct) -> Vec<&'static str> {
    let mut names = Vec::new();
    for field in part.fields {
        match field.kind {
            Type::Array(Type::Struct(element)) => {
                names.push(field.name);
                names.extend(arrays(element));
            }
            Type::Array(_) => names.push(field.name),
            Type::Struct(part) => names.extend(arrays(part)),
            _ => {}
        }
    }
    names
}

/// The smallest values, and many elements in one array.
struct Dense {
    many: &'static str,
}

impl Values for Dense {
    fn number(&mut self, _: &Field) -> u64 {
        0
    }

    fn text(&mut self, _: &Field) -> Vec<u8> {
        Vec::new()
    }

    fn blob(&mut self, _: &Field) -> Vec<u8> {
        Vec::new()
    }

    fn count(&mut self, field: &Field) -> usize {
        if field.name == self.many { 1_000 } else { 1 }
    }

    fn is_null(&mut self, _: &Field) -> bool {
        false
    }

    fn has_tagged(&mut self, field: &Field) -> bool {
        matches!(field.kind, Type::Array(_))
    }

    fn inside_tagged(&mut self, _: bool) {}
}

/// Frames of one repeated byte, and valid ones with changed bytes in front of a long tail.
fn lying_frames(kind: Kind, version: i16) -> Vec<Vec<u8>> {
    const SIZE: usize = 16 * 1024;
    let mut frames: Vec<Vec<u8>> =
        [0, 1, 2, 3, 0x10, 0x7f, 0xff].map(|byte| vec![byte; SIZE]).into();
    let valid = encoder::encode(kind.schema(), version, &mut ByName);
    let mut random = Seeded::new(9);
    for tail in [0, 1, 2] {
        for _ in 0..16 {
            let mut frame = valid.clone();
            for _ in 0..3 {
                if !frame.is_empty() {
                    let at = usize::try_from(random.below(frame.len() as u64)).unwrap();
                    frame[at] = [0x1f, 0x3f, 0x7f, 0xff][usize::try_from(random.below(4)).unwrap()];
                }
            }
            frame.resize(frame.len() + SIZE, tail);
            frames.push(frame);
        }
    }
    frames
}
