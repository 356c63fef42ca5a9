//! Which of the partitions that a follower fetches have moved: marked by whoever appends to one or
//! raises its high watermark, and taken by the follower's fetch, which looks at no others.
//!
//! A follower may fetch thousands of partitions of which a few are busy. A watch stays registered from
//! one fetch to the next, so that a fetch costs what has moved and not what there is.

use std::collections::BTreeSet;
use std::task::Context;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// The partitions of one follower, by the numbers that it gave them.
#[derive(Debug, Default)]
pub(crate) struct ReplicaWatch {
    moved: Mutex<Moved>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Moved {
    places: BTreeSet<u32>,
    /// One of them has more than a newer high watermark to tell.
    is_due: bool,
    /// Nobody will fetch with it any more.
    is_over: bool,
}

impl ReplicaWatch {
    /// What has moved since this was asked last.
    pub(crate) fn take(&self) -> BTreeSet<u32> {
        let mut moved = self.moved.lock();
        moved.is_due = false;
        std::mem::take(&mut moved.places)
    }

    /// Whether there are records, or a change of leadership; if not, the task is woken once there are.
    pub(crate) fn is_due(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        let moved = self.moved.lock();
        moved.is_due || moved.is_over
    }

    /// Whether anything has moved; if not, the task is woken once something has.
    pub(crate) fn has_news(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        let moved = self.moved.lock();
        !moved.places.is_empty() || moved.is_over
    }

    /// Whether another has taken its place.
    pub(crate) fn is_over(&self) -> bool {
        self.moved.lock().is_over
    }

    /// Sends away who waits.
    pub(crate) fn end(&self) {
        self.moved.lock().is_over = true;
        self.waker.wake();
    }

    pub(super) fn on_records(&self, place: u32) {
        let mut moved = self.moved.lock();
        moved.places.insert(place);
        if !std::mem::replace(&mut moved.is_due, true) {
            drop(moved);
            self.waker.wake();
        }
    }

    /// The high watermark has moved, or where the log starts.
    pub(super) fn on_high_watermark(&self, place: u32) {
        let mut moved = self.moved.lock();
        let is_first = moved.places.is_empty();
        moved.places.insert(place);
        if is_first {
            drop(moved);
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_moved_is_given_once_and_records_are_due() {
        let watch = ReplicaWatch::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(!watch.has_news(&cx) && !watch.is_due(&cx));
        watch.on_high_watermark(7);
        assert!(watch.has_news(&cx) && !watch.is_due(&cx));
        watch.on_records(3);
        watch.on_records(3);
        assert!(watch.is_due(&cx));
        assert_eq!(watch.take(), BTreeSet::from([3, 7]));
        assert!(!watch.has_news(&cx) && !watch.is_due(&cx));
        watch.end();
        assert!(watch.has_news(&cx) && watch.is_due(&cx));
    }
}
