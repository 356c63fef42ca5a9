//! Writes and reads records.

use std::slice;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use flumen_protocol::messages::delete_records as trim;
use flumen_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, ForgottenTopic,
};
use flumen_protocol::messages::init_producer_id::InitProducerIdRequest;
use flumen_protocol::messages::list_offsets as list;
use flumen_protocol::messages::offset_for_leader_epoch as epochs;
use flumen_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use flumen_protocol::records::compression::{Codec, Compression};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_protocol::{ApiKey, Records, Uuid};

use super::{mask_text, partition_index, sound_topic_name, topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;
use crate::side::{Outcome, Side};

/// A time that both brokers accept, the same in every run.
const BASE_TIMESTAMP: i64 = 1_700_000_000_000;
const TIMEOUT_MS: i32 = 10_000;

/// Writes a few batches to every topic, so that reads find something.
pub(super) fn fill(pair: &mut Pair, random: &mut Random) -> Result<()> {
    for (topic, partitions) in super::TOPICS {
        for partition in 0..partitions {
            for _ in 0..5 {
                let records = good_batch(random, BatchOptions::default());
                pair.ask(9, |side| to(side, 9, topic, partition, -1, records.clone()), mask)?;
            }
        }
    }
    Ok(())
}

fn good_batch(random: &mut Random, options: BatchOptions) -> Bytes {
    let compression = random.choose(&[
        Compression::None,
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ]);
    let codec = Codec { compression, ..Codec::default() };
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..options });
    for index in 0..random.choose(&[1, 2, 5]) {
        let step = i64::try_from(random.next() % 1000).expect("small");
        let key = [b'k', index];
        let value = vec![b'v'; usize::from(random.choose(&[0u8, 10, 200]))];
        builder.append(BASE_TIMESTAMP + step, Some(&key), Some(&value), &[]);
    }
    builder.build()
}

/// A batch that some rule of validation refuses, or no bytes at all.
fn bad_records(random: &mut Random) -> Option<Bytes> {
    const MAGIC: usize = 16;
    const CRC: usize = 17;
    const LENGTH: usize = 8;
    let good = good_batch(random, BatchOptions::default());
    let changed = |position: usize, value: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[position] = value;
        Some(bytes.freeze())
    };
    let with = |options| {
        let mut builder = BatchBuilder::new(options);
        builder.append(BASE_TIMESTAMP, Some(b"k"), Some(b"v"), &[]);
        Some(builder.build())
    };
    match random.choose(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
        0 => changed(CRC, good[CRC].wrapping_add(1)),
        1 => changed(MAGIC, 1),
        2 => changed(MAGIC, 3),
        3 => changed(LENGTH, 0x7f),
        4 => Some(good.slice(..good.len() - 1)),
        // Null records are not asked: Kafka never answers such a request.
        5 | 6 => Some(Bytes::new()),
        7 => Some([&good[..], &good[..]].concat().into()),
        8 => with(BatchOptions { is_control: true, ..Default::default() }),
        9 => with(BatchOptions { base_offset: 7, ..Default::default() }),
        _ => with(BatchOptions { is_transactional: true, ..Default::default() }),
    }
}

fn to(
    side: &Side,
    version: i16,
    topic: &str,
    index: i32,
    acks: i16,
    records: impl Into<Option<Bytes>>,
) -> ProduceRequest {
    let named = version < 13;
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            name: if named { topic.to_owned() } else { String::new() },
            topic_id: if named { Uuid::ZERO } else { side.topic_id(topic) },
            partition_data: vec![PartitionProduceData {
                index,
                records: records.into().map(Records::Bytes),
            }],
        }],
    }
}

fn mask(response: &mut ProduceResponse) {
    for topic in &mut response.responses {
        topic.topic_id = Uuid::ZERO;
        for partition in &mut topic.partition_responses {
            // Kafka gives reasons for some refusals, Flumen for all.
            partition.error_message = None;
            for record in &mut partition.record_errors {
                mask_text(&mut record.batch_index_error_message);
            }
        }
    }
}

