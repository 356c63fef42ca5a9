//! The disk of the metadata quorum: the log, and the few facts that lie beside it.
//!
//! Everything is in one directory, `__cluster_metadata-0`: the segments of the log, whose offsets
//! are Raft's indexes, and `quorum-state`, which holds the vote, what was cut off the front of the
//! log, the id of the directory and whether this node may vote; `synced_end` tells how far the log
//! was synced. Writes that must be durable are carried out one after the other in the order they
//! were asked for, off the async threads; appends that wait together share one sync.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flumen_client::connection::Seams;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches, RecordBatch};
use flumen_storage::vfs::Vfs;
use flumen_storage::{LogConfig, OpenContext, PartitionLog};
use openraft::EntryPayload;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::consistency::Found;
use super::synced_end::{self, SyncedEnd};
use super::types::{
    Directory, Entry, LogId, Membership, SnapshotMeta, StoredEntry, TypeConfig, Vote, invalid,
    log_id, term_and_index,
};
use super::{durable_file, snapshot};

const STATE_FILE: &str = "quorum-state";

/// So that a snapshot soon lets whole segments go.
const SEGMENT_BYTES: u32 = 8 << 20;

/// How much of the log is read at once.
const READ_BYTES: usize = 1 << 20;

/// What Raft must not forget and the log does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Term, node and whether a quorum granted it.
    vote: Option<(u64, u64, bool)>,
    /// Term and index of the last entry that was cut off the front.
    purged: Option<(u64, u64)>,
    /// Chosen at random when the directory was empty.
    #[serde(default)]
    directory: Option<Directory>,
    /// The log was empty when others had one already: votes and entries may have been forgotten.
    #[serde(default)]
    is_vote_withheld: bool,
}

/// The directory of the metadata quorum.
pub(super) struct Disk {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    seams: Seams,
    log: Mutex<PartitionLog>,
    state: Mutex<State>,
    last: Mutex<Option<LogId>>,
    synced: Mutex<SyncedEnd>,
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    is_running: bool,
}

enum Job {
    /// Makes the log durable.
    Flush(IOFlushed<TypeConfig>),
    /// Anything else.
    Work(Box<dyn FnOnce() + Send>),
}

impl Disk {
    /// Opens the directory, creating it if there is none.
    pub(super) fn open(vfs: Arc<dyn Vfs>, dir: &Path, seams: Seams) -> io::Result<Self> {
        let config = LogConfig {
            segment_bytes: SEGMENT_BYTES,
            segment_ms: i64::MAX,
            retention_ms: None,
            delete: false,
            ..LogConfig::default()
        };
        let state_path = dir.join(STATE_FILE);
        let state: State = match durable_file::read(&*vfs, &state_path)? {
            Some(content) => rmp_serde::from_slice(&content).map_err(invalid)?,
            None => State::default(),
        };
        // What is damaged below may have been acknowledged, and is not cut off as a torn tail.
        let recovery_point = synced_end::read(&*vfs, dir)?;
        let now_ms = seams.clock.wall_ms();
        let context = OpenContext { clean_shutdown: false, recovery_point, now_ms };
        let log = PartitionLog::open(Arc::clone(&vfs), dir, Arc::new(config), context)
            .map_err(io::Error::other)?;
        let synced = Mutex::new(SyncedEnd::open(&*vfs, dir)?);
        let disk = Self {
            vfs,
            dir: dir.to_owned(),
            seams,
            log: Mutex::new(log),
            state: Mutex::new(state),
            last: Mutex::default(),
            synced,
            jobs: Mutex::default(),
        };
        disk.what_is_there()?.check().map_err(invalid)?;
        disk.finish_purge()?;
        // Opening has synced it.
        let end = disk.log.lock().flushed_end_offset();
        disk.synced.lock().raise(end);
        *disk.last.lock() = disk.find_last()?;
        if disk.state.lock().directory.is_none() {
            let directory = Directory(disk.seams.rng.next_bytes16());
            disk.replace_state(|state| state.directory = Some(directory))?;
        }
        Ok(disk)
    }

    /// The id of the directory: another one if it was emptied or replaced.
    pub(super) fn directory(&self) -> Directory {
        self.state.lock().directory.unwrap_or_default()
    }

    /// Whether nothing was ever kept here, neither entries nor a vote.
    pub(super) fn is_empty(&self) -> bool {
        self.last().is_none() && self.state.lock().vote.is_none()
    }

