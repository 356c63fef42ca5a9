//! The memory that requests of all connections may hold together.
//!
//! A connection has a small buffer for free and leases what goes beyond it. When nothing is left,
//! connections are not read from until others are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The pool, shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    limit: usize,
    used: AtomicUsize,
}

impl RequestMemory {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Pool { limit, used: AtomicUsize::new(0) }))
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
        Lease { pool: Arc::clone(&self.0), size: 0 }
    }
}

/// A connection's share of the pool; dropping it gives the share back.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    size: usize,
}

impl Lease {
    pub(super) fn size(&self) -> usize {
        self.size
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
        grown.is_ok()
    }

    pub(super) fn release(&mut self) {
        self.pool.used.fetch_sub(self.size, Ordering::Relaxed);
        self.size = 0;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}
