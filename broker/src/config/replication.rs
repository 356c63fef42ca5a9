//! How many copies there are, and the quorum that keeps the metadata.

use std::time::Duration;

use super::definition::{Definition, Kind};
use super::listener::Endpoint;
use super::settings::Settings;
use super::validator::Valid;

/// The name that Kafka's selector has.
const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::broker(
        "default.replication.factor",
        Kind::Int,
        "-1",
        "How many replicas a topic gets when it is created without a number; -1 for three, or as \
         many as there are brokers.",
    )
    .valid(Valid::MinusOneOr(1, 32_767)),
    Definition::unset(
        "min.insync.replicas",
        Kind::Int,
        "How many replicas must be in sync for `acks=all` to be accepted. Without it: 2 for a topic \
         of three or more replicas, else 1. Where the files of brokers differ, the strictest holds \
         for all.",
    )
    .valid(Valid::AtLeast(1))
    .dynamic(),
    Definition::broker(
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        "Lets a replica that is not in sync become leader when no other is left, at the price of \
         losing records. The files of all brokers must say so.",
    )
    .dynamic(),
    Definition::unset(
        "controller.quorum.voters",
        Kind::List,
        "The brokers that vote on metadata, as id@host:port of their peer listeners. Without it the \
         broker is a cluster of its own.",
    )
    .valid(Valid::Voters),
    Definition::broker(
        "controller.quorum.found.with.majority",
        Kind::Boolean,
        "false",
        "Lets a new cluster begin while some of its voters are missing. Only where none of these can \
         hold the metadata of an earlier cluster: it would be lost.",
    ),
    Definition::broker(
        "controller.quorum.election.timeout.ms",
        Kind::Int,
        "1000",
        "How long a voter waits for the leader before it stands for election.",
    )
    .valid(Valid::AtLeast(10)),
    Definition::broker(
        "metadata.log.max.record.bytes.between.snapshots",
        Kind::Long,
        "20971520",
        "How many bytes of metadata records are written before the next snapshot.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "metadata.log.max.snapshot.interval.ms",
        Kind::Long,
        "3600000",
        "The longest time between two metadata snapshots while records are written; 0 for no limit.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "broker.session.timeout.ms",
        Kind::Int,
        "2500",
        "How long a broker that is not heard of stays in service. It must get the processor more often \
         than that, and its disk must answer.",
    )
    .valid(Valid::AtLeast(200)),
    Definition::broker(
        "broker.heartbeat.interval.ms",
        Kind::Int,
        "400",
        "How often a broker tells the controller that it is alive.",
    )
    .valid(Valid::AtLeast(10)),
    Definition::broker(
        "replica.lag.time.max.ms",
        Kind::Long,
        "2500",
        "How long a follower may be behind the end of the log before it is no longer in sync.",
    )
    .valid(Valid::AtLeast(100)),
    Definition::broker(
        "leader.replication.throttled.rate",
        Kind::Long,
        "9223372036854775807",
        "Bytes per second that this broker sends of the replicas that are named by \
         `leader.replication.throttled.replicas` of topics and are not in sync.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "follower.replication.throttled.rate",
        Kind::Long,
        "9223372036854775807",
        "Bytes per second that this broker fetches of its replicas that are named by \
         `follower.replication.throttled.replicas` of topics and are not in sync.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "replica.selector.class",
        Kind::String,
        RACK_AWARE,
        "Who serves consumers: with the rack-aware selector those with a `client.rack` read from a \
         replica in sync in that rack, if there is one; when it is empty, all read from leaders.",
    )
    .valid(Valid::OneOf(&["", RACK_AWARE])),
    Definition::broker(
        "log.sync.timeout.ms",
        Kind::Long,
        "1500",
        "How long a sync may take before the broker asks to be taken out of service, so that others \
         lead what is on its disk.",
    )
    .valid(Valid::AtLeast(100)),
    Definition::broker(
        "auto.leader.rebalance.enable",
        Kind::Boolean,
        "true",
        "Gives leaderships back to preferred leaders when they are in sync again.",
    ),
    Definition::broker(
        "leader.imbalance.check.interval.seconds",
        Kind::Long,
        "300",
        "How often leaderships are looked at.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "leader.imbalance.per.broker.percentage",
        Kind::Int,
        "10",
        "How many of the partitions that prefer a broker, in percent, others may lead before they are \
         given back.",
    )
    .valid(Valid::Between(0, 100)),
];

