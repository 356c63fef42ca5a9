//! A well-behaved client that works on while others do not behave: an idempotent producer and a
//! member of a group. Every record has to arrive once and in order; how long each took is noted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flumen_client::admin::NewTopic;
use flumen_client::{Client, TopicPartition};
use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset};
use flumen_producer::{Producer, ProducerConfig, Record};
use tokio::time::timeout;

const TOPIC: &str = "undisturbed-records";
const GROUP: &str = "undisturbed-readers";
const PARTITIONS: u64 = 3;

/// How long one record may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client is told to do, and how far it is.
#[derive(Debug, Default)]
struct Progress {
    stop: AtomicBool,
    consumed: AtomicU64,
}

/// The client at work, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Undisturbed {
    progress: Arc<Progress>,
    thread: JoinHandle<Vec<Duration>>,
}

/// How long records took from the program to the acknowledgement.
#[derive(Debug)]
pub(crate) struct Latency {
    pub(crate) count: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Undisturbed {
    /// Creates the topic and begins; returns when the first record has gone all the way.
    pub(crate) fn start(bootstrap: &str) -> Self {
        let progress = Arc::<Progress>::default();
        let (bootstrap, told) = (bootstrap.to_owned(), Arc::clone(&progress));
        let work = move || block_on(work(&bootstrap, &told));
        let thread = std::thread::Builder::new().spawn(work).unwrap();
        let client = Self { progress, thread };
        while client.consumed() == 0 {
            assert!(client.is_well(), "it did not even begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        client
    }

    /// Records that the group has had.
    pub(crate) fn consumed(&self) -> u64 {
        self.progress.consumed.load(Ordering::Relaxed)
    }

    /// Whether it goes on without complaint.
    pub(crate) fn is_well(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the work, when everything produced has been consumed as well.
    pub(crate) fn stop(self) -> Latency {
        self.progress.stop.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("the client is content");
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        Latency { count: times.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn work(bootstrap: &str, progress: &Progress) -> Vec<Duration> {
    let client = Client::builder(bootstrap).connect().await.unwrap();
    let topic = NewTopic::new(TOPIC, i32::try_from(PARTITIONS).unwrap());
    client.admin().create_topic(&topic).await.unwrap();
    let mut config = ConsumerConfig::group(GROUP);
    config.auto_offset_reset = OffsetReset::Earliest;
    let mut consumer = Consumer::new(&client, config).unwrap();
    consumer.subscribe([TOPIC]).unwrap();
    let producer_config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    let producer = Producer::new(&client, producer_config).unwrap();

    let mut times = Vec::new();
    let mut expected = BTreeMap::new();
    let mut number = 0_u64;
    while !progress.stop.load(Ordering::Relaxed) {
        let began = now();
        let partition = i32::try_from(number % PARTITIONS).unwrap();
        let record = Record::new(TOPIC, number.to_string()).partition(partition);
        let sent = timeout(PATIENCE, producer.send(record)).await;
        sent.expect("an acknowledgement comes").unwrap();
        times.push(began.elapsed());
        let record = timeout(PATIENCE, consumer.recv()).await.expect("a record comes").unwrap();
        check(&record.partition, record.offset, record.value.as_deref(), &mut expected);
        progress.consumed.fetch_add(1, Ordering::Relaxed);
        number += 1;
    }
    consumer.close().await;
    times
}

/// Each partition has every third number, without a gap and without a repetition.
fn check(
    partition: &TopicPartition,
    offset: i64,
    value: Option<&[u8]>,
    expected: &mut BTreeMap<i32, i64>,
) {
    let index = partition.partition;
    let next = expected.entry(index).or_insert(0);
    assert_eq!(offset, *next, "{partition}");
    *next += 1;
    let number = offset * i64::try_from(PARTITIONS).unwrap() + i64::from(index);
    assert_eq!(value, Some(number.to_string().as_bytes()), "{partition} at {offset}");
}

/// Reads everything from the beginning, which must be so many records.
pub(crate) fn read_back(bootstrap: &str, count: usize) {
    block_on(async {
        let client = Client::builder(bootstrap).connect().await.unwrap();
        let mut consumer = Consumer::new(&client, ConsumerConfig::default()).unwrap();
        let partitions = 0..i32::try_from(PARTITIONS).unwrap();
        consumer.assign(partitions.map(|index| TopicPartition::new(TOPIC, index))).unwrap();
        consumer.seek_to_beginning().await.unwrap();
        let mut expected = BTreeMap::new();
        for _ in 0..count {
            let record = timeout(PATIENCE, consumer.recv()).await.expect("a record comes").unwrap();
            check(&record.partition, record.offset, record.value.as_deref(), &mut expected);
        }
        consumer.close().await;
    });
}

#[expect(clippy::disallowed_methods, reason = "what a user would wait is measured")]
fn now() -> Instant {
    Instant::now()
}
