use std::cell::Cell;

use bytes::Bytes;
use flumen_protocol::Records;
use flumen_protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

use super::*;

const NOW: Duration = Duration::from_secs(1000);

/// Runs fetches against a cache of two slots.
struct Client {
    sessions: FetchSessions,
    random: Cell<u64>,
}

fn client() -> Client {
    Client { sessions: FetchSessions::new(2), random: Cell::new(1) }
}

fn topics(partitions: &[i32]) -> Vec<FetchTopic> {
    let partitions = partitions
        .iter()
        .map(|&partition| FetchPartition { partition, ..Default::default() })
        .collect();
    vec![FetchTopic { topic: "t".into(), partitions, ..Default::default() }]
}

fn data(high_watermark: i64, records: &'static [u8]) -> PartitionData {
    let records = Some(Records::from(Bytes::from_static(records)));
    PartitionData { high_watermark, log_start_offset: 0, records, ..Default::default() }
}

impl Client {
    fn begin(&mut self, id: i32, epoch: i32, add: &[i32], forget: &[i32]) -> Begun {
        let request = FetchRequest {
            session_id: id,
            session_epoch: epoch,
            topics: topics(add),
            forgotten_topics_data: vec![ForgottenTopic {
                topic: "t".into(),
                partitions: forget.to_vec(),
                ..Default::default()
            }],
            ..Default::default()
        };
        self.sessions.begin(request, false, NOW)
    }

    /// Answers a fetch with a high watermark, and with records where it is odd; returns the session
    /// and the partitions that the client is told of.
    fn finish(&mut self, begun: Begun, ends: &[i64], now: Duration) -> (i32, Vec<i32>) {
        let (kind, fetched) = begun.unwrap();
        let answer = |end: &i64| data(*end, if end % 2 == 1 { b"records" } else { b"" });
        let mut found: Vec<_> = fetched.into_iter().zip(ends.iter().map(answer)).collect();
        let random = || {
            self.random.set(self.random.get() + 1);
            self.random.get() << 33
        };
        let id = self.sessions.finish(kind, &mut found, now, random);
        (id, found.iter().map(|(fetched, _)| fetched.request.partition).collect())
    }
}

type Begun = Result<(Kind, Vec<Fetched>), SessionError>;

fn order(begun: &Begun) -> Vec<i32> {
    begun.as_ref().unwrap().1.iter().map(|fetched| fetched.request.partition).collect()
}

#[test]
fn only_what_changed_is_told() {
    let mut client = client();
    let begun = client.begin(0, 0, &[0, 1, 2], &[]);
    let (id, told) = client.finish(begun, &[0, 0, 0], NOW);
    assert_eq!(told, [0, 1, 2], "a full fetch tells everything");
    let begun = client.begin(id, 1, &[], &[]);
    assert_eq!(client.finish(begun, &[0, 0, 0], NOW).1, [0; 0]);
    let begun = client.begin(id, 2, &[], &[]);
    assert_eq!(client.finish(begun, &[0, 2, 0], NOW).1, [1]);
    let begun = client.begin(id, 3, &[], &[]);
    assert_eq!(client.finish(begun, &[0, 2, 0], NOW).1, [0; 0]);
}

#[test]
fn who_had_records_is_read_last() {
    let mut client = client();
    let begun = client.begin(0, 0, &[0, 1, 2], &[]);
    let (id, _) = client.finish(begun, &[0, 0, 0], NOW);
    let begun = client.begin(id, 1, &[], &[]);
    assert_eq!(client.finish(begun, &[1, 0, 0], NOW).1, [0]);
    let begun = client.begin(id, 2, &[], &[]);
    assert_eq!(order(&begun), [1, 2, 0]);
}

