//! The batches of all partitions: which are filling, which may be sent, which wait to be retried.
//!
//! Batches of a partition leave in the order they were begun. A batch that failed goes back to its
//! place; it is then sent alone, and nothing behind it before it is answered, so that order holds.
//! Pure: times are arguments, and sending, asking for leaders and judging answers are the sender's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flumen_client::TopicPartition;
use flumen_client::cluster::LeaderHint;

use crate::batch::Batch;
use crate::delivery::Delivery;
use crate::record::Entry;
use crate::sequence::{Identity, Refusal, Sequencer};
use crate::unanswered::is_another;

/// When batches are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) batch_size: usize,
    pub(crate) linger: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) in_flight_max: usize,
}

/// All batches that are not settled.
#[derive(Debug)]
pub(crate) struct Accumulator {
    limits: Limits,
    queues: BTreeMap<TopicPartition, Queue>,
    next_number: u64,
    /// Batches numbered below this do not linger.
    flush_below: u64,
    /// Numbers of batches queued or in flight; halves share one.
    open: BTreeMap<u64, u32>,
}

/// The batches of one partition.
#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    in_flight: usize,
    /// The numbers of the batches that were sent since the oldest that is not settled, and whether
    /// they are. A broker remembers no more of them: a batch that is sent again must be among these.
    sent: BTreeMap<u64, bool>,
    /// Whether the batch in flight was sent before: nothing else is sent beside it.
    is_retrying: bool,
    /// No batch is sent before this time.
    paused_until: Duration,
    /// The leader at which the last try failed, if another one would change anything.
    doubted: Option<LeaderHint>,
    sequencer: Sequencer,
}

impl Queue {
    fn on_settled(&mut self, number: u64) {
        if let Some(is_settled) = self.sent.get_mut(&number) {
            *is_settled = true;
        }
        while let Some(oldest) = self.sent.first_entry().filter(|oldest| *oldest.get()) {
            oldest.remove();
        }
    }
}

/// What a new record led to.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) delivery: Delivery,
    /// Whether the sender has something new to look at: a batch begun or filled.
    pub(crate) is_news: bool,
}

