//! The runtime with a shard that counts, on a log that misbehaves.

pub(crate) mod memory_log;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::Seams;

use self::memory_log::MemoryLog;
use super::*;

/// Counters by name, and one event of each kind to watch.
#[derive(Debug, Default)]
struct Counters {
    counts: BTreeMap<Bytes, i64>,
    waiting: Vec<Ticket>,
    committed_events: Vec<&'static str>,
    refused_events: Vec<&'static str>,
    deadline_ms: Option<i64>,
}

impl Counters {
    fn add(&self, name: &'static str, effects: &mut Effects<i64, &'static str>) -> i64 {
        let next = self.count(name) + 1;
        effects.records.push(CoordinatorRecord {
            key: Bytes::from_static(name.as_bytes()),
            value: Some(Bytes::copy_from_slice(&next.to_be_bytes())),
        });
        next
    }

    fn count(&self, name: &str) -> i64 {
        self.counts.get(name.as_bytes()).copied().unwrap_or(0)
    }
}

impl Shard for Counters {
    type Reply = i64;
    type Committed = &'static str;

    fn replay(&mut self, _: i64, record: &CoordinatorRecord) -> Result<(), ReplayError> {
        if let Some(Ok(count)) = record.value.as_deref().map(<[u8; 8]>::try_from) {
            self.counts.insert(record.key.clone(), i64::from_be_bytes(count));
        }
        Ok(())
    }

