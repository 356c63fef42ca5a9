//! Who waits for a partition to move: producers for the high watermark to pass their records,
//! fetches for enough new bytes below it.
//!
//! A move wakes exactly those it helps. Whoever waits registers first and looks at the partition
//! once more afterwards, so that no move is missed between looking and registering.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::replica_watch::ReplicaWatch;

/// Batches whose sizes are told apart until they are committed; beyond it they are lumped together.
const UNCOMMITTED_MAX: usize = 1024;

/// A fetch that waits for bytes in any of several partitions.
#[derive(Debug, Default)]
pub(crate) struct FetchWatch {
    bytes_missing: AtomicI64,
    waker: AtomicWaker,
}

impl FetchWatch {
    /// Sets what is missing before waiting (again).
    pub(crate) fn expect(&self, bytes: i64) {
        self.bytes_missing.store(bytes, Ordering::SeqCst);
    }

    /// Whether enough has come; if not, the task is woken once it has.
    pub(crate) fn is_due(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.bytes_missing.load(Ordering::SeqCst) <= 0
    }

    fn add(&self, bytes: i64) {
        if self.bytes_missing.fetch_sub(bytes, Ordering::SeqCst) <= bytes {
            self.waker.wake();
        }
    }
}

/// Those who wait for one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By the offset that must be passed, and a number to tell equals apart.
    commits: BTreeMap<(i64, u64), Waker>,
    /// Likewise, by the offset that must be on disk.
    flushes: BTreeMap<(i64, u64), Waker>,
    next_number: u64,
    fetches: Vec<Arc<FetchWatch>>,
    /// Of followers, which are sent what is not committed.
    replicas: Vec<(u32, Arc<ReplicaWatch>)>,
    /// Appended batches above the high watermark: the offset after each, and its size.
    uncommitted: VecDeque<(i64, i64)>,
}

impl Waiters {
    /// Registers a producer's task; the ticket takes it back.
    pub(crate) fn register_commit(&self, next_offset: i64, waker: Waker) -> u64 {
        let mut inner = self.0.lock();
        let number = inner.next_number;
        inner.next_number += 1;
        inner.commits.insert((next_offset, number), waker);
        number
    }

    pub(crate) fn forget_commit(&self, next_offset: i64, number: u64) {
        drop(self.0.lock().commits.remove(&(next_offset, number)));
    }

    /// Registers a follower's task, which waits for the disk; the ticket takes it back.
    pub(crate) fn register_flush(&self, end_offset: i64, waker: Waker) -> u64 {
        let mut inner = self.0.lock();
        let number = inner.next_number;
        inner.next_number += 1;
        inner.flushes.insert((end_offset, number), waker);
        number
    }

    pub(crate) fn forget_flush(&self, end_offset: i64, number: u64) {
        drop(self.0.lock().flushes.remove(&(end_offset, number)));
    }

    /// Wakes those for whom enough is on disk.
    pub(crate) fn on_flushed(&self, flushed_end_offset: i64) {
        let mut inner = self.0.lock();
        if inner.flushes.is_empty() {
            return;
        }
        let later = inner.flushes.split_off(&(flushed_end_offset + 1, 0));
        let due = std::mem::replace(&mut inner.flushes, later);
        drop(inner);
        due.into_values().for_each(Waker::wake);
    }

    /// Forgets what was appended and is cut off again, and wakes those who wait for it to be on disk.
    pub(crate) fn on_truncated(&self, log_end_offset: i64) {
        let mut inner = self.0.lock();
        inner.uncommitted.retain(|(next_offset, _)| *next_offset <= log_end_offset);
        let in_vain = inner.flushes.split_off(&(log_end_offset + 1, 0));
        drop(inner);
        in_vain.into_values().for_each(Waker::wake);
    }

    pub(crate) fn register_fetch(&self, watch: &Arc<FetchWatch>) {
        self.0.lock().fetches.push(Arc::clone(watch));
    }

    /// Marks `place` of a follower's watch from now on.
    pub(crate) fn register_replica(&self, place: u32, watch: &Arc<ReplicaWatch>) {
        self.0.lock().replicas.push((place, Arc::clone(watch)));
    }

    pub(crate) fn forget_replica(&self, watch: &Arc<ReplicaWatch>) {
        self.0.lock().replicas.retain(|(_, other)| !Arc::ptr_eq(other, watch));
    }

    pub(crate) fn forget_fetch(&self, watch: &Arc<FetchWatch>) {
        let mut inner = self.0.lock();
        inner.fetches.retain(|other| !Arc::ptr_eq(other, watch));
    }

