use flumen_protocol::messages::join_group::JoinGroupResponseMember;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn member(instance_id: Option<&str>) -> Membership {
    let mut membership = Membership::new(Identity {
        group: "g".into(),
        instance_id: instance_id.map(str::to_owned),
        session_timeout: 45 * SECOND,
        rebalance_timeout: 300 * SECOND,
        heartbeat_interval: 3 * SECOND,
        assignors: vec![Assignor::Range],
    });
    membership.subscribe(vec!["t".into()]);
    membership
}

fn joined(leader: &str, others: &[&str]) -> JoinGroupResponse {
    let subscription =
        ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
    let metadata = subscription.to_versioned_bytes(1).unwrap();
    let members = others.iter().map(|id| JoinGroupResponseMember {
        member_id: (*id).to_owned(),
        group_instance_id: None,
        metadata: metadata.clone(),
    });
    JoinGroupResponse {
        generation_id: 1,
        protocol_name: Some("range".into()),
        leader: leader.into(),
        member_id: "me".into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn join_error(code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse { error_code: code.code(), ..joined("other", &[]) }
}

fn synced(partitions: &[i32]) -> SyncGroupResponse {
    let partitions: Vec<_> =
        partitions.iter().map(|index| TopicPartition::new("t", *index)).collect();
    SyncGroupResponse { assignment: assignment_bytes(&partitions), ..Default::default() }
}

fn stable() -> Membership {
    let mut membership = member(None);
    assert_eq!(membership.on_joined(joined("other", &[])), Verdict::Go);
    assert_eq!(membership.on_synced(synced(&[0, 2])), Verdict::Go);
    membership.on_taken_up(Duration::ZERO);
    membership
}

fn join_of(membership: &Membership) -> JoinGroupRequest {
    match membership.next(Duration::ZERO) {
        Step::Join(request) => request,
        other => panic!("it should join, not {other:?}"),
    }
}

#[test]
fn a_follower_joins_syncs_and_beats() {
    let mut membership = member(None);
    assert_eq!(join_of(&membership).member_id, "");
    assert_eq!(membership.on_joined(join_error(ErrorCode::MemberIdRequired)), Verdict::Go);
    assert_eq!(join_of(&membership).member_id, "me", "it comes back with the id it was given");

    membership.on_joined(joined("other", &[]));
    let Step::Sync(sync) = membership.next(Duration::ZERO) else { panic!("it should sync") };
    assert_eq!((sync.generation_id, sync.assignments.len()), (1, 0));

    membership.on_synced(synced(&[0, 2]));
    let expected = [0, 2].map(|index| TopicPartition::new("t", index)).to_vec();
    assert_eq!(membership.next(Duration::ZERO), Step::TakeUp(expected));

    membership.on_taken_up(10 * SECOND);
    assert_eq!(membership.next(10 * SECOND), Step::Wait(13 * SECOND));
    assert!(matches!(membership.next(13 * SECOND), Step::Heartbeat(_)));
    assert_eq!(membership.on_heartbeat(13 * SECOND, ErrorCode::None), Verdict::Go);
    assert_eq!(membership.next(13 * SECOND), Step::Wait(16 * SECOND));
}

#[test]
fn the_leader_spreads_the_partitions() {
    let mut membership = member(None);
    membership.on_joined(joined("me", &["me", "other"]));
    assert_eq!(membership.next(Duration::ZERO), Step::Count(vec!["t".into()]));
    membership.on_partition_counts(BTreeMap::from([("t".into(), 3)]));
    let Step::Sync(sync) = membership.next(Duration::ZERO) else { panic!("it should sync") };
    let sizes: Vec<_> = sync
        .assignments
        .iter()
        .map(|member| (member.member_id.as_str(), assigned(member.assignment.clone()).len()))
        .collect();
    assert_eq!(sizes, [("me", 2), ("other", 1)]);
}

#[test]
fn a_leader_that_is_to_skip_assigning_only_syncs() {
    let mut membership = member(Some("static"));
    membership.on_joined(JoinGroupResponse { skip_assignment: true, ..joined("me", &["me"]) });
    assert!(matches!(membership.next(Duration::ZERO), Step::Sync(_)));
}

#[test]
fn a_refused_commit_ends_the_membership_it_was_made_in() {
    let mut membership = stable();
    membership.on_commit_refused("me", 0);
    membership.on_commit_refused("", -1);
    assert!(membership.is_stable(), "commits of before, and of no member");
    membership.on_commit_refused("me", 1);
    assert_eq!(membership.next(SECOND), Step::GiveUp { is_lost: true });
    membership.on_given_up();
    assert_eq!(join_of(&membership).member_id, "");
}

#[test]
fn answers_to_heartbeats_decide_about_partitions() {
    let cases = [
        (ErrorCode::RebalanceInProgress, Verdict::Go, Step::GiveUp { is_lost: false }, "me"),
        (ErrorCode::IllegalGeneration, Verdict::Go, Step::GiveUp { is_lost: true }, ""),
        (ErrorCode::UnknownMemberId, Verdict::Go, Step::GiveUp { is_lost: true }, ""),
        (ErrorCode::FencedInstanceId, Verdict::Go, Step::Fail(ErrorCode::FencedInstanceId), "me"),
    ];
    for (code, verdict, step, member_id) in cases {
        let mut membership = stable();
        assert_eq!(membership.on_heartbeat(SECOND, code), verdict, "{code:?}");
        assert_eq!(membership.next(SECOND), step, "{code:?}");
        assert_eq!(membership.credentials().0, member_id, "{code:?}");
        if let Step::GiveUp { .. } = step {
            membership.on_given_up();
            assert_eq!(join_of(&membership).member_id, member_id, "{code:?}");
        }
    }
}

#[test]
fn a_coordinator_that_moved_costs_no_partitions() {
    for code in [ErrorCode::NotCoordinator, ErrorCode::CoordinatorNotAvailable] {
        let mut membership = stable();
        assert_eq!(membership.on_heartbeat(SECOND, code), Verdict::FindCoordinator);
        assert!(matches!(membership.next(SECOND), Step::Heartbeat(_)), "{code:?}");
    }
    let mut membership = stable();
    let loading = ErrorCode::CoordinatorLoadInProgress;
    assert_eq!(membership.on_heartbeat(SECOND, loading), Verdict::Pause);
    assert!(matches!(membership.next(SECOND), Step::Heartbeat(_)));
}

#[test]
fn answers_to_joins_and_syncs_lead_back_or_end_it() {
    let mut membership = member(None);
    assert_eq!(membership.on_joined(join_error(ErrorCode::RebalanceInProgress)), Verdict::Go);
    assert_eq!(
        membership.on_joined(join_error(ErrorCode::NotCoordinator)),
        Verdict::FindCoordinator
    );
    membership.on_joined(join_error(ErrorCode::MemberIdRequired));
    membership.on_joined(join_error(ErrorCode::UnknownMemberId));
    assert_eq!(join_of(&membership).member_id, "");

    for (code, member_id) in [
        (ErrorCode::RebalanceInProgress, "me"),
        (ErrorCode::IllegalGeneration, ""),
        (ErrorCode::NotCoordinator, "me"),
    ] {
        membership.on_joined(joined("other", &[]));
        membership.on_synced(SyncGroupResponse { error_code: code.code(), ..synced(&[]) });
        assert_eq!(join_of(&membership).member_id, member_id, "{code:?}");
    }

    let refused = ErrorCode::InconsistentGroupProtocol;
    membership.on_joined(join_error(refused));
    assert_eq!(membership.next(Duration::ZERO), Step::Fail(refused));
}

#[test]
fn another_subscription_gives_up_and_joins_again() {
    let mut membership = stable();
    membership.subscribe(vec!["t".into()]);
    assert!(matches!(membership.next(Duration::ZERO), Step::Wait(_)), "nothing changed");
    membership.subscribe(vec!["u".into()]);
    assert_eq!(membership.next(Duration::ZERO), Step::GiveUp { is_lost: false });
    membership.on_given_up();
    let subscription = join_of(&membership).protocols[0].metadata.clone();
    assert_eq!(subscribed_topics(subscription), ["u"]);
    membership.subscribe(Vec::new());
    assert_eq!(membership.next(Duration::ZERO), Step::Rest);
    assert!(membership.is_known(), "it has still to leave");
}

#[test]
fn leaving_is_said_unless_the_member_is_static() {
    let mut dynamic = stable();
    assert_eq!(dynamic.leave().as_deref(), Some("me"));
    assert_eq!(dynamic.next(Duration::ZERO), Step::Rest);
    assert_eq!(dynamic.leave(), None, "only once");
    dynamic.rejoin("back again");
    assert_eq!(join_of(&dynamic).member_id, "");

    let mut fixed = member(Some("static"));
    fixed.on_joined(joined("other", &[]));
    assert_eq!(fixed.leave(), None);

    assert_eq!(leave_request("g", "me", "done", 2).member_id, "me");
    assert_eq!(leave_request("g", "me", "done", 3).members[0].member_id, "me");
}
