//! Joins, syncs, beats and leaves; each wrongly alone, and rightly in one member's life.

use anyhow::Result;
use bytes::Bytes;
use flumen_protocol::ApiKey;
use flumen_protocol::messages::delete_groups::DeleteGroupsRequest;
use flumen_protocol::messages::describe_groups::DescribeGroupsRequest;
use flumen_protocol::messages::heartbeat::HeartbeatRequest;
use flumen_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use flumen_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity,
};
use flumen_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::commits::commit_as;
use super::groups::{REFUSED, mask_deleted, mask_described};
use super::version_of;
use crate::pair::Pair;
use crate::random::Random;
use crate::side::Side;

/// What the member of a group with one member is called here.
const ALONE: &str = "alone";

pub(super) fn join_request(group: &str, member_id: &str, version: i16) -> JoinGroupRequest {
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
pub(super) fn mask_joined(response: &mut JoinGroupResponse) {
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
    // Kafka names members in the order of a hash table.
    response.members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    response.member_id = if mine.is_empty() { String::new() } else { "(me)".to_owned() };
}

/// Joins that are refused at once.
pub(super) fn join(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::JoinGroup, random);
    let good = join_request(REFUSED, "", version);
    let request = match random.choose(&[0, 1, 2, 3, 4, 5, 6, 7, 8]) {
        0 => JoinGroupRequest { group_id: String::new(), ..good },
        1 => JoinGroupRequest { session_timeout_ms: 1, ..good },
        2 => JoinGroupRequest { session_timeout_ms: i32::MAX, ..good },
        3 => JoinGroupRequest { member_id: "nobody".to_owned(), ..good },
        4 => JoinGroupRequest { protocols: vec![], ..good },
        5 => JoinGroupRequest { session_timeout_ms: -1, ..good },
        6 if version >= 5 => JoinGroupRequest {
            member_id: "nobody".to_owned(),
            group_instance_id: Some("nobody's".to_owned()),
            ..good
        },
        7 if version >= 5 => {
            JoinGroupRequest { group_instance_id: Some("bad/name".to_owned()), ..good }
        }
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
        group_instance_id: instance(version >= 3, random),
        protocol_type: (version >= 5).then(|| "consumer".to_owned()),
        protocol_name: random.choose(&[Some("range".to_owned()), None]).filter(|_| version >= 5),
        ..Default::default()
    };
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

/// Who a static member says it is.
fn instance(is_carried: bool, random: &mut Random) -> Option<String> {
    random.choose(&[None, None, Some("nobody's"), Some("")]).filter(|_| is_carried).map(Into::into)
}

pub(super) fn heartbeat(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Heartbeat, random);
    let request = HeartbeatRequest {
        group_id: random.choose(&["never-used", "", "simple-a"]).to_owned(),
        generation_id: random.choose(&[0, -1, 5]),
        member_id: random.choose(&["", "nobody"]).to_owned(),
        group_instance_id: instance(version >= 3, random),
    };
    pair.ask(version, |_| request.clone(), |_| ())?;
    Ok(())
}

pub(super) fn leave(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::LeaveGroup, random);
    let group = random.choose(&["never-used", "", "simple-a"]);
    let members: Vec<_> = (0..random.choose(&[1, 1, 2, 0]))
        .map(|_| {
            let member_id = random.choose(&["", "nobody"]).to_owned();
            (member_id, random.choose(&[None, None, Some("nobody's")]))
        })
        .collect();
    pair.ask(version, |_| leave_request(group, &members, version), |_| ())?;
    Ok(())
}

