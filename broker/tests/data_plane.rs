//! Produce and Fetch over real sockets, with nothing of our own client in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::Seams;
use flumen_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use flumen_protocol::messages::fetch::FetchRequest;
use flumen_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use flumen_protocol::messages::metadata::MetadataRequest;
use flumen_protocol::messages::produce::ProduceRequest;
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches};
use flumen_protocol::{ErrorCode, Records};
use support::{Node, batch, fetch_request, outcome, produce_request};

/// The values of all records, in order.
fn values(records: Bytes) -> Vec<Bytes> {
    let mut values = Vec::new();
    for batch in Batches::new(records) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records(1 << 20).unwrap() {
            values.push(record.unwrap().value.unwrap());
        }
    }
    values
}

#[test]
fn what_is_produced_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 2, &[]);
    let mut client = node.client();
    assert_eq!(client.produce("t", 0, batch(&["a", "b"])), (ErrorCode::None, 0));
    assert_eq!(client.produce("t", 0, batch(&["c"])), (ErrorCode::None, 2));
    assert_eq!(client.produce("t", 1, batch(&["x"])), (ErrorCode::None, 0));
    let (error, high_watermark, records) = client.fetch("t", 0, 0);
    assert_eq!((error, high_watermark), (ErrorCode::None, 3));
    assert_eq!(values(records), ["a", "b", "c"]);
    let (_, _, records) = client.fetch("t", 0, 1);
    assert_eq!(values(records), ["a", "b", "c"], "the batch that holds the offset comes whole");
    let (_, _, records) = client.fetch("t", 0, 2);
    assert_eq!(values(records), ["c"]);
    assert_eq!(client.fetch("t", 0, 3).2, "");
    assert_eq!(client.fetch("t", 0, 4).0, ErrorCode::OffsetOutOfRange);
    assert_eq!(client.fetch("t", 2, 0).0, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(client.produce("u", 0, batch(&["a"])).0, ErrorCode::UnknownTopicOrPartition);
    node.stop();
}

#[test]
fn what_follows_a_request_in_its_frame_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    // librdkafka asks for all topics so.
    let all = MetadataRequest { topics: None, ..Default::default() };
    let sent = client.send_followed(13, &all, &[0; 3]);
    let (answered, metadata) = client.receive::<MetadataRequest>(13);
    assert_eq!((answered, metadata.topics.len()), (sent, 1));
    let sent = client.send_followed(9, &produce_request("t", 0, batch(&["a"]), -1), b"more");
    let (answered, produced) = client.receive::<ProduceRequest>(9);
    assert_eq!((answered, outcome(&produced)), (sent, (ErrorCode::None, 0)));
    assert_eq!(values(client.fetch("t", 0, 0).2), ["a"]);
    node.stop();
}

#[test]
fn a_restart_keeps_everything_clean_or_not() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4_u8 {
        let node = Node::start(dir.path());
        if round == 0 {
            node.create_topic("t", 1, &[]);
        }
        let mut client = node.client();
        let value = round.to_string();
        let produced = client.produce("t", 0, batch(&[value]));
        assert_eq!(produced, (ErrorCode::None, i64::from(round)));
        let (_, _, records) = client.fetch("t", 0, 0);
        let expected: Vec<_> = (0..=round).map(|round| round.to_string()).collect();
        assert_eq!(values(records), expected);
        // Every other time the broker is dropped as it is.
        if round % 2 == 0 {
            node.stop();
        }
    }
}

#[test]
fn answers_keep_the_order_of_pipelined_requests() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    let sent: Vec<_> = (0..100)
        .map(|number: i32| {
            let records = batch(&[number.to_string()]);
            client.send(9, &produce_request("t", 0, records, if number % 3 == 0 { 1 } else { -1 }))
        })
        .collect();
    for (offset, correlation_id) in (0..).zip(sent) {
        let (received, response) = client.receive::<ProduceRequest>(9);
        assert_eq!((received, outcome(&response)), (correlation_id, (ErrorCode::None, offset)));
    }
    let expected: Vec<_> = (0..100).map(|number: i32| number.to_string()).collect();
    assert_eq!(values(client.fetch("t", 0, 0).2), expected);
    node.stop();
}

