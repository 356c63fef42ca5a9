//! Commits offsets, asks for them, and deletes them.

use anyhow::Result;
use flumen_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponseTopic,
};
use flumen_protocol::messages::offset_delete as delete;
use flumen_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use flumen_protocol::{ApiKey, Uuid};

use super::groups::SIMPLE;
use super::{partition_index, sound_topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;
use crate::side::Side;

/// Who says that they commit: generation, member, instance.
type Committer<'a> = (i32, &'a dyn Fn(&Side) -> String, Option<&'a str>);

pub(super) fn commit_without_group(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let group = random.choose(&["simple-a", "simple-b", ""]);
    let version = version_of(ApiKey::OffsetCommit, random);
    let (generation, member) =
        random.choose(&[(-1, ""), (-1, ""), (-1, ""), (-5, ""), (3, ""), (1, "who"), (-1, "who")]);
    let instance = if version >= 7 { random.choose(&[None, None, Some("i")]) } else { None };
    let topics: Vec<_> = (0..random.choose(&[0, 1, 1, 1, 2]))
        .map(|_| {
            let partitions: Vec<_> =
                (0..random.choose(&[0, 1, 1, 1, 3])).map(|_| position(version, random)).collect();
            (sound_topic_name(random), partitions)
        })
        .collect();
    let retention_ms = match version {
        ..5 => random.choose(&[-1, -1, 1_000_000, -2, 0]),
        _ => -1,
    };
    commit(
        pair,
        version,
        group,
        (generation, &|_| member.to_owned(), instance),
        &topics,
        retention_ms,
    )
}

fn position(version: i16, random: &mut Random) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition {
        partition_index: partition_index(random),
        committed_offset: random.choose(&[0, 3, 7, -1, i64::MAX]),
        committed_leader_epoch: if version >= 6 { random.choose(&[-1, 0, 5]) } else { -1 },
        committed_metadata: random.choose(&[
            Some(String::new()),
            Some("note".to_owned()),
            None,
            Some("x".repeat(5000)),
        ]),
    }
}

/// Commits the offset 2 of a topic's first partition.
pub(super) fn commit_as(
    pair: &mut Pair,
    version: i16,
    group: &str,
    committer: Committer<'_>,
) -> Result<()> {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: 2,
        committed_metadata: Some(String::new()),
        ..Default::default()
    };
    commit(pair, version, group, committer, &[("one", vec![partition])], -1)
}

fn commit(
    pair: &mut Pair,
    version: i16,
    group: &str,
    (generation, member, instance): Committer<'_>,
    topics: &[(&str, Vec<OffsetCommitRequestPartition>)],
    retention_time_ms: i64,
) -> Result<()> {
    let named = version < 10;
    let build = |side: &Side| OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member(side),
        group_instance_id: instance.map(ToOwned::to_owned),
        retention_time_ms,
        topics: topics
            .iter()
            .map(|(topic, partitions)| OffsetCommitRequestTopic {
                name: if named { (*topic).to_owned() } else { String::new() },
                topic_id: if named { Uuid::ZERO } else { side.topic_id(topic) },
                partitions: partitions.clone(),
            })
            .collect(),
    };
    pair.ask(version, build, |response: &mut OffsetCommitResponse| {
        // Kafka puts what it refuses at once before the rest, and says nothing of a topic about
        // which nothing was asked.
        let mut results: Vec<_> = std::mem::take(&mut response.topics)
            .into_iter()
            .flat_map(|topic| {
                let name = topic.name;
                topic.partitions.into_iter().map(move |partition| OffsetCommitResponseTopic {
                    name: name.clone(),
                    partitions: vec![partition],
                    ..Default::default()
                })
            })
            .collect();
        results.sort_by_cached_key(|topic| format!("{topic:?}"));
        response.topics = results;
    })?;
    Ok(())
}

pub(super) fn fetch_offsets(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::OffsetFetch, random);
    let everything = version >= 2 && random.one_in(3);
    let topic = sound_topic_name(random);
    let partition_indexes = vec![partition_index(random), 0];
    let group_ids = match random.choose(&SIMPLE) {
        group if everything => vec![group; random.choose(&[1, 1, 2, 3])],
        group => vec![group, random.choose(&["simple-a", "", "never-used"])],
    };
    let require_stable = version >= 7 && random.one_in(2);
    let member = random.choose(&[None, None, Some("who"), Some("")]).filter(|_| version >= 9);
    let member_epoch = if version >= 9 { random.choose(&[-1, -1, 0, 3]) } else { -1 };
    let build = |side: &Side| match version {
        8.. => OffsetFetchRequest {
            groups: group_ids
                .iter()
                .map(|group| OffsetFetchRequestGroup {
                    group_id: (*group).to_owned(),
                    member_id: member.map(ToOwned::to_owned),
                    member_epoch,
                    topics: (!everything).then(|| {
                        vec![OffsetFetchRequestTopics {
                            name: if version < 10 { topic.to_owned() } else { String::new() },
                            topic_id: if version < 10 { Uuid::ZERO } else { side.topic_id(topic) },
                            partition_indexes: partition_indexes.clone(),
                        }]
                    }),
                })
                .collect(),
            require_stable,
            ..Default::default()
        },
        _ => OffsetFetchRequest {
            group_id: group_ids[0].to_owned(),
            topics: (!everything).then(|| {
                vec![OffsetFetchRequestTopic {
                    name: topic.to_owned(),
                    partition_indexes: partition_indexes.clone(),
                }]
            }),
            require_stable,
            ..Default::default()
        },
    };
    pair.ask(version, build, |response: &mut OffsetFetchResponse| {
        // All of a group's offsets come in hash order from Kafka.
        response.topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &mut response.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
        for group in &mut response.groups {
            for topic in &mut group.topics {
                topic.topic_id = Uuid::ZERO;
                topic.partitions.sort_by_key(|partition| partition.partition_index);
            }
            group.topics.sort_by(|a, b| {
                let key =
                    |t: &flumen_protocol::messages::offset_fetch::OffsetFetchResponseTopics| {
                        (
                            t.name.clone(),
                            t.partitions.first().map(|p| p.committed_offset),
                            t.partitions.len(),
                        )
                    };
                key(a).cmp(&key(b))
            });
        }
    })?;
    Ok(())
}

pub(super) fn offset_delete(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = delete::OffsetDeleteRequest {
        group_id: random.choose(&["simple-a", "simple-b", "never-used", ""]).to_owned(),
        topics: vec![delete::OffsetDeleteRequestTopic {
            name: sound_topic_name(random).to_owned(),
            partitions: vec![delete::OffsetDeleteRequestPartition {
                partition_index: partition_index(random),
            }],
        }],
    };
    pair.ask(0, |_| request.clone(), |_| ())?;
    Ok(())
}
