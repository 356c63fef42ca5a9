//! A consumer that says where it is reads from the replica there, and from the leader when that one
//! is gone (KIP-392).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tools/tests/chaos/ports.rs"]
mod ports;

use std::time::Duration;

use flumen_broker::Broker;
use flumen_broker::config::BrokerConfig;
use flumen_client::Client;
use flumen_client::admin::NewTopic;
use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset, TopicPartition};
use flumen_producer::{Producer, ProducerConfig, Record};
use ports::free_port;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
const TOPIC: &str = "t";

/// Two brokers in racks "a" and "b", the first of which keeps the metadata.
async fn start(directories: &[TempDir; 2], listeners: &[String; 2]) -> [Broker; 2] {
    let peers = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let voters = format!("1@{}", peers[0]);
    let config = |place: usize| {
        let settings = [
            ("node.id", ["1", "2"][place]),
            ("broker.rack", ["a", "b"][place]),
            ("log.dirs", directories[place].path().to_str().unwrap()),
            ("listeners", &listeners[place]),
            ("peer.listener", &peers[place]),
            ("controller.quorum.voters", &voters),
            ("http.listener", ""),
            ("min.insync.replicas", "1"),
            ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector"),
        ];
        BrokerConfig::with(settings).unwrap()
    };
    let (first, second) = tokio::join!(Broker::start(config(0)), Broker::start(config(1)));
    [first.unwrap(), second.unwrap()]
}

/// What a broker has answered to fetches of consumers.
fn fetched_bytes(broker: &Broker) -> u64 {
    let page = broker.context().metrics.page().unwrap();
    let line =
        page.lines().find(|line| line.starts_with("flumen_response_bytes_total{api=\"Fetch\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap()
}

async fn write(producer: &Producer, count: usize) {
    let records = (0..count).map(|_| Record::new(TOPIC, vec![7; 10_000]));
    for delivered in producer.send_all(records).await {
        delivered.unwrap();
    }
}

/// Reads so many records, in order; asks the client for nothing else.
async fn read(consumer: &mut Consumer, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let record = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset, offset);
    }
}

#[tokio::test]
async fn the_replica_in_the_rack_is_read_and_the_leader_when_it_is_gone() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let listeners = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let [leader, follower] =
        start(&directories, &listeners.each_ref().map(|at| format!("PLAINTEXT://{at}"))).await;
    let client = Client::builder(&listeners.join(",")).connect().await.unwrap();
    let topic =
        NewTopic { assignments: vec![vec![1, 2]], partitions: None, ..NewTopic::new(TOPIC, 1) };
    // The second broker may not be in service yet.
    let created = async {
        while client.admin().create_topic(&topic).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, created).await.unwrap();
    let producer = Producer::new(&client, ProducerConfig::default()).unwrap();
    write(&producer, 100).await;
    // A leader names only those that it knows to have what is asked for.
    let in_sync = async {
        while client.admin().describe_topic(TOPIC).await.unwrap().partitions[0].in_sync.len() < 2 {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, in_sync).await.unwrap();

    let config = ConsumerConfig {
        client_rack: Some("b".to_owned()),
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(&client, config).unwrap();
    consumer.assign([TopicPartition::new(TOPIC, 0)]).unwrap();
    read(&mut consumer, 0..100).await;
    let (at_leader, at_follower) = (fetched_bytes(&leader), fetched_bytes(&follower));
    assert!(at_follower > 100 * 10_000, "{at_follower} bytes from the follower");
    assert!(at_leader < 10_000, "{at_leader} bytes from the leader");

    follower.shutdown().await;
    write(&producer, 50).await;
    read(&mut consumer, 100..150).await;
    assert!(fetched_bytes(&leader) > 50 * 10_000);
    leader.shutdown().await;
}
