//! `flumen bench latency`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use flumen_client::connection::Seams;
use flumen_client::{Client, TopicPartition};
use flumen_consumer::{Consumer, ConsumerConfig};
use flumen_producer::{Producer, ProducerConfig, Record};
use tokio::sync::mpsc;

use super::figures::{Figures, Times};
use super::payload::Payload;
use super::produce::{count, pace};
use super::{TOPIC, ensure_topic};
use crate::cluster_flags::CommonFlags;

/// How long a record may take to come out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Records whose times are not counted: connections open, caches fill.
const WARM_UP: u64 = 50;

/// Records under way at most; behind them the next ones wait, which counts as their time.
const OUTSTANDING_MAX: usize = 100_000;

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
    /// Records per second, whether or not earlier ones have come out [default: one after the other]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
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

    let mut ends = Ends {
        payload: Payload::new(arguments.size, &*client.seams().rng),
        topic: &arguments.topic,
        client: &client,
        producer: &producer,
        consumer: &mut consumer,
    };
    ends.one_by_one(WARM_UP).await?;
    let clock = &client.seams().clock;
    let began = clock.monotonic();
    let (acknowledged, consumed) = match arguments.rate {
        None => ends.one_by_one(arguments.records).await?,
        Some(rate) => ends.at_rate(arguments.records, pace(rate, 1)).await?,
    };
    let took = clock.monotonic() - began;
    consumer.close().await;
    producer.close(PATIENCE).await?;
    let bytes = arguments.records * arguments.size as u64;
    let mut figures = Figures::new(arguments.records, bytes, took);
    figures.acknowledged = Some(acknowledged.summary());
    figures.consumed = Some(consumed.summary());
    figures.print(flags.output())
}

/// Both ends of the way that is measured.
struct Ends<'a> {
    payload: Payload,
    topic: &'a str,
    client: &'a Client,
    producer: &'a Producer,
    consumer: &'a mut Consumer,
}

impl Ends<'_> {
    /// Sends a record once the one before has come out. Returns the times until they were
    /// acknowledged and until they were consumed.
    async fn one_by_one(&mut self, records: u64) -> anyhow::Result<(Times, Times)> {
        let Seams { clock, .. } = self.client.seams();
        let (mut acknowledged, mut consumed) = (Times::new(), Times::new());
        for _ in 0..records {
            let record = Record::new(self.topic, self.payload.value()).partition(0);
            let sent_at = clock.monotonic();
            let sending = async {
                let delivered = self.producer.send(record).await?;
                Ok::<_, anyhow::Error>((delivered, clock.monotonic()))
            };
            let receiving = async {
                let record = receive(self.consumer).await?;
                Ok::<_, anyhow::Error>((record, clock.monotonic()))
            };
            let (sent, received) = tokio::join!(biased; sending, receiving);
            let ((delivered, acknowledged_at), (record, consumed_at)) = (sent?, received?);
            let is_same = delivered.offset.is_none_or(|offset| offset == record.offset);
            anyhow::ensure!(is_same, "somebody else produces to {} meanwhile", self.topic);
            acknowledged.record(acknowledged_at - sent_at);
            consumed.record(consumed_at - sent_at);
        }
        Ok((acknowledged, consumed))
    }

    /// Sends records when they are due. A broker that falls behind shows in the times, since they
    /// begin when a record was to be sent.
    async fn at_rate(&mut self, records: u64, pace: Duration) -> anyhow::Result<(Times, Times)> {
        let Seams { clock, .. } = self.client.seams();
        let (sent, to_acknowledge) = mpsc::channel(OUTSTANDING_MAX);
        let (due, mut to_consume) = mpsc::channel(OUTSTANDING_MAX);
        let (payload, producer, topic) = (&mut self.payload, self.producer, self.topic);
        let sending = async move {
            let began = clock.monotonic();
            let mut now = began;
            for number in 0..records {
                let due_at = began + pace * u32::try_from(number).unwrap_or(u32::MAX);
                if due_at > now {
                    tokio::time::sleep(due_at - now).await;
                    now = clock.monotonic();
                }
                // What the timer is late is not the broker's: all that is due by now begins now.
                due.send(now).await.context("receiving ended early")?;
                let record = Record::new(topic, payload.value()).partition(0);
                let delivery = producer.enqueue(record).await?;
                sent.send((now, delivery)).await.context("counting ended early")?;
            }
            Ok::<_, anyhow::Error>(())
        };
        let consumer = &mut *self.consumer;
        let receiving = async move {
            let mut times = Times::new();
            while let Some(due_at) = to_consume.recv().await {
                receive(consumer).await?;
                times.record(clock.monotonic() - due_at);
            }
            Ok::<_, anyhow::Error>(times)
        };
        let counting = count(to_acknowledge, Arc::clone(clock));
        let ((), acknowledged, consumed) = tokio::try_join!(biased; sending, counting, receiving)?;
        Ok((acknowledged.times, consumed))
    }
}

async fn receive(consumer: &mut Consumer) -> anyhow::Result<flumen_consumer::Record> {
    let record = tokio::time::timeout(PATIENCE, consumer.recv()).await;
    Ok(record.context("a record did not come out in time")??)
}
