//! `flumen bench produce`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use flumen_client::Client;
use flumen_client::connection::Clock;
use flumen_producer::{Compression, Delivery, Producer, ProducerConfig, Record};
use tokio::sync::{mpsc, oneshot};

use super::figures::{Figures, Times};
use super::payload::Payload;
use super::{TOPIC, ensure_topic};
use crate::cluster_flags::CommonFlags;
use crate::commands::produce::{AcksFlag, compression, set_acks};

/// Records that wait for their acknowledgement at most.
const OUTSTANDING_MAX: usize = 100_000;

/// How long the last records may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct ProduceBench {
    /// The topic; it is created if it does not exist
    #[arg(long, default_value = TOPIC)]
    topic: String,
    /// The partitions of a topic that is created
    #[arg(long, default_value_t = 3)]
    partitions: i32,
    /// How many records
    #[arg(short = 'n', long, default_value_t = 1_000_000)]
    records: u64,
    /// The bytes of each value
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// How many producers, each with its own connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    producers: u64,
    /// Records per second over all producers [default: as many as possible]
    #[arg(long)]
    rate: Option<u64>,
    /// Stop after this many seconds, if the records are not all sent by then
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// How to compress
    #[arg(short = 'z', long, value_name = "CODEC", value_parser = compression)]
    compression: Option<Compression>,
    /// Whose word to wait for
    #[arg(long, value_enum)]
    acks: Option<AcksFlag>,
    /// A property of the producer, such as linger.ms=0; may be given again
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE, as in linger.ms=0".to_owned()),
    }
}

pub(crate) async fn run(arguments: &ProduceBench, flags: &CommonFlags) -> anyhow::Result<()> {
    let client = flags.connect().await?;
    ensure_topic(&client, &arguments.topic, arguments.partitions).await?;
    let mut properties = flags.properties()?;
    if let Some(acks) = arguments.acks {
        set_acks(&mut properties, acks);
    }
    if let Some(compression) = arguments.compression {
        properties.set("compression.type", compression.name());
    }
    for (name, value) in &arguments.properties {
        properties.set(name, value);
    }
    let config = ProducerConfig::from_properties(&properties)?;

    let clock = &client.seams().clock;
    let began = clock.monotonic();
    let shares = (0..arguments.producers).map(|index| {
        // The first producers take what cannot be shared out evenly.
        let extra = u64::from(index < arguments.records % arguments.producers);
        arguments.records / arguments.producers + extra
    });
    let loads = shares.map(|records| {
        let load = Load {
            client: client.clone(),
            topic: arguments.topic.clone(),
            size: arguments.size,
            records,
            pace: arguments.rate.map(|rate| pace(rate, arguments.producers)),
            ends: arguments.duration.map(|seconds| began + Duration::from_secs(seconds)),
        };
        load.run(config.clone())
    });
    let tasks: Vec<_> = loads.map(|load| spawn(&client, load)).collect();
    let mut times = Times::new();
    let mut records = 0;
    for task in tasks {
        let outcome = task.await.context("a producer's task ended early")??;
        records += outcome.records;
        times.add(&outcome.times);
    }
    let took = clock.monotonic() - began;
    let mut figures = Figures::new(records, records * arguments.size as u64, took);
    figures.acknowledged = Some(times.summary());
    figures.print(flags.output())
}

/// Runs a load as a task of its own.
fn spawn(
    client: &Client,
    load: impl Future<Output = anyhow::Result<Outcome>> + Send + 'static,
) -> oneshot::Receiver<anyhow::Result<Outcome>> {
    let (done, outcome) = oneshot::channel();
    let task = async move {
        // Nobody listens only if the run was given up.
        drop(done.send(load.await));
    };
    drop(client.seams().spawn.spawn("bench", Box::pin(task)));
    outcome
}

/// The time between two records of one producer.
pub(super) fn pace(rate: u64, producers: u64) -> Duration {
    let rate = u32::try_from(rate).unwrap_or(u32::MAX).max(1);
    Duration::from_secs(producers) / rate
}

/// What one producer has to do.
struct Load {
    client: Client,
    topic: String,
    size: usize,
    records: u64,
    pace: Option<Duration>,
    ends: Option<Duration>,
}

/// What one producer did.
pub(super) struct Outcome {
    records: u64,
    pub(super) times: Times,
}

impl Load {
    async fn run(self, config: ProducerConfig) -> anyhow::Result<Outcome> {
        let seams = self.client.seams().clone();
        let producer = Producer::new(&self.client, config)?;
        let mut payload = Payload::new(self.size, &*seams.rng);
        let (sent, acknowledged) = mpsc::channel(OUTSTANDING_MAX);
        let clock = Arc::clone(&seams.clock);
        let counting = spawn(&self.client, count(acknowledged, Arc::clone(&clock)));
        let began = clock.monotonic();
        for number in 0..self.records {
            let now = clock.monotonic();
            if self.ends.is_some_and(|ends| now >= ends) {
                break;
            }
            if let Some(pace) = self.pace {
                // Behind the plan it catches up, so that a slow broker shows in the times.
                let due = began + pace * u32::try_from(number).unwrap_or(u32::MAX);
                if due > now {
                    tokio::time::sleep(due - now).await;
                }
            }
            let at = clock.monotonic();
            let delivery = producer.enqueue(Record::new(&self.topic, payload.value())).await?;
            if sent.send((at, delivery)).await.is_err() {
                break;
            }
        }
        drop(sent);
        producer.flush().await;
        let outcome = counting.await.context("counting ended early")??;
        producer.close(CLOSE_TIMEOUT).await?;
        Ok(outcome)
    }
}

/// Waits for acknowledgements in the order of the records.
///
/// A time is thus that until a record and all before it are acknowledged.
pub(super) async fn count(
    mut acknowledged: mpsc::Receiver<(Duration, Delivery)>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome { records: 0, times: Times::new() };
    while let Some((sent_at, delivery)) = acknowledged.recv().await {
        delivery.await?;
        outcome.times.record(clock.monotonic() - sent_at);
        outcome.records += 1;
    }
    Ok(outcome)
}
