//! A consumer reads the partitions it chose, from where it was told to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../producer/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use flumen_client::Client;
use flumen_client::admin::NewTopic;
use flumen_consumer::{
    Consumer, ConsumerConfig, Error, OffsetReset, OffsetToCommit, TopicPartition,
};
use flumen_producer::{Compression, Producer, ProducerConfig, Record};
use futures_util::StreamExt;
use support::Node;

const PATIENCE: Duration = Duration::from_secs(20);

/// A client, and a topic of one partition whose record n has value n and time 1000 n.
async fn filled(node: &Node, topic: &str, count: i64, compression: Compression) -> Client {
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new(topic, 1)).await.unwrap();
    let config = ProducerConfig {
        compression: compression.into(),
        // Several batches, so that places lie inside of batches and between them.
        batch_size: 1000,
        ..ProducerConfig::default()
    };
    let producer = Producer::new(&client, config).unwrap();
    let records = (0..count).map(|number| {
        let record = Record::new(topic, number.to_string()).header("number", number.to_string());
        record.timestamp(number * 1000)
    });
    for delivered in producer.send_all(records).await {
        delivered.unwrap();
    }
    client
}

fn reader(client: &Client, topic: &str, reset: OffsetReset) -> Consumer {
    let config = ConsumerConfig { auto_offset_reset: reset, ..ConsumerConfig::default() };
    let consumer = Consumer::new(client, config).unwrap();
    consumer.assign([TopicPartition::new(topic, 0)]).unwrap();
    consumer
}

async fn next_offset(consumer: &mut Consumer) -> i64 {
    tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap().offset
}

#[tokio::test]
async fn records_come_back_as_they_were_sent_with_every_codec() {
    let node = Node::start().await;
    for compression in Compression::ALL {
        let topic = format!("codec-{compression}");
        let client = filled(&node, &topic, 300, compression).await;
        let mut consumer = reader(&client, &topic, OffsetReset::Earliest);
        for number in 0..300i64 {
            let record = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
            assert_eq!((record.offset, record.timestamp), (number, number * 1000));
            assert_eq!(record.value.as_deref(), Some(number.to_string().as_bytes()));
            assert_eq!(&record.headers[0].key[..], b"number");
        }
        consumer.close().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn seeking_goes_to_offsets_times_and_both_ends() {
    let node = Node::start().await;
    let client = filled(&node, "seeking", 500, Compression::Lz4).await;
    let partition = TopicPartition::new("seeking", 0);
    let mut consumer = reader(&client, "seeking", OffsetReset::Earliest);
    assert_eq!(next_offset(&mut consumer).await, 0);

    consumer.seek(&partition, 333).unwrap();
    assert_eq!(next_offset(&mut consumer).await, 333);
    assert_eq!(consumer.position(&partition), Some(334));

    consumer.seek_to_time(41_500).await.unwrap();
    assert_eq!(next_offset(&mut consumer).await, 42);

    consumer.seek_to_beginning().await.unwrap();
    assert_eq!(next_offset(&mut consumer).await, 0);

    consumer.seek_to_end().await.unwrap();
    assert_eq!(consumer.position(&partition), Some(500));
    consumer.seek_to_time(1_000_000_000).await.unwrap();
    assert_eq!(consumer.position(&partition), Some(500), "later than the last record is the end");
    assert!(consumer.poll_batch(Duration::from_millis(300)).await.unwrap().is_empty());

    let elsewhere = consumer.seek(&TopicPartition::new("seeking", 9), 0);
    assert!(matches!(elsewhere, Err(Error::NotAssigned { .. })));
    consumer.close().await;
    node.stop().await;
}

#[tokio::test]
async fn positions_outside_the_log_are_reset_or_reported() {
    let node = Node::start().await;
    let client = filled(&node, "outside", 10, Compression::None).await;
    let partition = TopicPartition::new("outside", 0);

    for (reset, expected) in [(OffsetReset::Earliest, 0), (OffsetReset::Latest, 10)] {
        let mut consumer = reader(&client, "outside", reset);
        consumer.seek(&partition, 5000).unwrap();
        if expected == 0 {
            assert_eq!(next_offset(&mut consumer).await, 0);
        } else {
            let reset = async {
                while consumer.position(&partition) != Some(expected) {
                    let none = consumer.poll_batch(Duration::from_millis(100)).await.unwrap();
                    assert!(none.is_empty());
                }
            };
            tokio::time::timeout(PATIENCE, reset).await.unwrap();
        }
        consumer.close().await;
    }

    let mut strict = reader(&client, "outside", OffsetReset::None);
    let unplaced = tokio::time::timeout(PATIENCE, strict.recv()).await.unwrap();
    assert!(matches!(unplaced, Err(Error::NoOffset { .. })));
    strict.seek(&partition, 5000).unwrap();
    let outside = tokio::time::timeout(PATIENCE, strict.recv()).await.unwrap();
    assert!(matches!(outside, Err(Error::OutOfRange { offset: 5000, .. })));
    strict.seek(&partition, 7).unwrap();
    assert_eq!(next_offset(&mut strict).await, 7);
    strict.close().await;
    node.stop().await;
}

#[tokio::test]
async fn paused_partitions_wait_and_streams_go_on() {
    let node = Node::start().await;
    let client = filled(&node, "pausing", 100, Compression::None).await;
    let partition = TopicPartition::new("pausing", 0);
    let mut consumer = reader(&client, "pausing", OffsetReset::Earliest);
    assert_eq!(next_offset(&mut consumer).await, 0);

    consumer.pause([&partition]).unwrap();
    assert_eq!(consumer.paused(), std::slice::from_ref(&partition));
    assert!(consumer.poll_batch(Duration::from_millis(300)).await.unwrap().is_empty());
    consumer.resume([&partition]).unwrap();

    let rest: Vec<i64> =
        consumer.stream().take(99).map(|record| record.unwrap().offset).collect().await;
    assert_eq!(rest, (1..100).collect::<Vec<i64>>());
    consumer.close().await;
    node.stop().await;
}

#[tokio::test]
async fn offsets_are_committed_without_a_subscription() {
    let node = Node::start().await;
    let client = filled(&node, "committing", 10, Compression::None).await;
    let partition = TopicPartition::new("committing", 0);
    let config = ConsumerConfig {
        auto_commit: false,
        auto_offset_reset: OffsetReset::Earliest,
        ..ConsumerConfig::group("committing")
    };

    let mut first = Consumer::new(&client, config.clone()).unwrap();
    first.assign([partition.clone()]).unwrap();
    assert_eq!(next_offset(&mut first).await, 0);
    assert_eq!(next_offset(&mut first).await, 1);
    first.commit().await.unwrap();
    first.close().await;

    let mut second = Consumer::new(&client, config.clone()).unwrap();
    second.assign([partition.clone()]).unwrap();
    assert_eq!(next_offset(&mut second).await, 2);
    let commit = OffsetToCommit { offset: 7, metadata: "by hand".into(), ..Default::default() };
    second.commit_offsets(&[(partition.clone(), commit)].into_iter().collect()).await.unwrap();
    let committed = second.committed(std::slice::from_ref(&partition)).await.unwrap();
    assert_eq!(committed[&partition].offset, 7);
    assert_eq!(committed[&partition].metadata.as_deref(), Some("by hand"));
    second.close().await;

    let mut third = Consumer::new(&client, config).unwrap();
    third.assign([partition]).unwrap();
    assert_eq!(next_offset(&mut third).await, 7);
    drop(third);
    node.stop().await;
}
