//! How much one client, or all of them together, may take.
//!
//! Every limit is finite by default.

use super::definition::{Definition, Kind};
use super::settings::Settings;
use super::validator::Valid;

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::broker(
        "socket.request.max.bytes",
        Kind::Int,
        "16777216",
        "The largest request. One that is not to produce must also be below a 128th of \
         queued.max.request.bytes, or 64 KiB. A larger one closes its connection.",
    )
    .valid(Valid::AtLeast(1024)),
    Definition::broker(
        "max.partitions",
        Kind::Int,
        "20000",
        "How many partitions the cluster may have; topics beyond it are refused. Never more than half \
         of the files that the process may open.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "queued.max.request.bytes",
        Kind::Long,
        "-1",
        "The bytes of requests and responses held in memory for all connections together; -1 for a \
         quarter of the machine's memory. Connections are not read while it is used up.",
    )
    .valid(Valid::MinusOneOr(1_048_576, i64::MAX)),
    Definition::broker(
        "max.in.flight.requests.per.connection",
        Kind::Int,
        "256",
        "How many requests of one connection may wait for their response at once.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "max.connections",
        Kind::Int,
        "10000",
        "How many connections may be open at once. Never more than a quarter of the files that the \
         process may open.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "max.connections.per.ip",
        Kind::Int,
        "1000",
        "How many connections may be open at once from one address.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "connections.max.idle.ms",
        Kind::Long,
        "600000",
        "A connection without traffic is closed after this time.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "fetch.max.bytes",
        Kind::Int,
        "57671680",
        "The most bytes of records in one response to a fetch.",
    )
    .valid(Valid::AtLeast(1024)),
    Definition::broker(
        "max.incremental.fetch.session.cache.slots",
        Kind::Int,
        "1000",
        "How many incremental fetch sessions are kept.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "max.request.partition.size.limit",
        Kind::Int,
        "2000",
        "The most partitions in one response to DescribeTopicPartitions.",
    )
    .valid(Valid::AtLeast(1)),
];

/// Limits on clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    /// The largest request.
    pub request_bytes_max: usize,
    /// Partitions of the cluster.
    pub partitions_max: usize,
    /// Bytes held in memory for all connections; `None`: a quarter of the machine's memory.
    pub queued_bytes_max: Option<u64>,
    /// Requests of one connection that wait for their response.
    pub in_flight_requests_max: usize,
    /// Open connections.
    pub connections_max: usize,
    /// Open connections from one address.
    pub connections_per_ip_max: usize,
    /// How long a connection may be idle.
    pub connections_idle_ms_max: u64,
    /// Bytes of records in one fetch response.
    pub fetch_bytes_max: i32,
    /// Incremental fetch sessions.
    pub fetch_sessions_max: usize,
    /// Partitions in one response to DescribeTopicPartitions.
    pub described_partitions_max: i32,
}

impl LimitConfig {
    pub(super) fn resolve(settings: &Settings) -> Self {
        let queued: i64 = settings.number("queued.max.request.bytes");
        Self {
            request_bytes_max: settings.number("socket.request.max.bytes"),
            partitions_max: settings.number("max.partitions"),
            queued_bytes_max: u64::try_from(queued).ok(),
            in_flight_requests_max: settings.number("max.in.flight.requests.per.connection"),
            connections_max: settings.number("max.connections"),
            connections_per_ip_max: settings.number("max.connections.per.ip"),
            connections_idle_ms_max: settings.number("connections.max.idle.ms"),
            fetch_bytes_max: settings.number("fetch.max.bytes"),
            fetch_sessions_max: settings.number("max.incremental.fetch.session.cache.slots"),
            described_partitions_max: settings.number("max.request.partition.size.limit"),
        }
    }
}
