//! What DescribeConfigs says: every setting with its value, and every place it could come from.
//!
//! The *synonyms* of a setting are the places that were looked at for its value, the one that counts
//! first. A topic's setting looks at the topic, then at the broker's setting that supplies its
//! default: changed for this broker, changed for all, given at the start, default.

use std::collections::BTreeMap;

use super::definition::{Change, Definition, Scope};
use super::settings::{Layer, Settings};
use super::table;
use super::topic::inherited_topic_value;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Set on the topic.
    Topic,
    /// Changed for one broker while it ran.
    OwnDynamic,
    /// Changed for all brokers while they ran.
    ClusterDynamic,
    /// Given when the broker started.
    Fixed,
    /// The definition.
    Default,
    /// Set on the subscription to client metrics.
    ClientMetrics,
    /// Set on the group.
    Group,
}

impl Source {
    /// Kafka's number for it.
    #[must_use]
    pub fn wire_code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::OwnDynamic => 2,
            Self::ClusterDynamic => 3,
            Self::Fixed => 4,
            Self::Default => 5,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }
}

/// One place that a value could come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The setting there.
    pub name: String,
    /// Its value; `None` when it must not be shown.
    pub value: Option<String>,
    /// The place.
    pub source: Source,
}

/// One setting as it is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its value; `None` when it is unset or must not be shown.
    pub value: Option<String>,
    /// Whether only a restart changes it.
    pub read_only: bool,
    /// Where the value comes from.
    pub source: Source,
    /// Whether its value must not be shown.
    pub sensitive: bool,
    /// Every place it could come from.
    pub synonyms: Vec<Synonym>,
    /// Kafka's number for its type; 0 for a setting that Flumen does not know.
    pub kind: i8,
    /// What it does.
    pub text: &'static str,
}

/// Every setting of a topic that has `configs` of its own and `replicas` replicas, by name.
#[must_use]
pub fn describe_topic(
    settings: &Settings,
    configs: &BTreeMap<String, String>,
    replicas: usize,
) -> Vec<Described> {
    let describe = |definition: &'static Definition| {
        let mut synonyms = definition
            .broker_default
            .map(|broker| broker_synonyms(settings, broker))
            .unwrap_or_default();
        let own = configs.get(definition.name);
        if let Some(value) = own {
            synonyms.insert(0, synonym(definition.name, value, Source::Topic));
        }
        let value =
            own.cloned().unwrap_or_else(|| inherited_topic_value(definition, settings, replicas));
        described(definition, Some(value), synonyms)
    };
    by_name(Scope::Topic, describe)
}

/// Every setting of this broker, by name.
#[must_use]
pub fn describe_broker(
    settings: &Settings,
    cluster: &BTreeMap<String, String>,
    own: &BTreeMap<String, String>,
) -> Vec<Described> {
    let mut all = by_name(Scope::Broker, |definition| {
        let synonyms = broker_synonyms(settings, definition.name);
        let value = settings.optional(definition.name).map(str::to_owned);
        described(definition, value, synonyms)
    });
    all.extend(unknown(own, Source::OwnDynamic));
    all.extend(unknown(cluster, Source::ClusterDynamic));
    all
}

/// What was changed for all brokers.
#[must_use]
pub fn describe_cluster(cluster: &BTreeMap<String, String>) -> Vec<Described> {
    let known = cluster.iter().filter_map(|(name, value)| {
        let synonyms = vec![synonym(name, value, Source::ClusterDynamic)];
        Some(described(table::broker(name)?, Some(value.clone()), synonyms))
    });
    known.chain(unknown(cluster, Source::ClusterDynamic)).collect()
}

/// Every setting of a group that has `configs` of its own, by name.
#[must_use]
pub fn describe_group(settings: &Settings, configs: &BTreeMap<String, String>) -> Vec<Described> {
    by_name(Scope::Group, |definition| {
        let inherited = definition.broker_default.map_or_else(
            || {
                vec![synonym(
                    definition.name,
                    definition.default.unwrap_or_default(),
                    Source::Default,
                )]
            },
            |broker| broker_synonyms(settings, broker),
        );
        describe_own(definition, configs, Source::Group, inherited)
    })
}

/// Every setting of a subscription to client metrics that has `configs` of its own, by name.
#[must_use]
pub fn describe_client_metrics(configs: &BTreeMap<String, String>) -> Vec<Described> {
    by_name(Scope::ClientMetrics, |definition| {
        describe_own(definition, configs, Source::ClientMetrics, Vec::new())
    })
}

fn describe_own(
    definition: &'static Definition,
    configs: &BTreeMap<String, String>,
    source: Source,
    mut synonyms: Vec<Synonym>,
) -> Described {
    let inherited = synonyms.first().and_then(|synonym| synonym.value.clone());
    let own = configs.get(definition.name);
    if let Some(value) = own {
        synonyms.insert(0, synonym(definition.name, value, source));
    }
    let default = || definition.default.map(str::to_owned);
    let value = own.cloned().or(inherited).or_else(default);
    described(definition, value, synonyms)
}

