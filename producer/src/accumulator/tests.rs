use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const LEADER: LeaderHint = LeaderHint { leader: 1, leader_epoch: 5 };
const IDENTITY: Option<Identity> = Some(Identity { producer_id: 1, epoch: 0 });

fn accumulator(batch_size: usize) -> Accumulator {
    Accumulator::new(Limits {
        batch_size,
        linger: 5 * MS,
        delivery_timeout: 1000 * MS,
        in_flight_max: 3,
    })
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

fn entry(value: u8) -> Entry {
    let value = Some(Bytes::from(vec![value]));
    Entry { timestamp: 0, key: None, value, headers: Vec::new() }
}

fn append(accumulator: &mut Accumulator, now: Duration, value: u8) -> bool {
    let appended = accumulator.append(now, &partition(0), entry(value), 100);
    appended.is_news
}

fn values(batch: &Batch) -> Vec<u8> {
    batch.entries.iter().map(|entry| entry.value.as_ref().unwrap()[0]).collect()
}

fn is_due(accumulator: &Accumulator, now: Duration) -> bool {
    accumulator.due(now).any(|due| *due == partition(0))
}

fn take(accumulator: &mut Accumulator, now: Duration) -> Option<Batch> {
    is_due(accumulator, now).then(|| accumulator.take(&partition(0), IDENTITY, LEADER)).flatten()
}

#[test]
fn a_batch_waits_until_it_is_full_or_has_lingered() {
    let mut accumulator = accumulator(400);
    assert!(append(&mut accumulator, MS, 1), "a new batch is news");
    assert!(!append(&mut accumulator, 2 * MS, 2), "the batch just grows");
    assert!(!is_due(&accumulator, 5 * MS));
    assert_eq!(accumulator.next_event(2 * MS), Some(6 * MS));
    assert!(is_due(&accumulator, 6 * MS));
    append(&mut accumulator, 2 * MS, 3);
    assert!(append(&mut accumulator, 2 * MS, 4), "no room: another batch");
    assert!(is_due(&accumulator, 2 * MS));
    assert_eq!(values(&take(&mut accumulator, 2 * MS).unwrap()), [1, 2, 3]);
    assert!(!is_due(&accumulator, 2 * MS), "the second batch lingers");
}

#[test]
fn a_flush_ends_the_waiting() {
    let mut accumulator = accumulator(1000);
    append(&mut accumulator, MS, 1);
    let below = accumulator.flush();
    assert!(is_due(&accumulator, MS));
    assert!(append(&mut accumulator, MS, 2), "a flushed batch grows no more");
    let batch = take(&mut accumulator, MS).unwrap();
    assert!(!accumulator.is_settled_below(below));
    drop(accumulator.settled(batch));
    assert!(accumulator.is_settled_below(below));
    assert!(!is_due(&accumulator, MS), "the later record lingers");
}

#[test]
fn a_new_leader_ends_the_pause_of_what_failed_at_the_old_one() {
    let mut accumulator = accumulator(100);
    append(&mut accumulator, MS, 1);
    let batch = take(&mut accumulator, 10 * MS).unwrap();
    accumulator.requeue(batch, 500 * MS);
    assert_eq!(accumulator.resume(20 * MS, |_| Some(LEADER)), BTreeSet::from(["t".into()]));
    assert_eq!(accumulator.resume(20 * MS, |_| None), BTreeSet::from(["t".into()]));
    assert!(!is_due(&accumulator, 20 * MS));
    let next = LeaderHint { leader: 2, leader_epoch: 6 };
    assert_eq!(accumulator.resume(30 * MS, |_| Some(next)), BTreeSet::new());
    assert!(is_due(&accumulator, 30 * MS));
}

#[test]
fn a_pause_that_no_leader_would_end_goes_on() {
    let mut accumulator = accumulator(100);
    append(&mut accumulator, MS, 1);
    let mut batch = take(&mut accumulator, 10 * MS).unwrap();
    batch.sent_to = None;
    accumulator.requeue(batch, 500 * MS);
    assert_eq!(accumulator.resume(20 * MS, |_| None), BTreeSet::new());
    assert!(!is_due(&accumulator, 20 * MS));
}

#[test]
fn a_failed_batch_goes_first_and_alone() {
    let mut accumulator = accumulator(100);
    for value in 1..=5 {
        append(&mut accumulator, MS, value);
    }
    let first = take(&mut accumulator, MS).unwrap();
    let second = take(&mut accumulator, MS).unwrap();
    let third = take(&mut accumulator, MS).unwrap();
    assert!(!is_due(&accumulator, MS), "three are in flight, the most allowed");

    accumulator.requeue(first, 10 * MS);
    assert!(!is_due(&accumulator, 10 * MS), "the others in flight come first");
    assert_eq!(accumulator.requeue_refused(second, MS), Refusal::Early);
    drop(accumulator.settled(third));
    assert!(!is_due(&accumulator, 9 * MS), "the pause is not over");
    let first = take(&mut accumulator, 10 * MS).unwrap();
    assert_eq!((values(&first), first.attempts), (vec![1], 2));
    assert!(!is_due(&accumulator, 10 * MS), "nothing goes beside a retry");
    drop(accumulator.settled(first));
    let second = take(&mut accumulator, 10 * MS).unwrap();
    assert_eq!(second.sequence.unwrap().base, 1, "a retry keeps its number");
    drop(accumulator.settled(second));
    assert_eq!(values(&take(&mut accumulator, 10 * MS).unwrap()), [4]);
    assert_eq!(values(&take(&mut accumulator, 10 * MS).unwrap()), [5]);
}

#[test]
fn a_gap_starts_the_partition_over() {
    let mut accumulator = accumulator(100);
    for value in 1..=3 {
        append(&mut accumulator, MS, value);
    }
    let first = take(&mut accumulator, MS).unwrap();
    let second = take(&mut accumulator, MS).unwrap();
    let third = take(&mut accumulator, MS).unwrap();
    drop(accumulator.settled(first));
    assert_eq!(accumulator.requeue_refused(second, MS), Refusal::Early, "another is in flight");
    assert_eq!(accumulator.requeue_refused(third, MS), Refusal::Early);
    let second = take(&mut accumulator, MS).unwrap();
    assert_eq!(accumulator.requeue_refused(second, MS), Refusal::Gap);
    let second = take(&mut accumulator, MS).unwrap();
    let sequence = second.sequence.unwrap();
    assert_eq!((values(&second), sequence.identity.epoch, sequence.base), (vec![2], 1, 0));
    drop(accumulator.settled(second));
    let sequence = take(&mut accumulator, MS).unwrap().sequence.unwrap();
    assert_eq!((sequence.identity.epoch, sequence.base), (1, 1));
}

/// The leader has moved between the two, and the one of before has not answered yet.
#[test]
fn what_an_earlier_batch_in_flight_explains_is_no_gap() {
    let mut accumulator = accumulator(100);
    for value in 1..=2 {
        append(&mut accumulator, MS, value);
    }
    let first = take(&mut accumulator, MS).unwrap();
    let second = take(&mut accumulator, MS).unwrap();
    assert_eq!(accumulator.requeue_refused(second, MS), Refusal::Early);
    accumulator.requeue(first, MS);
    let first = take(&mut accumulator, MS).unwrap();
    let sequence = first.sequence.unwrap();
    assert_eq!((values(&first), sequence.identity.epoch, sequence.base), (vec![1], 0, 0));
}

#[test]
fn no_more_is_sent_after_a_batch_than_brokers_remember() {
    let mut accumulator = accumulator(100);
    for value in 1..=5 {
        append(&mut accumulator, MS, value);
    }
    let first = take(&mut accumulator, 10 * MS).unwrap();
    for value in 2..=3 {
        let later = take(&mut accumulator, 10 * MS).unwrap();
        assert_eq!(values(&accumulator.settled(later)), [value]);
    }
    // If the first has been written and is sent again, it has to be known for a duplicate.
    assert!(!is_due(&accumulator, 10 * MS));
    accumulator.requeue(first, 10 * MS);
    let first = take(&mut accumulator, 10 * MS).expect("itself may be sent");
    drop(accumulator.settled(first));
    assert_eq!(values(&take(&mut accumulator, 10 * MS).unwrap()), [4]);
}

#[test]
fn a_batch_that_is_too_large_is_halved() {
    let mut accumulator = accumulator(1000);
    for value in 1..=5 {
        append(&mut accumulator, MS, value);
    }
    append(&mut accumulator, 3 * MS, 6);
    let below = accumulator.flush();
    let batch = take(&mut accumulator, MS).unwrap();
    accumulator.requeue_halves(batch, MS);
    let mut seen = Vec::new();
    let mut bases = Vec::new();
    while let Some(batch) = take(&mut accumulator, MS) {
        seen.push(values(&batch));
        bases.push(batch.sequence.unwrap().base);
        assert!(!accumulator.is_settled_below(below));
        drop(accumulator.settled(batch));
    }
    assert_eq!(seen, [vec![1, 2, 3], vec![4, 5, 6]]);
    assert_eq!(bases, [0, 3]);
    assert!(accumulator.is_settled_below(below));
}

#[test]
fn old_batches_expire() {
    let mut accumulator = accumulator(100);
    append(&mut accumulator, MS, 1);
    append(&mut accumulator, 500 * MS, 2);
    assert!(accumulator.expired(1000 * MS).is_empty());
    let expired = accumulator.expired(1001 * MS);
    assert_eq!(expired.iter().map(values).collect::<Vec<_>>(), [[1]]);
    assert_eq!(accumulator.open_count(), 1);
}

/// A broker that keeps the rules of idempotence for one partition.
#[derive(Debug, Default)]
struct Log {
    records: Vec<u8>,
    epoch: i16,
    next: i32,
    last_batches: VecDeque<(i16, i32)>,
}

impl Log {
    /// Appends a batch or recognises it; `Err` if its number does not follow.
    fn append(&mut self, batch: &Batch) -> Result<(), ()> {
        let sequence = batch.sequence.unwrap();
        let (epoch, base) = (sequence.identity.epoch, sequence.base);
        if self.last_batches.contains(&(epoch, base)) {
            return Ok(());
        }
        let follows = if epoch > self.epoch { base == 0 } else { base == self.next };
        if epoch < self.epoch || !follows {
            return Err(());
        }
        self.epoch = epoch;
        self.next = base + batch.record_count();
        self.last_batches.push_back((epoch, base));
        if self.last_batches.len() > 5 {
            self.last_batches.pop_front();
        }
        self.records.extend(values(batch));
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Acknowledged,
    /// Written, but the answer is lost with the connection.
    AnswerLost,
    /// Not written, connection lost.
    RequestLost,
    /// Refused for good, as a record that is too old is.
    Rejected,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Acknowledged),
        2 => Just(Fate::AnswerLost),
        2 => Just(Fate::RequestLost),
        1 => Just(Fate::Rejected),
    ];
    prop::collection::vec(fate, 0..40)
}

