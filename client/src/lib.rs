//! Connections, cluster metadata, retries and administration of a Kafka-protocol cluster.

pub mod connection;
