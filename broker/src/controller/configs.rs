//! Decides on changes of settings: of topics, brokers, groups and client metrics.
//!
//! A value is checked by its definition in `config/`, the rest of the rules stand here. Each
//! resource of a request changes as a whole or not at all.

mod error;

use std::collections::BTreeSet;

use super::decision::Decision;
use super::image::{Configs, MetadataImage};
use super::partition_change::changes;
use super::records::{ConfigRecord, ConfigResource, MetadataRecord};
use super::standing::Standing;
use super::topic_name::check_topic_name;
use crate::config::{Change, Definition, Kind, Scope, find};

pub use error::{AlterConfigError, TopicConfigError};

/// A resource as a request names it: Kafka's number for its kind, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceName {
    /// 2 topic, 4 broker, 8 loggers of a broker, 16 client metrics, 32 group.
    pub kind: i8,
    /// Empty for the default of all brokers.
    pub name: String,
}

/// What a request wants done with the settings of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alteration {
    /// These settings and no others (AlterConfigs).
    Replace(Vec<(String, Option<String>)>),
    /// One step after the other (IncrementalAlterConfigs).
    Steps(Vec<Step>),
}

/// One step of an incremental change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The setting.
    pub name: String,
    /// Kafka's number for what to do: 0 set, 1 delete, 2 append, 3 subtract.
    pub operation: i8,
    /// The value, if the step needs one.
    pub value: Option<String>,
}

/// Checks the settings of a topic to be, the last of two of the same name counting.
pub(super) fn check_topic_configs<'a>(
    given: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<Configs, TopicConfigError> {
    let mut configs = Configs::new();
    for (name, value) in given {
        let value = value.ok_or_else(|| TopicConfigError::NoValue { name: name.to_owned() })?;
        configs.insert(name.to_owned(), check_topic_value(name, value)?);
    }
    check_topic_rules(&configs)?;
    Ok(configs)
}

fn check_topic_value(name: &str, value: &str) -> Result<String, TopicConfigError> {
    match find(Scope::Topic, name) {
        Some(definition) => Ok(definition.check(value)?),
        None => Err(TopicConfigError::Unknown { name: name.to_owned() }),
    }
}