proptest! {
    /// Whatever happens to requests and answers: each record that was not refused is in the log
    /// exactly once, and in order.
    #[test]
    fn nothing_is_lost_doubled_or_reordered(fates in fates(), windows in prop::collection::vec(1..4usize, 60)) {
        let mut accumulator = accumulator(100);
        for value in 0..40 {
            append(&mut accumulator, MS, value);
        }
        let mut log = Log::default();
        let mut fates = fates.into_iter();
        let mut rejected = Vec::new();
        for window in windows.into_iter().chain(std::iter::repeat_n(3, 200)) {
            let mut flying = Vec::new();
            while flying.len() < window {
                let Some(batch) = take(&mut accumulator, MS) else { break };
                flying.push(batch);
            }
            // What follows a lost request on the same connection is lost with it.
            let mut is_connected = true;
            let mut answers = Vec::new();
            for batch in flying {
                let fate = match fates.next() {
                    _ if !is_connected => Fate::RequestLost,
                    Some(fate) => fate,
                    None => Fate::Acknowledged,
                };
                is_connected = !matches!(fate, Fate::AnswerLost | Fate::RequestLost);
                let written = match fate {
                    Fate::Acknowledged | Fate::AnswerLost => Some(log.append(&batch)),
                    Fate::RequestLost | Fate::Rejected => None,
                };
                answers.push((batch, fate, written));
            }
            for (batch, fate, written) in answers {
                match (fate, written) {
                    (Fate::Acknowledged, Some(Ok(()))) => drop(accumulator.settled(batch)),
                    (Fate::Acknowledged, _) => {
                        accumulator.requeue_refused(batch, MS);
                    }
                    (Fate::AnswerLost | Fate::RequestLost, _) => accumulator.requeue(batch, MS),
                    (Fate::Rejected, _) => {
                        rejected.extend(values(&batch));
                        drop(accumulator.settled(batch));
                    }
                }
            }
        }
        prop_assert_eq!(accumulator.open_count(), 0);
        let expected: Vec<u8> = (0..40).filter(|value| !log.records.contains(value) || !rejected.contains(value)).filter(|value| !rejected.contains(value)).collect();
        let survivors: Vec<u8> = log.records.iter().copied().filter(|value| !rejected.contains(value)).collect();
        prop_assert_eq!(survivors, expected);
        let mut once = log.records.clone();
        once.dedup();
        prop_assert_eq!(once.len(), log.records.len());
    }
}