pub(super) fn produce(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Produce, random);
    // The internal topic's records are a coordinator's own.
    let topic = match topic_name(random) {
        "__consumer_offsets" => "one",
        other => other,
    };
    let partition = partition_index(random);
    let acks = random.choose(&[-1, -1, 1, 2, -2]);
    let records = match random.one_in(2) {
        true => bad_records(random),
        false if random.one_in(8) => {
            let mut keyless = BatchBuilder::new(BatchOptions::default());
            keyless.append(BASE_TIMESTAMP, None, Some(b"keyless"), &[]);
            Some(keyless.build())
        }
        false => Some(good_batch(random, BatchOptions::default())),
    };
    pair.ask(version, |side| to(side, version, topic, partition, acks, records.clone()), mask)?;
    Ok(())
}

/// Asks for an id without a transactional one, which the schema's default would be.
fn anonymous() -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..Default::default()
    }
}

/// Asks for a producer id until there is one: a broker fetches its first block of them when asked.
pub(super) fn await_producer_ids(pair: &mut Pair) -> Result<()> {
    const ATTEMPTS: u32 = 300;
    let request = anonymous();
    for side in [&mut pair.flumen, &mut pair.kafka] {
        for attempt in 0.. {
            match side.call(&request, 2)? {
                Outcome::Answer(answer) if answer.error_code == 0 => break,
                _ if attempt < ATTEMPTS => sleep(Duration::from_millis(100)),
                other => bail!("{} gives no producer id: {other:?}", side.name),
            }
        }
    }
    Ok(())
}

pub(super) fn init_producer_id(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::InitProducerId, random);
    let (id, epoch) = match version {
        3.. => random.choose(&[(-1, -1), (-1, -1), (5, 0), (-1, 3), (5, -1)]),
        _ => (-1, -1),
    };
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: random.choose(&[60_000, i32::MAX, 0, -1]),
        producer_id: id,
        producer_epoch: epoch,
        ..Default::default()
    };
    let answers = pair.ask(
        version,
        |_| request.clone(),
        |response| {
            // Each side hands out ids from blocks of its own.
            response.producer_id = response.producer_id.min(0);
        },
    )?;
    if let Some((flumen, kafka)) = answers
        && kafka.error_code == 0
        && flumen.error_code == 0
    {
        pair.flumen.producer_id = flumen.producer_id;
        pair.kafka.producer_id = kafka.producer_id;
    }
    Ok(())
}

/// A fresh producer id, then a little story with it: in order, again, a gap, an older epoch.
pub(super) fn produce_idempotent(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let fresh = anonymous();
    let Some((flumen, kafka)) = pair.ask(4, |_| fresh.clone(), |r| r.producer_id = 0)? else {
        return Ok(());
    };
    pair.flumen.producer_id = flumen.producer_id;
    pair.kafka.producer_id = kafka.producer_id;
    let topic = random.choose(&["one", "three"]);
    let steps = (0..4).map(|_| random.choose(&[(0, 0), (0, 1), (0, 2), (0, 9), (1, 0), (1, 5)]));
    for (epoch, sequence) in steps.collect::<Vec<_>>() {
        let batch = |side: &Side| {
            let mut builder = BatchBuilder::new(BatchOptions {
                producer_id: side.producer_id,
                producer_epoch: epoch,
                base_sequence: sequence,
                ..Default::default()
            });
            builder.append(BASE_TIMESTAMP, Some(b"k"), Some(b"idempotent"), &[]);
            builder.build()
        };
        pair.ask(9, |side| to(side, 9, topic, 0, -1, batch(side)), mask)?;
    }
    Ok(())
}

