//! Voters that lose their disk, and voters that come and go (M1).

use std::time::Duration;

use openraft::async_runtime::WatchReceiver;

use super::super::ChangeVotersError;
use super::super::wire::{self, Request};
use super::cluster::Cluster;

/// A cluster of three in which `a` was committed by the leader and one follower only: the leader, that
/// follower, and the third.
async fn committed_by_two(seed: u64) -> (Cluster, [i32; 3]) {
    let cluster = Cluster::running(3, seed).await;
    let leader = cluster.leader().await;
    let (with, without) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    cluster.cut_off(without);
    assert!(cluster.write_at(leader, "a").await);
    cluster.until("the follower has it", |cluster| cluster.has(with, "a")).await;
    (cluster, [leader, with, without])
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lost_its_disk_does_not_elect_who_lacks_what_it_lost() {
    for seed in 0..5 {
        let (mut cluster, [leader, with, without]) = committed_by_two(seed).await;
        cluster.kill(with);
        cluster.kill(leader);
        cluster.wipe(with);
        cluster.heal();
        cluster.start(with);
        let is_nobody = |cluster: &Cluster| cluster.leads().is_none();
        cluster.throughout(Duration::from_secs(60), "having no leader", is_nobody).await;
        // With the one that has it, all is well again.
        cluster.start(leader);
        assert_ne!(cluster.leader().await, with);
        cluster
            .until("it is back", |cluster| {
                [leader, with, without].iter().all(|id| cluster.has(*id, "a"))
            })
            .await;
        assert!(cluster.is_vote_withheld(with));
    }
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lost_its_disk_votes_when_it_was_removed_and_added() {
    let mut cluster = Cluster::running(3, 20).await;
    cluster.write("a").await;
    let leader = cluster.leader().await;
    let wiped = leader % 3 + 1;
    cluster.kill(wiped);
    cluster.wipe(wiped);
    cluster.start(wiped);
    cluster.until("it follows", |cluster| cluster.has(wiped, "a")).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(cluster.is_vote_withheld(wiped));
    assert!(is_told_of(&cluster, leader, wiped));

    let quorum = cluster.quorum(leader).unwrap();
    quorum.remove_voter(wiped, None).await.unwrap();
    assert!(cluster.is_vote_withheld(wiped));
    // It would vote with the directory that it has lost.
    let at_once = quorum.add_voter(wiped, None, None).await;
    assert_eq!(at_once, Err(ChangeVotersError::Lagging { node_id: wiped }));
    let directory = cluster.quorum(wiped).unwrap().directory();
    let named = cluster.until("the log names its new directory", |cluster| {
        let status = cluster.quorum(leader).unwrap().status();
        let mut named = status.observers.iter().filter_map(|member| member.directory);
        named.any(|named| named == directory.0)
    });
    tokio::time::timeout(Duration::from_secs(2), named).await.expect("it asks again at once");
    quorum.add_voter(wiped, None, Some(directory)).await.unwrap();
    drop(quorum);
    cluster.settled().await;
    cluster.until("it votes", |cluster| !cluster.is_vote_withheld(wiped)).await;
    assert!(!is_told_of(&cluster, leader, wiped));
    // Its vote counts: without it nobody could be elected now.
    cluster.kill(leader);
    cluster.write("b").await;
}

/// Whether `leader` tells that a voter does not vote: it is among the voters with the directory that it has
/// lost, and nothing is known of that one, and it follows with the one that it has.
fn is_told_of(cluster: &Cluster, leader: i32, wiped: i32) -> bool {
    let status = cluster.quorum(leader).unwrap().status();
    let has = cluster.quorum(wiped).map(|quorum| quorum.directory().0);
    let mut voters = status.voters.iter().filter(|member| member.node_id == wiped);
    let mut followers = status.observers.iter().filter(|member| member.node_id == wiped);
    voters.any(|voter| voter.directory != has && voter.heard.is_none() && voter.end.is_none())
        && followers.any(|follower| follower.directory == has && follower.heard.is_some())
}

#[tokio::test(start_paused = true)]
async fn every_leader_tells_who_does_not_vote_as_long_as_that_is_so() {
    let mut cluster = Cluster::running(5, 26).await;
    cluster.write("a").await;
    let leader = cluster.leader().await;
    let wiped = leader % 5 + 1;
    cluster.kill(wiped);
    cluster.wipe(wiped);
    cluster.start(wiped);
    cluster.until("it is told", |cluster| is_told_of(cluster, leader, wiped)).await;
    cluster.kill(leader);
    cluster.write("b").await;
    let next = cluster.leader().await;
    let told = cluster.until("it is told", |cluster| is_told_of(cluster, next, wiped));
    tokio::time::timeout(Duration::from_secs(5), told).await.expect("the new leader hears at once");
    let is_told = |cluster: &Cluster| is_told_of(cluster, next, wiped);
    cluster.throughout(Duration::from_secs(60), "telling of it", is_told).await;
    // One that is gone is a voter nothing is heard of, as any other.
    cluster.kill(wiped);
    let forgot = cluster.until("nothing is told", |cluster| {
        let status = cluster.quorum(next).unwrap().status();
        status.observers.iter().all(|member| member.node_id != wiped)
    });
    tokio::time::timeout(Duration::from_secs(60), forgot).await.expect("its word ages");
}

#[tokio::test(start_paused = true)]
async fn that_a_vote_is_withheld_outlasts_restarts() {
    let mut cluster = Cluster::running(3, 21).await;
    let wiped = cluster.leader().await;
    cluster.kill(wiped);
    cluster.wipe(wiped);
    cluster.start(wiped);
    cluster.write("a").await;
    cluster.until("it follows", |cluster| cluster.has(wiped, "a")).await;
    for _ in 0..3 {
        cluster.power_cut(wiped);
        cluster.start(wiped);
        cluster.until("it runs", |cluster| cluster.quorum(wiped).is_some()).await;
        assert!(cluster.is_vote_withheld(wiped));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_joins_votes_and_goes() {
    let mut cluster = Cluster::running(3, 22).await;
    cluster.start(4);
    cluster.write("a").await;
    cluster.until("it follows", |cluster| cluster.has(4, "a")).await;
    let leader = cluster.leader().await;
    let quorum = cluster.quorum(leader).unwrap();
    let voters = |quorum: &super::super::Quorum| -> Vec<i32> {
        quorum.status().voters.iter().map(|member| member.node_id).collect()
    };
    assert_eq!(voters(&quorum), [1, 2, 3]);
    quorum.add_voter(4, None, None).await.unwrap();
    assert_eq!(voters(&quorum), [1, 2, 3, 4]);
    let again = quorum.add_voter(4, None, None).await;
    let voters_now = vec![1, 2, 3, 4];
    assert_eq!(again, Err(ChangeVotersError::DuplicateVoter { node_id: 4, voters: voters_now }));
    let nobody = quorum.add_voter(9, None, None).await;
    assert_eq!(nobody, Err(ChangeVotersError::Lagging { node_id: 9 }));

    quorum.remove_voter(4, None).await.unwrap();
    assert_eq!(voters(&quorum), [1, 2, 3]);
    let again = quorum.remove_voter(4, None).await;
    let voters_now = vec![1, 2, 3];
    assert_eq!(again, Err(ChangeVotersError::VoterNotFound { node_id: 4, voters: voters_now }));
    cluster.kill(4);
    quorum.forget(4).await.unwrap();
    assert!(quorum.status().observers.is_empty());
    // A voter is not forgotten.
    quorum.forget(2).await.unwrap();
    assert_eq!(voters(&quorum), [1, 2, 3]);

    let follower = leader % 3 + 1;
    let elsewhere = cluster.quorum(follower).unwrap().remove_voter(1, None).await;
    assert!(matches!(elsewhere, Err(ChangeVotersError::NotLeader(_))), "{elsewhere:?}");
}

/// The settings of a broker name the voters there were when it was started; meanwhile there are others.
#[tokio::test(start_paused = true)]
async fn a_broker_finds_a_leader_that_its_settings_do_not_name() {
    let mut cluster = Cluster::running(3, 25).await;
    cluster.start(4);
    cluster.write("a").await;
    cluster.until("it follows", |cluster| cluster.has(4, "a")).await;
    let leader = cluster.leader().await;
    let quorum = cluster.quorum(leader).unwrap();
    quorum.add_voter(4, None, None).await.unwrap();
    quorum.raft.trigger().transfer_leader(4).await.unwrap();
    drop(quorum);
    cluster.until("the new voter leads", |cluster| cluster.leads() == Some(4)).await;
    cluster.start(5);
    cluster.until("it follows", |cluster| cluster.has(5, "a")).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_removed_lets_another_lead() {
    let cluster = Cluster::running(3, 23).await;
    let leader = cluster.leader().await;
    cluster.quorum(leader).unwrap().remove_voter(leader, None).await.unwrap();
    let other = |cluster: &Cluster| cluster.leads().is_some_and(|id| id != leader);
    cluster.until("another leads", other).await;
    cluster.write("a").await;
    cluster.until("it follows on", |cluster| cluster.has(leader, "a")).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_joins_late_catches_up_from_a_snapshot() {
    let mut cluster = Cluster::running(3, 24).await;
    let leader = cluster.leader().await;
    for name in 0..50 {
        cluster.write(&format!("a{name}")).await;
    }
    let quorum = cluster.quorum(leader).unwrap();
    quorum.begin_snapshot().await;
    let snapshot = || quorum.raft.metrics().borrow_watched().snapshot;
    cluster.until("there is a snapshot", |_| snapshot().is_some()).await;
    let upto = snapshot().unwrap().index;
    quorum.raft.trigger().purge_log(upto).await.unwrap();
    let purged = || quorum.raft.metrics().borrow_watched().purged;
    cluster.until("the log is cut", |_| purged().is_some_and(|purged| purged.index == upto)).await;
    cluster.write("after").await;

    cluster.start(4);
    cluster.until("it has all", |cluster| cluster.has(4, "a49") && cluster.has(4, "after")).await;
    let late = cluster.quorum(4).unwrap();
    assert!(late.raft.metrics().borrow_watched().snapshot.is_some(), "it came by a snapshot");
    drop(late);
    cluster.power_cut(4);
    cluster.start(4);
    cluster
        .until("it has all again", |cluster| cluster.has(4, "a49") && cluster.has(4, "after"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn pieces_of_a_snapshot_that_cannot_be_are_refused() {
    let cluster = Cluster::running(3, 26).await;
    let leader = cluster.leader().await;
    let follower = leader % 3 + 1;
    let sender = u64::try_from(leader).unwrap();
    let take = async |offset, size| {
        let vote = (1, sender, true);
        let request = Request::Snapshot { vote, offset, size, chunk: vec![7; 4].into() };
        let service = cluster.quorum(follower).unwrap().service.clone();
        service.handle(leader, wire::encode(&request)).await.is_ok()
    };
    assert!(take(0, 10).await);
    assert!(!take(8, 10).await, "it goes beyond the end");
    assert!(!take(u64::MAX, u64::MAX).await);
    assert!(!take(0, 1 << 40).await, "it would fill the memory");
    assert!(take(4, 10).await, "what was refused changes nothing");
}
