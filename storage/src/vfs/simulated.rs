//! A disk in memory that fails as disks do.
//!
//! Until it is synced, a write is known only to this machine's memory, and [`SimulatedDisk::crash`]
//! decides what becomes of it: kept, dropped, reordered or torn between two sectors. The same goes
//! for names until their directory is synced; syncing a file does not make its name durable, as
//! POSIX allows. Beyond that the disk can fill up, fail any operation by number or by path, and
//! stop at a given operation, so that a test can crash a workload at each of them in turn
//! ([`explore_crashes`]).
//!
//! A failed sync drops what it was to write: the file still shows it, and no later sync brings it
//! to the disk.
//!
//! Everything is a function of the calls and the seeds; nothing here is random by itself.

mod content;
mod explore;
mod fault;
mod tree;

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::FileSource;
use parking_lot::Mutex;

use self::fault::{Faults, Refusal};
use self::tree::{InodeId, Tree};
use super::{DirEntry, DirLock, FileSystem, OpenOptions, Vfs, VfsFile};

pub use explore::{Crash, explore_crashes};
pub use fault::Operation;

/// What becomes of everything that was not synced when the machine stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it is kept: only the process died.
    Kept,
    /// All of it is gone.
    Dropped,
    /// Some of it is kept, by the sector and in any order.
    Random {
        /// Decides which.
        seed: u64,
    },
}

/// A disk of one machine; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk {
    shared: Arc<Mutex<State>>,
    /// The boot this handle belongs to; `None` outlives crashes.
    boot: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    faults: Faults,
    locked: Vec<InodeId>,
    evicted: u64,
    /// Counts crashes; what was opened before the last one is dead.
    boot: u64,
}

impl SimulatedDisk {
    /// An empty disk without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle for one run of the machine: after the next crash it can do nothing any more.
    ///
    /// The handle it is made from goes on working, and so do its clones.
    #[must_use]
    pub fn mount(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), boot: Some(self.shared.lock().boot) }
    }

    /// Stops the machine and starts it again.
    ///
    /// Open files, locks and mounts are dead; faults that were waiting are gone.
    pub fn crash(&self, unsynced: Unsynced) {
        let state = &mut *self.shared.lock();
        state.boot += 1;
        state.locked.clear();
        state.faults = Faults::with_capacity(state.faults.capacity);
        state.tree.settle(unsynced);
    }

    /// Stops the machine and gives it another disk, with nothing on it.
    pub fn replace(&self) {
        self.crash(Unsynced::Dropped);
        self.shared.lock().tree = Tree::default();
    }

    /// Bytes that were let go of in memory, counted again each time.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.shared.lock().evicted
    }

    /// Operations since the disk was made or last crashed.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.lock().faults.operations
    }

    /// Lets the operation of that number fail, counted from 0 like [`SimulatedDisk::operations`].
    pub fn fail_at(&self, operation: u64) {
        self.shared.lock().faults.failing_numbers.insert(operation);
    }

    /// Lets the next `count` operations of a kind fail whose path contains `path_part`.
    pub fn fail_matching(&self, operation: Operation, path_part: &str, count: u32) {
        self.shared.lock().faults.add_matching(operation, path_part, count);
    }

    /// Lets this operation and all that follow fail without any effect, until the next crash.
    pub fn stop_at(&self, operation: u64) {
        self.shared.lock().faults.stop_at = Some(operation);
    }

    /// Limits the bytes of all files together.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.shared.lock().faults.capacity = capacity;
    }

    /// Flips bits of a byte, in memory and on the disk, as a failing device does from which the file is read
    /// from now on.
    pub fn flip_bits(&self, path: &Path, position: u64, mask: u8) -> io::Result<()> {
        let state = &mut *self.shared.lock();
        let inode = state.tree.file(path)?;
        state.tree.content(inode).flip(index(position), mask);
        Ok(())
    }

    /// Admits an operation, or tells why it fails.
    fn enter(&self, operation: Operation, path: &Path) -> Result<Entered<'_>, Refusal> {
        enter(&self.shared, self.boot, operation, path)
    }
}

type Entered<'a> = parking_lot::MutexGuard<'a, State>;

fn enter<'a>(
    shared: &'a Mutex<State>,
    boot: Option<u64>,
    operation: Operation,
    path: &Path,
) -> Result<Entered<'a>, Refusal> {
    let mut state = shared.lock();
    if boot.is_some_and(|boot| boot != state.boot) {
        return Err(Refusal::Dead);
    }
    state.faults.admit(operation, path)?;
    Ok(state)
}