#[test]
fn acks_zero_has_no_answer_and_a_failure_closes_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    client.send(9, &produce_request("t", 0, batch(&["a"]), 0));
    assert_eq!(client.produce("t", 0, batch(&["b"])), (ErrorCode::None, 1));
    client.send(9, &produce_request("nowhere", 0, batch(&["a"]), 0));
    assert!(client.is_closed());
    let mut client = node.client();
    let answer = client.call(9, &produce_request("t", 0, batch(&["a"]), 2));
    assert_eq!(outcome(&answer), (ErrorCode::InvalidRequiredAcks, -1));
    node.stop();
}

#[test]
fn a_fetch_waits_for_data_and_no_longer_than_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 2, &[]);
    let mut consumer = node.client();
    let mut producer = node.client();
    let waiting = |max_wait_ms, min_bytes| FetchRequest {
        max_wait_ms,
        min_bytes,
        ..fetch_request("t", 0, 0)
    };
    let clock = Seams::real().clock;
    let begun = clock.monotonic();
    let response = consumer.call(12, &waiting(200, 1));
    assert!(
        (clock.monotonic() - begun) >= Duration::from_millis(190),
        "{:?}",
        (clock.monotonic() - begun)
    );
    assert_eq!(response.responses[0].partitions[0].records, Some(Records::empty()));

    consumer.send(12, &waiting(15_000, 150));
    producer.produce("t", 1, batch(&["another partition"]));
    producer.produce("t", 0, batch(&["too little"]));
    producer.produce("t", 0, batch(&["a".repeat(100)]));
    let begun = clock.monotonic();
    let (_, mut response) = consumer.receive::<FetchRequest>(12);
    assert!((clock.monotonic() - begun) < Duration::from_secs(10), "it was not woken");
    let data = response.responses[0].partitions.remove(0);
    assert_eq!(values(data.records.unwrap().into_bytes().unwrap()).len(), 2);
    node.stop();
}

#[test]
fn the_first_batch_comes_whatever_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 2, &[]);
    let mut client = node.client();
    for partition in [0, 0, 1] {
        client.produce("t", partition, batch(&["v".repeat(5000)]));
    }
    let mut request = fetch_request("t", 0, 0);
    request.max_bytes = 10;
    request.topics[0].partitions[0].partition_max_bytes = 10;
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    let response = client.call(12, &request);
    let sizes: Vec<_> = response.responses[0]
        .partitions
        .iter()
        .map(|data| values(data.records.clone().unwrap().into_bytes().unwrap()).len())
        .collect();
    assert_eq!(sizes, [1, 0]);
    node.stop();
}

#[test]
fn every_version_of_produce_and_fetch_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let id = node.broker().context().controller.image().topic("t").unwrap().id;
    let mut client = node.client();
    for (offset, version) in (0..).zip(3..=13) {
        let mut request = produce_request("t", 0, batch(&["v"]), -1);
        request.topic_data[0].topic_id = id;
        let produced = outcome(&client.call(version, &request));
        assert_eq!(produced, (ErrorCode::None, offset), "produce {version}");
        request.topic_data[0].partition_data[0].index = 7;
        let (error, _) = outcome(&client.call(version, &request));
        assert_eq!(error, ErrorCode::UnknownTopicOrPartition, "produce {version}");
    }
    for version in 4..=18 {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].topic_id = id;
        let response = client.call(version, &request);
        let data = &response.responses[0].partitions[0];
        assert_eq!((data.error_code, data.high_watermark), (0, 11), "fetch {version}");
        request.topics[0].partitions[0].fetch_offset = 99;
        let response = client.call(version, &request);
        let error_code = response.responses[0].partitions[0].error_code;
        assert_eq!(error_code, ErrorCode::OffsetOutOfRange.code(), "fetch {version}");
    }
    node.stop();
}

#[test]
fn offsets_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    client.produce("t", 0, batch(&["a", "b", "c"]));
    let mut list = |version, timestamp| {
        let partition =
            ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
        let topics = vec![ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let response = client.call(version, &request);
        let found = response.topics[0].partitions[0].clone();
        (found.error_code, found.offset, found.timestamp)
    };
    for version in 1..=11 {
        assert_eq!(list(version, -1), (0, 3, -1), "version {version}");
    }
    assert_eq!(list(7, -2), (0, 0, -1));
    assert_eq!(list(7, -3), (0, 0, 1_700_000_000_000));
    assert_eq!(list(6, -3).0, ErrorCode::UnsupportedVersion.code());
    assert_eq!(list(7, 1_600_000_000_000), (0, 0, 1_700_000_000_000));
    assert_eq!(list(7, 1_800_000_000_000), (0, -1, -1));
    node.stop();
}

