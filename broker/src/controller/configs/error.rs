//! Why settings are not changed.

use crate::config::InvalidValue;
use crate::controller::topic_name::TopicNameError;

/// Why the settings of a resource are not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterConfigError {
    /// The request names it twice.
    #[error("Each resource must appear at most once.")]
    ResourceTwice,
    /// No such kind of resource.
    #[error("Unknown resource type {kind}")]
    UnknownKind {
        /// Kafka's number for it.
        kind: i8,
    },
    /// A topic without name.
    #[error("Default topic resources are not allowed.")]
    DefaultTopic,
    /// A group without name.
    #[error("Default group resources are not allowed.")]
    DefaultGroup,
    /// A subscription without name.
    #[error("Subscription name can't be empty")]
    DefaultClientMetrics,
    /// A name that no topic can have.
    #[error(transparent)]
    TopicName(#[from] TopicNameError),
    /// No such topic.
    #[error("The topic '{name}' does not exist.")]
    UnknownTopic {
        /// The name.
        name: String,
    },
    /// A broker's name is its number.
    #[error("Node id must be an integer, but it is: {name}")]
    BrokerName {
        /// The name given.
        name: String,
    },
    /// No such broker.
    #[error("Unexpected broker id: no broker {broker_id} is registered")]
    UnknownBroker {
        /// The number given.
        broker_id: i32,
    },
    /// Loggers cannot be set this way.
    #[error("Logger {name} does not exist!")]
    UnknownLogger {
        /// The logger.
        name: String,
    },
    /// The same setting twice.
    #[error("Error due to duplicate config keys")]
    NameTwice,
    /// A step without the value it needs.
    #[error("Null value not supported for : {name}")]
    NoValue {
        /// The setting.
        name: String,
    },
    /// No such step.
    #[error("Unknown operation {operation} for configuration {name}")]
    UnknownOperation {
        /// The setting.
        name: String,
        /// The number given.
        operation: i8,
    },
    /// Only a list can be extended.
    #[error("Can't {verb} to key {name} because its type is not LIST.")]
    NotAList {
        /// The setting.
        name: String,
        /// The step.
        verb: &'static str,
    },
    /// Takes effect at the next start only.
    #[error("Cannot update these configs dynamically: [{name}]")]
    Fixed {
        /// The setting.
        name: String,
    },
    /// How many replicas must be in sync is the same everywhere (KIP-966): one leader would else
    /// commit what another would not, and who may lead is decided by that number.
    #[error("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")]
    MinInSyncOfOneBroker,
    /// The promise of a record is that of all its replicas.
    #[error("log.durability holds for all brokers, and cannot be altered for one.")]
    DurabilityOfOneBroker,
    /// A topic's setting is wrong.
    #[error(transparent)]
    Topic(#[from] TopicConfigError),
    /// A broker's setting is wrong.
    #[error("{0}")]
    Broker(InvalidValue),
    /// A group's setting is wrong.
    #[error("{0}")]
    Group(InvalidValue),
    /// There is no such setting of groups.
    #[error("Unknown group config name: {name}")]
    UnknownGroupConfig {
        /// The name.
        name: String,
    },
    /// A subscription's setting is wrong.
    #[error("{0}")]
    ClientMetrics(InvalidValue),
    /// There is no such setting of subscriptions.
    #[error("Unknown client metrics configuration: {name}")]
    UnknownClientMetricsConfig {
        /// The name.
        name: String,
    },
}

/// What is wrong with the settings of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// There is no such setting.
    #[error("Unknown topic config name: {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A setting without value.
    #[error("Null value not supported for topic configs: {name}")]
    NoValue {
        /// The setting.
        name: String,
    },
    /// A value that is not allowed.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Two settings that exclude each other.
    #[error("conflict topic config setting {low} ({low_value}) > {high} ({high_value})")]
    Conflict {
        /// The setting that is too large.
        low: &'static str,
        /// Its value.
        low_value: i64,
        /// The setting it must not pass.
        high: &'static str,
        /// Its value.
        high_value: i64,
    },
}
