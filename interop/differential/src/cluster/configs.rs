//! Settings of one broker, asked of another.

use anyhow::Result;
use flumen_protocol::messages::alter_configs as alter;
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use flumen_protocol::messages::incremental_alter_configs as incremental;

use super::Clusters;

const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;

pub(super) fn change(clusters: &mut Clusters) -> Result<()> {
    // One that each broker may have for itself, one that must be the same for all, and one that takes
    // a restart. Kafka lets a broker be changed through itself only, which Flumen does not ask for.
    for (name, value) in
        [("message.max.bytes", "2000000"), ("min.insync.replicas", "2"), ("broker.rack", "here")]
    {
        for broker in ["1", "two"] {
            clusters.ask(1, &step(broker, name, SET, Some(value)), |_| ())?;
            clusters.ask(1, &step(broker, name, DELETE, None), |_| ())?;
            clusters.ask(2, &whole(broker, &[(name, value)]), |_| ())?;
            clusters.ask(2, &whole(broker, &[]), |_| ())?;
        }
        // Not taken back: to Kafka the number of replicas in sync has no default beside the one that it
        // writes down when it formats its disk.
        clusters.ask(1, &step("", name, SET, Some(value)), |_| ())?;
    }
    let of_second = step("2", "message.max.bytes", SET, Some("3000000"));
    clusters.broker(2).ask(1, |_| of_second.clone(), |_| ())?;
    let is_set = |response: &DescribeConfigsResponse| {
        let configs = response.results.iter().flat_map(|result| &result.configs);
        configs.into_iter().any(|config| config.value.as_deref() == Some("3000000"))
    };
    let request = describe("2", "message.max.bytes");
    clusters.broker(2).settle(4, &request, is_set, |_| ())?;
    for broker in 1..=3 {
        let pair = clusters.broker(broker);
        for asked in ["1", "2", ""] {
            pair.ask(4, |_| describe(asked, "message.max.bytes"), |_| ())?;
        }
    }
    Ok(())
}

fn step(
    broker: &str,
    name: &str,
    operation: i8,
    value: Option<&str>,
) -> incremental::IncrementalAlterConfigsRequest {
    let config = incremental::AlterableConfig {
        name: name.to_owned(),
        config_operation: operation,
        value: value.map(str::to_owned),
    };
    incremental::IncrementalAlterConfigsRequest {
        resources: vec![incremental::AlterConfigsResource {
            resource_type: BROKER,
            resource_name: broker.to_owned(),
            configs: vec![config],
        }],
        validate_only: false,
    }
}

fn whole(broker: &str, configs: &[(&str, &str)]) -> alter::AlterConfigsRequest {
    let config = |(name, value): &(&str, &str)| alter::AlterableConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    alter::AlterConfigsRequest {
        resources: vec![alter::AlterConfigsResource {
            resource_type: BROKER,
            resource_name: broker.to_owned(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    }
}

fn describe(broker: &str, name: &str) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: BROKER,
            resource_name: broker.to_owned(),
            configuration_keys: Some(vec![name.to_owned()]),
        }],
        include_synonyms: true,
        include_documentation: false,
    }
}
