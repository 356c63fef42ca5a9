//! Rounds of a rebalance, assignments, heartbeats and silence.

use super::*;

#[test]
fn an_empty_group_waits_for_more_members_but_not_for_ever() {
    let mut script = Script::new();
    let (_, first) = script.enter(&["range"]);
    // A trickle of members, one in each delay, puts the start off up to the rebalance timeout.
    let mut waited_ms = 0;
    while script.is_waiting(first) {
        script.advance(INITIAL_DELAY_MS - 1);
        script.enter(&["range"]);
        script.advance(1);
        waited_ms += INITIAL_DELAY_MS;
        assert!(waited_ms <= i64::from(REBALANCE_MS), "capped");
    }
    assert_eq!(waited_ms, i64::from(REBALANCE_MS));
    assert_eq!(script.joined(first).generation, 1);
}

#[test]
fn without_newcomers_the_first_delay_is_the_only_one() {
    let mut script = Script::new();
    let (_, ticket) = script.enter(&["range"]);
    script.advance(INITIAL_DELAY_MS - 1);
    assert!(script.is_waiting(ticket));
    script.advance(1);
    assert_eq!(script.joined(ticket).generation, 1);
}

#[test]
fn all_members_get_the_generation_and_only_the_leader_the_members() {
    let mut script = Script::new();
    let (leader, first) = script.enter(&["range"]);
    let (follower, second) = script.enter(&["range"]);
    script.advance(3 * INITIAL_DELAY_MS);
    let (first, second) = (script.joined(first), script.joined(second));
    assert_eq!(first.leader, leader);
    assert_eq!(second.leader, leader);
    let ids: Vec<_> = first.members.iter().map(|member| member.member_id.clone()).collect();
    assert_eq!(ids, [leader, follower]);
    assert_eq!(first.members[0].metadata, subscription(&[TOPIC]));
    assert!(second.members.is_empty());
    assert_eq!(second.protocol_name.as_deref(), Some("range"));
}

#[test]
fn followers_wait_for_the_leaders_assignment_to_be_committed() {
    let mut script = Script::new();
    let (leader, _) = script.enter(&["range"]);
    let (follower, _) = script.enter(&["range"]);
    script.advance(3 * INITIAL_DELAY_MS);
    let waiting = script.sync(sync_request(&follower, 1));
    assert!(script.is_waiting(waiting));
    script.holds_commits = true;
    let mut request = sync_request(&leader, 1);
    request.assignments.insert(follower.clone(), assignment(&follower, 1));
    let leading = script.sync(request);
    assert!(script.is_waiting(waiting) && script.is_waiting(leading));
    assert_eq!(script.state(), GroupState::CompletingRebalance);
    script.commit_all();
    assert_eq!(script.state(), GroupState::Stable);
    assert_eq!(script.sync_result(waiting).unwrap(), assignment(&follower, 1));
    assert_eq!(script.sync_result(leading).unwrap(), Bytes::new(), "nothing was assigned to it");
    // Whoever asks later gets it at once.
    let late = script.sync(sync_request(&follower, 1));
    assert_eq!(script.sync_result(late).unwrap(), assignment(&follower, 1));
}

#[test]
fn an_assignment_committed_too_late_is_nobodys() {
    let mut script = Script::new();
    let (leader, _) = script.enter(&["range"]);
    script.advance(INITIAL_DELAY_MS);
    script.advance(INITIAL_DELAY_MS);
    script.holds_commits = true;
    let syncing = script.sync(sync_request(&leader, 1));
    let (_, newcomer) = script.enter(&["range"]);
    assert_eq!(script.sync_result(syncing), Err(GroupError::RebalanceInProgress));
    script.commit_all();
    assert_eq!(script.state(), GroupState::PreparingRebalance);
    let rejoining = script.join(join_request(&leader, &["range"]));
    assert_eq!(script.joined(rejoining).generation, 2);
    assert_eq!(script.joined(newcomer).generation, 2);
}

