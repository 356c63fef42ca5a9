//! Connections, cluster metadata, retries and administration of a Kafka-protocol cluster.
//!
//! A [`Client`] knows one cluster, be it Flumen or Apache Kafka: it keeps its metadata up to date,
//! finds leaders and coordinators, and keeps connections. Producers and consumers (crates of their
//! own) are made from a client and share all that; [`Admin`] manages topics, settings and groups.
//!
//! ```no_run
//! use flumen_client::Client;
//! use flumen_client::admin::NewTopic;
//!
//! # async fn tour() -> Result<(), flumen_client::Error> {
//! let client = Client::builder("127.0.0.1:9092").client_id("tour").connect().await?;
//! let admin = client.admin();
//! admin.create_topic(&NewTopic::new("orders", 3).config("retention.ms", "86400000")).await?;
//! for topic in admin.list_topics().await? {
//!     println!("{}: {} partitions", topic.name, topic.partitions.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where things are:
//!
//! * [`connection`]: one connection as a task that sends requests and sorts answers; the seams to
//!   network, clocks, randomness and tasks.
//! * [`cluster`]: the metadata as an immutable snapshot. [`admin`]: one file per area.
//! * [`config`] and [`properties`]: settings, by Kafka's names where Kafka has one.
//! * [`retry`], [`versions`], [`commits`]: pure rules that all clients share.
//!
//! **Absent on purpose**: batching, partitioning and groups, which are the producer's and the
//! consumer's; TLS and SASL, which are not there yet.

pub mod admin;
mod client;
pub mod cluster;
pub mod commits;
pub mod config;
pub mod connection;
mod connections;
pub mod error;
mod metadata;
pub mod properties;
pub mod retry;
pub mod versions;

pub use admin::Admin;
pub use client::{Client, Retry};
pub use cluster::{Cluster, TopicPartition, Topics};
pub use config::{ClientBuilder, ClientConfig};
pub use connections::Connections;
pub use error::{ConfigError, Error};
pub use properties::Properties;
