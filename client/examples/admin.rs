//! A tour of the admin client: `cargo run -p flumen-client --example admin -- 127.0.0.1:9092`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;

use flumen_client::admin::{ConfigChange, ConfigResource, Isolation, NewTopic, OffsetSpec};
use flumen_client::{Client, TopicPartition};

const TOPIC: &str = "flumen-admin-example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bootstrap = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".into());
    let admin = Client::builder(&bootstrap).connect().await?.admin();

    let cluster = admin.describe_cluster().await?;
    println!("cluster {} with {} brokers", cluster.cluster_id, cluster.brokers.len());
    let quorum = admin.describe_quorum().await?;
    println!("quorum led by {} with {} voters", quorum.leader_id, quorum.voters.len());

    let created = admin.create_topic(&NewTopic::new(TOPIC, 2)).await?;
    println!("created {TOPIC} with id {}", created.id);
    admin.add_partitions(TOPIC, 3).await?;
    println!("{TOPIC} has {} partitions", admin.describe_topic(TOPIC).await?.partitions.len());

    let resource = ConfigResource::Topic(TOPIC.into());
    admin.alter_configs(&resource, &[ConfigChange::set("retention.ms", "60000")], false).await?;
    let configs = admin.describe_configs(&resource).await?;
    println!("retention.ms is {:?}", configs["retention.ms"].value);

    let ends = (0..3).map(|index| (TopicPartition::new(TOPIC, index), OffsetSpec::Latest));
    for (partition, end) in admin.list_offsets(ends.collect(), Isolation::default()).await {
        println!("{partition} ends at {:?}", end?.offset);
    }
    let before = BTreeMap::from([(TopicPartition::new(TOPIC, 0), -1)]);
    for (partition, start) in admin.delete_records(before).await {
        println!("{partition} now begins at {}", start?);
    }
    for broker in &cluster.brokers {
        for dir in admin.describe_log_dirs(broker.id).await? {
            println!("broker {}: {} with {} replicas", broker.id, dir.path, dir.replicas.len());
        }
    }
    for group in admin.list_groups().await? {
        let members = admin.describe_group(&group.group).await?.members.len();
        let offsets = admin.committed_offsets(&group.group).await?.len();
        println!("group {} ({}): {members} members, {offsets} offsets", group.group, group.state);
    }
    admin.delete_topic(TOPIC).await?;
    println!("deleted {TOPIC}");
    Ok(())
}
