//! What a program can do with a consumer besides reading: seek, pause, commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_client::admin::OffsetSpec;
use flumen_client::commits::{CommittedOffset, OffsetToCommit};
use flumen_client::{Client, TopicPartition};

use crate::error::Error;
use crate::listener::RebalanceListener;
use crate::record::{Position, Record};
use crate::shared::{Mode, Shared};

/// A consumer's controls.
///
/// Cheap to clone, and usable from other tasks and from a
/// [`RebalanceListener`](crate::RebalanceListener). [`Consumer`](crate::Consumer) dereferences to it.
#[derive(Debug, Clone)]
pub struct ConsumerHandle {
    pub(crate) shared: Arc<Shared>,
}

impl ConsumerHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The client it reads with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Joins the group as a reader of these topics; the group decides about partitions.
    ///
    /// An empty list leaves the group. Topics that do not exist yet are read once they do.
    ///
    /// # Errors
    /// There is no group, or partitions were assigned by hand.
    pub fn subscribe<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        self.subscribe_as(topics, None)
    }

    /// Subscribes, and has a listener told of partitions that come and go.
    pub fn subscribe_with<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        listener: Arc<dyn RebalanceListener>,
    ) -> Result<(), Error> {
        self.subscribe_as(topics, Some(listener))
    }

    fn subscribe_as<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        listener: Option<Arc<dyn RebalanceListener>>,
    ) -> Result<(), Error> {
        self.shared.group_id()?;
        self.decide(Mode::Subscribed)?;
        let mut topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        topics.sort();
        topics.dedup();
        {
            let mut group = self.shared.group.lock();
            if topics.is_empty() {
                group.mode = Mode::Undecided;
            }
            group.wanted = Some(topics);
            if listener.is_some() {
                group.listener = listener;
            }
        }
        self.shared.group_wake.notify_one();
        Ok(())
    }

    /// Reads exactly these partitions, without a group deciding about them.
    ///
    /// Partitions that were assigned before keep their positions. With `group.id` set, reading
    /// begins at committed offsets, and offsets can be committed.
    ///
    /// # Errors
    /// The consumer is subscribed to topics.
    pub fn assign(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<(), Error> {
        self.decide(Mode::Assigned)?;
        self.shared.assign(partitions.into_iter().collect());
        Ok(())
    }

    fn decide(&self, wanted: Mode) -> Result<(), Error> {
        if self.shared.is_closed() {
            return Err(Error::Closed);
        }
        let mut group = self.shared.group.lock();
        if group.mode != Mode::Undecided && group.mode != wanted {
            return Err(Error::Mixed { is_subscribed: group.mode == Mode::Subscribed });
        }
        group.mode = wanted;
        Ok(())
    }

    /// The partitions it reads now.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.subscription.lock().assigned()
    }

    /// The next offset the program gets; `None` until it is found out where to begin.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.shared.subscription.lock().position(partition).map(|position| position.offset)
    }

    /// Goes on reading at an offset.
    ///
    /// # Errors
    /// The partition is not assigned.
    pub fn seek(&self, partition: &TopicPartition, offset: i64) -> Result<(), Error> {
        self.seek_position(partition, Position::at(offset))
    }

    fn seek_position(&self, partition: &TopicPartition, to: Position) -> Result<(), Error> {
        if !self.shared.subscription.lock().seek(partition, to) {
            return Err(Error::NotAssigned { partition: partition.clone() });
        }
        self.shared.offsets.lock().forget(partition);
        self.shared.fetch_wake.notify_one();
        self.shared.news.notify_one();
        Ok(())
    }

    /// Goes on reading all assigned partitions at the first record there is.
    ///
    /// # Errors
    /// As [`seek_to`](Self::seek_to).
    pub async fn seek_to_beginning(&self) -> Result<(), Error> {
        self.seek_to(self.assignment(), OffsetSpec::Earliest).await
    }

    /// Goes on reading all assigned partitions with what is written from now on.
    ///
    /// # Errors
    /// As [`seek_to`](Self::seek_to).
    pub async fn seek_to_end(&self) -> Result<(), Error> {
        self.seek_to(self.assignment(), OffsetSpec::Latest).await
    }

    /// Goes on reading all assigned partitions at the first record of that time or later, at the
    /// end where there is none. The time is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`seek_to`](Self::seek_to).
    pub async fn seek_to_time(&self, timestamp: i64) -> Result<(), Error> {
        self.seek_to(self.assignment(), OffsetSpec::Timestamp(timestamp)).await
    }

    /// Goes on reading these partitions at a place that brokers look up.
    ///
    /// # Errors
    /// A place could not be looked up, or a partition is not assigned; the others are sought all
    /// the same.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, reading goes on where it was: nothing is sought before all places are
    /// known.
    pub async fn seek_to(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        place: OffsetSpec,
    ) -> Result<(), Error> {
        let places = partitions.into_iter().map(|partition| (partition, place)).collect();
        let mut outcome = Ok(());
        for (partition, position) in self.shared.offsets_at(places).await {
            let sought = position.and_then(|position| self.seek_position(&partition, position));
            outcome = outcome.and(sought);
        }
        outcome
    }

    /// Gives no records of these partitions until they are resumed; others go on.
    ///
    /// # Errors
    /// A partition is not assigned; the others are paused all the same.
    pub fn pause<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), Error> {
        self.set_paused(partitions, true)
    }

    /// Goes on with paused partitions.
    ///
    /// # Errors
    /// A partition is not assigned; the others are resumed all the same.
    pub fn resume<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), Error> {
        self.set_paused(partitions, false)
    }

    fn set_paused<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
        is_paused: bool,
    ) -> Result<(), Error> {
        let mut outcome = Ok(());
        for partition in partitions {
            if !self.shared.subscription.lock().pause(partition, is_paused) {
                outcome = Err(Error::NotAssigned { partition: partition.clone() });
            }
        }
        self.shared.fetch_wake.notify_one();
        self.shared.news.notify_one();
        outcome
    }

    /// The partitions that are paused.
    #[must_use]
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.shared.subscription.lock().paused()
    }

    /// Commits what was processed: all records the program was given, unless it stores offsets
    /// itself (`auto_store` off), then what it stored.
    ///
    /// # Errors
    /// [`Error::Commit`] with a fenced code if the group took the partitions away.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the offsets may or may not be committed.
    pub async fn commit(&self) -> Result<(), Error> {
        self.shared.group_id()?;
        let offsets = {
            let mut offsets = self.shared.offsets.lock();
            if self.shared.config.auto_store {
                offsets.confirm();
            }
            offsets.uncommitted()
        };
        self.shared.commit_now(&offsets).await
    }

    /// Commits these offsets, each being that of the next record to read.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the offsets may or may not be committed.
    pub async fn commit_offsets(
        &self,
        offsets: &BTreeMap<TopicPartition, OffsetToCommit>,
    ) -> Result<(), Error> {
        self.shared.commit_now(offsets).await
    }

    /// Stores that a record, and so all before it, was processed; the next commit commits it.
    pub fn store(&self, record: &Record) {
        let leader_epoch = Some(record.leader_epoch).filter(|epoch| *epoch >= 0);
        let next = Position { offset: record.offset + 1, leader_epoch };
        if self.shared.subscription.lock().is_assigned(&record.partition) {
            self.shared.offsets.lock().store(record.partition.clone(), next);
        }
    }

    /// The generation of the group in which this consumer has its partitions, as the coordinator counts;
    /// `None` while it is in none.
    #[must_use]
    pub fn generation(&self) -> Option<i32> {
        Some(self.shared.group.lock().generation).filter(|generation| *generation >= 0)
    }

    /// The offsets the group committed for these partitions; those without one are left out.
    ///
    /// # Errors
    /// The coordinator of the group cannot be asked, or refuses.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        self.shared.fetch_committed(partitions).await
    }
}
