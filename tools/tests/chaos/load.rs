//! Clients at work: producers that write to every partition all the time, a group that reads and
//! commits, and a reader of everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, TaskHandle};
use flumen_client::{Client, TopicPartition};
use flumen_consumer::{
    Consumer, ConsumerConfig, ConsumerHandle, Isolation, OffsetReset, OffsetSpec, OffsetToCommit,
    RebalanceListener, Record as Consumed,
};
use flumen_producer::{Producer, ProducerConfig, Record};
use flumen_sim::history::Written;
use flumen_sim::operations::{Poll, Polled, Progress, Send};

use crate::gaps::Gaps;
use crate::history::{History, began, committed};
use crate::other_client::{OTHER_GROUP, OtherClient};
use crate::seams::seams;

/// What is written to and read from.
pub(crate) const TOPIC: &str = "chaos";
/// How many partitions it has.
pub(crate) const PARTITIONS: i32 = 6;

const GROUP: &str = "chaos-readers";
const PRODUCERS: u32 = 2;
const MEMBERS: u32 = 2;

/// The consumer that reads everything while faults go on.
const FOLLOWER: u32 = 100;
/// The consumer that reads everything in the end.
pub(crate) const LAST_READER: u32 = 101;

/// Records that a writer gives at once; then it waits for their acknowledgements.
const BURST: u64 = 3;
/// A writer's pause after that.
const PAUSE: Duration = Duration::from_millis(10);
/// The size that records are filled up to.
const RECORD_BYTES: usize = 200;

/// How long clients wait for an answer before they take a connection for broken. The default, 30 s,
/// would be all that a run sees of a half-open connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call for records waits.
const POLL: Duration = Duration::from_millis(200);

/// How long the last records of the run may take to arrive and to be read.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that works for the run.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) history: Arc<History>,
    gaps: Arc<Gaps>,
    other: Option<OtherClient>,
    bootstrap: String,
    tasks: Vec<TaskHandle>,
}

impl Load {
    /// Begins, together with another client if a command for one is given; the topic must be there.
    pub(crate) async fn start(bootstrap: &str, other: &str) -> Self {
        let seams = seams();
        let history = Arc::<History>::default();
        let writers = usize::try_from(PARTITIONS).unwrap() * usize::try_from(PRODUCERS).unwrap();
        let gaps = Arc::new(Gaps::new(writers, seams.clock.monotonic()));
        let mut tasks = Vec::new();
        let mut writer = 0;
        for number in 0..PRODUCERS {
            let client = connect(bootstrap).await;
            let producer = Arc::new(Producer::new(&client, ProducerConfig::default()).unwrap());
            for partition in 0..PARTITIONS {
                let (history, gaps) = (Arc::clone(&history), Arc::clone(&gaps));
                let producer = Arc::clone(&producer);
                let writing = write((number, partition), producer, history, gaps, writer);
                tasks.push(seams.spawn.spawn("writer", Box::pin(writing)));
                writer += 1;
            }
        }
        for number in 0..MEMBERS {
            let client = connect(bootstrap).await;
            let reading = read_in_group(number, client, Arc::clone(&history));
            tasks.push(seams.spawn.spawn("member", Box::pin(reading)));
        }
        let client = connect(bootstrap).await;
        let following = follow(client, Arc::clone(&history));
        tasks.push(seams.spawn.spawn("follower", Box::pin(following)));
        let place = (bootstrap, TOPIC, PARTITIONS);
        let other = (!other.is_empty()).then(|| OtherClient::start(other, place, &history));
        Self { history, gaps, other, bootstrap: bootstrap.to_owned(), tasks }
    }

    /// Fails if a client has come to an end by itself.
    pub(crate) fn assert_alive(&self) {
        assert!(!self.tasks.iter().any(TaskHandle::is_finished), "a client has given up");
        let other_lives = self.other.as_ref().is_none_or(OtherClient::is_alive);
        assert!(other_lives, "the other client has given up");
    }

