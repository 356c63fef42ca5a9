//! The broker is killed under load, twenty times in a row.
//!
//! What a producer was told is written stays, at its offset, once, and in order; a group goes on
//! where its last acknowledged commit was. kill -9 leaves the page cache, so this does not show that
//! syncs reach the disk: the simulated disk does that. It shows recovery, and clients going on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flumen_client::admin::{Isolation, NewTopic, OffsetSpec};
use flumen_client::{Client, TopicPartition};
use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset};
use flumen_producer::{Delivered, Delivery, Producer, ProducerConfig, Record};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::broker_process::BrokerProcess;
use crate::ports::free_port;

const KILLS: u64 = 20;
const TOPIC: &str = "crashed";
const GROUP: &str = "crash-readers";
const PARTITIONS: i32 = 3;

/// Acknowledgements between two kills, so that each finds the broker at work.
const ACKNOWLEDGED_BETWEEN: u64 = 2_000;

/// Records that the group takes between two kills.
const TAKEN_BETWEEN: usize = 300;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn twenty_kills_lose_double_and_reorder_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(story());
}

async fn story() {
    let data = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut broker = BrokerProcess::start_on(data.path(), port, &[]);
    let bootstrap = broker.bootstrap();
    let client = Client::builder(&bootstrap).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new(TOPIC, PARTITIONS)).await.unwrap();

    let load = Load::start(&client);
    let mut committed = BTreeMap::new();
    for _ in 0..KILLS {
        load.wait_for(load.acknowledged() + ACKNOWLEDGED_BETWEEN).await;
        take(&client, &mut committed).await;
        broker.kill();
        broker = BrokerProcess::start_on(data.path(), port, &[]);
    }
    load.wait_for(load.acknowledged() + ACKNOWLEDGED_BETWEEN).await;
    let delivered = load.stop().await;
    take(&client, &mut committed).await;
    check(&delivered, &read_all(&client).await);
    assert_eq!(broker.stop(), Some(0));
}

/// A member of the group takes some records, which must begin where the last one committed, and
/// commits them.
async fn take(client: &Client, committed: &mut BTreeMap<TopicPartition, i64>) {
    let mut config = ConsumerConfig::group(GROUP);
    config.auto_offset_reset = OffsetReset::Earliest;
    config.auto_commit = false;
    let mut consumer = Consumer::new(client, config).unwrap();
    consumer.subscribe([TOPIC]).unwrap();
    for _ in 0..TAKEN_BETWEEN {
        let record = timeout(PATIENCE, consumer.recv()).await.expect("records come").unwrap();
        let expected = committed.insert(record.partition.clone(), record.offset + 1).unwrap_or(0);
        assert_eq!(record.offset, expected, "{}", record.partition);
    }
    timeout(PATIENCE, consumer.commit()).await.expect("the commit ends").unwrap();
    consumer.close().await;
}

/// Every record by partition: its offset and number.
async fn read_all(client: &Client) -> BTreeMap<i32, Vec<(i64, u64)>> {
    let partitions: Vec<_> =
        (0..PARTITIONS).map(|index| TopicPartition::new(TOPIC, index)).collect();
    let places = partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest));
    let ends = client.admin().list_offsets(places.collect(), Isolation::default()).await;
    let ends: i64 = ends.into_values().map(|end| end.unwrap().offset.unwrap()).sum();
    let mut consumer = Consumer::new(client, ConsumerConfig::default()).unwrap();
    consumer.assign(partitions).unwrap();
    consumer.seek_to_beginning().await.unwrap();
    let mut read: BTreeMap<i32, Vec<(i64, u64)>> = BTreeMap::new();
    for _ in 0..ends {
        let record = timeout(PATIENCE, consumer.recv()).await.expect("records come").unwrap();
        let number = std::str::from_utf8(&record.value.unwrap()).unwrap().parse().unwrap();
        read.entry(record.partition.partition).or_default().push((record.offset, number));
    }
    consumer.close().await;
    read
}

/// A producer that goes on and on, and what it was told.
struct Load {
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    outcome: oneshot::Receiver<Vec<(u64, Delivered)>>,
}

impl Load {
    fn start(client: &Client) -> Self {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let producer = Producer::new(client, ProducerConfig::default()).unwrap();
        let (sent, deliveries) = mpsc::channel(10_000);
        let stopping = Arc::clone(&stop);
        let sending = async move {
            for number in 0_u64.. {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                let partition = i32::try_from(number % 3).unwrap();
                let record = Record::new(TOPIC, number.to_string()).partition(partition);
                sent.send((number, producer.enqueue(record).await.unwrap())).await.unwrap();
            }
            producer.flush().await;
        };
        let counting = count(deliveries, Arc::clone(&acknowledged));
        let (done, outcome) = oneshot::channel();
        let both = async move {
            let ((), delivered) = tokio::join!(biased; sending, counting);
            let _ = done.send(delivered);
        };
        drop(client.seams().spawn.spawn("load", Box::pin(both)));
        Self { acknowledged, stop, outcome }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    async fn wait_for(&self, acknowledged: u64) {
        let enough = async {
            while self.acknowledged() < acknowledged {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, enough).await.expect("the load goes on");
    }

    async fn stop(self) -> Vec<(u64, Delivered)> {
        self.stop.store(true, Ordering::Relaxed);
        timeout(PATIENCE, self.outcome).await.expect("the last are delivered").unwrap()
    }
}

/// Takes note of every acknowledgement; the producer must get one for each record.
async fn count(
    mut deliveries: mpsc::Receiver<(u64, Delivery)>,
    counter: Arc<AtomicU64>,
) -> Vec<(u64, Delivered)> {
    let mut delivered = Vec::new();
    while let Some((number, delivery)) = deliveries.recv().await {
        let told = delivery.await.unwrap_or_else(|error| panic!("record {number}: {error}"));
        delivered.push((number, told));
        counter.fetch_add(1, Ordering::Relaxed);
    }
    delivered
}

/// Compares what the producer was told with what is there.
fn check(delivered: &[(u64, Delivered)], read: &BTreeMap<i32, Vec<(i64, u64)>>) {
    let mut expected: BTreeMap<i32, Vec<(Option<i64>, u64)>> = BTreeMap::new();
    for (number, told) in delivered {
        expected.entry(told.partition.partition).or_default().push((told.offset, *number));
    }
    assert!(expected.keys().eq(read.keys()), "{:?} were written to", expected.keys());
    for (partition, wanted) in &expected {
        let found = &read[partition];
        let doubled = found.windows(2).find(|pair| pair[0].1 >= pair[1].1);
        assert!(doubled.is_none(), "partition {partition}: doubled or reordered: {doubled:?}");
        assert_eq!(found.len(), wanted.len(), "partition {partition}: records lost or added");
        for ((told, number), (offset, value)) in wanted.iter().zip(found) {
            assert_eq!(number, value, "partition {partition} at {offset}");
            // A retry of a batch that is long written is acknowledged without its offset.
            assert!(told.is_none_or(|told| told == *offset), "partition {partition}: {told:?}");
        }
    }
}
