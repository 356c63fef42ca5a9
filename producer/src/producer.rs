//! The producer: takes records, decides their partitions, and hands them to the sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flumen_client::cluster::Topic;
use flumen_client::retry::Deadline;
use flumen_client::{Client, Error as ClientError, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tracing::warn;

use crate::accumulator::{Accumulator, Limits};
use crate::config::ProducerConfig;
use crate::delivery::{Delivered, Delivery};
use crate::error::Error;
use crate::partitioner::Partitioner;
use crate::record::{Entry, Record};
use crate::sender;

/// Produces records to the topics of a cluster.
///
/// All methods take `&self`: put a producer into an [`Arc`] to share it between tasks. Records of
/// one partition are delivered in the order in which they were taken. Dropping the producer ends it
/// at once; [`close`](Self::close) delivers first what was taken.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

/// What producer and sender share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) config: ProducerConfig,
    pub(crate) accumulator: Mutex<Accumulator>,
    partitioner: Mutex<Partitioner>,
    /// Bytes of buffer memory that are free.
    memory: Semaphore,
    /// Tells the sender that there is something to do.
    pub(crate) wake: Notify,
    /// Tells those who flush that something was settled.
    settled: Notify,
    /// Whether records are still taken.
    is_closed: AtomicBool,
    has_stopped: AtomicBool,
}

impl Shared {
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Frees the buffer memory of settled records.
    pub(crate) fn release(&self, bytes: usize) {
        self.memory.add_permits(bytes);
        self.settled.notify_waiters();
    }

    /// Notes that the sender is done.
    pub(crate) fn stopped(&self) {
        self.has_stopped.store(true, Ordering::Release);
        self.settled.notify_waiters();
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.memory.close();
        self.wake.notify_one();
    }
}

impl Producer {
    /// Makes a producer.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(client: &Client, config: ProducerConfig) -> Result<Self, Error> {
        let config = config.validated()?;
        let limits = Limits {
            batch_size: config.batch_size.min(config.request_size_max),
            linger: config.linger,
            delivery_timeout: config.delivery_timeout,
            in_flight_max: config.in_flight_max,
        };
        let shared = Arc::new(Shared {
            accumulator: Mutex::new(Accumulator::new(limits)),
            partitioner: Mutex::new(Partitioner::new(config.spread, config.batch_size)),
            memory: Semaphore::new(config.buffer_memory),
            wake: Notify::new(),
            settled: Notify::new(),
            is_closed: AtomicBool::new(false),
            has_stopped: AtomicBool::new(false),
            client: client.clone(),
            config,
        });
        let spawn = &client.seams().spawn;
        drop(spawn.spawn("producer", Box::pin(sender::run(Arc::clone(&shared)))));
        Ok(Self { shared })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ProducerConfig {
        &self.shared.config
    }

    /// Takes a record, as soon as there is room for it; the delivery tells what became of it.
    ///
    /// Waits while the buffer is full, which is how a program is kept from producing faster than
    /// brokers write, and while the topic is not known yet, both for at most `max.block.ms`.
    ///
    /// # Errors
    /// The record is too large, its partition does not exist, or it could not be taken in time. The
    /// record was not taken then, and is certainly not written.
    ///
    /// # Cancel safety
    /// A record is taken in the same step in which the future becomes ready: dropped before that, it
    /// was not taken.
    pub async fn enqueue(&self, record: Record) -> Result<Delivery, Error> {
        let size = self.size_of(&record)?;
        let shared = &*self.shared;
        let deadline = Deadline::after(self.now(), shared.config.block_max);
        let topic = self.topic(&record, deadline).await?;
        let room = match shared.memory.try_acquire_many(permits(size)) {
            Ok(room) => room,
            Err(_full) => {
                let waiting = shared.memory.acquire_many(permits(size));
                self.within(deadline, waiting, "room in the buffer")
                    .await?
                    .map_err(|_closed| Error::Closed { possibly_written: false })?
            }
        };
        let delivery = self.append(record, &topic, size)?;
        room.forget();
        Ok(delivery)
    }

    /// Takes a record if that is possible at once.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), and [`Error::Full`] or [`Error::NotReady`] where that waits.
    pub fn try_enqueue(&self, record: Record) -> Result<Delivery, Error> {
        let size = self.size_of(&record)?;
        let cluster = self.shared.client.cluster();
        let topic = cluster
            .topic(&record.topic)
            .ok_or_else(|| Error::NotReady { topic: record.topic.clone() })?;
        check_partition(&record, topic)?;
        let limit = self.shared.config.buffer_memory;
        let room = self
            .shared
            .memory
            .try_acquire_many(permits(size))
            .map_err(|_full| Error::Full { limit })?;
        let delivery = self.append(record, topic, size)?;
        room.forget();
        Ok(delivery)
    }

    /// Takes a record and waits until it is delivered.
    ///
    /// For many records [`send_all`](Self::send_all), or [`enqueue`](Self::enqueue) and waiting
    /// later, is faster by far: this waits for each one.
    ///
    /// # Errors
    /// It was not taken, as [`enqueue`](Self::enqueue) says, or not delivered;
    /// [`Error::possibly_written`] says whether it may be in the topic all the same.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the record may or may not be delivered.
    pub async fn send(&self, record: Record) -> Result<Delivered, Error> {
        self.enqueue(record).await?.await
    }