/// With one replica, Kafka counts at once what it has acknowledged with `acks=1`.
#[test]
fn what_acks_one_has_acknowledged_is_listed_and_can_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    for end in 1..=50 {
        let request = produce_request("t", 0, batch(&["a"]), 1);
        assert_eq!(outcome(&client.call(9, &request)), (ErrorCode::None, end - 1));
        let partition =
            ListOffsetsPartition { timestamp: -1, current_leader_epoch: -1, ..Default::default() };
        let topics = vec![ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        assert_eq!(client.call(7, &request).topics[0].partitions[0].offset, end);
    }
    for end in 51..=100 {
        let request = produce_request("t", 0, batch(&["a"]), 1);
        assert_eq!(outcome(&client.call(9, &request)), (ErrorCode::None, end - 1));
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: end }];
        let topics = vec![DeleteRecordsTopic { name: "t".to_owned(), partitions }];
        let response = client.call(2, &DeleteRecordsRequest { topics, timeout_ms: 5000 });
        let deleted = &response.topics[0].partitions[0];
        assert_eq!((deleted.error_code, deleted.low_watermark), (0, end));
    }
    node.stop();
}

#[test]
fn records_are_deleted_unless_the_topic_is_only_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let mut client = node.client();
    let keyed = {
        let mut keyed = BatchBuilder::new(BatchOptions::default());
        keyed.append(1_700_000_000_000, Some(b"k"), Some(b"v"), &[]);
        keyed.build()
    };
    for (policy, expected) in [
        ("delete", ErrorCode::None),
        ("compact,delete", ErrorCode::None),
        ("", ErrorCode::None),
        ("compact", ErrorCode::PolicyViolation),
    ] {
        let topic = format!("t{}", policy.len());
        node.create_topic(&topic, 1, &[("cleanup.policy", policy)]);
        client.produce(&topic, 0, keyed.clone());
        let partition = DeleteRecordsPartition { offset: 1, ..Default::default() };
        let name = topic.clone();
        let topics = vec![DeleteRecordsTopic { name, partitions: vec![partition] }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 10_000 };
        let response = client.call(2, &request);
        let deleted = &response.topics[0].partitions[0];
        assert_eq!(deleted.error_code, expected.code(), "cleanup.policy={policy}");
    }
    node.stop();
}

#[test]
fn garbage_closes_its_own_connection_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut good = node.client();
    assert_eq!(good.produce("t", 0, batch(&["a"])), (ErrorCode::None, 0));
    let hostile: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0],
        // An unknown API, an unknown version, and a body that ends early.
        &[0, 0, 0, 10, 0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 11, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0],
        &[0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0, 5],
    ];
    for bytes in hostile {
        let mut client = node.client();
        client.stream.write_all(bytes).unwrap();
        assert!(client.is_closed(), "{bytes:?}");
        assert_eq!(good.fetch("t", 0, 0).0, ErrorCode::None);
    }
    node.stop();
}

#[test]
fn damaged_batches_are_refused_and_nothing_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[("max.message.bytes", "2000")]);
    let mut client = node.client();
    let good = batch(&["a"]);
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let two = Bytes::from([good.clone(), good.clone()].concat());
    let cases = [
        (damaged.into(), ErrorCode::CorruptMessage),
        (good.slice(..good.len() - 1), ErrorCode::InvalidRecord),
        (two, ErrorCode::InvalidRecord),
        (batch(&["v".repeat(3000)]), ErrorCode::MessageTooLarge),
    ];
    for (records, expected) in cases {
        assert_eq!(client.produce("t", 0, records), (expected, -1));
    }
    assert_eq!(client.produce("t", 0, good), (ErrorCode::None, 0));
    node.stop();
}

#[test]
fn the_epoch_of_the_leader_is_known_before_its_first_record() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    let mut request = fetch_request("t", 0, 0);
    let asked = &mut request.topics[0].partitions[0];
    (asked.current_leader_epoch, asked.last_fetched_epoch) = (0, 0);
    let response = client.call(12, &request);
    let found = &response.responses[0].partitions[0];
    assert_eq!(ErrorCode::from_code(found.error_code), ErrorCode::None);
    assert_eq!((found.diverging_epoch.epoch, found.high_watermark), (-1, 0));
    node.stop();
}
