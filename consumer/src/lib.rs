//! The consumer that services link.
//!
//! ```no_run
//! use flumen_client::Client;
//! use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset};
//!
//! # async fn consume() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("127.0.0.1:9092").connect().await?;
//! let config = ConsumerConfig {
//!     auto_offset_reset: OffsetReset::Earliest,
//!     ..ConsumerConfig::group("billing")
//! };
//! let mut consumer = Consumer::new(&client, config)?;
//! consumer.subscribe(["orders"])?;
//! for _ in 0..100 {
//!     let record = consumer.recv().await?;
//!     println!("{} at {}: {:?}", record.partition, record.offset, record.value);
//! }
//! consumer.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Two tasks work for a consumer: `fetcher` keeps a fetch under way at each leader, `group` keeps it
//! in its group and commits. They and the program's side share `shared`. What they decide by is
//! pure: `subscription` (positions), `fetch_session`, `decode`, `membership`, `assignor`, `offsets`.
//!
//! **Invariant**: per partition, `committed <= processed <= delivered <= fetched`; records of a
//! partition are given in order, and none is given after its partition was taken away.
//!
//! **Absent on purpose**: the newer group protocol (KIP-848), cooperative assignors, share groups
//! and reading from followers, which are not there yet; deserialisation, which is the program's own.

mod assignor;
mod commit;
pub mod config;
mod consumer;
mod decode;
mod error;
mod fetch_session;
mod fetcher;
mod group;
mod handle;
mod listener;
mod membership;
mod nearest;
mod offsets;
mod placing;
mod record;
mod shared;
mod subscription;

pub use assignor::Assignor;
pub use config::{ConsumerConfig, OffsetReset};
pub use consumer::Consumer;
pub use error::{CorruptBatch, Error};
pub use flumen_client::TopicPartition;
pub use flumen_client::admin::{Isolation, OffsetSpec};
pub use flumen_client::commits::{CommittedOffset, OffsetToCommit};
pub use handle::ConsumerHandle;
pub use listener::RebalanceListener;
pub use record::{Position, Record, RecordHeader};
