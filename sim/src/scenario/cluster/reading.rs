//! Consumers: members of a group that commit what they read, and one that reads everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flumen_client::TopicPartition;
use flumen_client::connection::BoxFuture;
use flumen_consumer::{
    Consumer, ConsumerConfig, ConsumerHandle, Isolation, OffsetReset, OffsetSpec, OffsetToCommit,
    RebalanceListener, Record,
};

use super::{GROUP, Program, TOPIC};
use crate::history::Value;
use crate::operations::{Poll, Polled, Progress};

/// How long a call for records waits.
const POLL: Duration = Duration::from_millis(200);

/// Counts how often the partitions of a member change.
#[derive(Debug, Default)]
struct Placings(AtomicU64);

impl RebalanceListener for Placings {
    fn assigned<'a>(
        &'a self,
        _consumer: &'a ConsumerHandle,
        _partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {})
    }
}

/// Reads as a member of the group until the group has read everything.
pub(super) async fn in_group(mut program: Program, number: u32) -> turmoil::Result {
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        auto_commit: false,
        session_timeout: Duration::from_millis(2_000 + program.rng.below(4_000)),
        heartbeat_interval: Duration::from_millis(500),
        // A join whose answer is lost is waited for as long, and a run has a minute to recover.
        max_poll_interval: Duration::from_secs(20),
        ..ConsumerConfig::group(GROUP)
    };
    let placings = Arc::new(Placings::default());
    let mut consumer = Consumer::new(&program.client, config)?;
    consumer.subscribe_with([TOPIC], Arc::clone(&placings) as _)?;
    let mut begun: BTreeMap<i32, u64> = BTreeMap::new();
    loop {
        // What is wrong will be right again, or the run does not come to its end.
        let Ok(records) = consumer.poll_batch(POLL).await else {
            program.pause(100).await;
            continue;
        };
        let placing = placings.0.load(Ordering::Relaxed);
        let member = (number, placing);
        note(&program, member, &records);
        let mut next = BTreeMap::new();
        for Record { partition, offset, leader_epoch, .. } in &records {
            if begun.insert(partition.partition, placing) != Some(placing) {
                let (partition, offset) = (partition.partition, *offset);
                progress(&program, Progress::Began { member, partition, offset });
            }
            // Without the epoch, a leader of before that lacks the record would call it out of range.
            let commit = OffsetToCommit::new(offset + 1);
            let leader_epoch = Some(*leader_epoch);
            next.insert(partition.clone(), OffsetToCommit { leader_epoch, ..commit });
        }
        if !next.is_empty() && consumer.commit_offsets(&next).await.is_ok() {
            for (TopicPartition { partition, .. }, commit) in next {
                let offset = commit.offset;
                progress(&program, Progress::Committed { member, partition, offset });
            }
        }
        if program.is_draining() && records.is_empty() && is_finished(&program).await {
            break;
        }
    }
    consumer.close().await;
    Ok(())
}

/// Whether the group has committed the ends of all partitions.
async fn is_finished(program: &Program) -> bool {
    let Ok(committed) = program.client.admin().committed_offsets(GROUP).await else { return false };
    let Some(ends) = ends(program).await else { return false };
    let committed =
        |partition| committed.get(partition).map_or(0, |committed: &_| committed.offset);
    ends.iter().all(|(partition, end)| committed(partition) >= *end)
}

/// Where the partitions end, if all leaders tell.
async fn ends(program: &Program) -> Option<BTreeMap<TopicPartition, i64>> {
    let places = Program::partitions().into_iter().map(|partition| (partition, OffsetSpec::Latest));
    let admin = program.client.admin();
    let listed = admin.list_offsets(places.collect(), Isolation::ReadUncommitted).await;
    let end = |(partition, listed): (_, Result<flumen_client::admin::ListedOffset, _>)| {
        Some((partition, listed.ok()?.offset?))
    };
    listed.into_iter().map(end).collect()
}

/// Reads all partitions from their beginning while faults go on.
pub(super) async fn follow(mut program: Program, number: u32) -> turmoil::Result {
    let mut consumer = assigned(&program)?;
    while !program.is_draining() {
        match consumer.poll_batch(POLL).await {
            Ok(records) => note(&program, (number, 1), &records),
            Err(_) => program.pause(100).await,
        }
    }
    Ok(())
}

/// Reads all partitions from their beginning to the ends that are found after everything is healed,
/// and looks up how far the group is.
pub(super) async fn to_the_end(program: &Program, number: u32) -> turmoil::Result {
    let mut consumer = assigned(program)?;
    let mut positions: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    loop {
        let records = consumer.poll_batch(POLL).await.unwrap_or_default();
        note(program, (number, 1), &records);
        for record in &records {
            positions.insert(record.partition.clone(), record.offset + 1);
        }
        let position = |partition| positions.get(partition).copied().unwrap_or(0);
        if records.is_empty()
            && let Some(ends) = ends(program).await
            && ends.iter().all(|(partition, end)| position(partition) >= *end)
        {
            break;
        }
    }
    let committed = program.client.admin().committed_offsets(GROUP).await?;
    for partition in Program::partitions() {
        let offset = committed.get(&partition).map_or(0, |committed| committed.offset);
        progress(program, Progress::Found { partition: partition.partition, offset });
    }
    Ok(())
}

fn assigned(program: &Program) -> Result<Consumer, flumen_consumer::Error> {
    let config =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let consumer = Consumer::new(&program.client, config)?;
    consumer.assign(Program::partitions())?;
    Ok(consumer)
}

fn note(program: &Program, (consumer, placing): (u32, u64), records: &[Record]) {
    if records.is_empty() {
        return;
    }
    let polled = records.iter().map(|record| {
        let value = record.value.as_ref().and_then(|value| value.first_chunk());
        Polled {
            partition: record.partition.partition,
            offset: record.offset,
            value: Value::from_be_bytes(*value.expect("every value begins with its number")),
        }
    });
    let poll = Poll { consumer, placing, records: polled.collect() };
    program.shared.borrow_mut().polls.push(poll);
}

fn progress(program: &Program, progress: Progress) {
    program.shared.borrow_mut().progress.push(progress);
}