#[test]
fn an_assignment_that_cannot_be_stored_starts_the_rebalance_again() {
    let mut script = Script::new();
    let (leader, _) = script.enter(&["range"]);
    script.advance(2 * INITIAL_DELAY_MS);
    let ticket = Ticket(99);
    let mut effects = Effects::default();
    let request = sync_request(&leader, 1);
    script.shard.sync(script.now, ticket, request, &mut effects);
    let event = effects.on_committed.pop().unwrap();
    script.run(|shard, now, effects| shard.on_refused(now, event, effects));
    assert_eq!(script.sync_result(ticket), Err(GroupError::RebalanceInProgress));
    assert_eq!(script.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_follower_that_rejoins_as_it_was_disturbs_nobody() {
    let mut script = Script::new();
    let members = script.stable_group(3);
    let leader = script.leader();
    let follower = members.iter().find(|&id| *id != leader).unwrap();
    let ticket = script.join(join_request(follower, &["range"]));
    let joined = script.joined(ticket);
    assert_eq!((joined.generation, joined.members.len()), (1, 0));
    assert_eq!(script.state(), GroupState::Stable);

    let changed = script.join(join_request(follower, &["sticky", "range"]));
    assert!(script.is_waiting(changed));
    assert_eq!(script.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_leader_that_rejoins_asks_for_a_rebalance() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    let leader = script.leader();
    let follower = members.iter().find(|&id| *id != leader).unwrap().clone();
    let first = script.join(join_request(&leader, &["range"]));
    assert!(script.is_waiting(first));
    assert_eq!(script.heartbeat(&follower, 1), Err(GroupError::RebalanceInProgress));
    let second = script.join(join_request(&follower, &["range"]));
    assert_eq!(script.joined(first).generation, 2);
    assert_eq!(script.joined(second).leader, leader);
}

#[test]
fn a_join_answer_lost_on_the_way_is_repeated() {
    let mut script = Script::new();
    let (leader, _) = script.enter(&["range"]);
    let (follower, _) = script.enter(&["range"]);
    script.advance(3 * INITIAL_DELAY_MS);
    for (id, members) in [(&leader, 2), (&follower, 0)] {
        let again = script.join(join_request(id, &["range"]));
        let joined = script.joined(again);
        assert_eq!((joined.generation, joined.members.len()), (1, members));
    }
    assert_eq!(script.state(), GroupState::CompletingRebalance);
    let changed = script.join(join_request(&follower, &["sticky", "range"]));
    assert!(script.is_waiting(changed));
    assert_eq!(script.state(), GroupState::PreparingRebalance);
}

#[test]
fn members_that_do_not_rejoin_in_time_are_dropped() {
    let mut script = Script::new();
    let members = script.stable_group(3);
    let leader = script.leader();
    let (newcomer, ticket) = script.enter(&["range"]);
    let alive: Vec<_> = members.iter().collect();
    script.advance_with_heartbeats(i64::from(REBALANCE_MS), &alive);
    let joined = script.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (2, newcomer.as_str()));
    assert_eq!(script.heartbeat(&leader, 1), Err(GroupError::UnknownMember));
}

#[test]
fn a_silent_member_is_dropped_and_the_rest_rebalances() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    script.advance_with_heartbeats(2 * i64::from(SESSION_MS), &[&members[0]]);
    assert_eq!(script.state(), GroupState::PreparingRebalance);
    assert_eq!(script.heartbeat(&members[1], 1), Err(GroupError::UnknownMember));
    let ticket = script.join(join_request(&members[0], &["range"]));
    assert_eq!(script.joined(ticket).members.len(), 1, "it leads now whoever led before");
}

#[test]
fn a_member_that_waits_is_not_silent() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    let (_, newcomer) = script.enter(&["range"]);
    let ticket = script.join(join_request(&members[0], &["range"]));
    // Far beyond the session timeout, but within the rebalance timeout.
    script.advance_with_heartbeats(4 * i64::from(SESSION_MS), &[&members[1]]);
    assert!(script.is_waiting(ticket) && script.is_waiting(newcomer));
    let last = script.join(join_request(&members[1], &["range"]));
    for ticket in [ticket, newcomer, last] {
        assert_eq!(script.joined(ticket).generation, 2);
    }
}

#[test]
fn members_that_never_fetch_their_assignment_are_dropped() {
    let mut script = Script::new();
    let members = script.stable_group(3);
    let tickets: Vec<_> =
        members.iter().map(|id| script.join(join_request(id, &["range", "x"]))).collect();
    for ticket in tickets {
        assert_eq!(script.joined(ticket).generation, 2);
    }
    let leader = script.leader();
    let mute = members.iter().find(|&id| *id != leader).unwrap();
    let alive: Vec<_> = members.iter().collect();
    for id in members.iter().filter(|&id| id != mute) {
        script.sync(sync_request(id, 2));
    }
    assert_eq!(script.state(), GroupState::Stable);
    script.advance_with_heartbeats(i64::from(REBALANCE_MS), &alive);
    assert_eq!(script.state(), GroupState::PreparingRebalance);
    assert_eq!(script.heartbeat(mute, 2), Err(GroupError::UnknownMember));
}

#[test]
fn a_leader_that_never_assigns_is_dropped() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    for id in &members {
        script.join(join_request(id, &["range", "x"]));
    }
    let leader = script.leader();
    let follower = members.iter().find(|&id| *id != leader).unwrap();
    let waiting = script.sync(sync_request(follower, 2));
    script.advance_with_heartbeats(i64::from(REBALANCE_MS), &[&leader]);
    assert_eq!(script.sync_result(waiting), Err(GroupError::RebalanceInProgress));
    let ticket = script.join(join_request(follower, &["range", "x"]));
    assert_eq!(script.joined(ticket).leader, *follower);
}

