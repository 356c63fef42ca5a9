//! What the fuzz targets do with an input. Each target in `fuzz_targets/` is one call of a `run`.
//!
//! An input is read in one of two ways: as the very bytes under test, or as decisions that lead to
//! valid bytes with a few changes, checksums and lengths repaired afterwards. Plain bytes would
//! hardly ever get past the first checksum. Besides panics, every target looks for memory and
//! processor time beyond the limits ([`bounds`]) and for contradictions: what was read must come out
//! the same once written and read again.

pub mod bounds;
pub mod edits;
pub mod input;

mod batches;
mod history;
mod log_files;
mod memory_net;
mod messages;
mod recorded;
mod traffic;

pub mod compaction;
pub mod compression;
pub mod configuration;
pub mod connection;
pub mod controller;
pub mod frame;
pub mod log_dir;
pub mod log_recovery;
pub mod metadata;
pub mod record_batch;
pub mod seeds;
pub mod validation;

pub use messages::{requests, responses};

#[expect(dead_code, reason = "shared with the tests of the protocol, which use all of it")]
#[path = "../../protocol/tests/wire/dispatch.rs"]
mod dispatch;
#[expect(dead_code, reason = "shared with the tests of the protocol, which use all of it")]
#[path = "../../protocol/tests/wire/encoder.rs"]
mod encoder;
