//! Rounds of a group in which one member waits for another, on two connections.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use flumen_protocol::ApiKey;
use flumen_protocol::messages::delete_groups::DeleteGroupsRequest;
use flumen_protocol::messages::describe_groups::DescribeGroupsRequest;
use flumen_protocol::messages::heartbeat::HeartbeatRequest;
use flumen_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use flumen_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::commits::commit_as;
use super::groups::{mask_deleted, mask_described};
use super::members::{
    heartbeat_request, join_request, leave_request, mask_joined, mask_left, note_member,
    sync_request,
};
use super::version_of;
use crate::line::Outcome;
use crate::pair::Pair;
use crate::random::Random;
use crate::side::Side;

const FIRST: &str = "first";
const SECOND: &str = "second";
const INSTANCE: &str = "instance-1";

/// From this version of JoinGroup on a new member is refused at first, and told its id.
const GIVES_ID_FIRST: i16 = 4;

const REBALANCE_IN_PROGRESS: i16 = 27;

/// What two members support, which decides what is chosen. Their votes are never split: a tie goes to
/// the first in a hash table in Kafka, and to what the leader likes better in Flumen.
const LIKES: [(&[&str], &[&str]); 5] = [
    (&["range"], &["range"]),
    (&["range", "sticky"], &["range", "sticky"]),
    (&["sticky", "range"], &["range"]),
    (&["range"], &["sticky", "range"]),
    (&["range", "sticky"], &["none", "range", "sticky"]),
];

/// One member is at work, another comes: both join again, the leader assigns, one leaves.
pub(super) fn two_members(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let group = format!("two-{}", random.next());
    let version = version_of(ApiKey::JoinGroup, random);
    let sync_version = version_of(ApiKey::SyncGroup, random);
    let (first_likes, second_likes) = random.choose(&LIKES);
    let join = |member: &'static str, likes: &'static [&'static str]| {
        let group = group.clone();
        move |side: &Side| JoinGroupRequest {
            protocols: likes.iter().map(|name| protocol(name)).collect(),
            ..join_request(&group, &side.member_id(member), version)
        }
    };
    note_member(pair, FIRST, None);
    note_member(pair, SECOND, None);
    for _ in 0..if version >= GIVES_ID_FIRST { 2 } else { 1 } {
        let answers = pair.ask(version, join(FIRST, first_likes), mask_joined)?;
        note_member(pair, FIRST, answers.as_ref());
    }
    let assign = |generation: i32| {
        let group = group.clone();
        move |side: &Side| sync_request(&group, generation, &side.member_id(FIRST), 0)
    };
    pair.ask(0, assign(1), |_| ())?;

    if version >= GIVES_ID_FIRST {
        let answers = pair.ask(version, join(SECOND, second_likes), mask_joined)?;
        note_member(pair, SECOND, answers.as_ref());
    }
    let waiting = pair.start(version, join(SECOND, second_likes))?;
    await_rebalance(pair, &group)?;
    describe(pair, &group, random)?;
    let commit_version = version_of(ApiKey::OffsetCommit, random);
    let first = |side: &Side| side.member_id(FIRST);
    commit_as(pair, commit_version, &group, (1, &first, None))?;
    let answers = pair.ask(version, join(FIRST, first_likes), mask_joined)?;
    note_member(pair, FIRST, answers.as_ref());
    let answers = pair.finish(&waiting, mask_joined)?;
    note_member(pair, SECOND, answers.as_ref());
    let Some((_, kafka)) = answers else { return Ok(()) };
    let generation = kafka.generation_id;

    describe(pair, &group, random)?;
    commit_as(pair, commit_version, &group, (generation, &first, None))?;
    let follow = |side: &Side| SyncGroupRequest {
        assignments: vec![],
        ..sync_request(&group, generation, &side.member_id(SECOND), 0)
    };
    let following = pair.start(0, follow)?;
    let chosen = kafka.protocol_name.unwrap_or_default();
    let lead = |side: &Side| SyncGroupRequest {
        protocol_name: (sync_version >= 5).then(|| chosen.clone()),
        assignments: vec![assignment(side, FIRST, b"a"), assignment(side, SECOND, b"b")],
        ..sync_request(&group, generation, &side.member_id(FIRST), sync_version)
    };
    pair.ask(sync_version, lead, |_| ())?;
    pair.finish(&following, |_| ())?;
    describe(pair, &group, random)?;

    let leave_version = version_of(ApiKey::LeaveGroup, random);
    let leavers = |side: &Side| {
        [(side.member_id(SECOND), None), ("nobody".to_owned(), None), (side.member_id(FIRST), None)]
    };
    let leave = |side: &Side| leave_request(&group, &leavers(side), leave_version);
    pair.ask(leave_version, leave, mask_left)?;
    let beat = |side: &Side| heartbeat_request(&group, generation, &side.member_id(FIRST));
    pair.ask(version_of(ApiKey::Heartbeat, random), beat, |_| ())?;
    describe(pair, &group, random)?;
    // Whoever is left goes, so that no session ends in the middle of another operation.
    pair.ask(3, |side| leave_request(&group, &leavers(side)[2..], 3), mask_left)?;
    delete(pair, group)
}

