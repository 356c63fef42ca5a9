//! A broker that goes away and comes back costs a producer nothing but time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use flumen_client::admin::{Isolation, NewTopic, OffsetSpec};
use flumen_client::{Client, TopicPartition};
use flumen_producer::{Producer, ProducerConfig, Record};
use support::Node;

const COUNT: i64 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_reordered() {
    let mut node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("restart", 1)).await.unwrap();
    // Small batches and no lingering: many requests are under way when the broker goes.
    let config =
        ProducerConfig { batch_size: 2000, linger: Duration::ZERO, ..ProducerConfig::default() };
    let producer = Producer::new(&client, config).unwrap();

    let mut deliveries = Vec::new();
    for number in 0..COUNT {
        let record = Record::new("restart", number.to_string());
        deliveries.push(producer.enqueue(record).await.unwrap());
        if number == COUNT / 4 || number == COUNT / 2 {
            node.restart().await;
        }
    }
    for (number, delivery) in (0..COUNT).zip(deliveries) {
        // No offset means that the broker knew the batch from an earlier try.
        let offset = delivery.await.unwrap().offset;
        assert_eq!(offset.unwrap_or(number), number);
    }
    producer.close(Duration::from_secs(10)).await.unwrap();
    let partition = TopicPartition::new("restart", 0);
    let places = [(partition.clone(), OffsetSpec::Latest)].into_iter().collect();
    let mut ends = client.admin().list_offsets(places, Isolation::default()).await;
    assert_eq!(ends.remove(&partition).unwrap().unwrap().offset, Some(COUNT));
    node.stop().await;
}
