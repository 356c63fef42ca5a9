//! Three brokers with one metadata quorum: what clients and brokers need not wait for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::thread;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::add_raft_voter::AddRaftVoterRequest;
use flumen_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use flumen_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, PartitionData, ResponsePartitionData, TopicData,
};
use flumen_protocol::messages::remove_raft_voter::RemoveRaftVoterRequest;

use support::pair::until;
use support::ports::free_port;
use support::{Client, Node};

/// Longer than an election, and than most clients think that it takes.
const OUTAGE: Duration = Duration::from_secs(6);

/// Brokers 1 to 3, in service.
fn start(more: &[(&str, &str)]) -> [(tempfile::TempDir, Node); 3] {
    let peers = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let voters = (1..).zip(&peers).map(|(id, peer): (i32, _)| format!("{id}@{peer}"));
    let voters = voters.collect::<Vec<_>>().join(",");
    let start = &|id: usize| {
        let dir = tempfile::tempdir().unwrap();
        let settings = [
            ("node.id", &*id.to_string()),
            ("log.dirs", dir.path().to_str().unwrap()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("http.listener", ""),
            ("peer.listener", &peers[id - 1]),
            ("controller.quorum.voters", &voters),
        ];
        let settings = settings.into_iter().chain(more.iter().copied());
        let node = Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real());
        (dir, node)
    };
    // None is ready before all have founded the cluster.
    thread::scope(|scope| {
        let starting = [1, 2, 3].map(|id| scope.spawn(move || start(id)));
        starting.map(|starting| starting.join().unwrap())
    })
}

fn create(client: &mut Client, name: &str) -> ErrorCode {
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    ErrorCode::from_code(client.call(7, &request).topics[0].error_code)
}

/// Any broker may be asked for what only the leader of the quorum decides.
#[test]
fn a_request_outlives_the_leader_it_was_passed_on_to_and_an_outage_of_the_quorum() {
    let nodes = start(&[]);
    let leader = nodes[0].1.broker().context().controller.leader();
    let is_leader = |at: &usize| i32::try_from(at + 1).ok() == leader;
    let (led, asked) =
        ((0..3).find(is_leader).unwrap(), (0..3).rfind(|at| !is_leader(at)).unwrap());
    let mut client = nodes[asked].1.client();
    assert_eq!(create(&mut client, "before"), ErrorCode::None);
    let frozen = nodes[led].1.freeze();
    // The leader has the request and never answers: whoever leads next is asked.
    assert_eq!(create(&mut client, "after-election"), ErrorCode::None);
    drop(frozen);

    let others = nodes.iter().enumerate().filter(|(at, _)| *at != asked);
    let frozen: Vec<_> = others.map(|(_, (_, node))| node.freeze()).collect();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| create(&mut client, "after-outage"));
        thread::sleep(OUTAGE);
        assert!(!waiting.is_finished(), "nobody can decide");
        drop(frozen);
        assert_eq!(waiting.join().unwrap(), ErrorCode::None);
    });
}

fn describe_quorum(client: &mut Client) -> ResponsePartitionData {
    let partitions = vec![PartitionData { partition_index: 0 }];
    let topic = TopicData { topic_name: "__cluster_metadata".to_owned(), partitions };
    let mut response = client.call(2, &DescribeQuorumRequest { topics: vec![topic] });
    response.topics.remove(0).partitions.remove(0)
}

#[test]
fn voters_are_removed_and_added_through_any_broker() {
    let nodes = start(&[]);
    let controller = &nodes[0].1.broker().context().controller;
    until(|| controller.leader().is_some());
    let voter_id = controller.leader().map_or(1, |leader| leader % 3 + 1);
    for (_, node) in &nodes {
        let mut client = node.client();
        let request = RemoveRaftVoterRequest { cluster_id: None, voter_id, ..Default::default() };
        // Where an election came in between it is done already.
        until(|| {
            let error = ErrorCode::from_code(client.call(0, &request).error_code);
            matches!(error, ErrorCode::None | ErrorCode::VoterNotFound)
        });
        assert_eq!(describe_quorum(&mut client).current_voters.len(), 2);
        let request = AddRaftVoterRequest {
            cluster_id: None,
            voter_id,
            timeout_ms: 10_000,
            ..AddRaftVoterRequest::default()
        };
        // The leader has to hear of its directory first.
        until(|| {
            let error = ErrorCode::from_code(client.call(0, &request).error_code);
            matches!(error, ErrorCode::None | ErrorCode::DuplicateVoter)
        });
        assert_eq!(describe_quorum(&mut client).current_voters.len(), 3);
    }
}

#[test]
fn that_nobody_leads_is_an_answer() {
    let nodes = start(&[]);
    let mut client = nodes[0].1.client();
    until(|| describe_quorum(&mut client).leader_id > 0);
    let frozen = [nodes[1].1.freeze(), nodes[2].1.freeze()];
    // If it leads itself, it takes a moment to see that nobody follows.
    until(|| describe_quorum(&mut client).leader_id == -1);
    assert_eq!(describe_quorum(&mut client).current_voters.len(), 3);
    drop(frozen);
}

#[test]
fn a_broker_that_leaves_does_not_wait_for_heartbeats_of_others() {
    let rare = [("broker.heartbeat.interval.ms", "60000"), ("broker.session.timeout.ms", "120000")];
    let [(_dir, leaving), _second, _third] = start(&rare);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| leaving.stop());
        // It gives up waiting after ten seconds.
        let is_over = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(50));
            stopping.is_finished()
        });
        assert!(is_over, "the others know at once that it leaves, and do not say so");
    });
}