/// How fast replicas that are not in sync are copied where a topic says so, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRates {
    /// To all followers together.
    pub leader: u64,
    /// From all leaders together.
    pub follower: u64,
}

impl ThrottleRates {
    /// The rates that hold now.
    #[must_use]
    pub fn resolve(settings: &Settings) -> Self {
        Self {
            leader: settings.number("leader.replication.throttled.rate"),
            follower: settings.number("follower.replication.throttled.rate"),
        }
    }
}

/// A broker that votes on metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub node_id: i32,
    /// Its peer listener.
    pub endpoint: Endpoint,
}

/// Replication and the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// Replicas of a topic that does not say; `None`: three, or as many as there are brokers.
    pub default_replication_factor: Option<i16>,
    /// The voters; empty for a cluster of one.
    pub voters: Vec<Voter>,
    /// Whether a cluster may begin without some of its voters.
    pub founds_with_majority: bool,
    /// How long a voter waits for its leader.
    pub election_timeout_ms: u64,
    /// Bytes of metadata between two snapshots.
    pub snapshot_bytes: u64,
    /// Time between two snapshots; 0 for no limit.
    pub snapshot_interval_ms: i64,
    /// How long a broker that is not heard of stays in service.
    pub session_timeout_ms: u64,
    /// Time between two heartbeats.
    pub heartbeat_interval_ms: u64,
    /// How long a follower may be behind.
    pub lag_time_max_ms: u64,
    /// Whether consumers are sent to replicas in their rack.
    pub is_rack_aware: bool,
    /// How long a sync may take.
    pub sync_timeout_ms: u64,
    /// How leaderships are balanced; `None`: they are not.
    pub leader_balance: Option<LeaderBalance>,
}

/// When leaderships are given back to preferred leaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderBalance {
    /// Time between two looks.
    pub interval: Duration,
    /// The share of a broker's partitions that others may lead.
    pub imbalance_percent_max: usize,
}

impl ReplicationConfig {
    pub(super) fn resolve(settings: &Settings) -> Self {
        let voters = settings
            .list("controller.quorum.voters")
            .iter()
            .filter_map(|voter| {
                let (id, address) = voter.split_once('@')?;
                Some(Voter { node_id: id.parse().ok()?, endpoint: Endpoint::parse(address)? })
            })
            .collect();
        Self {
            default_replication_factor: Some(settings.number("default.replication.factor"))
                .filter(|factor| *factor > 0),
            voters,
            founds_with_majority: settings.boolean("controller.quorum.found.with.majority"),
            election_timeout_ms: settings.number("controller.quorum.election.timeout.ms"),
            snapshot_bytes: settings.number("metadata.log.max.record.bytes.between.snapshots"),
            snapshot_interval_ms: settings.number("metadata.log.max.snapshot.interval.ms"),
            session_timeout_ms: settings.number("broker.session.timeout.ms"),
            heartbeat_interval_ms: settings.number("broker.heartbeat.interval.ms"),
            lag_time_max_ms: settings.number("replica.lag.time.max.ms"),
            is_rack_aware: settings.text("replica.selector.class") == RACK_AWARE,
            sync_timeout_ms: settings.number("log.sync.timeout.ms"),
            leader_balance: settings.boolean("auto.leader.rebalance.enable").then(|| {
                LeaderBalance {
                    interval: Duration::from_secs(
                        settings.number("leader.imbalance.check.interval.seconds"),
                    ),
                    imbalance_percent_max: settings
                        .number("leader.imbalance.per.broker.percentage"),
                }
            }),
        }
    }

    /// The replicas a topic gets that leaves the choice to the broker.
    #[must_use]
    pub fn replication_factor(&self, brokers: usize) -> i16 {
        self.default_replication_factor
            .unwrap_or_else(|| i16::try_from(brokers.clamp(1, 3)).expect("at most three"))
    }
}
