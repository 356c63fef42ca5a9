//! A broker that goes away and comes back costs a group nothing but time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../producer/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use flumen_client::Client;
use flumen_client::admin::NewTopic;
use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset};
use flumen_producer::{Producer, ProducerConfig, Record};
use support::Node;

const COUNT: u32 = 3000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_where_it_was() {
    let mut node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("surviving", 3)).await.unwrap();
    let producer = Producer::new(&client, ProducerConfig::default()).unwrap();
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        heartbeat_interval: Duration::from_millis(200),
        session_timeout: Duration::from_secs(20),
        ..ConsumerConfig::group("survivors")
    };
    let mut consumer = Consumer::new(&client, config).unwrap();
    consumer.subscribe(["surviving"]).unwrap();

    let mut seen = Vec::new();
    for part in 0..3 {
        for number in part * COUNT / 3..(part + 1) * COUNT / 3 {
            let record = Record::new("surviving", number.to_string()).key(number.to_string());
            drop(producer.enqueue(record).await.unwrap());
        }
        if part > 0 {
            node.restart().await;
        }
        let expected = usize::try_from((part + 1) * COUNT / 3).unwrap();
        let reading = async {
            while seen.len() < expected {
                let record = consumer.recv().await.unwrap();
                let text = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                seen.push(text.parse::<u32>().unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the group goes on in time");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..COUNT).collect::<Vec<u32>>(), "each record once");
    consumer.close().await;
    let committed = client.admin().committed_offsets("survivors").await.unwrap();
    assert_eq!(committed.values().map(|commit| commit.offset).sum::<i64>(), i64::from(COUNT));
    node.stop().await;
}
