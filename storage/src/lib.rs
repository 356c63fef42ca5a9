//! The partition log: segments, indexes, recovery, retention, compaction.

pub mod validate;
pub mod vfs;
