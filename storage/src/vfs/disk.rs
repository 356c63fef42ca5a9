//! The machine's own disk.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::FileSource;
use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

use super::{DirEntry, DirLock, FileSystem, OpenOptions, Vfs, VfsFile};

/// Name of the file that is locked for its directory, as in Apache Kafka.
const LOCK_FILE: &str = ".lock";
/// Distance of the samples of a residency check: below the kernel's read-ahead of 128 KiB.
const RESIDENCY_STEP: usize = 32 * 1024;

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Vfs for RealDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn VfsFile>> {
        let file = File::options()
            .read(true)
            .write(options.write || options.create || options.create_new)
            .create(options.create)
            .create_new(options.create_new)
            .truncate(options.truncate)
            .open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed by another thread since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_dir = metadata.is_dir();
            let size = if is_dir { 0 } else { metadata.len() };
            entries.push(DirEntry { name, is_dir, size });
        }
        entries.sort();
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn file_size(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn DirLock>> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(HeldLock { _file: file }))
    }

    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>> {
        Ok(Arc::new(DiskFileSystem(File::open(dir)?)))
    }
}

/// The kernel gives the lock up when the file is closed, at the latest when the process ends.
#[derive(Debug)]
struct HeldLock {
    _file: File,
}

impl DirLock for HeldLock {}

#[derive(Debug)]
struct DiskFileSystem(File);

impl FileSystem for DiskFileSystem {
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }

    fn available_space(&self) -> io::Result<u64> {
        let status = rustix::fs::fstatvfs(&self.0)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn total_space(&self) -> io::Result<u64> {
        let status = rustix::fs::fstatvfs(&self.0)?;
        Ok(status.f_blocks.saturating_mul(status.f_frsize))
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl FileSource for DiskFile {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, position)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl VfsFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let total: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut written = rustix::io::pwritev(&self.0, buffers, position)?;
        if written == total {
            return Ok(());
        }
        // A short write is rare: a signal, a full disk, or more buffers than one call takes. What
        // is left goes buffer by buffer, and the call that cannot go on says why.
        let mut position = position;
        for buffer in buffers {
            let skipped = written.min(buffer.len());
            self.0.write_all_at(&buffer[skipped..], position + skipped as u64)?;
            position += buffer.len() as u64;
            written -= skipped;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn reserve(&self, range: Range<u64>) {
        let length = range.end.saturating_sub(range.start);
        // A hint, by the seam's contract: what stands in the way will stand in the write's way too.
        let reserved =
            rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, range.start, length);
        if let Err(error) = reserved {
            tracing::trace!(%error, length, "no blocks were set aside");
        }
    }

    fn evict(&self, range: Range<u64>) {
        let Some(length) = NonZeroU64::new(range.end.saturating_sub(range.start)) else { return };
        // A hint, by the seam's contract: at worst the memory stays in use.
        let evicted = rustix::fs::fadvise(&self.0, range.start, Some(length), Advice::DontNeed);
        if let Err(error) = evicted {
            tracing::trace!(%error, length, "the cache was not let go of");
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    #[expect(unsafe_code, reason = "a mapping is valid only while nobody cuts the file off")]
    fn map(&self, range: Range<u64>) -> io::Result<Bytes> {
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        if range.end > self.size()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut options = memmap2::MmapOptions::new();
        // SAFETY: the range lies within the file, and the caller of `map` promises that the file
        // is sealed: nobody writes to it or cuts it off while the bytes are in use.
        let mapping = unsafe { options.offset(range.start).len(length).map(&self.0)? };
        Ok(Bytes::from_owner(mapping))
    }

    fn is_resident(&self, range: Range<u64>) -> bool {
        let last = range.end.saturating_sub(1);
        range.step_by(RESIDENCY_STEP).chain([last]).all(|position| self.is_byte_resident(position))
    }
}

impl DiskFile {
    fn is_byte_resident(&self, position: u64) -> bool {
        let mut byte = [0];
        let mut buffers = [io::IoSliceMut::new(&mut byte)];
        let flags = ReadWriteFlags::NOWAIT;
        // Only one answer says that the device is needed; a file system that cannot tell, such
        // as tmpfs, has no device to wait for.
        rustix::io::preadv2(&self.0, &mut buffers, position, flags) != Err(Errno::AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::vfs::read_file;

    #[test]
    fn bytes_come_back_from_where_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealDisk.open(&path, OpenOptions::CREATE_NEW).unwrap();
        let many: Vec<[u8; 3]> =
            (0..3_000_u32).map(|i| [0, i.to_be_bytes()[2], i.to_be_bytes()[3]]).collect();
        // More buffers than one system call takes.
        let buffers: Vec<IoSlice<'_>> = many.iter().map(|bytes| IoSlice::new(bytes)).collect();
        file.write_vectored_at(&buffers, 0).unwrap();
        let all = many.concat();
        assert_eq!(read_file(&RealDisk, &path).unwrap(), all);
        assert_eq!(file.map(6_000..9_000).unwrap(), all[6_000..]);
        assert_eq!(file.map(7..7).unwrap(), Bytes::new());
        assert!(file.map(0..9_001).is_err());
        assert!(file.is_resident(0..9_000));
        assert!(RealDisk.open(&path, OpenOptions::CREATE_NEW).is_err());
    }

    #[test]
    fn what_is_let_go_of_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealDisk.open(&path, OpenOptions::CREATE_NEW).unwrap();
        let content: Vec<u8> = (0..3 << 20).map(|i: u32| (i >> 8).to_be_bytes()[3]).collect();
        file.write_at(&content, 0).unwrap();
        file.sync_data().unwrap();
        file.evict(0..2 << 20);
        file.evict(7..7);
        assert_eq!(read_file(&RealDisk, &path).unwrap(), content);
    }

    #[test]
    fn what_is_set_aside_shows_neither_in_size_nor_in_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealDisk.open(&path, OpenOptions::CREATE_NEW).unwrap();
        file.reserve(0..1 << 20);
        file.write_at(b"abc", 0).unwrap();
        assert_eq!(read_file(&RealDisk, &path).unwrap(), b"abc");
        file.truncate(3).unwrap();
        assert_eq!(read_file(&RealDisk, &path).unwrap(), b"abc");
        let used = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(used < 1 << 19, "{used} bytes are still set aside");
    }

    #[test]
    fn a_directory_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RealDisk.lock_dir(dir.path()).unwrap();
        let error = RealDisk.lock_dir(dir.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        RealDisk.lock_dir(dir.path()).unwrap();
    }
}
