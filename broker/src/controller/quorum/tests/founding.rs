//! How clusters begin.

use std::time::Duration;

use super::cluster::Cluster;

#[tokio::test(start_paused = true)]
async fn voters_that_start_together_found_one_cluster() {
    for (voters, seed) in [(3, 1), (3, 2), (3, 3), (5, 4), (5, 5)] {
        let cluster = Cluster::running(voters, seed).await;
        cluster.write("a").await;
        let everywhere = |cluster: &Cluster| cluster.ids().iter().all(|id| cluster.has(*id, "a"));
        cluster.until("all have it", everywhere).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_majority_may_found_the_rest_come_later() {
    let mut cluster = Cluster::new(3, 1);
    cluster.found_with_majority(true);
    cluster.start(1);
    cluster.start(2);
    cluster.write("a").await;
    cluster.start(3);
    cluster.until("the third follows", |cluster| cluster.has(3, "a")).await;
    cluster.settled().await;
    // Its vote counts: without it nobody could be elected now.
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.write("b").await;
    cluster.until("the third has it", |cluster| cluster.has(3, "b")).await;
}

/// Otherwise it registers before, and is taken for one that has lost its disk.
#[tokio::test(start_paused = true)]
async fn a_voter_that_is_late_takes_part_when_the_log_names_it() {
    for seed in 1..=10 {
        let mut cluster = Cluster::new(3, seed);
        cluster.found_with_majority(true);
        cluster.start(1);
        cluster.start(2);
        cluster.write("a").await;
        cluster.start(3);
        cluster.until("the third takes part", |cluster| cluster.quorum(3).is_some()).await;
        let leader = cluster.leader().await;
        let voters = cluster.quorum(leader).unwrap().status().voters;
        let third = voters.iter().find(|voter| voter.node_id == 3).unwrap();
        assert!(third.directory.is_some(), "{third:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_found_nothing() {
    for (voters, is_majority_enough, too_few) in
        [(3, false, 2), (3, true, 1), (5, false, 4), (5, true, 2)]
    {
        let mut cluster = Cluster::new(voters, 1);
        cluster.found_with_majority(is_majority_enough);
        for id in 1..=too_few {
            cluster.start(id);
        }
        let is_nobody =
            |cluster: &Cluster| cluster.ids().iter().all(|id| cluster.quorum(*id).is_none());
        cluster.throughout(Duration::from_secs(30), "having founded nothing", is_nobody).await;
        cluster.start(too_few + 1);
        cluster.write("a").await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_lost_a_disk_and_who_never_ran_do_not_found_a_second_cluster() {
    let mut cluster = Cluster::new(3, 1);
    cluster.found_with_majority(true);
    cluster.start(1);
    cluster.start(2);
    cluster.write("a").await;
    cluster.kill(1);
    cluster.kill(2);
    cluster.wipe(1);
    cluster.found_with_majority(false);
    cluster.start(1);
    cluster.start(3);
    let is_nobody = |cluster: &Cluster| cluster.leads().is_none();
    cluster.throughout(Duration::from_secs(60), "waiting for the second", is_nobody).await;
}

#[tokio::test(start_paused = true)]
async fn a_founder_that_stops_halfway_is_no_obstacle() {
    for stop_ms in [0, 1, 2, 3, 5, 8, 20, 50, 100, 110, 200] {
        let mut cluster = Cluster::new(3, stop_ms);
        cluster.found_with_majority(true);
        cluster.start(1);
        cluster.start(2);
        tokio::time::sleep(Duration::from_millis(stop_ms)).await;
        cluster.power_cut(1);
        cluster.start(1);
        cluster.write("a").await;
    }
}