    fn on_loaded(&mut self, _: Now, _: &mut Effects<i64, &'static str>) {}

    /// Answers how late the tick is.
    fn on_tick(&mut self, now: Now, effects: &mut Effects<i64, &'static str>) {
        let late_ms = now.monotonic_ms - self.deadline_ms.take().unwrap_or(i64::MAX);
        effects.replies.extend(self.waiting.drain(..).map(|ticket| (ticket, late_ms)));
    }

    fn on_committed(
        &mut self,
        _: Now,
        event: &'static str,
        effects: &mut Effects<i64, &'static str>,
    ) {
        self.committed_events.push(event);
        let count = self.count(event);
        effects.replies.extend(self.waiting.drain(..).map(|ticket| (ticket, count)));
    }

    fn on_refused(&mut self, _: Now, event: &'static str, _: &mut Effects<i64, &'static str>) {
        self.refused_events.push(event);
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.deadline_ms
    }
}

type Runtime = Arc<ShardRuntime<Counters>>;

const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

fn start(log: &Arc<MemoryLog>) -> Runtime {
    let log = Arc::clone(log) as Arc<dyn CoordinatorLog>;
    ShardRuntime::start("test".to_owned(), log, Seams::real(), COMMIT_TIMEOUT, Counters::default)
}

async fn start_loaded(log: &Arc<MemoryLog>) -> Runtime {
    let runtime = start(log);
    until(|| runtime.inspect(|_| ()).is_ok()).await;
    runtime
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it never happened");
}

async fn add(runtime: &Runtime, name: &'static str) -> Result<i64, CoordinatorError> {
    runtime.submit(Wait::OwnRecords, |shard, _, effects| shard.add(name, effects)).await
}

#[tokio::test]
async fn an_answer_waits_for_its_records_and_so_does_one_that_read_them() {
    let log = Arc::new(MemoryLog::new());
    let runtime = start_loaded(&log).await;
    assert_eq!(add(&runtime, "a").await, Ok(1));
    log.hold_commits();
    let adding = add(&runtime, "a");
    let reading = runtime.submit(Wait::AllRecords, |shard, _, _| shard.count("a"));
    let unrelated = runtime.submit(Wait::OwnRecords, |shard, _, _| shard.count("a"));
    tokio::pin!(adding, reading);
    assert!(futures_util::poll!(adding.as_mut()).is_pending());
    assert!(futures_util::poll!(reading.as_mut()).is_pending());
    assert_eq!(unrelated.await, Ok(2), "replayed at append");
    log.commit();
    assert_eq!(adding.await, Ok(2));
    assert_eq!(reading.await, Ok(2));
}

#[tokio::test]
async fn a_lost_append_never_happened() {
    let log = Arc::new(MemoryLog::new());
    let runtime = start_loaded(&log).await;
    add(&runtime, "a").await.unwrap();
    log.hold_commits();
    let adding = add(&runtime, "a");
    let waiting = runtime.ask(|shard, _, ticket, _| shard.waiting.push(ticket));
    tokio::pin!(adding, waiting);
    assert!(futures_util::poll!(adding.as_mut()).is_pending());
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    log.lose_uncommitted();
    assert_eq!(adding.await, Err(CoordinatorError::NotCoordinator));
    assert_eq!(waiting.await, Err(CoordinatorError::NotCoordinator));
    until(|| runtime.inspect(|_| ()).is_ok()).await;
    assert_eq!(add(&runtime, "a").await, Ok(2));
}

#[tokio::test]
async fn a_loss_is_noticed_when_nobody_waits_for_an_answer() {
    let log = Arc::new(MemoryLog::new());
    let runtime = start_loaded(&log).await;
    log.hold_commits();
    let waiting = runtime.ask(|shard, _, ticket, effects| {
        shard.add("a", effects);
        effects.committed_replies.push((ticket, 7));
    });
    tokio::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    tokio::task::yield_now().await;
    log.lose_uncommitted();
    assert_eq!(waiting.await, Err(CoordinatorError::NotCoordinator));
    until(|| runtime.inspect(|shard| shard.count("a")) == Ok(0)).await;
}

#[tokio::test]
async fn a_refused_append_changes_nothing_and_those_who_count_on_it_are_told() {
    let log = Arc::new(MemoryLog::new());
    let runtime = start_loaded(&log).await;
    add(&runtime, "a").await.unwrap();
    let patient = runtime.ask(|shard, _, ticket, _| shard.waiting.push(ticket));
    tokio::pin!(patient);
    assert!(futures_util::poll!(patient.as_mut()).is_pending());

    for (refusal, expected) in [
        (LogError::Unavailable, CoordinatorError::NotAvailable),
        (LogError::TooLarge, CoordinatorError::TooLarge),
        (LogError::NotLeader, CoordinatorError::NotCoordinator),
    ] {
        log.refuse(Some(refusal));
        assert_eq!(add(&runtime, "a").await, Err(expected));
    }
    let asked = runtime.ask(|shard, _, ticket, effects| {
        shard.add("a", effects);
        effects.committed_replies.push((ticket, 7));
        effects.on_committed.push("event");
    });
    assert_eq!(asked.await, Err(CoordinatorError::NotCoordinator));
    assert_eq!(runtime.inspect(|shard| shard.refused_events.clone()), Ok(vec!["event"]));
    assert_eq!(runtime.inspect(|shard| shard.count("a")), Ok(1));

    // The log recovers, and the shard with all who wait in it is still the same.
    log.refuse(None);
    let committed = runtime
        .submit(Wait::OwnRecords, |shard, _, effects| {
            shard.add("a", effects);
            effects.on_committed.push("a");
        })
        .await;
    assert_eq!(committed, Ok(()));
    assert_eq!(patient.await, Ok(2), "answered by what followed the commit");
}

#[tokio::test]
async fn a_new_leader_reads_what_the_last_one_wrote() {
    let log = Arc::new(MemoryLog::new());
    let first = start_loaded(&log).await;
    for _ in 0..3 {
        add(&first, "a").await.unwrap();
    }
    add(&first, "b").await.unwrap();
    first.close();
    assert_eq!(add(&first, "a").await, Err(CoordinatorError::NotCoordinator));

    log.make_readable(false);
    let second = start(&log);
    assert_eq!(add(&second, "a").await, Err(CoordinatorError::LoadInProgress));
    log.make_readable(true);
    until(|| second.inspect(|_| ()).is_ok()).await;
    assert_eq!(add(&second, "a").await, Ok(4));
    assert_eq!(add(&second, "b").await, Ok(2));
}

#[tokio::test]
async fn closing_sends_everyone_who_waits_away() {
    let log = Arc::new(MemoryLog::new());
    let runtime = start_loaded(&log).await;
    let waiting = runtime.ask(|shard, _, ticket, _| shard.waiting.push(ticket));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    runtime.close();
    assert_eq!(waiting.await, Err(CoordinatorError::NotCoordinator));
}

#[tokio::test]
async fn ticks_come_at_the_shards_deadline() {
    let log = Arc::new(MemoryLog::new());
    let runtime = start_loaded(&log).await;
    let answer = runtime
        .ask(|shard, now, ticket, _| {
            shard.waiting.push(ticket);
            shard.deadline_ms = Some(now.monotonic_ms + 20);
        })
        .await;
    assert!(answer.unwrap() >= 0, "not before the deadline");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_ever() {
    let log = Arc::new(MemoryLog::new());
    let timeout = Duration::from_millis(10);
    let shared = Arc::clone(&log) as Arc<dyn CoordinatorLog>;
    let runtime =
        ShardRuntime::start("test".to_owned(), shared, Seams::real(), timeout, Counters::default);
    until(|| runtime.inspect(|_| ()).is_ok()).await;
    log.hold_commits();
    assert_eq!(add(&runtime, "a").await, Err(CoordinatorError::NotAvailable));
    log.commit();
    assert_eq!(add(&runtime, "a").await, Ok(2), "it was written all the same");
}