impl Vfs for SimulatedDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn VfsFile>> {
        let mut state = self.enter(Operation::Open, path)?;
        let inode = match state.tree.file(path) {
            Ok(_) if options.create_new => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(inode) => inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound && options.create => {
                state.tree.create_file(path)?
            }
            Err(error) => return Err(error),
        };
        if options.truncate {
            state.tree.content(inode).truncate(0);
        }
        state.tree.open(inode);
        Ok(Arc::new(SimulatedFile {
            shared: Arc::clone(&self.shared),
            boot: state.boot,
            inode,
            path: path.to_owned(),
            is_writable: options.write,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.enter(Operation::Create, path)?.tree.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.enter(Operation::List, dir)?.tree.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter(Operation::Rename, from)?.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.enter(Operation::Remove, path)?.tree.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.enter(Operation::Remove, path)?.tree.remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.enter(Operation::SyncDir, dir)?.tree.sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.enter(Operation::List, path)?.tree.find(path).is_some())
    }

    fn file_size(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.enter(Operation::List, path)?;
        let inode = state.tree.file(path)?;
        Ok(state.tree.content(inode).size())
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn DirLock>> {
        let mut state = self.enter(Operation::Open, dir)?;
        let inode = state.tree.dir(dir)?;
        if state.locked.contains(&inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked.push(inode);
        Ok(Box::new(HeldLock { shared: Arc::clone(&self.shared), boot: state.boot, inode }))
    }

    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>> {
        let state = self.enter(Operation::Open, dir)?;
        Ok(Arc::new(Self { shared: Arc::clone(&self.shared), boot: Some(state.boot) }))
    }
}

impl FileSystem for SimulatedDisk {
    fn sync(&self) -> io::Result<()> {
        match self.enter(Operation::SyncFileSystem, Path::new("/")) {
            Ok(mut state) => {
                state.tree.sync_all();
                Ok(())
            }
            Err(refusal) => {
                if refusal == Refusal::Injected {
                    self.shared.lock().tree.lose_unsynced_content();
                }
                Err(refusal.into())
            }
        }
    }

    fn available_space(&self) -> io::Result<u64> {
        let state = self.enter(Operation::List, Path::new("/"))?;
        Ok(state.available())
    }

    fn total_space(&self) -> io::Result<u64> {
        let state = self.enter(Operation::List, Path::new("/"))?;
        Ok(state.faults.capacity.unwrap_or(u64::MAX))
    }
}

impl State {
    fn available(&self) -> u64 {
        match self.faults.capacity {
            Some(capacity) => capacity.saturating_sub(self.tree.used()),
            None => u64::MAX,
        }
    }
}

#[derive(Debug)]
struct HeldLock {
    shared: Arc<Mutex<State>>,
    boot: u64,
    inode: InodeId,
}

impl DirLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // A lock from before a crash is not the one that was taken since.
        if state.boot == self.boot {
            state.locked.retain(|inode| *inode != self.inode);
        }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    shared: Arc<Mutex<State>>,
    boot: u64,
    inode: InodeId,
    path: PathBuf,
    is_writable: bool,
}

impl SimulatedFile {
    fn enter(&self, operation: Operation) -> Result<Entered<'_>, Refusal> {
        enter(&self.shared, Some(self.boot), operation, &self.path)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.boot == self.boot {
            state.tree.close(self.inode);
        }
    }
}

impl FileSource for SimulatedFile {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let size = self.read_at(buffer, position)?;
        if size == buffer.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl VfsFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.enter(Operation::Read)?;
        let rest = state.tree.content(self.inode).from(index(position));
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.check_writable()?;
        let slices: Vec<&[u8]> = buffers.iter().map(|buffer| &buffer[..]).collect();
        let mut bytes = slices.concat();
        let position = index(position);
        let mut state = match self.enter(Operation::Write) {
            Ok(state) => state,
            Err(refusal) => {
                if refusal == Refusal::Injected {
                    bytes.truncate(bytes.len() / 2);
                    self.shared.lock().tree.content(self.inode).write(position, bytes);
                }
                return Err(refusal.into());
            }
        };
        let available = index(state.available());
        let content = state.tree.content(self.inode);
        // Only bytes beyond the end take space.
        let overwritten = index(content.size()).saturating_sub(position);
        let is_full = bytes.len() > overwritten.saturating_add(available);
        bytes.truncate(overwritten.saturating_add(available));
        content.write(position, bytes);
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.enter(Operation::Read)?.tree.content(self.inode).size())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.check_writable()?;
        self.enter(Operation::Truncate)?.tree.content(self.inode).truncate(index(size));
        Ok(())
    }

    fn evict(&self, range: Range<u64>) {
        self.shared.lock().evicted += range.end.saturating_sub(range.start);
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.enter(Operation::Sync) {
            Ok(mut state) => {
                state.tree.content(self.inode).sync();
                Ok(())
            }
            Err(refusal) => {
                if refusal == Refusal::Injected {
                    self.shared.lock().tree.content(self.inode).lose_unsynced();
                }
                Err(refusal.into())
            }
        }
    }

    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut state = self.enter(Operation::Read)?;
        let content = state.tree.content(self.inode);
        if range.end > content.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = index(range.end - range.start);
        Ok(Bytes::copy_from_slice(&content.from(index(range.start))[..size]))
    }

    fn is_resident(&self, _range: Range<u64>) -> bool {
        self.shared.lock().tree.content(self.inode).is_resident()
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