    /// Takes records one after the other, and waits until all are delivered.
    ///
    /// The results stand in the order of the records. After a record that could not be taken the
    /// rest is not tried.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, what was taken is delivered in the background or fails, and nobody
    /// is told which; the rest is not tried.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = Record>,
    ) -> Vec<Result<Delivered, Error>> {
        let mut deliveries = Vec::new();
        let mut refused = None;
        for record in records {
            match self.enqueue(record).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let mut results = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            results.push(delivery.await);
        }
        results.extend(refused.map(Err));
        results
    }

    /// Sends what was taken without letting it linger, and waits until all of it is settled:
    /// delivered or failed, as the deliveries tell.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn flush(&self) {
        let below = self.shared.accumulator.lock().flush();
        self.shared.wake.notify_one();
        loop {
            let settled = self.shared.settled.notified();
            if self.shared.accumulator.lock().is_settled_below(below)
                || self.shared.has_stopped.load(Ordering::Acquire)
            {
                return;
            }
            settled.await;
        }
    }

    /// Takes no more records, delivers what was taken, and ends the producer.
    ///
    /// What is not delivered within `timeout` fails with [`Error::Closed`].
    ///
    /// # Errors
    /// Something was left undelivered.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the producer ends at once, and what is not delivered fails with
    /// [`Error::Closed`].
    pub async fn close(self, timeout: Duration) -> Result<(), Error> {
        let flushed = tokio::time::timeout(timeout, self.flush()).await;
        self.shared.close();
        match flushed {
            Ok(()) => Ok(()),
            Err(_elapsed) => {
                let left = self.shared.accumulator.lock().open_count();
                let possibly_written = left > 0;
                Err(Error::Closed { possibly_written })
            }
        }
    }

    fn now(&self) -> Duration {
        self.shared.client.seams().clock.monotonic()
    }

    fn size_of(&self, record: &Record) -> Result<usize, Error> {
        let config = &self.shared.config;
        if self.shared.is_closed() {
            return Err(Error::Closed { possibly_written: false });
        }
        let size = record.size_max();
        let limits = [
            ("max.request.size", config.request_size_max),
            ("buffer.memory", config.buffer_memory),
        ];
        match limits.into_iter().find(|(_, limit)| size > *limit) {
            Some((setting, limit)) => Err(Error::TooLarge { size, setting, limit }),
            None => Ok(size),
        }
    }

    /// The record's topic, asked for if need be.
    async fn topic(&self, record: &Record, deadline: Deadline) -> Result<Arc<Topic>, Error> {
        let client = &self.shared.client;
        let cluster = client.cluster();
        if let Some(topic) = cluster.topic(&record.topic)
            && check_partition(record, topic).is_ok()
        {
            return Ok(Arc::clone(topic));
        }
        let mut retry = client.retry_within(self.shared.config.block_max);
        loop {
            let asking = client.refresh_or_create(&record.topic);
            let asked = self.within(deadline, asking, "the topic's metadata").await?;
            let error = match asked {
                Ok(cluster) => match cluster.topic(&record.topic) {
                    Some(topic) => match check_partition(record, topic) {
                        Ok(()) => return Ok(Arc::clone(topic)),
                        // A partition just added may not have reached every broker; one try more
                        // tells, and many would only hide a wrong number.
                        Err(error) => return Err(error),
                    },
                    None => ClientError::UnknownTopic { topic: record.topic.clone() },
                },
                Err(error) => error,
            };
            retry.after(error).await?;
        }
    }

    async fn within<T>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = T>,
        reason: &'static str,
    ) -> Result<T, Error> {
        let after = self.shared.config.block_max;
        let remaining = deadline.remaining(self.now()).unwrap_or_default();
        let timed = tokio::time::timeout(remaining, work).await;
        timed.map_err(|_elapsed| Error::Blocked { after, reason })
    }

    /// Adds a record that there is room for.
    fn append(&self, record: Record, topic: &Topic, size: usize) -> Result<Delivery, Error> {
        let shared = &*self.shared;
        let seams = shared.client.seams();
        let timestamp = record.timestamp.unwrap_or_else(|| seams.clock.wall_ms());
        let Record { partition, key, value, headers, .. } = record;
        let now = self.now();
        // Both locks are held so that records reach a partition in the order they were taken.
        let mut partitioner = shared.partitioner.lock();
        let mut accumulator = shared.accumulator.lock();
        if shared.is_closed() {
            return Err(Error::Closed { possibly_written: false });
        }
        let partition = partition.unwrap_or_else(|| {
            let load =
                |index| accumulator.load(&TopicPartition::new(Arc::clone(&topic.name), index));
            partitioner.choose(topic, key.as_deref(), size, &*seams.rng, load)
        });
        let partition = TopicPartition::new(Arc::clone(&topic.name), partition);
        let entry = Entry { timestamp, key, value, headers };
        let appended = accumulator.append(now, &partition, entry, size);
        drop((accumulator, partitioner));
        if appended.is_news {
            shared.wake.notify_one();
        }
        Ok(appended.delivery)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let undelivered = self.shared.accumulator.lock().open_count();
        if undelivered > 0 && !self.shared.is_closed() {
            warn!(batches = undelivered, "a producer was dropped before all was delivered");
        }
        self.shared.close();
    }
}

/// One permit per byte; a record is no larger than the buffer, which is below 4 GiB.
fn permits(size: usize) -> u32 {
    u32::try_from(size).expect("sizes were checked against buffer.memory")
}

fn check_partition(record: &Record, topic: &Topic) -> Result<(), Error> {
    let partition_count = topic.partitions.len();
    match record.partition {
        Some(index) if usize::try_from(index).map_or(true, |index| index >= partition_count) => {
            let topic = record.topic.clone();
            Err(ClientError::UnknownPartition { topic, partition: index, partition_count }.into())
        }
        _ => Ok(()),
    }
}