    /// Notes the size of what was appended, for the fetches that wait for a number of bytes.
    pub(crate) fn on_appended(&self, next_offset: i64, size: usize) {
        let size = i64::try_from(size).expect("a batch is smaller than the file it is in");
        let mut inner = self.0.lock();
        for (place, watch) in &inner.replicas {
            watch.on_records(*place);
        }
        if inner.uncommitted.len() >= UNCOMMITTED_MAX
            && let Some(last) = inner.uncommitted.back_mut()
        {
            *last = (next_offset, last.1 + size);
        } else {
            inner.uncommitted.push_back((next_offset, size));
        }
    }

    /// Wakes whom a new high watermark helps.
    pub(crate) fn on_committed(&self, high_watermark: i64) {
        let mut inner = self.0.lock();
        let later = inner.commits.split_off(&(high_watermark + 1, 0));
        let due = std::mem::replace(&mut inner.commits, later);
        let mut bytes = 0;
        while let Some((_, size)) =
            inner.uncommitted.pop_front_if(|(next_offset, _)| *next_offset <= high_watermark)
        {
            bytes += size;
        }
        for watch in &inner.fetches {
            watch.add(bytes);
        }
        for (place, watch) in &inner.replicas {
            watch.on_high_watermark(*place);
        }
        drop(inner);
        due.into_values().for_each(Waker::wake);
    }

    /// Tells followers of a new start of the log.
    pub(crate) fn on_log_start_moved(&self) {
        for (place, watch) in &self.0.lock().replicas {
            watch.on_high_watermark(*place);
        }
    }

    /// Wakes everybody: the partition will not move any more, or not as expected.
    pub(crate) fn on_disrupted(&self) {
        let mut inner = self.0.lock();
        let mut due = std::mem::take(&mut inner.commits);
        due.append(&mut inner.flushes);
        for watch in &inner.fetches {
            watch.add(i64::from(i32::MAX));
        }
        for (place, watch) in &inner.replicas {
            watch.on_records(*place);
        }
        drop(inner);
        due.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn waker(self: &Arc<Self>) -> Waker {
            Waker::from(Arc::clone(self))
        }

        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn producers_are_woken_once_their_offset_is_passed() {
        let waiters = Waiters::default();
        let [first, second, gone] = [(); 3].map(|()| Arc::new(Count::default()));
        waiters.register_commit(5, first.waker());
        waiters.register_commit(9, second.waker());
        let number = waiters.register_commit(5, gone.waker());
        waiters.forget_commit(5, number);
        waiters.on_committed(4);
        assert_eq!((first.get(), second.get()), (0, 0));
        waiters.on_committed(5);
        assert_eq!((first.get(), second.get()), (1, 0));
        waiters.on_committed(20);
        assert_eq!((first.get(), second.get(), gone.get()), (1, 1, 0));
    }

    #[test]
    fn fetches_are_woken_by_enough_bytes_below_the_high_watermark() {
        let waiters = Waiters::default();
        let count = Arc::new(Count::default());
        let watch = Arc::new(FetchWatch::default());
        watch.expect(150);
        waiters.register_fetch(&watch);
        let waker = count.waker();
        let cx = Context::from_waker(&waker);
        assert!(!watch.is_due(&cx));
        for batch in 1..=3 {
            waiters.on_appended(batch, 100);
        }
        assert_eq!(count.get(), 0, "appending alone shows nothing to a consumer");
        waiters.on_committed(1);
        assert_eq!(count.get(), 0, "100 bytes are fewer than 150");
        waiters.on_committed(3);
        assert_eq!(count.get(), 1);
        assert!(watch.is_due(&cx));
        waiters.forget_fetch(&watch);
        waiters.on_appended(4, 1000);
        waiters.on_committed(4);
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn many_small_batches_are_lumped_together() {
        let waiters = Waiters::default();
        let watch = Arc::new(FetchWatch::default());
        watch.expect(3000 * 10);
        waiters.register_fetch(&watch);
        for batch in 1..=3000 {
            waiters.on_appended(batch, 10);
        }
        assert!(waiters.0.lock().uncommitted.len() <= UNCOMMITTED_MAX);
        waiters.on_committed(3000);
        assert!(watch.is_due(&Context::from_waker(Waker::noop())));
    }

    #[test]
    fn a_disruption_wakes_everybody() {
        let waiters = Waiters::default();
        let count = Arc::new(Count::default());
        waiters.register_commit(i64::MAX - 1, count.waker());
        let watch = Arc::new(FetchWatch::default());
        watch.expect(i64::from(i32::MAX));
        waiters.register_fetch(&watch);
        waiters.on_disrupted();
        assert_eq!(count.get(), 1);
        assert!(watch.is_due(&Context::from_waker(Waker::noop())));
    }
}