fn by_name(scope: Scope, describe: impl Fn(&'static Definition) -> Described) -> Vec<Described> {
    let mut all: Vec<Described> = table::definitions(scope).map(describe).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn described(
    definition: &'static Definition,
    value: Option<String>,
    synonyms: Vec<Synonym>,
) -> Described {
    Described {
        name: definition.name.to_owned(),
        value,
        read_only: definition.change == Change::Restart,
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        sensitive: false,
        synonyms,
        kind: definition.kind.wire_code(),
        text: definition.text,
    }
}

/// Settings that tools keep on brokers: nobody knows whether they are secrets.
fn unknown(configs: &BTreeMap<String, String>, source: Source) -> impl Iterator<Item = Described> {
    configs.keys().filter(|name| table::broker(name).is_none()).map(move |name| Described {
        name: name.clone(),
        value: None,
        read_only: true,
        source,
        sensitive: true,
        synonyms: vec![Synonym { name: name.clone(), value: None, source }],
        kind: 0,
        text: "",
    })
}

fn synonym(name: &str, value: &str, source: Source) -> Synonym {
    Synonym { name: name.to_owned(), value: Some(value.to_owned()), source }
}

const LAYERS: [(Layer, Source); 4] = [
    (Layer::OwnDynamic, Source::OwnDynamic),
    (Layer::ClusterDynamic, Source::ClusterDynamic),
    (Layer::Fixed, Source::Fixed),
    (Layer::Default, Source::Default),
];

/// The places that the value of a broker setting could come from.
///
/// A setting in coarser units is a synonym of the finer one, but only behind it: while the finer one
/// is unset, Kafka lists nothing.
fn broker_synonyms(settings: &Settings, name: &str) -> Vec<Synonym> {
    let names: &[&str] = match name {
        "log.retention.ms" => &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        "log.roll.ms" => &["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" => &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        name => &[name],
    };
    let places = LAYERS.iter().flat_map(|(layer, source)| {
        names.iter().filter_map(|name| {
            let value = settings.in_layer(table::known_broker(name), *layer)?;
            Some(synonym(name, value, *source))
        })
    });
    places.skip_while(|synonym| synonym.name != name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    fn find<'a>(all: &'a [Described], name: &str) -> &'a Described {
        all.iter().find(|described| described.name == name).unwrap()
    }

    fn places(described: &Described) -> Vec<(&str, &str, i8)> {
        described
            .synonyms
            .iter()
            .map(|s| (s.name.as_str(), s.value.as_deref().unwrap(), s.source.wire_code()))
            .collect()
    }

    /// The answers of Apache Kafka 4.4 to the same questions.
    #[test]
    fn synonyms_are_those_of_kafka() {
        let settings = BrokerConfig::default().settings;
        let own = BTreeMap::from([("retention.ms".to_owned(), "444".to_owned())]);
        let all = describe_topic(&settings, &own, 1);
        let check = |name: &str, value: &str, expected: &[(&str, &str, i8)]| {
            let described = find(&all, name);
            assert_eq!(described.value.as_deref(), Some(value), "{name}");
            assert_eq!(places(described), expected, "{name}");
            let source = expected.first().map_or(5, |(_, _, source)| *source);
            assert_eq!(described.source.wire_code(), source, "{name}");
            assert!(!described.read_only && !described.sensitive, "{name}");
        };
        check("retention.ms", "444", &[("retention.ms", "444", 1)]);
        check("segment.ms", "604800000", &[]);
        check("flush.ms", "9223372036854775807", &[]);
        check("segment.bytes", "1073741824", &[("log.segment.bytes", "1073741824", 5)]);
        check("max.message.bytes", "1048588", &[("message.max.bytes", "1048588", 5)]);
        check("leader.replication.throttled.replicas", "", &[]);
    }

    #[test]
    fn every_layer_is_listed_the_strongest_first() {
        let map = |value: &str| BTreeMap::from([("log.retention.ms".to_owned(), value.to_owned())]);
        let fixed = [("log.retention.ms", "3"), ("log.retention.hours", "9")];
        let settings = BrokerConfig::with(fixed).unwrap().settings;
        let settings = settings.with_dynamic(&map("2"), &map("1"));
        let all = describe_broker(&settings, &map("2"), &map("1"));
        let described = find(&all, "log.retention.ms");
        assert_eq!(described.value.as_deref(), Some("1"));
        assert_eq!(
            places(described),
            [
                ("log.retention.ms", "1", 2),
                ("log.retention.ms", "2", 3),
                ("log.retention.ms", "3", 4),
                ("log.retention.hours", "9", 4),
                ("log.retention.hours", "168", 5),
            ]
        );
    }

    #[test]
    fn a_setting_nobody_knows_is_kept_secret() {
        let cluster = BTreeMap::from([("some.tool".to_owned(), "secret".to_owned())]);
        let settings = BrokerConfig::default().settings;
        for all in
            [describe_cluster(&cluster), describe_broker(&settings, &cluster, &BTreeMap::new())]
        {
            let described = find(&all, "some.tool");
            assert!(described.sensitive && described.value.is_none());
            assert!(described.synonyms.iter().all(|synonym| synonym.value.is_none()));
        }
    }

    #[test]
    fn groups_and_subscriptions_inherit() {
        let settings = BrokerConfig::default().settings;
        let own = BTreeMap::from([("share.auto.offset.reset".to_owned(), "earliest".to_owned())]);
        let all = describe_group(&settings, &own);
        assert_eq!(
            places(find(&all, "share.auto.offset.reset")),
            [("share.auto.offset.reset", "earliest", 8), ("share.auto.offset.reset", "latest", 5)]
        );
        assert_eq!(
            places(find(&all, "consumer.session.timeout.ms")),
            [("group.consumer.session.timeout.ms", "45000", 5)]
        );
        let own = BTreeMap::from([("interval.ms".to_owned(), "60000".to_owned())]);
        let all = describe_client_metrics(&own);
        assert_eq!(places(find(&all, "interval.ms")), [("interval.ms", "60000", 7)]);
        assert_eq!(places(find(&all, "metrics")), []);
    }
}
