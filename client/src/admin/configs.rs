//! Settings of topics, brokers and groups: describing and changing them.

use std::collections::BTreeMap;

use flumen_protocol::ApiKey;
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use flumen_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::{Admin, incomplete};
use crate::error::Error;

/// What settings belong to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by id; `None` stands for the settings all brokers share.
    Broker(Option<i32>),
    /// A group, by id.
    Group(String),
}

impl ConfigResource {
    fn to_wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.clone()),
            Self::Broker(id) => (4, id.map(|id| id.to_string()).unwrap_or_default()),
            Self::Group(id) => (32, id.clone()),
        }
    }

    /// The broker that alone can answer for this, if any.
    fn broker(&self) -> Option<i32> {
        match self {
            Self::Broker(id) => *id,
            Self::Topic(_) | Self::Group(_) => None,
        }
    }
}

/// A setting, its value and where that comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name of it.
    pub name: String,
    /// The value; `None` if there is none or it is secret.
    pub value: Option<String>,
    /// Where the value comes from, as Kafka counts: 1 topic, 2 broker at run time, 3 all brokers at
    /// run time, 4 broker's file, 5 default.
    pub source: i8,
    /// Whether it is nothing but the default.
    pub is_default: bool,
    /// Whether it cannot be changed at run time.
    pub is_read_only: bool,
    /// Whether the value is secret.
    pub is_sensitive: bool,
    /// The places the value could come from, in order of precedence.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it is for.
    pub documentation: Option<String>,
}

/// A place a value could come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name it has there.
    pub name: String,
    /// The value it has there.
    pub value: Option<String>,
    /// The place, counted as in [`ConfigEntry::source`].
    pub source: i8,
}

/// A change to one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Kafka's name of the setting.
    pub name: String,
    /// What to do with it.
    pub operation: ConfigOperation,
}

/// What to do with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Give it this value.
    Set(String),
    /// Go back to the default.
    Delete,
    /// Add these elements to a list.
    Append(String),
    /// Take these elements out of a list.
    Subtract(String),
}

impl ConfigChange {
    /// Gives a setting a value.
    pub fn set(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), operation: ConfigOperation::Set(value.into()) }
    }

    /// Takes a setting back to its default.
    pub fn delete(name: impl Into<String>) -> Self {
        Self { name: name.into(), operation: ConfigOperation::Delete }
    }

    fn to_wire(&self) -> AlterableConfig {
        let (config_operation, value) = match &self.operation {
            ConfigOperation::Set(value) => (0, Some(value.clone())),
            ConfigOperation::Delete => (1, None),
            ConfigOperation::Append(value) => (2, Some(value.clone())),
            ConfigOperation::Subtract(value) => (3, Some(value.clone())),
        };
        AlterableConfig { name: self.name.clone(), config_operation, value }
    }
}

impl Admin {
    /// All settings of a topic, broker or group, by name.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<BTreeMap<String, ConfigEntry>, Error> {
        let (resource_type, resource_name) = resource.to_wire();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type,
                resource_name: resource_name.clone(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            ..DescribeConfigsRequest::default()
        };
        let response = match resource.broker() {
            Some(id) => self.client.ask_broker(id, &request).await?,
            None => self.client.ask_any(&request).await?,
        };
        let result = response.results.into_iter().next();
        let result = result.ok_or_else(|| incomplete(ApiKey::DescribeConfigs, &resource_name))?;
        Error::check(ApiKey::DescribeConfigs, result.error_code, result.error_message)?;
        let entries = result.configs.into_iter().map(|config| {
            let entry = entry_from(config);
            (entry.name.clone(), entry)
        });
        Ok(entries.collect())
    }

    /// Changes settings of a topic, broker or group, and leaves the others alone.
    ///
    /// With `validate_only` nothing changes, but the answer is the same.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), Error> {
        let (resource_type, resource_name) = resource.to_wire();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type,
                resource_name: resource_name.clone(),
                configs: changes.iter().map(ConfigChange::to_wire).collect(),
            }],
            validate_only,
        };
        let response = match resource.broker() {
            Some(id) => self.client.ask_broker(id, &request).await?,
            None => {
                let first_code = |response: &<IncrementalAlterConfigsRequest as flumen_protocol::Request>::Response| {
                    response.responses.first().map(|result| result.error_code)
                };
                self.ask_controller(&request, first_code).await?
            }
        };
        let result = response.responses.into_iter().next();
        let result =
            result.ok_or_else(|| incomplete(ApiKey::IncrementalAlterConfigs, &resource_name))?;
        Error::check(ApiKey::IncrementalAlterConfigs, result.error_code, result.error_message)
    }
}

fn entry_from(config: DescribeConfigsResourceResult) -> ConfigEntry {
    let synonyms = config.synonyms.into_iter().map(|synonym| ConfigSynonym {
        name: synonym.name,
        value: synonym.value,
        source: synonym.source,
    });
    ConfigEntry {
        name: config.name,
        value: config.value,
        source: config.config_source,
        is_default: config.config_source == 5,
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        synonyms: synonyms.collect(),
        documentation: config.documentation,
    }
}
