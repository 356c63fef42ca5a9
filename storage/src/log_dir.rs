//! A log directory: one place on one disk where a broker keeps partitions.
//!
//! Owns what lies beside the partitions' own directories, in Apache Kafka's names and formats: the
//! lock against a second process, `meta.properties`, the marker of a clean shutdown, and the
//! checkpoints of all partitions. What is inside a partition's directory is the log's business.
//!
//! **Order**: the marker is written after every log has been flushed and closed, and taken away
//! before any log is opened. A crash in between costs a recovery, never a record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flumen_protocol::Uuid;
use thiserror::Error;

use crate::checkpoint::{
    PartitionOffsets, read_if_exists, read_offsets, write_atomically, write_offsets,
};
use crate::vfs::{DirLock, FileSystem, Vfs};

const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const META_PROPERTIES: &str = "meta.properties";
const META_VERSION: &str = "1";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
/// End of the name of a directory whose partition is deleted but not yet gone.
const DELETED_SUFFIX: &str = "-delete";

/// Why a log directory cannot be used.
#[derive(Debug, Error)]
pub enum LogDirError {
    /// Another process uses it.
    #[error(
        "{path} is locked by another process; stop that one, or choose another directory",
        path = path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("cannot {action} {path}", path = path.display())]
    Disk {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `meta.properties` is not as any version writes it.
    #[error(
        "{path} is damaged; it says whose data this is, so restore it rather than delete it",
        path = path.display()
    )]
    DamagedIdentity {
        /// The file.
        path: PathBuf,
    },
}

/// Whose data a directory holds: the content of `meta.properties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: String,
    /// The broker.
    pub node_id: i32,
    /// The directory itself: an empty one put in its place has another id.
    pub directory_id: Uuid,
    /// The epoch of the newest start that may have written here; Kafka passes this line over. A
    /// directory that was set back to an older state has an older one than the cluster knows of.
    pub broker_epoch: Option<i64>,
}

/// What a clean shutdown left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The broker epoch it happened in, if there was one.
    pub broker_epoch: Option<i64>,
}

/// Checkpoints that hold one offset of every partition in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Below this all is flushed: where recovery begins.
    RecoveryPoints,
    /// Where partitions begin whose records were deleted up to there.
    LogStartOffsets,
    /// What was committed when the broker last wrote it down.
    HighWatermarks,
    /// How far compaction has come in partitions that are compacted.
    CleanerOffsets,
}

impl Checkpoint {
    /// The name of its file in the directory.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::RecoveryPoints => RECOVERY_POINTS,
            Self::LogStartOffsets => LOG_START_OFFSETS,
            Self::HighWatermarks => HIGH_WATERMARKS,
            Self::CleanerOffsets => CLEANER_OFFSETS,
        }
    }
}

/// A directory of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionEntry {
    /// Name of the topic.
    pub topic: String,
    /// Index of the partition.
    pub partition: i32,
    /// The directory.
    pub path: PathBuf,
}

/// What lies in a log directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The partitions.
    pub partitions: Vec<PartitionEntry>,
    /// Directories of deleted partitions that a crash has kept from being removed.
    pub deleted: Vec<PathBuf>,
}

/// A log directory, locked for as long as this exists.
#[derive(Debug)]
pub struct LogDir {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    file_system: Arc<dyn FileSystem>,
    _lock: Box<dyn DirLock>,
}

impl LogDir {
    /// Locks the directory, creating it if there is none.
    pub fn open(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Self, LogDirError> {
        create_durably(&*vfs, path).map_err(|source| disk_error("create", path, source))?;
        let lock = vfs.lock_dir(path).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => LogDirError::Locked { path: path.to_owned() },
            _ => disk_error("lock", path, source),
        })?;
        let file_system =
            vfs.file_system(path).map_err(|source| disk_error("open", path, source))?;
        Ok(Self { vfs, path: path.to_owned(), file_system, _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file system it lies on, opened before anything in it was written.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.file_system
    }

    /// The directory of a partition, existing or not.
    #[must_use]
    pub fn partition_path(&self, topic: &str, partition: i32) -> PathBuf {
        self.path.join(format!("{topic}-{partition}"))
    }

    /// Where a partition's directory is moved to before it is removed.
    ///
    /// `unique` keeps it apart from the same partition deleted before. A topic name may be as
    /// long as a file name, so it is cut as Kafka cuts it.
    #[must_use]
    pub fn deleted_path(&self, topic: &str, partition: i32, unique: Uuid) -> PathBuf {
        const NAME_SIZE_MAX: usize = 255;
        let suffix = format!("-{partition}.{}{DELETED_SUFFIX}", hexadecimal(unique));
        let size = topic.len().min(NAME_SIZE_MAX - suffix.len());
        self.path.join(format!("{}{suffix}", &topic[..size]))
    }

    /// Lists the partitions, sorted, and what deleted ones have left. Other names are ignored.
    pub fn list(&self) -> Result<Listing, LogDirError> {
        let entries =
            self.vfs.list(&self.path).map_err(|source| disk_error("list", &self.path, source))?;
        let mut listing = Listing::default();
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let path = self.path.join(&entry.name);
            if entry.name.ends_with(DELETED_SUFFIX) {
                listing.deleted.push(path);
            } else if let Some((topic, partition)) = parse_partition(&entry.name) {
                listing.partitions.push(PartitionEntry { topic, partition, path });
            }
        }
        listing.partitions.sort();
        Ok(listing)
    }

