//! `flumen bench consume`.

use std::time::Duration;

use clap::Args;
use flumen_client::TopicPartition;
use flumen_consumer::{Consumer, ConsumerConfig};

use super::TOPIC;
use super::figures::Figures;
use crate::cluster_flags::CommonFlags;

/// Without a record for this long the topic has been read to its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Records taken at once.
const POLL_RECORDS_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct ConsumeBench {
    /// The topic
    #[arg(long, default_value = TOPIC)]
    topic: String,
    /// How many records, if there are as many
    #[arg(short = 'n', long, default_value_t = 1_000_000)]
    records: u64,
}

pub(crate) async fn run(arguments: &ConsumeBench, flags: &CommonFlags) -> anyhow::Result<()> {
    let client = flags.connect().await?;
    let topic = client.topic(&arguments.topic).await?;
    let mut config = ConsumerConfig::from_properties(&flags.properties()?)?;
    config.max_poll_records = POLL_RECORDS_MAX;
    let mut consumer = Consumer::new(&client, config)?;
    let clock = &client.seams().clock;
    let began = clock.monotonic();
    let indexes = topic.partitions.iter().map(|partition| partition.index);
    consumer.assign(indexes.map(|index| TopicPartition::new(topic.name.clone(), index)))?;
    consumer.seek_to_beginning().await?;
    let (mut records, mut bytes) = (0, 0);
    let mut ended = began;
    while records < arguments.records {
        let polled = consumer.poll_batch(PATIENCE).await?;
        if polled.is_empty() {
            break;
        }
        for record in &polled {
            let size = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
            bytes += (size(&record.key) + size(&record.value)) as u64;
        }
        records += polled.len() as u64;
        ended = clock.monotonic();
    }
    consumer.close().await;
    anyhow::ensure!(records > 0, "{} is empty; `flumen bench produce` fills it", arguments.topic);
    Figures::new(records, bytes, ended - began).print(flags.output())
}
