//! Reads and changes settings.

use anyhow::Result;
use flumen_protocol::ApiKey;
use flumen_protocol::messages::alter_configs as alter;
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use flumen_protocol::messages::incremental_alter_configs as incremental;
use flumen_protocol::messages::list_config_resources::ListConfigResourcesRequest;

use super::{KEEP, mask_text, topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

fn resource(random: &mut Random) -> (i8, String) {
    let kind = random.choose(&[TOPIC, TOPIC, TOPIC, TOPIC, BROKER, GROUP, 99]);
    let name = match kind {
        TOPIC => topic_name(random).to_owned(),
        BROKER => random.choose(&["1", "", "9", "x"]).to_owned(),
        _ => "some-group".to_owned(),
    };
    (kind, name)
}

pub(super) fn describe_configs(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let (resource_type, resource_name) = resource(random);
    // A broker's settings are Flumen's own but for names that both know.
    let keys: &[&str] = match resource_type {
        BROKER => &["num.partitions", "message.max.bytes"],
        _ => &["retention.ms", "cleanup.policy", "no.such.config", "compression.type"],
    };
    let chosen = random.choose(keys);
    let configuration_keys = match resource_type {
        TOPIC if random.one_in(2) => None,
        _ => Some(vec![chosen.to_owned()]),
    };
    let resource = DescribeConfigsResource { resource_type, resource_name, configuration_keys };
    let request = DescribeConfigsRequest {
        resources: vec![resource; random.choose(&[1, 1, 1, 2, 3])],
        include_synonyms: random.one_in(2),
        include_documentation: random.one_in(4),
    };
    let version = version_of(ApiKey::DescribeConfigs, random);
    pair.ask(version, |_| request.clone(), mask_described)?;
    Ok(())
}

fn mask_described(response: &mut DescribeConfigsResponse) {
    for result in &mut response.results {
        mask_text(&mut result.error_message);
        // Flumen's own topic setting, which Kafka cannot have.
        result.configs.retain(|config| config.name != "durability");
        result.configs.sort_by(|a, b| a.name.cmp(&b.name));
        for config in &mut result.configs {
            mask_text(&mut config.documentation);
            match config.name.as_str() {
                // Flumen bounds what a batch may unpack to by default; Kafka does not.
                "max.decompressed.message.bytes" => {
                    config.value = None;
                    for synonym in &mut config.synonyms {
                        synonym.value = None;
                    }
                }
                // Kafka writes it down as a cluster's default when it formats its disk, Flumen
                // derives it from the number of replicas.
                "min.insync.replicas" => {
                    config.config_source = 0;
                    config.synonyms.clear();
                }
                _ => {}
            }
        }
    }
}

pub(super) fn alter_configs(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let (resource_type, resource_name) = changeable(random);
    let (name, value) = setting(random);
    let request = alter::AlterConfigsRequest {
        resources: vec![alter::AlterConfigsResource {
            resource_type,
            resource_name,
            // Replaces all settings, so it has to say again what the scene rests on.
            configs: [(KEEP.0, Some(KEEP.1.to_owned())), (name, value)]
                .map(|(name, value)| alter::AlterableConfig { name: name.to_owned(), value })
                .to_vec(),
        }],
        validate_only: random.one_in(2),
    };
    let version = version_of(ApiKey::AlterConfigs, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            for resource in &mut response.responses {
                mask_text(&mut resource.error_message);
            }
        },
    )?;
    Ok(())
}

pub(super) fn incremental_alter_configs(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let (resource_type, resource_name) = changeable(random);
    let configs = (0..random.choose(&[1, 1, 2]))
        .map(|_| {
            let (name, value) = setting(random);
            incremental::AlterableConfig {
                name: name.to_owned(),
                config_operation: random.choose(&[0, 0, 1, 2, 3, 9]),
                value,
            }
        })
        .collect();
    let request = incremental::IncrementalAlterConfigsRequest {
        resources: vec![incremental::AlterConfigsResource {
            resource_type,
            resource_name,
            configs,
        }],
        validate_only: random.one_in(2),
    };
    let version = version_of(ApiKey::IncrementalAlterConfigs, random);
    let operations = request.resources.iter().flat_map(|resource| &resource.configs);
    let is_known = operations.clone().all(|config| (0..=3).contains(&config.config_operation));
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            for resource in &mut response.responses {
                mask_text(&mut resource.error_message);
                // Kafka trips over an operation it does not know and says UNKNOWN_SERVER_ERROR
                // without words; Flumen says what is wrong.
                if !is_known && resource.error_code != 0 {
                    resource.error_code = -1;
                    resource.error_message = None;
                }
            }
        },
    )?;
    Ok(())
}

/// A topic, since a change of a broker's settings would change how it answers everything else.
fn changeable(random: &mut Random) -> (i8, String) {
    (TOPIC, random.choose(&["three", "three", "missing", "", "bad/name"]).to_owned())
}

/// Settings that change nothing another operation looks at, right and wrong.
fn setting(random: &mut Random) -> (&'static str, Option<String>) {
    let (name, value) = random.choose(&[
        ("flush.ms", Some("1000")),
        ("flush.ms", Some("-5")),
        ("flush.ms", Some("soon")),
        ("flush.ms", None),
        ("segment.jitter.ms", Some("10")),
        ("segment.bytes", Some("1")),
        ("cleanup.policy", Some("delete")),
        ("cleanup.policy", Some("shred")),
        ("retention.bytes", Some("1000000000")),
        ("no.such.config", Some("1")),
        ("leader.replication.throttled.replicas", Some("0:1")),
        ("leader.replication.throttled.replicas", Some("zero:1")),
    ]);
    (name, value.map(ToOwned::to_owned))
}

pub(super) fn list_config_resources(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = ListConfigResourcesRequest {
        resource_types: random.choose(&[vec![TOPIC], vec![BROKER], vec![GROUP], vec![99], vec![]]),
    };
    let version = version_of(ApiKey::ListConfigResources, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            response.config_resources.sort_by(|a, b| {
                (a.resource_type, &a.resource_name).cmp(&(b.resource_type, &b.resource_name))
            });
        },
    )?;
    Ok(())
}
