//! What a program wants to do when partitions come and go.

use std::fmt::Debug;

use flumen_client::TopicPartition;
use flumen_client::connection::BoxFuture;

use crate::handle::ConsumerHandle;

/// Is told of partitions that are assigned to a subscribed consumer, and taken from it.
///
/// The handle may be used as usual, to seek or to commit. While a method runs, no records are given
/// out, and the group waits: for at most `max.poll.interval.ms`.
pub trait RebalanceListener: Send + Sync + Debug {
    /// These partitions are assigned; nothing was read from them yet.
    fn assigned<'a>(
        &'a self,
        _consumer: &'a ConsumerHandle,
        _partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// These partitions are about to be taken away; offsets can still be committed.
    fn revoked<'a>(
        &'a self,
        _consumer: &'a ConsumerHandle,
        _partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// These partitions were taken away already: others may read them, commits are refused.
    ///
    /// Unless implemented this does what [`revoked`](Self::revoked) does.
    fn lost<'a>(
        &'a self,
        consumer: &'a ConsumerHandle,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, ()> {
        self.revoked(consumer, partitions)
    }
}
