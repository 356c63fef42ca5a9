//! The seam between the log and the disk.
//!
//! Everything this crate does to files goes through [`Vfs`] and [`VfsFile`], of which there are
//! two: [`RealDisk`] and [`SimulatedDisk`], which forgets at a crash what was not synced. The
//! traits promise no more than POSIX does, and callers must not expect more:
//!
//! - written bytes are durable after [`VfsFile::sync_data`] of that file, or [`FileSystem::sync`];
//! - a created, renamed or removed name is durable after [`Vfs::sync_dir`] of its directory;
//! - a failed write may have written a part; a failed sync may have lost what it was to write, and
//!   a second sync that succeeds proves nothing about it.
//!
//! Calls block. Who may block is the broker's concern, not this module's.

mod disk;
pub mod simulated;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::FileSource;

pub use disk::RealDisk;
pub use simulated::SimulatedDisk;

/// How a file is opened. Every file can be read; the default is nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// The file can be written.
    pub write: bool,
    /// It is created if it does not exist. Implies `write`.
    pub create: bool,
    /// It must not exist yet. Implies `create`.
    pub create_new: bool,
    /// What it holds is dropped. Needs `write`.
    pub truncate: bool,
}

impl OpenOptions {
    /// An existing file, for reading.
    pub const READ: Self = Self { write: false, create: false, create_new: false, truncate: false };
    /// An existing file, for reading and writing.
    pub const WRITE: Self = Self { write: true, ..Self::READ };
    /// A file for reading and writing, created if need be.
    pub const CREATE: Self = Self { create: true, ..Self::WRITE };
    /// A file that must not exist yet.
    pub const CREATE_NEW: Self = Self { create_new: true, ..Self::CREATE };
    /// An empty file, whatever was there before.
    pub const REPLACE: Self = Self { truncate: true, ..Self::CREATE };
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last part of its path.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
    /// Bytes of a file, 0 for a directory.
    pub size: u64,
}

/// A disk: names, and the files behind them.
pub trait Vfs: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn VfsFile>>;

    /// Creates a directory and those above it that are missing. Durable once the directory above
    /// each new one is synced.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Lists a directory, sorted by name. Names that are not UTF-8 are none of ours: left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Renames a file or directory; a file at `to` is replaced in the same step.
    ///
    /// Between two directories it is durable when both are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Those who have it open can go on reading.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether a file or directory of that name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Bytes of the file of that name.
    fn file_size(&self, path: &Path) -> io::Result<u64>;

    /// Locks a directory against other processes until the lock is dropped.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] while another holds it.
    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn DirLock>>;

    /// Opens the file system that `dir` lies on.
    ///
    /// To be done at start: the kernel reports a failed write-back once to each descriptor that
    /// was open when it failed.
    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>>;
}

/// A held lock of a directory.
pub trait DirLock: Send + Sync + Debug {}

/// A file system as a whole.
pub trait FileSystem: Send + Sync + Debug {
    /// Makes all that was written to any of its files durable, names included.
    fn sync(&self) -> io::Result<()>;

    /// Bytes that can still be written to it.
    fn available_space(&self) -> io::Result<u64>;

    /// Bytes it has in all.
    fn total_space(&self) -> io::Result<u64>;
}

/// An open file. As a [`FileSource`] it can be sent from without being read.
pub trait VfsFile: FileSource {
    /// Reads into the front of `buffer` what is there, at most all; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all buffers, one after the other. On failure a part may have been written.
    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Writes all bytes. On failure a part may have been written.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_vectored_at(&[IoSlice::new(bytes)], position)
    }

    /// Bytes of the file.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file off, or extends it with zeros.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Sets blocks aside for a range that is about to be written, without changing content or size.
    ///
    /// A hint: on a full disk, or where the file system cannot, nothing happens. What was set aside
    /// and not used is given back by [`truncate`](Self::truncate).
    fn reserve(&self, _range: Range<u64>) {}

    /// Lets go of the memory that caches a range which is durable.
    ///
    /// A hint: whoever reads the range afterwards may have to wait for the device.
    fn evict(&self, _range: Range<u64>) {}

    /// Makes content and size durable. Final if it fails: trying again proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Gives a range as memory, on a real disk without reading it.
    ///
    /// The range must lie within the file and must not be written or cut off while the bytes are
    /// in use: sealed files only.
    fn map(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// Whether a range can be read without waiting for the device, as far as that can be told
    /// cheaply. Samples the range, so that now and then it is wrong.
    fn is_resident(&self, range: Range<u64>) -> bool;
}

/// Reads a whole file; for the small ones.
pub fn read_file(vfs: &dyn Vfs, path: &Path) -> io::Result<Vec<u8>> {
    let file = vfs.open(path, OpenOptions::READ)?;
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let mut content = vec![0; size];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}
