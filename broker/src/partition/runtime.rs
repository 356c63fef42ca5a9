//! The tasks behind the partitions: bringing them in line with the metadata, retention,
//! checkpoints, and the order of a shutdown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{Seams, Spawn};
use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use flumen_storage::checkpoint::PartitionOffsets;
use flumen_storage::log_dir::{Checkpoint, LogDirError};
use flumen_storage::vfs::Vfs;
use flumen_storage::{PartitionLog, read_topic_id};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::cleaner::Cleaner;
use super::opener::{Opener, Opening};
use super::reconcile::{Change, changes, current, may_begin_anew, part, strays};
use super::registry::{Hosted, HostedTopic, Snapshot};
use super::settings::log_config;
use super::{DataDir, Partition, Partitions};
use crate::config::{BrokerConfig, CleanerConfig, Settings, ThrottleRates, TopicConfig};
use crate::controller::{MetadataImage, TopicImage};

/// Threads that open logs at once.
const OPENERS: usize = 4;

/// How often recovery points are written down: the most that is scanned after a crash.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// How often high watermarks are written down, as in Kafka.
const HIGH_WATERMARK_INTERVAL: Duration = Duration::from_secs(5);

/// How long the answer to a change of metadata waits for the partitions.
const RECONCILE_TIME_MAX: Duration = Duration::from_secs(5);

/// Runs `work` where it may block; `None` if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    spawn: &dyn Spawn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, outcome) = oneshot::channel();
    // Nobody may be left to hear of it: that is not the work's concern.
    spawn.blocking(Box::new(move || drop(done.send(work()))));
    outcome.await.ok()
}

/// Keeps the partitions of this broker as the metadata says.
#[derive(Debug)]
pub(crate) struct Keeper {
    config: Arc<BrokerConfig>,
    seams: Seams,
    data_dir: Arc<DataDir>,
    partitions: Arc<Partitions>,
    was_clean: bool,
    version: watch::Sender<i64>,
}

/// Tells when the partitions of this broker are in line with a version of the metadata.
#[derive(Debug, Clone)]
pub struct Reconciled(watch::Receiver<i64>);

impl Reconciled {
    /// The version of the metadata that the partitions are in line with.
    pub(crate) fn version(&self) -> i64 {
        *self.0.borrow()
    }

    /// Waits for a version after `version`; for ever, if there will be none.
    pub(crate) async fn after(&self, version: i64) {
        let mut versions = self.0.clone();
        if versions.wait_for(|reached| *reached > version).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for `version`, but not for long: it is a courtesy to clients that use a new topic at
    /// once, and would otherwise be told to try again.
    pub async fn wait_for(&self, version: i64) {
        let mut versions = self.0.clone();
        let reached = versions.wait_for(|reached| *reached >= version);
        drop(tokio::time::timeout(RECONCILE_TIME_MAX, reached).await);
    }
}

impl Keeper {
    pub(crate) fn new(
        config: Arc<BrokerConfig>,
        seams: Seams,
        data_dir: Arc<DataDir>,
        partitions: Arc<Partitions>,
        was_clean: bool,
    ) -> Self {
        let version = watch::Sender::new(-1);
        Self { config, seams, data_dir, partitions, was_clean, version }
    }

    /// Tells of the version of the metadata that was announced last.
    pub(crate) fn reconciled(&self) -> Reconciled {
        Reconciled(self.version.subscribe())
    }

    /// Opens, closes, deletes and reconfigures logs until they are as `image` says. Returns the
    /// topics that were deleted.
    pub(crate) async fn reconcile(&self, image: &MetadataImage) -> Vec<Arc<TopicImage>> {
        let mut next = Snapshot::clone(&self.partitions.snapshot());
        let mut openings = Vec::new();
        let mut deleted = Vec::new();
        let settings = Arc::new(image.settings(&self.config));
        let now = self.seams.clock.monotonic();
        self.partitions.throttles().set(ThrottleRates::resolve(&settings), now);
        for change in changes(&next, image, &settings) {
            match change {
                Change::Delete(id) => deleted.extend(self.delete(&mut next, id).await),
                Change::Update(topic) => {
                    let (opening, departed) = self.update(&mut next, &topic, &settings);
                    openings.extend(opening);
                    self.depart(&next, topic, departed).await;
                }
            }
        }
        for (topic, opened) in self.open_all(openings, &settings).await {
            next.place(topic, opened);
        }
        self.compare_promises(&next.settings, &settings);
        next.version = image.version();
        next.settings = Settings::clone(&settings);
        self.partitions.replace(next);
        deleted
    }