    /// Whether there is nothing but the first entry, and no vote for anybody else.
    pub(super) fn is_pristine(&self, node_id: u64) -> bool {
        let is_unbound = match self.state.lock().vote {
            None => true,
            Some((_, voted_for, is_granted)) => voted_for == node_id && !is_granted,
        };
        is_unbound && self.last().is_none_or(|last| last.index == 0)
    }

    /// Writes the first entry, which names the members and is the same wherever it is written.
    pub(super) async fn found(self: &Arc<Self>, members: Membership) -> io::Result<()> {
        let disk = Arc::clone(self);
        self.run(move || {
            let first = log_id((0, 0));
            let entry = Entry { log_id: first, payload: EntryPayload::Membership(members) };
            let mut batch = new_batch(0, 0)?;
            let value = StoredEntry::encode(&entry)?;
            batch.append(disk.seams.clock.wall_ms(), None, Some(&value), &[]);
            disk.write(batch)?;
            disk.sync()?;
            *disk.last.lock() = Some(first);
            Ok(())
        })
        .await
    }

    /// Whether this node may have forgotten votes and entries, so that it must not vote.
    pub(super) fn is_vote_withheld(&self) -> bool {
        self.state.lock().is_vote_withheld
    }

    /// Notes whether this node may vote; it is durable when this returns.
    ///
    /// What was appended before is durable too: writes are carried out in order.
    pub(super) async fn withhold_vote(self: &Arc<Self>, is_withheld: bool) -> io::Result<()> {
        self.change_state(move |state| state.is_vote_withheld = is_withheld).await
    }

    pub(super) fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.vfs
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of the log.
    pub(super) fn size(&self) -> u64 {
        self.log.lock().size()
    }

    /// What was purged is noted before it goes: a crash between leaves the second half to us.
    fn finish_purge(&self) -> io::Result<()> {
        match self.purged() {
            Some(purged) => self.cut_front(offset(purged.index)? + 1),
            None => Ok(()),
        }
    }

    fn find_last(&self) -> io::Result<Option<LogId>> {
        let (start, end) = {
            let log = self.log.lock();
            (log.log_start_offset(), log.log_end_offset())
        };
        if start == end {
            return Ok(self.purged());
        }
        let entries = self.read(index(end - 1)?, index(end)?)?;
        match entries.last() {
            Some(entry) => Ok(Some(entry.log_id)),
            None => Err(invalid("the metadata log has no entry at its end")),
        }
    }

    /// What all the files say, for comparison.
    fn what_is_there(&self) -> io::Result<Found> {
        let snapshot = match snapshot::load(&*self.vfs, &self.dir)? {
            Some(bytes) => snapshot::decode(&bytes)?.0,
            None => SnapshotMeta::default(),
        };
        let (start, end) = {
            let log = self.log.lock();
            (log.log_start_offset(), log.log_end_offset())
        };
        let State { vote, purged, .. } = self.state.lock().clone();
        Ok(Found {
            vote_term: vote.map(|(term, ..)| term),
            purged: purged.map(log_id),
            snapshot: snapshot.last_log_id,
            members: *snapshot.last_membership.log_id(),
            start: index(start)?,
            terms: self.terms(start, end)?,
            end: index(end)?,
            synced: index(synced_end::read(&*self.vfs, &self.dir)?)?,
        })
    }

    /// The first entry of each term. All entries are read: Raft reads those that a snapshot holds in
    /// one start and not in the next, and what stops one must stop all of them.
    fn terms(&self, start: i64, end: i64) -> io::Result<Vec<LogId>> {
        let mut terms: Vec<LogId> = Vec::new();
        let mut next = index(start)?;
        self.for_each_batch(start, end, |batch| {
            for entry in entries(&batch, offset(next)?..end)? {
                if entry.log_id.index != next {
                    return Err(gap());
                }
                let term = entry.log_id.leader_id.term;
                if terms.last().is_none_or(|last| last.leader_id.term != term) {
                    terms.push(entry.log_id);
                }
                next += 1;
            }
            offset(next)
        })?;
        Ok(terms)
    }

    pub(super) fn last(&self) -> Option<LogId> {
        *self.last.lock()
    }

    pub(super) fn purged(&self) -> Option<LogId> {
        self.state.lock().purged.map(log_id)
    }

    pub(super) fn vote(&self) -> Option<Vote> {
        self.state.lock().vote.map(|(term, node, is_granted)| {
            if is_granted { Vote::new_committed(term, node) } else { Vote::new(term, node) }
        })
    }

    /// Notes a vote; it is durable when this returns.
    pub(super) async fn save_vote(self: &Arc<Self>, vote: &Vote) -> io::Result<()> {
        let stored = (vote.leader_id.term, vote.leader_id.voted_for, vote.committed);
        self.change_state(move |state| state.vote = Some(stored)).await
    }

