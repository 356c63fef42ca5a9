//! A partition of an internal topic as its coordinator sees it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flumen_client::connection::{BoxFuture, Seams};
use flumen_planted::{Bug, is_planted};
use flumen_storage::AppendOrigin;

use super::runtime::blocking;
use super::{AppendError, CommitError, Isolation, Partition, ReadError};
use crate::coordinator::{CoordinatorLog, LogError};

/// The log behind a coordinator.
#[derive(Debug)]
pub(crate) struct PartitionCoordinatorLog {
    partition: Arc<Partition>,
    /// What the coordinator knows is what this leader has found in the log and appended to it.
    leader_epoch: i32,
    seams: Seams,
}

impl PartitionCoordinatorLog {
    pub(crate) fn new(partition: Arc<Partition>, leader_epoch: i32, seams: Seams) -> Self {
        Self { partition, leader_epoch, seams }
    }

    /// The epoch in which records are this coordinator's.
    fn epoch(&self) -> i32 {
        if is_planted(Bug::OldCoordinatorsAppend) {
            return self.partition.leader_epoch();
        }
        self.leader_epoch
    }
}

impl CoordinatorLog for PartitionCoordinatorLog {
    fn append(&self, batch: Bytes) -> Result<i64, LogError> {
        let now_ms = self.seams.clock.wall_ms();
        let (epoch, origin) = (Some(self.epoch()), AppendOrigin::Coordinator);
        let appended = self.partition.append_in(epoch, batch, origin, true, now_ms);
        appended.map(|appended| appended.info.last_offset).map_err(|error| append_error(&error))
    }

    fn committed(&self, last_offset: i64) -> BoxFuture<'static, Result<(), LogError>> {
        let committed = self.partition.committed(last_offset, self.epoch());
        Box::pin(async move {
            committed.await.map_err(|error| match error {
                CommitError::NotLeader | CommitError::StorageFailed => LogError::NotLeader,
            })
        })
    }

    fn read(&self, offset: i64, max_bytes: usize) -> BoxFuture<'static, Result<Bytes, LogError>> {
        let partition = Arc::clone(&self.partition);
        let spawn = Arc::clone(&self.seams.spawn);
        Box::pin(async move {
            let read = blocking(&*spawn, move || read(&partition, offset, max_bytes));
            read.await.unwrap_or(Err(LogError::Unavailable))
        })
    }

    fn log_start_offset(&self) -> i64 {
        self.partition.log_start_offset()
    }

    fn log_end_offset(&self) -> i64 {
        self.partition.log_end_offset()
    }
}

fn read(partition: &Partition, offset: i64, max_bytes: usize) -> Result<Bytes, LogError> {
    // A coordinator replays what it appends at once, so it loads beyond the high watermark too.
    let read = partition.read(offset, max_bytes, true, Isolation::Everything);
    let read = read.map_err(|error| match error {
        ReadError::NotLeader | ReadError::Epoch(_) | ReadError::Log(_) => LogError::NotLeader,
    })?;
    partition.check(&read.plan).map_err(|_damaged| LogError::NotLeader)?;
    let mut bytes = BytesMut::with_capacity(read.plan.size);
    for range in read.plan.segments {
        bytes.extend_from_slice(&range.read().map_err(|error| {
            let (topic, index) = (partition.topic(), partition.index());
            tracing::error!(%topic, partition = index, %error, "a coordinator cannot read its log");
            LogError::NotLeader
        })?);
    }
    Ok(bytes.freeze())
}

fn append_error(error: &AppendError) -> LogError {
    match error {
        AppendError::NotLeader | AppendError::StorageFailed => LogError::NotLeader,
        AppendError::NotEnoughReplicas { .. } => LogError::Unavailable,
        AppendError::Log(error) => match error {
            flumen_storage::AppendError::DiskFull(_) => LogError::Unavailable,
            flumen_storage::AppendError::SegmentTooSmall { .. }
            | flumen_storage::AppendError::Invalid(_) => LogError::TooLarge,
            flumen_storage::AppendError::Disk(_)
            | flumen_storage::AppendError::Offline
            | flumen_storage::AppendError::Producer(_)
            | flumen_storage::AppendError::OffsetOutOfOrder { .. } => LogError::NotLeader,
        },
    }
}
