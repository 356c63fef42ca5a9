//! A replica whose log was damaged while its broker was down: another leads, and it is copied anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tools/tests/chaos/ports.rs"]
mod ports;
mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_broker::controller::PartitionImage;
use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};

use ports::free_port;
use support::{Node, batch};

/// Half a minute, for what takes a moment.
const TRIES: u32 = 1500;
const PAUSE: Duration = Duration::from_millis(20);

/// Two brokers, the first of which keeps the metadata.
struct Pair {
    dirs: [tempfile::TempDir; 2],
    peers: [String; 2],
}

impl Pair {
    fn new() -> Self {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let peers = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        Self { dirs, peers }
    }

    fn start(&self, id: usize) -> Node {
        let voters = format!("1@{}", self.peers[0]);
        let settings = [
            ("node.id", &*id.to_string()),
            ("log.dirs", self.dirs[id - 1].path().to_str().unwrap()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("http.listener", ""),
            ("peer.listener", &self.peers[id - 1]),
            ("controller.quorum.voters", &voters),
        ];
        Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real())
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("it does not come to pass");
}

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

fn create_topic(node: &Node) {
    let topic = CreatableTopic {
        name: "t".to_owned(),
        num_partitions: 1,
        replication_factor: 2,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    until(|| {
        let created = node.client().call(7, &request);
        // The second broker may not be in service yet.
        let error = ErrorCode::from_code(created.topics[0].error_code);
        matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists)
    });
}

/// Both brokers are killed with the partition in sync on both; the first one's is damaged.
fn check(damage: impl FnOnce(&Path)) {
    let pair = Pair::new();
    let nodes = [pair.start(1), pair.start(2)];
    create_topic(&nodes[0]);
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
    let data = pair.dirs[0].path();
    fs::write(data.join("recovery-point-offset-checkpoint"), "0\n1\nt 0 2\n").unwrap();
    damage(&data.join("t-0"));

    let first = pair.start(1);
    let state = partition(&first);
    assert_ne!(state.leader, Some(1), "it has not got the records");
    assert_eq!(state.in_sync, [2]);
    let second = pair.start(2);
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
