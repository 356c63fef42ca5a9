//! Records reach the partition they belong to, in order, with every setting that changes the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use flumen_client::admin::{Isolation, NewTopic, OffsetSpec};
use flumen_client::{Client, TopicPartition};
use flumen_producer::{Acks, Compression, Error, Producer, ProducerConfig, Record};
use flumen_protocol::ErrorCode;
use support::Node;

async fn client(node: &Node, topic: &NewTopic) -> Client {
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(topic).await.unwrap();
    client
}

async fn end_offsets(client: &Client, topic: &str, partitions: i32) -> Vec<i64> {
    let places =
        (0..partitions).map(|index| (TopicPartition::new(topic, index), OffsetSpec::Latest));
    let listed = client.admin().list_offsets(places.collect(), Isolation::default()).await;
    listed.into_values().map(|listed| listed.unwrap().offset.unwrap()).collect()
}

#[tokio::test]
async fn keys_keep_their_partition_and_their_order() {
    let node = Node::start().await;
    let client = client(&node, &NewTopic::new("keys", 4)).await;
    let producer = Producer::new(&client, ProducerConfig::default()).unwrap();
    let records = (0..1000)
        .map(|number| Record::new("keys", number.to_string()).key(format!("key-{}", number % 17)));
    let results = producer.send_all(records).await;
    let mut last: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let mut of_key: BTreeMap<usize, TopicPartition> = BTreeMap::new();
    for (number, result) in results.into_iter().enumerate() {
        let delivered = result.unwrap();
        let before = last.insert(delivered.partition.clone(), delivered.offset.unwrap());
        assert!(before < delivered.offset, "offsets rise in the order of enqueueing");
        let partition = of_key.entry(number % 17).or_insert(delivered.partition.clone());
        assert_eq!(*partition, delivered.partition);
    }
    assert_eq!(end_offsets(&client, "keys", 4).await.iter().sum::<i64>(), 1000);
    producer.close(Duration::from_secs(10)).await.unwrap();
    node.stop().await;
}

#[tokio::test]
async fn every_codec_and_every_kind_of_acknowledgement_delivers() {
    let node = Node::start().await;
    let client = client(&node, &NewTopic::new("ways", 1)).await;
    let mut expected = 0;
    for compression in Compression::ALL {
        for acks in [Acks::None, Acks::Leader, Acks::All] {
            let config = ProducerConfig {
                compression: compression.into(),
                acks,
                idempotence: acks == Acks::All,
                ..ProducerConfig::default()
            };
            let producer = Producer::new(&client, config).unwrap();
            let records = (0..10).map(|_| Record::new("ways", "the same ".repeat(100)));
            for result in producer.send_all(records).await {
                let delivered = result.unwrap();
                assert_eq!(delivered.offset.is_none(), acks == Acks::None);
            }
            expected += 10;
            producer.close(Duration::from_secs(10)).await.unwrap();
        }
    }
    // What was sent with acks=0 arrives in its own time.
    let arrived = async {
        while end_offsets(&client, "ways", 1).await != [expected] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.unwrap();
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_its_reason() {
    let node = Node::start().await;
    let topic = NewTopic::new("limits", 1).config("max.message.bytes", "2000");
    let client = client(&node, &topic).await;
    let config = ProducerConfig { request_size_max: 100_000, ..ProducerConfig::default() };
    let producer = Producer::new(&client, config).unwrap();

    let too_large = producer.send(Record::new("limits", vec![0; 100_001])).await;
    assert!(matches!(too_large, Err(Error::TooLarge { setting: "max.request.size", .. })));

    let refused = producer.send(Record::new("limits", vec![0; 5000])).await.unwrap_err();
    assert_eq!(refused.kafka_code(), Some(ErrorCode::MessageTooLarge));
    assert!(!refused.possibly_written());

    let no_such_partition = producer.enqueue(Record::new("limits", "x").partition(7)).await;
    assert!(no_such_partition.unwrap_err().to_string().contains("only 0 to 0"));

    // Together too large for the topic, each small enough: the batch is halved until it fits.
    let results = producer.send_all((0..50).map(|_| Record::new("limits", vec![1; 500]))).await;
    let offsets: Vec<i64> =
        results.into_iter().map(|result| result.unwrap().offset.unwrap()).collect();
    assert_eq!(offsets, (0..50).collect::<Vec<i64>>());
    node.stop().await;
}

#[tokio::test]
async fn a_full_buffer_holds_back() {
    let node = Node::start().await;
    let client = client(&node, &NewTopic::new("full", 1)).await;
    // The client knows the topic from here on: what blocks is the buffer alone.
    assert_eq!(end_offsets(&client, "full", 1).await, [0]);
    let config = ProducerConfig {
        buffer_memory: 10_000,
        linger: Duration::from_secs(60),
        block_max: Duration::from_secs(1),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(&client, config).unwrap();
    let first = producer.enqueue(Record::new("full", vec![0; 6000])).await.unwrap();
    let full = producer.try_enqueue(Record::new("full", vec![0; 6000]));
    assert!(matches!(full, Err(Error::Full { limit: 10_000 })));
    let blocked = producer.enqueue(Record::new("full", vec![0; 6000])).await;
    assert!(matches!(blocked, Err(Error::Blocked { .. })));
    producer.flush().await;
    assert_eq!(first.await.unwrap().offset, Some(0));
    drop(producer.try_enqueue(Record::new("full", vec![0; 6000])).unwrap());
    producer.close(Duration::from_secs(10)).await.unwrap();
    assert_eq!(end_offsets(&client, "full", 1).await, [2]);
    node.stop().await;
}