    /// Whose data this is; `None` in a new directory.
    pub fn identity(&self) -> Result<Option<Identity>, LogDirError> {
        let path = self.path.join(META_PROPERTIES);
        let content = read_if_exists(&*self.vfs, &path)
            .map_err(|source| disk_error("read", &path, source))?;
        content
            .map(|content| parse_identity(&content).ok_or(LogDirError::DamagedIdentity { path }))
            .transpose()
    }

    /// Writes down whose data this is.
    pub fn write_identity(&self, identity: &Identity) -> Result<(), LogDirError> {
        let Identity { cluster_id, node_id, directory_id, broker_epoch } = identity;
        let mut text = format!(
            "version={META_VERSION}\ncluster.id={cluster_id}\nnode.id={node_id}\n\
             directory.id={directory_id}\n"
        );
        if let Some(epoch) = broker_epoch {
            text += &format!("broker.epoch={epoch}\n");
        }
        self.write(META_PROPERTIES, text.as_bytes())
    }

    /// Tells whether the last shutdown was clean, and takes the marker away.
    ///
    /// To be called once, before any log is opened. A damaged marker counts as none.
    pub fn take_clean_shutdown(&self) -> Result<Option<CleanShutdown>, LogDirError> {
        let path = self.path.join(CLEAN_SHUTDOWN);
        let content = read_if_exists(&*self.vfs, &path)
            .map_err(|source| disk_error("read", &path, source))?;
        let Some(content) = content else { return Ok(None) };
        self.vfs
            .remove_file(&path)
            .and_then(|()| self.vfs.sync_dir(&self.path))
            .map_err(|source| disk_error("remove", &path, source))?;
        Ok(parse_clean_shutdown(&content))
    }

    /// Marks the shutdown as clean. To be called after every log has been flushed and closed.
    pub fn mark_clean_shutdown(&self, broker_epoch: Option<i64>) -> Result<(), LogDirError> {
        let broker_epoch = broker_epoch.unwrap_or(-1);
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        self.write(CLEAN_SHUTDOWN, text.as_bytes())
    }

    /// Reads a checkpoint; `None` if it is absent or damaged.
    pub fn read_checkpoint(
        &self,
        checkpoint: Checkpoint,
    ) -> Result<Option<PartitionOffsets>, LogDirError> {
        let path = self.path.join(checkpoint.file_name());
        read_offsets(&*self.vfs, &path).map_err(|source| disk_error("read", &path, source))
    }

    /// Replaces a checkpoint.
    pub fn write_checkpoint(
        &self,
        checkpoint: Checkpoint,
        offsets: &PartitionOffsets,
    ) -> Result<(), LogDirError> {
        let path = self.path.join(checkpoint.file_name());
        write_offsets(&*self.vfs, &path, offsets)
            .map_err(|source| disk_error("write", &path, source))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), LogDirError> {
        let path = self.path.join(name);
        write_atomically(&*self.vfs, &path, content)
            .map_err(|source| disk_error("write", &path, source))
    }
}

/// Creates a directory so that it survives a crash, and those above it that are missing.
fn create_durably(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
        if vfs.exists(ancestor)? {
            break;
        }
        missing.push(ancestor);
    }
    vfs.create_dir_all(path)?;
    for created in missing.into_iter().rev() {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
        vfs.sync_dir(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn disk_error(action: &'static str, path: &Path, source: io::Error) -> LogDirError {
    LogDirError::Disk { action, path: path.to_owned(), source }
}

fn parse_partition(name: &str) -> Option<(String, i32)> {
    // Topic names may contain hyphens themselves, and no other part of the name can.
    let (topic, index) = name.rsplit_once('-')?;
    let partition: i32 = index.parse().ok()?;
    // "+1" and "01" are numbers too, but not as a directory is named.
    let is_canonical = partition >= 0 && partition.to_string() == index && !topic.is_empty();
    is_canonical.then(|| (topic.to_owned(), partition))
}

fn parse_identity(content: &[u8]) -> Option<Identity> {
    let text = str::from_utf8(content).ok()?;
    let find = |key: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .find_map(|line| line.split_once('=').filter(|(found, _)| found.trim() == key))
            .map(|(_, value)| value.trim())
    };
    if find("version")? != META_VERSION {
        return None;
    }
    Some(Identity {
        cluster_id: find("cluster.id").filter(|id| !id.is_empty())?.to_owned(),
        node_id: find("node.id")?.parse().ok()?,
        directory_id: find("directory.id")?.parse().ok()?,
        broker_epoch: find("broker.epoch").map(str::parse).transpose().ok()?,
    })
}

fn parse_clean_shutdown(content: &[u8]) -> Option<CleanShutdown> {
    let mut text = str::from_utf8(content).ok()?.to_owned();
    text.retain(|character| !character.is_whitespace());
    let fields = text.strip_prefix('{')?.strip_suffix('}')?;
    let find = |key: &str| fields.split(',').find_map(|field| field.strip_prefix(key));
    let version: i32 = find("\"version\":")?.parse().ok()?;
    let broker_epoch: i64 = find("\"brokerEpoch\":")?.parse().ok()?;
    (version == 0).then(|| CleanShutdown { broker_epoch: Some(broker_epoch).filter(|&e| e >= 0) })
}

fn hexadecimal(id: Uuid) -> String {
    id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
