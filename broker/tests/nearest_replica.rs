//! Consumers read from the replica in their rack (KIP-392).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tools/tests/chaos/ports.rs"]
mod ports;
mod support;

use std::path::Path;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use flumen_protocol::messages::fetch::{FetchRequest, PartitionData};

use ports::free_port;
use support::{Client, Node, batch, fetch_request};

/// Half a minute, for what takes a moment.
const TRIES: u32 = 1500;
const PAUSE: Duration = Duration::from_millis(20);

/// Two brokers in two racks, the first of which keeps the metadata.
struct Racks {
    nodes: [Node; 2],
    _dirs: [tempfile::TempDir; 2],
}

impl Racks {
    fn start(selector: &str) -> Self {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [first, second] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let voters = format!("1@{first}");
        let start = |id, dir: &Path, rack, peer: &str| {
            let settings = [
                ("node.id", id),
                ("log.dirs", dir.to_str().unwrap()),
                ("listeners", "PLAINTEXT://127.0.0.1:0"),
                ("http.listener", ""),
                ("peer.listener", peer),
                ("controller.quorum.voters", &voters),
                ("broker.rack", rack),
                ("replica.selector.class", selector),
            ];
            Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real())
        };
        let nodes =
            [start("1", dirs[0].path(), "a", &first), start("2", dirs[1].path(), "b", &second)];
        Self { nodes, _dirs: dirs }
    }

    /// Creates a topic of one partition on both brokers; gives the places of leader and follower.
    fn create_topic(&self) -> (usize, usize) {
        let topic = CreatableTopic {
            name: "t".to_owned(),
            num_partitions: 1,
            replication_factor: 2,
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        until(|| {
            let created = self.nodes[0].client().call(7, &request);
            let error = ErrorCode::from_code(created.topics[0].error_code);
            // The second broker may not be in service yet.
            error == ErrorCode::None || error == ErrorCode::TopicAlreadyExists
        });
        let image = self.nodes[0].broker().context().controller.image();
        let leader = image.topic("t").unwrap().partition(0).unwrap().leader.unwrap();
        if leader == 1 { (0, 1) } else { (1, 0) }
    }

    fn stop(self) {
        let [first, second] = self.nodes;
        second.stop();
        first.stop();
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

fn fetch(client: &mut Client, version: i16, rack: &str, offset: i64) -> PartitionData {
    let request = FetchRequest {
        rack_id: rack.to_owned(),
        max_bytes: 1 << 20,
        ..fetch_request("t", 0, offset)
    };
    client.call(version, &request).responses.remove(0).partitions.remove(0)
}

fn size(data: PartitionData) -> usize {
    data.records.unwrap().into_bytes().unwrap().len()
}

#[test]
fn a_consumer_is_sent_to_the_replica_in_its_rack_and_reads_there() {
    let racks = Racks::start("org.apache.kafka.common.replica.RackAwareReplicaSelector");
    let (leader, follower) = racks.create_topic();
    let rack_of = |place: usize| ["a", "b"][place];
    let follower_id = i32::try_from(follower).unwrap() + 1;
    let [mut at_leader, mut at_follower] =
        [leader, follower].map(|place| racks.nodes[place].client());
    // The leader may not have heard of the topic yet.
    until(|| at_leader.produce("t", 0, batch(&["a", "b"])).0 == ErrorCode::None);

    // As soon as the leader knows that the follower has what is asked for.
    until(|| fetch(&mut at_leader, 12, rack_of(follower), 0).preferred_read_replica == follower_id);
    let sent_away = fetch(&mut at_leader, 12, rack_of(follower), 0);
    assert_eq!((ErrorCode::from_code(sent_away.error_code), size(sent_away)), (ErrorCode::None, 0));
    for rack in [rack_of(leader), "", "elsewhere"] {
        let read = fetch(&mut at_leader, 12, rack, 0);
        assert_eq!(read.preferred_read_replica, -1, "from rack {rack:?}");
        assert!(size(read) > 0, "from rack {rack:?}");
    }
    let old = fetch(&mut at_leader, 10, "", 0);
    assert!(size(old) > 0);

    until(|| fetch(&mut at_follower, 12, rack_of(follower), 0).high_watermark == 2);
    let read = fetch(&mut at_follower, 12, rack_of(follower), 0);
    assert_eq!(read.preferred_read_replica, -1);
    assert!(size(read) > 0);
    // Who cannot be sent away does not read from followers.
    let old = fetch(&mut at_follower, 10, "", 0);
    assert_eq!(ErrorCode::from_code(old.error_code), ErrorCode::NotLeaderOrFollower);
    let beyond = fetch(&mut at_follower, 12, rack_of(follower), 7);
    assert_eq!(ErrorCode::from_code(beyond.error_code), ErrorCode::OffsetOutOfRange);
    racks.stop();
}

#[test]
fn without_a_selector_everybody_reads_from_the_leader() {
    let racks = Racks::start("");
    let (leader, follower) = racks.create_topic();
    let mut at_leader = racks.nodes[leader].client();
    until(|| at_leader.produce("t", 0, batch(&["a"])).0 == ErrorCode::None);
    let followers = || {
        let partition = racks.nodes[follower].broker().context().partitions.find_replica("t", 0);
        partition.is_ok_and(|partition| partition.high_watermark() == 1)
    };
    until(followers);
    let read = fetch(&mut at_leader, 12, ["a", "b"][follower], 0);
    assert_eq!(read.preferred_read_replica, -1);
    assert!(size(read) > 0);
    racks.stop();
}
