//! The producer that services link.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use flumen_client::Client;
//! use flumen_producer::{Producer, ProducerConfig, Record};
//!
//! # async fn produce() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("127.0.0.1:9092").connect().await?;
//! let producer = Producer::new(&client, ProducerConfig::default())?;
//!
//! // One record, waiting for it:
//! let delivered = producer.send(Record::new("orders", "a book").key("customer-7")).await?;
//! println!("{} at offset {:?}", delivered.partition, delivered.offset);
//!
//! // Many records: enqueue waits only while the buffer is full.
//! let mut deliveries = Vec::new();
//! for number in 0..1000 {
//!     deliveries.push(producer.enqueue(Record::new("orders", number.to_string())).await?);
//! }
//! for delivery in deliveries {
//!     delivery.await?;
//! }
//! producer.close(Duration::from_secs(10)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A record goes from `producer` (takes it, `partitioner` decides where to) through `accumulator`
//! (batches, order) to `sender` (leaders, requests, answers); `sequence` numbers batches so that
//! brokers drop what is sent twice, and `delivery` tells the program. Accumulator, partitioner and
//! sequence are pure.
//!
//! **Invariant**: records of one partition are written in the order they were taken, and with
//! idempotence each at most once, whatever happens to connections, leaders and brokers. An error
//! says whether the record is [`possibly_written`](Error::possibly_written).
//!
//! **Absent on purpose**: transactions, which are not there yet; serialisation, which is the
//! program's own.

mod accumulator;
mod batch;
pub mod config;
mod delivery;
mod error;
mod partitioner;
mod producer;
mod record;
mod sender;
mod sequence;
mod unanswered;

pub use config::{Acks, ProducerConfig};
pub use delivery::{Delivered, Delivery};
pub use error::Error;
pub use flumen_protocol::records::compression::{Codec, Compression};
pub use partitioner::Spread;
pub use producer::Producer;
pub use record::{Record, RecordHeader};