pub(super) fn list_offsets(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let topic = topic_name(random);
    let timestamps = [
        -1,
        -2,
        // The record with the largest timestamp: of a trimmed log Kafka may name one that is gone.
        if topic == "one" { -3 } else { -1 },
        -4,
        -5,
        -6,
        -7,
        0,
        BASE_TIMESTAMP,
        BASE_TIMESTAMP + 500,
        BASE_TIMESTAMP + 990,
        BASE_TIMESTAMP + 5000,
        i64::MAX,
    ];
    let request = list::ListOffsetsRequest {
        replica_id: random.choose(&[-1, -1, -1, -2]),
        isolation_level: random.choose(&[0, 0, 1]),
        topics: vec![list::ListOffsetsTopic {
            name: topic.to_owned(),
            partitions: vec![list::ListOffsetsPartition {
                partition_index: partition_index(random),
                current_leader_epoch: leader_epoch(random),
                timestamp: random.choose(&timestamps),
            }],
        }],
        timeout_ms: TIMEOUT_MS,
    };
    let version = version_of(ApiKey::ListOffsets, random);
    let request = match version {
        ..10 => list::ListOffsetsRequest { timeout_ms: 0, ..request },
        _ => request,
    };
    // What the offsets topic holds is each coordinator's own.
    if request.topics[0].name == "__consumer_offsets" {
        return Ok(());
    }
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

fn leader_epoch(random: &mut Random) -> i32 {
    random.choose(&[-1, -1, -1, 0, 1, 7])
}

pub(super) fn offset_for_leader_epoch(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::OffsetForLeaderEpoch, random);
    let request = epochs::OffsetForLeaderEpochRequest {
        replica_id: if version >= 3 { -1 } else { -2 },
        topics: vec![epochs::OffsetForLeaderTopic {
            topic: sound_topic_name(random).to_owned(),
            partitions: vec![epochs::OffsetForLeaderPartition {
                partition: partition_index(random),
                current_leader_epoch: leader_epoch(random),
                leader_epoch: random.choose(&[0, 0, 1, -1, 7]),
            }],
        }],
    };
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

pub(super) fn delete_records(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = trim::DeleteRecordsRequest {
        topics: vec![trim::DeleteRecordsTopic {
            name: random.choose(&["three", "three", "compacted", "missing", ""]).to_owned(),
            partitions: vec![trim::DeleteRecordsPartition {
                partition_index: partition_index(random),
                offset: random.choose(&[0, 1, 3, -1, -2, 1_000_000]),
            }],
        }],
        timeout_ms: TIMEOUT_MS,
    };
    let version = version_of(ApiKey::DeleteRecords, random);
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

#[derive(Debug, Clone)]
struct Wanted {
    topic: &'static str,
    partition: FetchPartition,
}

fn wanted(random: &mut Random) -> Wanted {
    Wanted {
        topic: match topic_name(random) {
            "__consumer_offsets" => "three",
            other => other,
        },
        partition: FetchPartition {
            partition: partition_index(random),
            current_leader_epoch: leader_epoch(random),
            fetch_offset: random.choose(&[0, 0, 1, 2, 3, 5, 8, -1, 1_000_000]),
            partition_max_bytes: random.choose(&[1_048_576, 1_048_576, 1, 0, 150]),
            ..Default::default()
        },
    }
}

fn fetch_request(side: &Side, version: i16, wants: &[Wanted], session: (i32, i32)) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 50,
        min_bytes: 1,
        max_bytes: 52_428_800,
        session_id: session.0,
        session_epoch: session.1,
        topics: wants
            .iter()
            .map(|want| FetchTopic {
                topic: if version < 13 { want.topic.to_owned() } else { String::new() },
                topic_id: if version < 13 { Uuid::ZERO } else { side.topic_id(want.topic) },
                partitions: vec![want.partition.clone()],
            })
            .collect(),
        ..Default::default()
    }
}

/// The size of the whole batches: Kafka fills up to the limit with a piece of the next one, which
/// no client can use, and Flumen does not.
fn whole_batches(bytes: &[u8]) -> usize {
    const LENGTH_END: usize = 12;
    let mut end = 0;
    while let Some(length) = bytes[end..].get(LENGTH_END - 4..).and_then(|rest| rest.first_chunk())
    {
        let next = end + LENGTH_END + u32::from_be_bytes(*length) as usize;
        if next > bytes.len() {
            break;
        }
        end = next;
    }
    // Of a single batch that is larger than the limit it counts how much came.
    if end == 0 { bytes.len() } else { end }
}

