//! Static members (KIP-345): restarts without a rebalance, and protection from a double.

use super::*;

fn static_join(member_id: &str, instance_id: &str) -> JoinRequest {
    JoinRequest { instance_id: Some(instance_id.to_owned()), ..join_request(member_id, &["range"]) }
}

/// A stable group of static members `a` (the leader) and `b`, and their ids.
fn static_group(script: &mut Script) -> Vec<String> {
    let first = script.join(static_join("", "a"));
    let second = script.join(static_join("", "b"));
    script.advance(3 * INITIAL_DELAY_MS);
    let members = vec![script.joined(first).member_id, script.joined(second).member_id];
    script.sync_all(&members, 1);
    members
}

#[test]
fn a_static_member_is_let_in_at_the_first_join() {
    let mut script = Script::new();
    let members = static_group(&mut script);
    assert_eq!(members, ["a-id1", "b-id2"]);
    assert_eq!(script.leader(), "a-id1");
}

#[test]
fn a_restarted_follower_keeps_its_assignment_without_a_rebalance() {
    let mut script = Script::new();
    let members = static_group(&mut script);
    script.holds_commits = true;
    let ticket = script.join(static_join("", "b"));
    assert!(script.is_waiting(ticket), "the new id has to be on record first");
    script.commit_all();
    let joined = script.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (1, "a-id1"));
    assert!(joined.members.is_empty() && !joined.skip_assignment);
    assert_ne!(joined.member_id, members[1]);

    let request =
        SyncRequest { instance_id: Some("b".to_owned()), ..sync_request(&joined.member_id, 1) };
    let ticket = script.sync(request);
    assert_eq!(script.sync_result(ticket).unwrap(), assignment(&members[1], 1));
    script.reload();
    assert!(script.shard.groups[GROUP].members.contains_key(&joined.member_id));
    assert!(!script.shard.groups[GROUP].members.contains_key(&members[1]));
}

#[test]
fn the_former_self_of_a_static_member_is_fenced() {
    let mut script = Script::new();
    let members = static_group(&mut script);
    script.join(static_join("", "b"));
    let old = &members[1];
    let fenced =
        script.run(|shard, now, effects| shard.heartbeat(now, GROUP, old, Some("b"), 1, effects));
    assert_eq!(fenced, Err(GroupError::FencedInstance));
    let ticket = script.join(static_join(old, "b"));
    assert_eq!(script.join_error(ticket), GroupError::FencedInstance);
    let ticket =
        script.sync(SyncRequest { instance_id: Some("b".to_owned()), ..sync_request(old, 1) });
    assert_eq!(script.sync_result(ticket), Err(GroupError::FencedInstance));
    let leaver = Leaver { instance_id: Some("b".to_owned()), ..leaver(old) };
    assert_eq!(script.leave(&[leaver]), [Err(GroupError::FencedInstance)]);
    assert_eq!(script.heartbeat(old, 1), Err(GroupError::UnknownMember));
    assert_eq!(script.state(), GroupState::Stable);
}

#[test]
fn a_restarted_leader_leads_on_and_may_skip_assigning() {
    let mut script = Script::new();
    static_group(&mut script);
    let ticket = script.join(static_join("", "a"));
    let joined = script.joined(ticket);
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.skip_assignment);
    assert_eq!(joined.members.len(), 2);
}

#[test]
fn a_restarted_leader_that_cannot_skip_takes_itself_for_a_follower() {
    let mut script = Script::new();
    let members = static_group(&mut script);
    let ticket =
        script.join(JoinRequest { supports_skipping_assignment: false, ..static_join("", "a") });
    let joined = script.joined(ticket);
    assert_eq!(joined.leader, members[0]);
    assert_eq!(script.leader(), joined.member_id);
    assert!(joined.members.is_empty() && !joined.skip_assignment);
}

#[test]
fn a_restart_that_changes_the_chosen_protocol_rebalances() {
    let mut script = Script::new();
    let first = script.join(JoinRequest {
        instance_id: Some("a".to_owned()),
        ..join_request("", &["range", "sticky"])
    });
    script.advance(INITIAL_DELAY_MS);
    script.advance(INITIAL_DELAY_MS);
    let members = vec![script.joined(first).member_id];
    script.sync_all(&members, 1);
    let ticket = script
        .join(JoinRequest { instance_id: Some("a".to_owned()), ..join_request("", &["sticky"]) });
    let joined = script.joined(ticket);
    assert_eq!((joined.generation, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_restart_before_the_assignment_starts_the_round_again() {
    let mut script = Script::new();
    let first = script.join(static_join("", "a"));
    let second = script.join(static_join("", "b"));
    script.advance(3 * INITIAL_DELAY_MS);
    let waiting =
        script.sync(SyncRequest { instance_id: Some("b".to_owned()), ..sync_request("b-id2", 1) });
    assert_eq!(script.joined(first).generation, script.joined(second).generation);
    let restarted = script.join(static_join("", "b"));
    assert_eq!(script.sync_result(waiting), Err(GroupError::FencedInstance));
    assert!(script.is_waiting(restarted));
    let ticket = script.join(static_join("a-id1", "a"));
    assert_eq!(script.joined(ticket).generation, 2);
    assert_eq!(script.joined(restarted).generation, 2);
}

#[test]
fn a_restart_while_joining_fences_the_join_that_waits() {
    let mut script = Script::new();
    let first = script.join(static_join("", "a"));
    let again = script.join(static_join("", "a"));
    let refusal = script.join_result(first).unwrap_err();
    assert_eq!(refusal.error, GroupError::FencedInstance);
    script.advance(3 * INITIAL_DELAY_MS);
    assert_eq!(script.joined(again).members.len(), 1);
}

#[test]
fn a_static_member_that_is_away_is_kept_for_its_session() {
    let mut script = Script::new();
    let members = static_group(&mut script);
    // The leader asks for a rebalance while `b` restarts; its place is kept, so that it comes
    // back to an assignment.
    let rejoin = script.join(static_join(&members[0], "a"));
    let beats = i64::from(REBALANCE_MS) / 5_000;
    for _ in 0..beats {
        script.advance(5_000);
        script
            .run(|shard, now, effects| {
                shard.heartbeat(now, GROUP, &members[1], Some("b"), 1, effects)
            })
            .unwrap_err();
    }
    let joined = script.joined(rejoin);
    assert_eq!((joined.generation, joined.members.len()), (2, 2));
    script.advance(i64::from(SESSION_MS));
    assert!(!script.shard.groups[GROUP].static_members.contains_key("b"), "its session is over");
}

#[test]
fn a_static_member_can_be_taken_out_by_its_instance_alone() {
    let mut script = Script::new();
    static_group(&mut script);
    let by_instance =
        |instance_id: &str| Leaver { instance_id: Some(instance_id.to_owned()), ..leaver("") };
    let results = script.leave(&[by_instance("b"), by_instance("c"), leaver("")]);
    let unknown = Err(GroupError::UnknownMember);
    assert_eq!(results, [Ok(()), unknown.clone(), unknown]);
    assert_eq!(script.state(), GroupState::PreparingRebalance);
}
