//! Benchmarks of Flumen's parts: `cargo bench -p flumen-benches`.
//!
//! Here is what they share: batches like those that producers send, and a log in a directory of
//! its own. Whole brokers are measured with `flumen bench` and against peers. Times on shared
//! machines drift, so compare two commits in one sitting, not two days.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::records::compression::{Codec, Compression};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_storage::vfs::RealDisk;
use flumen_storage::{LogConfig, OpenContext, PartitionLog};

/// Milliseconds since the Unix epoch at which all benchmarks happen.
pub const NOW_MS: i64 = 1_800_000_000_000;

/// A batch of `count` records with values of `value_size` bytes, half of which compress well.
#[must_use]
pub fn batch(count: usize, value_size: usize, compression: Compression) -> Bytes {
    let codec = Codec { compression, ..Codec::default() };
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..BatchOptions::default() });
    let mut state = 1_u64;
    for index in 0..count {
        let value: Vec<u8> = (0..value_size)
            .map(|position| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if position % 2 == 0 { b'x' } else { state.to_be_bytes()[0] }
            })
            .collect();
        builder.append(NOW_MS, Some(&index.to_be_bytes()), Some(&value), &[]);
    }
    builder.build()
}

/// An empty log in `dir` on the real disk.
///
/// # Panics
/// If the directory cannot be used.
#[must_use]
pub fn open_log(dir: &Path) -> PartitionLog {
    let context = OpenContext { clean_shutdown: false, recovery_point: 0, now_ms: NOW_MS };
    PartitionLog::open(Arc::new(RealDisk), dir, Arc::new(LogConfig::default()), context)
        .expect("an empty directory opens")
}
