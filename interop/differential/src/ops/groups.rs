//! Joins, commits and leaves, rightly and wrongly.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use flumen_protocol::ApiKey;
use flumen_protocol::Uuid;
use flumen_protocol::messages::delete_groups::DeleteGroupsRequest;
use flumen_protocol::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use flumen_protocol::messages::find_coordinator::{
    FindCoordinatorRequest, FindCoordinatorResponse,
};
use flumen_protocol::messages::heartbeat::HeartbeatRequest;
use flumen_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use flumen_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use flumen_protocol::messages::list_groups::ListGroupsRequest;
use flumen_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use flumen_protocol::messages::offset_delete as delete;
use flumen_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use flumen_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::{mask_text, partition_index, sound_topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;
use crate::side::{Outcome, Side};

/// Groups without members, in which offsets are committed.
const SIMPLE: [&str; 3] = ["simple-a", "simple-b", "never-used"];

/// A group that nobody ever gets into.
const REFUSED: &str = "refused";

/// Asks for a coordinator until there is one: the first question creates the offsets topic.
pub(super) fn create_offsets_topic(pair: &mut Pair) -> Result<()> {
    const ATTEMPTS: u32 = 100;
    let request = FindCoordinatorRequest { key: "any".to_owned(), ..Default::default() };
    for side in [&mut pair.flumen, &mut pair.kafka] {
        for attempt in 0.. {
            match side.call(&request, 2)? {
                Outcome::Answer(answer) if answer.error_code == 0 => break,
                _ if attempt < ATTEMPTS => sleep(Duration::from_millis(100)),
                other => bail!("{} finds no coordinator: {other:?}", side.name),
            }
        }
    }
    Ok(())
}

/// Asks about a group in each partition of the offsets topic until its coordinator has loaded it.
pub(super) fn await_coordinators(pair: &mut Pair) -> Result<()> {
    const ATTEMPTS: u32 = 300;
    const NOT_READY: [i16; 3] = [14, 15, 16];
    // A name of one letter has its code as Java's hash, so fifty in a row meet all fifty partitions.
    for letter in '0'..='b' {
        let request = HeartbeatRequest { group_id: letter.to_string(), ..Default::default() };
        for side in [&mut pair.flumen, &mut pair.kafka] {
            for attempt in 0.. {
                match side.call(&request, 0)? {
                    Outcome::Answer(answer) if !NOT_READY.contains(&answer.error_code) => break,
                    _ if attempt < ATTEMPTS => sleep(Duration::from_millis(100)),
                    other => bail!("{} has no coordinator for {letter}: {other:?}", side.name),
                }
            }
        }
    }
    Ok(())
}

pub(super) fn find_coordinator(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::FindCoordinator, random);
    // Transactions are not served yet, and say so (type 1); share groups neither (type 2).
    let key_type = random.choose(&[0, 0, 9, -1]);
    let key = random.choose(&["simple-a", "", "other"]).to_owned();
    let request = match version {
        4.. => FindCoordinatorRequest {
            key_type,
            coordinator_keys: random.choose(&[
                vec![key.clone()],
                vec![key, "b".to_owned()],
                vec![],
            ]),
            ..Default::default()
        },
        1.. => FindCoordinatorRequest { key, key_type, ..Default::default() },
        _ => FindCoordinatorRequest { key, ..Default::default() },
    };
    pair.ask(
        version,
        |_| request.clone(),
        |response: &mut FindCoordinatorResponse| {
            mask_text(&mut response.error_message);
            response.port = response.port.min(0);
            for coordinator in &mut response.coordinators {
                mask_text(&mut coordinator.error_message);
                coordinator.port = coordinator.port.min(0);
            }
        },
    )?;
    Ok(())
}

pub(super) fn commit_without_group(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let group = random.choose(&["simple-a", "simple-b", ""]);
    let version = version_of(ApiKey::OffsetCommit, random);
    let (generation, member) = random.choose(&[(-1, ""), (-1, ""), (-1, ""), (3, ""), (1, "who")]);
    let topic = sound_topic_name(random);
    let partition = OffsetCommitRequestPartition {
        partition_index: partition_index(random),
        committed_offset: random.choose(&[0, 3, 7, -1]),
        committed_leader_epoch: if version >= 6 { random.choose(&[-1, 0]) } else { -1 },
        committed_metadata: random.choose(&[
            Some(String::new()),
            Some("note".to_owned()),
            None,
            Some("x".repeat(5000)),
        ]),
    };
    commit(pair, version, group, (generation, |_: &Side| member.to_owned()), topic, &partition)
}

fn commit(
    pair: &mut Pair,
    version: i16,
    group: &str,
    (generation, member): (i32, impl Fn(&Side) -> String),
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<()> {
    let build = |side: &Side| OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member(side),
        topics: vec![OffsetCommitRequestTopic {
            name: if version < 10 { topic.to_owned() } else { String::new() },
            topic_id: if version < 10 { Uuid::ZERO } else { side.topic_id(topic) },
            partitions: vec![partition.clone()],
        }],
        ..Default::default()
    };
    pair.ask(version, build, |response: &mut OffsetCommitResponse| {
        for topic in &mut response.topics {
            topic.topic_id = Uuid::ZERO;
        }
    })?;
    Ok(())
}