/// One member's whole life in a group of its own: join, sync, beat, commit, be described, leave.
pub(super) fn life_of_a_group(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let group = format!("life-{}", random.next());
    let version = version_of(ApiKey::JoinGroup, random);
    let Some(generation) = join_alone(pair, &group, version)? else { return Ok(()) };

    let wrong = random.choose(&[0, 0, 0, 1]);
    let sync_version = version_of(ApiKey::SyncGroup, random);
    let protocol = random.choose(&["range", "range", "range", "other"]);
    let sync = |side: &Side| SyncGroupRequest {
        protocol_name: (sync_version >= 5).then(|| protocol.to_owned()),
        ..sync_request(&group, generation + wrong, &side.member_id(ALONE), sync_version)
    };
    // Strangers, whose requests must not disturb the group.
    let stranger = |_: &Side| heartbeat_request(&group, generation, "nobody");
    pair.ask(version_of(ApiKey::Heartbeat, random), stranger, |_| ())?;
    let mut incompatible = join_request(&group, "", version);
    "unknown".clone_into(&mut incompatible.protocols[0].name);
    pair.ask(version, |_| incompatible.clone(), mask_joined)?;
    pair.ask(sync_version, sync, |_| ())?;

    let age = random.choose(&[0, 0, 1]);
    let beat = |side: &Side| heartbeat_request(&group, generation - age, &side.member_id(ALONE));
    pair.ask(version_of(ApiKey::Heartbeat, random), beat, |_| ())?;

    let of_generation = generation + random.choose(&[0, 0, 1]);
    let commit_version = version_of(ApiKey::OffsetCommit, random);
    let member = |side: &Side| side.member_id(ALONE);
    commit_as(pair, commit_version, &group, (of_generation, &member, None))?;

    let describe = DescribeGroupsRequest { groups: vec![group.clone()], ..Default::default() };
    pair.ask(version_of(ApiKey::DescribeGroups, random), |_| describe.clone(), mask_described)?;
    let delete = DeleteGroupsRequest { groups_names: vec![group.clone()] };
    let delete_version = version_of(ApiKey::DeleteGroups, random);
    pair.ask(delete_version, |_| delete.clone(), mask_deleted)?;

    let leave_version = version_of(ApiKey::LeaveGroup, random);
    let leave =
        |side: &Side| leave_request(&group, &[(side.member_id(ALONE), None)], leave_version);
    pair.ask(leave_version, leave, mask_left)?;
    pair.ask(delete_version, |_| delete.clone(), mask_deleted)?;
    Ok(())
}

/// The only member joins; gives the generation.
fn join_alone(pair: &mut Pair, group: &str, version: i16) -> Result<Option<i32>> {
    note_member(pair, ALONE, None);
    for _ in 0..if version >= 4 { 2 } else { 1 } {
        let join = |side: &Side| join_request(group, &side.member_id(ALONE), version);
        let Some(answers) = pair.ask(version, join, mask_joined)? else { return Ok(None) };
        note_member(pair, ALONE, Some(&answers));
        if version < 4 || answers.1.error_code == 0 {
            return Ok(Some(answers.1.generation_id));
        }
    }
    Ok(None)
}

/// Remembers the ids that the sides gave a member.
pub(super) fn note_member(
    pair: &mut Pair,
    member: &'static str,
    answers: Option<&(JoinGroupResponse, JoinGroupResponse)>,
) {
    let ids = answers.map(|(flumen, kafka)| (flumen.member_id.clone(), kafka.member_id.clone()));
    let (flumen, kafka) = ids.unwrap_or_default();
    pair.flumen.member_ids.insert(member, flumen);
    pair.kafka.member_ids.insert(member, kafka);
}

pub(super) fn sync_request(
    group: &str,
    generation_id: i32,
    member_id: &str,
    version: i16,
) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        protocol_type: (version >= 5).then(|| "consumer".to_owned()),
        protocol_name: (version >= 5).then(|| "range".to_owned()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member_id.to_owned(),
            assignment: Bytes::from_static(b"yours"),
        }],
        ..Default::default()
    }
}

pub(super) fn heartbeat_request(
    group: &str,
    generation_id: i32,
    member_id: &str,
) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        group_instance_id: None,
    }
}

/// Old versions take one member, which is the first.
pub(super) fn leave_request(
    group: &str,
    members: &[(String, Option<&str>)],
    version: i16,
) -> LeaveGroupRequest {
    let group_id = group.to_owned();
    match version {
        3.. => LeaveGroupRequest {
            group_id,
            members: members
                .iter()
                .map(|(member_id, instance)| MemberIdentity {
                    member_id: member_id.clone(),
                    group_instance_id: instance.map(ToOwned::to_owned),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        },
        _ => {
            let member_id = members.first().map(|(id, _)| id.clone()).unwrap_or_default();
            LeaveGroupRequest { group_id, member_id, ..Default::default() }
        }
    }
}

/// Member ids are random.
pub(super) fn mask_left(response: &mut LeaveGroupResponse) {
    for member in &mut response.members {
        member.member_id.truncate(usize::from(!member.member_id.is_empty()));
    }
}
