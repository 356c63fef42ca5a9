//! Who is let in, and under which id.

use super::*;

#[test]
fn a_first_join_is_given_an_id_and_nobody_waits_for_it() {
    let mut script = Script::new();
    let ticket = script.join(join_request("", &["range"]));
    let refusal = script.join_result(ticket).unwrap_err();
    assert_eq!(refusal.error, GroupError::MemberIdRequired);
    assert_eq!(refusal.member_id, "client-id1");
    assert_eq!(script.state(), GroupState::Empty);
    assert!(script.log.is_empty(), "a pending member is not written down");
}

#[test]
fn an_id_that_is_not_used_expires_and_the_group_with_it() {
    let mut script = Script::new();
    script.join(join_request("", &["range"]));
    script.advance(i64::from(SESSION_MS) + 1);
    assert!(!script.shard.groups.contains_key(GROUP));
    let ticket = script.join(join_request("client-id1", &["range"]));
    assert_eq!(script.join_error(ticket), GroupError::UnknownMember);
}

#[test]
fn a_client_that_cannot_join_twice_is_let_in_at_once() {
    let mut script = Script::new();
    let request = JoinRequest { requires_known_member_id: false, ..join_request("", &["range"]) };
    let ticket = script.join(request);
    script.advance(INITIAL_DELAY_MS);
    script.advance(INITIAL_DELAY_MS);
    let joined = script.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (1, "client-id1"));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let check = |change: fn(&mut JoinRequest), expected: GroupError| {
        let mut script = Script::new();
        let mut request = join_request("", &["range"]);
        change(&mut request);
        let ticket = script.join(request);
        assert_eq!(script.join_error(ticket), expected);
        assert!(script.shard.groups.is_empty(), "{expected:?} leaves no group behind");
    };
    let timeout =
        |given_ms| GroupError::InvalidSessionTimeout { given_ms, min_ms: 6_000, max_ms: 1_800_000 };
    check(|r| r.group_id.clear(), GroupError::InvalidGroupId);
    check(|r| r.session_timeout_ms = 5_999, timeout(5_999));
    check(|r| r.session_timeout_ms = 1_800_001, timeout(1_800_001));
    check(|r| r.protocols.clear(), GroupError::InconsistentProtocol);
    check(|r| r.protocol_type.clear(), GroupError::InconsistentProtocol);
    check(|r| r.member_id = "made up".to_owned(), GroupError::UnknownMember);
}

#[test]
fn a_member_must_share_type_and_protocol_with_the_others() {
    let mut script = Script::new();
    script.stable_group(1);
    let ticket = script.join(join_request("", &["roundrobin"]));
    assert_eq!(script.join_error(ticket), GroupError::InconsistentProtocol);
    let request =
        JoinRequest { protocol_type: "connect".to_owned(), ..join_request("", &["range"]) };
    let ticket = script.join(request);
    assert_eq!(script.join_error(ticket), GroupError::InconsistentProtocol);
    assert_eq!(script.state(), GroupState::Stable);
}

#[test]
fn a_full_group_refuses_more_members() {
    let mut script = Script::with(|config| config.max_size = 2);
    let members = script.stable_group(2);
    let ticket = script.join(join_request("", &["range"]));
    let refusal = script.join_result(ticket).unwrap_err();
    assert_eq!(refusal.error, GroupError::GroupFull { members_max: 2 });
    assert_eq!(refusal.member_id, "");

    // Its own members may come back, also while it rebalances.
    let rejoin = JoinRequest {
        protocols: join_request("", &["range", "sticky"]).protocols,
        ..join_request(&members[0], &["range"])
    };
    let ticket = script.join(rejoin.clone());
    assert!(script.is_waiting(ticket));
    let again = script.join(rejoin);
    assert_eq!(script.join_error(ticket), GroupError::RebalanceInProgress, "superseded");
    assert!(script.is_waiting(again));
}

#[test]
fn a_group_loaded_with_too_many_members_shrinks() {
    let mut script = Script::new();
    let members = script.stable_group(3);
    script.config = Arc::new(GroupConfig { max_size: 2, ..default_config() });
    script.reload();
    assert_eq!(script.state(), GroupState::PreparingRebalance);
    let tickets: Vec<_> =
        members.iter().map(|id| script.join(join_request(id, &["range"]))).collect();
    assert_eq!(script.join_error(tickets[2]), GroupError::GroupFull { members_max: 2 });
    script.advance(i64::from(SESSION_MS));
    assert_eq!(script.joined(tickets[0]).generation, 2);
    assert_eq!(script.shard.groups[GROUP].members.len(), 2);
}

#[test]
fn the_protocol_that_most_prefer_among_those_that_all_support_is_chosen() {
    let elect = |lists: &[&[&str]]| {
        let mut script = Script::new();
        let entered: Vec<_> = lists.iter().map(|list| script.enter(list)).collect();
        script.advance(4 * INITIAL_DELAY_MS);
        script.joined(entered[0].1).protocol_name.unwrap()
    };
    assert_eq!(
        elect(&[&["range", "sticky"], &["sticky", "range"], &["sticky", "range"]]),
        "sticky"
    );
    assert_eq!(elect(&[&["a", "sticky"], &["b", "sticky"], &["sticky", "a"]]), "sticky");
    assert_eq!(
        elect(&[&["range", "sticky"], &["sticky", "range"]]),
        "range",
        "the leader's choice"
    );
}

#[test]
fn a_very_long_client_id_makes_an_id_that_fits() {
    let mut script = Script::new();
    let request = JoinRequest { client_id: "é".repeat(16_000), ..join_request("", &["range"]) };
    let ticket = script.join(request);
    let member_id = script.join_result(ticket).unwrap_err().member_id;
    assert!(member_id.len() < 1_100 && member_id.ends_with("é-id1"), "{}", member_id.len());
}

#[test]
fn a_member_that_never_reads_its_answer_does_not_stay_for_ever() {
    let mut script = Script::new();
    script.stable_group(1);
    // Nobody else rejoins and the newcomer's client is gone; every rebalance drops the silent.
    let request = JoinRequest { requires_known_member_id: false, ..join_request("", &["range"]) };
    let ticket = script.join(request);
    script.advance(i64::from(REBALANCE_MS));
    assert_eq!(script.joined(ticket).members.len(), 1);
    script.advance(i64::from(SESSION_MS) + 1);
    assert_eq!(script.state(), GroupState::Empty);
}
