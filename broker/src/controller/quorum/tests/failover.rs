//! How a leader is replaced, and how one is not.

use std::time::Duration;

use super::super::NotLeader;
use super::cluster::{Cluster, Stopwatch};
use super::{append, setting};

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_gone_is_replaced_at_once() {
    for (voters, seed) in (0..20).map(|seed| (3 + 2 * (seed % 2), seed)) {
        let mut cluster = Cluster::running(voters, u64::from(seed.unsigned_abs())).await;
        cluster.write("a").await;
        let before = cluster.leader().await;
        let killed = Stopwatch::start();
        cluster.kill(before);
        cluster.tell_lost(before);
        let after = cluster.leader().await;
        assert_ne!(after, before);
        let took = killed.elapsed();
        assert!(took < Duration::from_millis(400), "seed {seed}: {took:?}");
        cluster.write("b").await;
        assert!(cluster.has(after, "a"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_broken_connection_silence_is_noticed() {
    let mut cluster = Cluster::running(3, 7).await;
    let before = cluster.leader().await;
    let killed = Stopwatch::start();
    cluster.kill(before);
    cluster.leader().await;
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_be_reached_is_replaced_after_the_timeout() {
    let cluster = Cluster::running(3, 8).await;
    let before = cluster.leader().await;
    let begin = Stopwatch::start();
    cluster.cut_off(before);
    cluster.tell_lost(before);
    let other = |cluster: &Cluster| cluster.leads().is_some_and(|leader| leader != before);
    cluster.until("another leads", other).await;
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(700), "silence was taken for proof: {took:?}");
    assert!(took < Duration::from_millis(2500), "{took:?}");
    // What the old one is asked meanwhile comes to nothing.
    assert!(!cluster.write_at(before, "lost").await);
    cluster.write("kept").await;
    cluster.heal();
    cluster.until("the old one follows", |cluster| cluster.has(before, "kept")).await;
    assert!(!cluster.has(before, "lost"));
}

/// The next decision would rest on it, and might be taken when the others are back.
#[tokio::test(start_paused = true)]
async fn what_a_leader_without_a_majority_refuses_is_known_at_once() {
    let cluster = Cluster::running(3, 10).await;
    let leader = cluster.leader().await;
    let quorum = cluster.quorum(leader).unwrap();
    let term = quorum.leading_term().unwrap();
    cluster.cut_off(leader);
    drop(append(&quorum, setting("early", "1")).await.unwrap());
    // Longer than the lease.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(quorum.leading_term(), Some(term), "it does not know that others were elected");
    assert_eq!(append(&quorum, setting("late", "1")).await.unwrap_err(), NotLeader);
    // Nor is what was decided in an earlier term written in this one.
    let other = |cluster: &Cluster| cluster.leads().is_some_and(|leads| leads != leader);
    cluster.until("another leads", other).await;
    cluster.heal();
    let now = cluster.quorum(cluster.leader().await).unwrap();
    assert_eq!(now.append(term, setting("late", "1")).await.unwrap_err(), NotLeader);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_to_a_leader_that_lives_changes_nothing() {
    let cluster = Cluster::running(3, 9).await;
    let leader = cluster.leader().await;
    let term = cluster.term(leader);
    for _ in 0..50 {
        cluster.tell_lost(leader);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((cluster.leads(), cluster.term(leader)), (Some(leader), term));
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_is_cut_off_does_not_disturb_the_others() {
    let cluster = Cluster::running(3, 10).await;
    let leader = cluster.leader().await;
    let term = cluster.term(leader);
    let lonely = leader % 3 + 1;
    cluster.cut_off(lonely);
    tokio::time::sleep(Duration::from_secs(60)).await;
    cluster.heal();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((cluster.leads(), cluster.term(leader)), (Some(leader), term));
    assert_eq!(cluster.term(lonely), term);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_in_order_hands_over() {
    let cluster = Cluster::running(3, 11).await;
    cluster.write("a").await;
    let before = cluster.leader().await;
    let begin = Stopwatch::start();
    cluster.quorum(before).unwrap().hand_over().await;
    let after = cluster.leader().await;
    assert_ne!(after, before);
    assert!(begin.elapsed() < Duration::from_millis(200), "{:?}", begin.elapsed());
    assert!(cluster.has(after, "a"));
}

#[tokio::test(start_paused = true)]
async fn followers_hear_of_a_commit_at_once() {
    let cluster = Cluster::running(3, 12).await;
    for round in 0..20 {
        let name = format!("a{round}");
        cluster.write(&name).await;
        let committed = Stopwatch::start();
        let everywhere = |cluster: &Cluster| cluster.ids().iter().all(|id| cluster.has(*id, &name));
        cluster.until("all have it", everywhere).await;
        let took = committed.elapsed();
        assert!(took < Duration::from_millis(20), "it waited for a heartbeat: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_names_no_leader() {
    let cluster = Cluster::running(3, 31).await;
    let before = cluster.leader().await;
    let quorum = cluster.quorum(before).unwrap();
    assert_eq!(quorum.status().leader, Some(before));
    cluster.cut_off(before);
    cluster.until("it knows", |_| quorum.status().leader.is_none()).await;
    assert!(!quorum.leads_majority());
    cluster.heal();
    let after = cluster.leader().await;
    cluster.until("it follows", |_| quorum.status().leader == Some(after)).await;
    // Who votes alone needs nobody's answer.
    let alone = Cluster::running(1, 32).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(alone.quorum(1).unwrap().leads_majority());
}
