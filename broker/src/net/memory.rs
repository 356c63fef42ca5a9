//! The memory that requests and answers of all connections may hold together.
//!
//! A connection has a small buffer for free and leases what goes beyond it. When nothing is left,
//! connections are not read from until others are done. Answers exist before their size is known:
//! they are counted in any case, and what they take beyond the limit lets no others be made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The pool, shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    used: AtomicUsize,
    /// Leases that wait for more.
    refused: AtomicUsize,
}

impl RequestMemory {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Pool { limit, used: AtomicUsize::new(0), refused: AtomicUsize::new(0) }))
    }

    /// Bytes leased at the moment.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be leased.
    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    /// A lease of nothing, which can grow.
    pub(super) fn lease(&self) -> Lease {
        Lease { pool: Arc::clone(&self.0), size: 0, is_refused: false }
    }

    /// Whether nothing is left.
    pub(super) fn is_used_up(&self) -> bool {
        self.used() >= self.0.limit
    }

    /// Whether answers have taken half as much again as there is.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.used() >= self.0.limit.saturating_add(self.0.limit / 2)
    }

    /// Whether somebody waits for memory, or would have to.
    pub(super) fn is_short(&self) -> bool {
        self.is_used_up() || self.0.refused.load(Ordering::Relaxed) > 0
    }
}

/// A connection's share of the pool; dropping it gives the share back.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    size: usize,
    is_refused: bool,
}

impl Lease {
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether it was last said no to, and has not been released since.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Raises the share to `size`, or leaves it as it is and says no.
    pub(super) fn grow_to(&mut self, size: usize) -> bool {
        let more = size.saturating_sub(self.size);
        let grown = self.pool.used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|used| *used <= self.pool.limit)
        });
        if grown.is_ok() {
            self.size += more;
        }
        self.note_refusal(grown.is_err());
        grown.is_ok()
    }

    /// Makes the share `size` whether there is room or not.
    pub(super) fn set(&mut self, size: usize) {
        if size >= self.size {
            self.pool.used.fetch_add(size - self.size, Ordering::Relaxed);
        } else {
            self.pool.used.fetch_sub(self.size - size, Ordering::Relaxed);
        }
        self.size = size;
    }

    pub(super) fn release(&mut self) {
        self.set(0);
        self.note_refusal(false);
    }

    fn note_refusal(&mut self, is_refused: bool) {
        if is_refused && !self.is_refused {
            self.pool.refused.fetch_add(1, Ordering::Relaxed);
        } else if !is_refused && self.is_refused {
            self.pool.refused.fetch_sub(1, Ordering::Relaxed);
        }
        self.is_refused = is_refused;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_known_until_it_is_granted_or_given_up() {
        let memory = RequestMemory::new(1000);
        let (mut first, mut second) = (memory.lease(), memory.lease());
        assert!(first.grow_to(600));
        assert!(!memory.is_short());
        assert!(!second.grow_to(500) && !second.grow_to(500));
        assert!(memory.is_short() && !memory.is_used_up());
        first.release();
        assert!(second.grow_to(500));
        assert!(!memory.is_short());
        assert!(!first.grow_to(600));
        drop(first);
        assert!(!memory.is_short());
        assert_eq!(memory.used(), 500);
    }

    #[test]
    fn answers_are_counted_beyond_the_limit() {
        let memory = RequestMemory::new(1000);
        let mut answers = memory.lease();
        answers.set(1100);
        assert!(memory.is_used_up() && !memory.is_overdrawn());
        answers.set(1500);
        assert!(memory.is_overdrawn());
        assert!(!memory.lease().grow_to(1));
        answers.set(200);
        assert!(!memory.is_used_up());
        drop(answers);
        assert_eq!(memory.used(), 0);
    }
}
