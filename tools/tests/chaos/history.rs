//! What clients did and were told during a run, and what it adds up to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flumen_sim::history::{Value, Written};
use flumen_sim::operations::{Operations, Poll, Progress, Send};
use flumen_sim::{anomalies, invariants};
use parking_lot::Mutex;

/// Shared by all clients of a run.
#[derive(Debug, Default)]
pub(crate) struct History {
    operations: Mutex<Operations>,
    /// How far each group is; part of the operations of nobody else.
    progress: Mutex<BTreeMap<&'static str, Vec<Progress>>>,
    complaints: Mutex<BTreeMap<String, u64>>,
    values: AtomicU64,
    is_over: AtomicBool,
}

impl History {
    /// A number that nobody else gets; later ones are larger.
    pub(crate) fn number(&self) -> Value {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether clients have to come to an end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Tells the clients to come to an end.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Notes how writes ended.
    pub(crate) fn sent(&self, sends: Vec<Send>) {
        self.operations.lock().sends.extend(sends);
    }

    /// Notes what a consumer was given by one call, and after how many changes of its partitions.
    pub(crate) fn polled(&self, poll: Poll) {
        if !poll.records.is_empty() {
            self.operations.lock().polls.push(poll);
        }
    }

    /// Notes how far a group is.
    pub(crate) fn progressed(&self, group: &'static str, progress: Progress) {
        self.progress.lock().entry(group).or_default().push(progress);
    }

    /// The number that the text of a record carries, if it is of a run.
    pub(crate) fn value_of(text: &[u8]) -> Option<Value> {
        std::str::from_utf8(text).ok()?.trim_end_matches('.').parse().ok()
    }

    /// Counts an error that a client was told of. They are no anomaly, but they are of interest.
    pub(crate) fn complain(&self, who: &str, error: &dyn fmt::Display) {
        *self.complaints.lock().entry(format!("{who}: {error}")).or_default() += 1;
    }

    /// Errors and how often they came.
    pub(crate) fn complaints(&self) -> BTreeMap<String, u64> {
        self.complaints.lock().clone()
    }

    /// Judges the run by what was read to the end by `reader`.
    pub(crate) fn verdict(&self, reader: u32) -> Verdict {
        let mut operations = self.operations.lock().clone();
        // Values are taken in the order in which producers are given the records.
        operations.sends.sort_by_key(|send| send.value);
        let mut violations = anomalies::found(&operations);
        for progress in self.progress.lock().values() {
            let of_group = Operations { progress: progress.clone(), ..Operations::default() };
            violations.extend(invariants::finished::violations(&of_group));
        }
        Verdict { tally: Tally::of(&operations, reader), violations }
    }
}

/// What a run adds up to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) tally: Tally,
    pub(crate) violations: Vec<String>,
}

/// Records by what became of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The producer was told that it is written.
    pub(crate) acknowledged: usize,
    /// The producer was told that nobody knows.
    pub(crate) unknown: usize,
    /// The producer was told that it is not written.
    pub(crate) refused: usize,
    /// Acknowledged and not there in the end.
    pub(crate) lost: usize,
    /// There more than once.
    pub(crate) doubled: usize,
    /// There after what the same producer gave later.
    pub(crate) reordered: usize,
}

impl Tally {
    fn of(operations: &Operations, reader: u32) -> Self {
        let count = |of: fn(&Written) -> bool| {
            operations.sends.iter().filter(|send| of(&send.written)).count()
        };
        let producers: BTreeMap<_, _> =
            operations.sends.iter().map(|send| (send.value, send.producer)).collect();
        let mut there = BTreeSet::new();
        let mut newest: BTreeMap<_, Value> = BTreeMap::new();
        let mut tally = Self {
            acknowledged: operations.acknowledged(),
            unknown: count(|written| *written == Written::Unknown),
            refused: count(|written| *written == Written::Refused),
            ..Self::default()
        };
        let polls = operations.polls.iter().filter(|poll| poll.consumer == reader);
        for polled in polls.flat_map(|poll| &poll.records) {
            let newest = newest.entry((producers.get(&polled.value), polled.partition));
            let newest = newest.or_insert(polled.value);
            tally.doubled += usize::from(!there.insert(polled.value));
            tally.reordered += usize::from(polled.value < *newest);
            *newest = polled.value.max(*newest);
        }
        let is_lost = |send: &&Send| {
            matches!(send.written, Written::Acknowledged(_)) && !there.contains(&send.value)
        };
        tally.lost = operations.sends.iter().filter(is_lost).count();
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, unknown, refused, lost, doubled, reordered } = self;
        write!(
            f,
            "{acknowledged} records acknowledged, {unknown} unknown, {refused} refused; \
             {lost} lost, {doubled} doubled, {reordered} reordered"
        )
    }
}

/// A member was given its first record of a partition. No member is frozen here, so that all commits that were
/// heard of before are of earlier generations, which other libraries do not tell.
pub(crate) fn began(member: u32, partition: i32, offset: i64) -> Progress {
    Progress::Began { member, generation: i32::MAX, partition, offset }
}

/// A member heard that its commit is done, see [`began`].
pub(crate) fn committed(member: u32, partition: i32, offset: i64) -> Progress {
    Progress::Committed { member, generation: 0, partition, offset }
}

#[cfg(test)]
mod tests {
    use flumen_sim::operations::Polled;

    use super::*;

    #[test]
    fn what_is_lost_doubled_and_reordered_is_counted() {
        let send =
            |value, written| Send { producer: 1, operation: 1, partition: 0, value, written };
        let known = Written::Acknowledged(None);
        let sends = vec![
            send(1, known),
            send(2, known),
            send(3, known),
            send(4, Written::Unknown),
            send(5, Written::Refused),
        ];
        let polled = |offset, value| Polled { partition: 0, offset, value };
        let records = vec![polled(0, 1), polled(1, 3), polled(2, 1), polled(3, 4)];
        let polls = vec![Poll { consumer: 9, placing: 1, records }];
        let operations = Operations { sends, polls, ..Operations::default() };
        let expected =
            Tally { acknowledged: 3, unknown: 1, refused: 1, lost: 1, doubled: 1, reordered: 1 };
        assert_eq!(Tally::of(&operations, 9), expected);
    }
}
