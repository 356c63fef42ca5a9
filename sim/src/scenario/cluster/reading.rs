//! Consumers: members of a group that commit what they read, and one that reads everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flumen_client::TopicPartition;
use flumen_client::connection::BoxFuture;
use flumen_consumer::{
    Consumer, ConsumerConfig, ConsumerHandle, Isolation, OffsetReset, OffsetSpec, OffsetToCommit,
    RebalanceListener, Record,
};

use super::{GROUP, Program, TOPIC};
use crate::history::Value;
use crate::operations::{Assigned, Poll, Polled, Progress, ToldEnd};

/// Pause between two questions for the ends.
const ASK_PAUSE_MS_MAX: u64 = 500;

/// How long a call for records waits.
pub(super) const POLL: Duration = Duration::from_millis(200);

/// How often, about, the follower goes on reading before it begins anew.
const POLLS_BETWEEN_BEGINNINGS: u64 = 40;

/// The partitions of a member, every time they changed, and the generation.
#[derive(Debug, Default)]
struct Placings(Mutex<Vec<(i32, Vec<i32>)>>);

impl Placings {
    /// The number of the last change, and what was not taken yet.
    fn taken(&self, before: u64) -> (u64, Vec<(i32, Vec<i32>)>) {
        let all = self.0.lock().expect("nobody panics while holding it");
        let new = all.iter().skip(usize::try_from(before).unwrap_or(usize::MAX));
        (all.len() as u64, new.cloned().collect())
    }
}

impl RebalanceListener for Placings {
    fn assigned<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        let partitions = partitions.iter().map(|partition| partition.partition).collect();
        let generation = consumer.generation().unwrap_or(-1);
        let mut all = self.0.lock().expect("nobody panics while holding it");
        all.push((generation, partitions));
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
        client_rack: program.rack.clone(),
        ..ConsumerConfig::group(GROUP)
    };
    let placings = Arc::new(Placings::default());
    let mut consumer = Consumer::new(&program.client, config)?;
    consumer.subscribe_with([TOPIC], Arc::clone(&placings) as _)?;
    let mut begun: BTreeMap<i32, u64> = BTreeMap::new();
    let (mut placing, mut given_in) = (0, -1);
    loop {
        // What is wrong will be right again, or the run does not come to its end.
        let Ok(records) = consumer.poll_batch(POLL).await else {
            program.pause(100).await;
            continue;
        };
        let (changes, assigned) = placings.taken(placing);
        placing = changes;
        for (generation, partitions) in assigned {
            given_in = generation;
            let assigned = Assigned { member: number, generation, partitions };
            program.shared.borrow_mut().assigned.push(assigned);
        }
        note(&program, (number, placing), &records);
        let mut next = BTreeMap::new();
        for Record { partition, offset, leader_epoch, .. } in &records {
            if begun.insert(partition.partition, placing) != Some(placing) {
                let (partition, offset) = (partition.partition, *offset);
                let generation = given_in;
                progress(
                    &program,
                    Progress::Began { member: number, generation, partition, offset },
                );
            }
            // Without the epoch, a leader of before that lacks the record would call it out of range.
            let commit = OffsetToCommit::new(offset + 1);
            let leader_epoch = Some(*leader_epoch);
            next.insert(partition.clone(), OffsetToCommit { leader_epoch, ..commit });
        }
        let generation = consumer.handle().generation().unwrap_or(-1);
        if !next.is_empty() && consumer.commit_offsets(&next).await.is_ok() {
            for (TopicPartition { partition, .. }, commit) in next {
                let offset = commit.offset;
                let member = number;
                progress(&program, Progress::Committed { member, generation, partition, offset });
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

/// Asks again and again where the partitions end.
pub(super) async fn ask_ends(mut program: Program) -> turmoil::Result {
    while !program.is_draining() {
        for (TopicPartition { partition, .. }, offset) in ends(&program).await.unwrap_or_default() {
            program.shared.borrow_mut().ends.push(ToldEnd { partition, offset });
        }
        program.pause(ASK_PAUSE_MS_MAX).await;
    }
    Ok(())
}

/// Reads all partitions from their beginning while faults go on, and again and again: what was read once then comes
/// from the disk.
pub(super) async fn follow(mut program: Program, number: u32) -> turmoil::Result {
    let mut consumer = assigned(&program, program.rack.clone())?;
    let mut placing = 1;
    while !program.is_draining() {
        if program.rng.below(POLLS_BETWEEN_BEGINNINGS) == 0 {
            for partition in Program::partitions() {
                consumer.seek(&partition, 0)?;
            }
            placing += 1;
        }
        match consumer.poll_batch(POLL).await {
            Ok(records) => note(&program, (number, placing), &records),
            Err(_) => program.pause(100).await,
        }
    }
    Ok(())
}

/// Reads all partitions from their beginning to the ends that are found after everything is healed,
/// and looks up how far the group is.
pub(super) async fn to_the_end(program: &Program, number: u32) -> turmoil::Result {
    let mut consumer = assigned(program, None)?;
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

fn assigned(
    program: &Program,
    client_rack: Option<String>,
) -> Result<Consumer, flumen_consumer::Error> {
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        client_rack,
        ..ConsumerConfig::default()
    };
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