    /// Says so when the file of this broker promises what others do not.
    fn compare_promises(&self, before: &Settings, now: &Settings) {
        let (own, agreed) = (self.config.settings.promises(), now.promises());
        if agreed != own && agreed != before.promises() {
            warn!(?agreed, file = ?own, "other brokers were started with stricter settings, which hold");
        }
    }

    /// Tells those who wait that everything is in line with `version`, the groups that live on the
    /// partitions included.
    pub(crate) fn announce(&self, version: i64) {
        self.version.send_replace(version);
    }

    /// Brings the partitions that are open in line, and says which are to be opened and which are
    /// to go.
    fn update(
        &self,
        next: &mut Snapshot,
        image: &Arc<TopicImage>,
        settings: &Settings,
    ) -> (Vec<Opening>, Vec<i32>) {
        let config = TopicConfig::resolve(&image.configs, settings);
        let log_config = Arc::new(log_config(&config));
        let mut partitions = Vec::with_capacity(image.partitions.len());
        let (mut openings, mut departed) = (Vec::new(), Vec::new());
        for (place, (index, partition)) in image.indexed_partitions().enumerate() {
            let part = part(image, partition, self.config.node_id, &config);
            partitions.push(match (current(next, image.id, place), part) {
                (Some(Hosted::Here(here)), Some(_))
                    if here.is_damaged()
                        && may_begin_anew(partition, self.config.node_id, here.leader_epoch()) =>
                {
                    warn!(topic = %image.name, partition = index, "a damaged log is copied anew");
                    here.close();
                    departed.push(index);
                    openings.push(Opening { image: Arc::clone(image), index });
                    Hosted::Elsewhere
                }
                (Some(Hosted::Here(here)), Some(part)) => {
                    here.set_throttled(&config, partition);
                    here.take_part(part, Arc::clone(&log_config));
                    Hosted::Here(here)
                }
                (Some(Hosted::Here(here)), None) if is_planted(Bug::DepartedStay) => {
                    Hosted::Here(here)
                }
                (Some(Hosted::Here(here)), None) => {
                    here.close();
                    departed.push(index);
                    Hosted::Elsewhere
                }
                (Some(Hosted::Offline), Some(_))
                    if !partition.can_be_copied_to(self.config.node_id) =>
                {
                    Hosted::Offline
                }
                (None | Some(Hosted::Elsewhere | Hosted::Offline), Some(_)) => {
                    openings.push(Opening { image: Arc::clone(image), index });
                    // Until it is open, nobody finds it.
                    Hosted::Elsewhere
                }
                (_, None) => Hosted::Elsewhere,
            });
        }
        next.insert(HostedTopic { image: Arc::clone(image), partitions });
        (openings, departed)
    }

    /// Moves the data of replicas out of the way that other brokers have now, or that begin anew.
    async fn depart(&self, next: &Snapshot, image: Arc<TopicImage>, departed: Vec<i32>) {
        if departed.is_empty() {
            return;
        }
        // Nobody may find the partitions any more while their directories are moved.
        self.partitions.replace(next.clone());
        info!(topic = %image.name, partitions = ?departed, "what was kept here of these goes");
        let data_dir = Arc::clone(&self.data_dir);
        let moved = blocking(&*self.seams.spawn, move || {
            data_dir.move_away(&image.name, image.id, &departed)
        })
        .await;
        self.remove_later(moved.unwrap_or_default());
    }

    /// Moves the data of a topic out of the way at once; its files go in the background.
    async fn delete(&self, next: &mut Snapshot, id: Uuid) -> Option<Arc<TopicImage>> {
        let topic = next.topic(id).cloned()?;
        next.remove(id);
        // Nobody may find the partitions any more while their directories are moved.
        self.partitions.replace(next.clone());
        for hosted in &topic.partitions {
            if let Hosted::Here(partition) = hosted {
                partition.close();
            }
        }
        let data_dir = Arc::clone(&self.data_dir);
        let image = Arc::clone(&topic.image);
        let indexes = image.indexed_partitions().map(|(index, _)| index).collect::<Vec<_>>();
        let moved = blocking(&*self.seams.spawn, move || {
            data_dir.move_away(&image.name, image.id, &indexes)
        })
        .await;
        self.remove_later(moved.unwrap_or_default());
        Some(Arc::clone(&topic.image))
    }

    /// Removes directories of deleted partitions in the background.
    fn remove_later(&self, paths: Vec<PathBuf>) {
        if paths.is_empty() {
            return;
        }
        let vfs = Arc::clone(self.data_dir.vfs());
        self.seams.spawn.blocking(Box::new(move || {
            for path in paths {
                if let Err(error) = vfs.remove_dir_all(&path) {
                    warn!(path = %path.display(), %error, "a deleted partition is still on disk");
                }
            }
        }));
    }

