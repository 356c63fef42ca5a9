//! The consumer: gives out records, and keeps account of what was given.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::Client;
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use tracing::warn;

use crate::config::ConsumerConfig;
use crate::decode::Fetched;
use crate::error::Error;
use crate::handle::ConsumerHandle;
use crate::record::Record;
use crate::shared::Shared;
use crate::subscription::DataState;
use crate::{fetcher, group};

/// How long closing may take: one last commit, and saying goodbye to the group.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads records of a cluster's topics.
///
/// Either a member of a group ([`subscribe`](ConsumerHandle::subscribe)) or a reader of partitions
/// of one's choice ([`assign`](ConsumerHandle::assign)). These and all other controls are methods of
/// [`ConsumerHandle`], to which a consumer dereferences.
///
/// A record counts as processed when the next one is asked for: that is what is committed in the
/// background. After a crash, what was not committed is read again.
///
/// Dropping a consumer leaves the group without a last commit of records that were being processed;
/// [`close`](Self::close) does both.
#[derive(Debug)]
pub struct Consumer {
    handle: ConsumerHandle,
    /// The data records are being given out from.
    current: Option<Fetched>,
    group_task: Mutex<Option<flumen_client::connection::TaskHandle>>,
}

impl Deref for Consumer {
    type Target = ConsumerHandle;

    fn deref(&self) -> &ConsumerHandle {
        &self.handle
    }
}

impl Consumer {
    /// Makes a consumer that reads nothing yet.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(client: &Client, config: ConsumerConfig) -> Result<Self, Error> {
        let config = config.validated()?;
        let group = config.group_id.clone();
        let shared = Arc::new(Shared::new(client.clone(), config));
        let spawn = &client.seams().spawn;
        drop(spawn.spawn("consumer fetcher", Box::pin(fetcher::run(Arc::clone(&shared)))));
        let group_task = group.map(|group| {
            spawn.spawn("consumer group", Box::pin(group::run(Arc::clone(&shared), group)))
        });
        let handle = ConsumerHandle::new(shared);
        Ok(Self { handle, current: None, group_task: Mutex::new(group_task) })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        &self.handle.shared.config
    }

    /// The controls, for use by other tasks.
    #[must_use]
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    /// The next record, as soon as there is one.
    ///
    /// # Errors
    /// Something went wrong that the program should know of; reading goes on with the next call
    /// unless the error [is fatal](Error::is_fatal).
    ///
    /// # Cancel safety
    /// No record is lost: it is given in the same step in which the future becomes ready.
    pub async fn recv(&mut self) -> Result<Record, Error> {
        self.confirm();
        let _polling = self.handle.shared.polling();
        self.next().await
    }

    /// The next records: waits for the first for at most `timeout`, and adds what is there, up to
    /// `max.poll.records`. Empty if nothing came.
    ///
    /// # Errors
    /// As [`recv`](Self::recv). Records that were taken before the error are given first.
    ///
    /// # Cancel safety
    /// No record is lost.
    pub async fn poll_batch(&mut self, timeout: Duration) -> Result<Vec<Record>, Error> {
        self.confirm();
        let _polling = self.handle.shared.polling();
        let mut records = Vec::new();
        match tokio::time::timeout(timeout, self.next()).await {
            Ok(first) => records.push(first?),
            Err(_elapsed) => return Ok(records),
        }
        while records.len() < self.config().max_poll_records {
            match self.take_next(false) {
                Some(Ok(record)) => records.push(record),
                Some(Err(_)) | None => break,
            }
        }
        Ok(records)
    }

    /// The records as a stream that never ends; see [`recv`](Self::recv).
    pub fn stream(&mut self) -> impl Stream<Item = Result<Record, Error>> + Send + '_ {
        stream::unfold(self, |consumer| async move {
            let next = consumer.recv().await;
            Some((next, consumer))
        })
    }

    /// Ends the consumer: commits what was processed, if that is done in the background, gives up
    /// its partitions and leaves the group.
    ///
    /// All records that were given count as processed.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the consumer leaves its group in the background, as one that is
    /// dropped does. A program that ends right away may not come to that, and the group then waits for
    /// the session of the member to end.
    pub async fn close(self) {
        self.confirm();
        self.handle.shared.close();
        let task = self.group_task.lock().take();
        if let Some(task) = task {
            match tokio::time::timeout(CLOSE_TIMEOUT, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "the group's task ended badly"),
                Err(_elapsed) => warn!("the group was not left in time"),
            }
        }
    }

    /// Counts what was given as processed.
    fn confirm(&self) {
        let mut offsets = self.handle.shared.offsets.lock();
        if self.handle.shared.config.auto_store {
            offsets.confirm();
        } else {
            offsets.forget_delivered();
        }
    }

    async fn next(&mut self) -> Result<Record, Error> {
        loop {
            if let Some(next) = self.take_next(true) {
                return next;
            }
            if self.handle.shared.is_closed() {
                return Err(Error::Closed);
            }
            self.handle.shared.news.notified().await;
        }
    }

    /// The next record if one is there; errors stay for later unless they are asked for.
    fn take_next(&mut self, with_errors: bool) -> Option<Result<Record, Error>> {
        let shared = Arc::clone(&self.handle.shared);
        if with_errors && let Some(error) = shared.buffer.lock().take_error() {
            return Some(Err(error));
        }
        loop {
            if shared.is_held() {
                return None;
            }
            let mut fetched = match self.current.take() {
                Some(current) => current,
                None => shared.buffer.lock().take(&shared.subscription.lock())?,
            };
            let state = shared.subscription.lock().state(&fetched.partition, fetched.stay);
            match state {
                DataState::Current => {}
                DataState::Paused => {
                    shared.buffer.lock().put_back(fetched);
                    continue;
                }
                DataState::Stale => {
                    self.done_with(&fetched);
                    continue;
                }
            }
            let record = fetched.next_record();
            let next = fetched.next_position();
            shared.subscription.lock().delivered(&fetched.partition, fetched.stay, next);
            shared.offsets.lock().delivered(&fetched.partition, next);
            match record {
                Ok(Some(record)) => {
                    self.current = Some(fetched);
                    return Some(Ok(record));
                }
                Ok(None) => self.done_with(&fetched),
                Err(source) => {
                    self.done_with(&fetched);
                    shared.subscription.lock().rewind(&fetched.partition, fetched.stay);
                    let partition = fetched.partition;
                    let error = Error::Corrupt { partition, offset: next.offset, source };
                    if with_errors {
                        return Some(Err(error));
                    }
                    shared.report(error);
                    return None;
                }
            }
        }
    }

    /// Makes room for further data.
    fn done_with(&self, fetched: &Fetched) {
        let shared = &self.handle.shared;
        shared.buffer.lock().used_up(fetched.size);
        shared.subscription.lock().used_up(&fetched.partition, fetched.stay, fetched.size);
        shared.fetch_wake.notify_one();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.handle.shared.close();
    }
}
