//! How far the log of the quorum is on disk, noted beside it: what tells damage from a torn tail.
//!
//! A crash leaves entries that were never promised half written, and whoever starts cuts them off. Entries
//! that were synced may have been acknowledged, and a voter that cut those off would vote as if it had never
//! had them. The note is written after a sync of the log, and not synced itself: an old one says less, and
//! one that is lost or torn nothing. It must never say too much, so it is lowered, durably, before the
//! log is cut off.
//!
//! ```text
//! end offset i64 | the same with every bit turned over
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use flumen_storage::vfs::{OpenOptions, Vfs, VfsFile};

use super::durable_file;

const FILE: &str = "synced-end";

/// The note.
#[derive(Debug)]
pub(super) struct SyncedEnd {
    file: Arc<dyn VfsFile>,
    noted: i64,
}

/// What the note in `dir` says; 0 when there is none.
pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> io::Result<i64> {
    let content = durable_file::read(vfs, &dir.join(FILE))?;
    Ok(content.as_deref().and_then(decode).unwrap_or(0))
}

impl SyncedEnd {
    /// Goes on with the note in `dir`, which is created if there is none.
    pub(super) fn open(vfs: &dyn Vfs, dir: &Path) -> io::Result<Self> {
        let noted = read(vfs, dir)?;
        let file = vfs.open(&dir.join(FILE), OpenOptions::CREATE)?;
        Ok(Self { file, noted })
    }

    /// The log is on disk up to there.
    pub(super) fn raise(&mut self, end_offset: i64) {
        // Without it the next start only knows less.
        if end_offset > self.noted && self.write(end_offset).is_ok() {
            self.noted = end_offset;
        }
    }

    /// The log is about to be cut off there.
    pub(super) fn lower(&mut self, end_offset: i64) -> io::Result<()> {
        if end_offset >= self.noted {
            return Ok(());
        }
        self.write(end_offset)?;
        self.file.sync_data()?;
        self.noted = end_offset;
        Ok(())
    }

    fn write(&self, end_offset: i64) -> io::Result<()> {
        let [end, check] = [end_offset, !end_offset].map(i64::to_be_bytes);
        self.file.write_at(&[end, check].concat(), 0)
    }
}

fn decode(content: &[u8]) -> Option<i64> {
    let (end, check) = content.split_first_chunk()?;
    let (end, check) = (i64::from_be_bytes(*end), i64::from_be_bytes(check.try_into().ok()?));
    (end >= 0 && check == !end).then_some(end)
}

#[cfg(test)]
mod tests {
    use flumen_storage::vfs::SimulatedDisk;
    use flumen_storage::vfs::simulated::Unsynced;

    use super::*;

    const DIR: &str = "/data";

    fn mount(disk: &SimulatedDisk) -> impl Vfs {
        let vfs = disk.mount();
        vfs.create_dir_all(Path::new(DIR)).unwrap();
        vfs.sync_dir(Path::new("/")).unwrap();
        vfs
    }

    #[test]
    fn what_was_lowered_stays_low_and_what_was_raised_may_be_forgotten() {
        for unsynced in [Unsynced::Kept, Unsynced::Dropped] {
            let disk = SimulatedDisk::new();
            let vfs = mount(&disk);
            let dir = Path::new(DIR);
            assert_eq!(read(&vfs, dir).unwrap(), 0);
            let mut note = SyncedEnd::open(&vfs, dir).unwrap();
            note.raise(7);
            note.raise(5);
            assert_eq!(read(&vfs, dir).unwrap(), 7);
            vfs.sync_dir(dir).unwrap();
            note.lower(9).unwrap();
            note.lower(3).unwrap();
            disk.crash(unsynced);
            assert_eq!(read(&mount(&disk), dir).unwrap(), 3, "{unsynced:?}");
        }
    }

    #[test]
    fn a_torn_note_says_nothing() {
        let disk = SimulatedDisk::new();
        let vfs = mount(&disk);
        let dir = Path::new(DIR);
        SyncedEnd::open(&vfs, dir).unwrap().raise(300);
        let file = vfs.open(&dir.join(FILE), OpenOptions::WRITE).unwrap();
        for size in 0..16 {
            file.truncate(size).unwrap();
            assert_eq!(read(&vfs, dir).unwrap(), 0, "{size}");
            SyncedEnd::open(&vfs, dir).unwrap().raise(300);
        }
        assert_eq!(read(&vfs, dir).unwrap(), 300);
        file.write_at(&[9], 6).unwrap();
        assert_eq!(read(&vfs, dir).unwrap(), 0);
    }
}