    async fn open_all(
        &self,
        openings: Vec<Opening>,
        settings: &Arc<Settings>,
    ) -> BTreeMap<Uuid, Vec<(i32, Hosted)>> {
        let mut shares: Vec<Vec<Opening>> = Vec::new();
        shares.resize_with(OPENERS.min(openings.len()), Vec::new);
        for (place, opening) in openings.into_iter().enumerate() {
            shares[place % OPENERS].push(opening);
        }
        let opened = shares.into_iter().map(|share| {
            let opener = Opener {
                node_id: self.config.node_id,
                settings: Arc::clone(settings),
                data_dir: Arc::clone(&self.data_dir),
                was_clean: self.was_clean,
                now_ms: self.seams.clock.wall_ms(),
            };
            blocking(&*self.seams.spawn, move || opener.open_share(share))
        });
        let opened = futures_util::future::join_all(opened).await;
        let mut topics: BTreeMap<Uuid, Vec<(i32, Hosted)>> = BTreeMap::new();
        for (topic, index, hosted) in opened.into_iter().flatten().flatten() {
            topics.entry(topic).or_default().push((index, hosted));
        }
        topics
    }

    /// Removes what deletions before the last stop have left, and what was deleted or moved to other
    /// brokers since. `image` has the registration of this start, and so all that was placed before.
    pub(crate) async fn remove_leftovers(
        &self,
        image: &Arc<MetadataImage>,
    ) -> Result<(), LogDirError> {
        let (data_dir, image) = (Arc::clone(&self.data_dir), Arc::clone(image));
        let node_id = self.config.node_id;
        let leftovers = blocking(&*self.seams.spawn, move || {
            let listing = data_dir.log_dir().list()?;
            let topic_id = |path: &Path| topic_id(data_dir.vfs(), path);
            let strays = strays(listing.partitions, &image, node_id, topic_id);
            let moved = strays.iter().flat_map(|((id, topic), partitions)| {
                info!(%topic, ?partitions, "no replica of these is kept here any more");
                data_dir.move_away(topic, *id, partitions)
            });
            Ok(listing.deleted.into_iter().chain(moved).collect())
        });
        self.remove_later(leftovers.await.unwrap_or_else(|| Ok(Vec::new()))?);
        Ok(())
    }

    /// Deletes what has expired, again and again.
    pub(crate) async fn run_retention(self: Arc<Self>) {
        let interval = self.config.log.retention_check_interval_ms;
        let interval = Duration::from_millis(u64::try_from(interval).unwrap_or(u64::MAX));
        loop {
            tokio::time::sleep(interval).await;
            let partitions = self.partitions.all();
            let now_ms = self.seams.clock.wall_ms();
            let work = move || partitions.iter().for_each(|partition| expire(partition, now_ms));
            if blocking(&*self.seams.spawn, work).await.is_none() {
                error!("the deletion of expired records ended in a failed assertion");
            }
        }
    }

    /// Compacts what is due, again and again.
    pub(crate) async fn run_cleaner(self: Arc<Self>) {
        if !self.config.log.cleaner_enable {
            return std::future::pending().await;
        }
        let cleaned = self.data_dir.log_dir().read_checkpoint(Checkpoint::CleanerOffsets);
        let mut cleaner = Cleaner::new(cleaned.ok().flatten().unwrap_or_default());
        let mut versions = self.version.subscribe();
        loop {
            let config = self.cleaner_config(*versions.borrow_and_update());
            let is_changed = versions.wait_for(|now| self.cleaner_config(*now) != config);
            if tokio::time::timeout(config.backoff, is_changed).await.is_ok() {
                continue;
            }
            let keeper = Arc::clone(&self);
            let run = move || {
                keeper.clean(&mut cleaner, config.dedupe_buffer_size);
                cleaner
            };
            let Some(after) = blocking(&*self.seams.spawn, run).await else {
                return error!("compaction ended in a failed assertion");
            };
            cleaner = after;
        }
    }

    /// What the cleaner goes by once the partitions are in line with `version` of the metadata.
    fn cleaner_config(&self, version: i64) -> CleanerConfig {
        match version {
            // There is no metadata yet, so that nothing has been changed.
            ..0 => CleanerConfig::resolve(&self.config.settings),
            0.. => CleanerConfig::resolve(&self.partitions.snapshot().settings),
        }
    }