/// A static member comes back under a new id: its former self is fenced, its assignment stays.
pub(super) fn static_member(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let group = format!("static-{}", random.next());
    let version = random.choose(&[5, 6, 7, 8, 9]);
    let named =
        |request| JoinGroupRequest { group_instance_id: Some(INSTANCE.to_owned()), ..request };
    let fresh = |_: &Side| named(join_request(&group, "", version));
    note_member(pair, SECOND, None);
    let joined = pair.ask(version, fresh, mask_joined)?;
    note_member(pair, FIRST, joined.as_ref());
    if random.one_in(2) {
        let sync = |side: &Side| SyncGroupRequest {
            group_instance_id: Some(INSTANCE.to_owned()),
            ..sync_request(&group, 1, &side.member_id(FIRST), 5)
        };
        pair.ask(5, sync, |_| ())?;
    }
    let rejoined = pair.ask(version, fresh, mask_joined)?;
    note_member(pair, SECOND, rejoined.as_ref());
    let Some((_, kafka)) = rejoined else { return Ok(()) };
    describe(pair, &group, random)?;

    let generation = kafka.generation_id + random.choose(&[0, 0, 1]);
    let instance = random.choose(&[Some(INSTANCE), Some(INSTANCE), Some("another"), None]);
    for member in [FIRST, SECOND] {
        let instance = instance.map(ToOwned::to_owned);
        let sync = |side: &Side| SyncGroupRequest {
            group_instance_id: instance.clone(),
            ..sync_request(&group, generation, &side.member_id(member), 5)
        };
        pair.ask(5, sync, |_| ())?;
        let beat = |side: &Side| HeartbeatRequest {
            group_instance_id: instance.clone(),
            ..heartbeat_request(&group, generation, &side.member_id(member))
        };
        pair.ask(random.choose(&[3, 4]), beat, |_| ())?;
        let id = |side: &Side| side.member_id(member);
        let commit_version = random.choose(&[7, 8, 9, 10]);
        commit_as(pair, commit_version, &group, (generation, &id, instance.as_deref()))?;
        let again = |side: &Side| named(join_request(&group, &side.member_id(member), version));
        let answers = pair.ask(version, again, mask_joined)?;
        if member == SECOND && answers.as_ref().is_some_and(|(_, kafka)| kafka.error_code == 0) {
            note_member(pair, SECOND, answers.as_ref());
        }
    }
    let leave_version = random.choose(&[3, 4, 5]);
    for member in [FIRST, SECOND] {
        let id = |side: &Side| side.member_id(member);
        let leave =
            |side: &Side| leave_request(&group, &[(id(side), Some(INSTANCE))], leave_version);
        pair.ask(leave_version, leave, mask_left)?;
    }
    // As an operator takes a member out: by its instance alone.
    let evict = |_: &Side| leave_request(&group, &[(String::new(), Some(INSTANCE))], leave_version);
    pair.ask(leave_version, evict, mask_left)?;
    describe(pair, &group, random)?;
    delete(pair, group)
}

fn delete(pair: &mut Pair, group: String) -> Result<()> {
    let request = DeleteGroupsRequest { groups_names: vec![group] };
    pair.ask(2, |_| request.clone(), mask_deleted)?;
    Ok(())
}

fn protocol(name: &str) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol {
        name: name.to_owned(),
        metadata: Bytes::from_static(b"\0\x01\0\0\0\0\xff\xff\xff\xff\0\0\0\0"),
    }
}

fn assignment(side: &Side, member: &str, bytes: &'static [u8]) -> SyncGroupRequestAssignment {
    SyncGroupRequestAssignment {
        member_id: side.member_id(member),
        assignment: Bytes::from_static(bytes),
    }
}

/// Beats for the first member until it is told that the second one has come.
fn await_rebalance(pair: &mut Pair, group: &str) -> Result<()> {
    const ATTEMPTS: u32 = 200;
    for side in pair.sides() {
        let beat = heartbeat_request(group, 1, &side.member_id(FIRST));
        for attempt in 0.. {
            match side.line.call(&beat, 0)? {
                Outcome::Answer(answer) if answer.error_code == REBALANCE_IN_PROGRESS => break,
                Outcome::Answer(_) if attempt < ATTEMPTS => sleep(Duration::from_millis(20)),
                other => bail!("{} does not rebalance {group}: {other:?}", side.name),
            }
        }
    }
    Ok(())
}

fn describe(pair: &mut Pair, group: &str, random: &mut Random) -> Result<()> {
    let request = DescribeGroupsRequest { groups: vec![group.to_owned()], ..Default::default() };
    pair.ask(
        version_of(ApiKey::DescribeGroups, random),
        |_| request.clone(),
        |response| {
            mask_described(response);
            for group in &mut response.groups {
                group.members.sort_by(|a, b| a.member_assignment.cmp(&b.member_assignment));
            }
        },
    )?;
    Ok(())
}