    /// The longest gaps since this was asked for last, ours and those of the other client.
    pub(crate) fn take_gaps(&self) -> (Duration, Option<Duration>) {
        let now = seams().clock.monotonic();
        (self.gaps.take(now), self.other.as_ref().map(|other| other.gaps.take(now)))
    }

    /// When the writer that waits longest was last told something, whosever it is.
    pub(crate) fn waits_since(&self) -> Duration {
        let others = self.other.iter().map(|other| other.gaps.oldest());
        others.fold(self.gaps.oldest(), Duration::min)
    }

    /// Ends the work and reads everything that is there.
    pub(crate) async fn finish(self) -> Arc<History> {
        self.history.end();
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("clients come to their end").unwrap();
        }
        if let Some(other) = self.other {
            other.finish(PATIENCE).await;
        }
        let reading = read_to_the_end(&self.bootstrap, &self.history);
        tokio::time::timeout(PATIENCE, reading).await.expect("everything can be read");
        self.history
    }
}

async fn connect(bootstrap: &str) -> Client {
    let builder = Client::builder(bootstrap).request_timeout(REQUEST_TIMEOUT);
    builder.connect().await.unwrap()
}

/// Writes bursts to one partition and waits for each, so that a gap shows at once.
async fn write(
    (number, partition): (u32, i32),
    producer: Arc<Producer>,
    history: Arc<History>,
    gaps: Arc<Gaps>,
    writer: usize,
) {
    let clock = &seams().clock;
    while !history.is_over() {
        let operation = history.number();
        let mut deliveries = Vec::new();
        for _ in 0..BURST {
            let value = history.number();
            let text = format!("{value:.<RECORD_BYTES$}");
            let record = Record::new(TOPIC, text).partition(partition);
            deliveries.push((value, producer.enqueue(record).await));
        }
        let mut sends = Vec::new();
        for (value, delivery) in deliveries {
            let delivered = match delivery {
                Ok(delivery) => delivery.await,
                Err(error) => Err(error),
            };
            let written = match delivered {
                Ok(delivered) => {
                    gaps.acknowledged(writer, clock.monotonic());
                    Written::Acknowledged(delivered.offset)
                }
                Err(error) => {
                    history.complain("producer", &error);
                    assert!(!error.is_fatal(), "producer {number}: {error}");
                    if error.possibly_written() { Written::Unknown } else { Written::Refused }
                }
            };
            sends.push(Send { producer: number, operation, partition, value, written });
        }
        history.sent(sends);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts how often the partitions of a member change.
#[derive(Debug, Default)]
struct Placings(AtomicU64);

impl Placings {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl RebalanceListener for Placings {
    fn assigned<'a>(
        &'a self,
        _consumer: &'a ConsumerHandle,
        _partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {})
    }
}

/// Reads as a member of the group and commits what it has read.
async fn read_in_group(number: u32, client: Client, history: Arc<History>) {
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        auto_commit: false,
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_secs(1),
        ..ConsumerConfig::group(GROUP)
    };
    let placings = Arc::new(Placings::default());
    let mut consumer = Consumer::new(&client, config).unwrap();
    consumer.subscribe_with([TOPIC], Arc::clone(&placings) as _).unwrap();
    let mut begun: BTreeMap<i32, u64> = BTreeMap::new();
    while !history.is_over() {
        let before = placings.count();
        let records = match consumer.poll_batch(POLL).await {
            Ok(records) => records,
            Err(error) => {
                history.complain("member", &error);
                assert!(!error.is_fatal(), "member {number}: {error}");
                continue;
            }
        };
        let placing = placings.count();
        if placing != before {
            // Which of them came before the change cannot be told.
            continue;
        }
        history.polled(poll(number, placing, &records));
        let mut next = BTreeMap::new();
        for record in &records {
            let (partition, offset) = (record.partition.partition, record.offset);
            if begun.insert(partition, placing) != Some(placing) {
                history.progressed(GROUP, began(number, partition, offset));
            }
            next.insert(record.partition.clone(), OffsetToCommit::new(offset + 1));
        }
        match consumer.commit_offsets(&next).await {
            Ok(()) => {
                for (TopicPartition { partition, .. }, commit) in next {
                    history.progressed(GROUP, committed(number, partition, commit.offset));
                }
            }
            Err(error) => history.complain("commit", &error),
        }
    }
    consumer.close().await;
}