pub(super) fn fetch_offsets(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::OffsetFetch, random);
    let everything = version >= 2 && random.one_in(3);
    let topic = sound_topic_name(random);
    let partition_indexes = vec![partition_index(random), 0];
    let group_ids = [random.choose(&SIMPLE), random.choose(&["simple-a", "", "never-used"])];
    let build = |side: &Side| match version {
        8.. => OffsetFetchRequest {
            groups: group_ids[..if everything { 1 } else { 2 }]
                .iter()
                .map(|group| OffsetFetchRequestGroup {
                    group_id: (*group).to_owned(),
                    topics: (!everything).then(|| {
                        vec![OffsetFetchRequestTopics {
                            name: if version < 10 { topic.to_owned() } else { String::new() },
                            topic_id: if version < 10 { Uuid::ZERO } else { side.topic_id(topic) },
                            partition_indexes: partition_indexes.clone(),
                        }]
                    }),
                    ..Default::default()
                })
                .collect(),
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

pub(super) fn list_groups(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::ListGroups, random);
    let words = |values: &[&str]| values.iter().map(|word| (*word).to_owned()).collect();
    let request = ListGroupsRequest {
        states_filter: match version {
            4.. => random.choose(&[vec![], words(&["Empty"]), words(&["stable"]), words(&["Odd"])]),
            _ => vec![],
        },
        types_filter: match version {
            5.. => {
                random.choose(&[vec![], words(&["classic"]), words(&["consumer"]), words(&["odd"])])
            }
            _ => vec![],
        },
    };
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            // Kafka keeps a group that a refused join has named until its next round of cleaning.
            response.groups.retain(|group| group.group_id != REFUSED);
            response.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        },
    )?;
    Ok(())
}

/// Member ids are random, and Kafka answers partition by partition of the offsets topic.
fn mask_described(response: &mut DescribeGroupsResponse) {
    response.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    for group in &mut response.groups {
        mask_text(&mut group.error_message);
        for member in &mut group.members {
            "(member)".clone_into(&mut member.member_id);
        }
    }
}

pub(super) fn describe_groups(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::DescribeGroups, random);
    let request = DescribeGroupsRequest {
        groups: vec![
            random.choose(&SIMPLE).to_owned(),
            random.choose(&["", "simple-a"]).to_owned(),
        ],
        include_authorized_operations: version >= 3 && random.one_in(2),
    };
    pair.ask(version, |_| request.clone(), mask_described)?;
    Ok(())
}

pub(super) fn delete_groups(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = DeleteGroupsRequest {
        groups_names: vec![random.choose(&["simple-b", "never-used", ""]).to_owned()],
    };
    let version = version_of(ApiKey::DeleteGroups, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            for result in &mut response.results {
                mask_text(&mut result.error_message);
            }
        },
    )?;
    Ok(())
}

fn join_request(group: &str, member_id: &str, version: i16) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: if version >= 1 { 30_000 } else { -1 },
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(b"\0\x01\0\0\0\0\xff\xff\xff\xff\0\0\0\0"),
        }],
        ..Default::default()
    }
}

/// Member ids are random; who leads and who is in stays comparable.
fn mask_joined(response: &mut JoinGroupResponse) {
    let mine = std::mem::take(&mut response.member_id);
    let rename = |id: &mut String| {
        *id = if id.is_empty() {
            ""
        } else if *id == mine {
            "(me)"
        } else {
            "(other)"
        }
        .to_owned();
    };
    rename(&mut response.leader);
    for member in &mut response.members {
        rename(&mut member.member_id);
    }
    response.member_id = if mine.is_empty() { String::new() } else { "(me)".to_owned() };
}

/// Joins that are refused at once.
pub(super) fn join(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::JoinGroup, random);
    let good = join_request(REFUSED, "", version);
    let request = match random.choose(&[0, 1, 2, 3, 4, 5]) {
        0 => JoinGroupRequest { group_id: String::new(), ..good },
        1 => JoinGroupRequest { session_timeout_ms: 1, ..good },
        2 => JoinGroupRequest { session_timeout_ms: i32::MAX, ..good },
        3 => JoinGroupRequest { member_id: "nobody".to_owned(), ..good },
        4 => JoinGroupRequest { protocols: vec![], ..good },
        _ => JoinGroupRequest { protocol_type: String::new(), ..good },
    };
    pair.ask(version, |_| request.clone(), mask_joined)?;
    Ok(())
}

pub(super) fn sync(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::SyncGroup, random);
    let request = SyncGroupRequest {
        group_id: random.choose(&["never-used", "", "simple-a"]).to_owned(),
        generation_id: random.choose(&[0, -1, 5]),
        member_id: random.choose(&["", "nobody"]).to_owned(),
        protocol_type: (version >= 5).then(|| "consumer".to_owned()),
        protocol_name: (version >= 5).then(|| "range".to_owned()),
        ..Default::default()
    };
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

