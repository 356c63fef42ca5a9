//! What an input may cost: memory, counted by the allocator, and processor time.
//!
//! Both are counted here and not by libFuzzer, whose own limits see the whole process and the clock
//! on the wall: a busy machine must not look like a hang, nor a large corpus like a leak. Its
//! `-rss_limit_mb` and `-timeout` remain as the second line, for memory that C libraries take and
//! for threads that wait for each other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// Hangs are what takes longer.
const CPU_MS_MAX: i64 = 1_000;

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

fn grow(size: usize) {
    let alive = ALIVE.fetch_add(size, Ordering::Relaxed).wrapping_add(size);
    PEAK.fetch_max(alive, Ordering::Relaxed);
}

fn shrink(size: usize) {
    ALIVE.fetch_sub(size, Ordering::Relaxed);
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its nature; this one passes everything on"
)]
// SAFETY: every method hands its arguments to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be alive while the bytes are moved.
        grow(size);
        shrink(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work` and panics if it held more than `memory_max` bytes at once, beyond what was held
/// before, or took more than a second.
pub fn within<T>(memory_max: usize, work: impl FnOnce() -> T) -> T {
    let before = ALIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let started_ms = cpu_ms();
    let result = work();
    let took_ms = cpu_ms() - started_ms;
    let growth = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(growth <= memory_max, "{growth} bytes were held, {memory_max} are allowed");
    assert!(took_ms <= CPU_MS_MAX, "took {took_ms} ms of processor time");
    result
}

/// What the decoder promises: a small constant, and a multiple of what came over the wire.
pub fn decoded_bytes_max(size: usize) -> usize {
    64 * size + 64 * 1024
}

fn cpu_ms() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}