/// Reads all partitions while faults go on.
async fn follow(client: Client, history: Arc<History>) {
    let mut consumer = reader_of_all(&client);
    while !history.is_over() {
        match consumer.poll_batch(POLL).await {
            Ok(records) => history.polled(poll(FOLLOWER, 1, &records)),
            Err(error) => {
                history.complain("follower", &error);
                assert!(!error.is_fatal(), "follower: {error}");
            }
        }
    }
    consumer.close().await;
}

/// Reads everything up to the ends as they are now, and looks up how far the group is.
///
/// Brokers may answer late even now; only how long all of it takes is bounded, by the caller.
async fn read_to_the_end(bootstrap: &str, history: &History) {
    let client = connect(bootstrap).await;
    let mut missing = ends(&client, history).await;
    missing.retain(|_, end| *end > 0);
    let mut consumer = reader_of_all(&client);
    while !missing.is_empty() {
        let records = match consumer.poll_batch(POLL).await {
            Ok(records) => records,
            Err(error) => {
                history.complain("last reader", &error);
                assert!(!error.is_fatal(), "last reader: {error}");
                continue;
            }
        };
        for record in &records {
            if missing.get(&record.partition).is_some_and(|end| record.offset + 1 >= *end) {
                missing.remove(&record.partition);
            }
        }
        history.polled(poll(LAST_READER, 1, &records));
    }
    consumer.close().await;
    for group in [GROUP, OTHER_GROUP] {
        let committed = committed_offsets(&client, group, history).await;
        for partition in partitions() {
            let offset = committed.get(&partition).copied().unwrap_or_default();
            history.progressed(group, Progress::Found { partition: partition.partition, offset });
        }
    }
}

/// What a group has committed, asked for until the brokers answer.
async fn committed_offsets(
    client: &Client,
    group: &str,
    history: &History,
) -> BTreeMap<TopicPartition, i64> {
    loop {
        match client.admin().committed_offsets(group).await {
            Ok(committed) => {
                let offsets = committed.into_iter().map(|(place, commit)| (place, commit.offset));
                return offsets.collect();
            }
            Err(error) => history.complain("committed offsets", &error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where each partition ends, asked for until all have answered.
async fn ends(client: &Client, history: &History) -> BTreeMap<TopicPartition, i64> {
    let mut known = BTreeMap::new();
    loop {
        let unknown: Vec<_> = partitions().filter(|place| !known.contains_key(place)).collect();
        if unknown.is_empty() {
            return known;
        }
        let places = unknown.into_iter().map(|place| (place, OffsetSpec::Latest)).collect();
        let answers = client.admin().list_offsets(places, Isolation::ReadUncommitted).await;
        for (place, answer) in answers {
            match answer {
                Ok(end) => {
                    known.insert(place, end.offset.expect("every partition has an end"));
                }
                Err(error) => history.complain("ends", &error),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What one call gave, as it is noted.
fn poll(consumer: u32, placing: u64, records: &[Consumed]) -> Poll {
    let polled = |record: &Consumed| {
        let value = History::value_of(record.value.as_deref().unwrap_or_default());
        Polled {
            partition: record.partition.partition,
            offset: record.offset,
            value: value.unwrap_or_else(|| panic!("nobody wrote {record:?}")),
        }
    };
    Poll { consumer, placing, records: records.iter().map(polled).collect() }
}

fn reader_of_all(client: &Client) -> Consumer {
    let config =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let consumer = Consumer::new(client, config).unwrap();
    consumer.assign(partitions()).unwrap();
    consumer
}

fn partitions() -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS).map(|partition| TopicPartition::new(TOPIC, partition))
}
