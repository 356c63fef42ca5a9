//! Record batches, format version 2: the unit that producers send, logs keep and consumers fetch.
//!
//! A batch is parsed in layers, each paid for only by those who need it: [`BatchHeader::parse`]
//! reads 61 bytes and allocates nothing, [`RecordBatch::verify_crc`] walks the bytes once,
//! [`RecordBatch::outlines`] walks the records without keeping keys or values, and
//! [`RecordBatch::records`] yields them as slices of the batch (or of its decompressed payload,
//! whose size is bounded by the caller).
//!
//! ```text
//! base offset i64 | batch length i32 | leader epoch i32 | magic i8 | crc u32      not in the CRC
//! attributes i16 | last offset delta i32 | base timestamp i64 | max timestamp i64 |
//! producer id i64 | producer epoch i16 | base sequence i32 | record count i32     in the CRC
//! records, compressed together when the attributes say so                         in the CRC
//! ```
//!
//! The base offset and the leader epoch lie outside the CRC, so that a broker can assign them
//! without touching the rest. Formats 0 and 1 are not served: Apache Kafka 4 dropped them too.
//!
//! This module knows the bytes only. Whether a broker may accept a batch is decided in the
//! storage crate.

mod batch;
mod builder;
pub mod compression;
pub mod control;
mod header;
mod outline;
mod record;
mod rewrite;

pub use batch::{BatchFrame, Batches, RecordBatch};
pub use builder::{BatchBuilder, BatchOptions, record_size_bound};
pub use header::{
    BATCH_OVERHEAD, BatchError, BatchHeader, LOG_OVERHEAD, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, NO_TIMESTAMP, TimestampType, next_sequence,
};
pub use outline::{Outlines, RecordError, RecordOutline};
pub use record::{Record, RecordHeader, Records};
pub use rewrite::{empty_batch, patch_base_offset, patch_leader_epoch, recompress};

#[cfg(test)]
mod tests;
