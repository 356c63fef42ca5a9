//! A broker that goes away and comes back costs a producer nothing but time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use flumen_client::admin::{Isolation, NewTopic, OffsetSpec};
use flumen_client::{Client, TopicPartition};
use flumen_producer::{Producer, ProducerConfig, Record};
use support::Node;

/// Records before, between and after the restarts.
const COUNT: usize = 6_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_reordered() {
    let mut node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("restart", 1)).await.unwrap();
    // Small batches and no lingering: many requests are under way when the broker goes.
    let config =
        ProducerConfig { batch_size: 2000, linger: Duration::ZERO, ..ProducerConfig::default() };
    let producer = Producer::new(&client, config).unwrap();

    let deliveries = RefCell::new(Vec::new());
    let enqueue = async || {
        let record = Record::new("restart", deliveries.borrow().len().to_string());
        let delivery = producer.enqueue(record).await.unwrap();
        deliveries.borrow_mut().push(delivery);
    };
    for _ in 0..2 {
        for _ in 0..COUNT {
            enqueue().await;
        }
        // While the broker goes and comes as well, so that it leaves some of them unanswered.
        let is_back = Cell::new(false);
        let restart = async {
            node.restart().await;
            is_back.set(true);
        };
        let meanwhile = async {
            while !is_back.get() {
                enqueue().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(restart, meanwhile);
    }
    for _ in 0..COUNT {
        enqueue().await;
    }
    let deliveries = deliveries.into_inner();
    let count = i64::try_from(deliveries.len()).unwrap();
    for (number, delivery) in (0..count).zip(deliveries) {
        // No offset means that the broker knew the batch from an earlier try.
        let offset = delivery.await.unwrap().offset;
        assert_eq!(offset.unwrap_or(number), number);
    }
    producer.close(Duration::from_secs(10)).await.unwrap();
    let partition = TopicPartition::new("restart", 0);
    let places = [(partition.clone(), OffsetSpec::Latest)].into_iter().collect();
    let mut ends = client.admin().list_offsets(places, Isolation::default()).await;
    assert_eq!(ends.remove(&partition).unwrap().unwrap().offset, Some(count));
    node.stop().await;
}
