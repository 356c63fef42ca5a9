//! What the program's side of a consumer shares with its tasks.
//!
//! Locks are held for moments only, never across an await, and one at a time except where this says
//! otherwise: `subscription` may be taken while `buffer` is held, not the other way round.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flumen_client::{Client, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::ConsumerConfig;
use crate::decode::{Fetched, Rules};
use crate::error::Error;
use crate::listener::RebalanceListener;
use crate::offsets::Offsets;
use crate::subscription::{DataState, Subscription};

/// The state of a consumer.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) config: ConsumerConfig,
    pub(crate) subscription: Mutex<Subscription>,
    pub(crate) offsets: Mutex<Offsets>,
    pub(crate) buffer: Mutex<Buffer>,
    pub(crate) group: Mutex<GroupState>,
    poll: Mutex<Poll>,
    /// Tells the program that there is data or an error.
    pub(crate) news: Notify,
    /// Tells the fetcher that positions or the buffer changed.
    pub(crate) fetch_wake: Notify,
    /// Tells the group's task that the subscription changed, or that all is over.
    pub(crate) group_wake: Notify,
    /// Whether nothing is fetched or given out, because partitions are coming or going.
    is_held: AtomicBool,
    is_closed: AtomicBool,
}

/// Fetched data that was not given out yet, and errors to report.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    queue: VecDeque<Fetched>,
    errors: VecDeque<Error>,
    bytes: usize,
}

/// Our part in the group.
#[derive(Debug)]
pub(crate) struct GroupState {
    pub(crate) mode: Mode,
    /// Topics that the group's task has not heard of yet.
    pub(crate) wanted: Option<Vec<String>>,
    pub(crate) listener: Option<Arc<dyn RebalanceListener>>,
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    /// As whom, and in which generation, a commit was refused; the group's task has not heard of it.
    pub(crate) refused: Option<(String, i32)>,
    /// The broker that coordinates the group, as far as is known.
    pub(crate) coordinator: Option<i32>,
}

/// Where the partitions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Undecided,
    Assigned,
    Subscribed,
}

/// Whether the program asks for records.
#[derive(Debug, Default)]
struct Poll {
    is_waiting: bool,
    last: Duration,
    /// Whether it asked since records are held back: then it has processed all it was given.
    has_asked: bool,
}

impl Shared {
    pub(crate) fn new(client: Client, config: ConsumerConfig) -> Self {
        let last = client.seams().clock.monotonic();
        Self {
            client,
            config,
            subscription: Mutex::default(),
            offsets: Mutex::default(),
            buffer: Mutex::default(),
            group: Mutex::new(GroupState {
                mode: Mode::Undecided,
                wanted: None,
                listener: None,
                member_id: String::new(),
                generation: -1,
                refused: None,
                coordinator: None,
            }),
            poll: Mutex::new(Poll { is_waiting: false, last, has_asked: false }),
            news: Notify::new(),
            fetch_wake: Notify::new(),
            group_wake: Notify::new(),
            is_held: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.client.seams().clock.monotonic()
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            check_crcs: self.config.check_crcs,
            decompressed_bytes_max: self.config.decompressed_bytes_max,
            isolation: self.config.isolation,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Ends the tasks.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.fetch_wake.notify_one();
        self.group_wake.notify_one();
        self.news.notify_one();
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    /// Stops, or lets go on, fetching and giving out.
    pub(crate) fn hold(&self, is_held: bool) {
        {
            let mut poll = self.poll.lock();
            poll.has_asked = poll.is_waiting;
            self.is_held.store(is_held, Ordering::Release);
        }
        if !is_held {
            self.fetch_wake.notify_one();
            self.news.notify_one();
        }
    }

    /// Notes that the program asks for records, until the guard is dropped.
    pub(crate) fn polling(self: &Arc<Self>) -> Polling {
        {
            let mut poll = self.poll.lock();
            poll.is_waiting = true;
            poll.has_asked = true;
        }
        if self.is_held() {
            // The group may be waiting for just this.
            self.group_wake.notify_one();
        }
        Polling { shared: Arc::clone(self) }
    }

    /// Since when the program has not asked for records; `None` while it does.
    pub(crate) fn idle_since(&self) -> Option<Duration> {
        let poll = self.poll.lock();
        (!poll.is_waiting).then_some(poll.last)
    }

    /// Says whether the program asked for records since they are held back.
    pub(crate) fn has_asked(&self) -> bool {
        self.poll.lock().has_asked
    }

    /// Reports an error to the program.
    pub(crate) fn report(&self, error: Error) {
        self.buffer.lock().errors.push_back(error);
        self.news.notify_one();
    }

    /// Replaces the assigned partitions and drops what belongs to those that are gone.
    pub(crate) fn assign(&self, partitions: Vec<TopicPartition>) {
        self.subscription.lock().assign(partitions);
        {
            let subscription = self.subscription.lock();
            self.offsets.lock().retain(|partition| subscription.is_assigned(partition));
        }
        self.buffer.lock().drop_stale(&self.subscription.lock());
        self.fetch_wake.notify_one();
    }
}

/// Notes that the program asks for records as long as it lives.
#[derive(Debug)]
pub(crate) struct Polling {
    shared: Arc<Shared>,
}

impl Drop for Polling {
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut poll = self.shared.poll.lock();
        poll.is_waiting = false;
        poll.last = now;
    }
}

impl Buffer {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, fetched: Fetched) {
        self.bytes += fetched.size;
        self.queue.push_back(fetched);
    }

    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.errors.pop_front()
    }

    /// Takes the first data that may be given out.
    pub(crate) fn take(&mut self, subscription: &Subscription) -> Option<Fetched> {
        self.drop_stale(subscription);
        let position = self.queue.iter().position(|fetched| {
            subscription.state(&fetched.partition, fetched.stay) == DataState::Current
        });
        self.queue.remove(position?)
    }

    /// Puts data back that was taken, its partition being paused.
    pub(crate) fn put_back(&mut self, fetched: Fetched) {
        self.queue.push_front(fetched);
    }

    /// Notes that taken data is used up.
    pub(crate) fn used_up(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    fn drop_stale(&mut self, subscription: &Subscription) {
        let mut dropped = 0;
        self.queue.retain(|fetched| {
            let state = subscription.state(&fetched.partition, fetched.stay);
            if state == DataState::Stale {
                dropped += fetched.size;
            }
            state != DataState::Stale
        });
        self.bytes -= dropped;
    }
}
