//! The partition log: segments, indexes, recovery, retention, compaction.
//!
//! [`PartitionLog`] is the log of one partition. It lies in a directory of its own, in Apache
//! Kafka's format, and touches the disk only through [`vfs::Vfs`], so that it runs on a real disk
//! and on a simulated one that loses what was not synced. The crate knows no clock, no task, no
//! network and no Kafka error code.

mod aborted_index;
mod batch_walk;
mod config;
mod entry_table;
mod epoch_cache;
mod error;
mod file_names;
mod log;
mod log_state;
mod offset_index;
mod partition_dir;
mod partition_metadata;
mod producer_snapshot;
mod producer_state;
mod recent_batches;
mod recovery;
mod replay;
mod seal;
mod segment;
mod segment_index;
mod time_index;

pub mod checkpoint;
pub mod compaction;
pub mod group_commit;
pub mod log_dir;
pub mod validate;
pub mod vfs;

pub use aborted_index::AbortedTransaction;
pub use config::LogConfig;
pub use epoch_cache::{EpochCache, EpochEndOffset, EpochEntry};
pub use error::{AppendError, CorruptBatch, DiskError, MaintenanceError, OpenError, ReadError};
pub use log::{
    AppendInfo, CleanableSegment, CleanedSegment, FlushPlan, FlushProgress, OpenContext,
    PartitionLog, ReadResult, TimestampOffset, TimestampQuery, VerifyError, verify_range,
};
pub use partition_metadata::{read_topic_id, write_topic_id};
pub use producer_state::{AppendOrigin, ProducedBatch, ProducerEntry, ProducerError};
