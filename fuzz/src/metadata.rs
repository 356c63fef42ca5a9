//! The metadata of the cluster: records of its log, snapshots, and the image they add up to.

use std::collections::BTreeMap;

use bytes::Bytes;
use flumen_broker::config::Promises;
use flumen_broker::controller::records::{
    Assignment, ClusterRecord, ConfigRecord, FenceBrokerRecord, NewLeader, PartitionChangeRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
    UnregisterBrokerRecord,
};
use flumen_broker::controller::{
    BrokerEndpoint, ConfigResource, MetadataImage, MetadataRecord, fuzzing,
};
use flumen_protocol::Uuid;
use flumen_protocol::records::{BatchBuilder, BatchOptions};

use crate::batches;
use crate::bounds::within;
use crate::edits::edit;
use crate::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(4) {
        0 => check_bytes(input.rest()),
        1 => {
            let mut bytes = rmp_serde::to_vec(&draw_record(&mut input)).expect("it has a form");
            edit(&mut bytes, &mut input, 3);
            check_bytes(&bytes);
        }
        2 => check_replay(input),
        _ => check_snapshot(input),
    }
}

fn memory_max(size: usize) -> usize {
    (1 << 20) + 128 * size
}

/// A record, and an entry of the log, from bytes.
fn check_bytes(bytes: &[u8]) {
    let read = within(memory_max(bytes.len()), || rmp_serde::from_slice::<MetadataRecord>(bytes));
    if let Ok(record) = read {
        let again = rmp_serde::to_vec(&record).expect("what was read can be written");
        assert_eq!(rmp_serde::from_slice::<MetadataRecord>(&again).ok(), Some(record));
    }
    within(memory_max(bytes.len()), || drop(fuzzing::decode_entry(7, bytes)));
}

/// Records that follow each other; an image written out as records is the same image.
fn check_replay(mut input: Input<'_>) {
    let mut image = MetadataImage::default();
    let size = input.rest().len();
    within(memory_max(size * 16), || {
        while !input.is_empty() {
            let record = draw_record(&mut input);
            let before = image.clone();
            if let Err(refused) = image.replay(&record) {
                assert!(!refused.to_string().is_empty());
                assert_eq!(image, before, "a refused record changes nothing");
            }
        }
        let mut copy = MetadataImage::default();
        for record in image.to_records() {
            copy.replay(&record).expect("an image can be written out");
        }
        copy.advance_to(image.version());
        assert_eq!(copy, image);
    });
}

/// A snapshot file: damaged as a batch, or in what the batch holds.
fn check_snapshot(mut input: Input<'_>) {
    let bytes = draw_snapshot(&mut input);
    let memory_max = memory_max(bytes.len() * 16) + (16 << 20);
    if let Ok(image) = within(memory_max, || fuzzing::decode_snapshot(&Bytes::from(bytes))) {
        drop(image.to_records());
    }
}

pub fn draw_snapshot(input: &mut Input<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..input.below(6) {
        records.push(draw_record(input));
    }
    let last = input.flag().then(|| (input.number(2), input.edgy_i64().cast_unsigned()));
    let body = (last, last, draw_members(input), records);
    let mut value = rmp_serde::to_vec(&body).expect("it has a form");
    edit(&mut value, input, 3);
    let codec = if input.flag() { batches::draw_codec(input) } else { Default::default() };
    let mut batch = BatchBuilder::new(BatchOptions { codec, ..BatchOptions::default() });
    batch.append(0, None, Some(&value), &[]);
    let mut bytes = batch.build().to_vec();
    if input.flag() {
        edit(&mut bytes, input, 2);
        batches::repair_length(&mut bytes);
        batches::repair_crc(&mut bytes);
    }
    bytes
}

/// Sets of voters, and addresses.
pub type Members = (Vec<Vec<u64>>, BTreeMap<u64, String>);

pub fn draw_members(input: &mut Input<'_>) -> Members {
    let voters = vec![vec![input.number(1)]];
    (voters, BTreeMap::from([(input.number(1), "host:9093".to_owned())]))
}