impl Accumulator {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            queues: BTreeMap::new(),
            next_number: 0,
            flush_below: 0,
            open: BTreeMap::new(),
        }
    }

    /// Adds a record of at most `size` bytes to the last batch of its partition, or begins one.
    pub(crate) fn append(
        &mut self,
        now: Duration,
        partition: &TopicPartition,
        entry: Entry,
        size: usize,
    ) -> Appended {
        if !self.queues.contains_key(partition) {
            self.queues.insert(partition.clone(), Queue::default());
        }
        let queue = self.queues.get_mut(partition).expect("it was just made sure of");
        let batch_size = self.limits.batch_size;
        let flush_below = self.flush_below;
        let has_room = |batch: &&mut Batch| {
            let is_sealed = batch.attempts > 0 || batch.sequence.is_some();
            !is_sealed && batch.number >= flush_below && batch.size + size <= batch_size
        };
        if let Some(batch) = queue.batches.back_mut().filter(has_room) {
            let delivery = batch.push(entry, size);
            return Appended { delivery, is_news: batch.size >= batch_size };
        }
        let mut batch = Batch::new(self.next_number, partition.clone(), now);
        self.open.insert(batch.number, 1);
        self.next_number += 1;
        let delivery = batch.push(entry, size);
        queue.batches.push_back(batch);
        Appended { delivery, is_news: true }
    }

    /// The bytes that wait for a partition.
    pub(crate) fn load(&self, partition: &TopicPartition) -> usize {
        let queue = self.queues.get(partition);
        queue.map_or(0, |queue| queue.batches.iter().map(|batch| batch.size).sum())
    }

    /// The partitions of which a batch may be sent now.
    pub(crate) fn due(&self, now: Duration) -> impl Iterator<Item = &TopicPartition> {
        let due = self
            .queues
            .iter()
            .filter(move |(_, queue)| self.due_at(queue).is_some_and(|due_at| due_at <= now));
        due.map(|(partition, _)| partition)
    }

    /// When to look again: the next batch becomes due, or one that waits times out.
    pub(crate) fn next_event(&self, now: Duration) -> Option<Duration> {
        let times = self.queues.values().flat_map(|queue| {
            let due = self.due_at(queue).filter(|due_at| *due_at > now);
            let expires = queue.batches.front();
            let expires = expires.map(|batch| batch.begun + self.limits.delivery_timeout);
            [due, expires]
        });
        times.flatten().min()
    }

    /// When the next batch of a queue may be sent, if no answer has to come first.
    fn due_at(&self, queue: &Queue) -> Option<Duration> {
        let front = queue.batches.front()?;
        let is_retry = front.attempts > 0;
        let is_new = !queue.sent.contains_key(&front.number);
        if queue.is_retrying
            || queue.in_flight >= self.limits.in_flight_max
            || (is_new && queue.sent.len() >= self.limits.in_flight_max)
            || (is_retry && queue.in_flight > 0)
        {
            return None;
        }
        let is_full = front.size >= self.limits.batch_size
            || queue.batches.len() > 1
            || is_retry
            || front.number < self.flush_below;
        let lingered = if is_full { front.begun } else { front.begun + self.limits.linger };
        Some(lingered.max(queue.paused_until))
    }

    /// The size of the batch that is due, before it is taken.
    pub(crate) fn size_of_next(&self, partition: &TopicPartition) -> Option<usize> {
        self.queues.get(partition)?.batches.front().map(|batch| batch.size)
    }

    /// Takes a batch that is due, to be sent; with an identity it gets its numbers.
    ///
    /// It has to be given back by [`settled`](Self::settled) or [`requeue`](Self::requeue).
    pub(crate) fn take(
        &mut self,
        partition: &TopicPartition,
        identity: Option<Identity>,
        leader: LeaderHint,
    ) -> Option<Batch> {
        let queue = self.queues.get_mut(partition)?;
        let mut batch = queue.batches.pop_front()?;
        batch.sent_to = Some(leader);
        queue.doubted = None;
        queue.in_flight += 1;
        queue.sent.insert(batch.number, false);
        queue.is_retrying = batch.attempts > 0;
        batch.attempts += 1;
        if let (None, Some(fresh)) = (batch.sequence, identity) {
            batch.sequence = Some(queue.sequencer.assign(batch.record_count(), fresh));
        }
        Some(batch)
    }

    /// Notes that a taken batch is done with, and gives it back to be settled.
    pub(crate) fn settled(&mut self, batch: Batch) -> Batch {
        self.landed(&batch);
        self.close(&batch);
        batch
    }

    /// Puts a taken batch back in its place, not to be sent for a while.
    pub(crate) fn requeue(&mut self, batch: Batch, pause_until: Duration) {
        self.landed(&batch);
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        queue.paused_until = queue.paused_until.max(pause_until);
        queue.doubted = batch.sent_to;
        let at = queue.batches.partition_point(|queued| queued.order() < batch.order());
        queue.batches.insert(at, batch);
    }

    /// Ends the pauses of partitions that have another leader than the one that failed; gives the topics
    /// of those that have not.
    pub(crate) fn resume(
        &mut self,
        now: Duration,
        leader: impl Fn(&TopicPartition) -> Option<LeaderHint>,
    ) -> BTreeSet<Arc<str>> {
        let mut in_doubt = BTreeSet::new();
        for (partition, queue) in &mut self.queues {
            let Some(doubted) = queue.doubted.filter(|_| queue.paused_until > now) else {
                continue;
            };
            if is_another(leader(partition), doubted) {
                queue.paused_until = now;
                queue.doubted = None;
            } else {
                in_doubt.insert(Arc::clone(&partition.topic));
            }
        }
        in_doubt
    }

    /// Puts a taken batch that was too large back as two.
    pub(crate) fn requeue_halves(&mut self, mut batch: Batch, now: Duration) {
        let second = batch.split_off_half();
        *self.open.entry(batch.number).or_default() += 1;
        self.requeue(batch, now);
        let queue = self.queues.entry(second.partition.clone()).or_default();
        let at = queue.batches.partition_point(|queued| queued.order() < second.order());
        queue.batches.insert(at, second);
    }

    /// Puts back a taken batch whose numbers were refused; says what that meant.
    ///
    /// As long as others are in flight it means nothing: an earlier one may be, to the leader of before,
    /// and be written there. It would be written once more under new numbers.
    pub(crate) fn requeue_refused(&mut self, mut batch: Batch, pause_until: Duration) -> Refusal {
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        let is_oldest = queue.in_flight == 1
            && queue.batches.front().is_none_or(|front| front.order() > batch.order());
        let refusal = match batch.sequence {
            Some(sequence) => queue.sequencer.judge(sequence, is_oldest),
            None => Refusal::Outdated,
        };
        match refusal {
            Refusal::Early => {}
            Refusal::Outdated => batch.sequence = None,
            Refusal::Gap => {
                // Without a further epoch the next batch brings the identity of then.
                queue.sequencer.restart();
                batch.sequence = None;
                for behind in &mut queue.batches {
                    behind.sequence = None;
                }
            }
        }
        self.requeue(batch, pause_until);
        refusal
    }

    /// Takes all batches that waited longer than the delivery timeout, to be failed.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<Batch> {
        let mut expired = Vec::new();
        for queue in self.queues.values_mut() {
            let limit = self.limits.delivery_timeout;
            while queue.batches.front().is_some_and(|batch| batch.begun + limit <= now) {
                expired.extend(queue.batches.pop_front());
            }
        }
        for batch in &expired {
            self.close(batch);
        }
        expired
    }

    /// Takes all batches that wait, to be failed.
    pub(crate) fn drain(&mut self) -> Vec<Batch> {
        let queues = self.queues.values_mut();
        let drained: Vec<Batch> = queues.flat_map(|queue| queue.batches.drain(..)).collect();
        for batch in &drained {
            self.close(batch);
        }
        drained
    }

    /// Lets no batch linger that exists now, and gives the number that ends them.
    pub(crate) fn flush(&mut self) -> u64 {
        self.flush_below = self.next_number;
        self.next_number
    }

    /// Says whether all batches below a number are settled.
    pub(crate) fn is_settled_below(&self, number: u64) -> bool {
        self.open.first_key_value().is_none_or(|(oldest, _)| *oldest >= number)
    }

    /// The records that are queued or in flight, in batches.
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    fn landed(&mut self, batch: &Batch) {
        if let Some(queue) = self.queues.get_mut(&batch.partition) {
            queue.in_flight -= 1;
            if batch.attempts > 1 {
                queue.is_retrying = false;
            }
        }
    }

    fn close(&mut self, batch: &Batch) {
        let Some(halves) = self.open.get_mut(&batch.number) else { return };
        *halves -= 1;
        if *halves == 0 {
            self.open.remove(&batch.number);
            if let Some(queue) = self.queues.get_mut(&batch.partition) {
                queue.on_settled(batch.number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