/// Rules between the settings of a topic.
fn check_topic_rules(configs: &Configs) -> Result<(), TopicConfigError> {
    let (low, high) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let number = |name, default| {
        configs.get(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or(default)
    };
    let (low_value, high_value) = (number(low, 0), number(high, i64::MAX));
    if low_value > high_value {
        return Err(TopicConfigError::Conflict { low, low_value, high, high_value });
    }
    Ok(())
}

type AlterAnswers = Vec<(ResourceName, Result<(), AlterConfigError>)>;

/// Decides on a request to change settings. `validate_only` answers without changing.
pub(super) fn alter_configs(
    standing: &Standing<'_>,
    resources: &[(ResourceName, Alteration)],
    validate_only: bool,
) -> Decision<AlterAnswers> {
    let Decision { records: altering, answer } =
        alter_resources(standing.image, resources, validate_only);
    let mut records = follow_up(standing, &[], &altering);
    let allows_unclean =
        altering.iter().any(|record| sets(record, "unclean.leader.election.enable"));
    records.extend(altering);
    if allows_unclean {
        records.extend(lead_where_allowed(standing, &records));
    }
    Decision { records, answer }
}

fn alter_resources(
    image: &MetadataImage,
    resources: &[(ResourceName, Alteration)],
    validate_only: bool,
) -> Decision<AlterAnswers> {
    let mut decision = Decision::answer(Vec::new());
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> =
        resources.iter().map(|(name, _)| name).filter(|name| !seen.insert(*name)).collect();
    for (name, alteration) in resources {
        let altered = if twice.contains(name) {
            Err(AlterConfigError::ResourceTwice)
        } else {
            alter_resource(image, name, alteration)
        };
        let altered = altered.map(|records| {
            if !validate_only {
                decision.records.extend(records);
            }
        });
        decision.answer.push((name.clone(), altered));
    }
    decision
}

/// What `altering` records make necessary in partitions, which may change the rules that these go by. It
/// belongs before them, and after `earlier` records of the same decision.
///
/// Where fewer replicas need to be in sync than before, more may be committed from then on, which those
/// that were eligible do not get. That they are forgotten too early costs at most time.
pub(super) fn follow_up(
    standing: &Standing<'_>,
    earlier: &[MetadataRecord],
    altering: &[MetadataRecord],
) -> Vec<MetadataRecord> {
    let mut altered = standing.image.clone();
    for record in earlier.iter().chain(altering) {
        altered.replay(record).expect("a decision fits the image it was made on");
    }
    let is_min_in_sync = |record: &MetadataRecord| sets(record, "min.insync.replicas");
    let is_concerned =
        altered.promises() != standing.image.promises() || altering.iter().any(is_min_in_sync);
    if !is_concerned {
        return Vec::new();
    }
    changes(&standing.on(&altered), |partition, _, change| {
        (!partition.eligible.is_empty()).then_some(change)
    })
}

/// Elects leaders where nobody leads and, after these records, somebody may: whoever allows an unclean
/// election waits for it.
fn lead_where_allowed(standing: &Standing<'_>, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
    let mut altered = standing.image.clone();
    for record in records {
        altered.replay(record).expect("a decision fits the image it was made on");
    }
    changes(&standing.on(&altered), |partition, _, change| {
        partition.leader.is_none().then_some(change)
    })
}

fn sets(record: &MetadataRecord, name: &str) -> bool {
    matches!(record, MetadataRecord::Config(config) if config.name == name)
}

fn alter_resource(
    image: &MetadataImage,
    name: &ResourceName,
    alteration: &Alteration,
) -> Result<Vec<MetadataRecord>, AlterConfigError> {
    check_form(alteration)?;
    let Some(resource) = resolve(image, name)? else {
        return match alteration.names().next() {
            Some(name) => Err(AlterConfigError::UnknownLogger { name: name.to_owned() }),
            None => Ok(Vec::new()),
        };
    };
    if matches!(resource, ConfigResource::Broker(_)) {
        if alteration.names().any(|name| name == "min.insync.replicas") {
            return Err(AlterConfigError::MinInSyncOfOneBroker);
        }
        if alteration.names().any(|name| name == "log.durability") {
            return Err(AlterConfigError::DurabilityOfOneBroker);
        }
    }
    let before = image.configs(&resource);
    // In Kafka's order, which decides what a request hears that is wrong in more than one way: the
    // steps, the form of a topic's name, the values, and only then whether there is such a topic.
    let mut after = match alteration {
        Alteration::Replace(_) => Configs::new(),
        Alteration::Steps(_) => Configs::clone(&before),
    };
    let mut set = BTreeSet::new();
    match alteration {
        Alteration::Replace(all) => {
            for (name, value) in all {
                after.insert(name.clone(), value.clone().unwrap_or_default());
                set.insert(name);
            }
        }
        Alteration::Steps(steps) => {
            for step in steps {
                apply(&resource, step, &mut after)?;
                set.insert(&step.name);
            }
        }
    }
    if let ConfigResource::Topic(name) = &resource {
        check_altered_name(name)?;
    }
    for (name, value) in after.iter_mut().filter(|(name, _)| set.contains(name)) {
        *value = check_value(&resource, name, value)?;
    }
    if let ConfigResource::Topic(name) = &resource {
        check_topic_rules(&after)?;
        if image.topic(name).is_none() {
            return Err(AlterConfigError::UnknownTopic { name: name.clone() });
        }
    }
    Ok(differences(&resource, &before, &after))
}

fn check_altered_name(topic: &str) -> Result<(), AlterConfigError> {
    if topic.is_empty() {
        return Err(AlterConfigError::DefaultTopic);
    }
    Ok(check_topic_name(topic)?)
}

impl Alteration {
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Replace(all) => Box::new(all.iter().map(|(name, _)| name.as_str())),
            Self::Steps(steps) => Box::new(steps.iter().map(|step| step.name.as_str())),
        }
    }
}

fn check_form(alteration: &Alteration) -> Result<(), AlterConfigError> {
    let mut seen = BTreeSet::new();
    if !alteration.names().all(|name| seen.insert(name)) {
        return Err(AlterConfigError::NameTwice);
    }
    let missing = match alteration {
        Alteration::Replace(all) => {
            all.iter().find(|(_, value)| value.is_none()).map(|(name, _)| name)
        }
        Alteration::Steps(steps) => steps
            .iter()
            .find(|step| step.value.is_none() && step.operation != DELETE)
            .map(|step| &step.name),
    };
    missing.map_or(Ok(()), |name| Err(AlterConfigError::NoValue { name: name.clone() }))
}

/// The resource a request means, of which a topic need not exist; `None` for the loggers of a
/// broker, which have no settings here.
fn resolve(
    image: &MetadataImage,
    resource: &ResourceName,
) -> Result<Option<ConfigResource>, AlterConfigError> {
    let name = resource.name.clone();
    Ok(Some(match resource.kind {
        2 => ConfigResource::Topic(name),
        4 if name.is_empty() => ConfigResource::Cluster,
        4 => ConfigResource::Broker(broker_id(image, &name)?),
        8 => {
            broker_id(image, &name)?;
            return Ok(None);
        }
        16 if name.is_empty() => return Err(AlterConfigError::DefaultClientMetrics),
        16 => ConfigResource::ClientMetrics(name),
        32 if name.is_empty() => return Err(AlterConfigError::DefaultGroup),
        32 => ConfigResource::Group(name),
        kind => return Err(AlterConfigError::UnknownKind { kind }),
    }))
}

