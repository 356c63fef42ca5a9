//! Opens the logs of partitions, several after the other on a thread of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use flumen_storage::{OpenContext, OpenError, PartitionLog, read_topic_id, write_topic_id};
use tracing::{debug, error, info, warn};

use super::reconcile::part;
use super::registry::Hosted;
use super::settings::log_config;
use super::{DataDir, Partition};
use crate::config::{Settings, TopicConfig};
use crate::controller::{PartitionImage, TopicImage};

/// A log to be opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) image: Arc<TopicImage>,
    pub(super) index: i32,
}

/// Why this broker cannot use a log.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    /// It cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// It can, but others count on records that it had and has not.
    #[error("the log ends at {end}, and had been flushed up to {flushed}")]
    Missing { end: i64, flushed: i64 },
}

/// Opens logs on one thread.
pub(super) struct Opener {
    pub(super) node_id: i32,
    pub(super) settings: Arc<Settings>,
    pub(super) data_dir: Arc<DataDir>,
    pub(super) was_clean: bool,
    pub(super) now_ms: i64,
}

impl Opener {
    pub(super) fn open_share(&self, share: Vec<Opening>) -> Vec<(Uuid, i32, Hosted)> {
        let mut configs: BTreeMap<Uuid, TopicConfig> = BTreeMap::new();
        let mut opened = Vec::with_capacity(share.len());
        for Opening { image, index } in share {
            let resolve = || TopicConfig::resolve(&image.configs, &self.settings);
            let config = configs.entry(image.id).or_insert_with(resolve);
            let hosted = match self.open_or_begin_anew(&image, index, config) {
                Ok(partition) => Hosted::Here(partition),
                Err(failure) => {
                    let topic = &image.name;
                    error!(%topic, partition = index, error = %failure, "the log is unusable");
                    Hosted::Offline
                }
            };
            opened.push((image.id, index, hosted));
        }
        opened
    }

    /// Opens a log. A damaged one that nobody counts on makes room for a copy of the leader's.
    fn open_or_begin_anew(
        &self,
        image: &Arc<TopicImage>,
        index: i32,
        config: &TopicConfig,
    ) -> Result<Arc<Partition>, Unusable> {
        let failure = match self.open(image, index, config) {
            Err(failure @ Unusable::Log(OpenError::Corrupt { .. })) => failure,
            opened => return opened,
        };
        if !placed(image, index).can_be_copied_to(self.node_id) {
            return Err(failure);
        }
        let topic = &image.name;
        warn!(%topic, partition = index, error = %failure, "a damaged log is copied anew");
        self.move_away(image, index, image.id);
        self.open(image, index, config)
    }

    fn open(
        &self,
        image: &Arc<TopicImage>,
        index: i32,
        config: &TopicConfig,
    ) -> Result<Arc<Partition>, Unusable> {
        let path = self.data_dir.log_dir().partition_path(&image.name, index);
        let vfs = self.data_dir.vfs();
        let known = read_topic_id(vfs, &path).map_err(OpenError::from)?;
        if let Some(id) = known.filter(|id| *id != image.id) {
            info!(path = %path.display(), "found data of an earlier topic, whose deletion was interrupted");
            self.move_away(image, index, id);
        }
        if known != Some(image.id) {
            write_topic_id(vfs, &path, image.id).map_err(OpenError::from)?;
        }
        let key = (image.name.to_string(), index);
        // That of now: since the last shutdown the name may have been given to another topic.
        let recovery_point = self.data_dir.recovery_point(&key);
        let context =
            OpenContext { clean_shutdown: self.was_clean, recovery_point, now_ms: self.now_ms };
        let log_config = Arc::new(log_config(config));
        let log = PartitionLog::open(Arc::clone(vfs), &path, Arc::clone(&log_config), context)?;
        let end = log.log_end_offset();
        debug!(topic = %image.name, partition = index, end, "log opened");
        let placed = placed(image, index);
        let high_watermark = self.data_dir.high_watermark(&key);
        // What is cut off as a torn tail may have been damaged later; the high watermark is written down
        // more often than the recovery point. That of another topic says nothing.
        let is_known = known == Some(image.id);
        let flushed = if is_known { recovery_point.max(high_watermark) } else { recovery_point };
        if end < flushed && placed.is_one_of_several(self.node_id) {
            return Err(Unusable::Missing { end, flushed });
        }
        if end < flushed {
            let topic = &image.name;
            warn!(%topic, partition = index, end, flushed, "a log has lost records");
        }
        let identity = (Arc::clone(&image.name), image.id, index);
        let high_watermark =
            if is_planted(Bug::OpenedLogsAreCommitted) { end } else { high_watermark };
        let data_dir = Arc::clone(&self.data_dir);
        let opened =
            Arc::new(Partition::new(identity, self.node_id, high_watermark, log, data_dir));
        opened.set_throttled(config, placed);
        if let Some(part) = part(image, placed, self.node_id, config) {
            opened.take_part(part, log_config);
        }
        Ok(opened)
    }

    /// Frees the directory of a partition, and what it took of the disk.
    fn move_away(&self, image: &TopicImage, index: i32, id: Uuid) {
        for path in self.data_dir.move_away(&image.name, id, &[index]) {
            if let Err(error) = self.data_dir.vfs().remove_dir_all(&path) {
                warn!(path = %path.display(), %error, "what a partition had is still on disk");
            }
        }
    }
}

fn placed(image: &TopicImage, index: i32) -> &PartitionImage {
    image.partition(index).expect("the image has what it told to open")
}