#[test]
fn leaving_rebalances_the_rest_and_the_last_one_leaves_an_empty_group() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    let results = script.leave(&[leaver(&members[0]), leaver("nobody")]);
    assert_eq!(results, [Ok(()), Err(GroupError::UnknownMember)]);
    assert_eq!(script.state(), GroupState::PreparingRebalance);
    assert_eq!(script.leave(&[leaver(&members[1])]), [Ok(())]);
    assert_eq!(script.state(), GroupState::Empty);
    assert_eq!(script.generation(), 2);
    script.reload();
    assert_eq!((script.state(), script.generation()), (GroupState::Empty, 2));
    let ticket = script.sync(sync_request(&members[1], 2));
    assert_eq!(script.sync_result(ticket), Err(GroupError::UnknownMember));
}

#[test]
fn a_member_that_leaves_while_it_waits_is_told() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    let ticket = script.join(join_request(&members[0], &["x", "range"]));
    script.leave(&[leaver(&members[0])]);
    assert_eq!(script.join_error(ticket), GroupError::UnknownMember);
}

#[test]
fn a_pending_member_holds_a_rebalance_up_until_it_expires_or_leaves() {
    let mut script = Script::new();
    let members = script.stable_group(1);
    let pending = script.join(join_request("", &["range"]));
    let pending_id = script.join_result(pending).unwrap_err().member_id;
    let rejoin = script.join(join_request(&members[0], &["range"]));
    assert!(script.is_waiting(rejoin));
    assert_eq!(script.leave(&[leaver(&pending_id)]), [Ok(())]);
    assert_eq!(script.joined(rejoin).generation, 2);

    script.join(join_request("", &["range"]));
    let rejoin = script.join(join_request(&members[0], &["other", "range"]));
    assert!(script.is_waiting(rejoin));
    script.advance(i64::from(SESSION_MS));
    assert_eq!(script.joined(rejoin).generation, 3);
}

#[test]
fn generations_and_protocols_are_checked_everywhere() {
    let mut script = Script::new();
    let members = script.stable_group(1);
    let id = &members[0];
    let stale = GroupError::IllegalGeneration { given: 7, current: 1 };
    assert_eq!(script.heartbeat(id, 7), Err(stale.clone()));
    assert_eq!(script.heartbeat("nobody", 1), Err(GroupError::UnknownMember));
    let ticket = script.sync(sync_request(id, 7));
    assert_eq!(script.sync_result(ticket), Err(stale));
    for request in [
        SyncRequest { protocol_type: Some("connect".to_owned()), ..sync_request(id, 1) },
        SyncRequest { protocol_name: Some("sticky".to_owned()), ..sync_request(id, 1) },
    ] {
        let ticket = script.sync(request);
        assert_eq!(script.sync_result(ticket), Err(GroupError::InconsistentProtocol));
    }
    let elsewhere = SyncRequest { group_id: "other".to_owned(), ..sync_request(id, 1) };
    let ticket = script.sync(elsewhere);
    assert_eq!(script.sync_result(ticket), Err(GroupError::UnknownMember));
}

#[test]
fn a_group_is_stable_again_after_a_failover() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    let described = script.shard.describe(GROUP).unwrap();
    script.reload();
    assert_eq!(script.shard.describe(GROUP).unwrap(), described);
    for id in &members {
        assert_eq!(script.heartbeat(id, 1), Ok(()));
        let ticket = script.sync(sync_request(id, 1));
        assert_eq!(script.sync_result(ticket).unwrap(), assignment(id, 1));
    }
    // Sessions count from the load.
    script.advance_with_heartbeats(2 * i64::from(SESSION_MS), &[&members[0]]);
    assert_eq!(script.state(), GroupState::PreparingRebalance);
}

#[test]
fn a_group_on_the_move_shows_members_and_what_they_had() {
    let mut script = Script::new();
    script.stable_group(1);
    let stable = script.shard.describe(GROUP).unwrap();
    assert_eq!((stable.state.name(), stable.protocol.as_str()), ("Stable", "range"));
    assert_eq!(stable.members[0].metadata, subscription(&[TOPIC]));
    assert_eq!(stable.members[0].client_host, "/127.0.0.1");
    script.enter(&["range"]);
    let moving = script.shard.describe(GROUP).unwrap();
    assert_eq!((moving.state.name(), moving.protocol.as_str()), ("PreparingRebalance", ""));
    assert_eq!(moving.members.len(), 2);
    assert!(moving.members.iter().all(|member| member.metadata.is_empty()));
    let mut assignments: Vec<_> =
        moving.members.iter().map(|member| member.assignment.clone()).collect();
    assignments.sort();
    assert_eq!(assignments, [Bytes::new(), stable.members[0].assignment.clone()]);
    assert_ne!(assignments[0], assignments[1]);
}