/// Blanks ids, and the order of topics, which is Kafka's hash order where ids name them.
fn mask_fetched(response: &mut FetchResponse) {
    response.session_id = response.session_id.min(1);
    for topic in &mut response.responses {
        topic.topic_id = Uuid::ZERO;
        for partition in &mut topic.partitions {
            // Idempotent batches carry each side's own producer ids, and with them another CRC; what
            // stays comparable is how much came back and where it begins.
            if let Some(Records::Bytes(bytes)) = &mut partition.records {
                let start = bytes.get(..8).map(Bytes::copy_from_slice).unwrap_or_default();
                let size = Bytes::from(whole_batches(bytes).to_be_bytes().to_vec());
                *bytes = [start, size].concat().into();
            }
        }
    }
    // One entry a partition, so that it does not matter how a side groups them.
    let topics = std::mem::take(&mut response.responses);
    response.responses = topics
        .into_iter()
        .flat_map(|topic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |partition| FetchableTopicResponse {
                topic: name.clone(),
                partitions: vec![partition],
                ..Default::default()
            })
        })
        .collect();
    response.responses.sort_by_cached_key(|topic| format!("{topic:?}"));
}

pub(super) fn fetch(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Fetch, random);
    let want = wanted(random);
    let isolation_level = random.choose(&[0, 0, 1]);
    let max_bytes = random.choose(&[52_428_800, 52_428_800, 1, 0]);
    pair.ask(
        version,
        |side| FetchRequest {
            isolation_level,
            max_bytes,
            ..fetch_request(side, version, slice::from_ref(&want), (0, -1))
        },
        mask_fetched,
    )?;
    Ok(())
}

/// Opens a session, goes on in it with changes and mistakes, and closes it.
pub(super) fn fetch_in_session(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = random.choose(&[7, 9, 11, 12, 13, 15, 17]);
    let full = [plain("one", 0), plain("three", 0), plain("three", 1)];
    let opened =
        pair.ask(version, |side| fetch_request(side, version, &full, (0, 0)), mask_fetched)?;
    let Some((flumen, kafka)) = opened else { return Ok(()) };
    pair.flumen.session = (flumen.session_id, 1);
    pair.kafka.session = (kafka.session_id, 1);
    if random.one_in(4) {
        const NOBODYS: i32 = 424_242;
        pair.ask(version, |side| fetch_request(side, version, &full, (NOBODYS, 1)), mask_fetched)?;
    }
    for _ in 0..3 {
        let wants = match random.choose(&[0, 1, 2]) {
            0 => vec![],
            1 => vec![wanted(random)],
            _ => vec![plain("one", 2)],
        };
        let skip = random.choose(&[0, 0, 0, 0, 5]);
        let forget = random.one_in(4);
        let build = |side: &Side| {
            let session = (side.session.0, side.session.1 + skip);
            let mut request = fetch_request(side, version, &wants, session);
            if forget {
                let named = version < 13;
                request.forgotten_topics_data = vec![ForgottenTopic {
                    topic: if named { "three".to_owned() } else { String::new() },
                    topic_id: if named { Uuid::ZERO } else { side.topic_id("three") },
                    partitions: vec![1],
                }];
            }
            request
        };
        let answered = pair.ask(version, build, mask_fetched)?;
        if answered.is_some_and(|(_, kafka)| kafka.error_code == 0) {
            pair.flumen.session.1 += 1;
            pair.kafka.session.1 += 1;
        }
    }
    let close = |side: &Side| fetch_request(side, version, &[], (side.session.0, -1));
    pair.ask(version, close, mask_fetched)?;
    Ok(())
}

fn plain(topic: &'static str, index: i32) -> Wanted {
    let partition =
        FetchPartition { partition: index, partition_max_bytes: 1_048_576, ..Default::default() };
    Wanted { topic, partition }
}
