//! Connections, cluster metadata, retries and administration of a Kafka-protocol cluster.

pub mod admin;
mod client;
pub mod cluster;
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
