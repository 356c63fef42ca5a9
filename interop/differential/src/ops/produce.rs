//! Writes records, and asks for the ids of those who write.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use flumen_protocol::messages::init_producer_id::InitProducerIdRequest;
use flumen_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_protocol::{ApiKey, Records, Uuid};

use super::records::{BASE_TIMESTAMP, bad_records, good_batch, keyless_batch, mask_time, single};
use super::{mask_text, partition_index, topic_name, version_of};
use crate::line::Outcome;
use crate::pair::Pair;
use crate::random::Random;
use crate::side::Side;

const TIMEOUT_MS: i32 = 10_000;

const UNKNOWN_SERVER_ERROR: i16 = -1;
const INVALID_RECORD: i16 = 87;

/// Writes a few batches to every topic, so that reads find something.
pub(super) fn fill(pair: &mut Pair, random: &mut Random) -> Result<()> {
    for topic in super::TOPICS {
        for partition in 0..topic.partitions {
            for _ in 0..5 {
                let records = good_batch(random, BatchOptions::default());
                pair.ask(9, |side| to(side, 9, topic.name, partition, -1, records.clone()), mask)?;
            }
        }
    }
    Ok(())
}

fn to(
    side: &Side,
    version: i16,
    topic: &str,
    index: i32,
    acks: i16,
    records: Bytes,
) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![topic_data(side, version, topic, &[(index, records)])],
    }
}

fn topic_data(
    side: &Side,
    version: i16,
    topic: &str,
    partitions: &[(i32, Bytes)],
) -> TopicProduceData {
    let named = version < 13;
    TopicProduceData {
        name: if named { topic.to_owned() } else { String::new() },
        topic_id: if named { Uuid::ZERO } else { side.topic_id(topic) },
        partition_data: partitions
            .iter()
            .map(|(index, records)| PartitionProduceData {
                index: *index,
                records: Some(Records::Bytes(records.clone())),
            })
            .collect(),
    }
}

fn mask(response: &mut ProduceResponse) {
    // Kafka answers in the order of a hash table, and not at all for a topic without partitions.
    response.responses.retain(|topic| !topic.partition_responses.is_empty());
    for topic in &mut response.responses {
        topic.topic_id = Uuid::ZERO;
        topic.partition_responses.sort_by_key(|partition| partition.index);
        for partition in &mut topic.partition_responses {
            partition.log_append_time_ms = mask_time(partition.log_append_time_ms);
            // Over payloads that do not unpack as their codec says, and where it compresses anew over
            // more that it refuses elsewhere, Kafka trips.
            if partition.error_code == UNKNOWN_SERVER_ERROR {
                partition.error_code = INVALID_RECORD;
            }
            // Kafka gives reasons for some refusals, Flumen for all.
            partition.error_message = None;
            for record in &mut partition.record_errors {
                mask_text(&mut record.batch_index_error_message);
            }
        }
    }
    response.responses.sort_by_cached_key(|topic| format!("{topic:?}"));
}

/// A topic to write to: the internal one's records are a coordinator's own.
fn writable_topic(random: &mut Random) -> &'static str {
    match topic_name(random) {
        "__consumer_offsets" => "one",
        other => other,
    }
}

fn some_records(random: &mut Random) -> Bytes {
    match random.choose(&[0, 0, 0, 0, 1, 1, 1, 1, 2]) {
        0 => good_batch(random, BatchOptions::default()),
        1 => bad_records(random),
        _ => keyless_batch(),
    }
}

pub(super) fn produce(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Produce, random);
    let topic = writable_topic(random);
    let partition = partition_index(random);
    let acks = random.choose(&[-1, -1, 1, 2, -2]);
    let records = some_records(random);
    pair.ask(version, |side| to(side, version, topic, partition, acks, records.clone()), mask)?;
    Ok(())
}

/// Several topics and partitions at once, some of them wrong. No partition stands there twice: of
/// those Kafka takes the last only.
pub(super) fn produce_many(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Produce, random);
    let topics: BTreeMap<_, _> = (0..random.choose(&[0, 1, 2, 3]))
        .map(|_| {
            let count = random.choose(&[0, 1, 2, 3]);
            let topic = writable_topic(random);
            let partitions: BTreeMap<_, _> =
                (0..count).map(|_| (partition_index(random), some_records(random))).collect();
            (topic, partitions.into_iter().collect::<Vec<_>>())
        })
        .collect();
    pair.ask(
        version,
        |side| ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: TIMEOUT_MS,
            topic_data: topics
                .iter()
                .map(|(topic, partitions)| topic_data(side, version, topic, partitions))
                .collect(),
        },
        mask,
    )?;
    Ok(())
}

/// No answer is wanted: whether the records are there or the connection is gone shows in the answer
/// to those that come after.
pub(super) fn produce_unacknowledged(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Produce, random);
    let topic = random.choose(&["one", "one", "one", "compacted", "missing"]);
    let records = some_records(random);
    pair.tell(version, |side| to(side, version, topic, 0, 0, records.clone()))?;
    let after = single(BatchOptions::default());
    pair.ask(5, |side| to(side, 5, "one", 0, -1, after.clone()), mask)?;
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
    for side in pair.sides() {
        for attempt in 0.. {
            match side.line.call(&request, 2)? {
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
        3.. => random.choose(&[(-1, -1), (-1, -1), (5, 0), (-1, 3), (5, -1), (-2, -2), (-2, 0)]),
        _ => (-1, -1),
    };
    let request = InitProducerIdRequest {
        // Transactions are not served yet: only an id that no broker takes is asked about.
        transactional_id: random.one_in(6).then(String::new),
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
    let topic = random.choose(&["one", "three", "zipped", "stamped"]);
    // Where Kafka compresses anew it trips over an epoch or a sequence below zero.
    let is_rewritten = topic == "zipped";
    let steps: Vec<_> = (0..random.choose(&[4, 4, 9]))
        .map(|_| {
            let (epoch, sequence) = random.choose(&[
                (0, 0),
                (0, 1),
                (0, 2),
                (0, 3),
                (0, 9),
                (1, 0),
                (1, 5),
                (0, i32::MAX),
                (0, -1),
                (-1, 0),
            ]);
            (epoch, sequence, random.choose(&[1, 1, 1, 2]))
        })
        .filter(|&(epoch, sequence, _)| !is_rewritten || (epoch >= 0 && sequence >= 0))
        .collect();
    for (epoch, sequence, count) in steps {
        let batch = |side: &Side| {
            let mut builder = BatchBuilder::new(BatchOptions {
                producer_id: side.producer_id,
                producer_epoch: epoch,
                base_sequence: sequence,
                ..Default::default()
            });
            for _ in 0..count {
                builder.append(BASE_TIMESTAMP, Some(b"k"), Some(b"idempotent"), &[]);
            }
            builder.build()
        };
        pair.ask(9, |side| to(side, 9, topic, 0, -1, batch(side)), mask)?;
    }
    Ok(())
}