    fn clean(&self, cleaner: &mut Cleaner, bytes_max: usize) {
        let mut has_cleaned = false;
        while cleaner.run_once(&self.partitions.all(), self.seams.clock.wall_ms(), bytes_max) {
            has_cleaned = true;
        }
        if !has_cleaned {
            return;
        }
        let log_dir = self.data_dir.log_dir();
        if let Err(error) = log_dir.write_checkpoint(Checkpoint::CleanerOffsets, cleaner.cleaned())
        {
            warn!(%error, "the next start compacts again what is compacted");
        }
    }

    /// Writes down how far the logs are on disk, again and again.
    pub(crate) async fn run_checkpoints(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CHECKPOINT_INTERVAL).await;
            let keeper = Arc::clone(&self);
            let written = blocking(&*self.seams.spawn, move || keeper.write_checkpoints()).await;
            if let Some(Err(error)) = written {
                warn!(%error, "the recovery points were not written");
            }
        }
    }

    fn write_checkpoints(&self) -> Result<(), LogDirError> {
        let flushed_end = |p: &Partition| p.with_log(PartitionLog::flushed_end_offset);
        let unusable = self.partitions.unusable();
        self.data_dir.write_recovery_points(&unusable, || self.offsets(flushed_end))?;
        let mut starts = self.offsets(Partition::log_start_offset);
        starts.retain(|_, start| *start > 0);
        self.data_dir.log_dir().write_checkpoint(Checkpoint::LogStartOffsets, &starts)?;
        self.write_high_watermarks()
    }

    fn offsets(&self, offset: impl Fn(&Partition) -> i64) -> PartitionOffsets {
        let partitions = self.partitions.all();
        let key = |partition: &Partition| (partition.topic().to_string(), partition.index());
        partitions.iter().map(|partition| (key(partition), offset(partition))).collect()
    }

    /// Writes down what is known to be committed, again and again, so that a broker that starts
    /// does not have to find out anew.
    pub(crate) async fn run_high_watermarks(self: Arc<Self>) {
        loop {
            tokio::time::sleep(HIGH_WATERMARK_INTERVAL).await;
            let keeper = Arc::clone(&self);
            let written =
                blocking(&*self.seams.spawn, move || keeper.write_high_watermarks()).await;
            if let Some(Err(error)) = written {
                warn!(%error, "the high watermarks were not written");
            }
        }
    }

    fn write_high_watermarks(&self) -> Result<(), LogDirError> {
        // The next start counts on what lies below to be on disk.
        let flushed = |p: &Partition| p.with_log(PartitionLog::flushed_end_offset);
        let committed = |p: &Partition| p.high_watermark().min(flushed(p));
        let unusable = self.partitions.unusable();
        self.data_dir.write_high_watermarks(&unusable, || self.offsets(committed))
    }

    /// Closes every log, and marks the shutdown as clean if every one of them could be closed.
    pub(crate) async fn shut_down(self: Arc<Self>) {
        let spawn = Arc::clone(&self.seams.spawn);
        blocking(&*spawn, move || self.close_all()).await.unwrap_or_default();
    }

    fn close_all(&self) {
        let mut is_clean = self.partitions.offline_count() == 0;
        for partition in self.partitions.all() {
            if let Err(error) = partition.shut_down() {
                let (topic, index) = (partition.topic(), partition.index());
                warn!(%topic, partition = index, %error, "the log was not closed cleanly");
                is_clean = false;
            }
        }
        let written = self.write_checkpoints().and_then(|()| match is_clean {
            true => self.data_dir.mark_clean_shutdown(),
            false => Ok(()),
        });
        if let Err(error) = written {
            warn!(%error, "the shutdown was not marked as clean");
        }
    }
}

/// Of which topic a directory is, if it says so.
fn topic_id(vfs: &Arc<dyn Vfs>, path: &Path) -> Option<Uuid> {
    read_topic_id(vfs, path).unwrap_or_else(|error| {
        warn!(path = %path.display(), %error, "it is not known whose this is");
        None
    })
}

fn expire(partition: &Partition, now_ms: i64) {
    let high_watermark = partition.high_watermark();
    let deleted = partition.with_log_mut(|log| {
        log.expire_producers(now_ms);
        log.delete_expired(now_ms, high_watermark)
    });
    let (topic, index) = (partition.topic(), partition.index());
    match deleted {
        Ok(0) => {}
        Ok(segments) => info!(%topic, partition = index, segments, "expired segments deleted"),
        Err(error) => warn!(%topic, partition = index, %error, "expired segments were not deleted"),
    }
}
