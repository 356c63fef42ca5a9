//! Members of a group share its partitions, and take over from each other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../producer/tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flumen_client::Client;
use flumen_client::admin::NewTopic;
use flumen_client::connection::BoxFuture;
use flumen_consumer::{
    Consumer, ConsumerConfig, ConsumerHandle, Error, OffsetReset, OffsetToCommit,
    RebalanceListener, TopicPartition,
};
use flumen_producer::{Producer, ProducerConfig, Record};
use flumen_protocol::ErrorCode;
use support::Node;

const PATIENCE: Duration = Duration::from_secs(40);

fn config(group: &str) -> ConsumerConfig {
    ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        heartbeat_interval: Duration::from_millis(200),
        session_timeout: Duration::from_secs(6),
        ..ConsumerConfig::group(group)
    }
}

async fn produce(client: &Client, topic: &str, numbers: std::ops::Range<u32>) {
    let producer = Producer::new(client, ProducerConfig::default()).unwrap();
    let records =
        numbers.map(|number| Record::new(topic, number.to_string()).key(number.to_string()));
    for delivered in producer.send_all(records).await {
        delivered.unwrap();
    }
    producer.close(PATIENCE).await.unwrap();
}

/// Polls all members in turn until together they satisfy `is_done`.
async fn poll_until(
    members: &mut [&mut Consumer],
    seen: &mut Vec<u32>,
    is_done: impl Fn(&[&mut Consumer], &[u32]) -> bool,
) {
    let polling = async {
        while !is_done(members, seen) {
            for member in members.iter_mut() {
                for record in member.poll_batch(Duration::from_millis(50)).await.unwrap() {
                    let text = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    seen.push(text.parse().unwrap());
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, polling).await.expect("the group gets there in time");
}

/// Says whether the members have six partitions between them, equally many each.
fn is_balanced(members: &[&mut Consumer]) -> bool {
    let assigned: Vec<_> = members.iter().map(|member| member.assignment()).collect();
    let all: BTreeSet<_> = assigned.iter().flatten().collect();
    all.len() == 6 && assigned.iter().all(|own| own.len() == 6 / members.len())
}

#[tokio::test]
async fn three_members_share_a_topic_and_two_go_on_without_the_third() {
    let node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("shared", 6)).await.unwrap();
    let member = || {
        let consumer = Consumer::new(&client, config("sharers")).unwrap();
        assert_eq!(consumer.generation(), None);
        consumer.subscribe(["shared"]).unwrap();
        consumer
    };
    let (mut first, mut second, mut third) = (member(), member(), member());
    let mut seen = Vec::new();
    let mut members = [&mut first, &mut second, &mut third];
    poll_until(&mut members, &mut seen, |members, _| is_balanced(members)).await;
    produce(&client, "shared", 0..300).await;
    poll_until(&mut members, &mut seen, |_, seen| seen.len() >= 300).await;
    assert!(members.iter().all(|member| member.generation().is_some_and(|number| number > 0)));

    let described = client.admin().describe_group("sharers").await.unwrap();
    assert_eq!((described.state.as_str(), described.members.len()), ("Stable", 3));

    third.close().await;
    let mut members = [&mut first, &mut second];
    poll_until(&mut members, &mut seen, |members, _| is_balanced(members)).await;
    produce(&client, "shared", 300..600).await;
    poll_until(&mut members, &mut seen, |_, seen| seen.len() >= 600).await;

    seen.sort_unstable();
    assert_eq!(seen, (0..600).collect::<Vec<u32>>(), "each record once");
    first.close().await;
    second.close().await;
    let committed = client.admin().committed_offsets("sharers").await.unwrap();
    assert_eq!(committed.values().map(|commit| commit.offset).sum::<i64>(), 600);
    node.stop().await;
}

#[derive(Debug, Default)]
struct Diary {
    entries: Mutex<Vec<(&'static str, usize)>>,
}

impl RebalanceListener for Diary {
    fn assigned<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.entries.lock().unwrap().push(("assigned", partitions.len()));
            for partition in partitions {
                consumer.seek(partition, 5).unwrap();
            }
        })
    }

    fn revoked<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            consumer.commit().await.unwrap();
            self.entries.lock().unwrap().push(("revoked", partitions.len()));
        })
    }
}

#[tokio::test]
async fn a_listener_can_seek_and_commit() {
    let node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("listened", 1)).await.unwrap();
    produce(&client, "listened", 0..10).await;
    let diary = Arc::new(Diary::default());
    let config = ConsumerConfig { auto_commit: false, ..config("listeners") };
    let mut consumer = Consumer::new(&client, config).unwrap();
    consumer.subscribe_with(["listened"], Arc::clone(&diary) as Arc<_>).unwrap();
    for offset in 5..8 {
        let record = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset, offset);
    }
    consumer.close().await;
    assert_eq!(*diary.entries.lock().unwrap(), [("assigned", 1), ("revoked", 1)]);
    let committed = client.admin().committed_offsets("listeners").await.unwrap();
    assert_eq!(committed[&TopicPartition::new("listened", 0)].offset, 8);
    node.stop().await;
}

/// Who was put out of the group does not know who has read on since, even if nobody is there any more.
#[tokio::test]
async fn who_is_no_member_commits_nothing() {
    let node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("left", 1)).await.unwrap();
    let offsets = BTreeMap::from([(TopicPartition::new("left", 0), OffsetToCommit::new(5))]);
    let subscribed = Consumer::new(&client, config("leavers")).unwrap();
    subscribed.subscribe(["left"]).unwrap();
    let refused = subscribed.commit_offsets(&offsets).await.unwrap_err();
    assert!(matches!(refused, Error::Commit { code: ErrorCode::UnknownMemberId, .. }), "{refused}");
    assert!(client.admin().committed_offsets("leavers").await.unwrap().is_empty());

    let assigned = Consumer::new(&client, config("loners")).unwrap();
    assigned.assign([TopicPartition::new("left", 0)]).unwrap();
    assigned.commit_offsets(&offsets).await.unwrap();
    assert_eq!(client.admin().committed_offsets("loners").await.unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn a_member_that_dies_is_replaced_where_it_committed() {
    let node = Node::start().await;
    let client = Client::builder(&node.bootstrap()).connect().await.unwrap();
    client.admin().create_topic(&NewTopic::new("mortal", 6)).await.unwrap();
    produce(&client, "mortal", 0..60).await;
    let config = ConsumerConfig { auto_commit: false, ..config("mortals") };
    let mut first = Consumer::new(&client, config.clone()).unwrap();
    first.subscribe(["mortal"]).unwrap();
    let mut seen = Vec::new();
    poll_until(&mut [&mut first], &mut seen, |_, seen| seen.len() >= 30).await;
    first.commit().await.unwrap();
    let committed: BTreeMap<_, _> = client.admin().committed_offsets("mortals").await.unwrap();
    let count = committed.values().map(|commit| commit.offset).sum::<i64>();
    assert_eq!(usize::try_from(count).unwrap(), seen.len());
    drop(first);

    let mut second = Consumer::new(&client, config).unwrap();
    second.subscribe(["mortal"]).unwrap();
    poll_until(&mut [&mut second], &mut seen, |_, seen| seen.len() >= 60).await;
    seen.sort_unstable();
    assert_eq!(seen, (0..60).collect::<Vec<u32>>(), "nothing again, nothing left out");
    second.close().await;
    node.stop().await;
}
