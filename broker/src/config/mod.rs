//! The configuration: one table of settings, and the typed structs that the broker reads.
//!
//! [`definition`] says what a setting is, [`table`] holds them all, [`source`] collects values from
//! the file, the environment and the arguments, [`settings`] keeps them by name, and each area
//! (listener, log, …) turns its own into a struct. Rules on one value are in [`validator`], rules
//! between values stand with the struct they protect. Nothing here opens a socket or a log.

mod client_metrics;
mod definition;
mod describe;
mod error;
mod group;
mod limits;
mod listener;
mod log;
mod page;
mod producer;
mod promises;
mod replication;
mod settings;
mod source;
mod table;
mod topic;
mod validator;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub use definition::{Change, Definition, InvalidValue, Kind, Scope};
pub use describe::{
    Described, Source, Synonym, describe_broker, describe_client_metrics, describe_cluster,
    describe_group, describe_topic,
};
pub use error::{ConfigError, Origin, Problem};
pub use group::GroupConfig;
pub use limits::LimitConfig;
pub use listener::{Endpoint, ListenerConfig, NamedListener};
pub use log::{CleanerConfig, LogDefaults};
pub use page::settings_page;
pub use promises::Promises;
pub use replication::{LeaderBalance, ReplicationConfig, ThrottleRates, Voter};
pub use settings::{Layer, Settings};
pub use source::ConfigSources;
pub use table::{definitions, find};
pub use topic::{
    CompressionType, Durability, ThrottledReplicas, TimestampType, TopicConfig,
    inherited_topic_value,
};
pub use validator::Valid;

/// The whole configuration of one broker, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// The id of this broker.
    pub node_id: i32,
    /// Addresses.
    pub listener: ListenerConfig,
    /// Logs.
    pub log: LogDefaults,
    /// Replicas and the metadata quorum.
    pub replication: ReplicationConfig,
    /// Groups.
    pub group: GroupConfig,
    /// Limits.
    pub limits: LimitConfig,
    /// The values by name, for what is described to clients and resolved per topic.
    pub settings: Settings,
}

impl BrokerConfig {
    /// The defaults, with `settings` over them: what a program that embeds a broker starts from.
    ///
    /// # Errors
    /// An unknown name or a wrong value.
    pub fn with<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        settings
            .into_iter()
            .fold(ConfigSources::new(), |sources, (name, value)| sources.argument(name, value))
            .build()
    }

    fn resolve(settings: Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            node_id: settings.number("node.id"),
            listener: ListenerConfig::resolve(&settings)?,
            log: LogDefaults::resolve(&settings),
            replication: ReplicationConfig::resolve(&settings),
            group: GroupConfig::resolve(&settings)?,
            limits: LimitConfig::resolve(&settings),
            settings,
        })
    }

    /// The directory that holds everything this broker stores.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.log.data_dir
    }

    /// The settings of a topic that has `overrides` of its own.
    #[must_use]
    pub fn topic(&self, overrides: &BTreeMap<String, String>) -> TopicConfig {
        TopicConfig::resolve(overrides, &self.settings)
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self::resolve(Settings::default()).expect("the defaults agree with each other")
    }
}
