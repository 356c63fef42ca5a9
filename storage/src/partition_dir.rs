//! The directory of one partition: file names in, errors with paths out.
//!
//! Knows the names of the files, and nothing of what they hold.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{read_if_exists, write_atomically};
use crate::error::DiskError;
use crate::file_names::{SNAPSHOT, parse_segment_file};
use crate::vfs::{DirEntry, OpenOptions, Vfs, VfsFile};

/// A directory on a disk.
#[derive(Debug, Clone)]
pub(crate) struct PartitionDir {
    vfs: Arc<dyn Vfs>,
    path: Arc<Path>,
}

impl PartitionDir {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, path: &Path) -> Self {
        Self { vfs, path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Creates the directory, durably even if a run that died had created it already.
    pub(crate) fn create(&self) -> Result<(), DiskError> {
        self.vfs
            .create_dir_all(&self.path)
            .map_err(|source| DiskError::new("create", &self.path, source))?;
        match self.path.parent() {
            Some(parent) => {
                self.vfs.sync_dir(parent).map_err(|source| DiskError::new("sync", parent, source))
            }
            None => Ok(()),
        }
    }

    /// Whether the directory is there.
    pub(crate) fn exists(&self) -> Result<bool, DiskError> {
        self.vfs.exists(&self.path).map_err(|source| DiskError::new("inspect", &self.path, source))
    }

    pub(crate) fn list(&self) -> Result<Vec<DirEntry>, DiskError> {
        self.vfs.list(&self.path).map_err(|source| DiskError::new("list", &self.path, source))
    }

    pub(crate) fn open(
        &self,
        name: &str,
        options: OpenOptions,
    ) -> Result<Arc<dyn VfsFile>, DiskError> {
        let path = self.file_path(name);
        self.vfs.open(&path, options).map_err(|source| DiskError::new("open", &path, source))
    }

    /// The content of a file; `None` if there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let path = self.file_path(name);
        read_if_exists(&*self.vfs, &path).map_err(|source| DiskError::new("read", &path, source))
    }

    /// Writes a file that can be rebuilt: not synced, and possibly torn by a crash.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), DiskError> {
        let file = self.open(name, OpenOptions::REPLACE)?;
        file.write_at(content, 0)
            .map_err(|source| DiskError::new("write", &self.file_path(name), source))
    }

    /// Replaces a file durably: after a crash it holds the old content or the new.
    pub(crate) fn write_durably(&self, name: &str, content: &[u8]) -> Result<(), DiskError> {
        let path = self.file_path(name);
        write_atomically(&*self.vfs, &path, content)
            .map_err(|source| DiskError::new("replace", &path, source))
    }

    /// Renames a file, replacing the one that has the new name.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let path = self.file_path(from);
        self.vfs
            .rename(&path, &self.file_path(to))
            .map_err(|source| DiskError::new("rename", &path, source))
    }

    /// Removes a file; that it is gone already is no error.
    pub(crate) fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.file_path(name);
        match self.vfs.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::new("remove", &path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes created, renamed and removed names durable.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.vfs.sync_dir(&self.path).map_err(|source| DiskError::new("sync", &self.path, source))
    }
}

/// The producer snapshots of a partition: offsets, in increasing order, and file names.
pub(crate) fn list_snapshots(dir: &PartitionDir) -> Result<Vec<(i64, String)>, DiskError> {
    let entries = dir.list()?.into_iter();
    let snapshots = entries.filter_map(|entry| match parse_segment_file(&entry.name) {
        Some((offset, SNAPSHOT)) => Some((offset, entry.name)),
        Some(_) | None => None,
    });
    Ok(snapshots.collect())
}
