//! A coordinator's log in memory, for tests: it can hold commits back, lose what is not committed,
//! and refuse appends.

use bytes::{Bytes, BytesMut};
use flumen_client::connection::BoxFuture;
use flumen_protocol::records::{BatchHeader, patch_base_offset};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::coordinator::{CoordinatorLog, LogError};

#[derive(Debug, Default)]
struct Contents {
    batches: Vec<(i64, Bytes)>,
    end: i64,
    holds_commits: bool,
    refusal: Option<LogError>,
    is_unreadable: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    high_watermark: i64,
    /// How often uncommitted records were lost.
    losses: u64,
}

#[derive(Debug)]
pub(crate) struct MemoryLog {
    contents: Mutex<Contents>,
    progress: watch::Sender<Progress>,
}

impl MemoryLog {
    pub(crate) fn new() -> Self {
        Self { contents: Mutex::default(), progress: watch::Sender::new(Progress::default()) }
    }

    pub(crate) fn hold_commits(&self) {
        self.contents.lock().holds_commits = true;
    }

    pub(crate) fn commit(&self) {
        let mut contents = self.contents.lock();
        contents.holds_commits = false;
        self.progress.send_modify(|progress| progress.high_watermark = contents.end);
    }

    pub(crate) fn lose_uncommitted(&self) {
        let mut contents = self.contents.lock();
        contents.holds_commits = false;
        let high_watermark = self.progress.borrow().high_watermark;
        contents.batches.retain(|(base_offset, _)| *base_offset < high_watermark);
        contents.end = high_watermark;
        self.progress.send_modify(|progress| progress.losses += 1);
    }

    pub(crate) fn refuse(&self, refusal: Option<LogError>) {
        self.contents.lock().refusal = refusal;
    }

    pub(crate) fn make_readable(&self, is_readable: bool) {
        self.contents.lock().is_unreadable = !is_readable;
    }
}

impl CoordinatorLog for MemoryLog {
    fn append(&self, batch: Bytes) -> Result<i64, LogError> {
        let mut contents = self.contents.lock();
        if let Some(refusal) = contents.refusal {
            return Err(refusal);
        }
        let base_offset = contents.end;
        let mut batch = BytesMut::from(&batch[..]);
        patch_base_offset(&mut batch, base_offset);
        let Ok(header) = BatchHeader::parse(&batch) else { panic!("the runtime builds batches") };
        contents.end = header.next_offset();
        contents.batches.push((base_offset, batch.freeze()));
        if !contents.holds_commits {
            self.progress.send_modify(|progress| progress.high_watermark = contents.end);
        }
        Ok(header.last_offset())
    }

    fn committed(&self, last_offset: i64) -> BoxFuture<'static, Result<(), LogError>> {
        let mut progress = self.progress.subscribe();
        let losses = progress.borrow().losses;
        Box::pin(async move {
            let settled = progress
                .wait_for(|now| now.high_watermark > last_offset || now.losses > losses)
                .await
                .unwrap();
            if settled.high_watermark > last_offset { Ok(()) } else { Err(LogError::NotLeader) }
        })
    }

    fn read(&self, offset: i64, _: usize) -> BoxFuture<'static, Result<Bytes, LogError>> {
        let contents = self.contents.lock();
        let found = contents.batches.iter().rfind(|(base_offset, _)| *base_offset <= offset);
        let batch = match found {
            _ if contents.is_unreadable => Err(LogError::Unavailable),
            Some((_, batch)) if offset < contents.end => Ok(batch.clone()),
            Some(_) | None => Ok(Bytes::new()),
        };
        Box::pin(async move { batch })
    }

    fn log_start_offset(&self) -> i64 {
        0
    }

    fn log_end_offset(&self) -> i64 {
        self.contents.lock().end
    }
}
