//! `flumen bench latency`.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use flumen_client::TopicPartition;
use flumen_consumer::{Consumer, ConsumerConfig};
use flumen_producer::{Producer, ProducerConfig, Record};

use super::figures::{Figures, Times};
use super::payload::Payload;
use super::{TOPIC, ensure_topic};
use crate::cluster_flags::CommonFlags;

/// How long a record may take to come out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Records whose times are not counted: connections open, caches fill.
const WARM_UP: u64 = 50;

#[derive(Debug, Args)]
pub(crate) struct LatencyBench {
    /// The topic; it is created if it does not exist
    #[arg(long, default_value = TOPIC)]
    topic: String,
    /// How many records
    #[arg(short = 'n', long, default_value_t = 2_000)]
    records: u64,
    /// The bytes of each value
    #[arg(long, default_value_t = 100)]
    size: usize,
}

pub(crate) async fn run(arguments: &LatencyBench, flags: &CommonFlags) -> anyhow::Result<()> {
    let client = flags.connect().await?;
    ensure_topic(&client, &arguments.topic, 1).await?;
    let mut config = ProducerConfig::from_properties(&flags.properties()?)?;
    config.linger = Duration::ZERO;
    let producer = Producer::new(&client, config)?;
    let mut consumer =
        Consumer::new(&client, ConsumerConfig::from_properties(&flags.properties()?)?)?;
    let partition = TopicPartition::new(arguments.topic.as_str(), 0);
    consumer.assign([partition])?;
    consumer.seek_to_end().await?;

    let seams = client.seams();
    let mut payload = Payload::new(arguments.size, &*seams.rng);
    let (mut acknowledged, mut consumed) = (Times::new(), Times::new());
    let mut began = seams.clock.monotonic();
    for number in 0..WARM_UP + arguments.records {
        if number == WARM_UP {
            began = seams.clock.monotonic();
        }
        let record = Record::new(&arguments.topic, payload.value()).partition(0);
        let sent_at = seams.clock.monotonic();
        let sending = async {
            let delivered = producer.send(record).await?;
            Ok::<_, anyhow::Error>((delivered, seams.clock.monotonic()))
        };
        let receiving = async {
            let record = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            let record = record.context("a record did not come out in time")??;
            Ok::<_, anyhow::Error>((record, seams.clock.monotonic()))
        };
        let (sent, received) = tokio::join!(biased; sending, receiving);
        let ((delivered, acknowledged_at), (record, consumed_at)) = (sent?, received?);
        let is_same = delivered.offset.is_none_or(|offset| offset == record.offset);
        anyhow::ensure!(is_same, "somebody else produces to {} meanwhile", arguments.topic);
        if number >= WARM_UP {
            acknowledged.record(acknowledged_at - sent_at);
            consumed.record(consumed_at - sent_at);
        }
    }
    let took = seams.clock.monotonic() - began;
    consumer.close().await;
    producer.close(PATIENCE).await?;
    let bytes = arguments.records * arguments.size as u64;
    let mut figures = Figures::new(arguments.records, bytes, took);
    figures.acknowledged = Some(acknowledged.summary());
    figures.consumed = Some(consumed.summary());
    figures.print(flags.output())
}