    async fn change_state(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State) + Send + 'static,
    ) -> io::Result<()> {
        let disk = Arc::clone(self);
        self.run(move || disk.replace_state(change)).await
    }

    fn replace_state(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let before = self.state.lock().clone();
        let mut changed = before.clone();
        change(&mut changed);
        let content = rmp_serde::to_vec(&changed).map_err(io::Error::other)?;
        let is_kept = before.vote == changed.vote || !is_planted(Bug::VotesAreNotKept);
        if is_kept {
            durable_file::replace(&*self.vfs, &self.dir.join(STATE_FILE), &content)?;
        }
        *self.state.lock() = changed;
        Ok(())
    }

    /// Writes entries, which can be read at once; `flushed` hears when they are durable.
    ///
    /// Each is a batch of its own. A log is cut off between batches only, and of entries that came together a
    /// later leader may have the first ones: those have been acknowledged, and must not go with the others.
    pub(super) fn append(
        self: &Arc<Self>,
        entries: impl Iterator<Item = Entry>,
        flushed: IOFlushed<TypeConfig>,
    ) -> io::Result<()> {
        for entry in entries {
            let (term, at) = term_and_index(&entry.log_id);
            let value = StoredEntry::encode(&entry)?;
            let mut batch = new_batch(term, offset(at)?)?;
            batch.append(self.seams.clock.wall_ms(), None, Some(&value), &[]);
            self.write(batch)?;
            *self.last.lock() = Some(entry.log_id);
        }
        self.enqueue(Job::Flush(flushed));
        Ok(())
    }

    fn write(&self, batch: BatchBuilder) -> io::Result<()> {
        let records = batch.build();
        let appended = self.log.lock().append_as_follower(records, self.seams.clock.wall_ms());
        appended.map(|_| ()).map_err(io::Error::other)
    }

    /// Writes a value of a test's own making as the next entry.
    #[cfg(test)]
    pub(super) fn append_raw(&self, term: u64, value: &[u8]) {
        let mut builder = new_batch(term, self.log.lock().log_end_offset()).unwrap();
        builder.append(0, None, Some(value), &[]);
        self.write(builder).unwrap();
        self.sync().unwrap();
    }

    /// The entries from `from` to before `to`, as far as they are there.
    pub(super) fn read(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        self.read_some(from, to, usize::MAX)
    }

    /// Reads entries until they have `bytes_max` bytes, the first in any case.
    pub(super) fn read_some(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (mut next, end) = {
            let log = self.log.lock();
            (offset(from)?.max(log.log_start_offset()), offset(to)?.min(log.log_end_offset()))
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        self.for_each_batch(next, end, |batch| {
            bytes += batch.bytes().len();
            found.extend(entries(&batch, next..end)?);
            if let Some(last) = found.last() {
                next = offset(last.log_id.index)? + 1;
            }
            let is_enough = bytes >= bytes_max && !found.is_empty();
            Ok(if is_enough { end } else { next })
        })?;
        Ok(found)
    }

    /// Visits the batches from offset `next` to before `end`; each visit says where it got to.
    fn for_each_batch(
        &self,
        mut next: i64,
        end: i64,
        mut visit: impl FnMut(RecordBatch) -> io::Result<i64>,
    ) -> io::Result<()> {
        while next < end {
            let segments = {
                let log = self.log.lock();
                log.read(next, READ_BYTES, true, log.log_end_offset())
                    .map_err(io::Error::other)?
                    .segments
            };
            let before = next;
            for range in segments {
                let mut bytes = vec![0; range.size];
                range.source.read_exact_at(&mut bytes, range.position)?;
                for batch in Batches::new(Bytes::from(bytes)) {
                    if next >= end {
                        return Ok(());
                    }
                    next = visit(batch.map_err(invalid)?)?;
                }
            }
            if next == before {
                return Err(gap());
            }
        }
        Ok(())
    }

    /// Removes what lies after `last`, or everything.
    pub(super) async fn truncate_after(self: &Arc<Self>, last: Option<LogId>) -> io::Result<()> {
        let disk = Arc::clone(self);
        self.run(move || {
            let end = match last {
                Some(last) => offset(last.index)? + 1,
                None => 0,
            };
            let mut log = disk.log.lock();
            if end < log.log_end_offset() {
                disk.synced.lock().lower(end)?;
                log.truncate_to(end, disk.seams.clock.wall_ms()).map_err(io::Error::other)?;
                *disk.last.lock() = last;
            }
            Ok(())
        })
        .await
    }

    /// Removes what lies up to `upto`: a snapshot holds it.
    pub(super) async fn purge(self: &Arc<Self>, upto: LogId) -> io::Result<()> {
        let purged = term_and_index(&upto);
        self.change_state(move |state| state.purged = Some(purged)).await?;
        let disk = Arc::clone(self);
        self.run(move || {
            disk.cut_front(offset(upto.index)? + 1)?;
            let mut last = disk.last.lock();
            if last.is_none_or(|last| last.index <= upto.index) {
                *last = Some(upto);
            }
            Ok(())
        })
        .await
    }

    fn cut_front(&self, start: i64) -> io::Result<()> {
        let mut log = self.log.lock();
        let cut = if start > log.log_end_offset() {
            // A snapshot from the leader reaches past all that is here.
            log.restart_at(start, self.seams.clock.wall_ms())
        } else {
            log.advance_log_start_offset(start)
        };
        cut.map_err(io::Error::other)
    }

    /// Runs `work` after everything asked for before, off the async threads.
    pub(super) async fn run(
        self: &Arc<Self>,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.enqueue(Job::Work(Box::new(move || {
            // Nobody may be waiting any more; the work counts all the same.
            drop(sender.send(work()));
        })));
        receiver.await.map_err(io::Error::other)?
    }

    fn enqueue(self: &Arc<Self>, job: Job) {
        let starts = {
            let mut jobs = self.jobs.lock();
            jobs.waiting.push_back(job);
            !mem::replace(&mut jobs.is_running, true)
        };
        if starts {
            let disk = Arc::clone(self);
            self.seams.spawn.blocking(Box::new(move || disk.work_off()));
        }
    }

    fn work_off(&self) {
        loop {
            let jobs = {
                let mut jobs = self.jobs.lock();
                jobs.is_running = !jobs.waiting.is_empty();
                mem::take(&mut jobs.waiting)
            };
            if jobs.is_empty() {
                return;
            }
            let mut flushes = Vec::new();
            for job in jobs {
                match job {
                    Job::Flush(flushed) => flushes.push(flushed),
                    Job::Work(work) => {
                        self.flush(mem::take(&mut flushes));
                        work();
                    }
                }
            }
            self.flush(flushes);
        }
    }

    fn flush(&self, flushes: Vec<IOFlushed<TypeConfig>>) {
        if flushes.is_empty() {
            return;
        }
        let synced = self.sync();
        for flushed in flushes {
            let result = match &synced {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            flushed.io_completed(result);
        }
    }

    /// Syncs the log without holding its lock, so that entries can be written meanwhile.
    fn sync(&self) -> io::Result<()> {
        let progress = Arc::clone(self.log.lock().flush_progress());
        let Some(plan) = progress.plan() else { return Ok(()) };
        let is_synced = !is_planted(Bug::EntriesAreNotSynced);
        if is_synced && let Err(error) = plan.file.sync_data() {
            self.log.lock().set_offline();
            return Err(error);
        }
        progress.mark_flushed(&plan);
        if is_synced {
            self.synced.lock().raise(progress.flushed_end_offset());
        }
        Ok(())
    }
}

fn gap() -> io::Error {
    invalid("the metadata log has a gap")
}

/// Those entries of a batch that are asked for.
fn entries(batch: &RecordBatch, offsets: Range<i64>) -> io::Result<Vec<Entry>> {
    batch.verify_crc().map_err(invalid)?;
    let term = u64::try_from(batch.header().partition_leader_epoch).map_err(invalid)?;
    let mut entries = Vec::new();
    for record in batch.records(usize::MAX).map_err(invalid)? {
        let record = record.map_err(invalid)?;
        if !offsets.contains(&record.offset) {
            continue;
        }
        let value = record.value.unwrap_or_default();
        let entry = StoredEntry::decode(index(record.offset)?, &value)?;
        if entry.log_id.leader_id.term != term {
            return Err(invalid("an entry of the metadata log is not of its batch's term"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn new_batch(term: u64, base_offset: i64) -> io::Result<BatchBuilder> {
    let partition_leader_epoch = i32::try_from(term).map_err(invalid)?;
    Ok(BatchBuilder::new(BatchOptions {
        base_offset,
        partition_leader_epoch,
        ..BatchOptions::default()
    }))
}

fn offset(index: u64) -> io::Result<i64> {
    i64::try_from(index).map_err(invalid)
}

fn index(offset: i64) -> io::Result<u64> {
    u64::try_from(offset).map_err(invalid)
}
