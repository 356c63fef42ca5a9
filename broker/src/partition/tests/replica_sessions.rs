//! What a leader answers to the fetches of a follower's session: what has moved, and nothing else.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flumen_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, ReplicaState,
};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_protocol::{ApiKey, ErrorCode};

use super::super::registry::Snapshot;
use super::super::*;
use super::replication::{FOLLOWER, LEADER, TOPIC, broker, data_dir, host, lead, open};
use crate::Broker;
use crate::api::{Call, Staged, replica_fetch};
use crate::clock::within;
use crate::controller::testing::registration;
use crate::controller::{BrokerRegistration, ControlRequest, ControlResponse};

/// A broker that leads some partitions.
struct Leading {
    broker: Broker,
    /// Of the follower.
    epoch: i64,
    partitions: Vec<Arc<Partition>>,
    _dirs: [tempfile::TempDir; 2],
}

impl Leading {
    async fn new(count: i32) -> Self {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (broker, epoch) = broker(dirs[0].path()).await;
        let data_dir = data_dir(dirs[1].path(), &broker.context().seams);
        let partitions: Vec<_> = (0..count).map(|index| open(&data_dir, LEADER, index)).collect();
        for partition in &partitions {
            partition.take_part(lead(0, &[LEADER]), Arc::default());
        }
        broker.context().partitions.replace(host(&partitions));
        Self { broker, epoch, partitions, _dirs: dirs }
    }

    /// Appends a record, and waits until it is committed.
    async fn append(&self, index: usize) {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(0, None, Some(b"record"), &[]);
        let partition = &self.partitions[index];
        let appended = partition.append(batch.build(), AppendOrigin::Client, true, 0).unwrap();
        partition.committed(appended.info.last_offset, appended.leader_epoch).await.unwrap();
    }

    /// Starts a fetch, whose epoch of the follower counts from the one it is registered with.
    fn start(&self, mut request: FetchRequest) -> Staged<FetchResponse> {
        request.replica_state.replica_epoch += self.epoch;
        let ctx = self.broker.context();
        let call = Call {
            api: ApiKey::Fetch,
            version: 18,
            correlation_id: 0,
            client_id: None,
            peer: ([127, 0, 0, 1], 1).into(),
            received: ctx.seams.clock.monotonic(),
            is_passed_on: false,
            is_undecided: AtomicBool::default(),
        };
        replica_fetch::start(ctx, &call, request)
    }

    async fn fetch(&self, request: FetchRequest) -> FetchResponse {
        match self.start(request) {
            Staged::Done(response) => response,
            Staged::Waiting(response) => response.await,
            Staged::Nothing | Staged::Close => unreachable!("a fetch is always answered"),
        }
    }
}

