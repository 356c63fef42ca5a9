//! Two brokers as one cluster, the first of which keeps the metadata.

use std::path::Path;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use tempfile::TempDir;

use super::ports::free_port;
use super::{Client, Node};

/// Half a minute, for what takes a moment.
const TRIES: u32 = 1500;
const PAUSE: Duration = Duration::from_millis(20);

/// Where two brokers keep their data and hear each other, whether they run or not.
pub(crate) struct Pair {
    dirs: [TempDir; 2],
    peers: [String; 2],
}

impl Pair {
    pub(crate) fn new() -> Self {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let peers = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        Self { dirs, peers }
    }

    /// The data of broker 1 or 2.
    pub(crate) fn dir(&self, id: usize) -> &Path {
        self.dirs[id - 1].path()
    }

    /// Starts broker 1 or 2, with these settings beside those that it needs.
    pub(crate) fn start(&self, id: usize, more: &[(&str, &str)]) -> Node {
        let voters = format!("1@{}", self.peers[0]);
        let id_text = id.to_string();
        let settings = [
            ("node.id", id_text.as_str()),
            ("log.dirs", self.dir(id).to_str().unwrap()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("http.listener", ""),
            ("peer.listener", &self.peers[id - 1]),
            ("controller.quorum.voters", &voters),
        ];
        let settings = settings.into_iter().chain(more.iter().copied());
        Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real())
    }
}

pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("it does not come to pass");
}

/// Creates a topic of one partition on these brokers, as soon as they are in service.
pub(crate) fn create_on(client: &mut Client, name: &str, brokers: &[i32]) {
    let broker_ids = brokers.to_vec();
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids };
    let topic = CreatableTopic { assignments: vec![assignment], ..topic(name, -1, -1) };
    create(client, topic);
}

/// Creates a topic of one partition on so many brokers, as soon as they are in service.
pub(crate) fn create_copied(client: &mut Client, name: &str, replication_factor: i16) {
    create(client, topic(name, 1, replication_factor));
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    let name = name.to_owned();
    CreatableTopic { name, num_partitions, replication_factor, ..CreatableTopic::default() }
}

fn create(client: &mut Client, topic: CreatableTopic) {
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    until(|| {
        let created = client.call(7, &request).topics.remove(0);
        let error = ErrorCode::from_code(created.error_code);
        matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists)
    });
}

/// Moves the only partition of a topic.
pub(crate) fn move_to(client: &mut Client, topic: &str, brokers: &[i32]) {
    let replicas = Some(brokers.to_vec());
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas }];
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: topic.to_owned(), partitions }],
        timeout_ms: 20_000,
        ..Default::default()
    };
    let answered = client.call(1, &request).responses.remove(0).partitions.remove(0);
    assert_eq!(ErrorCode::from_code(answered.error_code), ErrorCode::None);
}