fn broker_id(image: &MetadataImage, name: &str) -> Result<i32, AlterConfigError> {
    let broker_id = name
        .parse()
        .map_err(|_not_a_number| AlterConfigError::BrokerName { name: name.to_owned() })?;
    match image.broker(broker_id) {
        Some(_) => Ok(broker_id),
        None => Err(AlterConfigError::UnknownBroker { broker_id }),
    }
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn apply(
    resource: &ConfigResource,
    step: &Step,
    configs: &mut Configs,
) -> Result<(), AlterConfigError> {
    let name = &step.name;
    let given = step.value.as_deref().unwrap_or_default();
    let value = match step.operation {
        SET => given.to_owned(),
        DELETE => {
            configs.remove(name);
            return Ok(());
        }
        APPEND => {
            let mut items = list_value(resource, name, configs, "APPEND")?;
            for item in split(given) {
                if !items.iter().any(|known| known == item) {
                    items.push(item.to_owned());
                }
            }
            items.join(",")
        }
        SUBTRACT => {
            let mut items = list_value(resource, name, configs, "SUBTRACT")?;
            items.retain(|known| split(given).all(|item| item != known));
            items.join(",")
        }
        operation => {
            return Err(AlterConfigError::UnknownOperation { name: name.clone(), operation });
        }
    };
    configs.insert(name.clone(), value);
    Ok(())
}

/// The items that a list has now: its own, or those of the default.
fn list_value(
    resource: &ConfigResource,
    name: &str,
    configs: &Configs,
    verb: &'static str,
) -> Result<Vec<String>, AlterConfigError> {
    let definition = definition(resource, name);
    if definition.is_none_or(|definition| definition.kind != Kind::List) {
        return Err(AlterConfigError::NotAList { name: name.to_owned(), verb });
    }
    let default = definition.and_then(|definition| definition.default);
    let now = configs.get(name).map(String::as_str).or(default).unwrap_or_default();
    Ok(split(now).map(str::to_owned).collect())
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn definition(resource: &ConfigResource, name: &str) -> Option<&'static Definition> {
    let scope = match resource {
        ConfigResource::Topic(_) => Scope::Topic,
        ConfigResource::Broker(_) | ConfigResource::Cluster => Scope::Broker,
        ConfigResource::Group(_) => Scope::Group,
        ConfigResource::ClientMetrics(_) => Scope::ClientMetrics,
    };
    find(scope, name)
}

fn check_value(
    resource: &ConfigResource,
    name: &str,
    value: &str,
) -> Result<String, AlterConfigError> {
    let definition = definition(resource, name);
    let unknown = || name.to_owned();
    match (resource, definition) {
        (ConfigResource::Topic(_), _) => Ok(check_topic_value(name, value)?),
        (ConfigResource::Broker(_) | ConfigResource::Cluster, Some(definition)) => {
            if definition.change == Change::Restart {
                return Err(AlterConfigError::Fixed { name: unknown() });
            }
            definition.check(value).map_err(AlterConfigError::Broker)
        }
        // Tools keep settings of their own on brokers, as Kafka lets them.
        (ConfigResource::Broker(_) | ConfigResource::Cluster, None) => Ok(value.to_owned()),
        (ConfigResource::Group(_), Some(definition)) => {
            definition.check(value).map_err(AlterConfigError::Group)
        }
        (ConfigResource::Group(_), None) => {
            Err(AlterConfigError::UnknownGroupConfig { name: unknown() })
        }
        (ConfigResource::ClientMetrics(_), Some(definition)) => {
            definition.check(value).map_err(AlterConfigError::ClientMetrics)
        }
        (ConfigResource::ClientMetrics(_), None) => {
            Err(AlterConfigError::UnknownClientMetricsConfig { name: unknown() })
        }
    }
}

fn differences(
    resource: &ConfigResource,
    before: &Configs,
    after: &Configs,
) -> Vec<MetadataRecord> {
    let record = |name: &String, value: Option<&String>| {
        let (name, value) = (name.clone(), value.cloned());
        ConfigRecord { resource: resource.clone(), name, value }.into()
    };
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    removed
        .map(|name| record(name, None))
        .chain(set.map(|(name, value)| record(name, Some(value))))
        .collect()
}
