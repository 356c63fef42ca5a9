//! A replica whose log was damaged while its broker was down: another leads, and it is copied anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use flumen_broker::controller::PartitionImage;
use flumen_protocol::ErrorCode;

use support::pair::{Pair, create_copied, until};
use support::{Node, batch};

fn partition(node: &Node) -> PartitionImage {
    node.broker().context().controller.image().partition("t", 0).unwrap().clone()
}

fn are_both_in_sync(node: &Node) -> bool {
    let mut in_sync = partition(node).in_sync;
    in_sync.sort_unstable();
    in_sync == [1, 2]
}

fn high_watermark(node: &Node) -> Option<i64> {
    let replica = node.broker().context().partitions.find_replica("t", 0);
    replica.ok().map(|replica| replica.high_watermark())
}

/// Both brokers are killed with the partition in sync on both; the first one's is damaged.
fn check(damage: impl FnOnce(&Path)) {
    let pair = Pair::new();
    let nodes = [pair.start(1, &[]), pair.start(2, &[])];
    create_copied(&mut nodes[0].client(), "t", 2);
    until(|| {
        let leader = partition(&nodes[0]).leader.and_then(|id| usize::try_from(id - 1).ok());
        leader.is_some_and(|at| {
            nodes[at].client().produce("t", 0, batch(&["a", "b"])).0 == ErrorCode::None
        })
    });
    until(|| are_both_in_sync(&nodes[0]));
    let [first, second] = nodes;
    // The first keeps the metadata: nothing of it changes any more.
    drop(first);
    drop(second);
    let data = pair.dir(1);
    fs::write(data.join("recovery-point-offset-checkpoint"), "0\n1\nt 0 2\n").unwrap();
    damage(&data.join("t-0"));

    let first = pair.start(1, &[]);
    let state = partition(&first);
    assert_ne!(state.leader, Some(1), "it has not got the records");
    assert_eq!(state.in_sync, [2]);
    let second = pair.start(2, &[]);
    until(|| partition(&second).leader == Some(2));
    until(|| second.client().produce("t", 0, batch(&["c"])).0 == ErrorCode::None);
    until(|| are_both_in_sync(&first));
    until(|| high_watermark(&first) == Some(3));
    second.stop();
    first.stop();
}

#[test]
fn a_damaged_replica_does_not_lead_and_is_copied_anew() {
    check(|partition| {
        let log = partition.join("00000000000000000000.log");
        let mut bytes = fs::read(&log).unwrap();
        bytes[65] ^= 0x40;
        fs::write(&log, bytes).unwrap();
    });
}

#[test]
fn a_replica_that_lost_its_files_does_not_lead_and_is_copied_anew() {
    check(|partition| fs::remove_dir_all(partition).unwrap());
}
