//! Finds, lists, describes and deletes groups.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use flumen_protocol::ApiKey;
use flumen_protocol::messages::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use flumen_protocol::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use flumen_protocol::messages::find_coordinator::{
    FindCoordinatorRequest, FindCoordinatorResponse,
};
use flumen_protocol::messages::heartbeat::HeartbeatRequest;
use flumen_protocol::messages::list_groups::ListGroupsRequest;

use super::{mask_text, version_of};
use crate::line::Outcome;
use crate::pair::Pair;
use crate::random::Random;

/// Groups without members, in which offsets are committed.
pub(super) const SIMPLE: [&str; 3] = ["simple-a", "simple-b", "never-used"];

/// A group that nobody ever gets into.
pub(super) const REFUSED: &str = "refused";

/// Asks for a coordinator until there is one: the first question creates the offsets topic.
pub(super) fn create_offsets_topic(pair: &mut Pair) -> Result<()> {
    const ATTEMPTS: u32 = 100;
    let request = FindCoordinatorRequest { key: "any".to_owned(), ..Default::default() };
    for side in pair.sides() {
        for attempt in 0.. {
            match side.line.call(&request, 2)? {
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
        for side in pair.sides() {
            for attempt in 0.. {
                match side.line.call(&request, 0)? {
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
pub(super) fn mask_described(response: &mut DescribeGroupsResponse) {
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
    let groups_names = (0..random.choose(&[0, 1, 1, 1, 2]))
        .map(|_| random.choose(&["simple-b", "never-used", ""]).to_owned())
        .collect();
    let request = DeleteGroupsRequest { groups_names };
    let version = version_of(ApiKey::DeleteGroups, random);
    pair.ask(version, |_| request.clone(), mask_deleted)?;
    Ok(())
}

/// Kafka answers partition by partition of the offsets topic.
pub(super) fn mask_deleted(response: &mut DeleteGroupsResponse) {
    response.results.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    for result in &mut response.results {
        mask_text(&mut result.error_message);
    }
}
