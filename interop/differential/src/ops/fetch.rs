//! Reads records, alone and in sessions.

use anyhow::Result;
use flumen_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, ForgottenTopic,
};
use flumen_protocol::{ApiKey, Records, Uuid};

use super::records::rendered;
use super::{leader_epoch, partition_index, topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;
use crate::side::Side;

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
            fetch_offset: random.choose(&[0, 0, 1, 2, 3, 5, 8, 13, 21, -1, 1_000_000]),
            partition_max_bytes: random.choose(&[1_048_576, 1_048_576, 1, 0, 150]),
            ..Default::default()
        },
    }
}

/// What to read in one request. No partition stands there twice: of those Kafka answers the last only.
fn several(random: &mut Random) -> Vec<Wanted> {
    let mut wants: Vec<Wanted> = Vec::new();
    for _ in 0..random.choose(&[1, 1, 1, 2, 3, 0]) {
        let next = wanted(random);
        let is_same = |want: &Wanted| {
            (want.topic, want.partition.partition) == (next.topic, next.partition.partition)
        };
        if !wants.iter().any(is_same) {
            wants.push(next);
        }
    }
    wants
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

/// Blanks ids, and the order of topics, which is Kafka's hash order where ids name them.
fn mask_fetched(response: &mut FetchResponse) {
    response.session_id = response.session_id.min(1);
    for topic in &mut response.responses {
        topic.topic_id = Uuid::ZERO;
        for partition in &mut topic.partitions {
            if let Some(Records::Bytes(bytes)) = &mut partition.records {
                *bytes = rendered(bytes);
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
    let wants = several(random);
    let isolation_level = random.choose(&[0, 0, 1]);
    let max_bytes = match random.choose(&[52_428_800, 52_428_800, 300, 1, 0]) {
        // What no whole batch fits in, Kafka fills with a piece of one, and Flumen leaves to the next
        // partition.
        300 if wants.len() > 1 => 1,
        other => other,
    };
    let max_wait_ms = random.choose(&[50, 0, -1]);
    let min_bytes = random.choose(&[1, 0, -1, 1_000_000]);
    let session = random.choose(&[(0, -1), (0, -1), (0, -1), (0, 5), (77, -1)]);
    pair.ask(
        version,
        |side| FetchRequest {
            isolation_level,
            max_bytes,
            max_wait_ms,
            min_bytes,
            ..fetch_request(side, version, &wants, if version >= 7 { session } else { (0, -1) })
        },
        mask_fetched,
    )?;
    Ok(())
}

/// Opens a session, goes on in it with changes and mistakes, and closes it.
pub(super) fn fetch_in_session(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = random.choose(&[7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
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
    for _ in 0..random.choose(&[2, 3, 5]) {
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