fn id(input: &mut Input<'_>) -> Uuid {
    Uuid::from_bytes([input.byte() & 3; 16])
}

fn name(input: &mut Input<'_>) -> String {
    ["orders", "payments", "", "a.b_c-1"][input.below(4)].to_owned()
}

fn brokers(input: &mut Input<'_>) -> Vec<i32> {
    (0..input.below(4)).map(|_| input.edgy_i32()).collect()
}

fn ids(input: &mut Input<'_>) -> Vec<Uuid> {
    (0..input.below(4)).map(|_| id(input)).collect()
}

fn broker(input: &mut Input<'_>) -> i32 {
    i32::from(input.byte() & 3)
}

pub fn draw_record(input: &mut Input<'_>) -> MetadataRecord {
    match input.below(11) {
        0 => ClusterRecord {
            cluster_id: String::from_utf8_lossy(input.block()).into_owned(),
            next_broker_epoch: input.edgy_i64(),
        }
        .into(),
        1 => RegisterBrokerRecord {
            broker_id: broker(input),
            epoch: input.edgy_i64(),
            incarnation_id: id(input),
            directories: ids(input),
            endpoints: (0..input.below(3))
                .map(|_| BrokerEndpoint {
                    listener: name(input),
                    host: name(input),
                    port: u16::from(input.byte()),
                })
                .collect(),
            rack: input.flag().then(|| name(input)),
            fenced: input.flag(),
            is_leaving: input.flag(),
            served_epoch: input.flag().then(|| input.edgy_i64()),
            promises: Promises {
                min_in_sync: input.flag().then(|| i32::from(input.byte() & 3)),
                is_page_cache: input.flag(),
                allows_unclean: input.flag(),
            },
        }
        .into(),
        2 => FenceBrokerRecord {
            broker_id: broker(input),
            epoch: input.edgy_i64(),
            fenced: input.flag(),
            is_leaving: input.flag(),
        }
        .into(),
        3 => UnregisterBrokerRecord { broker_id: broker(input), epoch: input.edgy_i64() }.into(),
        4 => TopicRecord { topic_id: id(input), name: name(input) }.into(),
        5 | 6 => PartitionRecord {
            topic_id: id(input),
            partition_index: i32::from(input.byte() & 3),
            replicas: brokers(input),
            directories: ids(input),
            in_sync: brokers(input),
            eligible: brokers(input),
            leader: input.flag().then(|| broker(input)),
            leader_epoch: input.edgy_i32(),
            partition_epoch: input.edgy_i32(),
            adding: brokers(input),
            removing: brokers(input),
            last_known_leader: input.flag().then(|| broker(input)),
        }
        .into(),
        7 => PartitionChangeRecord {
            topic_id: id(input),
            partition_index: if input.flag() { input.edgy_i32() } else { 0 },
            leader: match input.below(3) {
                0 => NewLeader::Same,
                1 => NewLeader::Nobody,
                _ => NewLeader::Broker(broker(input)),
            },
            in_sync: input.flag().then(|| brokers(input)),
            eligible: input.flag().then(|| brokers(input)),
            assignment: input.flag().then(|| Assignment {
                replicas: brokers(input),
                directories: ids(input),
                adding: brokers(input),
                removing: brokers(input),
            }),
        }
        .into(),
        8 => RemoveTopicRecord { topic_id: id(input) }.into(),
        9 => ConfigRecord {
            resource: match input.below(5) {
                0 => ConfigResource::Topic(name(input)),
                1 => ConfigResource::Broker(broker(input)),
                2 => ConfigResource::Cluster,
                3 => ConfigResource::Group(name(input)),
                _ => ConfigResource::ClientMetrics(name(input)),
            },
            name: name(input),
            value: input.flag().then(|| name(input)),
        }
        .into(),
        _ => ProducerIdsRecord {
            broker_id: broker(input),
            broker_epoch: input.edgy_i64(),
            next_producer_id: input.edgy_i64(),
        }
        .into(),
    }
}