#[test]
fn partitions_come_and_go() {
    let mut client = client();
    let begun = client.begin(0, 0, &[0, 1], &[]);
    let (id, _) = client.finish(begun, &[0, 0], NOW);
    let begun = client.begin(id, 1, &[5], &[0]);
    assert_eq!(order(&begun), [1, 5]);
    assert_eq!(client.finish(begun, &[0, 0], NOW).1, [5]);
    let begun = client.begin(id, 2, &[], &[1, 5]);
    assert_eq!(begun.unwrap().0, Kind::Sessionless);
    assert_eq!(client.sessions.len(), 0, "a session of nothing ends");
}

#[test]
fn an_error_is_told_and_so_is_its_end() {
    let mut client = client();
    let begun = client.begin(0, 0, &[0], &[]);
    let (id, _) = client.finish(begun, &[4], NOW);
    for (epoch, answer) in [(1, -1), (2, -1), (3, 4)] {
        let (kind, fetched) = client.begin(id, epoch, &[], &[]).unwrap();
        let error_code = if answer < 0 { 6 } else { 0 };
        let data = PartitionData { error_code, ..data(answer, b"") };
        let mut found = vec![(fetched[0].clone(), data)];
        client.sessions.finish(kind, &mut found, NOW, || 0);
        assert_eq!(found.len(), 1, "epoch {epoch}");
    }
}

#[test]
fn a_session_continues_only_where_it_was() {
    let mut client = client();
    let begun = client.begin(0, 0, &[0], &[]);
    let (id, _) = client.finish(begun, &[0], NOW);
    let error = |begun: Begun| begun.map(|_| ()).unwrap_err();
    assert_eq!(error(client.begin(id + 1, 1, &[], &[])), SessionError::NotFound);
    assert_eq!(error(client.begin(id, 2, &[], &[])), SessionError::InvalidEpoch);
    let request = FetchRequest { session_id: id, session_epoch: 1, ..Default::default() };
    let mixed = client.sessions.begin(request, true, NOW);
    assert_eq!(error(mixed), SessionError::TopicIdMismatch);
    assert!(client.begin(id, 1, &[], &[]).is_ok());
    assert_eq!(client.begin(id, -1, &[0], &[]).unwrap().0, Kind::Sessionless);
    assert_eq!(error(client.begin(id, 2, &[], &[])), SessionError::NotFound);
}

#[test]
fn slots_are_bounded_and_given_to_larger_or_newer_sessions() {
    let mut client = client();
    for _ in 0..2 {
        let begun = client.begin(0, 0, &[0], &[]);
        assert_ne!(client.finish(begun, &[0], NOW).0, 0);
    }
    let begun = client.begin(0, 0, &[0, 1], &[]);
    assert_eq!(client.finish(begun, &[0, 0], NOW).0, 0, "both are in use");
    let later = NOW + KEPT + Duration::from_secs(1);
    let begun = client.begin(0, 0, &[0], &[]);
    assert_ne!(client.finish(begun, &[0], later).0, 0, "both have been idle");
    assert_eq!((client.sessions.len(), client.sessions.evicted()), (2, 1));
}

#[test]
fn sessions_have_a_limit_of_partitions_together() {
    let mut client = client();
    let many: Vec<i32> = (0..700).collect();
    let begun = client.begin(0, 0, &many, &[]);
    let (first, _) = client.finish(begun, &[0; 700], NOW);
    assert_ne!(first, 0);
    let begun = client.begin(0, 0, &many, &[]);
    assert_eq!(client.finish(begun, &[0; 700], NOW).0, 0, "it is answered, and not remembered");
    let begun = client.begin(0, 0, &[1], &[]);
    let (second, _) = client.finish(begun, &[0], NOW);
    assert_ne!(second, 0);

    // One that grows beyond it has to begin anew.
    let more: Vec<i32> = (0..400).collect();
    assert_eq!(client.begin(second, 1, &more, &[]).err(), Some(SessionError::NotFound));
    assert_eq!(client.sessions.len(), 1);
    assert!(client.begin(first, 1, &[], &[]).is_ok());
}