pub(super) fn heartbeat(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = HeartbeatRequest {
        group_id: random.choose(&["never-used", "", "simple-a"]).to_owned(),
        generation_id: random.choose(&[0, -1, 5]),
        member_id: random.choose(&["", "nobody"]).to_owned(),
        group_instance_id: None,
    };
    let version = version_of(ApiKey::Heartbeat, random);
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

pub(super) fn leave(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::LeaveGroup, random);
    let group_id = random.choose(&["never-used", "", "simple-a"]).to_owned();
    let member_id = random.choose(&["", "nobody"]).to_owned();
    let request = match version {
        3.. => LeaveGroupRequest {
            group_id,
            members: vec![MemberIdentity { member_id, ..Default::default() }],
            ..Default::default()
        },
        _ => LeaveGroupRequest { group_id, member_id, ..Default::default() },
    };
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

/// One member's whole life in a group of its own: join, sync, beat, commit, be described, leave.
pub(super) fn life_of_a_group(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let group = format!("life-{}", random.next());
    let version = version_of(ApiKey::JoinGroup, random);
    let joined = pair.ask(version, |_| join_request(&group, "", version), mask_joined)?;
    let Some((mut flumen, mut kafka)) = joined else { return Ok(()) };
    if version >= 4 {
        (pair.flumen.member_id, pair.kafka.member_id) = (flumen.member_id, kafka.member_id);
        let again = |side: &Side| join_request(&group, &side.member_id, version);
        let Some(answers) = pair.ask(version, again, mask_joined)? else { return Ok(()) };
        (flumen, kafka) = answers;
    }
    let generation = kafka.generation_id;
    (pair.flumen.member_id, pair.kafka.member_id) = (flumen.member_id, kafka.member_id);

    let wrong = random.choose(&[0, 0, 0, 1]);
    let sync_version = version_of(ApiKey::SyncGroup, random);
    let sync = |side: &Side| SyncGroupRequest {
        group_id: group.clone(),
        generation_id: generation + wrong,
        member_id: side.member_id.clone(),
        protocol_type: (sync_version >= 5).then(|| "consumer".to_owned()),
        protocol_name: (sync_version >= 5).then(|| "range".to_owned()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: side.member_id.clone(),
            assignment: Bytes::from_static(b"yours"),
        }],
        ..Default::default()
    };
    // Strangers, whose requests must not disturb the group.
    let stranger = |_: &Side| HeartbeatRequest {
        group_id: group.clone(),
        generation_id: generation,
        member_id: "nobody".to_owned(),
        group_instance_id: None,
    };
    pair.ask(version_of(ApiKey::Heartbeat, random), stranger, |_| ())?;
    let mut incompatible = join_request(&group, "", version);
    "unknown".clone_into(&mut incompatible.protocols[0].name);
    pair.ask(version, |_| incompatible.clone(), mask_joined)?;
    pair.ask(sync_version, sync, |_| ())?;

    let age = random.choose(&[0, 0, 1]);
    let beat = |side: &Side| HeartbeatRequest {
        group_id: group.clone(),
        generation_id: generation - age,
        member_id: side.member_id.clone(),
        group_instance_id: None,
    };
    pair.ask(version_of(ApiKey::Heartbeat, random), beat, |_| ())?;

    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: 2,
        committed_metadata: Some(String::new()),
        ..Default::default()
    };
    let of_generation = generation + random.choose(&[0, 0, 1]);
    let member = (of_generation, |side: &Side| side.member_id.clone());
    let commit_version = version_of(ApiKey::OffsetCommit, random);
    commit(pair, commit_version, &group, member, "one", &partition)?;

    let describe = DescribeGroupsRequest { groups: vec![group.clone()], ..Default::default() };
    pair.ask(version_of(ApiKey::DescribeGroups, random), |_| describe.clone(), mask_described)?;
    let delete = DeleteGroupsRequest { groups_names: vec![group.clone()] };
    let delete_version = version_of(ApiKey::DeleteGroups, random);
    pair.ask(
        delete_version,
        |_| delete.clone(),
        |response| {
            for result in &mut response.results {
                mask_text(&mut result.error_message);
            }
        },
    )?;

    let leave_version = version_of(ApiKey::LeaveGroup, random);
    let leave = |side: &Side| match leave_version {
        3.. => LeaveGroupRequest {
            group_id: group.clone(),
            members: vec![MemberIdentity {
                member_id: side.member_id.clone(),
                ..Default::default()
            }],
            ..Default::default()
        },
        _ => LeaveGroupRequest {
            group_id: group.clone(),
            member_id: side.member_id.clone(),
            ..Default::default()
        },
    };
    pair.ask(leave_version, leave, |response| {
        for member in &mut response.members {
            member.member_id.clear();
        }
    })?;
    pair.ask(
        delete_version,
        |_| delete.clone(),
        |response| {
            for result in &mut response.results {
                mask_text(&mut result.error_message);
            }
        },
    )?;
    Ok(())
}
