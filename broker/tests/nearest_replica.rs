//! Consumers read from the replica in their rack (KIP-392).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::fetch::{FetchRequest, PartitionData};

use support::pair::{Pair, create_copied, until};
use support::{Client, Node, batch, fetch_request};

/// Two brokers in two racks, the first of which keeps the metadata.
struct Racks {
    nodes: [Node; 2],
    _pair: Pair,
}

impl Racks {
    fn start(selector: &str) -> Self {
        let pair = Pair::new();
        let nodes = [(1, "a"), (2, "b")].map(|(id, rack)| {
            pair.start(id, &[("broker.rack", rack), ("replica.selector.class", selector)])
        });
        Self { nodes, _pair: pair }
    }

    /// Creates a topic of one partition on both brokers; gives the places of leader and follower.
    fn create_topic(&self) -> (usize, usize) {
        create_copied(&mut self.nodes[0].client(), "t", 2);
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

    // A follower may lag, so that only the leader can say that histories part behind its end.
    let mut with_epoch = fetch_request("t", 0, 7);
    with_epoch.topics[0].partitions[0].last_fetched_epoch = 0;
    let parted = |client: &mut Client| -> PartitionData {
        client.call(12, &with_epoch).responses.remove(0).partitions.remove(0)
    };
    let beyond = parted(&mut at_follower);
    assert_eq!(ErrorCode::from_code(beyond.error_code), ErrorCode::OffsetOutOfRange);
    assert_eq!(beyond.diverging_epoch.epoch, -1);
    assert_eq!(parted(&mut at_leader).diverging_epoch.end_offset, 2);
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