/// A fetch of these partitions from these offsets.
fn request(session: (i32, i32), offsets: &[(i32, i64)]) -> FetchRequest {
    let partition = |&(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition,
        fetch_offset,
        current_leader_epoch: 0,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let partitions = offsets.iter().map(partition).collect();
    FetchRequest {
        replica_state: ReplicaState { replica_id: FOLLOWER, replica_epoch: 0 },
        max_bytes: 1 << 20,
        session_id: session.0,
        session_epoch: session.1,
        topics: vec![FetchTopic { topic_id: TOPIC, partitions, ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}

/// Every partition that an answer tells of, with its high watermark and whether records come.
fn told(response: &FetchResponse) -> Vec<(i32, i64, bool)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let row = |data: &flumen_protocol::messages::fetch::PartitionData| {
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        (data.partition_index, data.high_watermark, has_records)
    };
    partitions.map(row).collect()
}

#[tokio::test]
async fn only_what_has_moved_is_told() {
    let leading = Leading::new(3).await;
    let full = leading.fetch(request((0, 0), &[(0, 0), (1, 0), (2, 0)])).await;
    assert_eq!(told(&full), [(0, 0, false), (1, 0, false), (2, 0, false)]);
    let id = full.session_id;
    leading.append(1).await;
    let moved = leading.fetch(request((id, 1), &[])).await;
    assert_eq!(told(&moved), [(1, 1, true)]);
    // It is told again until the follower asks for what comes after it.
    let again = leading.fetch(request((id, 2), &[])).await;
    assert_eq!(told(&again), [(1, 1, true)]);
    let nothing = leading.fetch(request((id, 3), &[(1, 1)])).await;
    assert_eq!(told(&nothing), []);
    let forgetful = FetchRequest {
        forgotten_topics_data: vec![ForgottenTopic {
            topic_id: TOPIC,
            partitions: vec![2],
            ..ForgottenTopic::default()
        }],
        ..request((id, 4), &[])
    };
    assert_eq!(told(&leading.fetch(forgetful).await), []);
    leading.append(2).await;
    leading.append(0).await;
    assert_eq!(told(&leading.fetch(request((id, 5), &[])).await), [(0, 1, true)]);
    leading.broker.shutdown().await;
}

#[tokio::test]
async fn a_waiting_fetch_is_answered_by_records_and_by_a_higher_watermark() {
    let leading = Leading::new(2).await;
    let patient = |session, offsets: &[(i32, i64)]| FetchRequest {
        max_wait_ms: 60_000,
        ..request(session, offsets)
    };
    let full = leading.fetch(patient((0, 0), &[(0, 0), (1, 0)])).await;
    let id = full.session_id;
    let (answer, ()) = tokio::join!(leading.fetch(patient((id, 1), &[])), leading.append(1));
    assert!(matches!(told(&answer)[..], [(1, _, true)]), "{answer:?}");

    // With the follower in the set its own fetch is what commits the record.
    for partition in &leading.partitions {
        partition.take_part(lead(1, &[LEADER, FOLLOWER]), Arc::default());
    }
    let in_epoch = |mut request: FetchRequest| {
        for partition in &mut request.topics[0].partitions {
            partition.current_leader_epoch = 1;
        }
        request
    };
    let full = leading.fetch(in_epoch(patient((0, 0), &[(0, 0), (1, 1)]))).await;
    let (id, append) = (full.session_id, leading.append(0));
    let fetches = async {
        let records = leading.fetch(in_epoch(patient((id, 1), &[]))).await;
        assert!(matches!(told(&records)[..], [(0, 0, true)]), "{records:?}");
        let committed = leading.fetch(in_epoch(patient((id, 2), &[(0, 1)]))).await;
        assert_eq!(told(&committed), [(0, 1, false)]);
    };
    tokio::join!(append, fetches);
    leading.broker.shutdown().await;
}

#[tokio::test]
async fn what_does_not_fit_has_its_turn_next() {
    let leading = Leading::new(3).await;
    for index in 0..3 {
        leading.append(index).await;
    }
    let small = |session, offsets: &[(i32, i64)]| FetchRequest {
        max_bytes: 1,
        ..request(session, offsets)
    };
    let with_records = |response: &FetchResponse| -> Vec<i32> {
        told(response).into_iter().filter(|row| row.2).map(|row| row.0).collect()
    };
    let first = leading.fetch(small((0, 0), &[(0, 0), (1, 0), (2, 0)])).await;
    assert_eq!(with_records(&first), [0]);
    // More comes where it was served, and yet the others are served before.
    leading.append(0).await;
    let second = leading.fetch(small((first.session_id, 1), &[(0, 1)])).await;
    assert_eq!(with_records(&second), [1]);
    let third = leading.fetch(small((first.session_id, 2), &[(1, 1)])).await;
    assert_eq!(with_records(&third), [2]);
    let fourth = leading.fetch(small((first.session_id, 3), &[(2, 1)])).await;
    assert_eq!(with_records(&fourth), [0]);
    leading.broker.shutdown().await;
}

#[tokio::test]
async fn a_session_that_begins_anew_ends_the_last() {
    let leading = Leading::new(1).await;
    let first = leading.fetch(request((0, 0), &[(0, 0)])).await.session_id;
    let patient = FetchRequest { max_wait_ms: 60_000, ..request((first, 1), &[]) };
    let Staged::Waiting(waiting) = leading.start(patient) else {
        panic!("there is nothing to tell")
    };
    let second = leading.fetch(request((0, 0), &[(0, 0)])).await.session_id;
    assert_ne!(first, second);
    let sent_away = within(Duration::from_secs(10), waiting).await;
    assert!(sent_away.is_some(), "the fetch of the old session still waits");
    let old = leading.fetch(request((first, 2), &[])).await;
    assert_eq!(old.error_code, ErrorCode::FetchSessionIdNotFound.code());
    let skipped = leading.fetch(request((second, 7), &[])).await;
    assert_eq!(skipped.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    assert_eq!(leading.fetch(request((second, 1), &[])).await.error_code, 0);
    leading.broker.shutdown().await;
}

#[tokio::test]
async fn only_the_registered_start_of_a_broker_has_a_session() {
    let leading = Leading::new(1).await;
    let id = leading.fetch(request((0, 0), &[(0, 0)])).await.session_id;
    let refused = async |replica_id, epoch_ahead| {
        let mut other = request((0, 0), &[(0, 0)]);
        other.replica_state = ReplicaState { replica_id, replica_epoch: epoch_ahead };
        ErrorCode::from_code(leading.fetch(other).await.error_code)
    };
    // A later one than is known may be made up, or be known a moment later.
    for epoch_ahead in [-1, 1, i64::MAX - leading.epoch] {
        assert_eq!(refused(FOLLOWER, epoch_ahead).await, ErrorCode::StaleBrokerEpoch);
    }
    assert_eq!(refused(77, 0).await, ErrorCode::BrokerIdNotRegistered);
    assert_eq!(leading.fetch(request((id, 1), &[])).await.error_code, 0);
    leading.broker.shutdown().await;
}

#[tokio::test]
async fn a_session_ends_with_the_start_of_the_broker_that_it_is_of() {
    let leading = Leading::new(1).await;
    let id = leading.fetch(request((0, 0), &[(0, 0)])).await.session_id;
    let patient = FetchRequest { max_wait_ms: 60_000, ..request((id, 1), &[]) };
    let Staged::Waiting(waiting) = leading.start(patient) else {
        panic!("there is nothing to tell")
    };
    let again =
        BrokerRegistration { previous_epoch: Some(leading.epoch), ..registration(FOLLOWER, 2) };
    let ctx = leading.broker.context();
    let answer = ctx.controller.control(ControlRequest::Register(again)).await.unwrap();
    assert!(matches!(answer, ControlResponse::Registered(Ok(_))), "{answer:?}");
    let sent_away = within(Duration::from_secs(30), waiting).await;
    assert!(sent_away.is_some(), "the fetch of the start that is over still waits");
    leading.broker.shutdown().await;
}

#[tokio::test]
async fn a_deleted_partition_is_told_of_and_not_kept() {
    let mut leading = Leading::new(1).await;
    let id = leading.fetch(request((0, 0), &[(0, 0)])).await.session_id;
    let partition = leading.partitions.remove(0);
    leading.broker.context().partitions.replace(Snapshot::default());
    partition.close();
    let kept = Arc::downgrade(&partition);
    drop(partition);
    let gone = leading.fetch(request((id, 1), &[])).await;
    let data = &gone.responses[0].partitions[0];
    assert_eq!(data.error_code, ErrorCode::UnknownTopicId.code());
    // A sync may hold it for a moment.
    let is_gone = async {
        while kept.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let is_gone = within(Duration::from_secs(30), is_gone).await;
    assert!(is_gone.is_some(), "the session holds the log open");
    leading.broker.shutdown().await;
}
