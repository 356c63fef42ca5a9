//! A replica whose log is damaged, while its broker is down or runs: another leads, and it is copied anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flumen_broker::controller::PartitionImage;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::fetch::FetchRequest;

use support::pair::{Pair, create_copied, create_on, until};
use support::{Node, batch, fetch_request};

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

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

/// Both brokers are killed with the partition in sync on both; the first one's is damaged, of which a
/// checkpoint says that it was on disk.
fn check(checkpoint: &str, damage: impl FnOnce(&Path)) {
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
    fs::write(data.join(checkpoint), "0\n1\nt 0 2\n").unwrap();
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
    for checkpoint in [RECOVERY_POINTS, HIGH_WATERMARKS] {
        check(checkpoint, flip_bit);
    }
}

fn flip_bit(partition: &Path) {
    let log = partition.join("00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[65] ^= 0x40;
    fs::write(&log, bytes).unwrap();
}

#[test]
fn a_replica_that_lost_its_files_does_not_lead_and_is_copied_anew() {
    check(RECOVERY_POINTS, |partition| fs::remove_dir_all(partition).unwrap());
}

#[test]
fn a_leader_that_finds_its_log_damaged_lets_another_lead_and_copies_it_anew() {
    let pair = Pair::new();
    // Several segments: what is damaged was not written a moment ago.
    let small = [("log.segment.bytes", "1048576")];
    let [first, second] = [pair.start(1, &small), pair.start(2, &small)];
    create_on(&mut first.client(), "t", &[1, 2]);
    until(|| partition(&first).leader == Some(1));
    for _ in 0..30 {
        let large = batch(&[vec![b'x'; 60_000]]);
        until(|| first.client().produce("t", 0, large.clone()).0 == ErrorCode::None);
    }
    until(|| are_both_in_sync(&first) && high_watermark(&first) == Some(30));
    let log = pair.dir(1).join("t-0").join("00000000000000000000.log");
    damage_on_disk(&log);

    until(|| {
        // Whoever reads it finds the damage.
        first.client().fetch("t", 0, 0);
        partition(&first).leader == Some(2)
    });
    until(|| are_both_in_sync(&first) && high_watermark(&first) == Some(30));
    let copy = pair.dir(2).join("t-0").join(log.file_name().unwrap());
    assert!(fs::read(&log).unwrap() == fs::read(copy).unwrap(), "what was damaged is whole again");
    second.stop();
    first.stop();
}

/// The leader is not elected anew, and must not count what the follower had for what it has now.
#[test]
fn a_follower_that_finds_its_log_damaged_copies_it_anew_in_a_new_epoch() {
    let pair = Pair::new();
    let settings = |rack| {
        let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
        let small = ("log.segment.bytes", "1048576");
        [small, ("broker.rack", rack), ("replica.selector.class", selector)]
    };
    let [first, second] = [pair.start(1, &settings("a")), pair.start(2, &settings("b"))];
    create_on(&mut first.client(), "t", &[2, 1]);
    until(|| partition(&first).leader == Some(2));
    for _ in 0..30 {
        let large = batch(&[vec![b'x'; 60_000]]);
        until(|| second.client().produce("t", 0, large.clone()).0 == ErrorCode::None);
    }
    until(|| are_both_in_sync(&first) && high_watermark(&first) == Some(30));
    let epoch = partition(&first).leader_epoch;
    let log = pair.dir(1).join("t-0").join("00000000000000000000.log");
    damage_on_disk(&log);

    let copy = pair.dir(2).join("t-0").join(log.file_name().unwrap());
    let request =
        FetchRequest { rack_id: "a".to_owned(), max_bytes: 1 << 20, ..fetch_request("t", 0, 0) };
    until(|| {
        // A consumer in its rack finds the damage.
        first.client().call(12, &request);
        fs::read(&log).is_ok_and(|log| log == fs::read(&copy).unwrap())
    });
    until(|| are_both_in_sync(&first) && high_watermark(&first) == Some(30));
    let state = partition(&first);
    assert_eq!(state.leader, Some(2));
    assert!(state.leader_epoch > epoch, "{state:?}");
    second.stop();
    first.stop();
}

/// Flips a bit in the first batch of a segment, as the disk has it: nothing of it is in memory.
fn damage_on_disk(log: &Path) {
    let file = fs::OpenOptions::new().read(true).write(true).open(log).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 65).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], 65).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}
